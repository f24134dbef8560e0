/**
 * Watches a service, or regions, by probes from several vantage points, for as long as the topology has it. What one of
 * them sees is its own view; what is so is decided by a vote, and told to triggers like the alert of any other source.
 * It changes nothing and takes no lock.
 */
import { ApplicationFailure } from '@temporalio/common';
import {
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  isCancellation,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { Watched, WatchingActivities } from '../activities/contract.ts';
import { CONTROL_QUEUE, type WatchStatus, watchOf } from './contract.ts';
import { causeOf } from './run/errors.ts';
import { watchFrom } from './watch/points.ts';
import { showWatch } from './watch/show.ts';
import { type WatchInput, WatchState } from './watch/state.ts';

/** After something that another try at once would not mend, in milliseconds. */
const PAUSE_MS = 30_000;

const control = proxyActivities<WatchingActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '30s',
  retry: { initialInterval: 1_000, maximumInterval: 30_000 },
});

/** Triggers and people that cannot be told must not keep the watch from watching. */
const teller = proxyActivities<WatchingActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '20s',
  scheduleToCloseTimeout: '60s',
  retry: { initialInterval: 1_000, maximumAttempts: 5 },
});

/** Watches until the topology has the watch no more. Input: {"watch":"checkout"} */
export async function watch(input: WatchInput): Promise<string> {
  const state = new WatchState(input);
  setHandler(defineQuery<WatchStatus>('status'), () => state.status(), {
    description: 'What the vantage points see, what was decided by vote, and of what nothing can be told',
  });
  setHandler(
    defineSignal('edited'),
    () => {
      state.edited = true;
    },
    { description: 'The topology may say something else: it is read anew' },
  );
  if (workflowInfo().workflowId !== watchOf(state.name))
    throw ApplicationFailure.nonRetryable(
      `the watch ${state.name} has the workflow ID ${watchOf(state.name)}: control workers keep it running`,
      'InvalidInput',
    );
  for (;;) {
    state.edited = false;
    const watched = await resolve(state);
    if (watched === null) return end(state);
    const more = await watchWhile(state, watched);
    if (!more) return continueAsNew<typeof watch>(state.carry());
  }
}

async function resolve(state: WatchState): Promise<(Watched & { searchAttributes: string[] }) | null> {
  for (;;) {
    try {
      return await control.resolveWatch({ watch: state.name });
    } catch (error) {
      if (isCancellation(error)) throw error;
      state.note(`the topology cannot be read: ${causeOf(error).message}`);
      await sleep(PAUSE_MS);
    }
  }
}

/** @returns true when the topology may say something else, false when this history is long enough */
async function watchWhile(state: WatchState, resolved: Watched & { searchAttributes: string[] }): Promise<boolean> {
  const { searchAttributes, ...watched } = resolved;
  state.resolve(watched);
  state.text = 'watching';
  const scope = new CancellationScope();
  const broken: unknown[] = [];
  const points = scope.run(() =>
    Promise.all(
      watched.watch.from.map((point) =>
        watchFrom(state, watched, point).catch((error: unknown) => {
          if (!isCancellation(error)) broken.push(error);
        }),
      ),
    ),
  );
  try {
    for (;;) {
      state.judge();
      showWatch(state, searchAttributes);
      const again = await tell(state);
      if (state.edited) return true;
      if (workflowInfo().continueAsNewSuggested) return false;
      const times = [again, state.nextAt()].filter((at) => at !== null);
      const wake = (): boolean => state.dirty || state.edited || broken.length > 0;
      if (times.length === 0) await condition(wake);
      else await condition(wake, Math.max(Math.min(...times) - Date.now(), 1));
      if (broken.length > 0) throw broken[0];
    }
  } finally {
    scope.cancel();
    await points;
  }
}

/** @returns when to try again what triggers could not be told; `null` = they know all */
async function tell(state: WatchState): Promise<number | null> {
  let again: number | null = null;
  const alerts = state.outbox;
  if (alerts.length > 0)
    try {
      await teller.tellTriggers({ alerts });
      // What came meanwhile is told with the next.
      state.outbox = state.outbox.filter((one) => !alerts.includes(one));
    } catch (error) {
      if (isCancellation(error)) throw error;
      state.note(`triggers could not be told: ${causeOf(error).message}`);
      again = Date.now() + PAUSE_MS;
    }
  for (const { region, state: word, text } of state.toTell()) {
    state.told(region, word);
    try {
      await teller.tellOfWatch({ watch: state.name, service: state.last?.service ?? '', state: word, text });
    } catch (error) {
      if (isCancellation(error)) throw error;
      state.note(`people could not be told: ${causeOf(error).message}`);
    }
  }
  return again;
}

/** What it has told as wrong nobody looks at any more; a trigger must not believe it for ever. */
async function end(state: WatchState): Promise<string> {
  if (state.last !== null) state.letGo(state.last, () => true);
  for (;;) {
    const again = await tell(state);
    if (again === null) return 'the topology has no such watch';
    await sleep(PAUSE_MS);
  }
}
