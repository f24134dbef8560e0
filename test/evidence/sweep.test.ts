/** Reports that are filed without a person: every ending, once, whoever sweeps, whatever was away meanwhile. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure, TerminatedFailure } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Temporal } from '../../clients/connection.ts';
import { folderStorage } from '../../clients/reports/folder.ts';
import type { ReportStorage } from '../../clients/reports/storage.ts';
import { Sweeper } from '../../clients/reports/sweep.ts';
import { verifyReports } from '../../clients/reports/verify.ts';
import type { DrillRecord, RunRecord } from '../../evidence/record.ts';
import type { Topology } from '../../topology/model.ts';
import { keepReports } from '../../workers/reports.ts';
import { plannedFailover, T0 } from './records.ts';

interface Closed {
  type: string;
  status: string;
  end: () => unknown;
  /** What a worker answers that rebuilds it from its history; absent: none is there. */
  rebuilt?: unknown;
}

/** Temporal as far as filing asks it: closed runs of a namespace, in the order in which they closed. */
function temporalWith(closed: Closed[]): Temporal & { asked: string[] } {
  const asked: string[] = [];
  const refs = closed.map((one, i) => ({
    ...{ workflowId: 'failover/checkout', runId: `run-${i + 1}`, type: one.type, status: { name: one.status } },
    ...{ startTime: new Date(T0), closeTime: new Date(T0 + i * 1_000) },
  }));
  const client = {
    withDeadline: (_: number, call: () => Promise<unknown>) => call(),
    workflow: {
      async *list({ query }: { query: string }) {
        asked.push(query);
        yield* refs.toReversed();
      },
      getHandle: (_: string, runId: string) => {
        const one = closed[Number(runId.slice(4)) - 1]!;
        return {
          result: async () => one.end(),
          query: async () => {
            if (one.rebuilt === undefined) throw new Error('no worker');
            return one.rebuilt;
          },
        };
      },
    },
  };
  return { client, calls: new Set(), namespace: 'default', asked } as unknown as Temporal & { asked: string[] };
}

const record = (n: number, over: Partial<RunRecord> = {}): RunRecord => ({
  ...plannedFailover(),
  ...{ runId: `run-${n}`, workflowId: 'failover/checkout', ...over },
});
const failed = (cause: Error) => () => {
  throw new WorkflowFailedError('failed', cause, 'WORKFLOW_EXECUTION_ALREADY_STARTED' as never);
};
const drillOf = (n: number, verdict: DrillRecord['verdict']): DrillRecord => ({
  ...{ version: 1, workflowId: 'failover/checkout', runId: `run-${n}`, service: 'checkout', name: 'quarterly' },
  ...{ from: 'eu-west', to: 'eu-central', by: 'ana', reason: null, startedAt: T0, endedAt: T0 + 60_000 },
  ...{ legs: [record(n)], dwell: null, verdict, text: 'it went', reasons: [], assertions: [] },
});

const cutOff = record(4, { outcome: null, endedAt: null, text: '' });
const EVERY: Closed[] = [
  { type: 'failover', status: 'COMPLETED', end: () => record(1) },
  {
    ...{ type: 'failback', status: 'FAILED' },
    end: failed(
      ApplicationFailure.nonRetryable('it needs a human', 'NeedsHuman', record(2, { outcome: 'needsHuman' })),
    ),
  },
  {
    ...{ type: 'failover', status: 'CANCELLED', rebuilt: record(3, { outcome: 'withdrawn' }) },
    end: failed(new CancelledFailure('withdrawn')),
  },
  { type: 'failover', status: 'TERMINATED', rebuilt: cutOff, end: failed(new TerminatedFailure('by hand')) },
  { type: 'drill', status: 'COMPLETED', end: () => drillOf(5, 'passed') },
  { type: 'drill', status: 'TERMINATED', rebuilt: drillOf(6, null), end: failed(new TerminatedFailure('by hand')) },
  // Under an ID that is no lock: it was refused before there was a record.
  { type: 'failover', status: 'FAILED', end: failed(ApplicationFailure.nonRetryable('not the lock', 'InvalidInput')) },
];

let base: string;
let storage: ReportStorage;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'rampart-sweep-'));
  storage = folderStorage(base);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const filedIn = async (): Promise<Array<[runId: string, outcome: string, verdict: string]>> => {
  const { reports } = await import('../../clients/reports/file.ts').then(({ readChain }) =>
    readChain(storage, 'checkout'),
  );
  return reports.map(({ manifest }) => [manifest!.run.runId, manifest!.run.outcome, manifest!.run.verdict]);
};

describe('a sweep', () => {
  it('files every ending, in the order in which they ended, those that were cut off as well', async () => {
    const temporal = temporalWith(EVERY);
    const { filed, left, failed: wrong } = await new Sweeper({ storage, signer: null }).sweep(temporal);
    expect([filed.length, left.map(({ runId }) => runId), wrong]).toEqual([6, ['run-7'], []]);
    expect(await filedIn()).toEqual([
      ['run-1', 'completed', 'passed'],
      ['run-2', 'needsHuman', 'failed'],
      ['run-3', 'withdrawn', 'not judged'],
      ['run-4', 'needsHuman', 'failed'],
      ['run-5', 'completed', 'passed'],
      ['run-6', 'failed', 'failed'],
    ]);
    const report = JSON.parse(String(await storage.read('checkout', 4, 'report.json'))) as {
      runs: Array<{ record: RunRecord }>;
    };
    expect(report.runs[0]!.record.text).toMatch(/^It was terminated, which skips every undo/);
    expect((await verifyReports(storage, 'checkout')).problems).toEqual([]);
  });

  it('does nothing where all is filed, after a restart as well, and asks only for what is new', async () => {
    const temporal = temporalWith(EVERY);
    const sweeper = new Sweeper({ storage, signer: null, now: () => T0 + 3_600_000 });
    await sweeper.sweep(temporal);
    expect((await sweeper.sweep(temporal)).filed).toEqual([]);
    expect(temporal.asked[0]).not.toContain('CloseTime');
    expect(temporal.asked[1]).toContain(`CloseTime >= "${new Date(T0 + 3_000_000).toISOString()}"`);
    expect((await new Sweeper({ storage, signer: null }).sweep(temporal)).filed).toEqual([]);
    expect(await filedIn()).toHaveLength(6);
  });

  it('by several workers at once files each run once', async () => {
    const swept = await Promise.all(
      Array.from({ length: 4 }, () => new Sweeper({ storage, signer: null }).sweep(temporalWith(EVERY))),
    );
    expect(swept.flatMap(({ filed }) => filed)).toHaveLength(6);
    expect(new Set((await filedIn()).map(([runId]) => runId)).size).toBe(6);
    expect((await verifyReports(storage, 'checkout')).problems).toEqual([]);
  });

  it('comes back to what could not be filed, or be told of', async () => {
    const silent: Closed = { ...EVERY[3]!, rebuilt: undefined };
    const closed: Closed[] = [EVERY[0]!, EVERY[1]!, EVERY[2]!, silent];
    let away = true;
    const sometimes: ReportStorage = {
      ...storage,
      put: (service, number, files) =>
        away && number === 2 ? Promise.reject(new Error('disk full')) : storage.put(service, number, files),
    };
    const sweeper = new Sweeper({ storage: sometimes, signer: null });
    const temporal = temporalWith(closed);
    const first = await sweeper.sweep(temporal);
    expect(first.failed.map(({ runId, why }) => [runId, why])).toEqual([
      ['run-2', 'disk full'],
      ['run-3', 'disk full'],
    ]);
    expect(first.left).toMatchObject([{ runId: 'run-4', why: expect.stringContaining('terminated') }]);
    away = false;
    silent.rebuilt = cutOff;
    const second = await sweeper.sweep(temporal);
    expect(temporal.asked[1]).not.toContain('CloseTime');
    expect([second.filed.length, second.failed, second.left]).toEqual([3, [], []]);
  });
});

describe('a control worker', () => {
  const until = async (what: () => boolean | Promise<boolean>): Promise<void> => {
    const deadline = Date.now() + 20_000;
    while (!(await what())) {
      if (Date.now() > deadline) throw new Error('it did not come to that');
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  it('files as soon as the topology names a store, and says what is wrong once', async () => {
    const said: string[] = [];
    const say = (text: string, facts?: object): void => void said.push(`${text} ${JSON.stringify(facts)}`);
    const log = { debug: () => 0, info: () => 0, warn: say, error: say };
    const stop = new AbortController();
    let reports: Topology['reports'];
    let asked = 0;
    const topology = async (): Promise<Topology> => {
      asked += 1;
      if (asked === 1) throw new Error('the file is being edited');
      return { ...(reports === undefined ? {} : { reports }) } as Topology;
    };
    const options = { temporal: temporalWith(EVERY), topology, log, signal: stop.signal, everyMs: 1 };
    const keeping = keepReports(options as unknown as Parameters<typeof keepReports>[0]);
    await until(() => asked > 3);
    expect(await filedIn()).toEqual([]);
    // A file is where the folder should be.
    reports = { kind: 'folder', path: `${process.execPath}/reports` };
    await until(() => said.length > 1);
    const before = asked;
    await until(() => asked > before + 5);
    expect(said.map((text) => text.split(' {')[0])).toEqual([
      'reports could not be filed; they are tried again',
      'a run left nothing to file',
      'a report could not be filed; it is tried again',
    ]);
    reports = { kind: 'folder', path: base };
    await until(async () => (await filedIn()).length === 6);
    stop.abort();
    await keeping;
    expect((await verifyReports(storage, 'checkout')).problems).toEqual([]);
  });
});
