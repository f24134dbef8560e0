/** The write probe: a row, written the way the service would. */
import { RampartError } from '../errors.ts';
import type { SqlComponent, SqlServer } from './server.ts';
import { query } from './session.ts';
import { ensureTables } from './tables.ts';

/** A first commit that takes longer (milliseconds) waits for something that is not there. */
const PROBE_MS = 5_000;

/**
 * Writes a row, synchronous replication included.
 * @returns milliseconds
 * @throws NotApplied when it does not come through
 */
export async function probe(cluster: SqlComponent, node: SqlServer): Promise<number> {
  const started = performance.now();
  try {
    await writeProbe(cluster, node);
  } catch (error) {
    if (!(error instanceof RampartError)) throw error;
    throw new RampartError('NotApplied', `${node.name} does not take the write probe: ${error.message}`, {
      remedy:
        'See that the role may write to schema rampart and that no commit waits for a synchronous replica (wait_event SyncRep).',
      cause: error,
    });
  }
  return performance.now() - started;
}

async function writeProbe(cluster: SqlComponent, node: SqlServer): Promise<void> {
  const { database } = cluster.config;
  const upsert = `INSERT INTO rampart.probe (component, at) VALUES ($1, clock_timestamp())
    ON CONFLICT (component) DO UPDATE SET at = excluded.at`;
  try {
    await query(cluster, node, upsert, [cluster.component], { database, timeoutMs: PROBE_MS });
  } catch (error) {
    // 42P01: no such table; 3F000: no such schema. Normally `converge` has made them before the freeze.
    const code = error instanceof RampartError ? error.details.code : undefined;
    if (code !== '42P01' && code !== '3F000') throw error;
    await ensureProbeTable(cluster, node);
    await query(cluster, node, upsert, [cluster.component], { database, timeoutMs: PROBE_MS });
  }
}

/** Makes the table for the write probe, where it is missing. */
export function ensureProbeTable(cluster: SqlComponent, node: SqlServer): Promise<void> {
  const probe = 'component text PRIMARY KEY, at timestamptz NOT NULL';
  return ensureTables(cluster, node, cluster.config.database, { probe });
}
