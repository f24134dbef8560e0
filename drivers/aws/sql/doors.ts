/**
 * Who can log in to a managed PostgreSQL server, and how a service is kept out of it without being a superuser.
 *
 * First door: `ALTER DATABASE … CONNECTION LIMIT 0`, which the database's owner may say. It stops every role that is no
 * superuser, also one made tomorrow, is durable, and lets the provider's own superuser (`rdsadmin`) go on looking after
 * the instance. `ALLOW_CONNECTIONS false` would lock that one out as well. Second door, for databases whose owner
 * Rampart's role is not: `ALTER ROLE … NOLOGIN`, which needs CREATEROLE, and from PostgreSQL 16 the ADMIN OPTION on the
 * role. Revoking CONNECT would do no more than either and is harder to take back as it was.
 *
 * Nothing is believed: who can still log in is computed from the catalogue after it, over the roles that exist then.
 * The control database stays open, for Rampart and for the way back; so the service must not live in it.
 */
import { RampartError } from '../../errors.ts';
import { changeServer } from '../../sql/change.ts';
import type { SqlComponent, SqlServer } from '../../sql/server.ts';
import { query } from '../../sql/session.ts';
import { ensureTables } from '../../sql/tables.ts';

/** What a fence changed, as it was before: kept in the control database before anything is changed, and replicated. */
export interface SavedDoors {
  /** Connection limit by database; -1 = none. */
  databases: Record<string, number>;
  /** Roles that could log in. */
  roles: string[];
}

export interface Doors {
  /** `role in database`: logins that would succeed. */
  open: string[];
  /** Sessions in the service's databases, Rampart's own too. */
  sessions: number;
}

/** The provider's own superuser. It writes nothing that was acknowledged to anybody, and nobody else can act as it. */
const PROVIDER = `('rdsadmin')`;
/** Databases that a service can be in. */
const DATABASES = `d.datallowconn AND NOT d.datistemplate AND d.datname <> current_database() AND d.datname <> 'rdsadmin'`;
/** Autovacuum writes nothing that was acknowledged to anybody. */
const SESSIONS = `pg_stat_activity a JOIN pg_database d ON d.oid = a.datid
  WHERE ${DATABASES} AND a.backend_type NOT IN ('autovacuum worker', 'autovacuum launcher')
    AND a.pid <> pg_backend_pid() AND a.usename IS DISTINCT FROM 'rdsadmin'`;
/** Logins that would succeed, Rampart's own role apart. A superuser passes any limit. */
const LOGINS = `pg_roles r CROSS JOIN pg_database d
  WHERE ${DATABASES} AND r.rolcanlogin AND r.rolname <> current_user AND r.rolname NOT IN ${PROVIDER}
    AND (r.rolsuper OR (d.datconnlimit <> 0 AND r.rolconnlimit <> 0 AND has_database_privilege(r.oid, d.oid, 'CONNECT')))`;

/** The row in `rampart.suspended` that holds {@link SavedDoors}. */
const SAVED = 'logins';

/** Who could log in now, and how many sessions there are. */
export async function readDoors(cluster: SqlComponent, server: SqlServer): Promise<Doors> {
  const [row] = await query<Doors & Record<string, unknown>>(
    cluster,
    server,
    `SELECT (SELECT coalesce(array_agg(format('%s in %s', r.rolname, d.datname) ORDER BY d.datname, r.rolname), '{}')
         FROM ${LOGINS}) AS open,
       (SELECT count(*)::int FROM ${SESSIONS}) AS sessions`,
  );
  return { open: row!.open, sessions: row!.sessions };
}

/**
 * Closes every door that this role may close. Closed already is fine.
 * @param runId whose fence it is, for people who find the row
 * @throws AccessDenied when somebody could still log in, with the statements that would help
 */
export async function closeDoors(cluster: SqlComponent, server: SqlServer, runId: string): Promise<SavedDoors> {
  await ensureDoorTables(cluster, server);
  const before = await readSaved(cluster, server);
  const saved: SavedDoors = before ?? { databases: {}, roles: [] };
  const databases = await query<{ name: string; limit: number; statement: string }>(
    cluster,
    server,
    `SELECT datname::text AS name, datconnlimit AS limit, format('ALTER DATABASE %I WITH CONNECTION LIMIT 0', datname) AS statement
     FROM pg_database d WHERE ${DATABASES} AND datconnlimit <> 0 AND pg_has_role(datdba, 'USAGE') ORDER BY 1`,
  );
  // What was saved first is the original: a fence that was cut off has changed some of it since.
  for (const { name, limit } of databases) saved.databases[name] ??= limit;
  if (databases.length > 0) await save(cluster, server, saved, runId);
  for (const { statement } of databases) await changeServer(cluster, server, statement);

  const roles = await query<{ name: string; statement: string }>(
    cluster,
    server,
    `SELECT DISTINCT r.rolname::text AS name, format('ALTER ROLE %I NOLOGIN', r.rolname) AS statement
     FROM ${LOGINS} AND NOT r.rolsuper AND ${MAY_ALTER} ORDER BY 1`,
  );
  saved.roles = [...new Set([...saved.roles, ...roles.map(({ name }) => name)])];
  if (roles.length > 0) await save(cluster, server, saved, runId);
  for (const { statement } of roles) await changeServer(cluster, server, statement);
  await assertClosed(cluster, server);
  return saved;
}

/** Whether Rampart's role may alter role `r`: from PostgreSQL 16 CREATEROLE is not enough. */
const MAY_ALTER = `(SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user)
  AND (current_setting('server_version_num')::int < 160000 OR pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION'))`;

async function assertClosed(cluster: SqlComponent, server: SqlServer): Promise<void> {
  const { open } = await readDoors(cluster, server);
  if (open.length === 0) return;
  throw new RampartError('AccessDenied', `${server.name} cannot be fenced by SQL: ${few(open)} could still log in`, {
    remedy: doorRemedy(server),
  });
}

export const doorRemedy = (server: SqlServer): string =>
  `Make ${server.user} able to close the databases: GRANT <owner of the database> TO ${server.user}; or the roles: ` +
  `ALTER ROLE ${server.user} CREATEROLE, and from PostgreSQL 16 GRANT <role> TO ${server.user} WITH ADMIN OPTION.`;

export const few = (names: string[]): string =>
  names.length <= 4 ? names.join(', ') : `${names.slice(0, 4).join(', ')} and ${names.length - 4} more`;

/** Logins that this role could not keep out: for preflight, changes nothing. */
export async function doorsThatStayOpen(cluster: SqlComponent, server: SqlServer): Promise<string[]> {
  const rows = await query<{ login: string }>(
    cluster,
    server,
    `SELECT format('%s in %s', r.rolname, d.datname) AS login
     FROM ${LOGINS} AND (r.rolsuper OR NOT (pg_has_role(d.datdba, 'USAGE') OR (${MAY_ALTER}))) ORDER BY 1`,
  );
  return rows.map(({ login }) => login);
}

/**
 * Lets everybody in again that a fence kept out, here or on the old primary whose catalogue was replicated.
 * @returns what was opened, for people
 */
export async function openDoors(cluster: SqlComponent, server: SqlServer): Promise<string[]> {
  const saved = await readSaved(cluster, server);
  if (saved === null) return [];
  const statements = await query<{ name: string; statement: string }>(
    cluster,
    server,
    // Not what somebody has set since: only what still stands as the fence left it.
    `SELECT datname::text AS name, format('ALTER DATABASE %I WITH CONNECTION LIMIT %s', datname, $1::jsonb ->> datname::text) AS statement
       FROM pg_database WHERE $1::jsonb ? datname::text AND datconnlimit = 0
     UNION ALL
     SELECT rolname::text, format('ALTER ROLE %I LOGIN', rolname) FROM pg_roles WHERE rolname = ANY($2) AND NOT rolcanlogin
     ORDER BY 1`,
    [JSON.stringify(saved.databases), saved.roles],
  );
  for (const { statement } of statements) await changeServer(cluster, server, statement);
  await changeServer(cluster, server, `DELETE FROM rampart.suspended WHERE name = '${SAVED}'`);
  return statements.map(({ name }) => name);
}

/** Makes the tables that a fence needs, where they are missing: before the freeze. The server must be writable. */
export function ensureDoorTables(cluster: SqlComponent, server: SqlServer): Promise<void> {
  return ensureTables(cluster, server, cluster.config.controlDatabase, {
    suspended:
      'name text PRIMARY KEY, value text NOT NULL, run_id text NOT NULL, at timestamptz NOT NULL DEFAULT now()',
  });
}

/** What a fence has saved here; `null` = none is in force, or it was taken back. */
export async function readSaved(cluster: SqlComponent, server: SqlServer): Promise<SavedDoors | null> {
  const value = await readSuspended(cluster, server, SAVED);
  return value === null ? null : (JSON.parse(value) as SavedDoors);
}

function save(cluster: SqlComponent, server: SqlServer, saved: SavedDoors, runId: string): Promise<void> {
  return writeSuspended(cluster, server, SAVED, JSON.stringify(saved), runId);
}

/** A value kept in the control database beside the data, so that it is replicated with it. `null` = not there. */
export async function readSuspended(cluster: SqlComponent, server: SqlServer, name: string): Promise<string | null> {
  const [there] = await query(cluster, server, `SELECT to_regclass('rampart.suspended') IS NOT NULL AS there`);
  if (there!.there !== true) return null;
  const [row] = await query<{ value: string }>(cluster, server, 'SELECT value FROM rampart.suspended WHERE name = $1', [
    name,
  ]);
  return row?.value ?? null;
}

export async function writeSuspended(
  cluster: SqlComponent,
  server: SqlServer,
  name: string,
  value: string,
  runId: string,
): Promise<void> {
  await query(
    cluster,
    server,
    `INSERT INTO rampart.suspended (name, value, run_id) VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value, run_id = excluded.run_id, at = now()`,
    [name, value, runId],
  );
}

export const sessionsInDatabases = SESSIONS;
