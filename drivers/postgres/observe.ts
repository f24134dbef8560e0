/** What is true of each node, from its files where this worker is beside it, and from the server itself. */
import { RampartError } from '../errors.ts';
import type { At, Lag, NodeObservation, ReplicaFact, SlotFact } from '../ports.ts';
import { rememberPosition } from '../sql/lag.ts';
import { bytesBetween, positionAt } from '../sql/lsn.ts';
import { query } from '../sql/session.ts';
import type { ServerStatus } from '../sql/status.ts';
import { addressOf, type Cluster, nodesAt, type PgNode } from './config.ts';
import { greatestTimeline } from './control-data.ts';
import { measureLag, upstreamNode } from './lag.ts';
import { fenceOf } from './prove.ts';
import { asFailure, known, type NodeReading, readNode } from './reading.ts';
import { local } from './server.ts';
import { readSuspended } from './settings.ts';

/** A replica reports at least this often, in milliseconds (`wal_receiver_status_interval`, 10 s by default). */
const REPORT_INTERVAL_MS = 10_000;

/** Reads every node; never throws for one that cannot be read. */
export async function observe(cluster: Cluster, at: At): Promise<NodeObservation[]> {
  return Promise.all(nodesAt(cluster, at).map((node) => observeNode(cluster, node)));
}

export async function observeNode(cluster: Cluster, node: PgNode): Promise<NodeObservation> {
  const asked = cluster.context.now();
  const reading = await readNode(cluster, node);
  const result = blank(node, asked, reading);
  const { server } = reading;
  if (server instanceof RampartError) await withoutServer(result, reading, server);
  else await withServer(cluster, node, result, server);
  const fence = await fenceOf(cluster, reading);
  if (fence.strength === 'none' || !fence.formerPrimary) return result;
  result.state = 'fenced';
  result.fence = { strength: fence.strength, finalPosition: fence.final, durable: fence.durable };
  result.position = fence.final ?? result.position;
  result.detail = fence.detail;
  return result;
}

function blank(node: PgNode, observedAt: number, reading: NodeReading | null): NodeObservation {
  const files = known(reading?.files ?? null);
  const record = known(reading?.record ?? null);
  return {
    node: node.name,
    region: node.region,
    state: 'unknown',
    via: files === null ? 'network' : 'local',
    observedAt,
    systemId: files?.control.systemId ?? null,
    timeline: files?.control.timeline ?? null,
    position: null,
    received: null,
    upstream: null,
    lag: null,
    replicas: [],
    fence: null,
    sync: null,
    claim: record?.claim ?? null,
    journal: record?.journal ?? null,
    detail: '',
  };
}

/** The server answered. */
async function withServer(
  cluster: Cluster,
  node: PgNode,
  result: NodeObservation,
  status: ServerStatus,
): Promise<void> {
  const now = cluster.context.now();
  result.systemId = status.systemId;
  result.timeline = status.timeline;
  result.position = status.position;
  result.received = status.received;
  result.sync = syncOf(status.syncNames, status.syncCommit, status.syncWaiters);
  result.slots = status.slots.filter(({ temporary }) => !temporary).map((slot) => slotFact(cluster, status, slot));
  if (!status.inRecovery) {
    rememberPosition(cluster, status.systemId, status.position, result.observedAt);
    result.state = 'writable';
    result.replicas = status.standbys.map((standby) => replicaFact(cluster, status, standby, now));
    const suspended = await readSuspended(cluster, node).catch(asFailure);
    if (!(suspended instanceof RampartError) && suspended.size > 0) result.suspended = [...suspended.keys()];
    const streaming = status.standbys.filter((standby) => standby.state === 'streaming').length;
    result.detail = `writable on timeline ${status.timeline}, ${streaming} of ${status.standbys.length} replicas streaming`;
    return;
  }
  result.state = 'replica';
  result.lag = await measureLag(cluster, node, status);
  if (status.upstream !== null) {
    result.upstream = {
      address: addressOf(status.upstream),
      node: upstreamNode(cluster, node, status)?.name ?? null,
      streaming: status.receiver?.status === 'streaming',
    };
  }
  result.detail = replicaDetail(status, result);
}

function slotFact(cluster: Cluster, status: ServerStatus, slot: ServerStatus['slots'][number]): SlotFact {
  const { position, timeline } = status;
  const restart = positionAt(slot.restart, timeline);
  return {
    name: slot.name,
    logical: slot.type === 'logical',
    active: slot.active,
    holder: cluster.nodes.find((node) => node.slot === slot.name)?.name ?? null,
    heldBytes: position === null || restart === null ? null : Math.max(0, bytesBetween(position, restart)),
    lost: slot.walStatus === 'lost',
  };
}

/** A cancelled wait leaves no trace but a line in the server's log: with synchronous replication it is never excluded. */
function syncOf(names: string, commit: string, waiters: number): NodeObservation['sync'] {
  return {
    enabled: names !== '' && !['off', 'local'].includes(commit),
    cancelledWaiters: names === '' ? 'none' : waiters > 0 ? 'possible' : 'unknown',
  };
}

function replicaDetail(status: ServerStatus, observation: NodeObservation): string {
  const parts = [
    observation.upstream === null
      ? 'in recovery, and primary_conninfo names no host'
      : `in recovery, ${observation.upstream.streaming ? 'streaming' : 'not streaming'} from ${observation.upstream.address}`,
  ];
  if (status.paused) parts.push('replay is paused');
  if (status.applyDelayMs > 0) parts.push(`replay is delayed by ${status.applyDelayMs} ms on purpose`);
  const behind =
    observation.received !== null && observation.position !== null
      ? bytesBetween(observation.received, observation.position)
      : 0;
  if (behind > 0) parts.push(`${behind} bytes received and not applied`);
  return parts.join('; ');
}

function replicaFact(
  cluster: Cluster,
  status: ServerStatus,
  standby: ServerStatus['standbys'][number],
  now: number,
): ReplicaFact {
  const node = cluster.nodes.find((each) => each.slot !== null && each.slot === standby.slot);
  const age = standby.replyAgeMs;
  const bytes =
    status.position === null || standby.replay === null
      ? null
      : Math.max(0, bytesBetween(status.position, standby.replay));
  const lag: Lag = {
    bytes,
    seconds: bytes === 0 ? 0 : null,
    measuredAt: now,
    freshnessMs: age ?? now,
    fresh: age !== null && bytes !== null && age <= cluster.config.lagFreshness + REPORT_INTERVAL_MS,
  };
  return {
    node: node?.name ?? standby.applicationName,
    state: standby.state ?? 'unknown',
    applied: standby.replay,
    lag,
    sync: isSync(standby.sync) ? standby.sync : 'unknown',
  };
}

function isSync(value: string | null): value is ReplicaFact['sync'] {
  return value !== null && ['sync', 'potential', 'quorum', 'async'].includes(value);
}

/** The server did not answer: its files tell, if they are ours to read. */
async function withoutServer(result: NodeObservation, reading: NodeReading, failure: RampartError): Promise<void> {
  const files = known(reading.files);
  if (files === null) {
    result.state = failure.type === 'ProviderUnavailable' && !isStarting(failure) ? 'unreachable' : 'unknown';
    if (result.state === 'unreachable') result.notListening = isRefused(failure);
    result.detail = failure.message + (reading.files instanceof RampartError ? `; ${reading.files.message}` : '');
    return;
  }
  const { postmaster, orphans, control, signal } = files;
  if (postmaster !== null) {
    result.detail = `process ${postmaster.pid} runs (${postmaster.status}) and takes no session: ${failure.message}`;
  } else if (orphans > 0) {
    result.detail = `the postmaster is gone and ${orphans} of its processes are still there and may commit`;
  } else {
    result.state = 'stopped';
    // What was killed soon after its promotion has not noted that in its control file yet. The fence goes by this, too.
    result.timeline = await greatestTimeline(local(reading.node).dataDir, control).catch(() => null);
    if (control.state === 'shut down') result.position = control.checkpoint;
    if (control.state === 'shut down in recovery') result.position = control.minRecovery ?? control.checkpoint;
    result.detail = `stopped (${control.state}); it would start ${signal ? 'read-only' : 'writable'}`;
  }
}

/** Every address of the node's name refused the connection. A name may have several, and Node.js tries them all. */
function isRefused({ cause }: RampartError): boolean {
  const errors = cause instanceof AggregateError ? (cause.errors as unknown[]) : [cause];
  return errors.every((error) => (error as { code?: unknown } | undefined)?.code === 'ECONNREFUSED');
}

const isStarting = (failure: RampartError): boolean => failure.details.code === '57P03';

/** One cheap reading per node for the sampler. */
export async function sample(cluster: Cluster, at: At): Promise<NodeObservation[]> {
  return Promise.all(
    nodesAt(cluster, at).map(async (node) => {
      const asked = cluster.context.now();
      const base = blank(node, asked, null);
      try {
        const [row] = await query<SampleRow>(cluster, node, SAMPLE, [cluster.config.database]);
        const timeline = row!.recovering ? row!.timeline : Number.parseInt(row!.wal_timeline!, 16);
        const position = positionAt(row!.position, timeline);
        if (!row!.recovering) rememberPosition(cluster, row!.system_id, position, asked);
        return {
          ...base,
          state: row!.recovering ? ('replica' as const) : row!.closed ? ('fenced' as const) : ('writable' as const),
          systemId: row!.system_id,
          timeline,
          position,
          received: positionAt(row!.received, timeline),
          sync: row!.recovering ? null : syncOf(row!.sync_names, row!.sync_commit, row!.sync_waiters),
        };
      } catch (error) {
        const failure = asFailure(error);
        const state = failure.type === 'ProviderUnavailable' && !isStarting(failure) ? 'unreachable' : 'unknown';
        return { ...base, state, detail: failure.message } as NodeObservation;
      }
    }),
  );
}

interface SampleRow {
  recovering: boolean;
  /** The service's database refuses connections: a fence by SQL. */
  closed: boolean;
  system_id: string;
  position: string;
  received: string | null;
  timeline: number;
  wal_timeline: string | null;
  sync_names: string;
  sync_commit: string;
  sync_waiters: number;
}

const SAMPLE = `
SELECT recovering,
  NOT coalesce((SELECT datallowconn FROM pg_database WHERE datname = $1), true) AS closed,
  (SELECT system_identifier::text FROM pg_control_system()) AS system_id,
  CASE WHEN recovering THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END::text AS position,
  CASE WHEN recovering THEN pg_last_wal_receive_lsn() END::text AS received,
  greatest((SELECT received_tli FROM pg_stat_wal_receiver LIMIT 1), (SELECT timeline_id FROM pg_control_checkpoint())) AS timeline,
  CASE WHEN NOT recovering THEN substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8) END AS wal_timeline,
  current_setting('synchronous_standby_names') AS sync_names,
  current_setting('synchronous_commit') AS sync_commit,
  (SELECT count(*)::int FROM pg_stat_activity WHERE wait_event = 'SyncRep') AS sync_waiters
FROM (SELECT pg_is_in_recovery() AS recovering) s`;
