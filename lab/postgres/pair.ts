/**
 * A real PostgreSQL primary with streaming replicas, in about 1.3 s.
 *
 * ```ts
 * const { bin } = await installPart('postgres');
 * const primary = await createPrimary({ dir: join(home, 'a'), port: await freePort(), bin });
 * const replica = await createReplica({ from: primary, dir: join(home, 'b'), port: await freePort(), slot: 'b' });
 * // … both run; primary.url is the superuser's, urlOf(primary, 'app') the application's
 * await stopPostgres(primary.data);
 * ```
 */
import { appendFileSync, chownSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { type Identity, postgresIdentity } from '../paths.ts';
import { createNodeFolder, dataDirectory, runTool, writeNodeSettings } from './node.ts';
import { startPostgres } from './server.ts';

export interface PostgresNode {
  /** Folder of the node: `data/`, `node.conf`, `postgres.log`. */
  dir: string;
  /** Its data directory. */
  data: string;
  port: number;
  /** Folder of the tools that made it. */
  bin: string;
  /** Superuser `rampart`, database `app`. */
  url: string;
}

/** Passwords of the lab. Sessions over TCP need them (scram), so that wrong credentials are wrong here too. */
export const LAB_PASSWORDS = { rampart: 'rampart-lab', app: 'app-lab' } as const;
/** The database that the lab's application uses. */
export const LAB_DATABASE = 'app';

/** Connection string of a role to a node, or to any `host:port` in front of it. */
export function urlOf(
  at: { host?: string; port: number },
  role: keyof typeof LAB_PASSWORDS = 'rampart',
  database: string = LAB_DATABASE,
): string {
  return `postgres://${role}:${LAB_PASSWORDS[role]}@${at.host ?? '127.0.0.1'}:${at.port}/${database}`;
}

export interface PrimaryOptions {
  /** Folder of the node, made if missing. Must be enterable for the user that runs PostgreSQL (`postgresHome()`). */
  dir: string;
  port: number;
  /** Folder with initdb, postgres, … */
  bin: string;
  /** Shown as `cluster_name`; the folder's last part by default. */
  name?: string;
  /** Further settings for `postgresql.conf`; they reach replicas too, since these copy the file. */
  settings?: Record<string, string | number>;
  /** Further arguments of initdb. */
  initdb?: string[];
  identity?: Identity | undefined;
}

/**
 * Makes and starts a primary: checksums on, `wal_log_hints` and commit timestamps on (as pg_rewind and loss
 * statements need them), fsync off (the lab kills processes, not the kernel). Roles: superuser `rampart`
 * and `app`, which owns the database `app`.
 */
export async function createPrimary(options: PrimaryOptions): Promise<PostgresNode> {
  const { dir, port, bin } = options;
  const identity = options.identity ?? postgresIdentity();
  createNodeFolder(dir, identity);
  const data = dataDirectory({ dir });
  const password = join(dir, 'password');
  writeFileSync(password, LAB_PASSWORDS.rampart, { mode: 0o600 });
  if (identity) chownSync(password, identity.uid, identity.gid);
  try {
    await runTool(
      bin,
      'initdb',
      [
        ...['-D', data, '-U', 'rampart', '--pwfile', password, '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C'],
        ...['--data-checksums', '--no-sync', '--no-instructions', ...(options.initdb ?? [])],
      ],
      { identity },
    );
  } finally {
    rmSync(password, { force: true });
  }
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    wal_level: 'replica',
    hot_standby: 'on',
    max_connections: 100,
    max_wal_senders: 10,
    max_replication_slots: 10,
    wal_keep_size: '64MB',
    max_slot_wal_keep_size: '512MB',
    wal_log_hints: 'on',
    track_commit_timestamp: 'on',
    shared_buffers: '32MB',
    fsync: 'off',
    // A replica looks for its primary again after this long; 5 s by default, which makes every test slow.
    wal_retrieve_retry_interval: '100ms',
    log_line_prefix: '%m [%p] %q%u@%d ',
    ...options.settings,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'`);
  appendFileSync(join(data, 'postgresql.conf'), `\n# Lab\n${lines.join('\n')}\ninclude_if_exists '../node.conf'\n`);
  appendFileSync(join(data, 'pg_hba.conf'), 'host replication all 127.0.0.1/32 scram-sha-256\n');
  writeNodeSettings(dir, { port, cluster_name: options.name ?? nameOf(dir) }, identity);
  await startPostgres({ data, bin });
  const node = { dir, data, port, bin, url: urlOf({ port }) };
  await withClient(urlOf({ port }, 'rampart', 'postgres'), async (client) => {
    await client.query(`CREATE ROLE app LOGIN PASSWORD '${LAB_PASSWORDS.app}'`);
    await client.query(`CREATE DATABASE ${LAB_DATABASE} OWNER app`);
  });
  return node;
}

export interface ReplicaOptions {
  /** The primary, or any replica of it. */
  from: { port: number; host?: string; bin: string };
  /** Address the replica streams from, when it is not the primary's own (a proxy between the regions). */
  via?: { host?: string; port: number };
  dir: string;
  port: number;
  /** Physical slot on the primary, made if missing. */
  slot: string;
  name?: string;
  identity?: Identity | undefined;
}

/** Makes a replica with a base backup and starts it. */
export async function createReplica(options: ReplicaOptions): Promise<PostgresNode> {
  const { dir, port, from, slot } = options;
  const identity = options.identity ?? postgresIdentity();
  createNodeFolder(dir, identity);
  const data = dataDirectory({ dir });
  const name = options.name ?? nameOf(dir);
  await withClient(urlOf(from, 'rampart', 'postgres'), (client) =>
    client.query(
      'SELECT pg_create_physical_replication_slot($1, true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)',
      [slot],
    ),
  );
  const source = options.via ?? from;
  const conninfo = `host=${source.host ?? '127.0.0.1'} port=${source.port} user=rampart application_name=${name}`;
  await runTool(
    from.bin,
    'pg_basebackup',
    [
      ...[
        '-D',
        data,
        '-d',
        `${conninfo} password=${LAB_PASSWORDS.rampart}`,
        '-R',
        '-S',
        slot,
        '-X',
        'stream',
        '-c',
        'fast',
      ],
      '--no-sync',
    ],
    { identity },
  );
  writeNodeSettings(dir, { port, cluster_name: name }, identity);
  await startPostgres({ data, bin: from.bin });
  return { dir, data, port, bin: from.bin, url: urlOf({ port }) };
}

/** Runs `work` with one session, closed afterwards. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // Without a listener, a connection that breaks between two queries would end the process.
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

const nameOf = (dir: string): string => dir.split('/').filter(Boolean).at(-1) ?? 'postgres';
