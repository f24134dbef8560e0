/**
 * Whether a database may be started read-write: for an `ExecStartPre` or a container's entry point, so that an old
 * primary that comes back after a failover does not take writes. It asks its peers, not Temporal.
 *
 * A peer that does not answer may have been promoted. By default such a start is refused: what it would write nobody
 * might ever find. The exception is a server with one peer that was promoted itself and has had no replica since: it
 * may be the only copy there is, and its peer can only have taken over if somebody gave up what this one has.
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
  /** What a peer that does not answer leads to. Absent: refused, but for a server that was promoted and is alone. */
  unreachable?: 'refuse' | 'allow';
  /** Told once, when peers that do not answer are asked again. */
  onWait?: (why: string) => void;
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
  /** Refused only because peers are silent: another answer may follow when they speak. */
  undecided: boolean;
}

type Verdict = Pick<GuardAnswer, 'allowed' | 'reason'> & { undecided?: boolean };
type Answers = GuardAnswer['peers'];

/** @throws PreconditionFailed when the data directory cannot be read */
export async function localGuard(input: GuardInput): Promise<GuardAnswer> {
  const timeoutMs = input.timeoutMs ?? 3_000;
  const { waitMs = 0 } = input;
  const began = performance.now();
  let waiting = false;
  for (;;) {
    // Each time: while it waits, perhaps for hours, somebody may rebuild or promote what is in the directory.
    const signal = AbortSignal.timeout(timeoutMs + 10_000);
    const control = await readControlData(input.dataDir, input.binDir ?? null, signal);
    const timeline = await greatestTimeline(input.dataDir, control);
    const peers: Answers = (await startsInRecovery(input.dataDir))
      ? []
      : await Promise.all(input.peers.map((peer) => ask(peer, control.systemId, timeoutMs)));
    const asked = performance.now() - began;
    const verdict = await judge(input, timeline, peers, {
      last: asked >= waitMs,
      long: asked >= Math.min(waitMs, LONG_MS),
    });
    if (verdict !== null) {
      const unseen = peers.filter((peer) => peer.timeline === null).map((peer) => peer.name);
      return { undecided: false, ...verdict, timeline, peers, unseen };
    }
    // After a power cut all come back together.
    if (!waiting) input.onWait?.(`${silentOf(peers)} could not be asked; asking again`);
    waiting = true;
    await sleep(Math.min(AGAIN_MS, Math.max(0, waitMs - asked)));
  }
}

/** Between two rounds of questions, in milliseconds. */
const AGAIN_MS = 1_000;
/** A survivor that is alone asks its peer no longer than this, in milliseconds: nobody else can serve. */
const LONG_MS = 20_000;

const startsInRecovery = async (dataDir: string): Promise<boolean> =>
  (await exists(join(dataDir, 'standby.signal'))) || (await exists(join(dataDir, 'recovery.signal')));

const silentOf = (peers: Answers): string =>
  peers
    .filter((peer) => peer.timeline === null)
    .map((peer) => `${peer.name} (${peer.why})`)
    .join(', ');

/** @returns `null`: not before peers that are silent have been asked again */
async function judge(
  input: GuardInput,
  timeline: number,
  peers: Answers,
  asked: { last: boolean; long: boolean },
): Promise<Verdict | null> {
  const { dataDir } = input;
  if (await startsInRecovery(dataDir))
    return { allowed: true, reason: `${dataDir} starts in recovery: it takes no writes` };
  const higher = peers.find((peer) => peer.timeline !== null && peer.timeline > timeline);
  if (higher !== undefined)
    return {
      allowed: false,
      reason: `refused: ${higher.name} is on timeline ${higher.timeline}, ${dataDir} on timeline ${timeline}: it was failed over. Let \`rampart reprotect\` bring it back as a replica, or \`touch ${join(dataDir, 'standby.signal')}\` to start it read-only`,
    };
  const writable = peers.find((peer) => peer.writable === true);
  if (writable !== undefined)
    return {
      allowed: false,
      reason: `refused: ${writable.name} takes writes on the same timeline ${timeline}: starting ${dataDir} read-write would make two primaries`,
    };
  const silent = silentOf(peers);
  if (silent === '') return { allowed: true, reason: `allowed: no peer has a timeline above ${timeline}` };
  const permit = await permitOf(dataDir, timeline, Date.now());
  if (permit !== null)
    return {
      allowed: true,
      reason: `allowed: ${silent} could not be asked, but run ${permit.runId} takes its fence back`,
    };
  // Of two peers one may have been promoted that never followed this server.
  const exception = asked.long && input.unreachable === undefined && input.slots === true && input.peers.length === 1;
  const alone = exception ? await promotedAndAlone(dataDir, timeline) : null;
  if (alone !== null) {
    const since = new Date(alone.at).toISOString();
    return {
      allowed: true,
      reason: `allowed: ${silent} could not be asked, but this server was promoted to timeline ${timeline} at ${since} and has had no replica since: only a rescue that gave up what it has could have taken over`,
    };
  }
  if (!asked.last) return null;
  if (input.unreachable === 'allow')
    return { allowed: true, reason: `allowed, not proven: ${silent} could not be asked and may have been promoted` };
  return {
    allowed: false,
    undecided: true,
    reason: `refused: ${silent} could not be asked and may have been promoted; what ${dataDir} wrote meanwhile nobody might find. If you know that no peer took over: \`rampart local-guard … --unreachable allow\`, or start it by hand`,
  };
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
