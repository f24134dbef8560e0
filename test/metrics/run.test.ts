/** What the real workflows count in virtual time: each thing once, also when a worker replays the history. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { METRICS, type MetricName } from '../../metrics/names.ts';
import { objectiveLabel } from '../../metrics/objective.ts';
import { type EngineRun, PLANNED, type RunOptions, startRun, UNPLANNED } from '../virtual-time/engine/run.ts';
import { collectMeasurements } from '../virtual-time/harness.ts';
import type { Measurement } from '../virtual-time/sdk.ts';

let run: EngineRun;
let all: Measurement[];
const start = async (options?: RunOptions): Promise<EngineRun> => {
  run = await startRun(options);
  return run;
};
beforeEach(() => {
  all = collectMeasurements();
});
afterEach(() => run?.dispose());

const of = (name: MetricName, tags: Record<string, string> = {}): Measurement[] =>
  all.filter((one) => one.name === name && Object.entries(tags).every(([key, value]) => one.tags[key] === value));
const sum = (found: Measurement[]): number => found.reduce((total, { value }) => total + value, 0);
const RUN = { service: 'checkout', action: 'failover' };

describe('a planned failover', () => {
  beforeEach(async () => {
    await start({ request: PLANNED });
    await run.gate();
    await run.harness.advance(600_000);
    await run.approve();
  });

  it('is one run, its time at work and its wait for people apart', async () => {
    const record = await run.end();
    const labels = { ...RUN, mode: 'planned', result: 'completed' };
    expect(sum(of('rampart_runs_total', labels))).toBe(1);
    const [total, worked, waited] = (
      [
        'rampart_run_duration_seconds',
        'rampart_run_progression_duration_seconds',
        'rampart_run_manual_wait_duration_seconds',
      ] as const
    ).map((name) => of(name, labels).map(({ value }) => value));
    expect(total).toEqual([(record.endedAt! - record.startedAt) / 1000]);
    expect(waited![0]).toBeGreaterThanOrEqual(600);
    expect(worked![0]! + waited![0]!).toBeCloseTo(total![0]!, 6);
    expect(of('rampart_approval_wait_seconds', { gate: 'cutover', result: 'approved' })[0]!.value).toBe(waited![0]);
  });

  it('counts every step and bake once, and no other names or labels than the list has', async () => {
    const record = await run.end();
    const steps = of('rampart_step_duration_seconds', { result: 'done' });
    expect(steps).toHaveLength(record.steps.length);
    expect(of('rampart_step_duration_seconds', { step: 'promote', stage: 'promote' })).toHaveLength(1);
    expect(sum(of('rampart_analysis_runs_total', { result: 'passed' }))).toBe(4);
    for (const { name, tags } of all) {
      const labels = METRICS[name as MetricName].labels as readonly string[];
      expect(Object.keys(tags).filter((key) => key !== 'workflowType')).toEqual([...labels]);
      expect(JSON.stringify(tags), name).not.toMatch(/@|[0-9a-f]{8}-|"(ann|bob)"/);
    }
  });

  it('begins at 0 with what may never happen', () => {
    const zero = of('rampart_runs_total', { ...RUN, mode: 'planned' }).filter(({ value }) => value === 0);
    expect(zero.map(({ tags }) => tags.result)).toEqual(['completed', 'rolledBack', 'needsHuman']);
    expect(sum(of('rampart_objective_breaches_total'))).toBe(0);
  });
});

it('an abort counts its undos, and the run as rolled back', async () => {
  await start({ request: PLANNED });
  await run.approve();
  await run.until('converge:orders-db');
  await run.send('abort', { by: 'bob', reason: 'wrong service' });
  const record = await run.end();
  expect(record.undos.length).toBeGreaterThan(0);
  expect(sum(of('rampart_compensations_total', { result: 'done' }))).toBe(record.undos.length);
  expect(sum(of('rampart_runs_total', { ...RUN, result: 'rolledBack' }))).toBe(1);
  const { state } = record.steps.find(({ verb }) => verb === 'converge')!;
  expect(of('rampart_step_duration_seconds', { step: 'converge' }).map(({ tags }) => tags.result)).toEqual([state]);
});

it('what a request names and the topology does not know becomes no label', async () => {
  await start({ request: { ...PLANNED, service: 'x-7f3a' } });
  await run.workflow.runUntilClosed();
  expect(sum(of('rampart_runs_total', { service: '', result: 'refused' }))).toBe(1);
  expect(JSON.stringify(all)).not.toContain('x-7f3a');
});

it('an alert is heard of some time after it began; what a person says of the beginning is no measurement', async () => {
  const at = Date.UTC(2026, 0, 1) - 60_000;
  const told = { ...UNPLANNED, impactStartAt: at, detectedAt: at + 12_000 };
  await start({ request: { ...told, by: 'trigger/eu-west-down' } });
  await run.gate();
  expect(of('rampart_detection_delay_seconds').map(({ value }) => value)).toEqual([12]);
  all = collectMeasurements();
  await run.dispose();
  await start({ request: told });
  await run.gate();
  expect(of('rampart_detection_delay_seconds')).toEqual([]);
});

it('objectives have labels of their own', () => {
  for (const [name, label] of [
    ['Recovery time (RTO)', 'rto'],
    ['Recovery point (RPO)', 'rpo'],
    ['Write outage (freeze)', 'freeze'],
    ['Traffic ramp', 'ramp'],
    ['Protection restored', 'protection'],
    ['Writes applied once', 'writes'],
    ['Lost writes inside the stated window', 'writes'],
    ['somebody wrote this', 'other'],
  ])
    expect(objectiveLabel(name!)).toBe(label);
});
