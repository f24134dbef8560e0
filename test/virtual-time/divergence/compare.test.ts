/** A comparison's life: rounds, word to triggers and people when something turns, and one round by hand. */
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { alertsOf } from '../../../activities/divergence.ts';
import type { KeyVerdict } from '../../../drivers/ports.ts';
import type { ComparisonRecord } from '../../../evidence/comparison-record.ts';
import type { Comparison } from '../../../topology/divergence.ts';
import type { ComparisonStatus } from '../../../workflows/contract.ts';
import { BUNDLE } from '../engine/run.ts';
import { createWorld, type Workflow, type World } from '../harness.ts';
import { readBundle } from '../sdk.ts';

const MINUTE = 60_000;
const COMPARISON = { name: 'orders', service: 'checkout', everyMs: 15 * MINUTE, lagSloMs: MINUTE } as Comparison;
const KEY: KeyVerdict = { key: ['7'], kind: 'conflict', region: null, at: {} };

let bundle: Awaited<ReturnType<typeof readBundle>>;
beforeAll(async () => {
  bundle = await readBundle(BUNDLE);
});

class Rounds {
  comparison: Comparison | null = COMPARISON;
  /** What the next rounds find; the last one goes on. */
  found: Array<Partial<ComparisonRecord> | Error> = [{}];
  readonly ids: string[] = [];
  /** Keys that each round was asked to look at again. */
  readonly again: unknown[] = [];
  /** Reports that fail from here on: triggers or people are away. */
  reportsFail = false;
  readonly reports: Array<{ news: string | null; alerts: string[]; since: object }> = [];
  harness!: World;
  workflow!: Workflow;

  async open(input: object = { comparison: 'orders' }, suggestContinueAsNewAfter?: number): Promise<this> {
    this.harness = await createWorld({
      bundle,
      activities: ({ type, args: [given] }) => this.answer(type, given as never),
      workflowQueues: ['rampart'],
      ...(suggestContinueAsNewAfter === undefined ? {} : { suggestContinueAsNewAfter }),
    });
    this.workflow = await this.harness.start('compare', { workflowId: 'divergence/orders', args: [input] });
    return this;
  }

  answer(
    type: string,
    given: { id: string; again?: unknown; record: ComparisonRecord; since: never; news: string | null },
  ): unknown {
    if (type === 'resolveComparison') return this.comparison;
    if (type === 'reportComparison') {
      if (this.reportsFail) throw ApplicationFailure.nonRetryable('the pager is away');
      const alerts = alertsOf(given.record, given.since, 0).map(({ key, status }) => `${key} ${status}`);
      return void this.reports.push({ news: given.news, alerts, since: given.since });
    }
    this.ids.push(given.id);
    this.again.push(given.again);
    const next = this.found.length > 1 ? this.found.shift()! : this.found[0]!;
    if (next instanceof Error) throw next;
    const record: ComparisonRecord = {
      ...{ version: 1, id: given.id, comparison: 'orders', service: 'checkout', regions: ['a', 'b'], complete: true },
      ...{
        startedAt: this.harness.now,
        endedAt: this.harness.now,
        lagSloMs: MINUTE,
        lagAtLeastMs: 0,
        notes: [],
        keys: [],
      },
      ranges: { looked: 1, of: 1, different: 0 },
      rows: { a: 1, b: 1, read: 0 },
      counts: { missing: { a: 0, b: 0 }, firstWriteWins: { a: 0, b: 0 }, conflict: 0, changing: 0, settled: 0 },
      ...next,
    };
    return record;
  }
}

let rounds: Rounds;
afterEach(async () => {
  await rounds?.harness.replay();
  await rounds?.harness.dispose();
});
const open = async (found: Rounds['found'], ...rest: Parameters<Rounds['open']>): Promise<Rounds> => {
  rounds = new Rounds();
  rounds.found = found;
  return rounds.open(...rest);
};

it('tells triggers each round, and people when something turns; what was not looked at clears nothing', async () => {
  const differs = { keys: [KEY] };
  await open([{}, differs, differs, { complete: false, notes: ['maxRows'] }, {}, { lagAtLeastMs: 2 * MINUTE }]);
  const began = rounds.harness.now;
  await rounds.harness.advance(76 * MINUTE);
  expect(rounds.reports.map(({ news, alerts }) => [news, ...alerts])).toEqual([
    [null, 'divergence/orders resolved', 'replicationLag/orders resolved'],
    ['opened', 'divergence/orders firing', 'replicationLag/orders resolved'],
    [null, 'divergence/orders firing', 'replicationLag/orders resolved'],
    [null, 'divergence/orders unknown', 'replicationLag/orders unknown'],
    ['cleared', 'divergence/orders resolved', 'replicationLag/orders resolved'],
    [null, 'divergence/orders resolved', 'replicationLag/orders firing'],
  ]);
  expect(rounds.reports[2]!.since).toEqual({ diverged: began + 15 * MINUTE, lagging: null });
  expect(new Set(rounds.ids).size).toBe(6);
});

it('looks again at what differed, and a sample clears only what it has looked at', async () => {
  const sample = { complete: false, limited: false, notes: ['a sample of 6 of 64 ranges'] };
  await open([{ ...sample, keys: [KEY] }, sample, { ...sample, again: 1 }, sample]);
  await rounds.harness.advance(46 * MINUTE);
  expect(rounds.again).toEqual([undefined, [['7']], [['7']], undefined]);
  expect(rounds.reports.map(({ news, alerts }) => [news, alerts[0]])).toEqual([
    ['opened', 'divergence/orders firing'],
    // A worker of an older build, which does not look again.
    [null, 'divergence/orders unknown'],
    ['cleared', 'divergence/orders resolved'],
    [null, 'divergence/orders resolved'],
  ]);
});

it('a sample clears nothing of which it does not know every key', async () => {
  const sample = { complete: false, limited: false, notes: ['a sample'] };
  await open([{ ...sample, limited: true, keys: [KEY] }, { ...sample, again: 1 }, {}]);
  await rounds.harness.advance(31 * MINUTE);
  expect(rounds.again).toEqual([undefined, undefined, undefined]);
  expect(rounds.reports.map(({ news }) => news)).toEqual(['opened', null, 'cleared']);
});

it('goes on after a round that failed, and says why meanwhile; goes on in a next run of its own', async () => {
  const broken = ApplicationFailure.nonRetryable('west does not answer', 'InvalidInput');
  await open([broken, { keys: [KEY] }], { comparison: 'orders' }, 40);
  await rounds.harness.advance(1_000);
  const status = (): Promise<ComparisonStatus> => rounds.harness.workflow('divergence/orders').query('status') as never;
  expect(await status()).toMatchObject({ rounds: 1, last: null, text: 'the round failed: west does not answer' });
  await rounds.harness.advance(120 * MINUTE);
  expect(rounds.workflow.names('workflowExecutionContinuedAsNew').length).toBeGreaterThan(0);
  expect(await status()).toMatchObject({ last: { keys: [KEY] }, since: { diverged: expect.any(Number) } });
  // A new run of the workflow is no news.
  expect(rounds.reports.filter(({ news }) => news !== null)).toHaveLength(1);
  expect(new Set(rounds.ids).size).toBe(rounds.ids.length);
});

it('tells people of a difference when they can be told again', async () => {
  await open([{}, { keys: [KEY] }]);
  rounds.reportsFail = true;
  // The round before it was told.
  expect(rounds.reports).toHaveLength(1);
  await rounds.harness.advance(20 * MINUTE);
  expect(rounds.reports).toHaveLength(1);
  const status = (await rounds.workflow.query('status')) as ComparisonStatus;
  expect(status).toMatchObject({ last: { keys: [KEY] }, text: expect.stringContaining('the pager is away') });
  rounds.reportsFail = false;
  await rounds.harness.advance(30 * MINUTE);
  expect(rounds.reports.filter(({ news }) => news === 'opened')).toHaveLength(1);
});

it('ends when the topology has it no more', async () => {
  await open([{}]);
  rounds.comparison = null;
  await rounds.workflow.runUntilClosed();
  expect(rounds.workflow.outcome).toMatchObject({ result: 'the topology has no comparison "orders"' });
});

it('compares once by hand: the record is the result, a failure is a failure', async () => {
  await open([{ keys: [KEY] }], { comparison: 'orders', once: true });
  await rounds.workflow.runUntilClosed();
  expect(rounds.workflow.outcome).toMatchObject({ result: { keys: [KEY] } });
  await rounds.harness.dispose();
  await open([ApplicationFailure.nonRetryable('no such table', 'InvalidInput')], { comparison: 'orders', once: true });
  await rounds.workflow.runUntilClosed();
  expect(JSON.stringify(rounds.workflow.outcome)).toContain('no such table');
});
