/** Waits until the target has everything, or says what it lacks. */
import { RampartError } from '../errors.ts';
import type { At, CatchUpReceipt, FenceReceipt, LossStatement, Position, SampleReading } from '../ports.ts';
import { NO_LOSS, stateLoss } from '../sql/loss.ts';
import { greatest, isFurther } from '../sql/lsn.ts';
import { follow, isBeyond, type Progress, reachedBy, settled, sourceSync, syncNote } from '../sql/progress.ts';
import { readStatus, type ServerStatus } from '../sql/status.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { asFailure } from './reading.ts';
import { startFencedTarget } from './rescue.ts';

/** Without any progress for this long (milliseconds) a target that lacks something will not get it any more. */
const STALL_MS = 5_000;

/**
 * With a fence and its final position: waits until the target has applied beyond it. The received position proves
 * nothing: after a restart without its primary a standby reports the start of a segment.
 * Without: records what was reached once it stands still, and states the loss.
 * A target that stops short gives `complete: false` and a loss.
 * @throws PreconditionFailed for another database or timeline
 */
export async function awaitCatchUp(
  cluster: Cluster,
  fence: FenceReceipt | null,
  to: At,
  samples: SampleReading[],
): Promise<CatchUpReceipt> {
  const node = await chooseTarget(cluster, to);
  await startFencedTarget(cluster, node);
  const status = await readStatus(cluster, node);
  assertSameDatabase(cluster, node, status, fence);
  const proof = fence?.fence ?? null;
  const final = proof !== null && proof.cannotWrite !== 'none' ? proof.finalPosition : null;
  const note = syncNote(status, sourceSync(proof?.region ?? sourceOf(cluster, to, samples), samples));
  if (final !== null && proof !== null) {
    if (!status.inRecovery) {
      // Promoted already: it has what it had then.
      const applied = status.timeline > final.timeline ? status.fork : status.position;
      const complete = applied !== null && isBeyond(applied, final, proof.cannotWrite);
      return receipt(
        cluster,
        to,
        node,
        { applied, received: null },
        complete,
        complete ? NO_LOSS(note) : lossOf(cluster, to, proof, samples, applied, status),
      );
    }
    const progress = await follow(cluster, node, status.timeline, STALL_MS, (now) =>
      isBeyond(now.applied, final, proof.cannotWrite),
    );
    if (isBeyond(progress.applied, final, proof.cannotWrite)) {
      return receipt(cluster, to, node, progress, true, NO_LOSS(note));
    }
    return receipt(
      cluster,
      to,
      node,
      progress,
      false,
      lossOf(cluster, to, proof, samples, reachedBy(progress), status),
    );
  }
  const progress = status.inRecovery ? await settled(cluster, node, status) : { applied: status.fork, received: null };
  return receipt(cluster, to, node, progress, false, lossOf(cluster, to, proof, samples, reachedBy(progress), status));
}

function assertSameDatabase(cluster: Cluster, node: PgNode, status: ServerStatus, fence: FenceReceipt | null): void {
  const expected = fence?.fence.systemId ?? cluster.context.token?.systemId ?? null;
  if (expected !== null && expected !== status.systemId) {
    throw new RampartError(
      'PreconditionFailed',
      `${node.name} has system identifier ${status.systemId}, the source ${expected}: it is no replica of it`,
      {
        remedy: 'Check host and port of both sides; build the replica anew from this primary.',
      },
    );
  }
  const final = fence?.fence.finalPosition ?? null;
  if (final !== null && status.inRecovery && status.timeline > final.timeline) {
    throw new RampartError(
      'PreconditionFailed',
      `${node.name} follows timeline ${status.timeline}, the source ended on ${final.timeline}`,
      {
        remedy: 'Something else was promoted: observe all nodes before going on.',
      },
    );
  }
}

function lossOf(
  cluster: Cluster,
  to: At,
  fence: FenceReceipt['fence'] | null,
  samples: SampleReading[],
  reached: Position | null,
  status: ServerStatus,
): LossStatement {
  const from = fence?.region ?? sourceOf(cluster, to, samples);
  const note = syncNote(status, sourceSync(from, samples));
  return stateLoss({ from, samples, fence, reached, asyncCommitMs: status.asyncCommitMs, note });
}

/** The region that was last seen writable, when no fence names it. */
function sourceOf(cluster: Cluster, to: At, samples: SampleReading[]): string {
  const last = samples.filter((sample) => sample.state === 'writable' && sample.region !== to.region).at(-1);
  return last?.region ?? cluster.nodes.find((node) => node.region !== to.region)?.region ?? to.region;
}

function receipt(
  cluster: Cluster,
  to: At,
  node: PgNode,
  progress: Progress,
  complete: boolean,
  loss: LossStatement,
): CatchUpReceipt {
  const { applied, received } = progress;
  return {
    already: false,
    at: cluster.context.now(),
    summary: complete
      ? `${node.name} has applied everything, up to ${applied?.text}`
      : `${node.name} has reached ${reachedBy(progress)?.text ?? 'an unknown position'}`,
    facts: {},
    catchUp: { region: to.region, node: node.name, applied, received, complete, loss },
  };
}

/**
 * The node of a side that is to be promoted: the one already promoted, else the replica that is furthest, in the
 * topology's order among equals.
 * @throws PreconditionFailed when none can be read
 */
export async function chooseTarget(cluster: Cluster, to: At): Promise<PgNode> {
  const nodes = nodesAt(cluster, to);
  if (nodes.length === 1) return nodes[0]!;
  const read = await Promise.all(
    nodes.map(async (node) => ({ node, status: await readStatus(cluster, node).catch(asFailure) })),
  );
  const alive = read.flatMap(({ node, status }) => (status instanceof RampartError ? [] : [{ node, status }]));
  const promoted = alive.find(({ status }) => !status.inRecovery);
  if (promoted !== undefined) return promoted.node;
  const best = alive.reduce<(typeof alive)[number] | null>(
    (best, next) => (best === null || isFurther(placeOf(next.status), placeOf(best.status)) ? next : best),
    null,
  );
  if (best !== null) return best.node;
  throw new RampartError('PreconditionFailed', `no node of ${to.region} can be read`, {
    remedy: read.map(({ status }) => (status instanceof RampartError ? status.message : '')).join('; '),
  });
}

const placeOf = (status: ServerStatus): Position | null => greatest(status.position, status.received);
