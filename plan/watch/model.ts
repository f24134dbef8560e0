/** What vantage points say and what follows: types shared by the probes, the vote, the workflow and who shows it. */
import type { Millis } from '../../drivers/ports.ts';
import type { ComponentName, RegionName } from '../../topology/model.ts';
import type { VantagePoint } from '../../topology/watches.ts';

/** What can be wrong with a probe. */
export type Signal = 'failing' | 'errorRate' | 'latency';
export const SIGNALS: readonly Signal[] = ['failing', 'errorRate', 'latency'];

/** One asking of one probe, as far as it says anything: a question that could not be asked is no reading. */
export interface Reading {
  at: Millis;
  ok: boolean;
  /** Whether anybody answered. */
  answered: boolean;
  /** Time to the answer, in milliseconds; `null` where it is not that of the probed system. */
  ms: number | null;
}

/** `on`: `null` = it cannot be told. `since`: when what is on began. */
export interface SignalState {
  on: boolean | null;
  since: Millis | null;
}

/** A part of the window. Counts only, so that a window of any length travels with the watch to another worker. */
export interface Bucket {
  /** Its beginning. */
  at: Millis;
  asked: number;
  failed: number;
  /** With a time; of these, above the limit, and above the share of it that must be reached to be well again. */
  timed: number;
  slow: number;
  slowish: number;
  firstFailure: Millis | null;
  firstSlow: Millis | null;
}

/** What is remembered of one probe in one region. */
export interface TargetMemory {
  /** Oldest first, none older than the window. */
  buckets: Bucket[];
  /** In a row, up to now. */
  failures: number;
  successes: number;
  silent: number;
  answers: number;
  /** First of the failures in a row. */
  failingSince: Millis | null;
  lastFailureAt: Millis | null;
  /** Whether nobody answers; `null` = not asked yet. */
  isSilent: boolean | null;
  /** As last judged: what is on ends later than it begins. */
  signals: Record<Signal, SignalState>;
  /** What was seen last, for people. */
  text: string;
}

/** By target: see `targetOf`. */
export type PointMemory = Record<string, TargetMemory>;

/** What one vantage point says of one probe in one region. */
export interface TargetReport {
  probe: ComponentName;
  /** `null`: the probe is about no region. */
  region: RegionName | null;
  signals: Record<Signal, SignalState>;
  /** Whether nobody answers there; `null` = not known. */
  silent: boolean | null;
  text: string;
}

export interface PointReport {
  at: Millis;
  targets: TargetReport[];
}

/** A vantage point that answers has a report; one that does not is unknown, whatever it said before. */
export type Reports = Record<VantagePoint, PointReport | null>;

/** What a vote is about. `down`: all probes of a region fail. */
export interface Subject {
  signal: Signal | 'down';
  probe: ComponentName | null;
  region: RegionName | null;
}

export interface Tally {
  on: VantagePoint[];
  off: VantagePoint[];
  abstain: Array<{ point: VantagePoint; why: string }>;
  /** `null`: it cannot be told, and what was known before stands. */
  decided: boolean | null;
  /** When what is on began, by the earliest of those that see it. */
  since: Millis | null;
  /** What they see, a few words. */
  text: string;
}

/** What is held to be so. */
export interface Verdict extends Subject {
  on: boolean | null;
  /** When what is on began; when it ended. */
  since: Millis | null;
  until: Millis | null;
  /** When it was decided. */
  at: Millis;
  /** Votes for it, of how many that could tell: `2/3`. */
  votes: string;
  text: string;
}
