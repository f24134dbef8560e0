/**
 * Who moved the name last, kept in a TXT record beside it and changed in one batch with the records themselves: Route
 * 53 refuses the whole batch when the claim, or a record, is not what the caller read. So a stale or second actor
 * changes nothing, and no edit by hand is overwritten unseen.
 */
import { createHash } from 'node:crypto';
import type { ResourceRecordSet } from '@aws-sdk/client-route-53';
import { RampartError } from '../errors.ts';
import type { Claim, DriverContext, Millis } from '../ports.ts';

const MARK = 'rampart-claim';
/** Longest string inside a TXT record, in characters. */
const CHUNK = 255;
/** TTL of the record, in seconds: nobody asks for it by DNS. */
export const CLAIM_TTL = 60;

export interface Route53Claim extends Claim {
  component: string;
  /** Digest of the records as the claim's writer left them. */
  state: string;
  /** TTLs that were lowered and are to be put back, in seconds, by type and SetIdentifier (`A.eu-west`). */
  was: Record<string, number>;
  /** When the last of them was lowered. */
  loweredAt: Millis;
  /** Health checks are being switched, one after the other: until that is over the state is between two. */
  busy: boolean;
}

export type Caller = Pick<DriverContext, 'token' | 'run' | 'now'>;

/** The values of the TXT record, quoted as Route 53 takes them. */
export function claimValues(claim: Route53Claim): string {
  const { was, ...plain } = claim;
  const fields = { ...plain, was: JSON.stringify(was) };
  const text = `${MARK} ${Object.entries(fields)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join(' ')}`;
  const chunks = text.match(new RegExp(`.{1,${CHUNK}}`, 'g')) ?? [];
  return chunks.map((chunk) => `"${chunk}"`).join(' ');
}

/** @returns `null` for a record that is none of Rampart's, or that somebody has changed into something else */
export function readClaimRecord(set: ResourceRecordSet | null): Route53Claim | null {
  const value = set?.ResourceRecords?.length === 1 ? set.ResourceRecords[0]!.Value : undefined;
  if (value === undefined) return null;
  const text = [...value.matchAll(/"([^"]*)"/g)].map(([, chunk]) => chunk).join('');
  if (!text.startsWith(`${MARK} `)) return null;
  try {
    const fields = Object.fromEntries(
      text
        .split(' ')
        .slice(1)
        .map((part) => [part.slice(0, part.indexOf('=')), decodeURIComponent(part.slice(part.indexOf('=') + 1))]),
    );
    const claim = {
      component: String(fields.component),
      epoch: Number(fields.epoch),
      runId: String(fields.runId),
      seq: Number(fields.seq),
      at: Number(fields.at),
      state: String(fields.state),
      was: JSON.parse(String(fields.was)) as Record<string, number>,
      loweredAt: Number(fields.loweredAt),
      busy: fields.busy === 'true',
    };
    return [claim.epoch, claim.seq, claim.at, claim.loweredAt].every(Number.isFinite) ? claim : null;
  } catch {
    return null;
  }
}

/**
 * What tells one state of the records from another.
 * @param settings of the health checks, where they are the switch
 */
export function digestOf(sets: readonly ResourceRecordSet[], settings: readonly string[] = []): string {
  const plain = [...sets.map((set) => JSON.stringify(sorted(set))), ...settings].sort();
  return createHash('sha256').update(plain.join('\n')).digest('hex').slice(0, 16);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]));
}

/**
 * A token lower than the claim's is a late attempt or another run. An edit by hand after this run's own change stays:
 * a person meant it, unless it says what is wanted anyway. A run that starts after the edit takes it as its base.
 * @param edited whether the records are not what the claim's writer left
 * @param fits whether they already say what is wanted
 * @throws Conflict
 */
export function assertCurrent(
  where: string,
  component: string,
  { claim, edited, fits }: { claim: Route53Claim | null; edited: boolean; fits: boolean },
  caller: Caller,
): void {
  if (claim === null) return;
  const holder = `run ${claim.runId} (epoch ${claim.epoch}, step ${claim.seq})`;
  if (claim.component !== component)
    throw new RampartError('Conflict', `${where} belongs to the component ${claim.component}`, {
      remedy: 'Give each name to one component.',
    });
  const { token } = caller;
  if (token !== undefined) {
    const other = token.epoch === claim.epoch && token.runId !== claim.runId;
    const late = token.epoch === claim.epoch && token.runId === claim.runId && token.seq < claim.seq;
    if (token.epoch < claim.epoch || other || late) {
      const own = `run ${token.runId} (epoch ${token.epoch}, step ${token.seq})`;
      throw new RampartError('Conflict', `${where} is held by ${holder}; ${own} is stale`, {
        remedy: 'Look at that run; a new run takes the name over with a higher epoch.',
      });
    }
  }
  if (edited && !fits && isSameRun(claim, caller))
    throw new RampartError('Conflict', `${where} was changed by somebody else after ${holder} wrote it`, {
      remedy: 'Put it back, or end this run; a new run takes the records as it finds them.',
    });
}

/** The claim to leave behind. A caller without a token keeps the stored epoch, so that older tokens stay refused. */
export function nextClaim(
  component: string,
  stored: Route53Claim | null,
  caller: Caller,
  change: Partial<Pick<Route53Claim, 'was' | 'loweredAt'>> & Pick<Route53Claim, 'state' | 'busy'>,
): Route53Claim {
  const epoch = caller.token?.epoch ?? stored?.epoch ?? 0;
  const runId = caller.token?.runId ?? caller.run.runId;
  const same = stored !== null && stored.epoch === epoch && stored.runId === runId;
  // Always another text than before: its batch then gives a change to follow, also when the records stay as they are.
  const at = Math.max(caller.now(), (stored?.at ?? 0) + 1);
  return {
    component,
    epoch,
    runId,
    seq: caller.token?.seq ?? (same ? stored.seq : 0),
    at,
    was: stored?.was ?? {},
    loweredAt: stored?.loweredAt ?? 0,
    ...change,
  };
}

export function isSameRun(claim: Route53Claim | null, caller: Caller): boolean {
  if (claim === null) return false;
  if (caller.token === undefined) return claim.runId === caller.run.runId;
  return claim.epoch === caller.token.epoch && claim.runId === caller.token.runId;
}
