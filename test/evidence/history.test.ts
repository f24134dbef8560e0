/** What past runs prove, and how it is said. */
import { describe, expect, it } from 'vitest';
import { historyOf, type PastRun, type StoredRun } from '../../clients/reports/history.ts';
import { summaryOf } from '../../clients/reports/manifest.ts';
import type { RunRecord } from '../../evidence/record.ts';
import { buildReport } from '../../evidence/report.ts';
import { plannedFailover, rolledBack, T0, unplannedFailover } from './records.ts';

const DAY = 86_400_000;
const later = (record: RunRecord, runId: string, days: number, more: Partial<RunRecord> = {}): RunRecord => ({
  ...record,
  runId,
  startedAt: record.startedAt + days * DAY,
  endedAt: record.endedAt! + days * DAY,
  ...more,
});
const stored = (...records: RunRecord[]): StoredRun[] =>
  records.map((record, i) => ({ number: i + 1, summary: summaryOf(buildReport(record)) }));
const asked = (record: RunRecord, more: Partial<PastRun> = {}): PastRun => ({
  ...{ workflowId: record.workflowId, runId: record.runId, action: record.action, state: 'closed' },
  ...{ startedAt: record.startedAt, closedAt: record.endedAt, outcome: record.outcome, text: '', link: null },
  ...{ summary: summaryOf(buildReport(record)), report: null },
  ...more,
});
const of = (temporal: PastRun[], store: StoredRun[], days = 100) =>
  historyOf('checkout', temporal, store, T0 + days * DAY);

describe('last proven', () => {
  it('is the last run that moved the service and met what was promised', () => {
    const history = of([], stored(plannedFailover(), later(rolledBack(), 'b', 30)));
    expect(history.lastProven).toMatchObject({ daysAgo: 99, action: 'failover', mode: 'planned', to: 'eu-central' });
    expect(history.runs.map((r) => r.outcome)).toEqual(['rolledBack', 'completed']);
  });

  it.each([
    ['a run that was put back', rolledBack()],
    ['one that missed an objective', { ...plannedFailover(), targets: { ...plannedFailover().targets!, rtoMs: 1 } }],
    ['one that moved traffic only', { ...plannedFailover(), action: 'trafficRamp' }],
    ['one that had nothing to do', { ...plannedFailover(), outcome: 'nothingToDo' as const }],
  ])('is not %s', (_what, record) => {
    expect(of([asked(record)], stored(record)).lastProven).toBeNull();
    expect(of([], []).lastProven).toBeNull();
  });
});

describe('two sources', () => {
  it('shows a run once, with its report, and what Temporal has forgotten', () => {
    const [old, new_] = [plannedFailover(), later(plannedFailover(), 'new', 10)];
    const history = of([asked(new_), asked(later(old, 'unfiled', 20))], stored(old, new_));
    expect(history.runs.map((r) => [r.runId, r.report])).toEqual([
      ['unfiled', null],
      ['new', 2],
      [old.runId, 1],
    ]);
  });

  it('puts the report of a run that went on as a new one at its end', () => {
    const record = plannedFailover();
    const first = asked(record, { summary: null, outcome: null });
    const last = asked(record, { runId: 'second', startedAt: T0 + 1 });
    expect(of([last, first], stored(record)).runs.map((r) => [r.runId, r.report])).toEqual([
      ['second', 1],
      [record.runId, null],
    ]);
  });
});

it('follows recovery time and point over completed moves, oldest first', () => {
  const slow = { trafficCompleteAt: null, steps: plannedFailover().steps.filter((s) => s.verb !== 'analyse') };
  const { trend } = of(
    [],
    stored(
      plannedFailover(),
      later(rolledBack(), 'b', 1),
      later(unplannedFailover(), 'c', 2, {
        ...slow,
        impactStartAt: T0 + 590_000 + 2 * DAY,
        dataReadyAt: T0 + 620_000 + 2 * DAY,
      }),
    ),
  );
  expect(trend.rta).toMatchObject({ lastMs: 30_000, worstMs: 30_000, medianMs: 20_245, objectiveMs: 300_000 });
  expect(trend.rta!.values.map(({ ms }) => ms)).toEqual([10_490, 30_000]);
  expect(trend.rpa!.values.map(({ ms }) => ms)).toEqual([0, 1_900]);
  expect(of([], []).trend).toEqual({ rta: null, rpa: null });
});

it('knows when the next test is due', () => {
  const record = { ...plannedFailover(), context: { nextDueAt: T0 + 90 * DAY } };
  expect(of([], stored(record), 89)).toMatchObject({ nextDueAt: T0 + 90 * DAY, overdue: false });
  expect(of([], stored(record), 91)).toMatchObject({ overdue: true });
});
