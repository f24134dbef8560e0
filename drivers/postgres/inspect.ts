/** Looks at a database address: for `rampart init`, which writes a first topology from what it finds. */
import { parseConninfo } from '../sql/status.ts';

export interface Address {
  host: string;
  port: number;
  user: string;
  password?: string;
  database: string;
}

export interface Inspection {
  role: 'primary' | 'replica';
  systemId: string;
  /** For example `18.4`. */
  version: string;
  timeline: number;
  dataDirectory: string | null;
  clusterName: string;
  /** Replica: what it streams from and through which slot; `null` without the right to see it. */
  upstream: { host: string; port: number; slot: string | null } | null;
  /** Primary: names of the replicas that stream from it. */
  replicas: string[];
  databases: string[];
}

/** @throws the connection's own error, which says what is wrong (address, credentials, database) */
export async function inspect(address: Address, timeoutMs = 5_000): Promise<Inspection> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({
    host: address.host,
    port: address.port,
    user: address.user,
    ...(address.password === undefined ? {} : { password: address.password }),
    database: address.database,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    application_name: 'rampart init',
  });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rows } = await client.query(`
      SELECT recovering, (SELECT system_identifier::text FROM pg_control_system()) AS system_id,
        current_setting('server_version') AS version, current_setting('cluster_name') AS cluster_name,
        (SELECT setting FROM pg_settings WHERE name = 'data_directory') AS data_directory,
        (SELECT setting FROM pg_settings WHERE name = 'primary_conninfo') AS conninfo,
        (SELECT setting FROM pg_settings WHERE name = 'primary_slot_name') AS slot,
        CASE WHEN recovering THEN (SELECT timeline_id FROM pg_control_checkpoint())
          ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
        (SELECT coalesce(array_agg(application_name ORDER BY application_name), '{}') FROM pg_stat_replication) AS replicas,
        (SELECT array_agg(datname::text ORDER BY datname) FROM pg_database WHERE NOT datistemplate) AS databases
      FROM (SELECT pg_is_in_recovery() AS recovering) s`);
    const row = rows[0];
    const conninfo = parseConninfo(row.conninfo ?? '');
    const host = conninfo.get('host') ?? conninfo.get('hostaddr');
    return {
      role: row.recovering ? 'replica' : 'primary',
      systemId: row.system_id,
      version: String(row.version).split(' ')[0]!,
      timeline: row.timeline,
      dataDirectory: row.data_directory,
      clusterName: row.cluster_name,
      upstream:
        row.recovering && host !== undefined
          ? { host, port: Number(conninfo.get('port') ?? 5432), slot: row.slot === '' ? null : row.slot }
          : null,
      replicas: row.replicas,
      databases: row.databases,
    };
  } finally {
    await client.end().catch(() => {});
  }
}
