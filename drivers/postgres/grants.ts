/**
 * The least rights that Rampart's role needs, as SQL for an administrator, and a check that names the missing ones.
 * A superuser needs none of them.
 */

import type { Component } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext } from '../ports.ts';
import { query } from '../sql/session.ts';
import { type Cluster, openCluster, type PgNode } from './config.ts';
import { asFailure } from './reading.ts';

export interface Grant {
  /** What it is for. */
  why: string;
  /** The statement that gives it, run by a superuser on the primary; in `database` where that matters. */
  sql: string;
  /** Database to run it in; any when absent. */
  database?: string;
  /** A query that gives one boolean `held`, for the role that runs it. */
  check: string;
  /** Needed only for a fence by SQL, a repair with pg_rewind, PostgreSQL 17 and later, …; `null` = always. */
  onlyFor: 'sqlFence' | 'rewind' | null;
  /** First server version that knows it, as `server_version_num`. */
  since?: number;
}

const REWIND_FUNCTIONS = [
  'pg_ls_dir(text, boolean, boolean)',
  'pg_stat_file(text, boolean)',
  'pg_read_binary_file(text)',
  'pg_read_binary_file(text, bigint, bigint, boolean)',
];

/** A name as an SQL identifier. */
const ident = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

/** Every right the role needs, in the order to give them. */
export function grantsFor(cluster: Pick<Cluster, 'config'>, role: string): Grant[] {
  const { database, controlDatabase } = cluster.config;
  const user = ident(role);
  const parameter = (name: string, since?: number): Grant => ({
    why: `set ${name} on a new primary or replica`,
    sql: `GRANT SET, ALTER SYSTEM ON PARAMETER ${name} TO ${user};`,
    check: `SELECT has_parameter_privilege('${name}', 'ALTER SYSTEM') AS held`,
    onlyFor: null,
    ...(since === undefined ? {} : { since }),
  });
  const member = (name: string, why: string, onlyFor: Grant['onlyFor'] = null): Grant => ({
    why,
    sql: `GRANT ${name} TO ${user};`,
    check: `SELECT pg_has_role('${name}', 'usage') AS held`,
    onlyFor,
  });
  const execute = (name: string, why: string, onlyFor: Grant['onlyFor'] = null): Grant => ({
    why,
    sql: `GRANT EXECUTE ON FUNCTION ${name} TO ${user};`,
    // Functions, and the rights on them, belong to a database.
    database: controlDatabase,
    check: `SELECT has_function_privilege('${name}', 'execute') AS held`,
    onlyFor,
  });
  const schema = (name: string): Grant => ({
    why: "Rampart's own tables (write probe, claims)",
    sql: `CREATE SCHEMA IF NOT EXISTS rampart AUTHORIZATION ${user};`,
    database: name,
    check: `SELECT coalesce(has_schema_privilege(to_regnamespace('rampart')::oid, 'create'), has_database_privilege(current_database(), 'create')) AS held`,
    onlyFor: null,
  });
  return [
    member('pg_monitor', 'read replication, settings and sessions'),
    member('pg_checkpoint', 'checkpoint before the freeze and after the promotion'),
    {
      why: 'make and drop replication slots',
      sql: `ALTER ROLE ${user} REPLICATION;`,
      check: 'SELECT rolreplication AS held FROM pg_roles WHERE rolname = current_user',
      onlyFor: null,
    },
    execute('pg_promote(boolean, integer)', 'promote'),
    execute('pg_reload_conf()', 'make changed settings take effect'),
    parameter('primary_conninfo'),
    parameter('primary_slot_name'),
    parameter('synchronous_standby_names'),
    parameter('synchronized_standby_slots', 170_000),
    schema(database),
    ...(controlDatabase === database ? [] : [schema(controlDatabase)]),
    member('pg_signal_backend', 'end sessions for a fence by SQL', 'sqlFence'),
    {
      why: 'close and open the database for a fence by SQL',
      sql: `-- as the owner of ${ident(database)} or a superuser: GRANT <owner of ${ident(database)}> TO ${user};`,
      check: `SELECT pg_has_role(datdba, 'usage') AS held FROM pg_database WHERE datname = '${database.replaceAll("'", "''")}'`,
      onlyFor: 'sqlFence',
    },
    ...['pg_wal_replay_pause()', 'pg_wal_replay_resume()'].map((name) =>
      execute(name, 'keep a corruption out of a replica while the service is halted'),
    ),
    ...REWIND_FUNCTIONS.map((name) => execute(name, 'be the source of pg_rewind', 'rewind')),
  ];
}

export interface MissingGrants {
  node: string;
  region: string;
  /** Why the node could not be asked; `null` = it could. */
  problem: string | null;
  missing: Grant[];
}

/** Asks every node which rights the role lacks there. A superuser lacks none. */
export async function checkGrants(component: Component, context: DriverContext): Promise<MissingGrants[]> {
  const cluster = openCluster(component, context);
  return Promise.all(
    cluster.nodes.map(async (node) => {
      const found = await missingOn(cluster, node).catch(asFailure);
      return found instanceof RampartError
        ? { node: node.name, region: node.region, problem: found.message, missing: [] }
        : { node: node.name, region: node.region, problem: null, missing: found };
    }),
  );
}

async function missingOn(cluster: Cluster, node: PgNode): Promise<Grant[]> {
  const [who] = await query<{ superuser: boolean; version: number }>(
    cluster,
    node,
    `SELECT rolsuper AS superuser, current_setting('server_version_num')::int AS version FROM pg_roles WHERE rolname = current_user`,
  );
  if (who!.superuser) return [];
  const missing: Grant[] = [];
  for (const grant of grantsFor(cluster, node.user)) {
    if (grant.since !== undefined && who!.version < grant.since) continue;
    if (grant.onlyFor === 'sqlFence' && node.fence !== 'sql') continue;
    if (grant.onlyFor === 'rewind' && cluster.config.repair === 'basebackup') continue;
    const options = grant.database === undefined ? {} : { database: grant.database };
    const [row] = await query<{ held: boolean | null }>(cluster, node, grant.check, [], options);
    if (row?.held !== true) missing.push(grant);
  }
  return missing;
}
