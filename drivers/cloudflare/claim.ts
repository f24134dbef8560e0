/**
 * Claims kept in a text that people may use, too: a load balancer's description, a DNS record's comment. Short, since
 * comments of the smallest plan end at 100 characters. A digest of the settings tells an edit by hand. Pure.
 */
import { createHash } from 'node:crypto';
import { RampartError } from '../errors.ts';
import type { Claim, DriverContext } from '../ports.ts';

const CLAIM = / ?\[rampart (\d+)\.(\d+)\.([0-9a-z]+)\.([0-9a-f]{8})\.([^\]\s]+)\]/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

type Caller = Pick<DriverContext, 'token' | 'run' | 'now'>;

export interface Marked {
  /** Who changed it last through Rampart; `null` = nobody yet. */
  claim: Claim | null;
  /** Of the settings that this writer wrote. */
  digest: string | null;
  /** What people wrote. */
  rest: string;
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
 * A token lower than the stored one is a late attempt or another run. An edit by hand after this run's own write stays:
 * a person meant it, unless it says what is wanted anyway. A run that starts after the edit has seen it and takes it as
 * its base.
 * @param where the thing, for people
 * @param digest of the present settings
 * @param fits whether they are already what is wanted
 * @throws Conflict
 */
export function assertCurrent(where: string, stored: Marked, digest: string, fits: boolean, caller: Caller): void {
  const { claim } = stored;
  if (claim === null) return;
  if (isStale(claim, caller)) {
    const { token } = caller;
    const own = `run ${token!.runId} (epoch ${token!.epoch}, step ${token!.seq})`;
    throw new RampartError('Conflict', `${where} is held by ${holder(claim)}; ${own} is stale`, {
      remedy: 'Look at that run; a new run takes it over with a higher epoch.',
    });
  }
  if (stored.digest !== digest && !fits && isSameRun(claim, caller)) {
    throw new RampartError('Conflict', `${where} was changed by somebody else after ${holder(claim)} set it`, {
      remedy: 'Put it back, or end this run; a new run takes it as it finds it.',
    });
  }
}

/** Whether the caller is an older attempt, an older run, or another run of the same epoch. */
export function isStale(claim: Claim, { token }: Caller): boolean {
  if (token === undefined) return false;
  if (token.epoch !== claim.epoch) return token.epoch < claim.epoch;
  return token.runId !== claim.runId || token.seq < claim.seq;
}

/** The claim to leave behind. A caller without a token keeps the stored epoch, so that older tokens stay refused. */
export function claimToWrite({ claim: stored }: Marked, caller: Caller): Claim {
  const epoch = caller.token?.epoch ?? stored?.epoch ?? 0;
  const runId = caller.token?.runId ?? caller.run.runId;
  const same = stored !== null && stored.epoch === epoch && stored.runId === runId;
  const seq = caller.token?.seq ?? (same ? stored.seq : 0);
  return { epoch, runId, seq, at: same && stored.seq === seq ? stored.at : caller.now() };
}

export function sameClaim(a: Claim | null, b: Claim): boolean {
  return a !== null && a.epoch === b.epoch && a.runId === b.runId && a.seq === b.seq;
}

export function holder({ runId, epoch, seq }: Claim): string {
  return `run ${runId} (epoch ${epoch}, step ${seq})`;
}

function isSameRun(claim: Claim, { token, run }: Caller): boolean {
  if (token === undefined) return claim.runId === run.runId;
  return claim.epoch === token.epoch && claim.runId === token.runId;
}
