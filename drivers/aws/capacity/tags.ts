/**
 * What Rampart writes into a service's tags: who changed it, the state it was asked for, and the size that was there
 * before. Tags have no compare-and-set: a claim is written, read back, and looked at before every change.
 * Values use only letters, digits, spaces and `:/=-`, which every AWS service takes in a tag.
 */
import { assertCurrent, type Caller } from '../../claims.ts';
import type { Claim, Token } from '../../ports.ts';
import type { Size } from './backend.ts';

export const CLAIM_TAG = 'rampart:claim';
export const STATE_TAG = 'rampart:state';
export const BEFORE_TAG = 'rampart:before';

export type Marked = 'active' | 'standby' | 'drained';

export function claimText({ epoch, seq, runId }: Token): string {
  return `epoch=${epoch} seq=${seq} run=${runId}`;
}

export function readClaim(tags: Record<string, string>, at: number): Claim | null {
  const match = /^epoch=(\d+) seq=(\d+) run=(.+)$/.exec(tags[CLAIM_TAG] ?? '');
  if (match === null) return null;
  const [, epoch, seq, runId] = match as unknown as [string, string, string, string];
  return { epoch: Number(epoch), seq: Number(seq), runId, at };
}

/** @throws Conflict when a newer attempt, or another run of the same epoch, has been here */
export function refuseStale(tags: Record<string, string>, caller: Pick<Caller, 'token'>, where: string): void {
  assertCurrent(where, readClaim(tags, 0), caller);
}

export function readMark(tags: Record<string, string>): Marked | null {
  const mark = tags[STATE_TAG];
  return mark === 'standby' || mark === 'drained' ? mark : null;
}

/**
 * The size that was there before Rampart changed it.
 * @param now what is there now: bounds that are not those Rampart wrote are a person's, and then they are the ones to keep
 */
export function readBefore(tags: Record<string, string>, now: Size): Size | null {
  const [first, ...written] = (tags[BEFORE_TAG] ?? '').split(' ');
  const [min, max, desired] = (first ?? '').split(':').map(number);
  if (min === undefined || max === undefined || typeof desired !== 'number') return null;
  return written.includes(bounds(now)) ? { min, max, desired } : null;
}

/**
 * @param after the size that will be written next
 * @param now kept beside it, so that a crash before that is not taken for a person's change
 */
export function beforeText(before: Size, now: Size, after: Size): string {
  return [`${bounds(before)}:${before.desired}`, ...new Set([bounds(after), bounds(now)])].join(' ');
}

function bounds({ min, max }: Size): string {
  return `${min ?? '-'}:${max ?? '-'}`;
}

function number(text: string): number | null | undefined {
  if (text === '-') return null;
  return /^\d+$/.test(text) ? Number(text) : undefined;
}
