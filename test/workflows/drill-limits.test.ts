/** When a dwell has gone wrong. */
import { expect, test } from 'vitest';
import type { CheckResult } from '../../drivers/ports.ts';
import type { AbortWhen } from '../../topology/drill.ts';
import { everyMs, Limits, type Round } from '../../workflows/drill/limits.ts';

const BASE: AbortWhen = { checksFailing: 3, errorRate: null, lagAboveMs: null };
const check = (name: string, outcome: CheckResult['outcome']): Round[number] => [
  name,
  { outcome, observed: 'status 503', threshold: 'status 2xx', at: 0, detail: '' },
];

/** Rounds a second apart. @returns what ended it, and in which round (from 1) */
function after(wanted: AbortWhen, rounds: Round[], behind: Array<number | null> = []): [number, string] | null {
  const limits = new Limits(wanted, 0);
  for (const [i, round] of rounds.entries()) {
    const late = i < behind.length ? [{ store: 'db', seconds: behind[i]! }] : [];
    const text = limits.take(round, late, i * 1_000);
    if (text !== null) return [i + 1, text];
  }
  return null;
}

test('a check counts in a row, each for itself; no answer is not good', () => {
  const one = (outcome: CheckResult['outcome']): Round => [check('a', outcome), check('b', 'pass')];
  expect(after(BASE, [one('fail'), one('fail'), one('pass'), one('fail'), one('fail')])).toBeNull();
  expect(after(BASE, [one('fail'), one('unknown'), one('fail')])).toEqual([
    3,
    'check a failed 3 times in a row: status 503 against status 2xx',
  ]);
  expect(after({ ...BASE, checksFailing: 1 }, [one('unknown')])![1]).toMatch(/^check a gave no answer 1 times/);
  const apart: Round[] = [[check('a', 'fail')], [check('b', 'fail')], [check('a', 'pass')], [check('b', 'pass')]];
  expect(after({ ...BASE, checksFailing: 2 }, apart)).toBeNull();
});

test('a rate is judged over a full window, and forgets what is older', () => {
  const wanted = { ...BASE, checksFailing: 99, errorRate: { percent: 50, withinMs: 4_000 } };
  const rounds = (text: string): Round[] => [...text].map((c) => [check('a', c === '.' ? 'pass' : 'fail')]);
  expect(after(wanted, rounds('xx'))).toBeNull();
  expect(after(wanted, rounds('x.x.x.x.x.'))).toBeNull();
  expect(after(wanted, rounds('xxx..'))).toBeNull();
  expect(after(wanted, rounds('x.xxx'))).toEqual([5, '3 of 4 checks within 4 s did not pass; the limit is 50 %']);
});

test('a lag counts as long as it is too great, or not known', () => {
  const none: Round[] = Array(5).fill([]);
  const wanted = { ...BASE, checksFailing: 2, lagAboveMs: 5_000 };
  expect(after(wanted, none, [6, 5, 6, 4])).toBeNull();
  expect(after(wanted, none, [0, 6, null])).toEqual([
    3,
    'the lag of db is not known, 2 times in a row; the limit is 5 s',
  ]);
  expect(after(BASE, none, [99, 99, 99, 99])).toBeNull();
});

test('rounds are no more than a history can hold', () => {
  const day = 86_400_000;
  expect(everyMs(10_000, 1_800_000)).toBe(10_000);
  for (const forMs of [day, 31 * day]) expect(forMs / everyMs(100, forMs)).toBeLessThanOrEqual(1_000);
});
