/**
 * Who moved the name last, kept in a TXT record beside it and changed in one batch with the records themselves: Route
 * 53 refuses the whole batch when the claim, or a record, is not what the caller read. So a stale or second actor
 * changes nothing, and no edit by hand is overwritten unseen.
 */
import { createHash } from 'node:crypto';
import type { ResourceRecordSet } from '@aws-sdk/client-route-53';
import { type Caller, claimToWrite } from '../claims.ts';
import { RampartError } from '../errors.ts';
import type { Claim, Millis } from '../ports.ts';

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

/** @throws Conflict when the name is another component's */
export function assertOwnName(where: string, component: string, claim: Route53Claim | null): void {
  if (claim === null || claim.component === component) return;
  throw new RampartError('Conflict', `${where} belongs to the component ${claim.component}`, {
    remedy: 'Give each name to one component.',
  });
}

/** The claim to leave behind. */
export function nextClaim(
  component: string,
  stored: Route53Claim | null,
  caller: Caller,
  change: Partial<Pick<Route53Claim, 'was' | 'loweredAt'>> & Pick<Route53Claim, 'state' | 'busy'>,
): Route53Claim {
  return {
    component,
    ...claimToWrite(stored, caller),
    // Always another text than before: its batch then gives a change to follow, also when the records stay as they are.
    at: Math.max(caller.now(), (stored?.at ?? 0) + 1),
    was: stored?.was ?? {},
    loweredAt: stored?.loweredAt ?? 0,
    ...change,
  };
}
