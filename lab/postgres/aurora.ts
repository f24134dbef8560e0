/**
 * What Aurora adds to PostgreSQL and this driver asks for, on a real pair that stands behind an emulated one: the places
 * and lags of `aurora_global_db_status()` and `aurora_replica_status()`, from streaming replication. The nodes must be
 * named (`cluster_name`, `application_name`) after their regions, without the number at the end.
 */
export const AURORA_FUNCTIONS = `
CREATE FUNCTION aurora_global_db_status() RETURNS TABLE (aws_region text, highest_lsn_written bigint,
  durability_lag_in_msec bigint, rpo_lag_in_msec bigint, last_lag_calculation_time timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT current_setting('cluster_name') || '-1', (pg_current_wal_flush_lsn() - '0/0')::bigint, -1::bigint, -1::bigint,
    'epoch'::timestamptz WHERE NOT pg_is_in_recovery()
  UNION ALL
  SELECT application_name || '-1', (replay_lsn - '0/0')::bigint,
    coalesce(extract(epoch FROM replay_lag) * 1000, 0)::bigint,
    coalesce(extract(epoch FROM replay_lag) * 1000, 0)::bigint, clock_timestamp()
  FROM pg_stat_replication WHERE replay_lsn IS NOT NULL
$$;
CREATE FUNCTION aurora_replica_status() RETURNS TABLE (server_id text, session_id text, durable_lsn bigint)
LANGUAGE sql STABLE AS $$
  SELECT current_setting('cluster_name'), 'MASTER_SESSION_ID', (CASE WHEN pg_is_in_recovery()
    THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint
$$;
`;
