/** How far a replica gets, and what an acknowledgement of its source was worth. */
import { poll } from '../poll.ts';
import type { NodeObservation, Position, SampleReading } from '../ports.ts';
import { greatest, positionAt } from './lsn.ts';
import type { SqlComponent, SqlServer } from './server.ts';
import { query } from './session.ts';
import type { ServerStatus } from './status.ts';

/** Unplanned: what was received counts as applied once nothing has moved for this long, milliseconds. */
const SETTLE_MS = 250;

export interface Progress {
  applied: Position | null;
  received: Position | null;
}

/**
 * A source that still sends will not let it stand still: then one reading has to do. Without a receiver nothing comes
 * any more, and a receiver that ends has flushed what it had: then it is over when all that was received is applied.
 */
export function settled(cluster: SqlComponent, node: SqlServer, status: ServerStatus): Promise<Progress> {
  const streaming = status.receiver?.status === 'streaming';
  return follow(
    cluster,
    node,
    status.timeline,
    SETTLE_MS,
    ({ applied, received }) =>
      streaming ||
      (status.receiverGone && applied !== null && received !== null && BigInt(applied.order) >= BigInt(received.order)),
  );
}

export const reachedBy = ({ applied, received }: Progress): Position | null => greatest(applied, received);

/**
 * `stopped`: the final position is the start of the last record. `sessions`: it is the end of the log. Never true on a
 * timeline that the source has left: such a target has a tail of its own there instead.
 */
export function isBeyond(applied: Position | null, final: Position, strength: string): boolean {
  if (applied === null || applied.timeline < final.timeline) return false;
  const [a, f] = [BigInt(applied.order), BigInt(final.order)];
  return strength === 'sessions' ? a >= f : a > f;
}

/** Polls the target until `done`, or until nothing has moved for `stillMs`: replay may be paused. */
export async function follow(
  cluster: SqlComponent,
  node: SqlServer,
  timeline: number,
  stillMs: number,
  done: (progress: Progress) => boolean,
): Promise<Progress> {
  const { context } = cluster;
  let last: Progress = { applied: null, received: null };
  let movedAt = performance.now();
  await poll({ signal: context.signal, deadlineMs: Number.POSITIVE_INFINITY, intervalMs: 2 }, async () => {
    const now = await readProgress(cluster, node, timeline);
    const moved = now.applied?.order !== last.applied?.order || now.received?.order !== last.received?.order;
    if (moved) movedAt = performance.now();
    last = now;
    context.heartbeat({ node: node.name, applied: now.applied?.text ?? null });
    return done(now) || performance.now() - movedAt > stillMs ? true : undefined;
  });
  return last;
}

async function readProgress(cluster: SqlComponent, node: SqlServer, timeline: number): Promise<Progress> {
  const [row] = await query<{ applied: string | null; received: string | null }>(
    cluster,
    node,
    'SELECT pg_last_wal_replay_lsn()::text AS applied, pg_last_wal_receive_lsn()::text AS received',
  );
  return { applied: positionAt(row!.applied, timeline), received: positionAt(row!.received, timeline) };
}

/**
 * The target's own setting is about its own commits once it is promoted; what an acknowledgement of the source was worth
 * only the source's setting tells, as a sampler last read it.
 */
export function syncNote(status: ServerStatus, source: NodeObservation['sync']): string {
  const parts: string[] = [];
  if (status.asyncCommitMs > 0) {
    parts.push(
      'synchronous_commit is off for some sessions: the window begins earlier by the time such a commit may wait for the log.',
    );
  }
  if (source === null) {
    parts.push(
      'Whether the source replicated synchronously is not known: an acknowledged write may be missing on the target.',
    );
  } else if (!source.enabled) {
    parts.push('Replication was asynchronous: an acknowledged write may be missing on the target.');
  } else {
    parts.push(
      `Replication was synchronous when the source was last read: a write that was acknowledged in the ordinary way is on a synchronous replica; one whose wait was cancelled (by a client's time-out or by a person), or whose session had synchronous_commit = local or off, was acknowledged without being replicated.${source.cancelledWaiters === 'possible' ? ' Sessions were waiting then.' : ''}`,
    );
  }
  return parts.join(' ');
}

/** The last word of the source's samples on synchronous replication. */
export function sourceSync(from: string, samples: SampleReading[]): NodeObservation['sync'] {
  const told = samples.filter((sample) => sample.region === from && sample.state === 'writable' && sample.sync);
  return (
    told.reduce<SampleReading | null>((last, s) => (last === null || s.at >= last.at ? s : last), null)?.sync ?? null
  );
}
