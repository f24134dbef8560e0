/** What guards need of a control worker's process: who holds a lock, a topology that is not read by each of them, word to people. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { GuardDeps } from '../activities/guarding.ts';
import type { Health, LastProof, LiveRun } from '../plan/health/model.ts';
import type { Topology } from '../topology/model.ts';
import { gauge } from './gauge.ts';
import type { Announcer } from './watchdog.ts';

/** Age up to which a topology that was read serves every guard, in milliseconds. */
const TOPOLOGY_MS = 25_000;
/** Past runs looked at for one that went through. */
const LOOK_BACK = 5;

export function createGuardDeps(
  client: Client,
  readTopology: () => Promise<Topology>,
  announcer: Announcer,
): GuardDeps {
  const proofs = new Map<string, { latest: string; proof: LastProof | null }>();
  return {
    topology: shared(readTopology),
    lock: async (workflowId) => {
      const latest = await describe(client, workflowId);
      if (latest === null) return { run: null, lastProof: null };
      const known = proofs.get(workflowId);
      // Only another run, or the end of this one, can be a new proof.
      const key = `${latest.runId}/${latest.open}`;
      if (known?.latest === key) return { run: latest.open ? latest.run : null, lastProof: known.proof };
      const proof = await lastProof(client, workflowId);
      proofs.set(workflowId, { latest: key, proof });
      return { run: latest.open ? latest.run : null, lastProof: proof };
    },
    publish: publisher(),
    tell: ({ code, since: _, ...finding }, about) =>
      announcer.tell({ ...finding, ...about, kind: code, source: 'guard' }, Date.now()),
  };
}

async function describe(client: Client, workflowId: string) {
  try {
    const found = await client.workflow.getHandle(workflowId).describe();
    const run: LiveRun = { workflowId, runId: found.runId, type: found.type, startedAt: found.startTime.getTime() };
    return { runId: found.runId, open: found.status.name === 'RUNNING', run };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** The last failover or failback that promoted and came to its end. Runs that found nothing to do prove nothing. */
async function lastProof(client: Client, workflowId: string): Promise<LastProof | null> {
  const query = `WorkflowId = "${workflowId}" AND ExecutionStatus = "Completed" AND WorkflowType IN ("failover", "failback")`;
  let looked = 0;
  for await (const { runId, type, closeTime } of client.workflow.list({ query, pageSize: LOOK_BACK })) {
    const record = (await client.workflow.getHandle(workflowId, runId).result()) as {
      outcome?: string;
      pointOfNoReturn?: { crossedAt: number | null };
    } | null;
    if (record?.outcome === 'completed' && record.pointOfNoReturn?.crossedAt != null)
      return { runId, type, at: closeTime?.getTime() ?? Date.now() };
    looked += 1;
    if (looked >= LOOK_BACK) break;
  }
  return null;
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
function publisher(): GuardDeps['publish'] {
  const findings = new Map<string, Map<string, Record<string, string>>>();
  return (service, health, lookMs) => {
    gauge('rampart_guard_watching', 'Whether this process watches the service').set(health === null ? 0 : 1, {
      service,
    });
    const before = findings.get(service) ?? new Map();
    const now = new Map<string, Record<string, string>>(
      (health?.findings ?? []).map(({ code, severity, component }) => [
        `${code}/${severity}/${component}`,
        { service, code, severity, component: component ?? '' },
      ]),
    );
    const finding = gauge('rampart_guard_finding', 'What the guard finds: 1 while it stands');
    for (const [key, tags] of before) if (!now.has(key)) finding.set(0, tags);
    for (const tags of now.values()) finding.set(1, tags);
    findings.set(service, now);
    if (health === null) return;
    gauge('rampart_guard_look_seconds', "One look at the service, the systems' own time included").set(lookMs / 1000, {
      service,
    });
    if (health.lastProof !== null)
      gauge('rampart_last_proof_timestamp_seconds', 'End of the last completed failover or failback').set(
        health.lastProof.at / 1000,
        { service },
      );
    publishWeights(service, health.weights);
  };
}

function publishWeights(service: string, weights: Health['weights']): void {
  const weight = gauge('rampart_traffic_weight_percent', 'Share of the traffic, as the router says');
  for (const [component, shares] of Object.entries(weights))
    for (const [region, percent] of Object.entries(shares ?? {})) weight.set(percent, { service, component, region });
}
