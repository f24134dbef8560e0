/** What may be missing after a promotion, stated before it. Pure. */
import type { FenceReceipt, LossStatement, Millis, Position, SampleReading } from '../ports.ts';
import { bytesBetween } from './lsn.ts';

export interface LossInput {
  /** The source's region, whose samples count. */
  from: string;
  samples: SampleReading[];
  fence: FenceReceipt['fence'] | null;
  /** The greatest of received and applied on the target. */
  reached: Position | null;
  /** Longest time an asynchronous commit is acknowledged before it is in the log, in milliseconds; 0 = commits wait. */
  asyncCommitMs: number;
  /** What synchronous replication does and does not promise here. */
  note: string;
}

export const NO_LOSS = (note: string): LossStatement => ({
  kind: 'none',
  fromTime: null,
  toTime: null,
  seconds: 0,
  atLeastBytes: 0,
  atMostBytes: 0,
  note,
});

/**
 * The window in which acknowledged writes may be missing: from the newest sample that the target has reached (what
 * was acknowledged before it is there) to the last moment the source could acknowledge anything.
 */
export function stateLoss(input: LossInput): LossStatement {
  const { reached, fence } = input;
  const writes = input.samples
    .filter((sample) => sample.region === input.from && sample.state === 'writable' && sample.position !== null)
    .sort((a, b) => a.at - b.at);
  const covered = reached === null ? undefined : writes.findLast((sample) => isReached(sample.position!, reached));
  const fromTime: Millis | null = covered === undefined ? null : covered.at - input.asyncCommitMs;
  const toTime: Millis | null = fence === null || fence.cannotWrite === 'none' ? null : fence.provenAt;
  const last = writes.at(-1)?.position ?? null;
  const final = fence?.finalPosition ?? null;
  const atMostBytes = missing(final, reached);
  const atLeastBytes = missing(final ?? last, reached);
  const closed = fromTime !== null && toTime !== null;
  return {
    kind: closed ? (atMostBytes === null ? 'bounded' : 'measured') : 'unknown',
    fromTime: iso(fromTime),
    toTime: iso(toTime),
    seconds: closed ? Math.max(0, toTime - fromTime) / 1000 : null,
    atLeastBytes,
    atMostBytes,
    note: [openNote(fromTime, toTime), input.note].filter((part) => part !== '').join(' '),
  };
}

/**
 * Nothing of a later timeline is: the target has stayed behind where the source was promoted, or went on by itself, and
 * then its position may well be the higher one.
 */
const isReached = (sample: Position, reached: Position): boolean =>
  sample.timeline <= reached.timeline && BigInt(sample.order) <= BigInt(reached.order);

/** Bytes up to `written` that were not reached; `null` across timelines, where a difference says nothing. */
function missing(written: Position | null, reached: Position | null): number | null {
  if (written === null || reached === null || written.timeline !== reached.timeline) return null;
  return Math.max(0, bytesBetween(written, reached));
}

const iso = (at: Millis | null): string | null => (at === null ? null : new Date(at).toISOString());

function openNote(fromTime: Millis | null, toTime: Millis | null): string {
  const parts = [
    ...(fromTime === null
      ? ['No sample of the source is covered by the target, so the beginning of the window is not known.']
      : []),
    ...(toTime === null ? ['The source is not fenced and may still acknowledge writes: the window is open.'] : []),
  ];
  return parts.join(' ');
}
