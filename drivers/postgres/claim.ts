/** Claims, tokens and the journal: what makes a stale or second actor harmless. */
import { RampartError } from '../errors.ts';
import type { At, Claim, ClaimReceipt, DriverContext, Journal, Receipt, Token } from '../ports.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { type Held, type NodeRecord, readRecord, withRecord } from './record.ts';

/** What the node is known to be at the moment of the check; `null` = not known. */
export interface Identity {
  systemId: string | null;
  timeline: number | null;
}

/** The token that every mutation carries. @throws InvalidInput without one */
export function tokenOf(context: DriverContext): Token {
  if (context.token !== undefined) return context.token;
  throw new RampartError('InvalidInput', 'a step that changes a store was called without a token', {
    remedy: 'Claim the store first; every later step carries the claim.',
  });
}

/**
 * Accepts a token or refuses it: the claim's epoch and run, a `seq` not lower than the last one, and the database
 * that the plan was made for.
 * @throws Conflict
 */
export function checkToken(node: PgNode, record: NodeRecord, token: Token, identity: Identity): void {
  const { claim } = record;
  const refuse = (why: string, remedy: string): never => {
    throw new RampartError('Conflict', `${node.name} refuses this step: ${why}`, { remedy, details: { claim, token } });
  };
  if (claim === null) refuse('no run has claimed it', 'Claim it first.');
  else if (claim.epoch !== token.epoch || claim.runId !== token.runId) {
    refuse(
      `it is claimed by run ${claim.runId} (epoch ${claim.epoch}), the step belongs to run ${token.runId} (epoch ${token.epoch})`,
      'Let the newer run decide; end the older one.',
    );
  } else if (token.seq < claim.seq) {
    refuse(
      `a later step (${claim.seq}) of the same run has acted, this one is ${token.seq}`,
      'Nothing: it comes too late.',
    );
  }
  if (token.systemId !== null && identity.systemId !== null && token.systemId !== identity.systemId) {
    refuse(
      `its system identifier is ${identity.systemId}, the plan was made for ${token.systemId}`,
      'Check host, port and dataDir of the node: this is another database.',
    );
  }
  if (token.expectedTimeline !== null && identity.timeline !== null && token.expectedTimeline !== identity.timeline) {
    refuse(
      `it is on timeline ${identity.timeline}, the plan was made for timeline ${token.expectedTimeline}`,
      'Something was promoted meanwhile: make a new plan.',
    );
  }
}

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
    checkToken(node, held.record, token, identity);
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
  const current = newest(records.map((record) => record?.claim ?? null));
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
      await withRecord(cluster, node, async ({ record, save }) => {
        const previous = record.claim;
        const same = previous?.epoch === wanted.epoch && previous.runId === wanted.runId;
        if (previous !== null && !same && previous.epoch >= wanted.epoch) {
          throw new RampartError(
            'Conflict',
            `${node.name} is claimed by run ${previous.runId} with epoch ${previous.epoch}`,
            {
              remedy: `Read the claims again and take epoch ${previous.epoch + 1}, or let that run go on.`,
              details: { claim: previous },
            },
          );
        }
        if (same && wanted.seq < previous.seq && record.journal?.runId === journal.runId && !record.journal.open) {
          // The run has closed its journal: a late attempt would leave it open for ever.
          throw new RampartError('Conflict', `${node.name}: a later step (${previous.seq}) of the same run has acted`, {
            remedy: `Nothing: this claim (step ${wanted.seq}) comes too late.`,
            details: { claim: previous },
          });
        }
        // Also one of the same run: an escalated plan reads what the first one left, not the originals.
        const adopted = record.journal?.open === true ? record.journal : null;
        if (same && record.journal?.runId === journal.runId && record.journal.open) {
          if (wanted.seq > previous.seq) await save({ claim: { ...previous, seq: wanted.seq } });
          return { node, previous, already: true, adopted: null };
        }
        await save({
          claim: same ? { ...wanted, seq: Math.max(previous.seq, wanted.seq) } : wanted,
          // A promotion that an earlier run began is judged by what the server says, not by that run's note.
          promote: same ? record.promote : null,
          journal: {
            ...journal,
            saved: { ...journal.saved, ...adopted?.saved },
            fencedAt: adopted?.fencedAt ?? journal.fencedAt,
            lastTouched: context.now(),
            open: true,
          },
        });
        return { node, previous, already: false, adopted };
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
    facts: { adopted: JSON.parse(JSON.stringify(adopted)) },
    claim: { region: at.region, previous: newest(results.map(({ previous }) => previous)), current: wanted },
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
      const present = record.journal;
      if (present === null) {
        throw new RampartError('Conflict', `${node.name} has no journal`, { remedy: 'Claim it first.' });
      }
      already &&= !present.open && change.open === false;
      await save({
        journal: {
          ...present,
          saved: { ...change.saved, ...present.saved },
          fencedAt: change.fencedAt === undefined ? present.fencedAt : change.fencedAt,
          open: change.open ?? present.open,
          lastTouched: context.now(),
        },
      });
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

function newest(claims: Array<Claim | null>): Claim | null {
  return claims.reduce((best, next) => (next !== null && next.epoch > (best?.epoch ?? 0) ? next : best), null);
}
