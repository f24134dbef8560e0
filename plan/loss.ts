/**
 * What may be lost, as a time window, stated before anybody approves it: from the newest sample whose position the
 * target holds, to the last moment the source could still acknowledge a write. Pure.
 */
import type { LossStatement, Millis, NodeObservation, Position, SampleReading } from '../drivers/ports.ts';
import { bytesBetween, comparePositions, contains } from './positions.ts';

export interface LossInput {
  /**
   * Readings of the store, any order. A sample's `at` must be taken before its position was asked for, so that
   * everything acknowledged up to `at` is contained in the position.
   */
  samples: readonly SampleReading[];
  /** The greatest place the target holds, applied or received. */
  reached: Position | null;
  /**
   * The newest moment up to which everything acknowledged is known to be on the target, where the system tells it as a
   * time and not as a position; absent or `null` = it does not.
   */
  holdsUntil?: Millis | null;
  /** The source's last possible position, when its end of log was read after it could no longer write. */
  finalPosition: Position | null;
  /** When the source could acknowledge for the last time (the fence, or its proven stop); `null` = still open. */
  closedAt: Millis | null;
  sync: NodeObservation['sync'];
  now: Millis;
}

const iso = (at: Millis) => new Date(at).toISOString();

/** What synchronous replication does and does not promise about the window. */
export function syncNote(sync: NodeObservation['sync']): string {
  if (sync === null) return 'It is not known whether replication was synchronous.';
  if (!sync.enabled) return 'Replication was asynchronous: writes acknowledged inside the window may be missing.';
  const waiters =
    sync.cancelledWaiters === 'none'
      ? 'no waiter was cancelled as far as the source told'
      : 'a cancelled waiter was acknowledged without being replicated, so the window is not proven empty';
  return `Replication was synchronous: what was acknowledged in the ordinary way is on a synchronous standby; ${waiters}.`;
}

/** A statement that nothing is lost, with its reason. */
export function noLoss(note: string): LossStatement {
  return { kind: 'none', fromTime: null, toTime: null, seconds: 0, atLeastBytes: 0, atMostBytes: 0, note };
}

/**
 * The loss of one store.
 * `none`: the target holds the source's final position. `measured`: the final position is known and lies ahead.
 * `bounded`: the window has a beginning (`toTime: null` = its end is open, `seconds` counts up to now).
 * `unknown`: no sample says what the target surely holds.
 */
export function lossOf(input: LossInput): LossStatement {
  const { samples, reached, finalPosition, closedAt, sync, now } = input;
  const note = syncNote(sync);
  if (reached !== null && finalPosition !== null && contains(reached, finalPosition)) {
    return noLoss(`The target holds the source's final position ${finalPosition.text}.`);
  }
  const source = samples.filter((sample) => sample.state === 'writable' && sample.position !== null);
  const held = reached === null ? [] : source.filter((sample) => contains(reached, sample.position!));
  const known = [...held.map((sample) => sample.at), ...(input.holdsUntil == null ? [] : [input.holdsUntil])];
  const fromTime = known.length === 0 ? null : Math.max(...known);
  const seconds = fromTime === null ? null : Math.max(0, (closedAt ?? now) - fromTime) / 1000;
  const seen = source.reduce<Position | null>(
    (max, s) => (max === null || comparePositions(s.position!, max) > 0 ? s.position : max),
    null,
  );
  const furthest = finalPosition ?? seen;
  const ahead = reached === null || furthest === null ? null : bytesBetween(reached, furthest);
  const window = {
    fromTime: fromTime === null ? null : iso(fromTime),
    toTime: closedAt === null ? null : iso(closedAt),
    seconds,
    atLeastBytes: ahead,
    atMostBytes: finalPosition === null ? null : ahead,
    note,
  };
  if (finalPosition !== null && ahead !== null) return { kind: 'measured', ...window };
  return { kind: fromTime === null ? 'unknown' : 'bounded', ...window };
}

/**
 * The statement once the source can acknowledge nothing more.
 * @param at when that was known, in milliseconds since the epoch
 */
export function closeLoss(loss: LossStatement, at: Millis, note: string): LossStatement {
  if (loss.kind === 'none' || loss.toTime !== null) return loss;
  const seconds = loss.fromTime === null ? null : Math.max(0, at - Date.parse(loss.fromTime)) / 1000;
  return { ...loss, toTime: iso(at), seconds, note: `${loss.note} ${note}`.trim() };
}

const RANK: Record<LossStatement['kind'], number> = { none: 0, measured: 1, bounded: 2, unknown: 3 };

/** Statements with the name of the store that each is about. */
export type ByStore = ReadonlyArray<readonly [store: string, loss: LossStatement]>;

/** The loss of several stores as one statement: the widest window, the weakest knowledge, the sum of the bytes. */
export function combineLoss(byStore: ByStore): LossStatement {
  const losing = byStore.filter(([, loss]) => loss.kind !== 'none');
  if (losing.length === 0) return noLoss([...new Set(byStore.map(([, loss]) => loss.note))].join(' '));
  if (losing.length === 1 && byStore.length === 1) return losing[0]![1];
  const all = losing.map(([, loss]) => loss);
  const sum = (key: 'atLeastBytes' | 'atMostBytes') =>
    all.some((loss) => loss[key] === null) ? null : all.reduce((total, loss) => total + loss[key]!, 0);
  const least = all.reduce((total, loss) => total + (loss.atLeastBytes ?? 0), 0);
  const from = all.some((loss) => loss.fromTime === null) ? null : all.map((loss) => loss.fromTime!).sort()[0]!;
  const to = all.some((loss) => loss.toTime === null)
    ? null
    : (all
        .map((loss) => loss.toTime!)
        .sort()
        .at(-1) ?? null);
  const spans = all.map((loss) => loss.seconds);
  return {
    kind: all.reduce<LossStatement['kind']>(
      (worst, loss) => (RANK[loss.kind] > RANK[worst] ? loss.kind : worst),
      'none',
    ),
    fromTime: from,
    toTime: to,
    seconds: spans.some((s) => s === null) ? null : Math.max(...spans.map((s) => s!)),
    atLeastBytes: all.every((loss) => loss.atLeastBytes === null) ? null : least,
    atMostBytes: sum('atMostBytes'),
    note: losing.map(([store, loss]) => `${store}: ${loss.note}`).join(' '),
  };
}
