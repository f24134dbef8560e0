/**
 * One probe in one region, seen from one vantage point: readings in, what is wrong out. Pure. Nothing that is on goes
 * off at the first good reading, and nothing is said of what was not read in the window.
 */
import type { Millis } from '../../drivers/ports.ts';
import { LEAST_FAILURES, type Watch } from '../../topology/watches.ts';
import { type Bucket, type Reading, SIGNALS, type Signal, type SignalState, type TargetMemory } from './model.ts';

export type Thresholds = Pick<Watch, 'windowMs' | 'failures' | 'errorRate' | 'latencyMs'>;

/** A window has so many parts; a part leaves it as a whole. */
const BUCKETS = 12;
/** Times of which a median means something. */
const LEAST_TIMES = 3;
/** Rates and times are told of a window that has been filled for this share of it. */
const FILLED = 0.5;
/** What is on ends below this share of its threshold. */
const RATE_ENDS_AT = 0.5;
const LATENCY_ENDS_AT = 0.8;

const UNKNOWN: SignalState = { on: null, since: null };
const NOTHING: Record<Signal, SignalState> = { failing: UNKNOWN, errorRate: UNKNOWN, latency: UNKNOWN };

export const NEW_TARGET: TargetMemory = {
  ...{ buckets: [], failures: 0, successes: 0, silent: 0, answers: 0 },
  ...{ failingSince: null, lastFailureAt: null, isSilent: null, signals: NOTHING, text: '' },
};

/** Takes a reading in. Readings come in the order of their time; an older one is dropped. */
export function take(before: TargetMemory, reading: Reading, thresholds: Thresholds): TargetMemory {
  const memory = rested(before, thresholds, reading.at);
  const width = widthOf(thresholds);
  const begin = Math.floor(reading.at / width) * width;
  const newest = memory.buckets.at(-1);
  if (newest !== undefined && begin < newest.at) return memory;
  const { ok, answered, at, ms } = reading;
  const slow = ms !== null && ms > thresholds.latencyMs;
  const now: Bucket = newest?.at === begin ? newest : emptyBucket(begin);
  const bucket: Bucket = {
    at: begin,
    asked: now.asked + 1,
    failed: now.failed + Number(!ok),
    timed: now.timed + Number(ms !== null),
    slow: now.slow + Number(slow),
    slowish: now.slowish + Number(ms !== null && ms > thresholds.latencyMs * LATENCY_ENDS_AT),
    firstFailure: now.firstFailure ?? (ok ? null : at),
    firstSlow: now.firstSlow ?? (slow ? at : null),
  };
  const silent = answered ? 0 : memory.silent + 1;
  const answers = answered ? memory.answers + 1 : 0;
  return {
    ...memory,
    buckets: [...memory.buckets.filter((one) => one.at !== begin), bucket],
    failures: ok ? 0 : memory.failures + 1,
    successes: ok ? memory.successes + 1 : 0,
    silent,
    answers,
    failingSince: ok ? null : (memory.failingSince ?? at),
    lastFailureAt: ok ? memory.lastFailureAt : at,
    isSilent: silentNow(memory.isSilent, silent, answers, thresholds.failures),
  };
}

/** As many in a row as make a failure, in either direction; the first word of all counts at once when it is an answer. */
function silentNow(before: boolean | null, silent: number, answers: number, enough: number): boolean | null {
  if (silent >= enough) return true;
  if (answers >= (before === null ? 1 : enough)) return false;
  return before;
}

/** Judges what is remembered. @returns the memory with what is on now; every signal is `null` when nothing was read lately */
export function judge(known: TargetMemory, thresholds: Thresholds, now: Millis): TargetMemory {
  const memory = rested(known, thresholds, now);
  const { buckets } = memory;
  const sum = (field: 'asked' | 'failed' | 'timed' | 'slow' | 'slowish'): number =>
    buckets.reduce((all, one) => all + one[field], 0);
  const asked = sum('asked');
  if (asked === 0) return memory;
  const filled = now - buckets[0]!.at >= thresholds.windowMs * FILLED;
  const before = memory.signals;
  const first = (field: 'firstFailure' | 'firstSlow'): Millis =>
    buckets.map((one) => one[field]).find((at) => at !== null) ?? now;

  const rate = (100 * sum('failed')) / asked;
  const timed = sum('timed');
  const median = (field: 'slow' | 'slowish'): boolean => 2 * sum(field) > timed;
  const signals: Record<Signal, SignalState> = {
    failing: failingNow(memory, thresholds, now),
    errorRate: next(before.errorRate, first('firstFailure'), {
      known: filled,
      on: rate > thresholds.errorRate && sum('failed') >= LEAST_FAILURES,
      off: rate <= thresholds.errorRate * RATE_ENDS_AT,
    }),
    latency:
      timed === 0
        ? { ...before.latency, on: null }
        : next(before.latency, first('firstSlow'), {
            known: filled && timed >= LEAST_TIMES,
            on: median('slow'),
            off: !median('slowish'),
          }),
  };
  return { ...memory, signals };
}

function failingNow(
  { failures, successes, failingSince, lastFailureAt, signals }: TargetMemory,
  { failures: enough, windowMs }: Thresholds,
  now: Millis,
): SignalState {
  const before = signals.failing;
  if (failures >= enough) return wasOn(before) ? { on: true, since: before.since } : { on: true, since: failingSince };
  if (!wasOn(before)) return successes > 0 || before.on === false ? { on: false, since: null } : UNKNOWN;
  const calm = successes >= enough && now - (lastFailureAt ?? Number.NEGATIVE_INFINITY) >= windowMs;
  return calm ? { on: false, since: null } : { on: true, since: before.since };
}

/** What is on has a beginning, which outlives a time in which nothing could be told. */
const wasOn = ({ on, since }: SignalState): boolean => on === true || (on === null && since !== null);

function next(before: SignalState, since: Millis, is: { known: boolean; on: boolean; off: boolean }): SignalState {
  const on = wasOn(before);
  if (!is.known) return before.on === null && !on ? UNKNOWN : { on, since: before.since };
  if (on ? !is.off : is.on) return { on: true, since: on ? before.since : since };
  return { on: false, since: null };
}

/** What is older than the window is forgotten; when nothing is left, nothing is in a row any more. */
function rested(memory: TargetMemory, thresholds: Thresholds, now: Millis): TargetMemory {
  const buckets = fresh(memory.buckets, now, thresholds);
  if (buckets.length > 0) return { ...memory, buckets };
  const none = { failures: 0, successes: 0, silent: 0, answers: 0, failingSince: null, isSilent: null };
  return { ...memory, ...none, buckets, signals: stale(memory.signals) };
}

function stale(signals: Record<Signal, SignalState>): Record<Signal, SignalState> {
  const of = (signal: Signal): SignalState => ({ ...signals[signal], on: null });
  return Object.fromEntries(SIGNALS.map((signal) => [signal, of(signal)])) as Record<Signal, SignalState>;
}

const widthOf = ({ windowMs }: Thresholds): number => Math.ceil(windowMs / BUCKETS);

/** A bucket counts as long as its beginning lies in the window. */
const fresh = (buckets: readonly Bucket[], now: Millis, thresholds: Thresholds): Bucket[] =>
  buckets.filter(({ at }) => at > now - thresholds.windowMs - widthOf(thresholds));

const emptyBucket = (at: Millis): Bucket => ({
  ...{ at, asked: 0, failed: 0, timed: 0, slow: 0, slowish: 0 },
  ...{ firstFailure: null, firstSlow: null },
});
