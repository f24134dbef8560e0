/** Before the freeze: brings the pair close. In it: waits until the target has everything, or says what it lacks. */
import { ensureDoorTables } from '../aws/sql/doors.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, CatchUpReceipt, FenceReceipt, Lag, Receipt, SampleReading } from '../ports.ts';
import { lagBehind } from '../sql/lag.ts';
import { NO_LOSS, stateLoss } from '../sql/loss.ts';
import { ensureProbeTable } from '../sql/probe.ts';
import { follow, isBeyond, type Progress, reachedBy, settled, sourceSync, syncNote } from '../sql/progress.ts';
import { readStatus, type ServerStatus } from '../sql/status.ts';
import { type Fleet, type Side, sideOf } from './config.ts';
import { ask } from './reading.ts';

/** How long the replica may take to come within the limits, milliseconds. */
const CONVERGE_MS = 60_000;
/** Without any progress for this long (milliseconds) a target that lacks something will not get it any more. */
const STALL_MS = 10_000;

/**
 * Makes Rampart's own tables on the source and waits until the target lags no more than the limits.
 * @param limit milliseconds and bytes
 * @throws LagTooHigh with the last reading; PreconditionFailed when the source is not writable
 */
export async function converge(
  fleet: Fleet,
  from: string,
  to: string,
  limit: { ms: number; bytes: number },
): Promise<Receipt> {
  const { context } = fleet;
  const source = await ask(fleet, sideOf(fleet, from));
  if (source.status.inRecovery) {
    throw new RampartError('PreconditionFailed', `${source.side.name} is in recovery: ${from} takes no writes`, {
      remedy: 'Observe both sides: the primary may be the other one.',
    });
  }
  await ensureDoorTables(fleet, source.server);
  await ensureProbeTable(fleet, source.server);
  const target = await ask(fleet, sideOf(fleet, to));
  let last: Lag | null = null;
  let streaming = false;
  const close = await poll({ signal: context.signal, deadlineMs: CONVERGE_MS, intervalMs: 20 }, async () => {
    const status = await readStatus(fleet, target.server);
    // Caught up and cut off is not enough: it would never get the last record of the fence.
    streaming = status.receiver?.status === 'streaming';
    last = status.inRecovery ? await lagBehind(fleet, target.server, source.server, status) : null;
    context.heartbeat({ doing: 'converge', lagBytes: last?.bytes ?? null, lagSeconds: last?.seconds ?? null });
    return streaming && last !== null && isWithin(last, limit) ? last : undefined;
  });
  if (close === undefined) throw tooFar(target.side, last, streaming, limit);
  return {
    already: false,
    at: context.now(),
    summary: `${target.side.name} is ${close.bytes} bytes behind`,
    facts: { lagBytes: close.bytes, lagSeconds: close.seconds },
  };
}

function isWithin(lag: Lag, limit: { ms: number; bytes: number }): boolean {
  if (!lag.fresh || lag.bytes === null || lag.seconds === null) return false;
  return lag.bytes <= limit.bytes && lag.seconds * 1000 <= limit.ms;
}

function tooFar(side: Side, lag: Lag | null, streaming: boolean, limit: { ms: number; bytes: number }): RampartError {
  const found = !streaming
    ? 'it does not stream'
    : lag === null || !lag.fresh
      ? "the source's position could not be read"
      : `it is ${lag.bytes} bytes and ${lag.seconds} s behind`;
  return new RampartError(
    'LagTooHigh',
    `${side.name} did not come within ${limit.bytes} bytes and ${limit.ms} ms: ${found}`,
    {
      remedy:
        'Look for a long query on the replica or an instance class that is too small; CloudWatch ReplicaLag shows since when.',
      details: { lag },
    },
  );
}

/**
 * With a fence and its final position: waits until the target has applied it. Without: records what was reached once it
 * stands still, and states the loss. A target that stops short gives `complete: false` and a loss.
 * @throws PreconditionFailed for another database or timeline
 */
export async function awaitCatchUp(
  fleet: Fleet,
  fence: FenceReceipt | null,
  to: At,
  samples: SampleReading[],
): Promise<CatchUpReceipt> {
  const side = sideOf(fleet, to.region);
  const { server, status } = await ask(fleet, side);
  assertSameDatabase(fleet, side, status, fence);
  const proof = fence?.fence ?? null;
  const from = proof?.region ?? sourceOf(fleet, side, samples);
  const final = proof !== null && proof.cannotWrite !== 'none' ? proof.finalPosition : null;
  const note = syncNote(status, sourceSync(from, samples));
  // Promoted already: it has what it had then.
  const promoted = final === null || status.timeline > final.timeline ? status.fork : status.position;
  let progress: Progress = { applied: promoted, received: null };
  if (status.inRecovery && final !== null) {
    progress = await follow(fleet, server, status.timeline, STALL_MS, (now) =>
      isBeyond(now.applied, final, 'sessions'),
    );
  } else if (status.inRecovery) progress = await settled(fleet, server, status);
  const complete = final !== null && isBeyond(progress.applied, final, 'sessions');
  const { asyncCommitMs } = status;
  const reached = reachedBy(progress);
  const loss = complete ? NO_LOSS(note) : stateLoss({ from, samples, fence: proof, reached, asyncCommitMs, note });
  return {
    already: false,
    at: fleet.context.now(),
    summary: complete
      ? `${side.name} has applied everything, up to ${progress.applied?.text}`
      : `${side.name} has reached ${reached?.text ?? 'an unknown position'}`,
    facts: {},
    catchUp: {
      region: to.region,
      node: side.name,
      applied: progress.applied,
      received: progress.received,
      complete,
      loss,
    },
  };
}

function assertSameDatabase(fleet: Fleet, side: Side, status: ServerStatus, fence: FenceReceipt | null): void {
  const expected = fence?.fence.systemId ?? fleet.context.token?.systemId ?? null;
  if (expected !== null && expected !== status.systemId) {
    throw new RampartError(
      'PreconditionFailed',
      `${side.name} has system identifier ${status.systemId}, the source ${expected}: it is no replica of it`,
      { remedy: 'Check `instance` of both sides; rebuild the replica from this primary.' },
    );
  }
  const final = fence?.fence.finalPosition ?? null;
  if (final !== null && status.inRecovery && status.timeline > final.timeline) {
    throw new RampartError(
      'PreconditionFailed',
      `${side.name} follows timeline ${status.timeline}, the source ended on ${final.timeline}`,
      { remedy: 'Something else was promoted: observe all sides before going on.' },
    );
  }
}

/** The region that was last seen writable, when no fence names it. */
function sourceOf(fleet: Fleet, side: Side, samples: SampleReading[]): string {
  const last = samples.filter(({ state, region }) => state === 'writable' && region !== side.region).at(-1);
  return last?.region ?? fleet.sides.find(({ region }) => region !== side.region)?.region ?? side.region;
}
