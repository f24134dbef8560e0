/** Rampart's own probes: what is asked, from where, and from when on something is wrong. Durations in milliseconds. */
import type { ComponentName, RegionName, ServiceName } from './model.ts';

/** Alerts of the watches; no sender of the file may have this name. */
export const WATCH_SOURCE = 'watch';
/** Alerts of the guards. */
export const GUARD_SOURCE = 'guard';
/** Sources that are Rampart itself. */
export const OWN_SOURCES: readonly string[] = [WATCH_SOURCE, GUARD_SOURCE];

/** The control workers as a vantage point; every other one has the name of its region. */
export const CONTROL_POINT = 'control';
export type VantagePoint = typeof CONTROL_POINT | RegionName;

export interface Watch {
  name: string;
  /** The service it is about; absent: it is about regions. */
  service?: ServiceName;
  regions: RegionName[];
  /** Check components; one without sides is asked once and tells nothing of a region. */
  probes: ComponentName[];
  /** Where it is asked from. */
  from: VantagePoint[];
  /** From one asking to the next. */
  intervalMs: number;
  /** Time that error rate and latency are taken over, and that must have passed without a failure before it is well. */
  windowMs: number;
  /** Failures in a row that make a probe fail. */
  failures: number;
  /** Percent of failures in the window from which on, exclusive, the error rate is too high. */
  errorRate: number;
  /** Median of the window from which on, exclusive, answers are too slow. */
  latencyMs: number;
  /** Vantage points that must agree, besides being a majority of those that can tell. */
  votes: number;
}

/** Of one failure nobody can tell a rate. */
export const LEAST_FAILURES = 2;

/** Most vantage points of a watch, regions it watches, and probes. */
export const MOST_POINTS = 10;
export const MOST_REGIONS = 10;
export const MOST_PROBES = 10;
