/** What the demo found, in the shape that programs rely on, and what makes it pass. Pure. */

import type { LossStatement } from '../../drivers/ports.ts';
import type { RampRecord, RunRecord } from '../../evidence/record.ts';
import type { Acknowledgement, WindowReport } from '../load/ledger.ts';
import type { Verification } from '../load/verify.ts';

/** One line of `./rampart demo --json`. */
export interface DemoResult {
  result: 'passed' | 'failed';
  seconds: number;
  /** Path of the HTML report. */
  report: string | null;
  runs: RunResult[];
  /** What kept it from passing. */
  problems: string[];
}

export interface RunResult {
  action: string;
  mode: string;
  service: string;
  from: string | null;
  to: string | null;
  outcome: string | null;
  /** From the start of the run to its end, approval included. */
  seconds: number;
  /** Longest time in which no order was acknowledged. */
  writeGapMs: number;
  /** Orders acknowledged while the run was on. */
  acknowledged: number;
  /** Acknowledged orders, of this run or before, that are not in the database. */
  lost: number;
  duplicated: number;
  freezeMs: number | null;
  /** Percent set at the edge and percent of answers that came from the new region. */
  ramp: Array<{ set: number; observed: number }>;
  statedLoss?: StatedLoss;
  lostInsideStatement?: boolean;
}

export type StatedLoss = Pick<LossStatement, 'kind' | 'fromTime' | 'toTime' | 'seconds' | 'atLeastBytes'>;

export interface RunFindings {
  record: RunRecord;
  /** What clients saw from before the run to its end. */
  seen: WindowReport;
  verified: Verification;
  /** Answers by region while each weight was in force, in the order of the ramp. */
  split: Array<{ percent: number; regions: Record<string, number> }>;
  /** The loss as the gate stated it, before anybody approved. */
  statedAtGate: LossStatement | null;
}

/**
 * The weights of the edge, each with its bake: a window (milliseconds since the epoch) in which it was in force all
 * the time. A step whose bake did not take place has an empty one.
 */
export function rampWindows(record: RunRecord, edge: string): Array<{ percent: number; from: number; to: number }> {
  const steps: RampRecord[] = record.ramp.filter(({ router, steppedBack }) => router === edge && !steppedBack);
  return steps.map(({ percent, setAt }) => {
    const bake = record.steps.find(({ id }) => id === `bake@${percent}`);
    return { percent, from: bake?.startedAt ?? setAt, to: bake?.endedAt ?? setAt };
  });
}

export function summarize({ record, seen, verified, split, statedAtGate }: RunFindings): RunResult {
  const { startedAt, endedAt } = record.freeze;
  const result: RunResult = {
    action: record.action,
    mode: record.mode,
    service: record.service,
    from: record.from,
    to: record.to,
    outcome: record.outcome,
    seconds: tenths(((record.endedAt ?? record.startedAt) - record.startedAt) / 1000),
    writeGapMs: Math.round(seen.writeGapMs),
    acknowledged: seen.acknowledged,
    lost: verified.lost.length,
    duplicated: verified.duplicated,
    freezeMs: startedAt === null || endedAt === null ? null : endedAt - startedAt,
    ramp: split.map(({ percent, regions }) => ({ set: percent, observed: shareOf(record.to, regions) })),
  };
  if (record.mode === 'planned') return result;
  const stated = record.loss;
  if (stated !== null) {
    const { kind, fromTime, toTime, seconds, atLeastBytes } = stated;
    result.statedLoss = { kind, fromTime, toTime, seconds, atLeastBytes };
  }
  // Stated twice, at the gate and at the end: both must hold.
  result.lostInsideStatement = [stated, statedAtGate].every(
    (statement) => statement !== null && verified.lost.every((order) => isInside(order, statement)),
  );
  return result;
}

/** Whether an order that is missing may be missing by this statement. */
export function isInside(order: Acknowledgement, statement: LossStatement): boolean {
  if (statement.kind === 'none') return false;
  const from = statement.fromTime === null ? Number.NEGATIVE_INFINITY : Date.parse(statement.fromTime);
  const to = statement.toTime === null ? Number.POSITIVE_INFINITY : Date.parse(statement.toTime);
  // It was committed somewhere between being sent and being acknowledged.
  return order.at >= from && order.sentAt <= to;
}

/** How far the counted split may be from the weight, in points: a second has some 180 answers. */
const SPLIT_TOLERANCE = 5;

/** What is wrong with a run; empty when it is as promised. */
export function problemsOf(run: RunResult, wantedRamp: number[] | null): string[] {
  const name = `${run.mode} ${run.action} to ${run.to}`;
  const problems: string[] = [];
  const demand = (holds: boolean, message: string): void => {
    if (!holds) problems.push(`${name}: ${message}`);
  };
  demand(run.outcome === 'completed', `it ended as ${run.outcome}`);
  demand(run.acknowledged > 0, 'no order was acknowledged');
  demand(run.duplicated === 0, `${run.duplicated} orders are there twice`);
  if (run.mode === 'planned') {
    demand(run.lost === 0, `${run.lost} acknowledged orders are lost`);
  } else {
    demand(run.lost > 0, 'nothing was lost although replication stood still: the fault did not take');
    demand(run.statedLoss !== undefined && run.statedLoss.kind !== 'none', 'no loss was stated');
    demand(run.lostInsideStatement === true, 'an order is missing that the loss statement does not cover');
  }
  if (wantedRamp !== null) {
    const set = run.ramp.map((step) => step.set);
    demand(set.join() === wantedRamp.join(), `the ramp went ${set.join(', ')} instead of ${wantedRamp.join(', ')}`);
  }
  for (const { set, observed } of run.ramp) {
    demand(
      Math.abs(set - observed) <= SPLIT_TOLERANCE,
      `at ${set} % the new region answered ${observed} % of the requests`,
    );
  }
  return problems;
}

function shareOf(region: string | null, regions: Record<string, number>): number {
  const all = Object.values(regions).reduce((sum, count) => sum + count, 0);
  return all === 0 || region === null ? 0 : tenths((100 * (regions[region] ?? 0)) / all);
}

const tenths = (value: number): number => Math.round(value * 10) / 10;
