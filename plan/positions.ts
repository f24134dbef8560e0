/** Order of places in a store's stream of changes. Pure; orders exceed 2^53, so they are compared as big integers. */
import type { Position } from '../drivers/ports.ts';

const WHOLE = /^\d+$/;

const readable = (...positions: Position[]): boolean => positions.every(({ order }) => WHOLE.test(order));

/** The order as an integer; a text that is none sorts as the beginning. */
function orderOf(position: Position): bigint {
  return WHOLE.test(position.order) ? BigInt(position.order) : 0n;
}

/** Which of two places is further: a later timeline first, then the order. Negative when `a` is behind `b`. */
export function comparePositions(a: Position, b: Position): number {
  if (a.timeline !== b.timeline) return a.timeline - b.timeline;
  const [x, y] = [orderOf(a), orderOf(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** The further of two places, either of which may be unknown. */
export function furtherOf(a: Position | null, b: Position | null): Position | null {
  if (a === null || b === null) return a ?? b;
  return comparePositions(a, b) >= 0 ? a : b;
}

/**
 * True when everything written up to `written` is contained in what was reached. A later timeline of `written` never
 * is, nor is a place that cannot be read: it proves nothing.
 */
export function contains(reached: Position, written: Position): boolean {
  return readable(reached, written) && written.timeline <= reached.timeline && orderOf(written) <= orderOf(reached);
}

/**
 * Bytes from `from` up to `to`; 0 when `to` is not ahead, `null` across timelines, where a difference says nothing, and
 * for a place that cannot be read.
 */
export function bytesBetween(from: Position, to: Position): number | null {
  if (from.timeline !== to.timeline || !readable(from, to)) return null;
  const distance = orderOf(to) - orderOf(from);
  return distance > 0n ? Number(distance) : 0;
}
