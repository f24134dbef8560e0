/**
 * A drill: a planned failover, a time on the other side, and the way back, under the service's lock from beginning to
 * end, so that nothing can slip in between. Each leg is a run with its own plan, undos and point of no return. What
 * goes wrong is never undone blindly: a drill that cannot go back says so and leaves the decision to people.
 */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  defineQuery,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { DrillActivities } from '../activities/contract.ts';
import type { Assertion, AssertionRecord, DrillRecord, RunRecord } from '../evidence/record.ts';
import type { Action, Request } from '../plan/model.ts';
import { CONTROL_QUEUE } from './contract.ts';
import { type Dwelt, dwell } from './drill/dwell.ts';
import { type DrillRequest, readDrill } from './drill/request.ts';
import { shortcomings } from './drill/verdict.ts';
import { countDrill } from './run/counted.ts';
import { execute } from './run/engine.ts';
import { causeOf, RefusedRun } from './run/errors.ts';
import { registerMessages } from './run/messages.ts';
import { showProgress } from './run/progress.ts';
import { Run } from './run/state.ts';

const control = proxyActivities<DrillActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '20s',
  retry: { initialInterval: 500, maximumInterval: 5_000, maximumAttempts: 10 },
});

/** Plays a drill. Input: {"service":"checkout","to":"eu-central","dwellMs":1800000} */
export async function drill(input: unknown): Promise<DrillRecord> {
  const request = readDrill(input);
  const record = begin(request);
  setHandler(defineQuery<DrillRecord>('drill'), () => record, {
    description: 'The drill so far: its legs, the time on the other side, the verdict',
  });
  await play(request, record);
  record.endedAt = Date.now();
  countDrill(record);
  await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  return ended(record);
}

function begin({ service, name, to, by, reason }: DrillRequest): DrillRecord {
  const { workflowId, firstExecutionRunId: runId } = workflowInfo();
  const startedAt = Date.now();
  const empty = { endedAt: null, legs: [], dwell: null, verdict: null, text: '', reasons: [], assertions: [] };
  return { version: 1, workflowId, runId, service, name, from: null, to, by, reason, startedAt, ...empty };
}

async function play(request: DrillRequest, record: DrillRecord): Promise<void> {
  const there = leg(request, record, 'failover', request.to, null);
  if (request.approvals === 'auto') there.covered = 'a drill whose policy asks nobody';
  const why = await run(there);
  record.from = there.record.from;
  if (why !== null) return close(record, 'refused', why);
  if (wasEscalated(there))
    return close(
      record,
      'escalated',
      `${there.record.text} It was made the real thing on its way there: nothing goes back by itself.`,
    );
  const { outcome } = there.record;
  if (outcome === 'withdrawn') return close(record, 'withdrawn', there.record.text);
  if (outcome === 'nothingToDo') return close(record, 'refused', `${there.record.text} There is nothing to rehearse.`);
  const stopped = outcome !== 'completed';
  if (stopped && !there.pastPointOfNoReturn) return close(record, 'failed', `the way there: ${there.record.text}`);
  if (stopped && !wasAborted(there))
    return close(record, 'failed', `the way there needs people, and nothing goes back by itself: ${there.record.text}`);

  const from = there.record.from!;
  const goBack = (after: Run): Run =>
    leg(request, record, from === there.resolved!.service.home ? 'failback' : 'failover', from, after);
  let back: Run;
  if (stopped) {
    record.reasons.push(`the way there was stopped: ${there.record.text}`);
    const repair = leg(request, record, 'reprotect', request.to, there);
    if (!(await repaired(repair)))
      return close(record, 'failed', 'the old side could not be made to follow again: going back would lose writes');
    back = goBack(repair);
  } else {
    // Made before the time on the other side, because it takes people's words meanwhile.
    back = goBack(there);
    back.resolved = there.resolved;
    const { record: time, word, trouble } = await stay(back, there, request);
    record.dwell = time;
    if (word?.kind === 'escalate') {
      // It took words, and never ran.
      record.legs.pop();
      return close(
        record,
        'escalated',
        `escalate by ${word.by} on the other side: ${word.reason}. ${request.to} is active and stays so.`,
      );
    }
    if (word !== null) record.reasons.push(`${word.kind} by ${word.by} on the other side: ${word.reason}`);
    if (trouble !== null) record.reasons.push(trouble);
  }
  back.covered = coverOf(there) ?? there.covered;
  const refused = await run(back);
  if (refused !== null) return close(record, 'failed', `it cannot go back: ${refused} ${request.to} stays active.`);
  if (wasEscalated(back))
    return close(record, 'escalated', `${back.record.text} It was made the real thing on its way back.`);
  if (back.record.outcome !== 'completed') return close(record, 'failed', `the way back: ${back.record.text}`);
  await judge(request, record);
}

/** Cancelling the workflow on the other side means: go back now. */
async function stay(back: Run, there: Run, request: DrillRequest): Promise<Dwelt> {
  const scope = CancellationScope.current();
  scope.cancelRequested.catch(() =>
    back.raise({ kind: 'abort', by: 'temporal', reason: 'the workflow was cancelled' }),
  );
  return CancellationScope.nonCancellable(() => dwell(back, there, request));
}

/** A leg takes people's words from the moment it is made. */
function leg(request: DrillRequest, record: DrillRecord, action: Action, to: string, after: Run | null): Run {
  const { service, by, reason } = request;
  const asked: Request = {
    action,
    service,
    to,
    mode: 'planned',
    reason: reason ?? `drill ${request.name ?? 'by hand'}`,
    ...(by === null ? {} : { by }),
  };
  const made = new Run(action, asked, `leg${record.legs.length + 1}.`);
  if (after !== null) made.tokens.continueAfter(after.tokens);
  record.legs.push(made.record);
  registerMessages(made);
  return made;
}

/** @returns why it was refused before it did anything; `null` when it ran */
async function run(one: Run): Promise<string | null> {
  const { action, service, to, mode, reason, by } = one.record.request;
  // It may have been made long before, to take people's words.
  one.record.startedAt = Date.now();
  one.record.text = '';
  const input = {
    service,
    to,
    reason,
    ...(by === undefined ? {} : { by }),
    ...(action === 'reprotect' ? {} : { mode }),
  };
  try {
    await execute(one, { input, workflowType: action, workflowId: workflowInfo().workflowId });
    return null;
  } catch (error) {
    if (!(error instanceof RefusedRun)) throw error;
    one.close('refused', error.message);
    showProgress(one);
    return error.message;
  }
}

/** After a way there that was stopped past its point of no return: the old side follows the new one again. */
async function repaired(repair: Run): Promise<boolean> {
  if ((await run(repair)) !== null) return false;
  return repair.record.outcome === 'completed' || repair.record.outcome === 'nothingToDo';
}

const wasEscalated = ({ record }: Run): boolean => record.plans.some(({ mode }) => mode === 'unplanned');
const wasAborted = ({ record }: Run): boolean =>
  record.messages.some(({ verb, applied }) => verb === 'abort' && applied) || /^abort by /.test(record.text);

/** Who approved the way there has seen the whole drill. */
function coverOf({ record }: Run): string | null {
  const said = record.decisions.filter(
    ({ gate, decision }) => gate.startsWith('leg1.cutover') && decision === 'approve',
  );
  return said.length === 0
    ? null
    : `covered by the approval of the way there (${[...new Set(said.map(({ by }) => by))].join(', ')})`;
}

async function judge(request: DrillRequest, record: DrillRecord): Promise<void> {
  record.reasons.push(...shortcomings(record, request.dwellMs));
  // What the service asserts of any such run counts in a rehearsal of it as well.
  const [there, back] = [record.legs[0]!, record.legs.at(-1)!];
  record.assertions = await judged([...request.assertions, ...(there.asserted ?? [])], whole(record), record);
  if (back.asserted !== undefined) back.assertions = await judged(back.asserted, back, record);
  const { from, to, reasons } = record;
  if (reasons.length === 0)
    return close(record, 'passed', `${record.service} went to ${to}, stayed there and is back in ${from}.`);
  close(record, 'failed', `${record.service} is back in ${from}, and the drill has not passed: ${reasons.join('; ')}`);
}

/** Judges assertions by a record, and says of the drill what did not hold. */
async function judged(assertions: Assertion[], by: RunRecord, drill: DrillRecord): Promise<AssertionRecord[]> {
  if (assertions.length === 0) return [];
  try {
    const results = await CancellationScope.nonCancellable(() => control.judgeDrill({ assertions, record: by }));
    for (const { name, met, note, severity } of results)
      if (met !== true && severity === 'fail')
        drill.reasons.push(`assertion "${name}" is ${met === null ? 'not known to hold' : 'not met'}: ${note}`);
    return results;
  } catch (error) {
    // What has been done stays told, whatever becomes of its judgement.
    drill.reasons.push(`the assertions could not be judged: ${causeOf(error).message}`);
    return [];
  }
}

/** What assertions are about: the way there, with what the drill knows besides. */
function whole(record: DrillRecord): RunRecord {
  const [there] = record.legs as [RunRecord];
  const back = record.legs.at(-1)!;
  const failback = {
    workflowId: back.workflowId,
    runId: back.runId,
    startedAt: back.startedAt,
    endedAt: back.endedAt,
    outcome: back.outcome,
  };
  return { ...there, dwell: record.dwell, failback };
}

function close(record: DrillRecord, verdict: NonNullable<DrillRecord['verdict']>, text: string): void {
  record.verdict = verdict;
  record.text = text;
}

/** A drill that has not passed is a workflow that has failed: pipelines and lists see it without reading anything. */
function ended(record: DrillRecord): DrillRecord {
  switch (record.verdict) {
    case 'passed':
      return record;
    case 'withdrawn':
      throw new CancelledFailure(record.text, [record]);
    case 'refused':
      throw ApplicationFailure.nonRetryable(record.text, 'Refused', record);
    case 'escalated':
      throw ApplicationFailure.nonRetryable(record.text, 'Escalated', record);
    default:
      throw ApplicationFailure.nonRetryable(record.text, 'DrillFailed', record);
  }
}
