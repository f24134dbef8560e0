/**
 * The fence for a server that can only be reached by SQL: every database but the control database refuses new
 * connections, and every session in them is ended.
 *
 * Why `ALTER DATABASE … ALLOW_CONNECTIONS false`: it also stops superusers, is durable, needs no file, and leaves the
 * replication connections alone, which belong to no database. `default_transaction_read_only` stops nobody who says
 * `BEGIN READ WRITE`, and `NOLOGIN` must be said role by role, superusers and those made tomorrow included. The
 * control database stays open, for Rampart and for the way back; that is why the service must not live in it.
 * The catalogue is replicated, so the target refuses connections too until `promote` opens the same databases there.
 * The old primary goes on writing log of its own (checkpoints, vacuum): it needs a rewind before it can follow.
 */

import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Position } from '../ports.ts';
import { changeServer } from '../sql/change.ts';
import { positionAt } from '../sql/lsn.ts';
import { query, withSession } from '../sql/session.ts';
import { tokenOf } from '../store-claims.ts';
import type { Cluster, PgNode } from './config.ts';
import type { ClosedDatabases } from './fence-state.ts';
import { ensureControlTables } from './record.ts';

/** How long to go on ending sessions that are slow to leave, in milliseconds. */
const TERMINATE_MS = 10_000;
/** Between the two looks: a session that was let in just before the door closed shows by then. Milliseconds. */
const SECOND_LOOK_MS = 100;

/**
 * Sessions that could write to a service's database. Walsenders with a database run SQL as well. Autovacuum writes
 * nothing that was acknowledged to anybody.
 */
const SESSIONS = `
  FROM pg_stat_activity a JOIN pg_database d ON d.oid = a.datid
  WHERE d.datname = ANY($1) AND a.backend_type NOT IN ('autovacuum worker', 'autovacuum launcher')
    AND a.pid <> pg_backend_pid()`;

/** The databases a fence closes: every one that accepts connections, without templates and the control database. */
export async function databasesToClose(cluster: Cluster, node: PgNode): Promise<string[]> {
  const rows = await query<{ datname: string }>(
    cluster,
    node,
    `SELECT datname FROM pg_database
     WHERE datallowconn AND NOT datistemplate AND datname <> current_database() ORDER BY datname`,
  );
  return rows.map((row) => row.datname);
}

export async function readClosed(cluster: Cluster, node: PgNode, databases: string[]): Promise<ClosedDatabases> {
  const [row] = await query<{ open: string[]; sessions: number }>(
    cluster,
    node,
    `SELECT (SELECT coalesce(array_agg(datname::text), '{}') FROM pg_database WHERE datname = ANY($1) AND datallowconn) AS open,
       (SELECT count(*)::int ${SESSIONS}) AS sessions`,
    [databases],
  );
  return row!;
}

/** The row in `rampart.suspended` that lists closed databases. */
const CLOSED = 'closed_databases';

export async function rememberClosed(cluster: Cluster, node: PgNode, databases: string[]): Promise<void> {
  await ensureControlTables(cluster, node);
  await withSession(cluster, node, {}, async (session) => {
    await session.query('BEGIN');
    await session.query('SET LOCAL synchronous_commit = local');
    await session.query(
      `INSERT INTO rampart.suspended (name, value, run_id) VALUES ($1, $2, $3)
       ON CONFLICT (name) DO UPDATE SET value = excluded.value, run_id = excluded.run_id, at = now()`,
      [CLOSED, JSON.stringify(databases), tokenOf(cluster.context).runId],
    );
    await session.query('COMMIT');
  });
}

/** Opens what a fence by SQL closed here, or closed on the old primary and brought along by replication. */
export async function openRemembered(cluster: Cluster, node: PgNode): Promise<string[]> {
  const [there] = await query(cluster, node, `SELECT to_regclass('rampart.suspended') IS NOT NULL AS there`);
  if (there!.there !== true) return [];
  const [row] = await query<{ value: string }>(cluster, node, 'SELECT value FROM rampart.suspended WHERE name = $1', [
    CLOSED,
  ]);
  if (row === undefined) return [];
  const opened = await openDatabases(cluster, node, JSON.parse(row.value) as string[]);
  await changeServer(cluster, node, `DELETE FROM rampart.suspended WHERE name = '${CLOSED}'`);
  return opened;
}

/** Refuses new connections to the databases. Closed already is fine. */
export async function closeDatabases(cluster: Cluster, node: PgNode, databases: string[]): Promise<void> {
  await setAllowed(cluster, node, databases, false);
}

/** Lets connections in again. @returns the databases that were closed */
async function openDatabases(cluster: Cluster, node: PgNode, databases: string[]): Promise<string[]> {
  return setAllowed(cluster, node, databases, true);
}

async function setAllowed(cluster: Cluster, node: PgNode, databases: string[], allowed: boolean): Promise<string[]> {
  if (databases.length === 0) return [];
  const rows = await query<{ datname: string; statement: string }>(
    cluster,
    node,
    `SELECT datname::text, format('ALTER DATABASE %I WITH ALLOW_CONNECTIONS ${allowed}', datname) AS statement
     FROM pg_database WHERE datname = ANY($1) AND datallowconn <> ${allowed} ORDER BY datname`,
    [databases],
  );
  for (const { statement } of rows) await changeServer(cluster, node, statement);
  return rows.map((row) => row.datname);
}

export interface EndedSessions {
  ended: number;
  /** Of them, sessions that waited for a synchronous replica: their commits may be here and nowhere else. */
  cancelledWaiters: number;
  /** End of the log after the last of them. */
  final: Position;
}

/**
 * Ends the sessions in closed databases and looks twice that none is left.
 * @throws DeadlineExceeded when some do not go, for instance a superuser's without the right to end it
 */
export async function endSessions(cluster: Cluster, node: PgNode, databases: string[]): Promise<EndedSessions> {
  const { context } = cluster;
  let ended = 0;
  let cancelledWaiters = 0;
  let emptySince: number | null = null;
  const done = await poll({ signal: context.signal, deadlineMs: TERMINATE_MS, intervalMs: 10 }, async () => {
    const [row] = await query<{ ended: number; waiters: number }>(
      cluster,
      node,
      `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))::int AS ended,
         count(*) FILTER (WHERE waiting)::int AS waiters
       FROM (SELECT a.pid, a.wait_event = 'SyncRep' AS waiting ${SESSIONS}) s`,
      [databases],
    );
    ended += row!.ended;
    cancelledWaiters = Math.max(cancelledWaiters, row!.waiters);
    if (row!.ended > 0) emptySince = null;
    const closed = await readClosed(cluster, node, databases);
    if (closed.sessions > 0) emptySince = null;
    else emptySince ??= performance.now();
    context.heartbeat({ node: node.name, doing: 'ending sessions', left: closed.sessions });
    return emptySince !== null && performance.now() - emptySince >= SECOND_LOOK_MS ? true : undefined;
  });
  if (done === undefined) {
    throw new RampartError('DeadlineExceeded', `sessions on ${node.name} did not end within ${TERMINATE_MS} ms`, {
      remedy: `Role ${node.user} needs pg_signal_backend, and superuser to end superusers' sessions; or end them by hand.`,
    });
  }
  // Read twice: nobody can write any more, so the first value is already beyond the last acknowledged commit.
  const [row] = await query<{ position: string; timeline: string }>(
    cluster,
    node,
    `SELECT pg_current_wal_insert_lsn()::text AS position, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline`,
  );
  return { ended, cancelledWaiters, final: positionAt(row!.position, Number.parseInt(row!.timeline, 16))! };
}
