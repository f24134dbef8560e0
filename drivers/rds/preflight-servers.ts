/** What the servers say that stands in the way: rights for the fence, and settings that differ. */
import { doorRemedy, doorsThatStayOpen, few } from '../aws/sql/doors.ts';
import { RampartError } from '../errors.ts';
import type { SqlServer } from '../sql/server.ts';
import { query } from '../sql/session.ts';
import type { Fleet } from './config.ts';
import type { Say } from './preflight.ts';
import { asFailure, known, type SideReading } from './reading.ts';

/** Settings of a primary that a replica must not have less of, or that change what a commit means. */
const COMPARED = [
  'max_connections',
  'max_worker_processes',
  'max_prepared_transactions',
  'max_locks_per_transaction',
  'synchronous_commit',
  'statement_timeout',
  'idle_in_transaction_session_timeout',
  'work_mem',
  'wal_level',
];

export async function serverRules(
  fleet: Fleet,
  source: SideReading,
  target: SideReading,
  mode: string,
  say: Say,
): Promise<void> {
  const primary = known(source.status)?.inRecovery === false ? source.server : null;
  try {
    if (primary !== null) await fenceRights(fleet, primary, source.side.region, mode, say);
    if (primary !== null) await leftovers(fleet, primary, source.side.region, mode, say);
    if (primary !== null && target.server !== null && known(target.status) !== null) {
      await settings(fleet, primary, target.server, target.side.region, say);
    }
  } catch (error) {
    const failure = asFailure(error);
    const code = failure.type === 'AccessDenied' ? 'rds.accessDenied' : 'rds.notRead';
    say(mode === 'planned' ? 'blocker' : 'warning', code, source.side.region, failure.message, failure.remedy);
  }
}

interface Rights {
  monitor: boolean;
  signal: boolean;
  control: boolean;
  there: boolean;
}

async function fenceRights(fleet: Fleet, server: SqlServer, region: string, mode: string, say: Say): Promise<void> {
  const blocks = mode === 'planned' ? 'blocker' : 'warning';
  const { user, database, controlDatabase } = fleet.config;
  const [row] = await query<Rights & Record<string, unknown>>(
    fleet,
    server,
    `SELECT pg_has_role('pg_monitor', 'USAGE') AS monitor, pg_has_role('pg_signal_backend', 'USAGE') AS signal,
       coalesce(has_schema_privilege(to_regnamespace('rampart')::oid, 'CREATE'), has_database_privilege(current_database(), 'CREATE')) AS control,
       EXISTS (SELECT FROM pg_database WHERE datname = $1) AS there`,
    [database],
  );
  const missing = [
    ...(row!.monitor ? [] : [`GRANT pg_monitor TO ${user}`]),
    ...(row!.signal ? [] : [`GRANT pg_signal_backend TO ${user}`]),
    ...(row!.control ? [] : [`GRANT CREATE ON DATABASE ${controlDatabase} TO ${user}`]),
  ];
  if (missing.length > 0) {
    say(
      blocks,
      'rds.rights',
      region,
      `role ${user} lacks rights that the fence needs`,
      `As the master user: ${missing.join('; ')}.`,
    );
  }
  if (!row!.there) {
    say(
      'blocker',
      'rds.database',
      region,
      `there is no database ${database} on ${server.name}`,
      'Check `database` of the component.',
    );
  } else if (await cannotWrite(fleet, server)) {
    say(
      blocks,
      'rds.probeRight',
      region,
      `role ${user} may not make the schema rampart in ${database}: the write probe would fail`,
      `As the owner of ${database}: CREATE SCHEMA rampart AUTHORIZATION ${user}.`,
    );
  }
  const open = await doorsThatStayOpen(fleet, server);
  if (open.length > 0) {
    say(
      blocks,
      'rds.fenceRights',
      region,
      `role ${user} cannot keep ${few(open)} out: there would be no fence`,
      doorRemedy(server),
      mode === 'planned' ? undefined : 'weakFence',
    );
  }
}

async function cannotWrite(fleet: Fleet, server: SqlServer): Promise<boolean> {
  const [row] = await query<{ may: boolean }>(
    fleet,
    server,
    `SELECT coalesce(has_schema_privilege(to_regnamespace('rampart')::oid, 'CREATE'), has_database_privilege(current_database(), 'CREATE')) AS may`,
    [],
    { database: fleet.config.database },
  ).catch((error: unknown) => {
    // Closed by a fence that stands: the probe is on the other side then.
    if (error instanceof RampartError && error.type === 'ProviderUnavailable') return [{ may: true }];
    throw error;
  });
  return !row!.may;
}

/** What would stay behind on the old side: in doubt, or not replicated. */
async function leftovers(fleet: Fleet, server: SqlServer, region: string, mode: string, say: Say): Promise<void> {
  const [row] = await query<{ prepared: number; logical: string[] }>(
    fleet,
    server,
    `SELECT (SELECT count(*)::int FROM pg_prepared_xacts) AS prepared,
       (SELECT coalesce(array_agg(slot_name::text), '{}') FROM pg_replication_slots WHERE slot_type = 'logical') AS logical`,
  );
  if (row!.prepared > 0) {
    say(
      mode === 'planned' ? 'warning' : 'info',
      'rds.preparedTransactions',
      region,
      `${row!.prepared} prepared transactions are open on ${server.name}: they move along, still open`,
      'Commit or roll them back first.',
    );
  }
  if (row!.logical.length > 0) {
    say(
      'warning',
      'rds.logicalSlot',
      region,
      `logical slots (${few(row!.logical)}) do not come along: their consumers start anew on the new primary`,
      'Plan how each consumer gets what it missed.',
    );
  }
}

async function settings(fleet: Fleet, a: SqlServer, b: SqlServer, region: string, say: Say): Promise<void> {
  const read = (server: SqlServer) =>
    query<{ name: string; value: string }>(
      fleet,
      server,
      'SELECT name, current_setting(name) AS value FROM pg_settings WHERE name = ANY($1) ORDER BY name',
      [COMPARED],
    );
  const [primary, replica] = await Promise.all([read(a), read(b)]);
  const other = new Map(replica.map(({ name, value }) => [name, value]));
  const differ = primary.filter(({ name, value }) => other.get(name) !== value);
  if (differ.length === 0) return;
  const list = differ.map(({ name, value }) => `${name} ${value} → ${other.get(name) ?? 'unknown'}`);
  say(
    'warning',
    'rds.settings',
    region,
    `${b.name} has other settings than ${a.name}: ${list.join(', ')}`,
    'Bring the parameter groups of both regions to the same values.',
  );
}
