/** Moments of the server's clock and of this worker's, compared so that no clock makes a loss shorter or a proof younger. */
import { Context } from '@temporalio/activity';
import { clock } from '../drivers/clock.ts';
import type { SampleReading } from '../drivers/ports.ts';
import type { ActivityDeps } from './deps.ts';

/** Longest way of a step of the cut to its worker: `scheduleToStart` there, in milliseconds (workflows/run/schedule.ts). */
const DISPATCH_MS = 5_000;

const shown = new WeakMap<Context, number>();

/**
 * What this worker's clock showed when this attempt began, less the moment at which the server had it ready, in
 * milliseconds: how far it is ahead, and the time on the way. Call it first when an attempt begins.
 */
export function sinceScheduledMs(): number {
  const activity = Context.current();
  let known = shown.get(activity);
  if (known === undefined) {
    known = clock.now() - activity.info.currentAttemptScheduledTimestampMs;
    shown.set(activity, known);
  }
  return known;
}

/** How far this worker's clock is ahead of the server's at most, in milliseconds; one that is behind gives zero. */
export const aheadMs = (): number => Math.max(0, sinceScheduledMs());

/**
 * A moment of the server's clock as this worker's clock would have shown it, or earlier: what is judged by its age must
 * not look younger than it is. A clock that cannot be right counts as if the attempt had come the longest way.
 * @param at milliseconds since the epoch
 */
export function onThisClock(at: number): number {
  const since = sinceScheduledMs();
  return at + since - (since >= 0 && since <= DISPATCH_MS ? since : DISPATCH_MS);
}

/**
 * Readings of a store by the sampler beside this worker, none of them dated later than the server's clock would have
 * done: a window of loss begins at one of them and ends at a moment of the server's.
 */
export function samplesOf(deps: Pick<ActivityDeps, 'samples'>, component: string): SampleReading[] {
  const late = aheadMs();
  // A clock that was set back has dated too late what came before: nothing is later than what was read after it, or now.
  let latest = clock.now();
  const newestFirst = deps.samples(component).toReversed();
  return newestFirst
    .map((sample) => {
      latest = Math.min(latest, sample.at);
      return { ...sample, at: latest - late };
    })
    .reverse();
}
