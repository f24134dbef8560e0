/** Whether a managed PostgreSQL server takes writes, by its own word. */
import type { SqlComponent, SqlServer } from '../../sql/server.ts';
import { type QueryOptions, query } from '../../sql/session.ts';

export interface ServerRole {
  inRecovery: boolean;
  /** `server_version_num`, e.g. 160009. */
  version: number;
}

/** @throws RampartError AccessDenied, ProviderUnavailable or PreconditionFailed as drivers/sql/session.ts says */
export async function readRole(
  cluster: SqlComponent,
  server: SqlServer,
  options: QueryOptions = {},
): Promise<ServerRole> {
  const [row] = await query<{ recovering: boolean; version: number }>(
    cluster,
    server,
    `SELECT pg_is_in_recovery() AS recovering, current_setting('server_version_num')::int AS version`,
    [],
    options,
  );
  return { inRecovery: row!.recovering, version: row!.version };
}
