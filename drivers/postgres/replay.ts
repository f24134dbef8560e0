/**
 * Pausing the replay of a replica: what it has received stays on its disk and is not applied, so a corruption that has
 * not arrived in its tables yet is kept out of them. Received WAL piles up meanwhile; a restart or a promotion of the
 * replica ends the pause (a promotion applies everything that was received).
 */
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, ReplayFact } from '../ports.ts';
import { positionAt } from '../sql/lsn.ts';
import { query } from '../sql/session.ts';
import { readStatus } from '../sql/status.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { asFailure } from './reading.ts';

/** How long the startup process may take to notice, in milliseconds; it looks at each record and every few seconds. */
const CONFIRM_MS = 10_000;
const LOOK_MS = 50;

interface StateRow {
  recovering: boolean;
  /** `not paused`, `pause requested` (not in force yet) or `paused`. */
  state: string | null;
  applied: string | null;
  received: string | null;
  /** Milliseconds since the epoch. */
  last_commit: number | null;
}

const STATE = `
SELECT recovering,
  CASE WHEN recovering THEN pg_get_wal_replay_pause_state() END AS state,
  pg_last_wal_replay_lsn()::text AS applied,
  CASE WHEN recovering THEN pg_last_wal_receive_lsn()::text END AS received,
  (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000)::float8 AS last_commit
FROM (SELECT pg_is_in_recovery() AS recovering) s`;

/** Reads every node; never throws for one that cannot be read. */
export function readReplay(cluster: Cluster, at: At): Promise<ReplayFact[]> {
  return onEach(cluster, at, async (node) => read(cluster, node));
}

/**
 * Pauses every replica of the side whose replay no commit waits for, and reads back that it is paused. One that could
 * not be paused is reported with the reason, so that the others are.
 */
export function pauseReplay(cluster: Cluster, at: At): Promise<ReplayFact[]> {
  return onEach(cluster, at, async (node) => {
    const before = await read(cluster, node);
    if (before.state !== 'applying' && before.state !== 'pausing') return before;
    const why = await whyItMustApply(cluster, node);
    if (why !== null) return { ...before, detail: why };
    await query(cluster, node, 'SELECT pg_wal_replay_pause()');
    return { ...(await confirm(cluster, node, 'paused')), changed: before.state === 'applying' };
  });
}

/**
 * Lets every replica of the side that was told to pause go on, and reads back that it does. One where the pause is not
 * in force yet is told as well: left alone it would stop later, when nobody looks any more.
 */
export function resumeReplay(cluster: Cluster, at: At): Promise<ReplayFact[]> {
  return onEach(cluster, at, async (node) => {
    const before = await read(cluster, node);
    if (before.state !== 'paused' && before.state !== 'pausing') return before;
    await query(cluster, node, 'SELECT pg_wal_replay_resume()');
    return { ...(await confirm(cluster, node, 'applying')), changed: true };
  });
}

function onEach(cluster: Cluster, at: At, work: (node: PgNode) => Promise<ReplayFact>): Promise<ReplayFact[]> {
  return Promise.all(
    nodesAt(cluster, at).map(async (node) => {
      const done = await work(node).catch(asFailure);
      if (!(done instanceof RampartError)) return done;
      const nothing = { applied: null, received: null, lastCommitAt: null, changed: false };
      const detail = [done.message, done.remedy].filter(Boolean).join(' ');
      return {
        ...{ node: node.name, region: node.region, state: 'unknown' as const, ...nothing },
        ...{ at: cluster.context.now(), detail },
      };
    }),
  );
}

async function read(cluster: Cluster, node: PgNode): Promise<ReplayFact> {
  const [[row], { timeline }] = await Promise.all([
    query<StateRow>(cluster, node, STATE),
    readStatus(cluster, node, { timeoutMs: CONFIRM_MS }),
  ]);
  const { recovering, state, applied, received, last_commit } = row!;
  return {
    node: node.name,
    region: node.region,
    state: !recovering ? 'none' : state === 'paused' ? 'paused' : state === 'pause requested' ? 'pausing' : 'applying',
    applied: positionAt(applied, timeline),
    received: positionAt(received, timeline),
    lastCommitAt: last_commit === null ? null : Math.round(last_commit),
    at: cluster.context.now(),
    changed: false,
    detail: !recovering
      ? 'it is no replica'
      : state === 'paused'
        ? 'replay is paused'
        : state === 'pause requested'
          ? 'a pause is asked for and not in force yet: replay looks at it when it is done with what it waits for (recovery_min_apply_delay, or a query in its way for as long as max_standby_streaming_delay)'
          : 'replay goes on',
  };
}

async function confirm(cluster: Cluster, node: PgNode, wanted: 'paused' | 'applying'): Promise<ReplayFact> {
  const { signal } = cluster.context;
  let last: ReplayFact | undefined;
  const seen = await poll({ signal, deadlineMs: CONFIRM_MS, intervalMs: LOOK_MS, maxIntervalMs: 500 }, async () => {
    last = await read(cluster, node);
    // Promoted or restarted meanwhile: then there is nothing left to wait for, and its state says so.
    return last.state === wanted || last.state === 'none' ? last : undefined;
  });
  if (seen !== undefined) return seen;
  // The server has taken the request, and may honour it in an hour: that is known, and no failure.
  if (wanted === 'paused' && last?.state === 'pausing') return last;
  throw new RampartError(
    'NotApplied',
    `${node.name} was told, and does not show ${wanted} after ${CONFIRM_MS / 1000} s`,
    {
      remedy: 'SELECT pg_get_wal_replay_pause_state() there shows how far it is.',
    },
  );
}

/**
 * With `synchronous_commit = remote_apply` the primary's commits wait until a synchronous replica has applied them:
 * pausing that one would stop all writes. A session that sets it by itself is not seen.
 * @returns why its replay must go on; `null` when it need not
 */
async function whyItMustApply(cluster: Cluster, replica: PgNode): Promise<string | null> {
  const others = cluster.nodes.filter((node) => node !== replica);
  const answers = await Promise.all(
    others.map((node) =>
      query<{ writable: boolean; waits: boolean }>(
        cluster,
        node,
        `SELECT NOT pg_is_in_recovery() AS writable,
           current_setting('synchronous_standby_names') <> ''
           AND (current_setting('synchronous_commit') = 'remote_apply'
             OR EXISTS (SELECT FROM pg_db_role_setting, unnest(setconfig) AS s WHERE s = 'synchronous_commit=remote_apply'))
           AND NOT EXISTS (SELECT FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid
             WHERE s.slot_name = $1 AND r.sync_state = 'async') AS waits`,
        [replica.slot ?? ''],
      ).catch(asFailure),
    ),
  );
  const primary = answers.flatMap((one) => (one instanceof RampartError ? [] : one)).find(({ writable }) => writable);
  if (primary?.waits === true)
    return 'left as it is: commits on the primary wait until it has applied them (synchronous_commit = remote_apply)';
  if (primary === undefined && answers.some((one) => one instanceof RampartError))
    return 'left as it is: the primary does not say whether its commits wait for this replica';
  return null;
}
