/** Is a fence in force? Reads only. */
import { poll } from '../poll.ts';
import type { At, FenceReceipt, FenceStrength, Position } from '../ports.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { readClosed } from './fence-sql.ts';
import { type FenceState, fenceState } from './fence-state.ts';
import { asFailure, known, type NodeReading, readNode } from './reading.ts';

/** In the freeze: a node that does not answer within this time (milliseconds) is judged by its files alone. */
const CONNECT_MS = 500;
/** A server that is just being started has said within this time (milliseconds) whether it is in recovery. */
const SETTLE_MS = 3_000;

/** The fence of one node, with the look at its databases that a fence by SQL needs. */
export async function fenceOf(cluster: Cluster, reading: NodeReading): Promise<FenceState> {
  const fence = known(reading.record)?.fence ?? null;
  const server = known(reading.server);
  if (fence?.how !== 'sql' || server === null || server.inRecovery) return fenceState(reading, null);
  const closed = await readClosed(cluster, reading.node, fence.databases).catch(asFailure);
  return fenceState(reading, known(closed));
}

/**
 * Whether every node of the side is unable to write, as the weakest of them shows. Nobody to ask and no fence both
 * give `none`; `facts.asked` tells them apart.
 */
export async function prove(cluster: Cluster, at: At): Promise<FenceReceipt> {
  const readings = await Promise.all(nodesAt(cluster, at).map((node) => settledReading(cluster, node)));
  const states = await Promise.all(readings.map((reading) => fenceOf(cluster, reading)));
  return fenceReceipt(cluster, at, readings, states, true);
}

/** A node's reading. An init system may be starting it at this very moment, read-only: that is no answer yet. */
export async function settledReading(cluster: Cluster, node: PgNode): Promise<NodeReading> {
  let reading = await readNode(cluster, node, { connectTimeoutMs: CONNECT_MS });
  await poll({ signal: cluster.context.signal, deadlineMs: SETTLE_MS, intervalMs: 10 }, async () => {
    const files = known(reading.files);
    if (files === null || !files.signal || files.postmaster?.status !== 'starting') return true;
    reading = await readNode(cluster, node, { connectTimeoutMs: CONNECT_MS });
    return undefined;
  });
  return reading;
}

const ORDER: readonly FenceStrength[] = ['none', 'person', 'lease', 'sessions', 'provider', 'stopped'];
const weaker = (a: FenceStrength, b: FenceStrength): FenceStrength => (ORDER.indexOf(a) < ORDER.indexOf(b) ? a : b);

/** Puts the nodes' fences together: nobody may be able to write, and the former primary's position is the final one. */
export function fenceReceipt(
  cluster: Cluster,
  at: At,
  readings: NodeReading[],
  states: FenceState[],
  already: boolean,
): FenceReceipt {
  const now = cluster.context.now();
  const primaries = states.filter((state) => state.formerPrimary);
  // Replicas count only in that none of them may be able to write; how strong the fence is, the former primary says.
  const open = states.some((state) => state.strength === 'none');
  const decisive = primaries.length > 0 ? primaries : states;
  const weakest = open ? 'none' : decisive.map((state) => state.strength).reduce(weaker);
  // Two former primaries on one side would mean two histories: then no position is final.
  const finalPosition: Position | null = primaries.length === 1 ? primaries[0]!.final : null;
  const primary = readings[states.indexOf(primaries[0] ?? states[0]!)]!;
  const files = known(primary.files);
  const server = known(primary.server);
  const epochs = readings.map((reading) => known(reading.record)?.claim?.epoch ?? 0);
  return {
    already,
    at: now,
    summary: states.map((state, i) => `${readings[i]!.node.name}: ${state.detail}`).join('; '),
    facts: { asked: readings.every((reading) => known(reading.files) !== null || known(reading.server) !== null) },
    fence: {
      region: at.region,
      cannotWrite: weakest,
      finalPosition: weakest === 'none' ? null : finalPosition,
      durable: states.every((state) => state.durable),
      systemId: server?.systemId ?? files?.control.systemId ?? null,
      timeline: finalPosition?.timeline ?? server?.timeline ?? files?.control.timeline ?? null,
      epoch: Math.min(...epochs),
      needsRewind: primaries.some((state) => state.needsRewind),
      provenAt: now,
    },
  };
}
