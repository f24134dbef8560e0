/**
 * Small workflows that each use one corner of Temporal; the calibration runs them here and on the real server.
 * They return what they saw, failures in full, so that results compare.
 */
import { ApplicationFailure, defineSearchAttributeKey } from '@temporalio/common';
import * as wf from '@temporalio/workflow';

type Activities = Record<'work' | 'other' | 'undo', (input?: unknown) => Promise<unknown>>;

/** The SDK's own default is `TRY_CANCEL`, whatever its documentation says: the enum's zero. */
const WAIT = wf.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED;
const FAST_RETRY = { initialInterval: 50, maximumAttempts: 3 };

export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const facts = error as unknown as Record<string, unknown>;
  const known = [
    'retryState',
    'timeoutType',
    'type',
    'nonRetryable',
    'lastHeartbeatDetails',
    'details',
    'activityType',
  ];
  const shown = known.filter((key) => facts[key] !== undefined).map((key) => `${key}=${JSON.stringify(facts[key])}`);
  const own = `${error.name}(${shown.join(' ')}): ${error.message}`;
  return error.cause ? `${own} <- ${describeError(error.cause)}` : own;
}

async function outcome(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise;
  } catch (error) {
    return describeError(error);
  }
}

/** One activity under the given options; what came of it. */
export async function oneActivity(options: wf.ActivityOptions): Promise<unknown> {
  const { work } = wf.proxyActivities<Activities>({ retry: FAST_RETRY, cancellationType: WAIT, ...options });
  return await outcome(work('input'));
}

/** Breaks the first rule on purpose: a replay asks for something else than the first time. */
export async function wavering(): Promise<void> {
  await wf.sleep(wf.workflowInfo().unsafe.isReplaying ? 2_000 : 1_000);
}

/** As `oneActivity`, but a failure fails the workflow. */
export async function strictActivity(options: wf.ActivityOptions): Promise<unknown> {
  return await wf.proxyActivities<Activities>({ retry: FAST_RETRY, cancellationType: WAIT, ...options }).work('input');
}

export async function localActivity(options: wf.LocalActivityOptions): Promise<unknown> {
  const { work } = wf.proxyLocalActivities<Activities>({ retry: FAST_RETRY, cancellationType: WAIT, ...options });
  return await outcome(work('input'));
}

/** A local activity beside an ordinary one: the ordinary one is sent when the workflow task completes. */
export async function localBesideOrdinary(): Promise<unknown> {
  const local = wf.proxyLocalActivities<Activities>({ startToCloseTimeout: 5_000 });
  const { other } = wf.proxyActivities<Activities>({ startToCloseTimeout: 5_000 });
  return await Promise.all([outcome(local.work()), outcome(other())]);
}

/** Cancelling the workflow while the activity runs, then compensating out of cancellation's reach. */
export async function cancelled(options: wf.ActivityOptions): Promise<unknown> {
  const { work } = wf.proxyActivities<Activities>({ retry: FAST_RETRY, cancellationType: WAIT, ...options });
  const { undo } = wf.proxyActivities<Activities>({ startToCloseTimeout: 5_000 });
  const seen = await outcome(work('input'));
  const undone = await wf.CancellationScope.nonCancellable(() => outcome(undo(seen)));
  return { seen, undone, cancelRequested: wf.CancellationScope.current().consideredCancelled };
}

/** The activity itself is out of cancellation's reach. */
export async function shielded(options: wf.ActivityOptions): Promise<unknown> {
  const { work, other } = wf.proxyActivities<Activities>({ retry: FAST_RETRY, cancellationType: WAIT, ...options });
  const first = await wf.CancellationScope.nonCancellable(() => outcome(work('input')));
  return { first, second: await outcome(other('input')) };
}

/** An undo that can be stopped by a message, inside a scope that the workflow's cancellation does not reach. */
export async function stoppableUndo(): Promise<unknown> {
  const { undo } = wf.proxyActivities<Activities>({
    startToCloseTimeout: 60_000,
    heartbeatTimeout: 1_000,
    cancellationType: WAIT,
  });
  const inner = await wf.CancellationScope.nonCancellable(async () => {
    const scope = new wf.CancellationScope();
    wf.setHandler(wf.defineSignal('stop'), () => scope.cancel());
    return await outcome(scope.run(() => undo()));
  });
  return { inner };
}

export async function cancelBeforeSent(): Promise<unknown> {
  const scope = new wf.CancellationScope();
  const { work, other } = wf.proxyActivities<Activities>({ startToCloseTimeout: 5_000 });
  const seen = scope.run(() => Promise.all([outcome(work()), outcome(wf.sleep(50))]));
  scope.cancel();
  return [await seen, await outcome(other())];
}

export async function boundedScope(options: wf.ActivityOptions): Promise<unknown> {
  const { work, other } = wf.proxyActivities<Activities>({ cancellationType: WAIT, ...options });
  const seen = await outcome(wf.CancellationScope.withTimeout(300, () => work('input')));
  return [seen, await outcome(other())];
}

/** Two in parallel; when one fails the other is cancelled. */
export async function parallel(options: wf.ActivityOptions): Promise<unknown> {
  const { work, other } = wf.proxyActivities<Activities>({
    retry: { maximumAttempts: 1 },
    cancellationType: WAIT,
    ...options,
  });
  const scope = new wf.CancellationScope();
  return await scope.run(async () => {
    const both = [outcome(work()), outcome(other())].map((each) =>
      each.then((seen) => {
        if (String(seen).startsWith('ActivityFailure')) scope.cancel();
        return seen;
      }),
    );
    return await Promise.all(both);
  });
}

export async function conditionTimeout(): Promise<unknown> {
  let open = false;
  wf.setHandler(wf.defineSignal('open'), () => {
    open = true;
  });
  return await wf.condition(() => open, 500, { summary: 'waiting' });
}

/** Signals arriving before their handler is there are kept for it. */
export async function lateHandler(): Promise<unknown> {
  const got: unknown[] = [];
  await wf.sleep(300);
  wf.setHandler(wf.defineSignal<[unknown]>('note'), (value) => {
    got.push(value);
  });
  await wf.sleep(50);
  return got;
}

export async function updates(): Promise<unknown> {
  const got: unknown[] = [];
  const { work } = wf.proxyActivities<Activities>({ startToCloseTimeout: 5_000 });
  wf.setHandler(
    wf.defineUpdate<unknown, [{ value: number }]>('set'),
    async ({ value }) => {
      got.push(value);
      if (value === 13) throw ApplicationFailure.nonRetryable('not thirteen', 'Unlucky');
      if (value === 2) await work(value);
      return value * 2;
    },
    {
      validator: (input) => {
        if (typeof input?.value !== 'number') throw new Error('value must be a number');
      },
    },
  );
  let done = false;
  wf.setHandler(wf.defineSignal('done'), () => {
    done = true;
  });
  await wf.condition(() => done);
  return got;
}

export async function counter(from: number): Promise<unknown> {
  const { work } = wf.proxyActivities<Activities>({ startToCloseTimeout: 5_000 });
  await work(from);
  if (from < 2) await wf.continueAsNew<typeof counter>(from + 1);
  return `done at ${from}`;
}

export interface ParentInput {
  type: string;
  args: unknown[];
  options?: wf.ChildWorkflowOptions;
  /** Before it starts the child, start another with the same id and leave it running. */
  twice?: boolean;
}

export async function parent({ type, args, options, twice }: ParentInput): Promise<unknown> {
  const workflowId = `${wf.workflowInfo().workflowId}/child`;
  if (twice) await wf.startChild(type, { args, ...options, workflowId, parentClosePolicy: 'ABANDON' });
  return await outcome(wf.executeChild(type, { args, ...options, workflowId }));
}

export async function parentCancelsChild(input: ParentInput): Promise<unknown> {
  const scope = new wf.CancellationScope();
  const workflowId = `${wf.workflowInfo().workflowId}/child`;
  const seen = scope.run(() =>
    outcome(wf.executeChild(input.type, { args: input.args, ...input.options, workflowId })),
  );
  await wf.sleep(500);
  scope.cancel();
  const told = await seen;
  await wf.sleep(2_500);
  return told;
}

export async function failing(): Promise<never> {
  await wf.sleep(10);
  throw ApplicationFailure.create({ message: 'broken', type: 'Broken', nonRetryable: true, details: [{ why: 1 }] });
}

export async function quick(): Promise<string> {
  await wf.sleep(10);
  return 'quick';
}

export async function patient(ms: number): Promise<unknown> {
  try {
    await wf.sleep(ms);
    return 'slept';
  } catch (error) {
    if (!wf.isCancellation(error)) throw error;
    await wf.CancellationScope.nonCancellable(() => wf.sleep(50));
    throw error;
  }
}

/** Which of several timers fires first, second, … */
export async function inOrder(lengths: number[]): Promise<unknown> {
  const fired: number[] = [];
  await Promise.all(lengths.map((ms) => wf.sleep(ms).then(() => fired.push(ms))));
  return fired;
}

export async function messagesToOthers(): Promise<unknown> {
  const id = `${wf.workflowInfo().workflowId}/child`;
  const missing = wf.getExternalWorkflowHandle('nobody/at-home');
  const seen = [await outcome(missing.signal('note', 1)), await outcome(missing.cancel())];
  const child = await wf.startChild('conditionTimeout', { args: [], workflowId: id });
  const external = wf.getExternalWorkflowHandle(id);
  seen.push(await outcome(external.signal('open')), await outcome(child.result()));
  return seen;
}

const area = defineSearchAttributeKey('RampartService', 'KEYWORD');

export async function attributes(): Promise<unknown> {
  wf.upsertSearchAttributes([{ key: area, value: 'checkout' }]);
  wf.upsertMemo({ note: 'kept' });
  const patched = wf.patched('sample-patch');
  await wf.sleep(10);
  wf.setCurrentDetails('**checkout** is fine');
  return { patched, area: wf.workflowInfo().typedSearchAttributes.get(area), memo: wf.workflowInfo().memo };
}

/** What of its own notes a run hands to the one that continues it: by itself, and of what it is told to. */
export async function handsOver(memo?: Record<string, unknown>, next = false): Promise<unknown> {
  const info = wf.workflowInfo();
  if (next) return { memo: Object.entries(info.memo ?? {}).sort(), area: info.typedSearchAttributes.get(area) ?? null };
  wf.upsertSearchAttributes([{ key: area, value: 'checkout' }]);
  wf.upsertMemo({ both: 'of the run', own: 'of the run' });
  return wf.makeContinueAsNewFunc<typeof handsOver>({ memo })(memo, true);
}
