/** One patch of the record, in a batch. */
import type { Cloudflare } from 'cloudflare';
import { RampartError } from '../errors.ts';
import type { Claim } from '../ports.ts';
import { withMark } from './claim.ts';
import type { DnsConfig } from './dns-config.ts';
import { type DnsApi, type DnsRecord, type DnsState, settingsDigest } from './dns-state.ts';

type Batch = Parameters<Cloudflare['dns']['records']['batch']>[0];

export interface DnsPatch {
  api: DnsApi;
  config: DnsConfig;
  name: string;
  claim: Claim;
  before: DnsState;
  change: { content?: string; ttl?: number };
}

/**
 * Patches the record, the claim in its comment with it. Once: whether it may be sent again, write.ts decides.
 * @throws PreconditionFailed when the comment has no room for the claim
 */
export async function sendPatch({ api, config, name, before, change, claim }: DnsPatch): Promise<void> {
  const record = { ...before.record!, ...change };
  const patch = { id: record.id, ...change, comment: commentWith(name, config, before, claim, record) };
  await api.one('dns.records.batch', (client, options) =>
    // Only what changes: a patch leaves the rest as it is, which the package's types do not know.
    client.dns.records.batch(
      { zone_id: config.zoneId, patches: [patch] as unknown as Batch['patches'] & object },
      options,
    ),
  );
}

/** The comment as it will be. @throws PreconditionFailed */
function commentWith(name: string, config: DnsConfig, state: DnsState, claim: Claim, record: DnsRecord): string {
  const comment = withMark(state.mark.rest, claim, settingsDigest(record));
  if (comment.length <= config.commentLength) return comment;
  const over = comment.length - config.commentLength;
  throw new RampartError('PreconditionFailed', `${name}: the comment has no room for a claim, by ${over} characters`, {
    remedy: 'Shorten the comment of the record, or raise `commentLength` if the plan of the zone allows 500.',
  });
}
