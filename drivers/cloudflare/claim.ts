/**
 * Claims kept in a text that people may use, too: a load balancer's description, a DNS record's comment. Short, since
 * comments of the smallest plan end at 100 characters. A digest of the settings tells an edit by hand. Pure.
 */
import { createHash } from 'node:crypto';
import { assertCurrent, assertUnedited, type Caller } from '../claims.ts';
import type { Claim } from '../ports.ts';

const CLAIM = / ?\[rampart (\d+)\.(\d+)\.([0-9a-z]+)\.([0-9a-f]{8})\.([^\]\s]+)\]/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export interface Marked {
  /** Who changed it last through Rampart; `null` = nobody yet. */
  claim: Claim | null;
  /** Of the settings that this writer wrote. */
  digest: string | null;
  /** What people wrote. */
  rest: string;
}

/** A thing with a claim in its text. */
export interface MarkedState {
  mark: Marked;
  /** Of its settings as they are. */
  digest: string;
}

export function readMark(text: string | null | undefined): Marked {
  const match = CLAIM.exec(text ?? '');
  if (match === null) return { claim: null, digest: null, rest: text ?? '' };
  const [whole, epoch, seq, at, digest, runId] = match as unknown as [string, string, string, string, string, string];
  const claim = { epoch: Number(epoch), seq: Number(seq), at: Number.parseInt(at, 36), runId: expand(runId) };
  return { claim, digest, rest: text!.replace(whole, '') };
}

export function withMark(rest: string, { epoch, seq, at, runId }: Claim, digest: string): string {
  const mark = `[rampart ${epoch}.${seq}.${at.toString(36)}.${digest}.${shorten(runId)}]`;
  return rest === '' ? mark : `${rest} ${mark}`;
}

/** Eight digits that change with the settings. */
export function digestOf(settings: unknown): string {
  return createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 8);
}

/** A run's id is mostly a UUID: 22 characters instead of 36. */
function shorten(runId: string): string {
  if (UUID.test(runId)) return `~${Buffer.from(runId.replaceAll('-', ''), 'hex').toString('base64url')}`;
  return encodeURIComponent(runId).replace(/^~/, '%7E');
}

function expand(text: string): string {
  if (!text.startsWith('~')) return decodeURIComponent(text);
  const hex = Buffer.from(text.slice(1), 'base64url').toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * By the rules of claims.ts.
 * @param where the thing, for people
 * @param fits whether its settings are already what is wanted
 * @throws Conflict
 */
export function assertMayChange(where: string, now: MarkedState, fits: boolean, caller: Caller): void {
  assertCurrent(where, now.mark.claim, caller);
  assertUnedited(where, now.mark.claim, { edited: isEdited(now), fits }, caller);
}

/** Whether the settings are not those of the claim's writer. */
export function isEdited({ mark, digest }: MarkedState): boolean {
  return mark.claim !== null && mark.digest !== digest;
}
