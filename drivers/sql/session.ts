/**
 * Sessions to PostgreSQL servers. They are kept between calls, so that a step in the freeze finds one open
 * (the sampler keeps them warm), and every query has a bound and honours the call's signal.
 */
import { readFile } from 'node:fs/promises';
import type { Pool, PoolClient, QueryResultRow } from 'pg';
import { type ErrorType, RampartError } from '../errors.ts';
import type { DriverContext } from '../ports.ts';
import { addressOf, type SqlComponent, type SqlConfig, type SqlServer } from './server.ts';

/** Longest wait for an answer on an open session, in milliseconds; a server that hangs is not reachable. */
const QUERY_TIMEOUT_MS = 5_000;
/** How long an unused session stays open, in milliseconds. */
const IDLE_MS = 60_000;

const pools = new Map<string, Promise<Pool>>();
/** Sessions that have served before, which may therefore have died since. */
const used = new WeakSet<PoolClient>();

export interface QueryOptions {
  /** The control database when absent. */
  database?: string;
  /** Milliseconds for the answer. */
  timeoutMs?: number;
  /** Milliseconds for a new connection; the component's `connectTimeout` when absent. */
  connectTimeoutMs?: number;
}

/** A session for several statements. */
export interface Session {
  query<Row extends QueryResultRow = QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
}

/**
 * One query on a kept session.
 * @throws RampartError: AccessDenied for credentials and rights, ProviderUnavailable when nobody answered in time;
 * other failures as PreconditionFailed with the server's own words
 */
export function query<Row extends QueryResultRow = QueryResultRow>(
  cluster: SqlComponent,
  node: SqlServer,
  text: string,
  values: unknown[] = [],
  options: QueryOptions = {},
): Promise<Row[]> {
  return withSession(cluster, node, options, (session) => session.query<Row>(text, values));
}

/** Runs `work` with one session of the node; errors as for {@link query}. */
export async function withSession<T>(
  cluster: SqlComponent,
  node: SqlServer,
  options: QueryOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { context } = cluster;
  context.signal.throwIfAborted();
  const pool = await poolOf(cluster, node, options);
  for (;;) {
    try {
      const client = await connected(pool, context.signal);
      const kept = used.has(client);
      used.add(client);
      try {
        return await onClient(client, context.signal, work, options.timeoutMs ?? QUERY_TIMEOUT_MS);
      } catch (error) {
        // A kept session may have died with its server: a new one tells what is really the matter. Every statement
        // of this driver may run twice. A session that hangs is not tried again.
        if (!kept || !isBroken(error) || isTimeout(error) || context.signal.aborted) throw error;
      }
    } catch (error) {
      context.signal.throwIfAborted();
      throw translate(error, node);
    }
  }
}

/** Closes every kept session: for the end of a worker and of tests. */
export async function closeSessions(): Promise<void> {
  const open = [...pools.values()];
  pools.clear();
  await Promise.all(open.map(async (pool) => (await pool).end()));
}

async function onClient<T>(
  client: PoolClient,
  signal: AbortSignal,
  work: (session: Session) => Promise<T>,
  timeoutMs: number,
): Promise<T> {
  let released = false;
  const release = (error?: Error | boolean): void => {
    if (released) return;
    released = true;
    client.release(error);
  };
  // Cutting the connection is the only way to leave a query that hangs, for instance on a synchronous commit.
  const abort = (): void => release(true);
  signal.addEventListener('abort', abort, { once: true });
  try {
    const result = await work({
      query: async (text, values) => {
        // node-postgres knows a bound per query that its types do not mention.
        const bounded = { text, values: values ?? [], query_timeout: timeoutMs };
        return (await client.query(bounded)).rows as never;
      },
    });
    release();
    return result;
  } catch (error) {
    // After an error of the server itself the session is as good as before, unless a transaction is open.
    release(isBroken(error) ? true : await leftTransaction(client));
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function leftTransaction(client: PoolClient): Promise<boolean> {
  return client.query('ROLLBACK').then(
    () => false,
    () => true,
  );
}

function connected(pool: Pool, signal: AbortSignal): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    pool
      .connect()
      .then(
        (client) => {
          if (signal.aborted) client.release();
          else resolve(client);
        },
        (error) => reject(error),
      )
      .finally(() => signal.removeEventListener('abort', abort));
  });
}

function poolOf(cluster: SqlComponent, node: SqlServer, options: QueryOptions): Promise<Pool> {
  const { config, context } = cluster;
  const database = options.database ?? config.controlDatabase;
  const connectTimeout = options.connectTimeoutMs ?? config.connectTimeout;
  const key = JSON.stringify([
    ...[node.host, node.port, database, node.user, node.password, config.ssl, config.sslRootCert, connectTimeout],
  ]);
  let pool = pools.get(key);
  if (pool === undefined) {
    pool = openPool(config, context, node, database, connectTimeout);
    pool.catch(() => pools.delete(key));
    pools.set(key, pool);
  }
  return pool;
}

async function openPool(
  config: SqlConfig,
  context: DriverContext,
  node: SqlServer,
  database: string,
  connectTimeout: number,
): Promise<Pool> {
  const { default: pg } = await import('pg');
  const { secret } = context;
  const reference = node.password;
  const pool = new pg.Pool({
    host: node.host,
    port: node.port,
    user: node.user,
    database,
    // Read again for each new session, so that a rotated password is found.
    password: reference === undefined ? undefined : () => secret(reference),
    ssl: await tlsOf(config),
    application_name: 'rampart',
    max: 4,
    idleTimeoutMillis: IDLE_MS,
    allowExitOnIdle: true,
    connectionTimeoutMillis: connectTimeout,
    keepAlive: true,
  });
  // A session that breaks is replaced by the next call; without a listener, its error would end the process. The
  // pool listens for its idle sessions only: one that breaks in somebody's hands needs a listener of its own.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

async function tlsOf(config: SqlConfig): Promise<false | { rejectUnauthorized: boolean; ca?: string }> {
  if (config.ssl === 'disable') return false;
  if (config.ssl === 'require') return { rejectUnauthorized: false };
  return {
    rejectUnauthorized: true,
    ...(config.sslRootCert === undefined ? {} : { ca: await readFile(config.sslRootCert, 'utf8') }),
  };
}

const codeOf = (error: unknown): string => String((error as { code?: unknown }).code ?? '');
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** SQLSTATEs have five characters and come with a severity; socket errors have names such as ECONNREFUSED. */
const isServerError = (error: unknown): boolean => (error as { severity?: unknown }).severity !== undefined;

/** The session cannot be used any more. */
function isBroken(error: unknown): boolean {
  // Of the work itself, or of another session that it used: nothing is wrong with this one.
  if (error instanceof RampartError) return false;
  const code = codeOf(error);
  if (isServerError(error)) return code.startsWith('57P') || code.startsWith('08');
  return true;
}

const isTimeout = (error: unknown): boolean => /timeout/i.test(messageOf(error));

/** What a failed query means, in the closed set of errors. Never holds the query or its values. */
export function translate(error: unknown, node: SqlServer): unknown {
  if (error instanceof RampartError) return error;
  const code = codeOf(error);
  const where = `${node.name} (${addressOf(node)})`;
  const [type, remedy] = classify(code, error, node);
  if (type === undefined) return error;
  return new RampartError(type, `${where}: ${messageOf(error)}${code === '' ? '' : ` [${code}]`}`, {
    remedy,
    cause: error,
    details: { node: node.name, code },
  });
}

function classify(code: string, error: unknown, node: SqlServer): [ErrorType | undefined, string] {
  if (code === '42501') {
    return ['AccessDenied', `Give role ${node.user} the missing right; \`rampart doctor\` prints the statement.`];
  }
  if (code.startsWith('28')) {
    return ['AccessDenied', `Check user ${node.user}, its password reference and pg_hba.conf of ${node.name}.`];
  }
  if (code === '3D000' || code === '55000') {
    return ['PreconditionFailed', 'Check `database` and `controlDatabase` of the component.'];
  }
  if (isServerError(error) && !isBroken(error) && !code.startsWith('53')) {
    return ['PreconditionFailed', `Look at the log of ${node.name}.`];
  }
  if (isServerError(error) || isSocketError(error)) {
    return [
      'ProviderUnavailable',
      `See that ${node.name} runs and that ${addressOf(node)} can be reached from this worker.`,
    ];
  }
  return [undefined, ''];
}

function isSocketError(error: unknown): boolean {
  return (
    /^E[A-Z]+$/.test(codeOf(error)) ||
    /timeout|terminated|not queryable|Connection|socket|server does not support SSL/i.test(messageOf(error))
  );
}
