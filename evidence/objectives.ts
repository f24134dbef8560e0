/**
 * What a run promised and what it achieved. Pure and free of Node built-ins, so that a workflow may use it too. The
 * recovery time counts from the clocks (clocks.ts); a planned run's write outage is judged apart, against the freeze
 * budget.
 */
import type { Millis } from '../drivers/ports.ts';
import { type Clock, type ClockId, clocksOf } from './clocks.ts';
import { duration, plural, size } from './format.ts';
import type { ObjectiveRecord, RunRecord } from './record.ts';

/** What a load that kept every acknowledgement found when the run was over. */
export interface LoadResult {
  /** Writes the service acknowledged. */
  acknowledged: number;
  /** Acknowledged writes that are not in the database. */
  lost: number;
  /** Rows beyond the first of a write. */
  duplicated: number;
  /** Longest time between two acknowledgements, in milliseconds. */
  writeGapMs: number | null;
  /** Whether every lost write lies in the window of the loss statement; `null` when none is lost or it was not looked at. */
  lostInsideStatement?: boolean | null;
  /** Requests answered with an error, or not at all. */
  errors?: number | null;
  /** When the first and the last lost write were acknowledged. */
  firstLostAt?: Millis | null;
  lastLostAt?: Millis | null;
}

/** An objective, judged here or by the run itself. */
export type Objective = ObjectiveRecord & { margin: string | null };

const MOVES_DATA = ['failover', 'failback'];

/**
 * Every objective of the run with what was achieved, judged only when the run is over: `met: null` means that there
 * is no answer, never that it is good.
 * @param load what clients saw, when a load watched the run
 */
export function assessObjectives(record: RunRecord, load: LoadResult | null = null): Objective[] {
  const out: Objective[] = record.objectives.map((o) => ({ ...o, margin: o.margin ?? null }));
  // A record may carry its own judgement under the short name: `RTO` for `Recovery time (RTO)`.
  const judged = (name: string) => record.objectives.some((o) => name === o.name || name.includes(`(${o.name})`));
  const own: Array<Objective | null> = [
    recoveryTime(record),
    recoveryPoint(record),
    freeze(record),
    ramp(record),
    protection(record),
    ...clientView(record, load),
  ];
  for (const o of own) if (o !== null && !judged(o.name)) out.push(o);
  return out;
}

const over = (record: RunRecord): boolean => record.outcome !== null;
/** Ended without having moved anything: its objectives were never put to the test. */
const untried = (record: RunRecord): boolean =>
  record.outcome === 'nothingToDo' || record.outcome === 'withdrawn' || record.outcome === 'cancelled';

function recoveryTime(record: RunRecord): Objective | null {
  if (!MOVES_DATA.includes(record.action) || untried(record)) return null;
  // Put back before anything was promoted: nobody had to recover, the write outage is judged apart.
  if (record.mode === 'planned' && (record.outcome === 'rolledBack' || record.outcome === 'refused')) return null;
  const target = record.targets?.rtoMs;
  const clocks = Object.fromEntries(clocksOf(record).map((c) => [c.id, c])) as Record<ClockId, Clock>;
  const from = clocks.T0.at ?? clocks.T3.at;
  const actual = clocks.T6.at === null || from === null ? null : clocks.T6.at - from;
  const given = record.mode === 'planned' || typeof record.impactStartAt === 'number';
  const words = clocks.T0.at === null ? ' since the start of the run' : given ? '' : ' at most';
  const measured = clocks.T0.basis === 'measured' && clocks.T6.basis === 'measured';
  return {
    name: 'Recovery time (RTO)',
    target: target === undefined ? 'not known' : `≤ ${duration(target)}`,
    actual: actual !== null ? `${duration(actual)}${words}` : over(record) ? 'not reached' : 'not yet reached',
    met: judgeTime(target, actual, clocks.T0.at !== null, over(record)),
    basis: actual === null ? 'unknown' : measured ? 'measured' : 'estimated',
    margin: target === undefined || actual === null ? null : duration(target - actual),
  };
}

/** A time counted from later than the harm can prove a miss, never that the objective was met. */
function judgeTime(target: number | undefined, actual: number | null, whole: boolean, ended: boolean): boolean | null {
  if (target === undefined) return null;
  if (actual === null) return ended ? false : null;
  return actual > target ? false : whole ? true : null;
}

function recoveryPoint(record: RunRecord): Objective | null {
  if (!MOVES_DATA.includes(record.action) || untried(record)) return null;
  // Nothing was promoted: no write can have been lost by the run.
  if (record.pointOfNoReturn.crossedAt === null && record.loss === null) return null;
  const targetMs = record.mode === 'planned' ? 0 : record.targets?.rpoMs;
  const loss = record.loss;
  const seconds = loss === null ? null : loss.kind === 'none' ? 0 : loss.seconds;
  const atMost = loss?.kind === 'bounded' ? 'at most ' : '';
  return {
    name: 'Recovery point (RPO)',
    target:
      targetMs === undefined ? 'not known' : targetMs === 0 ? 'no acknowledged write lost' : `≤ ${duration(targetMs)}`,
    actual: seconds === null ? 'unknown' : seconds === 0 ? 'nothing lost' : `${atMost}${duration(seconds * 1000)}`,
    met: seconds === null ? (over(record) ? false : null) : targetMs === undefined ? null : seconds * 1000 <= targetMs,
    basis: seconds === null ? 'unknown' : loss?.kind === 'bounded' ? 'estimated' : 'measured',
    margin: targetMs === undefined || seconds === null ? null : duration(targetMs - seconds * 1000),
  };
}

function freeze(record: RunRecord): Objective | null {
  const { startedAt, endedAt, budgetMs, exceeded } = record.freeze;
  if (startedAt === null) return null;
  const actual = endedAt === null ? null : endedAt - startedAt;
  return {
    name: 'Write outage (freeze)',
    target: `≤ ${duration(budgetMs)}`,
    actual: actual === null ? 'not over' : duration(actual),
    met: actual !== null ? !exceeded && actual <= budgetMs : exceeded ? false : null,
    basis: actual === null ? 'unknown' : 'measured',
    margin: actual === null ? null : duration(budgetMs - actual),
  };
}

/** Percentage points, to one decimal. */
const points = (n: number): string => plural(Math.round(n * 10) / 10, 'point');

function ramp(record: RunRecord): Objective | null {
  if (record.ramp.length === 0) return null;
  const deviations = record.ramp.flatMap((r) =>
    r.observed === null
      ? []
      : Object.entries(r.weights).map(([region, w]) => Math.abs(w - (r.observed?.[region] ?? 0))),
  );
  const unseen = record.ramp.filter((r) => r.observed === null).length;
  const bad = record.ramp.filter((r) => r.bake === 'failed' || r.steppedBack).length;
  const open = record.ramp.filter((r) => r.bake === 'running' || r.bake === 'inconclusive').length;
  const seen = deviations.length === 0 ? 'not sampled' : `off by ${points(Math.max(...deviations))} at most`;
  return {
    name: 'Traffic ramp',
    target: 'every weight seen at the edge, every bake passed',
    actual: [
      plural(record.ramp.length, 'weight', ' set'),
      seen,
      ...(unseen > 0 && deviations.length > 0 ? [`${unseen} not sampled`] : []),
      ...(bad > 0 ? [`${bad} failed or stepped back`] : []),
      ...(open > 0 ? [`${open} without a verdict`] : []),
    ].join(', '),
    met: bad > 0 ? false : open > 0 ? null : true,
    basis: unseen === 0 ? 'measured' : 'unknown',
    margin: null,
  };
}

function protection(record: RunRecord): Objective | null {
  if (record.action !== 'reprotect' || untried(record)) return null;
  const left = record.debt.length;
  return {
    name: 'Protection restored',
    target: 'no protection debt',
    actual: left === 0 ? (over(record) ? 'none left' : 'not yet known') : `${left} left`,
    met: over(record) ? left === 0 && record.outcome === 'completed' : null,
    basis: over(record) ? 'measured' : 'unknown',
    margin: null,
  };
}

function clientView(record: RunRecord, load: LoadResult | null): Objective[] {
  if (load === null) return [];
  const window = record.loss !== null && record.loss.kind !== 'none';
  const inside = load.lost === 0 || load.lostInsideStatement === true;
  const lost: Objective = {
    name: window ? 'Lost writes inside the stated window' : 'Acknowledged writes kept',
    target: window ? 'every lost write was stated' : '0 lost',
    actual: `${load.lost} of ${load.acknowledged} lost${window && load.lost > 0 ? (load.lostInsideStatement === true ? ', all inside' : load.lostInsideStatement === false ? ', some outside' : ', not compared') : ''}`,
    met: window ? (load.lost > 0 && load.lostInsideStatement == null ? null : inside) : load.lost === 0,
    basis: 'measured',
    margin: null,
  };
  const doubled: Objective = {
    name: 'Writes applied once',
    target: '0 duplicated',
    actual: `${load.duplicated} duplicated`,
    met: load.duplicated === 0,
    basis: 'measured',
    margin: null,
  };
  return [lost, doubled];
}

/**
 * The recovery point achieved, in milliseconds: the stated loss, its upper bound. `null` when it is open or unknown; a
 * run that ended without having promoted anything lost nothing.
 */
export function recoveryPointMs({ loss, outcome, pointOfNoReturn }: RunRecord): number | null {
  if (loss === null) return outcome !== null && pointOfNoReturn.crossedAt === null ? 0 : null;
  if (loss.kind === 'none') return 0;
  return loss.kind === 'unknown' || loss.toTime === null || loss.seconds === null ? null : loss.seconds * 1000;
}

/** The stated loss in a few words; `null` when none was stated. */
export function statedLoss(record: RunRecord): string | null {
  const loss = record.loss;
  if (loss === null) return null;
  if (loss.kind === 'none') return 'nothing';
  if (loss.seconds === null) return 'unknown';
  return `${loss.kind === 'bounded' ? '≤ ' : ''}${duration(loss.seconds * 1000)}${loss.atLeastBytes ? `, ≥ ${size(loss.atLeastBytes)}` : ''}`;
}

/** The loss in a few words, for overviews: what clients found and what was stated. */
export function lossInShort(record: RunRecord, load: LoadResult | null): string {
  const stated = statedLoss(record);
  if (load === null) return stated ?? 'none stated';
  if (load.lost === 0 && (stated === null || stated === 'nothing')) return '0 lost';
  return `${load.lost} lost (stated: ${stated ?? 'none'})`;
}
