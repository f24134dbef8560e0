/** Physical replication slots: made before a replica needs one, dropped when nobody does, so that none fills the disk. */
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import { query } from '../sql/session.ts';
import type { Cluster, PgNode } from './config.ts';
import { asFailure } from './reading.ts';

/**
 * Makes the slot that `primary` keeps for `replica`. Without slots, or with it there already: nothing. One that has lost
 * its log takes no reader any more, and is made anew.
 */
export async function ensureSlot(cluster: Cluster, primary: PgNode, replica: PgNode): Promise<void> {
  if (replica.slot === null) return;
  await query(
    cluster,
    primary,
    `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
     WHERE slot_name = $1 AND wal_status = 'lost' AND NOT active`,
    [replica.slot],
  );
  const made = await query(
    cluster,
    primary,
    `SELECT pg_create_physical_replication_slot($1, true)
     WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`,
    [replica.slot],
  ).catch(asFailure);
  // Another attempt may have made it between the look and the making.
  if (made instanceof RampartError && made.details.code !== '42710') throw made;
}

/** How long a slot may still be in use by a session that is about to end, milliseconds. */
const RELEASE_MS = 5_000;

/** Drops the slot that `primary` keeps for `replica`, as soon as nobody uses it. None there is fine. */
export async function dropSlot(cluster: Cluster, primary: PgNode, replica: PgNode): Promise<void> {
  const { slot } = replica;
  if (slot === null) return;
  await poll({ signal: cluster.context.signal, deadlineMs: RELEASE_MS, intervalMs: 20 }, async () => {
    const present = await query(cluster, primary, 'SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [slot]);
    if (present.length === 0) return true;
    // In use again between the look and the drop: the next round tells.
    await dropIdle(cluster, primary, [slot]).catch(asFailure);
    return undefined;
  });
}

/**
 * Drops the slots that nodes which stream from `primary` now have left behind on other replicas, and those that the
 * primary itself used while it was one. Slots of nodes that are merely away are kept: they will need them.
 * @returns `node/slot` of each
 */
export async function dropLeftSlots(cluster: Cluster, primary: PgNode): Promise<string[]> {
  const [row] = await query<{ active: string[]; formerly: string | null }>(
    cluster,
    primary,
    `SELECT (SELECT coalesce(array_agg(slot_name::text), '{}') FROM pg_replication_slots WHERE active AND slot_type = 'physical') AS active,
       (SELECT setting FROM pg_settings WHERE name = 'primary_slot_name') AS formerly`,
  );
  const ours = cluster.nodes.map((node) => node.slot);
  const names = [...row!.active.filter((name) => ours.includes(name)), primary.slot, row!.formerly].filter(
    (name): name is string => name !== null && name !== '',
  );
  const dropped = await Promise.all(
    cluster.nodes
      .filter((node) => node !== primary)
      .map(async (node) => {
        // A node that does not answer is cleaned up when it comes back and joins.
        const found = await dropIdle(cluster, node, names).catch(asFailure);
        return found instanceof RampartError ? [] : found.map((name) => `${node.name}/${name}`);
      }),
  );
  return dropped.flat();
}

async function dropIdle(cluster: Cluster, node: PgNode, names: string[]): Promise<string[]> {
  const rows = await query<{ slot_name: string }>(
    cluster,
    node,
    `SELECT slot_name::text, pg_drop_replication_slot(slot_name) FROM pg_replication_slots
     WHERE slot_name = ANY($1) AND slot_type = 'physical' AND NOT active`,
    [names],
  );
  return rows.map((row) => row.slot_name);
}
