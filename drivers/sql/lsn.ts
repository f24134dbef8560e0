/** Places in PostgreSQL's write-ahead log. Pure. */
import type { Position } from '../ports.ts';

/** Reads `16/B374D848`. @throws Error on anything else */
export function parseLsn(text: string): bigint {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text.trim());
  if (match === null) throw new Error(`not a WAL location: ${JSON.stringify(text)}`);
  return (BigInt(`0x${match[1]}`) << 32n) + BigInt(`0x${match[2]}`);
}

export function formatLsn(value: bigint): string {
  return `${(value >> 32n).toString(16).toUpperCase()}/${(value & 0xffffffffn).toString(16).toUpperCase()}`;
}

/** `null` for a missing location and for `0/0`, which PostgreSQL prints when there is none. */
export function positionAt(lsn: string | null | undefined, timeline: number | null): Position | null {
  if (lsn === null || lsn === undefined || timeline === null) return null;
  const order = parseLsn(lsn);
  return order === 0n ? null : { text: formatLsn(order), order: order.toString(), timeline };
}

/** a − b in bytes. Only meaningful on one timeline, or below the point where two fork. */
export function bytesBetween(a: Position, b: Position): number {
  return Number(BigInt(a.order) - BigInt(b.order));
}

/**
 * Whether `a` is beyond `b`: a later timeline first, because what is on an earlier one beyond the fork is no part of it.
 * A missing place is behind every other.
 */
export function isFurther(a: Position | null, b: Position | null): boolean {
  if (a === null || b === null) return a !== null;
  if (a.timeline !== b.timeline) return a.timeline > b.timeline;
  return BigInt(a.order) > BigInt(b.order);
}

/** The greater of two of one timeline, either of which may be missing. */
export function greatest(a: Position | null, b: Position | null): Position | null {
  if (a === null) return b;
  if (b === null) return a;
  return BigInt(a.order) >= BigInt(b.order) ? a : b;
}

export interface Fork {
  /** Timeline that ended. */
  timeline: number;
  /** End of the last record it shares with its child. */
  end: bigint;
}

/** Reads a timeline history file (`0000000N.history`): every ancestor with the place where it was left, oldest first. */
export function parseHistory(text: string): Fork[] {
  const forks: Fork[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(line);
    if (match !== null) forks.push({ timeline: Number(match[1]), end: parseLsn(match[2]!) });
  }
  return forks;
}
