/**
 * How far a replica is behind, in bytes and seconds, with the age of the reading.
 *
 * Bytes: the upstream's position is read first and the replica's afterwards, so a caught-up replica shows 0 and the
 * error is on the safe side. Seconds: how long the replica takes to apply what the source had, or, when that is too
 * long to wait for, the age of the newest remembered position of the primary that it has applied, or of the newest
 * commit it applied, whichever is less; both are upper bounds.
 */
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Lag, Millis, Position } from '../ports.ts';
import { bytesBetween, positionAt } from './lsn.ts';
import type { SqlComponent, SqlServer } from './server.ts';
import { query } from './session.ts';
import type { ServerStatus } from './status.ts';

/** Positions of primaries that this process has seen, newest last, by component and system identifier (copies share one). */
const seen = new Map<string, Array<{ order: bigint; at: Millis }>>();
const REMEMBERED = 1_200;
/** How long a replica that is behind is watched, to measure by how much, milliseconds. */
const MEASURE_MS = 300;

/** Remembers where the primary was. `at` = before the reading was asked for. */
export function rememberPosition(cluster: SqlComponent, systemId: string, position: Position | null, at: Millis): void {
  if (position === null) return;
  const key = keyOf(cluster, systemId);
  const list = seen.get(key) ?? [];
  const order = BigInt(position.order);
  const last = list.at(-1);
  if (last !== undefined && (order < last.order || at < last.at)) {
    // Another timeline begins lower: what was remembered of the old one says nothing about it.
    if (order < last.order) list.length = 0;
    else return;
  }
  list.push({ order, at });
  if (list.length > REMEMBERED) list.splice(0, list.length - REMEMBERED);
  seen.set(key, list);
}

const keyOf = (cluster: SqlComponent, systemId: string): string => `${cluster.component} ${systemId}`;

/** Measures a replica against what it streams from. */
export async function lagBehind(
  cluster: SqlComponent,
  node: SqlServer,
  upstream: SqlServer,
  status: ServerStatus,
): Promise<Lag> {
  const { context } = cluster;
  const asked = context.now();
  const started = performance.now();
  try {
    const source = await presentPosition(cluster, upstream);
    if (source === null || source.systemId !== status.systemId) return staleLag(cluster, status.systemId);
    rememberPosition(cluster, source.systemId, source.inRecovery ? null : source.position, asked);
    const first = await appliedBy(cluster, node);
    if (first === null) return staleLag(cluster, status.systemId);
    const readMs = performance.now() - started;
    const bytes = Math.max(0, bytesBetween(source.position, first.position));
    return {
      bytes,
      seconds: bytes === 0 ? 0 : await secondsBehind(cluster, node, status.systemId, source.position, asked),
      measuredAt: context.now(),
      freshnessMs: Math.round(readMs),
      fresh: readMs <= cluster.config.lagFreshness,
    };
  } catch (error) {
    if (!(error instanceof RampartError)) throw error;
    return staleLag(cluster, status.systemId);
  }
}

async function presentPosition(
  cluster: SqlComponent,
  node: SqlServer,
): Promise<{ systemId: string; inRecovery: boolean; position: Position } | null> {
  const [row] = await query<{ system_id: string; recovering: boolean; position: string | null }>(
    cluster,
    node,
    `SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_id, recovering,
       CASE WHEN recovering THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END::text AS position
     FROM (SELECT pg_is_in_recovery() AS recovering) s`,
  );
  const position = positionAt(row!.position, 0);
  return position === null ? null : { systemId: row!.system_id, inRecovery: row!.recovering, position };
}

/** No reading: the source's present position is not known. */
export function staleLag(cluster: SqlComponent, systemId: string): Lag {
  const now = cluster.context.now();
  const last = seen.get(keyOf(cluster, systemId))?.at(-1);
  return { bytes: null, seconds: null, measuredAt: now, freshnessMs: now - (last?.at ?? 0), fresh: false };
}

interface Applied {
  position: Position;
  /** Age of the newest commit among it, in milliseconds by the replica's clock. */
  ageMs: number | null;
}

async function appliedBy(cluster: SqlComponent, node: SqlServer): Promise<Applied | null> {
  const [row] = await query<{ applied: string | null; age: number | null }>(
    cluster,
    node,
    `SELECT pg_last_wal_replay_lsn()::text AS applied,
       (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::float8 AS age`,
  );
  const position = positionAt(row!.applied, 0);
  return position === null ? null : { position, ageMs: row!.age };
}

/**
 * Measured, where the replica is close: the time until it has applied what the source had when it was asked. Else the
 * least of what is known to be no less than the lag. The age of the last applied commit alone would call a pair that
 * was idle for an hour an hour behind at its next commit.
 */
async function secondsBehind(
  cluster: SqlComponent,
  node: SqlServer,
  systemId: string,
  source: Position,
  asked: Millis,
): Promise<number | null> {
  const { context } = cluster;
  let last: Applied | null = null;
  const reached = await poll({ signal: context.signal, deadlineMs: MEASURE_MS, intervalMs: 5 }, async () => {
    last = (await appliedBy(cluster, node)) ?? last;
    return last !== null && BigInt(last.position.order) >= BigInt(source.order) ? context.now() : undefined;
  });
  if (reached !== undefined) return (reached - asked) / 1000;
  return last === null ? null : leastBound(cluster, systemId, last);
}

function leastBound(cluster: SqlComponent, systemId: string, { position, ageMs }: Applied): number | null {
  const order = BigInt(position.order);
  const known = seen.get(keyOf(cluster, systemId)) ?? [];
  const passed = known.findLast((entry) => entry.order <= order);
  const bounds = [
    ...(passed === undefined ? [] : [cluster.context.now() - passed.at]),
    // Below zero the clocks differ, and the age says nothing.
    ...(ageMs === null || ageMs < 0 ? [] : [ageMs]),
  ];
  return bounds.length === 0 ? null : Math.min(...bounds) / 1000;
}
