/**
 * What follows when alerts say that something is wrong, for one trigger of the topology. Started by the first alert
 * that matches it, ends when nothing it remembers matters any more. An alert is a hint and not a proof: what it starts
 * is a run like any other, which observes before it plans, and by default waits for people, having changed nothing.
 */
import {
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  isCancellation,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { ResolvedTrigger, TriggerActivities } from '../activities/contract.ts';
import { CONTROL_QUEUE, type TriggerStatus } from './contract.ts';
import { causeOf } from './run/errors.ts';
import { follow, lookAfter } from './trigger/follow.ts';
import { judge, take } from './trigger/judge.ts';
import { alertsIn, type TriggerInput, TriggerState } from './trigger/state.ts';

const control = proxyActivities<TriggerActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '10s',
  retry: { initialInterval: 500, maximumInterval: 10_000 },
});

/** With nothing firing and nothing open it still remembers for a day: the most that any of its limits looks back. */
const REMEMBERS_MS = 24 * 3_600_000;
/** Between two looks at an open run, in milliseconds. */
const LOOK_MS = 30_000;
/** Signals enter the history one by one; a run of the trigger that has had so many hands over to the next. */
const MOST_ALERTS = 2_000;

/** Watches alerts for one trigger. Input: {"trigger":"eu-west-down"} */
export async function trigger(input: TriggerInput): Promise<string> {
  const state = new TriggerState(input);
  let taken = 0;
  // Total: a signal that holds no alerts changes nothing.
  setHandler(defineSignal<[unknown]>('alerts'), (given) => {
    const alerts = alertsIn(given);
    taken += 1;
    state.inbox.push(...alerts);
  });
  setHandler(defineQuery<TriggerStatus>('status'), () => state.status(), {
    description: 'Which alerts fire, what follows from them and when, and the run that it started',
  });
  for (;;) {
    const resolved = await resolve(state);
    if (resolved === null) return 'the topology has no such trigger';
    takeIn(state, resolved);
    const until = await act(state, resolved);
    if (until === null) return 'nothing has fired for a day';
    // A run that is open is told by the next run of this workflow as well: it is known by its ID.
    if (workflowInfo().continueAsNewSuggested || taken >= MOST_ALERTS)
      return continueAsNew<typeof trigger>(state.carry());
    await condition(() => state.inbox.length > 0, Math.max(until - Date.now(), 1));
  }
}

/** Without the topology nothing is judged, and no alert is lost: they wait. */
async function resolve(state: TriggerState): Promise<ResolvedTrigger | null> {
  for (;;) {
    try {
      return await control.resolveTrigger({ trigger: state.name });
    } catch (error) {
      if (isCancellation(error)) throw error;
      state.note(`the topology cannot be read: ${causeOf(error).message}`);
      await condition(() => false, LOOK_MS);
    }
  }
}

function takeIn(state: TriggerState, { trigger: wanted }: ResolvedTrigger): void {
  for (const alert of state.inbox) {
    const { memory, news } = take(state.memory, alert, wanted);
    state.memory = memory;
    if (news) state.note(`${alert.status}: ${alert.key} (${alert.source})`);
  }
  state.inbox = [];
}

/** @returns when to look again; `null` when nothing is left to remember */
async function act(state: TriggerState, resolved: ResolvedTrigger): Promise<number | null> {
  await lookAfter(state, control);
  const now = Date.now();
  const { memory, verdict } = judge(state.memory, resolved.trigger, now, resolved.quietUntil);
  state.memory = memory;
  state.verdict = verdict;
  const again = await follow(state, resolved, control);
  if (verdict.kind === 'pending' || verdict.kind === 'held') state.note(`${verdict.kind}: ${verdict.text}`);
  const times = [again, state.run === null ? null : now + LOOK_MS, 'until' in verdict ? verdict.until : null];
  const next = times.filter((at): at is number => at !== null);
  if (next.length > 0) return Math.min(...next);
  const begun = workflowInfo().startTime.getTime();
  const newest = Math.max(begun, ...state.memory.alerts.map(({ lastAt }) => lastAt), ...state.memory.followed);
  if (state.memory.alerts.some(({ firing }) => firing)) return now + REMEMBERS_MS;
  return newest + REMEMBERS_MS > now ? newest + REMEMBERS_MS : null;
}
