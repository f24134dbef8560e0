/**
 * One activity, with the limits its place and moment call for. Nothing here knows what a verb does.
 */
import {
  ActivityCancellationType,
  type ActivityOptions,
  executeChild,
  ParentClosePolicy,
  proxyActivities,
  workflowInfo,
} from '@temporalio/workflow';
import type { Json, Receipt } from '../../drivers/ports.ts';
import { FROZEN, type StageName, type Step, type StepCall } from '../../plan/model.ts';
import type { Component } from '../../topology/model.ts';
import { CONTROL_QUEUE } from '../contract.ts';
import type { Run } from './state.ts';

/** In the freeze a killed worker must cost seconds: short heartbeats, short waits for a worker, quick retries. */
const FROZEN_LIMITS = { heartbeatMs: 3_000, scheduleToStartMs: 5_000, firstRetryMs: 100, maxRetryMs: 1_000 };
const CALM_LIMITS = { heartbeatMs: 10_000, scheduleToStartMs: 30_000, firstRetryMs: 500, maxRetryMs: 10_000 };
/** Outside the freeze a step gives up on a stuck system after this many attempts; in it, only its time limit ends it. */
const CALM_ATTEMPTS = 5;

type Activity = (call: StepCall) => Promise<Receipt>;

export function limitsOf(stage: StageName | null): typeof CALM_LIMITS {
  return stage !== null && FROZEN.includes(stage) ? FROZEN_LIMITS : CALM_LIMITS;
}

/**
 * Options of one scheduling.
 * @param stage the stage it belongs to; `null` for undos and planning
 */
export function optionsFor(
  step: Pick<Step, 'id' | 'verb' | 'place' | 'timeoutMs' | 'attempts' | 'scheduleToStartMs'>,
  stage: StageName | null,
  options: { undo?: boolean; deadline?: number | null } = {},
): ActivityOptions {
  const limits = limitsOf(stage);
  const forWorker = Math.min(step.scheduleToStartMs ?? limits.scheduleToStartMs, limits.scheduleToStartMs);
  const left = options.deadline == null ? step.timeoutMs : Math.max(options.deadline - Date.now(), 1_000);
  const startToClose = Math.min(step.timeoutMs, left);
  // A team's own activity need not heartbeat, and need not bear being run twice unless it says so.
  const own = step.verb === 'ownActivity';
  // A bake whose worker was lost is measured for its whole time all the same, also when that was shortly before its end.
  const again = step.verb === 'analyse' ? startToClose : 0;
  const attempts = step.attempts ?? (own ? 1 : stage !== null && FROZEN.includes(stage) ? undefined : CALM_ATTEMPTS);
  return {
    taskQueue: step.place,
    summary: step.id,
    startToCloseTimeout: startToClose,
    ...(own ? {} : { heartbeatTimeout: limits.heartbeatMs }),
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    // Temporal does not retry a schedule-to-start time-out, so undos have none (their queue is pinged beside them);
    // the control queue has none because without control workers this workflow does not run either.
    ...(options.undo || step.place === CONTROL_QUEUE ? {} : { scheduleToStartTimeout: forWorker }),
    ...(options.undo ? {} : { scheduleToCloseTimeout: startToClose + again + forWorker }),
    retry: {
      initialInterval: limits.firstRetryMs,
      backoffCoefficient: 2,
      maximumInterval: limits.maxRetryMs,
      ...(options.undo || attempts === undefined ? {} : { maximumAttempts: attempts }),
    },
  };
}

/**
 * Steps with an effect; the write probe, which writes; the catch-up, which may start a fenced target read-only; and the
 * wait for a workload, which asks it once more to be active.
 */
function needsToken(step: Pick<Step, 'verb' | 'effect'>): boolean {
  return step.effect !== 'none' || ['verifyWritable', 'awaitCatchUp', 'scaleWorkload'].includes(step.verb);
}

/** What a step's activity is called with. */
export function callFor(
  run: Run,
  step: Pick<Step, 'id' | 'summary' | 'verb' | 'component' | 'region' | 'place' | 'nodes' | 'input' | 'effect'>,
  given: Record<string, Json>,
): StepCall {
  const plan = run.plan!;
  return {
    run: {
      workflowId: run.record.workflowId,
      runId: run.record.runId,
      service: run.record.service,
      by: plan.request.by ?? null,
    },
    step: { id: step.id, summary: step.summary },
    component: step.component === null ? null : (plan.components[step.component] ?? null),
    region: step.region,
    nodes: step.nodes ?? null,
    input: step.input,
    given,
    token: needsToken(step) ? run.tokens.next(step, run.stores) : null,
    from: plan.from,
    to: plan.to,
    mode: plan.mode,
    related: related(run, step),
    overrides: [
      ...run.overrides,
      ...(step.component !== null && run.weakFenceAccepted.has(step.component) ? ['weakFence'] : []),
    ],
    deadline: run.freeze.deadline,
  };
}

/** A weight depends on workloads and stores, a bake on its checks: the activity looks at them itself (I5). */
function related(run: Run, step: Pick<Step, 'verb' | 'input'>): Component[] {
  const all = Object.values(run.plan!.components);
  if (step.verb === 'setWeights') return all.filter((c) => c.role === 'workload' || c.role === 'store');
  if (step.verb !== 'analyse') return [];
  const names = (step.input.checks as string[] | undefined) ?? [];
  return all.filter((c) => names.includes(c.name));
}

/** Receipts of earlier steps by the names the activity knows them by; `null` where there is none. */
export function given(run: Run, needs: Record<string, string> | undefined): Record<string, Json> {
  return Object.fromEntries(
    Object.entries(needs ?? {}).map(([name, id]) => [name, (run.receipts.get(id) as unknown as Json) ?? null]),
  );
}

/** Schedules a verb of Rampart's own, or a team's own activity or child workflow, and waits for its receipt. */
export async function schedule(verb: string, call: StepCall, options: ActivityOptions): Promise<Receipt> {
  if (verb === 'ownWorkflow') return ownWorkflow(call, options);
  const name = verb === 'ownActivity' ? String(call.input.activity) : activityName(verb);
  const proxy = proxyActivities<Record<string, Activity>>(options);
  const result = await proxy[name]!(call);
  return verb === 'ownActivity' ? ownReceipt(call, result as unknown as Json) : result;
}

/** Steps that share their verb's name with a planning activity have their own activity. */
function activityName(verb: string): string {
  if (verb === 'observeStore') return 'finalObservation';
  return verb === 'preflightStore' ? 'preflightStep' : verb;
}

async function ownWorkflow(call: StepCall, options: ActivityOptions): Promise<Receipt> {
  const result = await executeChild(String(call.input.workflow), {
    args: [{ ...(call.input.input as object), run: call.run, from: call.from, to: call.to, step: call.step.id }],
    // One child per step of a run: a repeated scheduling meets the first one's result or is refused by its id.
    workflowId: `${workflowInfo().workflowId}/${call.run.runId}/${call.step.id}`,
    taskQueue: options.taskQueue!,
    workflowExecutionTimeout: options.startToCloseTimeout!,
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    staticSummary: call.step.summary,
  });
  return ownReceipt(call, result as Json);
}

/** A team's own step may return anything; people see it in the record, cut to a readable size. */
function ownReceipt(call: StepCall, result: Json): Receipt {
  const text = JSON.stringify(result ?? null);
  return {
    already: false,
    at: Date.now(),
    summary: `${call.step.summary}: done`,
    facts: { result: text.length > 2_000 ? `${text.slice(0, 2_000)}…` : (result ?? null) },
  };
}
