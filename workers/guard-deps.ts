/** What guards need of a control worker's process: who holds a lock, a topology that is not read by each of them, word to people. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { GuardDeps } from '../activities/guarding.ts';
import { clock } from '../drivers/clock.ts';
import { drillProves } from '../evidence/drill.ts';
import type { DrillRecord, RunRecord } from '../evidence/record.ts';
import { metrics } from '../metrics/process.ts';
import type { LastProof, LiveRun } from '../plan/health/model.ts';
import type { Topology } from '../topology/model.ts';
import type { ReadTopology } from './last-topology.ts';
import { tellTriggers } from './own-alerts.ts';
import type { Announcer } from './watchdog.ts';

/** Age up to which a topology that was read serves every guard, in milliseconds. */
const TOPOLOGY_MS = 25_000;
/** Longest time for one question to Temporal, in milliseconds: a watch waits for its answer. */
const CALL_MS = 5_000;
/** Lists of runs that are away are asked for again after so long, in milliseconds. */
const LISTS_AGAIN_MS = 30_000;
/** Past runs looked at for one that went through. */
const LOOK_BACK = 5;
/** Listed at once: drills of other kinds may lie between. */
const PAGE = 50;
/** What a watch has read is shown no more when nothing is read again within this time at least, in milliseconds. */
const FRESH_MS = 60_000;
/** Runs that promote; of drills the full ones. */
const PROVING = ['failover', 'failback', 'drill'];
const OF_THE_WATCH = ['rampart_guard_look_seconds', 'rampart_last_proof_timestamp_seconds'] as const;

export function createGuardDeps(client: Client, read: ReadTopology, announcer: Announcer): GuardDeps {
  const proofs = new Map<string, { latest: string | null; proof: LastProof | null; notBefore: number }>();
  const inTime = <T>(call: () => Promise<T>): Promise<T> => client.withDeadline(Date.now() + CALL_MS, call);
  return {
    topology: shared(read.now),
    lastTopology: read.last,
    lock: async (workflowId) => {
      const found = await inTime(() => describe(client, workflowId));
      if (found === null) return { run: null, lastProof: null };
      const run = found.open ? found.run : null;
      const known = proofs.get(workflowId) ?? { latest: null, proof: null, notBefore: 0 };
      // Only another run, or the end of this one, can be a new proof.
      const latest = `${found.runId}/${found.open}`;
      if (known.latest === latest || clock.now() < known.notBefore) return { run, lastProof: known.proof };
      try {
        const proof = await inTime(() => lastProof(client, workflowId, found.ended));
        proofs.set(workflowId, { latest, proof, notBefore: 0 });
        return { run, lastProof: proof };
      } catch {
        // Lists may be away while all else of Temporal works: what a guard has to say, and to fence, waits for none.
        proofs.set(workflowId, { ...known, notBefore: clock.now() + LISTS_AGAIN_MS });
        return { run, lastProof: known.proof };
      }
    },
    publish,
    tellTriggers: async (alerts) => tellTriggers(client, await read.last(), alerts),
    tell: ({ code, since: _, ...finding }, { at, ...about }) =>
      announcer.tell({ ...finding, ...about, kind: code, source: 'guard' }, at),
  };
}

/** A run that came to its end. */
interface Ended {
  runId: string;
  type: string;
  closeTime?: Date | undefined;
}

async function describe(client: Client, workflowId: string) {
  try {
    const found = await client.workflow.getHandle(workflowId).describe();
    const run: LiveRun = { workflowId, runId: found.runId, type: found.type, startedAt: found.startTime.getTime() };
    const ended = found.status.name === 'COMPLETED' ? { ...run, closeTime: found.closeTime } : null;
    return { runId: found.runId, open: found.status.name === 'RUNNING', run, ended };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** The last failover, failback or full drill that promoted and came to its end. Runs that found nothing to do prove nothing. */
async function lastProof(client: Client, workflowId: string, ended: Ended | null): Promise<LastProof | null> {
  // What has just ended may be in no list yet.
  const newest = ended !== null && PROVING.includes(ended.type) ? await proofOf(client, workflowId, ended) : null;
  if (newest !== null) return newest;
  const types = PROVING.map((type) => `"${type}"`).join(', ');
  const query = `WorkflowId = "${workflowId}" AND ExecutionStatus = "Completed" AND WorkflowType IN (${types})`;
  let looked = 0;
  for await (const one of client.workflow.list({ query, pageSize: PAGE })) {
    // However many of them there are, they are no reason to look no further.
    const kind = one.memo?.kind;
    if (kind !== undefined && kind !== 'full') continue;
    const proof = await proofOf(client, workflowId, one);
    if (proof !== null) return proof;
    looked += 1;
    if (looked >= LOOK_BACK) break;
  }
  return null;
}

async function proofOf(
  client: Client,
  workflowId: string,
  { runId, type, closeTime }: Ended,
): Promise<LastProof | null> {
  const result: unknown = await client.workflow.getHandle(workflowId, runId).result();
  if (!(type === 'drill' ? drillProves(result as DrillRecord) : runProves(result))) return null;
  return { runId, type, at: closeTime?.getTime() ?? Date.now() };
}

function runProves(result: unknown): boolean {
  const record = result as Partial<RunRecord> | null;
  return record?.outcome === 'completed' && record.pointOfNoReturn?.crossedAt != null;
}

/** One reading for all who ask within its time; a failed one is not kept. */
function shared(read: () => Promise<Topology>): () => Promise<Topology> {
  let last: { at: number; topology: Promise<Topology> } | null = null;
  return () => {
    if (last === null || Date.now() - last.at > TOPOLOGY_MS) {
      const topology = read();
      const kept = { at: Date.now(), topology };
      last = kept;
      topology.catch(() => {
        if (last === kept) last = null;
      });
    }
    return last.topology;
  };
}

/** Shows a guard's health as gauges, and takes back what no longer holds. */
const publish: GuardDeps['publish'] = (service, health, look) => {
  const freshMs = Math.max(FRESH_MS, 3 * look.everyMs);
  metrics.set('rampart_guard_watching', { service }, health === null ? 0 : 1);
  metrics.clear('rampart_guard_finding', { service });
  metrics.clear('rampart_traffic_weight_percent', { service });
  // Another process watches now, and shows the rest.
  if (health === null) {
    for (const name of OF_THE_WATCH) metrics.clear(name, { service });
    metrics.clear('rampart_reading_timestamp_seconds', { service, reader: 'guard' });
    return;
  }
  for (const { code, severity, component } of health.findings)
    metrics.set('rampart_guard_finding', { service, code, severity, component: component ?? '' }, 1, freshMs);
  metrics.set('rampart_reading_timestamp_seconds', { service, reader: 'guard' }, health.at / 1000);
  metrics.set('rampart_guard_look_seconds', { service }, look.ms / 1000, freshMs);
  if (health.lastProof !== null)
    metrics.set('rampart_last_proof_timestamp_seconds', { service }, health.lastProof.at / 1000);
  for (const [component, shares] of Object.entries(health.weights))
    for (const [region, percent] of Object.entries(shares ?? {}))
      metrics.set('rampart_traffic_weight_percent', { service, component, region }, percent, freshMs);
};
