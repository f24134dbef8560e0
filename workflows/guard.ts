/**
 * Watches one service for as long as the topology has it. The work is one long activity that returns only when there
 * is something new; between two of them the workers beside the databases read what only they can see. It changes
 * nothing and takes no lock: it tells people, and where the policy says so it starts `refence`, which has the lock.
 */
import { ApplicationFailure } from '@temporalio/common';
import {
  ActivityCancellationType,
  continueAsNew,
  defineQuery,
  isCancellation,
  log,
  patched,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { Guarded, GuardingActivities, WatchServiceAnswer } from '../activities/contract.ts';
import type { NodeObservation } from '../drivers/ports.ts';
import { changes } from '../plan/health/judge.ts';
import { CONTROL_QUEUE, GUARD_QUEUE, type GuardStatus, guardOf } from './contract.ts';
import { considerRefence, untilNextTry } from './guard/refence.ts';
import { showHealth } from './guard/show.ts';
import { type GuardInput, GuardState } from './guard/state.ts';
import { afterFailure, isUntold, NONE_UNTOLD, untilToldAgain, withNews } from './guard/untold.ts';
import { causeOf } from './run/errors.ts';
import { observeStore } from './run/measure.ts';

/** Longest watch, in milliseconds; then what only local workers see is read anew. */
const WATCH_MS = 900_000;
/** After something that another try at once would not mend, in milliseconds. */
const PAUSE_MS = 60_000;

const control = proxyActivities<GuardingActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '30s',
  retry: { initialInterval: 1_000, maximumInterval: 30_000 },
});

/** A killed worker is noticed by its heartbeats; the next one goes on from what they carried. */
const watcher = proxyActivities<GuardingActivities>({
  taskQueue: GUARD_QUEUE,
  summary: 'watch the service',
  startToCloseTimeout: WATCH_MS + 120_000,
  heartbeatTimeout: '30s',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: 1_000, maximumInterval: 30_000 },
});

/** People that cannot be told must not keep the guard from watching. */
const teller = proxyActivities<GuardingActivities>({
  taskQueue: CONTROL_QUEUE,
  summary: 'tell people',
  startToCloseTimeout: '20s',
  scheduleToCloseTimeout: '60s',
  retry: { initialInterval: 1_000, maximumAttempts: 3 },
});

/** One try: the next comes by itself, and the guard watches nothing meanwhile. */
const again = proxyActivities<GuardingActivities>({
  taskQueue: CONTROL_QUEUE,
  summary: 'tell people again',
  startToCloseTimeout: '20s',
  scheduleToCloseTimeout: '25s',
  retry: { maximumAttempts: 1 },
});

/** Guards a service until the topology no longer has it, or wants no guard. Input: {"service":"checkout"} */
export async function guard(input: GuardInput): Promise<string> {
  const state = new GuardState(input);
  setHandler(defineQuery<GuardStatus>('health'), () => state.status(), {
    description: 'What the guard saw last: findings, lag, weights, the last proof',
  });
  if (workflowInfo().workflowId !== guardOf(state.service))
    throw ApplicationFailure.nonRetryable(
      `the guard of ${state.service} has the workflow ID ${guardOf(state.service)}: control workers keep it running`,
      'InvalidInput',
    );
  for (let guarded = await resolve(state); ; ) {
    if (guarded === null) return state.end('the topology has no such service, or wants no guard for it');
    // Also after an edit: the policy may have changed while an old primary is back.
    if (guarded !== 'failed') await considerRefence(state, guarded);
    const answer = guarded === 'failed' ? null : await watch(state, guarded);
    const news = answer !== null && guarded !== 'failed' && (await takeIn(state, guarded, answer));
    await tellPeople(state, news);
    if (answer === null) await sleep(PAUSE_MS);
    if (workflowInfo().continueAsNewSuggested) return continueAsNew<typeof guard>(state.carry());
    // The watch itself looks whether the topology still says the same.
    if (answer?.why !== 'changed' && answer?.why !== 'time') guarded = await resolve(state);
  }
}

async function resolve(state: GuardState): Promise<Guarded | null | 'failed'> {
  try {
    return await control.resolveGuarded({ service: state.service });
  } catch (error) {
    if (isCancellation(error)) throw error;
    state.note(`the topology cannot be read: ${causeOf(error).message}`);
    return 'failed';
  }
}

/** @returns `null` when it failed in a way that trying again at once would not mend */
async function watch(state: GuardState, guarded: Guarded): Promise<WatchServiceAnswer | null> {
  const identity = {
    workflowId: workflowInfo().workflowId,
    runId: workflowInfo().runId,
    service: state.service,
    by: null,
  };
  try {
    const stores = Object.values(guarded.components).filter(({ role }) => role === 'store');
    const seen = await Promise.all(stores.map((store) => observeStore(store, identity)));
    const local: Record<string, NodeObservation[]> = Object.fromEntries(stores.map(({ name }, i) => [name, seen[i]!]));
    const { health: shown, memory, untold } = state;
    const forMs = untilToldAgain(untold, Date.now(), untilNextTry(state, WATCH_MS));
    return await watcher.watchService({ guarded, shown, memory, local, forMs });
  } catch (error) {
    if (isCancellation(error)) throw error;
    state.note(`the watch failed: ${causeOf(error).message}`);
    return null;
  }
}

/**
 * The old primary first: every second in which it takes writes makes more of them that nobody will find.
 * @returns whether there is news for people
 */
async function takeIn(state: GuardState, guarded: Guarded, answer: WatchServiceAnswer): Promise<boolean> {
  const { opened, cleared } = changes(state.health, answer.health);
  state.takeIn(answer);
  state.untold = withNews(state.untold, { opened, cleared }, answer.health.at);
  await considerRefence(state, guarded);
  showHealth(state, guarded.searchAttributes);
  return opened.length > 0 || cleared.length > 0;
}

/** What not everybody could be told is told again, after a while or with the next news: a short break loses no word. */
async function tellPeople(state: GuardState, news: boolean): Promise<void> {
  const { opened, cleared, notBefore } = state.untold;
  if (!isUntold(state.untold)) return;
  if (!news && (Date.now() < notBefore || !patched('guard-tells-again'))) return;
  try {
    await (news ? teller : again).tellPeople({ service: state.service, opened, cleared });
    state.untold = NONE_UNTOLD;
  } catch (error) {
    if (isCancellation(error)) throw error;
    state.untold = afterFailure(state.untold, Date.now());
    const text = `people could not be told, it is tried again: ${causeOf(error).message}`;
    state.text = text;
    log.warn(text);
  }
}
