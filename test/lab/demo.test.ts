import { expect, test } from 'vitest';
import type { LossStatement } from '../../drivers/ports.ts';
import { isInside, problemsOf, type RunResult } from '../../lab/demo/result.ts';
import { type Acknowledgement, longestGap } from '../../lab/load/ledger.ts';

const planned: RunResult = {
  action: 'failover',
  mode: 'planned',
  service: 'checkout',
  from: 'a',
  to: 'b',
  outcome: 'completed',
  seconds: 10,
  writeGapMs: 120,
  acknowledged: 1_000,
  lost: 0,
  duplicated: 0,
  freezeMs: 100,
  ramp: [
    { set: 50, observed: 49 },
    { set: 100, observed: 100 },
  ],
};

test('a planned run passes only without loss, without duplicates, and with the ramp as counted', () => {
  expect(problemsOf(planned, [50, 100])).toEqual([]);
  expect(problemsOf({ ...planned, lost: 1 }, [50, 100])).toEqual([
    'planned failover to b: 1 acknowledged orders are lost',
  ]);
  expect(problemsOf({ ...planned, duplicated: 2 }, [50, 100])).toHaveLength(1);
  expect(problemsOf({ ...planned, outcome: 'rolledBack' }, [50, 100])).toHaveLength(1);
  expect(problemsOf(planned, [25, 100])).toHaveLength(1);
  expect(problemsOf({ ...planned, ramp: [{ set: 50, observed: 40 }] }, [50])).toHaveLength(1);
  expect(problemsOf({ ...planned, acknowledged: 0 }, [50, 100])).toHaveLength(1);
});

test('an unplanned run must lose something, state it, and lose nothing outside the statement', () => {
  const statedLoss = { kind: 'bounded', fromTime: '', toTime: null, seconds: 1, atLeastBytes: 1 } as const;
  const honest: RunResult = { ...planned, mode: 'unplanned', lost: 5, statedLoss, lostInsideStatement: true };
  expect(problemsOf(honest, null)).toEqual([]);
  expect(problemsOf({ ...honest, lost: 0 }, null)).toHaveLength(1);
  expect(problemsOf({ ...honest, lostInsideStatement: false }, null)).toHaveLength(1);
  expect(problemsOf({ ...honest, statedLoss: { ...statedLoss, kind: 'none' } }, null)).toHaveLength(1);
});

test('an order may be missing when it can have been committed inside the window', () => {
  const order = (sentAt: number, at: number): Acknowledgement => ({ id: 'x', sentAt, at, region: 'a', attempts: 1 });
  const statement = (
    fromTime: string | null,
    toTime: string | null,
    kind: LossStatement['kind'] = 'bounded',
  ): LossStatement => ({
    kind,
    fromTime,
    toTime,
    seconds: null,
    atLeastBytes: null,
    atMostBytes: null,
    note: '',
  });
  const [from, to] = ['1970-01-01T00:00:01.000Z', '1970-01-01T00:00:02.000Z'];
  expect(isInside(order(1_400, 1_500), statement(from, to))).toBe(true);
  expect(isInside(order(990, 1_010), statement(from, to))).toBe(true);
  expect(isInside(order(900, 999), statement(from, to))).toBe(false);
  expect(isInside(order(2_001, 2_100), statement(from, to))).toBe(false);
  expect(isInside(order(2_001, 2_100), statement(from, null))).toBe(true);
  expect(isInside(order(1_400, 1_500), statement(null, null, 'none'))).toBe(false);
});

test('the longest gap counts the way to both ends of the window', () => {
  expect(longestGap([10, 20, 90], 0, 100)).toEqual({ writeGapMs: 70, writeGapAt: 20 });
  expect(longestGap([10, 20], 0, 100)).toEqual({ writeGapMs: 80, writeGapAt: 20 });
  expect(longestGap([], 5, 100)).toEqual({ writeGapMs: 95, writeGapAt: 5 });
});
