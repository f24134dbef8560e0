/** Proves that exactly one side takes writes, by writing. */

import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { At, Receipt } from '../ports.ts';
import { probe } from '../sql/probe.ts';
import { query } from '../sql/session.ts';
import { readStatus } from '../sql/status.ts';
import { tokenOf } from '../store-claims.ts';
import { chooseTarget } from './catch-up.ts';
import type { Cluster, PgNode } from './config.ts';
import { asFailure } from './reading.ts';
import { readSuspended } from './settings.ts';
import { suspendHangingSync } from './sync-settings.ts';

/** How long the other nodes may take to answer, milliseconds: this runs in the freeze. */
const OTHERS_MS = 500;

/**
 * @throws SplitBrain when another node is writable too; PreconditionFailed when the target is not; NotApplied when the
 * write probe does not come through
 */
export async function verifyWritable(cluster: Cluster, to: At, from: RegionName): Promise<Receipt> {
  tokenOf(cluster.context);
  const node = await chooseTarget(cluster, to);
  const status = await readStatus(cluster, node);
  if (status.inRecovery) {
    throw new RampartError('PreconditionFailed', `${node.name} is in recovery: it takes no writes`, {
      remedy: 'Promote it first.',
    });
  }
  // Normally `promote` has seen to it.
  await suspendHangingSync(cluster, node, status);
  const [unseen, ms, suspended] = await Promise.all([
    assertAlone(cluster, node, from),
    probe(cluster, node),
    readSuspended(cluster, node),
  ]);
  checkpointLater(cluster, node);
  return {
    already: false,
    at: cluster.context.now(),
    summary: `${node.name} took a write in ${Math.round(ms)} ms and is the only writable node${unseen.length > 0 ? ` of those that answer (not ${unseen.join(', ')})` : ''}`,
    facts: { probeMs: Math.round(ms), unseen, suspended: [...suspended.keys()], timeline: status.timeline },
  };
}

/** @returns the nodes that did not answer: for the source's, the fence is the proof */
async function assertAlone(cluster: Cluster, node: PgNode, from: RegionName): Promise<string[]> {
  const others = cluster.nodes.filter((other) => other !== node);
  const read = await Promise.all(
    others.map((other) =>
      readStatus(cluster, other, { connectTimeoutMs: OTHERS_MS, timeoutMs: OTHERS_MS }).catch(asFailure),
    ),
  );
  const writable = others.filter((_, i) => {
    const status = read[i]!;
    return !(status instanceof RampartError) && !status.inRecovery;
  });
  const fencedBySql = writable.filter((other) => other.fence === 'sql' && other.region === from);
  const bad = [];
  for (const other of writable) {
    // It runs, and its databases refuse every session: that is the fence by SQL.
    if (fencedBySql.includes(other) && (await refusesWriters(cluster, other))) continue;
    bad.push(other.name);
  }
  if (bad.length > 0) {
    throw new RampartError('SplitBrain', `besides ${node.name}, ${bad.join(', ')} takes writes too`, {
      remedy: `Fence ${bad.join(', ')} now; \`rampart escape\` prints the commands.`,
    });
  }
  return others.filter((_, i) => read[i] instanceof RampartError).map((other) => other.name);
}

async function refusesWriters(cluster: Cluster, node: PgNode): Promise<boolean> {
  const refused = await query(cluster, node, 'SELECT 1', [], {
    database: cluster.config.database,
    connectTimeoutMs: OTHERS_MS,
  }).then(
    () => false,
    (error) => error instanceof RampartError && error.details.code === '55000',
  );
  return refused;
}

/** pg_rewind needs a checkpoint on the new timeline. Not waited for: it must not lengthen the freeze. */
function checkpointLater(cluster: Cluster, node: PgNode): void {
  query(cluster, node, 'CHECKPOINT', [], { timeoutMs: 600_000 }).catch((error: unknown) => {
    cluster.context.log.warn('the checkpoint after the promotion failed; a repair will ask for it again', {
      node: node.name,
      why: error instanceof Error ? error.message : String(error),
    });
  });
}
