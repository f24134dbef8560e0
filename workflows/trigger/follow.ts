/** What a trigger does: starts a run, tells it of further alerts, withdraws it, or only tells people. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ChildWorkflowCancellationType,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  startChild,
} from '@temporalio/workflow';
import type { ResolvedTrigger, TriggerActivities } from '../../activities/contract.ts';
import type { HaltNote } from '../../plan/model.ts';
import { CONTROL_QUEUE, WORKFLOW_TASK_TIMEOUT } from '../contract.ts';
import { causeOf } from '../run/errors.ts';
import { textOfAll, type Verdict } from './judge.ts';
import type { TriggerState } from './state.ts';

/** The lock is held, or a run could not be started: asked again after so long, in milliseconds, while alerts fire. */
const AGAIN_MS = 30_000;

/** @returns when to come back, where the verdict alone does not say; `null` otherwise */
export async function follow(
  state: TriggerState,
  resolved: ResolvedTrigger,
  control: TriggerActivities,
): Promise<number | null> {
  const { verdict, run } = state;
  if (run !== null || verdict?.kind !== 'due') state.kept = null;
  if (verdict === null) return null;
  if (run !== null) {
    if (verdict.kind === 'calm') await withdraw(state);
    else await tellRun(state, resolved, control);
    return null;
  }
  if (verdict.kind !== 'due') return null;
  const { trigger } = resolved;
  if (trigger.action === 'halt') return startHalt(state, resolved, verdict, control);
  if (trigger.action === 'failover' || trigger.action === 'trafficRamp')
    return resolved.halt
      ? heldByHalt(state, resolved, resolved.halt, verdict, control)
      : start(state, resolved, verdict, control);
  followed(state, trigger.cooldownMs);
  state.note(`${trigger.action}: ${verdict.text}`);
  await tell(state, control, resolved, verdict.text);
  return null;
}

function followed(state: TriggerState, cooldownMs: number): void {
  const now = Date.now();
  const { followed: before, calmUntil } = state.memory;
  state.memory = { ...state.memory, followed: [...before, now], calmUntil: Math.max(calmUntil, now + cooldownMs) };
}

async function start(
  state: TriggerState,
  resolved: ResolvedTrigger,
  verdict: Extract<Verdict, { kind: 'due' }>,
  control: TriggerActivities,
): Promise<number | null> {
  const { trigger, lock } = resolved;
  const by = `trigger/${state.name}`;
  const request = {
    service: trigger.service,
    to: trigger.to!,
    by,
    reason: verdict.text.slice(0, 1_000),
    impactStartAt: verdict.impactStartAt,
    detectedAt: verdict.detectedAt,
    ...(trigger.action === 'failover' ? { mode: trigger.runMode } : {}),
    ...(trigger.mode === 'propose' ? { proposed: true } : {}),
  };
  try {
    const child = await startChild(trigger.action, {
      workflowId: lock,
      taskQueue: CONTROL_QUEUE,
      args: [request],
      staticSummary: `${trigger.action} ${trigger.service} → ${trigger.to}: ${verdict.text}`.slice(0, 190),
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
      // It is a run like any other: it outlives the trigger, and ends by its own words.
      parentClosePolicy: ParentClosePolicy.ABANDON,
      cancellationType: ChildWorkflowCancellationType.ABANDON,
    });
    // How it ends is asked for: whoever hands over to a next run of this workflow has no child any more.
    child.result().catch(() => undefined);
    const told = firing(state);
    state.run = { workflowId: lock, runId: child.firstExecutionRunId, startedAt: Date.now(), told, withdrawn: false };
    followed(state, trigger.cooldownMs);
    const what = trigger.mode === 'propose' ? 'proposed' : 'started';
    state.note(`${what} ${trigger.action} of ${trigger.service} to ${trigger.to} (${lock}): ${verdict.text}`);
    return null;
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const text = `${lock} is held by a run, which is told; to turn that one into the rescue: rampart escalate ${trigger.service} (a traffic ramp takes none: rampart abort ${trigger.service}, then rampart start failover ${trigger.service} --to ${trigger.to} --mode unplanned)`;
    if (state.kept !== text) {
      state.kept = text;
      state.note(text);
      await signal(state, lock, undefined, 'note', { by, reason: `alerts: ${verdict.text}`.slice(0, 1_000) });
      await tell(state, control, resolved, `${verdict.text}. ${text}`);
    }
    return Date.now() + AGAIN_MS;
  }
}

/** Corrupted data: everything stands still until a person has looked. The alerts may resolve; the halt stays. */
async function startHalt(
  state: TriggerState,
  { trigger, haltId, ...resolved }: ResolvedTrigger,
  verdict: Extract<Verdict, { kind: 'due' }>,
  control: TriggerActivities,
): Promise<null> {
  const by = `trigger/${state.name}`;
  const reason = verdict.text.slice(0, 1_000);
  const workflowId = haltId!;
  try {
    const child = await startChild('halt', {
      workflowId,
      taskQueue: CONTROL_QUEUE,
      args: [{ service: trigger.service, by, reason }],
      staticSummary: `halt ${trigger.service}: ${reason}`.slice(0, 190),
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      parentClosePolicy: ParentClosePolicy.ABANDON,
      cancellationType: ChildWorkflowCancellationType.ABANDON,
    });
    // It tells people by itself, and ends by a person's word.
    child.result().catch(() => undefined);
    state.note(`halted ${trigger.service} (${workflowId}): ${verdict.text}`);
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    state.note(`${trigger.service} is halted already: ${workflowId} is told`);
    await signal(state, workflowId, undefined, 'note', { by, reason });
    await tell(state, control, { trigger, ...resolved }, `${verdict.text}. ${trigger.service} is halted already`);
  }
  followed(state, trigger.cooldownMs);
  return null;
}

/** Nothing is started while the service is halted, and that is said once. */
async function heldByHalt(
  state: TriggerState,
  resolved: ResolvedTrigger,
  halt: HaltNote,
  verdict: Extract<Verdict, { kind: 'due' }>,
  control: TriggerActivities,
): Promise<number> {
  const { action, service } = resolved.trigger;
  const text = `no ${action} is started: ${service} is halted since ${new Date(halt.since).toISOString()} by ${halt.by}: ${halt.reason}`;
  if (state.kept !== text) {
    state.kept = text;
    state.note(text);
    await signal(state, halt.workflowId, undefined, 'note', {
      by: `trigger/${state.name}`,
      reason: `alerts: ${verdict.text}; ${action} is not started`.slice(0, 1_000),
    });
    await tell(state, control, resolved, `${verdict.text}. ${text}`);
  }
  return Date.now() + AGAIN_MS;
}

const idOf = ({ source, key }: { source: string; key: string }): string => `${source} ${key}`;

const firing = ({ memory }: TriggerState): string[] => memory.alerts.filter((one) => one.firing).map(idOf);

/**
 * Alerts that the run has not heard of yet are noted in it: one incident, one run. What comes long after it began may be
 * another incident, and whoever decides about the first may not be looking any more.
 */
async function tellRun(state: TriggerState, resolved: ResolvedTrigger, control: TriggerActivities): Promise<void> {
  const run = state.run!;
  const fresh = state.memory.alerts.filter((one) => one.firing && !run.told.includes(idOf(one)));
  if (fresh.length === 0) return;
  state.run = { ...run, told: [...run.told, ...fresh.map(idOf)] };
  const late = fresh.filter(({ heardAt }) => heardAt - run.startedAt > resolved.trigger.correlateMs);
  const reason = `further alerts: ${textOfAll(fresh)}`.slice(0, 1_000);
  await signal(state, run.workflowId, run.runId, 'note', { by: `trigger/${state.name}`, reason });
  if (late.length > 0)
    await tell(
      state,
      control,
      resolved,
      `${textOfAll(late)}, while ${run.workflowId} is open: perhaps another incident`,
    );
}

/** Taken by the run only while nobody has decided and nothing has happened; later it is a note in its log. */
async function withdraw(state: TriggerState): Promise<void> {
  const run = state.run!;
  if (run.withdrawn) return;
  state.run = { ...run, withdrawn: true };
  state.note(`the alerts have resolved: ${run.workflowId} is asked to withdraw`);
  await signal(state, run.workflowId, run.runId, 'withdraw', {
    by: `trigger/${state.name}`,
    reason: 'the alerts have resolved',
  });
}

/** A run that has just ended takes no signal, and that is no fault. */
async function signal(
  state: TriggerState,
  workflowId: string,
  runId: string | undefined,
  name: string,
  input: object,
): Promise<void> {
  try {
    await getExternalWorkflowHandle(workflowId, runId).signal(name, input);
  } catch (error) {
    if (isCancellation(error)) throw error;
    state.note(`${workflowId} could not be told: ${causeOf(error).message}`);
  }
}

/** Looks whether the run that was started is still open; when it has ended, the cooldown begins anew. */
export async function lookAfter(state: TriggerState, control: TriggerActivities): Promise<void> {
  const { run } = state;
  if (run === null) return;
  const seen = await control.lookAtRun({ trigger: state.name, workflowId: run.workflowId, runId: run.runId });
  if (seen.open) return;
  state.note(`${run.workflowId} has ended: ${seen.text}`);
  state.run = null;
  const { calmUntil } = state.memory;
  state.memory = { ...state.memory, calmUntil: Math.max(calmUntil, seen.closedAt + seen.cooldownMs) };
}

/** People that cannot be told must not keep the trigger from its work. */
async function tell(
  state: TriggerState,
  control: TriggerActivities,
  { trigger }: ResolvedTrigger,
  text: string,
): Promise<void> {
  try {
    await control.tellOfTrigger({ trigger: state.name, service: trigger.service, action: trigger.action, text });
  } catch (error) {
    if (isCancellation(error)) throw error;
    state.note(`people could not be told: ${causeOf(error).message}`);
  }
}
