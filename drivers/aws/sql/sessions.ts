/** Ends the sessions of a service on a managed PostgreSQL server whose doors are closed. */
import { RampartError } from '../../errors.ts';
import { poll } from '../../poll.ts';
import type { Position } from '../../ports.ts';
import { positionAt } from '../../sql/lsn.ts';
import type { SqlComponent, SqlServer } from '../../sql/server.ts';
import { query } from '../../sql/session.ts';
import { readDoors, sessionsInDatabases } from './doors.ts';

/** How long to go on ending sessions that are slow to leave, in milliseconds. */
const TERMINATE_MS = 10_000;
/** Between the two looks: a session that was let in just before the door closed shows by then. Milliseconds. */
const SECOND_LOOK_MS = 100;

export interface EndedSessions {
  ended: number;
  /** Of them, sessions that waited for a synchronous replica: their commits may be here and nowhere else. */
  cancelledWaiters: number;
}

/**
 * Ends the sessions in the service's databases and looks twice that none is left and nobody can log in.
 * @throws DeadlineExceeded when some do not go; NotApplied when a door opened meanwhile
 */
export async function endSessions(cluster: SqlComponent, server: SqlServer): Promise<EndedSessions> {
  const { context } = cluster;
  let ended = 0;
  let cancelledWaiters = 0;
  let emptySince: number | null = null;
  const done = await poll({ signal: context.signal, deadlineMs: TERMINATE_MS, intervalMs: 10 }, async () => {
    const [row] = await query<{ ended: number; waiters: number }>(
      cluster,
      server,
      // A superuser's session, and one of no role, may not be ended: asking would fail for all of them.
      `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))::int AS ended,
         count(*) FILTER (WHERE waiting)::int AS waiters
       FROM (SELECT a.pid, a.wait_event = 'SyncRep' AS waiting FROM ${sessionsInDatabases}
         AND EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.usesysid AND NOT r.rolsuper)) s`,
    );
    ended += row!.ended;
    cancelledWaiters = Math.max(cancelledWaiters, row!.waiters);
    const doors = await readDoors(cluster, server);
    if (doors.open.length > 0) {
      throw new RampartError(
        'NotApplied',
        `${server.name}: ${doors.open[0]} was let in again while it was being fenced`,
        {
          remedy: 'Find who changes connection limits or roles meanwhile (automation?), and stop it.',
        },
      );
    }
    if (row!.ended > 0 || doors.sessions > 0) emptySince = null;
    else emptySince ??= performance.now();
    context.heartbeat({ node: server.name, doing: 'ending sessions', left: doors.sessions });
    return emptySince !== null && performance.now() - emptySince >= SECOND_LOOK_MS ? true : undefined;
  });
  if (done === undefined) {
    throw new RampartError('DeadlineExceeded', `sessions on ${server.name} did not end within ${TERMINATE_MS} ms`, {
      remedy: `Role ${server.user} needs pg_signal_backend; drop logical subscriptions and background jobs, or end them by hand.`,
    });
  }
  return { ended, cancelledWaiters };
}

/** End of the log now. With nobody left who can write, it is beyond the last acknowledged commit. */
export async function endOfLog(cluster: SqlComponent, server: SqlServer): Promise<Position> {
  const [row] = await query<{ position: string; timeline: string }>(
    cluster,
    server,
    `SELECT pg_current_wal_insert_lsn()::text AS position, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline`,
  );
  return positionAt(row!.position, Number.parseInt(row!.timeline, 16))!;
}
