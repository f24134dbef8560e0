/** Server settings changed by `ALTER SYSTEM` and verified by reading back, with the way back kept in a table. */

import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import { query, withSession } from '../sql/session.ts';
import { tokenOf } from '../store-claims.ts';
import type { Cluster, PgNode } from './config.ts';
import { ensureControlTables } from './record.ts';

/** Settings this driver changes; a closed list, because names cannot be parameters of `ALTER SYSTEM`. */
export type Setting =
  | 'primary_conninfo'
  | 'primary_slot_name'
  | 'synchronous_standby_names'
  | 'synchronized_standby_slots';

/** A reload reaches every process within milliseconds; this long (milliseconds) means something overrides it. */
const RELOAD_MS = 5_000;

/**
 * Sets and reads back. The value may hold a password: as far as the role may, it is kept out of the server's log.
 * @throws NotApplied when the server goes on with another value, for instance one from its command line
 */
export async function changeSetting(cluster: Cluster, node: PgNode, name: Setting, value: string): Promise<void> {
  await withSession(cluster, node, {}, async (session) => {
    const quiet = `SELECT set_config('log_statement', 'none', false), set_config('log_min_error_statement', 'panic', false)`;
    // Only a superuser may; without it an administrator who logs every statement logs this one as well.
    await session.query(quiet).catch(() => []);
    const [row] = await session.query(`SELECT format('ALTER SYSTEM SET ${name} = %L', $1::text) AS statement`, [value]);
    await session.query(row!.statement as string);
    await session.query('SELECT pg_reload_conf()');
    await session.query('RESET log_statement').catch(() => []);
    await session.query('RESET log_min_error_statement').catch(() => []);
  });
  const applied = await poll({ signal: cluster.context.signal, deadlineMs: RELOAD_MS, intervalMs: 3 }, async () =>
    (await readSetting(cluster, node, name)) === value ? true : undefined,
  );
  if (applied) return;
  throw new RampartError('NotApplied', `${node.name} does not take the new ${name}`, {
    remedy: `Something overrides postgresql.auto.conf: look at SELECT sourcefile, sourceline FROM pg_settings WHERE name = '${name}'.`,
  });
}

/** The value in force; `null` when this version of PostgreSQL does not have it. */
export async function readSetting(cluster: Cluster, node: PgNode, name: Setting): Promise<string | null> {
  const [row] = await query<{ value: string | null }>(cluster, node, 'SELECT current_setting($1, true) AS value', [
    name,
  ]);
  return row!.value;
}

/** The table is replicated, the setting is not: a row is about one node alone. */
const keyOf = (node: PgNode, name: Setting): string => `${name}@${node.name}`;

/** Empties a setting and remembers its value in `rampart.suspended`. What is there from an earlier time is replaced. */
export async function suspendSetting(cluster: Cluster, node: PgNode, name: Setting, value: string): Promise<void> {
  await ensureControlTables(cluster, node);
  await withSession(cluster, node, {}, async (session) => {
    // In one go with the insert: this very setting is what could make its commit wait for ever.
    await session.query('BEGIN');
    await session.query('SET LOCAL synchronous_commit = local');
    await session.query(
      `INSERT INTO rampart.suspended (name, value, run_id) VALUES ($1, $2, $3)
       ON CONFLICT (name) DO UPDATE SET value = excluded.value, run_id = excluded.run_id, at = now()`,
      [keyOf(node, name), value, tokenOf(cluster.context).runId],
    );
    await session.query('COMMIT');
  });
  await changeSetting(cluster, node, name, '');
}

const SUSPENDABLE: Setting[] = ['synchronous_standby_names', 'synchronized_standby_slots'];

/** What is suspended on this node, by setting. One that somebody has set since is not suspended any more. */
export async function readSuspended(cluster: Cluster, node: PgNode): Promise<Map<Setting, string>> {
  const [there] = await query(cluster, node, `SELECT to_regclass('rampart.suspended') IS NOT NULL AS there`);
  if (there!.there !== true) return new Map();
  const rows = await query<{ name: string; value: string; now: string | null }>(
    cluster,
    node,
    `SELECT name, value, current_setting(split_part(name, '@', 1), true) AS now
     FROM rampart.suspended WHERE name = ANY($1)`,
    [SUSPENDABLE.map((name) => keyOf(node, name))],
  );
  const empty = rows.filter(({ now }) => (now ?? '') === '');
  return new Map(empty.map(({ name, value }) => [name.split('@')[0] as Setting, value]));
}

/** Forgets what somebody has set since: whoever empties it later means that. The server must be writable. */
export async function forgetDecided(cluster: Cluster, node: PgNode): Promise<void> {
  await ensureControlTables(cluster, node);
  await query(
    cluster,
    node,
    `DELETE FROM rampart.suspended WHERE name = ANY($1) AND current_setting(split_part(name, '@', 1), true) <> ''`,
    [SUSPENDABLE.map((name) => keyOf(node, name))],
  );
}

/** Puts a suspended setting back. */
export async function restoreSetting(cluster: Cluster, node: PgNode, name: Setting, value: string): Promise<void> {
  await changeSetting(cluster, node, name, value);
  await query(cluster, node, 'DELETE FROM rampart.suspended WHERE name = $1', [keyOf(node, name)]);
}
