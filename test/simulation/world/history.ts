/**
 * What a store's log holds. Clients write continuously to every side that accepts writes, one write a millisecond, so
 * a position is a number of writes and a stretch of time is a stretch of log: no event per write is needed.
 */
import type { Position } from '../../../drivers/ports.ts';
import type { WriteRange } from '../../judge/trace.ts';

/** One timeline; two promotions from one timeline give two branches with the same number. */
export interface Branch {
  timeline: number;
  parent: Branch | null;
  /** Where it left its parent. */
  fork: number;
}

/** Writes that one side acknowledged without a break. */
export interface Stretch {
  branch: Branch;
  region: string;
  from: number;
  to: number;
  startAt: number;
  endAt: number;
}

export function position(order: number, timeline: number): Position {
  return { text: `0/${order.toString(16).toUpperCase()}`, order: String(order), timeline };
}

/** How much of `branch` is in the log of a server that is at `at` on `own`; -1: nothing of it. */
export function held(branch: Branch, own: Branch, at: number): number {
  let limit = at;
  for (let b: Branch | null = own; b !== null; b = b.parent) {
    if (b === branch) return limit;
    limit = Math.min(limit, b.fork);
  }
  return -1;
}

/** Acknowledged writes that a log of `own` up to `at` does not hold. */
export function missingFrom(stretches: readonly Stretch[], own: Branch, at: number): Array<Stretch & WriteRange> {
  return stretches.flatMap((stretch) => {
    const limit = Math.max(held(stretch.branch, own, at), stretch.from);
    if (limit >= stretch.to) return [];
    const firstAt = stretch.endAt - (stretch.to - limit);
    return [{ ...stretch, from: limit + 1, firstAt, lastAt: stretch.endAt }];
  });
}
