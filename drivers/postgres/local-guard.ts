/**
 * Whether a database may be started read-write: for an `ExecStartPre` or a container's entry point, so that an old
 * primary that comes back after a failover does not take writes. It asks its peers, not Temporal.
 *
 * A peer that does not answer may have been promoted. By default such a start is refused: what it would write nobody
 * might ever find. The exception is a server that was promoted itself and has had no replica since: nobody can have
 * taken over from it, and it may be the only copy there is.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { greatestTimeline, readControlData } from './control-data.ts';
import { exists, readIfThere } from './files.ts';
import type { PromoteIntent } from './record.ts';
import { permitOf } from './start-permit.ts';

export interface Peer {
  name: string;
  host: string;
  port: number;
  user: string;
  password?: string;
  database: string;
}

export interface GuardInput {
  dataDir: string;
  peers: Peer[];
  /** Folder of the PostgreSQL tools; found by itself when absent. */
  binDir?: string | null;
  /** Longest wait for one answer of the peers, in milliseconds; 3 s when absent. */
  timeoutMs?: number;
  /** How long peers that do not answer are asked again, in milliseconds; 0 when absent: once. */
  waitMs?: number;
  /** What a peer that does not answer leads to; `refuse` when absent. */
  unreachable?: 'refuse' | 'allow';
  /** Every replica of this server has a slot on it, as Rampart makes them: then no slot means no replica. */
  slots?: boolean;
}

export interface GuardAnswer {
  allowed: boolean;
  /** One line for the log of the init system. */
  reason: string;
  timeline: number;
  peers: Array<{ name: string; timeline: number | null; writable: boolean | null; why: string }>;
  /** Peers that could not be asked: while they are silent, this start is not proven safe. */
  unseen: string[];
}

/** @throws PreconditionFailed when the data directory cannot be read */
export async function localGuard(input: GuardInput): Promise<GuardAnswer> {
  const timeoutMs = input.timeoutMs ?? 3_000;
  const signal = AbortSignal.timeout(timeoutMs + 10_000);
  const control = await readControlData(input.dataDir, input.binDir ?? null, signal);
  const timeline = await greatestTimeline(input.dataDir, control);
  const answer = (allowed: boolean, reason: string, peers: GuardAnswer['peers'] = []): GuardAnswer => ({
    allowed,
    reason,
    timeline,
    peers,
    unseen: peers.filter((peer) => peer.timeline === null).map((peer) => peer.name),
  });
  if ((await exists(join(input.dataDir, 'standby.signal'))) || (await exists(join(input.dataDir, 'recovery.signal')))) {
    return answer(true, `${input.dataDir} starts in recovery: it takes no writes`);
  }
  const peers = await askAll(input, control.systemId, timeoutMs);
  const higher = peers.find((peer) => peer.timeline !== null && peer.timeline > timeline);
  if (higher !== undefined) {
    return answer(
      false,
      `refused: ${higher.name} is on timeline ${higher.timeline}, ${input.dataDir} on timeline ${timeline}: it was failed over. Let \`rampart reprotect\` bring it back as a replica, or \`touch ${join(input.dataDir, 'standby.signal')}\` to start it read-only`,
      peers,
    );
  }
  const writable = peers.find((peer) => peer.writable === true);
  if (writable !== undefined) {
    return answer(
      false,
      `refused: ${writable.name} takes writes on the same timeline ${timeline}: starting ${input.dataDir} read-write would make two primaries`,
      peers,
    );
  }
  const unseen = peers.filter((peer) => peer.timeline === null);
  if (unseen.length === 0) return answer(true, `allowed: no peer has a timeline above ${timeline}`, peers);
  const silent = unseen.map((peer) => `${peer.name} (${peer.why})`).join(', ');
  const alone = input.slots === true ? await promotedAndAlone(input.dataDir, timeline) : null;
  if (alone !== null) {
    const since = new Date(alone.at).toISOString();
    const why = `it was promoted to timeline ${timeline} at ${since} and has had no replica since, so nobody can have taken over from it`;
    return answer(true, `allowed: ${silent} could not be asked, but ${why}`, peers);
  }
  const permit = await permitOf(input.dataDir, timeline, Date.now());
  if (permit !== null)
    return answer(true, `allowed: ${silent} could not be asked, but run ${permit.runId} takes its fence back`, peers);
  if (input.unreachable === 'allow')
    return answer(true, `allowed, not proven: ${silent} could not be asked and may have been promoted`, peers);
  return answer(
    false,
    `refused: ${silent} could not be asked and may have been promoted; what ${input.dataDir} wrote meanwhile nobody might find. If you know that no peer took over: \`rampart local-guard … --unreachable allow\`, or start it by hand`,
    peers,
  );
}

/** Between two rounds of questions, in milliseconds. */
const AGAIN_MS = 1_000;

/** Asks every peer, and those that do not answer again for a while: after a power cut all come back together. */
async function askAll(input: GuardInput, systemId: string, timeoutMs: number): Promise<GuardAnswer['peers']> {
  const until = performance.now() + (input.waitMs ?? 0);
  for (;;) {
    const peers = await Promise.all(input.peers.map((peer) => ask(peer, systemId, timeoutMs)));
    const left = until - performance.now();
    if (left <= 0 || peers.every((peer) => peer.timeline !== null)) return peers;
    // One that has taken over is all there is to know.
    if (peers.some((peer) => peer.writable === true)) return peers;
    await sleep(Math.min(AGAIN_MS, left));
  }
}

/** The promotion that made this server's timeline, when Rampart did it here and no slot is left since; else `null`. */
async function promotedAndAlone(dataDir: string, timeline: number): Promise<PromoteIntent | null> {
  const slots = await readdir(join(dataDir, 'pg_replslot')).catch(() => null);
  if (slots === null || slots.length > 0) return null;
  const text = await readIfThere(join(`${dataDir}.rampart`, 'claim.json')).catch(() => null);
  try {
    const promote = (JSON.parse(text ?? 'null') as { promote?: PromoteIntent | null } | null)?.promote ?? null;
    return promote !== null && promote.timeline + 1 === timeline ? promote : null;
  } catch {
    return null;
  }
}

async function ask(peer: Peer, systemId: string, timeoutMs: number): Promise<GuardAnswer['peers'][number]> {
  const { name } = peer;
  const unknown = (why: string) => ({ name, timeline: null, writable: null, why });
  const { default: pg } = await import('pg');
  const client = new pg.Client({
    host: peer.host,
    port: peer.port,
    user: peer.user,
    ...(peer.password === undefined ? {} : { password: peer.password }),
    database: peer.database,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    application_name: 'rampart local-guard',
  });
  client.on('error', () => {});
  const asked = (async () => {
    await client.connect();
    const { rows } = await client.query(`
      SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_id, NOT recovering AS writable,
        CASE WHEN recovering THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()),
            (SELECT min_recovery_end_timeline FROM pg_control_recovery()), (SELECT received_tli FROM pg_stat_wal_receiver LIMIT 1))
          ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline
      FROM (SELECT pg_is_in_recovery() AS recovering) s`);
    const row = rows[0] as { system_id: string; writable: boolean; timeline: number };
    if (row.system_id !== systemId) return unknown(`another database, system identifier ${row.system_id}`);
    return { name, timeline: row.timeline, writable: row.writable, why: '' };
  })().catch((error: unknown) => unknown(error instanceof Error ? error.message : String(error)));
  const result = await Promise.race([
    asked,
    sleep(timeoutMs, undefined, { ref: false }).then(() => unknown('no answer in time')),
  ]);
  await Promise.race([client.end().catch(() => {}), sleep(200, undefined, { ref: false })]);
  return result;
}
