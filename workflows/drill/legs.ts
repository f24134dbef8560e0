/** The legs of a drill: runs of their own, one after the other under one lock, and the time between them. */
import { CancellationScope, proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { DrillActivities } from '../../activities/contract.ts';
import type { Assertion, AssertionRecord, DrillRecord, RunRecord } from '../../evidence/record.ts';
import type { Action, Request } from '../../plan/model.ts';
import { CONTROL_QUEUE } from '../contract.ts';
import { execute } from '../run/engine.ts';
import { causeOf, RefusedRun } from '../run/errors.ts';
import { registerMessages } from '../run/messages.ts';
import { showProgress } from '../run/progress.ts';
import { Run, type Teller } from '../run/state.ts';
import { type Dwelt, dwell } from './dwell.ts';
import { close } from './record.ts';
import type { DrillRequest } from './request.ts';
import { shortcomings } from './verdict.ts';

const control = proxyActivities<DrillActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '20s',
  retry: { initialInterval: 500, maximumInterval: 5_000, maximumAttempts: 10 },
});

/** The legs themselves, by the record of their drill. */
const runsOf = new WeakMap<DrillRecord, Run[]>();

/** Whoever tells people of a drill: one for all of its legs, known once the first has read the topology. */
const tellerOf = (record: DrillRecord): Teller | null =>
  (runsOf.get(record) ?? []).find(({ news }) => news !== null)?.news ?? null;

/** Tells how the drill has ended, and waits for what people are still being told. */
export async function tellEnd(record: DrillRecord): Promise<void> {
  const news = tellerOf(record);
  if (news === null) return;
  if (record.verdict === 'escalated') news.tell('run-escalated', record.text, 'error');
  if (record.verdict === 'passed') news.tell('drill-passed', record.text);
  if (record.verdict === 'failed') news.tell('drill-failed', record.text);
  await news.end();
}

type More = Pick<Request, 'from' | 'percent' | 'ramp'>;

/**
 * A leg takes people's words from the moment it is made.
 * @param after the leg before it, whose tokens its own go on from
 */
export function leg(
  request: DrillRequest,
  record: DrillRecord,
  action: Action,
  to: string,
  after: Run | null,
  more: More = {},
): Run {
  const { service, by, reason } = request;
  const asked: Request = {
    action,
    service,
    to,
    mode: 'planned',
    reason: reason ?? `drill ${request.name ?? 'by hand'}`,
    ...(by === null ? {} : { by }),
    ...more,
  };
  const made = new Run(action, asked, `leg${record.legs.length + 1}.`);
  if (after !== null) made.tokens.continueAfter(after.tokens);
  made.news = tellerOf(record);
  runsOf.set(record, [...(runsOf.get(record) ?? []), made]);
  record.legs.push(made.record);
  registerMessages(made);
  return made;
}

/**
 * @param first nothing has been rehearsed yet: it is not begun while the service is halted
 * @returns why it was refused before it did anything; `null` when it ran
 */
export async function runLeg(one: Run, first = false): Promise<string | null> {
  const { action, mode, ...asked } = one.record.request;
  // It may have been made long before, to take people's words.
  one.record.startedAt = Date.now();
  one.record.text = '';
  const input = { ...asked, ...(action === 'failover' || action === 'failback' ? { mode } : {}) };
  try {
    const raw = { input, workflowType: action, workflowId: workflowInfo().workflowId };
    await execute(one, first ? { ...raw, drill: true } : raw);
    return null;
  } catch (error) {
    if (!(error instanceof RefusedRun)) throw error;
    one.close('refused', error.message);
    showProgress(one);
    return error.message;
  }
}

/** Cancelling the workflow on the other side means: go back now. */
export async function stay(back: Run, there: Run, request: DrillRequest, behind: string): Promise<Dwelt> {
  const scope = CancellationScope.current();
  scope.cancelRequested.catch(() =>
    back.raise({ kind: 'abort', by: 'temporal', reason: 'the workflow was cancelled' }),
  );
  return CancellationScope.nonCancellable(() => dwell(back, there, request, behind));
}

export const wasEscalated = ({ record }: Run): boolean => record.plans.some(({ mode }) => mode === 'unplanned');
export const wasAborted = ({ record }: Run): boolean =>
  record.messages.some(({ verb, applied }) => verb === 'abort' && applied) || /^abort by /.test(record.text);

/** Who approved the way there has seen the whole drill. */
export function coverOf({ record }: Run): string | null {
  const said = record.decisions.filter(
    ({ gate, decision }) => gate.startsWith('leg1.cutover') && decision === 'approve',
  );
  return said.length === 0
    ? null
    : `covered by the approval of the way there (${[...new Set(said.map(({ by }) => by))].join(', ')})`;
}

/** Both ways went through: whether it has passed. */
export async function judge(request: DrillRequest, record: DrillRecord, passed: string): Promise<void> {
  record.reasons.push(...shortcomings(record, request.dwellMs));
  // What the service asserts of any such run counts in a rehearsal of it as well.
  const [there, back] = [record.legs[0]!, record.legs.at(-1)!];
  const about = ({ action }: RunRecord) => request.assertions.filter(({ actions }) => actions?.includes(action));
  const unnamed = request.assertions.filter(({ actions }) => actions === undefined);
  record.assertions = await judged([...unnamed, ...about(there), ...(there.asserted ?? [])], whole(record), record);
  const ofBack = back.action === there.action ? [] : about(back);
  if (ofBack.length > 0 || back.asserted !== undefined)
    back.assertions = await judged([...ofBack, ...(back.asserted ?? [])], back, record);
  const { from, service, reasons } = record;
  if (reasons.length === 0) return close(record, 'passed', passed);
  close(record, 'failed', `${service} is back in ${from}, and the drill has not passed: ${reasons.join('; ')}`);
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
