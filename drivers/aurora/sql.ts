/** What the databases themselves say. Aurora does not support PostgreSQL's own functions for places in the log. */
import type { DBCluster } from '@aws-sdk/client-rds';
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Lag, Position } from '../ports.ts';
import type { SqlServer } from '../sql/server.ts';
import { query } from '../sql/session.ts';
import type { Aurora, AuroraNode } from './config.ts';

/** How far one side is, by `aurora_global_db_status()`. */
export interface Reached {
  /** AWS region. */
  region: string;
  lsn: bigint;
  /** RPO lag in milliseconds; -1 for the primary. */
  lagMs: number;
  /** Age of the calculation in milliseconds, by the database's clock; 0 for the primary. */
  ageMs: number;
}

export interface Told {
  recovering: boolean;
  reached: Reached[];
}

/**
 * Where the database of a node listens; `null`: the provider names no address, as for a cluster without instances.
 * @param as the writer endpoint of a side that is not the writer leads nowhere: readers have one of their own
 */
export function serverOf(
  aurora: Aurora,
  node: AuroraNode,
  cluster: DBCluster | null,
  as: 'writer' | 'reader',
): SqlServer | null {
  const named = as === 'writer' ? cluster?.Endpoint : (cluster?.ReaderEndpoint ?? cluster?.Endpoint);
  const host = node.host ?? named ?? null;
  if (host === null) return null;
  const { user, password } = aurora.config;
  return { name: node.name, region: node.region, host, port: node.port ?? cluster?.Port ?? 5432, user, password };
}

const GLOBAL = `SELECT aws_region, highest_lsn_written::text AS lsn, rpo_lag_in_msec::float8 AS lag,
  CASE WHEN durability_lag_in_msec = -1 THEN 0
    ELSE extract(epoch FROM clock_timestamp() - last_lag_calculation_time) * 1000 END::float8 AS age
  FROM aurora_global_db_status()`;
/** One volume under all instances: what is durable is durable for each of them. */
const REGIONAL = `SELECT '' AS aws_region, max(durable_lsn)::text AS lsn, -1::float8 AS lag, 0::float8 AS age
  FROM aurora_replica_status()`;

/** @throws RampartError as the session does: ProviderUnavailable, AccessDenied, PreconditionFailed */
export async function ask(aurora: Aurora, server: SqlServer): Promise<Told> {
  const [role] = await query<{ recovering: boolean }>(aurora.sql, server, 'SELECT pg_is_in_recovery() AS recovering');
  const rows = await query<{ aws_region: string; lsn: string | null; lag: number | null; age: number | null }>(
    aurora.sql,
    server,
    aurora.globalCluster === null ? REGIONAL : GLOBAL,
  ).catch((error: unknown) => {
    // Without the function the place is not known; who may write is.
    if (error instanceof RampartError && error.type !== 'ProviderUnavailable') return [];
    throw error;
  });
  const reached = rows.flatMap(({ aws_region: region, lsn, lag, age }) =>
    // A side that never told anything has an age without end, which no reading may have.
    lsn === null ? [] : [{ region, lsn: BigInt(lsn), lagMs: lag ?? 0, ageMs: finite(age) }],
  );
  return { recovering: role!.recovering, reached };
}

const finite = (age: number | null): number =>
  age !== null && Number.isFinite(age) ? Math.max(0, age) : Number.MAX_SAFE_INTEGER;

/** @param generation stands for the timeline */
export function placeOf(reached: Reached | undefined, generation: number | null): Position | null {
  if (reached === undefined || generation === null) return null;
  return { text: `LSN ${reached.lsn}`, order: reached.lsn.toString(), timeline: generation };
}

/** What a node's own row is. */
export function rowOf(aurora: Aurora, told: Told | null, node: AuroraNode): Reached | undefined {
  if (told === null) return undefined;
  if (aurora.globalCluster === null) return told.reached[0];
  return told.reached.find(({ region }) => region === node.place.region);
}

/** The lag that the database tells; `null` when it tells none. */
export function lagTold(aurora: Aurora, told: Told | null, node: AuroraNode, writer: AuroraNode): Lag | null {
  const [mine, theirs] = [rowOf(aurora, told, node), rowOf(aurora, told, writer)];
  if (mine === undefined || theirs === undefined) return null;
  const measuredAt = aurora.context.now();
  // One volume: nothing that was acknowledged can be missing on an instance of it.
  if (aurora.globalCluster === null) return { bytes: 0, seconds: 0, measuredAt, freshnessMs: 0, fresh: true };
  const behind = theirs.lsn - mine.lsn;
  const bytes = behind > 0n ? Number(behind) : 0;
  return {
    bytes,
    seconds: bytes === 0 ? 0 : Math.max(0, mine.lagMs) / 1000,
    measuredAt,
    freshnessMs: Math.round(mine.ageMs),
    fresh: mine.ageMs <= aurora.config.lagFreshness,
  };
}

export const nodeOfSide = (aurora: Aurora, region: RegionName): AuroraNode =>
  aurora.nodes.find((node) => node.region === region)!;
