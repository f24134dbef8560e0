/** What a planned or unplanned failover must know of a server before it begins: one query per node. */

import { query } from '../sql/session.ts';
import type { Cluster, PgNode } from './config.ts';

export interface Readiness {
  checksums: boolean;
  walLogHints: boolean;
  /** Settings that a standby must have at least as high as its primary. */
  limits: Record<string, number>;
  hotStandby: boolean;
  walLevel: string;
  fullPageWrites: boolean;
  walKeepBytes: number;
  maxSlotKeepBytes: number;
  maxWalSenders: number;
  preparedTransactions: number;
  /** Seconds of the longest running query of a client, 0 = none. */
  longestQuerySeconds: number;
  runningBackups: number;
  /** `null` = no archiving. `failing` = its last attempt failed. */
  archiver: { failing: boolean; waiting: number | null } | null;
  logicalSlots: Array<{ name: string; failover: boolean; synced: boolean; temporary: boolean; invalid: string | null }>;
  databases: string[];
  /** Rights of the role that Rampart works as. */
  rights: {
    superuser: boolean;
    replication: boolean;
    checkpoint: boolean;
    promote: boolean;
    monitor: boolean;
    signal: boolean;
  };
  replicationHba: boolean | null;
}

const LIMITS = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
];

export async function readReadiness(cluster: Cluster, node: PgNode, version: number): Promise<Readiness> {
  // Columns of pg_replication_slots that tell of failover slots came with PostgreSQL 17.
  const slots =
    version >= 170_000
      ? `json_build_object('name', slot_name, 'failover', failover, 'synced', synced, 'temporary', temporary, 'invalid', invalidation_reason)`
      : `json_build_object('name', slot_name, 'failover', false, 'synced', false, 'temporary', temporary, 'invalid', NULL)`;
  const [row] = await query<Row>(
    cluster,
    node,
    `SELECT current_setting('data_checksums') = 'on' AS checksums,
       current_setting('wal_log_hints') = 'on' AS wal_log_hints,
       (SELECT json_object_agg(name, setting::int) FROM pg_settings WHERE name = ANY($1)) AS limits,
       current_setting('hot_standby') = 'on' AS hot_standby,
       current_setting('wal_level') AS wal_level,
       current_setting('full_page_writes') = 'on' AS full_page_writes,
       pg_size_bytes(current_setting('wal_keep_size'))::float8 AS wal_keep,
       CASE WHEN current_setting('max_slot_wal_keep_size') = '-1' THEN -1
         ELSE pg_size_bytes(current_setting('max_slot_wal_keep_size')) END::float8 AS slot_keep,
       (SELECT count(*)::int FROM pg_prepared_xacts) AS prepared,
       (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0)::float8 FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()) AS longest,
       (SELECT count(*)::int FROM pg_stat_progress_basebackup) AS backups,
       CASE WHEN current_setting('archive_mode') <> 'off' THEN
         (SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) FROM pg_stat_archiver) END AS archiver_failing,
       (SELECT coalesce(json_agg(${slots}), '[]') FROM pg_replication_slots WHERE slot_type = 'logical') AS logical_slots,
       (SELECT array_agg(datname::text) FROM pg_database) AS databases,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
       (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS replication,
       pg_has_role('pg_checkpoint', 'usage') AS checkpoint,
       pg_has_role('pg_monitor', 'usage') AS monitor,
       pg_has_role('pg_signal_backend', 'usage') AS signal,
       has_function_privilege('pg_promote(boolean, integer)', 'execute') AS promote`,
    [LIMITS],
  );
  return {
    checksums: row!.checksums,
    walLogHints: row!.wal_log_hints,
    limits: row!.limits,
    hotStandby: row!.hot_standby,
    walLevel: row!.wal_level,
    fullPageWrites: row!.full_page_writes,
    walKeepBytes: row!.wal_keep,
    maxSlotKeepBytes: row!.slot_keep,
    maxWalSenders: row!.limits.max_wal_senders ?? 0,
    preparedTransactions: row!.prepared,
    longestQuerySeconds: row!.longest,
    runningBackups: row!.backups,
    archiver:
      row!.archiver_failing === null
        ? null
        : { failing: row!.archiver_failing, waiting: await archiveBacklog(cluster, node) },
    logicalSlots: row!.logical_slots,
    databases: row!.databases,
    rights: {
      superuser: row!.superuser,
      replication: row!.replication,
      checkpoint: row!.checkpoint,
      promote: row!.promote,
      monitor: row!.monitor,
      signal: row!.signal,
    },
    replicationHba: await mayReplicate(cluster, node),
  };
}

/** Segments that wait for the archiver: a fast stop waits for them. `null` = no right to look. */
async function archiveBacklog(cluster: Cluster, node: PgNode): Promise<number | null> {
  const rows = await query<{ waiting: number }>(
    cluster,
    node,
    `SELECT count(*)::int AS waiting FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`,
  ).catch(() => []);
  return rows[0]?.waiting ?? null;
}

/** Whether pg_hba.conf has any line for replication over the network; `null` = no right to look. */
async function mayReplicate(cluster: Cluster, node: PgNode): Promise<boolean | null> {
  const rows = await query<{ found: boolean }>(
    cluster,
    node,
    `SELECT EXISTS (SELECT FROM pg_hba_file_rules
       WHERE 'replication' = ANY(database) AND type LIKE 'host%' AND auth_method <> 'reject') AS found`,
  ).catch(() => []);
  return rows[0]?.found ?? null;
}

interface Row {
  checksums: boolean;
  wal_log_hints: boolean;
  limits: Record<string, number>;
  hot_standby: boolean;
  wal_level: string;
  full_page_writes: boolean;
  wal_keep: number;
  slot_keep: number;
  prepared: number;
  longest: number;
  backups: number;
  archiver_failing: boolean | null;
  logical_slots: Readiness['logicalSlots'];
  databases: string[];
  superuser: boolean;
  replication: boolean;
  checkpoint: boolean;
  monitor: boolean;
  signal: boolean;
  promote: boolean;
}
