/** What one server says about itself in one round trip. Works on PostgreSQL 15 to 18. */
import { RampartError } from '../errors.ts';
import type { Position } from '../ports.ts';
import { positionAt } from './lsn.ts';
import type { SqlComponent, SqlServer } from './server.ts';
import { type QueryOptions, query } from './session.ts';

export interface StandbyRow {
  pid: number;
  applicationName: string;
  slot: string | null;
  state: string | null;
  replay: Position | null;
  sync: string | null;
  /** Milliseconds since the replica last reported. */
  replyAgeMs: number | null;
}

export interface SlotRow {
  name: string;
  type: 'physical' | 'logical';
  active: boolean;
  temporary: boolean;
  walStatus: string | null;
  /** Where the log it keeps begins; `null` = it keeps none. */
  restart: string | null;
}

export interface ServerStatus {
  systemId: string;
  version: number;
  inRecovery: boolean;
  timeline: number;
  /** Writable: end of the flushed log, which every acknowledged commit lies below. Replica: applied. */
  position: Position | null;
  /** Replica: received and flushed; a segment start after a restart without its primary, so information only. */
  received: Position | null;
  upstream: { conninfo: string; host: string; port: number; slot: string | null } | null;
  /** Whether a receiver runs, and how long ago it last heard anything; `null` = no receiver, or no right to see it. */
  receiver: { status: string; heardAgeMs: number | null } | null;
  /** For certain there is no receiver: nothing arrives. Without the right to see it this is known as well. */
  receiverGone: boolean;
  /** Age of the newest commit that was applied, in milliseconds by the replica's clock. */
  applyAgeMs: number | null;
  paused: boolean;
  applyDelayMs: number;
  /** Promoted since its last start: the last position it applied as a replica, where it left the older timeline. */
  fork: Position | null;
  /** `synchronous_standby_names`; empty = asynchronous. */
  syncNames: string;
  /** `synchronized_standby_slots`; empty also before PostgreSQL 17. */
  syncSlots: string;
  syncCommit: string;
  /** Longest time a commit may be acknowledged before it is in the log, in milliseconds; 0 = none is. */
  asyncCommitMs: number;
  /** Sessions that wait for a synchronous replica right now. */
  syncWaiters: number;
  standbys: StandbyRow[];
  slots: SlotRow[];
}

const STATUS = `
WITH state AS MATERIALIZED (SELECT pg_is_in_recovery() AS recovering)
SELECT recovering,
  (SELECT system_identifier::text FROM pg_control_system()) AS system_id,
  current_setting('server_version_num')::int AS version,
  CASE WHEN NOT recovering THEN pg_current_wal_flush_lsn()::text END AS flushed,
  CASE WHEN NOT recovering THEN substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8) END AS wal_timeline,
  (SELECT timeline_id FROM pg_control_checkpoint()) AS checkpoint_timeline,
  (SELECT min_recovery_end_timeline FROM pg_control_recovery()) AS recovery_timeline,
  pg_last_wal_replay_lsn()::text AS applied,
  CASE WHEN recovering THEN pg_last_wal_receive_lsn()::text END AS received,
  CASE WHEN recovering THEN pg_is_wal_replay_paused() ELSE false END AS paused,
  CASE WHEN recovering THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000 END::float8 AS apply_age,
  (SELECT json_object_agg(name, setting) FROM pg_settings WHERE name IN
    ('recovery_min_apply_delay', 'primary_conninfo', 'primary_slot_name', 'wal_writer_delay', 'synchronized_standby_slots')) AS settings,
  current_setting('synchronous_standby_names') AS sync_names,
  current_setting('synchronous_commit') AS sync_commit,
  CASE WHEN current_setting('synchronous_commit') = 'off'
      OR EXISTS (SELECT FROM pg_db_role_setting, unnest(setconfig) AS s WHERE s = 'synchronous_commit=off')
    THEN true ELSE false END AS async_commit,
  (SELECT count(*)::int FROM pg_stat_activity WHERE wait_event = 'SyncRep') AS sync_waiters,
  (SELECT json_build_object('status', status, 'timeline', received_tli, 'host', sender_host, 'port', sender_port, 'slot', slot_name,
      'age', extract(epoch FROM clock_timestamp() - last_msg_receipt_time) * 1000)
    FROM pg_stat_wal_receiver LIMIT 1) AS receiver,
  (SELECT coalesce(json_agg(json_build_object('pid', r.pid, 'name', r.application_name, 'slot', s.slot_name, 'state', r.state,
      'replay', r.replay_lsn::text, 'sync', r.sync_state,
      'age', extract(epoch FROM clock_timestamp() - r.reply_time) * 1000)), '[]')
    FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid) AS standbys,
  (SELECT coalesce(json_agg(json_build_object('name', slot_name, 'type', slot_type, 'active', active, 'temporary', temporary,
      'walStatus', wal_status, 'restart', restart_lsn::text)), '[]') FROM pg_replication_slots) AS slots
FROM state`;

/** @throws RampartError as {@link query} does */
export async function readStatus(
  cluster: SqlComponent,
  node: SqlServer,
  options: QueryOptions = {},
): Promise<ServerStatus> {
  const [row] = await query<StatusRow>(cluster, node, STATUS, [], options);
  return statusFrom(row!, await timelineOf(cluster, node, row!, options));
}

/**
 * A replica that streams knows its timeline. One that has lost its primary does not say: its control file is behind
 * until the next restart point. The names of the log segments it holds tell.
 */
async function timelineOf(
  cluster: SqlComponent,
  node: SqlServer,
  row: StatusRow,
  options: QueryOptions,
): Promise<number> {
  if (!row.recovering) return Number.parseInt(row.wal_timeline!, 16);
  const known = Math.max(row.receiver?.timeline ?? 0, row.recovery_timeline ?? 0, row.checkpoint_timeline);
  if (row.receiver?.timeline) return known;
  const rows = await query<{ newest: string | null }>(
    cluster,
    node,
    `SELECT max(substr(name, 1, 8)) AS newest FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'`,
    [],
    options,
  ).catch((error: unknown) => {
    // Without the right to look, the control file has to do.
    if (error instanceof RampartError && error.type === 'AccessDenied') return [];
    throw error;
  });
  return Math.max(known, Number.parseInt(rows[0]?.newest ?? '0', 16));
}

interface StatusRow {
  recovering: boolean;
  system_id: string;
  version: number;
  flushed: string | null;
  wal_timeline: string | null;
  checkpoint_timeline: number;
  recovery_timeline: number | null;
  applied: string | null;
  received: string | null;
  paused: boolean;
  apply_age: number | null;
  /** Hidden ones are missing. */
  settings: Record<string, string>;
  sync_names: string;
  sync_commit: string;
  async_commit: boolean;
  sync_waiters: number;
  receiver: {
    status: string | null;
    timeline: number | null;
    host: string | null;
    port: number | null;
    slot: string | null;
    age: number | null;
  } | null;
  standbys: Array<{
    pid: number;
    name: string;
    slot: string | null;
    state: string | null;
    replay: string | null;
    sync: string | null;
    age: number | null;
  }>;
  slots: SlotRow[];
}

function statusFrom(row: StatusRow, timeline: number): ServerStatus {
  const { receiver } = row;
  const conninfo = parseConninfo(row.settings.primary_conninfo ?? '');
  return {
    systemId: row.system_id,
    version: row.version,
    inRecovery: row.recovering,
    timeline,
    position: positionAt(row.recovering ? row.applied : row.flushed, timeline),
    received: positionAt(row.received, timeline),
    upstream: upstreamOf(row, conninfo),
    receiver:
      receiver === null || receiver.status === null ? null : { status: receiver.status, heardAgeMs: receiver.age },
    receiverGone: receiver === null,
    applyAgeMs: row.apply_age,
    paused: row.paused,
    applyDelayMs: Number(row.settings.recovery_min_apply_delay ?? 0),
    fork: row.recovering ? null : positionAt(row.applied, timeline - 1),
    syncNames: row.sync_names.trim(),
    syncSlots: (row.settings.synchronized_standby_slots ?? '').trim(),
    syncCommit: row.sync_commit,
    asyncCommitMs: row.async_commit ? 3 * Number(row.settings.wal_writer_delay ?? 200) : 0,
    syncWaiters: row.sync_waiters,
    standbys: row.standbys.map((standby) => ({
      pid: standby.pid,
      applicationName: standby.name,
      slot: standby.slot,
      state: standby.state,
      replay: positionAt(standby.replay, timeline),
      sync: standby.sync,
      replyAgeMs: standby.age,
    })),
    slots: row.slots,
  };
}

function upstreamOf(row: StatusRow, conninfo: Map<string, string>): ServerStatus['upstream'] {
  if (!row.recovering) return null;
  const host = conninfo.get('host') ?? conninfo.get('hostaddr') ?? row.receiver?.host ?? '';
  if (host === '') return null;
  return {
    conninfo: row.settings.primary_conninfo ?? '',
    host,
    port: Number(conninfo.get('port') ?? row.receiver?.port ?? 5432),
    slot: row.settings.primary_slot_name || null,
  };
}

/** Reads libpq's `key=value` form, quotes and backslashes included. */
export function parseConninfo(text: string): Map<string, string> {
  const result = new Map<string, string>();
  const pairs = /(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))/g;
  for (const match of text.matchAll(pairs)) {
    result.set(match[1]!, (match[2] ?? match[3] ?? '').replaceAll(/\\(.)/g, '$1'));
  }
  return result;
}

/** Writes libpq's `key=value` form. */
export function formatConninfo(values: Iterable<[string, string]>): string {
  return [...values]
    .map(([key, value]) => `${key}=${/^[\w./:-]+$/.test(value) ? value : `'${value.replaceAll(/['\\]/g, '\\$&')}'`}`)
    .join(' ');
}
