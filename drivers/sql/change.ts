/** Changes of a server that must happen now or not at all. */
import { RampartError } from '../errors.ts';
import type { SqlComponent, SqlServer } from './server.ts';
import { query } from './session.ts';

/**
 * Longest a statement may take on the server, in milliseconds: less than this end waits for its answer. One that waits
 * for somebody's lock and was given up here alone would close a door whenever it gets the lock, also after an unfence.
 */
const STATEMENT_MS = 4_000;

/**
 * Runs one statement. A replica that is gone must not hold up the run that deals with it, so the commit waits for none.
 * @throws RampartError ProviderUnavailable when the server did not get to it in time, and then never will
 */
export async function changeServer(component: SqlComponent, server: SqlServer, statement: string): Promise<void> {
  const settings = `SET LOCAL synchronous_commit = local; SET LOCAL statement_timeout = ${STATEMENT_MS}`;
  await query(component, server, `${settings}; ${statement}`).catch((error: unknown) => {
    // 57014: query_canceled.
    if (!(error instanceof RampartError) || error.details.code !== '57014') throw error;
    throw new RampartError('ProviderUnavailable', `${server.name} did not do in ${STATEMENT_MS} ms: ${statement}`, {
      remedy:
        'Somebody holds a lock on it (pg_locks, pg_stat_activity): end that transaction. It is tried again by itself.',
      cause: error,
    });
  });
}
