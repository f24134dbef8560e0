/** What the sampler beside this worker has read, dated so that no clock makes a window of loss shorter. */
import { Context } from '@temporalio/activity';
import { clock } from '../drivers/clock.ts';
import type { SampleReading } from '../drivers/ports.ts';
import type { ActivityDeps } from './deps.ts';

const ahead = new WeakMap<Context, number>();

/**
 * How far this worker's clock is ahead of the server's at most, in milliseconds: what it showed when this attempt began,
 * less the moment at which the server had it ready. The time on the way counts too, so it is never too little; a clock
 * that is behind gives zero. Call it first when an attempt begins.
 */
export function aheadMs(): number {
  const activity = Context.current();
  let known = ahead.get(activity);
  if (known === undefined) {
    known = Math.max(0, clock.now() - activity.info.currentAttemptScheduledTimestampMs);
    ahead.set(activity, known);
  }
  return known;
}

/**
 * Readings of a store by the sampler beside this worker, none of them dated later than the server's clock would have
 * done: a window of loss begins at one of them and ends at a moment of the server's.
 */
export function samplesOf(deps: ActivityDeps, component: string): SampleReading[] {
  const late = aheadMs();
  return deps.samples(component).map((sample) => ({ ...sample, at: sample.at - late }));
}
