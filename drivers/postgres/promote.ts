/** Makes the target writable: the point of no return. */

import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, FenceReceipt, PromoteReceipt, Receipt } from '../ports.ts';
import { query } from '../sql/session.ts';
import { readStatus, type ServerStatus } from '../sql/status.ts';
import { checkToken, tokenOf } from '../store-claims.ts';
import { chooseTarget } from './catch-up.ts';
import { withClaim } from './claim.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { openRemembered } from './fence-sql.ts';
import { asFailure } from './reading.ts';
import { type PromoteIntent, readRecord } from './record.ts';
import { hasPromoteTrigger, local } from './server.ts';
import { suspendHangingSync } from './sync-settings.ts';

/**
 * Oldest proof that a promotion acts on, in milliseconds: 5 s when the workflow schedules it, and 5 s more until a
 * worker must have taken it.
 */
const PROOF_MS = 10_000;
/** Recovery applies what it has received first; after this long (milliseconds) somebody should look. */
const PROMOTE_MS = 600_000;

/**
 * Promotes the side's best node. Asks first whether it is promoted already; then the claim, the proof and the planned
 * timeline must hold, the intent is recorded, and only then the server is asked.
 * @throws NotFenced without a fresh proof; Conflict for a stale token or another timeline
 */
export async function promote(
  cluster: Cluster,
  to: At,
  from: RegionName,
  proof: FenceReceipt | null,
  planned: { timeline: number | null },
): Promise<PromoteReceipt> {
  const token = tokenOf(cluster.context);
  const node = await chooseTarget(cluster, to);
  const before = await readStatus(cluster, node);
  const expected = planned.timeline ?? token.expectedTimeline;
  if (!before.inRecovery) return alreadyPromoted(cluster, to, node, before, expected);
  if (expected !== null && before.timeline !== expected) {
    // In the middle of a promotion the new timeline's log is there and recovery not yet over: an attempt beside or
    // before this one has asked for it.
    const begun = (await readRecord(cluster, node))?.promote ?? null;
    if (begun?.epoch === token.epoch && begun.timeline === expected) {
      return promoted(cluster, to, node, await awaitWritable(cluster, node), true);
    }
    throw new RampartError('Conflict', `${node.name} is on timeline ${before.timeline}, the plan expects ${expected}`, {
      remedy: 'Something was promoted meanwhile: observe and make a new plan.',
    });
  }
  const intent: PromoteIntent = {
    epoch: token.epoch,
    runId: token.runId,
    seq: token.seq,
    at: cluster.context.now(),
    timeline: before.timeline,
  };
  const identity = { systemId: before.systemId, timeline: before.timeline };
  assertProof(cluster, node, before, from, proof);
  await withClaim(
    cluster,
    node,
    identity,
    () => ask(cluster, node),
    () => {
      // Again, because the lock may have been waited for. Then the intent is saved in one write with the token.
      assertProof(cluster, node, before, from, proof);
      return { promote: intent };
    },
  );
  const after = await awaitWritable(cluster, node);
  return promoted(cluster, to, node, after, false);
}

async function ask(cluster: Cluster, node: PgNode): Promise<void> {
  try {
    await query(cluster, node, 'SELECT pg_promote(false)');
  } catch (error) {
    // `recovery is not in progress`: it was promoted between our look and the call. The next look tells.
    const code = error instanceof RampartError ? error.details.code : undefined;
    if (code !== '55000') throw error;
  }
}

/** Whether the fence lets a promotion go on. `null` = a recorded override; the workflow has checked that there is one. */
function assertProof(
  cluster: Cluster,
  node: PgNode,
  status: ServerStatus,
  from: RegionName,
  proof: FenceReceipt | null,
): void {
  if (proof === null) return;
  const refuse = (why: string, remedy: string): never => {
    throw new RampartError('NotFenced', `${node.name} is not promoted: ${why}`, { remedy });
  };
  const { fence } = proof;
  const age = cluster.context.now() - fence.provenAt;
  if (fence.region !== from) refuse(`the proof is about ${fence.region}, the source is ${from}`, `Fence ${from}.`);
  if (fence.cannotWrite === 'none')
    refuse(`nothing proves that ${from} cannot write`, `Fence ${from}, or accept it by name.`);
  if (age > PROOF_MS) refuse(`the fence proof of ${from} is ${age} ms old`, 'Prove the fence again right before.');
  if (fence.epoch !== tokenOf(cluster.context).epoch) {
    refuse(
      `the proof was read under claim ${fence.epoch}, not under this run's`,
      `Claim ${from}, then prove the fence again.`,
    );
  }
  if (fence.systemId !== null && fence.systemId !== status.systemId) {
    refuse(`the fenced database is another one (${fence.systemId})`, 'Check host and port of both sides.');
  }
}

async function alreadyPromoted(
  cluster: Cluster,
  to: At,
  node: PgNode,
  status: ServerStatus,
  expected: number | null,
): Promise<PromoteReceipt> {
  const record = await readRecord(cluster, node);
  // What follows opens databases and changes settings: an attempt from before a later fence must not.
  const token = tokenOf(cluster.context);
  if (record !== null) checkToken(node.name, record, token, { systemId: status.systemId, timeline: null });
  const intent = record?.promote ?? null;
  const before = expected ?? intent?.timeline ?? null;
  if (before === null || status.timeline <= before) {
    throw new RampartError(
      'PreconditionFailed',
      `${node.name} is writable on timeline ${status.timeline} without having been promoted by this run`,
      {
        remedy: 'Observe all nodes: it may be that this side has been the primary all along.',
      },
    );
  }
  return promoted(cluster, to, node, status, true);
}

/** What must hold of a new primary at once: open databases, and no setting that makes a commit wait for ever. */
async function promoted(
  cluster: Cluster,
  to: At,
  node: PgNode,
  status: ServerStatus,
  already: boolean,
): Promise<PromoteReceipt> {
  const opened = await openClosed(cluster, node, status);
  const suspended = await suspendHangingSync(cluster, node, status);
  return {
    already,
    at: cluster.context.now(),
    summary: `${node.name} is writable on timeline ${status.timeline}`,
    facts: { opened, suspended },
    promote: {
      region: to.region,
      node: node.name,
      timeline: status.timeline,
      forkPosition: status.fork,
    },
  };
}

/** A fence by SQL closed databases in the catalogue, which was replicated: they are closed here as well. */
async function openClosed(cluster: Cluster, node: PgNode, { systemId }: ServerStatus): Promise<string[]> {
  if (cluster.nodes.every((each) => each.fence !== 'sql')) return [];
  return withClaim(cluster, node, { systemId, timeline: null }, () => openRemembered(cluster, node));
}

async function awaitWritable(cluster: Cluster, node: PgNode): Promise<ServerStatus> {
  const { context } = cluster;
  const done = await poll({ signal: context.signal, deadlineMs: PROMOTE_MS, intervalMs: 2 }, async () => {
    const [row] = await query<{ recovering: boolean }>(cluster, node, 'SELECT pg_is_in_recovery() AS recovering');
    context.heartbeat({ node: node.name, doing: 'promoting' });
    return row!.recovering ? undefined : true;
  });
  if (done) return readStatus(cluster, node);
  throw new RampartError('DeadlineExceeded', `${node.name} was asked to promote and is still in recovery`, {
    remedy: 'The promotion goes on: watch pg_last_wal_replay_lsn(), and observe again when it ends.',
  });
}

/**
 * Writes this call's token, so that a promotion scheduled before it is refused from now on, and says whether one may
 * have begun.
 * @returns `facts.revoked`: no promotion has begun and every node that can be promoted reads back in recovery
 */
export async function revokePromote(cluster: Cluster, to: At): Promise<Receipt> {
  const token = tokenOf(cluster.context);
  const reasons: string[] = [];
  for (const node of nodesAt(cluster, to)) {
    await withClaim(cluster, node, { systemId: null, timeline: null }, async ({ record }) => {
      const status = await readStatus(cluster, node).catch(asFailure);
      if (record.promote?.epoch === token.epoch) {
        reasons.push(`a promotion of ${node.name} was begun at ${new Date(record.promote.at).toISOString()}`);
      }
      if (node.here && node.dataDir !== null && (await hasPromoteTrigger(local(node)))) {
        reasons.push(`${node.name} has been asked to promote`);
      }
      if (status instanceof RampartError) reasons.push(`${node.name} cannot be read: ${status.message}`);
      else if (!status.inRecovery) reasons.push(`${node.name} is writable on timeline ${status.timeline}`);
      // A lower one is no promotion: a timeline only grows.
      else if (token.expectedTimeline !== null && status.timeline > token.expectedTimeline) {
        reasons.push(`${node.name} is on timeline ${status.timeline}, not ${token.expectedTimeline}`);
      }
    });
  }
  const revoked = reasons.length === 0;
  return {
    already: false,
    at: cluster.context.now(),
    summary: revoked ? `no promotion has begun in ${to.region}, and none can any more` : reasons.join('; '),
    facts: { revoked, reasons },
  };
}
