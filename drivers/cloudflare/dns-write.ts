/** One batch with one patch, and the looks that tell what came of it. */
import type { Cloudflare } from 'cloudflare';
import { isStale, named, sameClaim } from '../claims.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Claim, DriverContext } from '../ports.ts';
import { withMark } from './claim.ts';
import type { DnsConfig } from './dns-config.ts';
import { type DnsApi, type DnsRecord, type DnsState, settingsDigest } from './dns-state.ts';
import { maybeApplied } from './errors.ts';
import { showWeights } from './weights.ts';

/** Pauses between looks, in milliseconds: every look is a part of the user's budget. */
const LOOK = { intervalMs: 50, maxIntervalMs: 2_000 };

type Batch = Parameters<Cloudflare['dns']['records']['batch']>[0];

export interface DnsWrite {
  api: DnsApi;
  config: DnsConfig;
  name: string;
  context: DriverContext;
  claim: Claim;
  before: DnsState;
  change: { content?: string; ttl?: number };
  /** What the change is for, in words. */
  wanted: string;
  read(): Promise<DnsState>;
  /** Whether a reading is what is wanted. */
  shows(now: DnsState): boolean;
}

/**
 * Patches the record once, the claim in its comment with it, and looks until it shows, at the API and at every name
 * server that is configured. Cloudflare has no conditional write; the looks find who wrote in between (see lb-write.ts).
 * @throws Conflict, NotApplied, PreconditionFailed when the comment has no room for the claim, and
 *   ProviderUnavailable when the answer was lost and the change does not show
 */
export async function writeDns(write: DnsWrite): Promise<void> {
  const { config, name, context, claim, before } = write;
  const lost = await send(write);
  let sentAgain = false;
  let last = before;
  const polling = {
    signal: context.signal,
    deadlineMs: lost ? Math.min(config.timeout, config.deadline) : config.deadline,
    ...LOOK,
  };
  const done = await poll(polling, async () => {
    last = await write.read();
    const found = last.mark.claim;
    if (sameClaim(found, claim)) {
      if (last.mark.digest !== last.digest) throw changed(name, claim);
      if (write.shows(last)) return true;
    } else if (found !== null && isStale(found, context)) {
      throw new RampartError('Conflict', `${name} is now held by ${named(found)}`, {
        remedy: 'Look at that run; this one must not go on against it.',
      });
    } else if (lost === null && last.record?.comment !== before.record?.comment && !sentAgain) {
      // Neither what was before nor ours: an older attempt whose request was under way when ours was read.
      sentAgain = true;
      await send(write);
    } else if (lost === null && last.digest !== before.digest) {
      throw changed(name, claim);
    }
    context.heartbeat({ component: name, observed: observed(last) });
    return undefined;
  });
  if (done) return;
  if (lost !== null) throw lost;
  const message = `${name}: wanted ${write.wanted}, observed after ${config.deadline} ms: ${observed(last)}`;
  throw new RampartError('NotApplied', message, {
    remedy: `See the record and its zone at Cloudflare. A load balancer of the same name goes before a record.`,
  });
}

/** The comment as it will be. @throws PreconditionFailed */
export function commentWith(name: string, config: DnsConfig, state: DnsState, claim: Claim, record: DnsRecord): string {
  const comment = withMark(state.mark.rest, claim, settingsDigest(record));
  if (comment.length <= config.commentLength) return comment;
  const over = comment.length - config.commentLength;
  throw new RampartError('PreconditionFailed', `${name}: the comment has no room for a claim, by ${over} characters`, {
    remedy: 'Shorten the comment of the record, or raise `commentLength` if the plan of the zone allows 500.',
  });
}

/** @returns the error of a call whose outcome nobody knows; `null` when it was answered */
async function send({ api, config, name, before, change, claim }: DnsWrite): Promise<RampartError | null> {
  const record = { ...before.record!, ...change };
  const patch = { id: record.id, ...change, comment: commentWith(name, config, before, claim, record) };
  try {
    await api.one('dns.records.batch', (client, options) =>
      // Only what changes: a patch leaves the rest as it is, which the package's types do not know.
      client.dns.records.batch(
        { zone_id: config.zoneId, patches: [patch] as unknown as Batch['patches'] & object },
        options,
      ),
    );
    return null;
  } catch (error) {
    if (maybeApplied(error)) return error as RampartError;
    throw error;
  }
}

function observed({ weights, problems, record }: DnsState): string {
  return [showWeights(weights), ...problems, `TTL ${record?.ttl ?? 'unknown'}`].join('; ');
}

function changed(name: string, claim: Claim): RampartError {
  return new RampartError('Conflict', `${name} was changed by somebody else right after ${named(claim)} set it`, {
    remedy: 'See who changed it (audit log), then start again.',
  });
}
