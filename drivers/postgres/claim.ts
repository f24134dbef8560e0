/** Claims, tokens and the journal: what makes a stale or second actor harmless. */

import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, Claim, ClaimReceipt, Journal, Receipt } from '../ports.ts';
import { readStatus } from '../sql/status.ts';
import { changedJournal, checkToken, type Identity, newestClaim, takeClaim, tokenOf } from '../store-claims.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { asFailure } from './reading.ts';
import { type Held, type NodeRecord, type PromoteIntent, readRecord, withRecord } from './record.ts';

/** A promotion that was asked for shows within this time, in milliseconds: what the server had received is applied before. */
const PROMOTION_SHOWS_MS = 5_000;
const CONNECT_MS = 500;

/**
 * Runs a mutation under the node's lock, after the token was accepted and its `seq` stored. Keep `work` short: ask
 * for a stop or a start there, and wait for it outside.
 * @param also what to save in the same write as the `seq`
 */
export function withClaim<T>(
  cluster: Cluster,
  node: PgNode,
  identity: Identity,
  work: (held: Held) => Promise<T>,
  also: (record: NodeRecord) => Partial<NodeRecord> = () => ({}),
): Promise<T> {
  const token = tokenOf(cluster.context);
  return withRecord(cluster, node, async (held) => {
    checkToken(node.name, held.record, token, identity);
    const claim = held.record.claim!;
    const change = also(held.record);
    if (token.seq > claim.seq) change.claim = { ...claim, seq: token.seq, at: cluster.context.now() };
    if (Object.keys(change).length > 0) await held.save(change);
    return work(held);
  });
}

export async function readClaim(cluster: Cluster, at: At): Promise<ClaimReceipt> {
  const nodes = nodesAt(cluster, at);
  const records = await Promise.all(nodes.map((node) => readRecord(cluster, node)));
  const current = newestClaim(records.map((record) => record?.claim ?? null));
  const unread = nodes.filter((_, i) => records[i] === null).map((node) => node.name);
  const summary =
    current === null
      ? `no claim${unread.length > 0 ? `; not readable from here: ${unread.join(', ')}` : ''}`
      : `claimed by run ${current.runId}, epoch ${current.epoch}`;
  const journals = records.flatMap((record) => (record?.journal?.open === true ? [record.journal] : []));
  return {
    already: true,
    at: cluster.context.now(),
    summary,
    facts: { unread, journals: JSON.parse(JSON.stringify(journals)) },
    claim: { region: at.region, previous: null, current },
  };
}

/**
 * Takes the nodes for this run and opens its journal. An open journal of an earlier run is adopted: what it saved is
 * older and therefore the original.
 * @throws Conflict when a run with the same or a higher epoch has it, or the same run has closed its journal since
 */
export async function claim(cluster: Cluster, at: At, journal: Journal): Promise<ClaimReceipt> {
  const { context } = cluster;
  const token = tokenOf(context);
  const wanted: Claim = { epoch: token.epoch, runId: token.runId, seq: token.seq, at: context.now() };
  const results = [];
  for (const node of nodesAt(cluster, at)) {
    results.push(
      await onceShown(cluster, node, async ({ record, save }) => {
        const taken = takeClaim(node.name, record, wanted, journal, context.now());
        if (taken.save !== null) {
          // A promotion that an earlier run began is judged by what the server says, not by that run's note.
          await save(taken.anew ? { ...taken.save, promote: null } : taken.save);
        }
        return { node, ...taken };
      }),
    );
  }
  const adopted = results.flatMap((result) => (result.adopted === null ? [] : [result.adopted]));
  const names = results.map(({ node }) => node.name).join(', ');
  return {
    already: results.every((result) => result.already),
    at: context.now(),
    summary:
      `${names} claimed with epoch ${wanted.epoch}` +
      (adopted.length > 0 ? `; adopted the open journal of run ${adopted[0]!.runId}` : ''),
    facts: {
      adopted: JSON.parse(JSON.stringify(adopted)),
      fencedAt: results.find(({ fencedAt }) => fencedAt !== null)?.fencedAt ?? null,
    },
    claim: { region: at.region, previous: newestClaim(results.map(({ previous }) => previous)), current: wanted },
  };
}

/**
 * Saves into the open journal of this claim and touches it. Values already saved are kept: they are the originals.
 * @throws Conflict when the claim is not ours
 */
export async function journal(
  cluster: Cluster,
  at: At,
  change: Partial<Pick<Journal, 'saved' | 'fencedAt' | 'open'>>,
): Promise<Receipt> {
  const { context } = cluster;
  let already = true;
  for (const node of nodesAt(cluster, at)) {
    if (change.open === false && (await isNotOurs(cluster, node))) continue;
    await withClaim(cluster, node, { systemId: null, timeline: null }, async ({ record, save }) => {
      already &&= record.journal?.open === false && change.open === false;
      await save({ journal: changedJournal(node.name, record, change, context.now()) });
    });
  }
  const summary = change.open === false ? 'journal closed' : 'journal touched';
  return { already, at: context.now(), summary: `${summary} in ${at.region}`, facts: {} };
}

/** A claim that was refused left no journal of ours: there is nothing to close, and what is there is another run's. */
async function isNotOurs(cluster: Cluster, node: PgNode): Promise<boolean> {
  const record = await readRecord(cluster, node);
  return record !== null && record.journal?.runId !== tokenOf(cluster.context).runId;
}

/**
 * Runs `work` under the node's lock once an earlier run's promotion shows, if that has asked for one a moment ago:
 * between the call that promotes and the new timeline nothing in the server tells of it, and the claim forgets the note.
 * Who claims must not take the side for a replica, and let the old one write again.
 */
async function onceShown<T>(cluster: Cluster, node: PgNode, work: (held: Held) => Promise<T>): Promise<T> {
  const { context } = cluster;
  let waited: PromoteIntent | null = null;
  for (;;) {
    // Read under the lock: that run writes its note and asks the server under it too.
    const done = await withRecord(cluster, node, async (held) => {
      const note = held.record.promote;
      const own = note === null || note.runId === tokenOf(context).runId;
      if (own || note.at === waited?.at || context.now() - note.at >= PROMOTION_SHOWS_MS)
        return { is: await work(held) };
      waited = note;
      return null;
    });
    if (done !== null) return done.is;
    await untilShown(cluster, node, waited!);
  }
}

async function untilShown(cluster: Cluster, node: PgNode, note: PromoteIntent): Promise<void> {
  const { context } = cluster;
  const left = Math.min(note.at + PROMOTION_SHOWS_MS - context.now(), PROMOTION_SHOWS_MS);
  await poll({ signal: context.signal, deadlineMs: left, intervalMs: 50 }, async () => {
    context.heartbeat({ node: node.name, doing: 'waiting for an earlier promotion' });
    const status = await readStatus(cluster, node, { connectTimeoutMs: CONNECT_MS }).catch(asFailure);
    if (status instanceof RampartError) return undefined;
    // On a later timeline it is a replica of whoever was promoted.
    return !status.inRecovery || status.timeline > note.timeline ? true : undefined;
  });
}
