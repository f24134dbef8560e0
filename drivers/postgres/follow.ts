/** Pointing a node at its primary: connection string, slot, and the proof that it streams. */
import { join } from 'node:path';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Position } from '../ports.ts';
import { type Fork, formatLsn, positionAt } from '../sql/lsn.ts';
import { query } from '../sql/session.ts';
import { formatConninfo, parseConninfo, readStatus, type ServerStatus } from '../sql/status.ts';
import type { Cluster, PgNode } from './config.ts';
import { ownerOf, readIfThere, writeDurably } from './files.ts';
import { asFailure } from './reading.ts';
import type { LocalNode } from './server.ts';
import { changeSetting, readSetting } from './settings.ts';

/** Parts of an old `primary_conninfo` that say where to connect, or that this driver sets itself. */
const REPLACED = [
  'host',
  'hostaddr',
  'port',
  'dbname',
  'replication',
  'fallback_application_name',
  'application_name',
  'options',
];

/**
 * The connection string a node streams with. What it used before (user, password, TLS) is kept, so that a password
 * which Rampart does not know goes on working; what the component says wins.
 */
export async function conninfoFor(cluster: Cluster, node: PgNode, primary: PgNode, before: string): Promise<string> {
  const { config, context } = cluster;
  const { replication } = config;
  const values = parseConninfo(before);
  const dbname = values.get('dbname');
  const name = values.get('application_name') ?? node.name;
  for (const key of REPLACED) values.delete(key);
  if (replication.user !== undefined || !values.has('user')) {
    values.set('user', replication.user ?? primary.user);
    values.delete('password');
  }
  if (replication.passFile !== undefined) {
    values.delete('password');
    values.set('passfile', replication.passFile);
  } else if (replication.password !== undefined) {
    values.set('password', await context.secret(replication.password));
  } else if (
    !values.has('password') &&
    !values.has('passfile') &&
    primary.password !== undefined &&
    values.get('user') === primary.user
  ) {
    values.set('password', await context.secret(primary.password));
  }
  if (config.ssl !== 'disable' && !values.has('sslmode')) values.set('sslmode', config.ssl);
  if (config.sslRootCert !== undefined && !values.has('sslrootcert')) values.set('sslrootcert', config.sslRootCert);
  return formatConninfo([
    ['host', primary.replication.host],
    ['port', String(primary.replication.port)],
    ...values,
    ['application_name', name],
    // Slot synchronisation of PostgreSQL 17 connects to a database.
    ...(dbname === undefined ? [] : [['dbname', dbname] as [string, string]]),
  ]);
}

/** Whether two connection strings say the same. */
export function sameConninfo(a: string, b: string): boolean {
  const [left, right] = [parseConninfo(a), parseConninfo(b)];
  return left.size === right.size && [...left].every(([key, value]) => right.get(key) === value);
}

/** Points a running replica at the primary, through SQL. */
export async function repointRunning(cluster: Cluster, node: PgNode, conninfo: string): Promise<boolean> {
  const present = (await readSetting(cluster, node, 'primary_conninfo')) ?? '';
  const slot = (await readSetting(cluster, node, 'primary_slot_name')) ?? '';
  const wantedSlot = node.slot ?? '';
  if (sameConninfo(present, conninfo) && slot === wantedSlot) return false;
  if (slot !== wantedSlot) await changeSetting(cluster, node, 'primary_slot_name', wantedSlot);
  if (!sameConninfo(present, conninfo)) await changeSetting(cluster, node, 'primary_conninfo', conninfo);
  return true;
}

/** The settings file that `ALTER SYSTEM` writes and that wins over `postgresql.conf`. */
const AUTO_CONF = 'postgresql.auto.conf';

/** Points a stopped server at the primary, through its settings file. */
export async function repointStopped(node: LocalNode, conninfo: string): Promise<void> {
  // It may have been held on its own timeline, and could not follow to another.
  const held = (await readAutoConf(node, TIMELINE)) === 'current';
  await writeAutoConf(node, {
    primary_conninfo: conninfo,
    primary_slot_name: node.slot ?? '',
    ...(held ? { [TIMELINE]: 'latest' } : {}),
  });
}

const TIMELINE = 'recovery_target_timeline';

/**
 * Keeps a node with log of its own on its timeline from its next start on. It would look for the newest one otherwise,
 * and end with an error where the history of that has come to it: then its rows could not be read.
 */
export const holdTimeline = (node: LocalNode, also: Record<string, string> = {}): Promise<void> =>
  writeAutoConf(node, { ...also, [TIMELINE]: 'current' });

/** Whether the running server is held on its timeline: it takes a restart to let go of it. */
export async function isHeld(cluster: Cluster, node: PgNode): Promise<boolean> {
  const [row] = await query<{ value: string }>(cluster, node, `SELECT current_setting('${TIMELINE}') AS value`);
  return row!.value === 'current';
}

/** Replaces settings in `postgresql.auto.conf` of a stopped server, whole and durably; the others stay. */
export async function writeAutoConf(node: LocalNode, settings: Record<string, string>): Promise<void> {
  const path = join(node.dataDir, AUTO_CONF);
  const present =
    (await readIfThere(path)) ??
    '# Do not edit this file manually!\n# It will be overwritten by the ALTER SYSTEM command.\n';
  const kept = present
    .split('\n')
    .filter((line) => !Object.keys(settings).some((name) => new RegExp(`^\\s*${name}\\s*=`, 'i').test(line)))
    .join('\n')
    .trimEnd();
  const added = Object.entries(settings).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`,
  );
  const owner = await ownerOf(node.dataDir);
  await writeDurably(path, `${kept}\n${added.join('\n')}\n`, owner === undefined ? {} : { owner });
}

/** A setting in `postgresql.auto.conf` of a stopped server; the last one counts. */
export async function readAutoConf(node: LocalNode, name: string): Promise<string> {
  const text = (await readIfThere(join(node.dataDir, AUTO_CONF))) ?? '';
  const matches = [...text.matchAll(new RegExp(`^\\s*${name}\\s*=\\s*'((?:[^']|'')*)'`, 'gim'))];
  return (matches.at(-1)?.[1] ?? '').replaceAll("''", "'").replaceAll('\\\\', '\\');
}

/** What the wait for a replica ended with. `cause`: why it never will, as it is; `null` = not known, or it may yet. */
export type Followed =
  | { streaming: true; status: ServerStatus }
  | { streaming: false; cause: 'diverged' | 'logGone' | null; why: string };

/** How long a node may be without its stream before the primary is asked for the log it waits for, milliseconds. */
const LOOK_MS = 1_000;

/**
 * Waits until the node streams from the primary on its timeline.
 * @param fork where the primary left the older timeline, `null` when not known
 */
export async function awaitStreaming(
  cluster: Cluster,
  node: PgNode,
  primary: { node: PgNode; timeline: number; fork: Fork | null },
  deadlineMs: number,
): Promise<Followed> {
  const { context } = cluster;
  let why = 'it was not looked at';
  let lookAt = performance.now() + LOOK_MS;
  const done = await poll<Followed>({ signal: context.signal, deadlineMs, intervalMs: 10 }, async () => {
    const status = await readStatus(cluster, node).catch(asFailure);
    context.heartbeat({ node: node.name, doing: 'waiting for streaming' });
    if (status instanceof RampartError) {
      why = status.message;
      return undefined;
    }
    if (!status.inRecovery) return { streaming: false, cause: null, why: `${node.name} is writable` };
    const { fork } = primary;
    const applied = status.position;
    if (status.receiver?.status === 'streaming' && status.timeline === primary.timeline) {
      const sent = await sentBy(cluster, primary.node, node);
      if (sent !== null && applied !== null && BigInt(applied.order) > BigInt(sent.order)) {
        const ahead = `it applied ${applied.text}, and ${primary.node.name} is at ${sent.text}`;
        return { streaming: false, cause: 'diverged', why: ahead };
      }
      if (sent !== null) return { streaming: true, status };
    }
    why = `it is in recovery on timeline ${status.timeline} at ${applied?.text ?? 'an unknown position'} and does not stream`;
    if (fork !== null && applied !== null && status.timeline <= fork.timeline && BigInt(applied.order) > fork.end) {
      return {
        streaming: false,
        cause: 'diverged',
        why: `it applied ${applied.text}, beyond ${formatLsn(fork.end)} where timeline ${fork.timeline} was left`,
      };
    }
    if (performance.now() < lookAt) return undefined;
    lookAt = performance.now() + LOOK_MS;
    const gone = await goneLog(cluster, primary.node, node);
    return gone === null ? undefined : { streaming: false, cause: 'logGone', why: gone };
  });
  return done ?? { streaming: false, cause: null, why };
}

/**
 * Where the primary is, if it sees the node streaming itself: the node's word alone could be about somebody else.
 * Read after the node, so that a node which follows cannot be beyond it.
 */
async function sentBy(cluster: Cluster, primary: PgNode, node: PgNode): Promise<Position | null> {
  const conninfo = (await readSetting(cluster, node, 'primary_conninfo')) ?? '';
  const rows = await query<{ position: string }>(
    cluster,
    primary,
    `SELECT pg_current_wal_flush_lsn()::text AS position FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
     WHERE r.state = 'streaming' AND (s.slot_name = $1 OR r.application_name = $2) LIMIT 1`,
    [node.slot, parseConninfo(conninfo).get('application_name') ?? node.name],
  );
  return positionAt(rows[0]?.position, 0);
}

/**
 * Whether the primary has let go of the log that the node waits for, in words. With a `restore_command` it may come
 * from an archive yet.
 */
async function goneLog(cluster: Cluster, primary: PgNode, node: PgNode): Promise<string | null> {
  const found = await query<{ waiting: boolean | null; applied: string | null }>(
    cluster,
    node,
    `SELECT pg_last_wal_replay_lsn()::text AS applied, current_setting('restore_command') = '' AND
       (SELECT wait_event IN (${NOTHING_LEFT}) FROM pg_stat_activity WHERE backend_type = 'startup') AS waiting`,
  ).catch(asFailure);
  const own = found instanceof RampartError ? undefined : found[0];
  if (own?.waiting !== true || own.applied === null) return null;
  const rows = await query<{ gone: boolean }>(
    cluster,
    primary,
    `WITH size AS (SELECT setting::numeric AS bytes FROM pg_settings WHERE name = 'wal_segment_size'),
       needed AS (SELECT div($1::pg_lsn - '0/0', bytes) AS number, 4294967296 / bytes AS each FROM size)
     SELECT $1::pg_lsn < pg_current_wal_flush_lsn() AND NOT EXISTS (SELECT FROM pg_ls_waldir(), needed WHERE substr(name, 9) =
       upper(lpad(to_hex(div(number, each)::bigint), 8, '0') || lpad(to_hex(mod(number, each)::bigint), 8, '0'))) AS gone`,
    [own.applied],
  ).catch(asFailure);
  // Without the right to look this is not known.
  if (rows instanceof RampartError || !rows[0]!.gone) return null;
  return `the log from ${own.applied} on, which it needs next, is gone from ${primary.name}`;
}

/** What the startup process waits for when it has replayed all the log that is there. */
export const NOTHING_LEFT = `'RecoveryRetrieveRetryInterval', 'RecoveryWalStream'`;
