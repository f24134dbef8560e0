/** Brings the pair close together before the freeze, so that the freeze is short. */

import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Lag, Receipt } from '../ports.ts';
import { lagBehind } from '../sql/lag.ts';
import { ensureProbeTable } from '../sql/probe.ts';
import { query } from '../sql/session.ts';
import { readStatus } from '../sql/status.ts';
import { chooseTarget } from './catch-up.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { originOf } from './lag.ts';
import { asFailure } from './reading.ts';
import { ensureControlTables } from './record.ts';

/** How long the replica may take to come within the limits, milliseconds. */
const CONVERGE_MS = 60_000;
const CHECKPOINT_MS = 600_000;

/**
 * Makes Rampart's own tables on the source, checkpoints it (a fast stop then has little to write), and waits until the
 * target lags no more than the limits.
 * @param limit milliseconds and bytes
 * @throws LagTooHigh with the last reading; PreconditionFailed when the source is not writable
 */
export async function converge(
  cluster: Cluster,
  from: RegionName,
  to: RegionName,
  limit: { ms: number; bytes: number },
): Promise<Receipt> {
  const { context } = cluster;
  const source = await writableNode(cluster, from);
  await ensureControlTables(cluster, source);
  await ensureProbeTable(cluster, source);
  context.heartbeat({ doing: 'checkpoint', node: source.name });
  const started = performance.now();
  await query(cluster, source, 'CHECKPOINT', [], { timeoutMs: CHECKPOINT_MS });
  const checkpointMs = Math.round(performance.now() - started);
  const target = await chooseTarget(cluster, { region: to });
  let last: Lag | null = null;
  let streaming = false;
  const close = await poll({ signal: context.signal, deadlineMs: CONVERGE_MS, intervalMs: 20 }, async () => {
    const status = await readStatus(cluster, target);
    const origin = await originOf(cluster, target, status);
    // Caught up and cut off is not enough: it would never get the last record of the fence.
    streaming = origin?.streaming ?? false;
    // By the source itself: through a replica that is behind the target is so, too, however level the two are.
    last = origin === null ? null : await lagBehind(cluster, target, source, status);
    context.heartbeat({ doing: 'converge', lagBytes: last?.bytes ?? null, lagSeconds: last?.seconds ?? null });
    return streaming && last !== null && isWithin(last, limit) ? last : undefined;
  });
  if (close === undefined) throw tooFar(target, last, streaming, limit);
  return {
    already: false,
    at: context.now(),
    summary: `${target.name} is ${close.bytes} bytes behind, the source is checkpointed`,
    facts: { lagBytes: close.bytes, lagSeconds: close.seconds, checkpointMs },
  };
}

function isWithin(lag: Lag, limit: { ms: number; bytes: number }): boolean {
  if (!lag.fresh || lag.bytes === null || lag.seconds === null) return false;
  return lag.bytes <= limit.bytes && lag.seconds * 1000 <= limit.ms;
}

function tooFar(
  target: PgNode,
  lag: Lag | null,
  streaming: boolean,
  limit: { ms: number; bytes: number },
): RampartError {
  const found =
    lag === null
      ? 'it follows no node of this component'
      : !streaming
        ? 'it does not stream'
        : lag.fresh
          ? `it is ${lag.bytes} bytes and ${lag.seconds} s behind`
          : "the source's position could not be read";
  return new RampartError(
    'LagTooHigh',
    `${target.name} did not come within ${limit.bytes} bytes and ${limit.ms} ms: ${found}`,
    {
      remedy:
        'Look for a long query on the replica, paused replay or a slow link; raise cutoverLag only if a longer freeze is acceptable.',
      details: { lag },
    },
  );
}

/** The region's writable node. @throws PreconditionFailed when there is none, SplitBrain when there are several */
export async function writableNode(cluster: Cluster, region: RegionName): Promise<PgNode> {
  const nodes = nodesAt(cluster, { region });
  const read = await Promise.all(nodes.map((node) => readStatus(cluster, node).catch(asFailure)));
  const writable = nodes.filter((_, i) => {
    const status = read[i]!;
    return !(status instanceof RampartError) && !status.inRecovery;
  });
  if (writable.length === 1) return writable[0]!;
  if (writable.length > 1) {
    throw new RampartError('SplitBrain', `${writable.map((node) => node.name).join(' and ')} are both writable`, {
      remedy: 'Fence all but one before anything else.',
    });
  }
  const why = nodes.map((node, i) => {
    const status = read[i]!;
    return status instanceof RampartError ? status.message : `${node.name} is in recovery`;
  });
  throw new RampartError('PreconditionFailed', `no node of ${region} is writable: ${why.join('; ')}`, {
    remedy: 'Observe both sides: the primary may be elsewhere, or down.',
  });
}
