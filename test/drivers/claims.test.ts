/** Whose claim stands: every case of the one rule that routers and workloads go by. */
import { describe, expect, test } from 'vitest';
import {
  assertCurrent,
  assertUnedited,
  type Caller,
  claimToWrite,
  isOfRun,
  isStale,
  sameClaim,
} from '../../drivers/claims.ts';
import type { Claim } from '../../drivers/ports.ts';

const stored: Claim = { epoch: 5, runId: 'run-5', seq: 3, at: 100 };
const run = (runId: string): Caller['run'] => ({ runId, workflowId: 'w' }) as Caller['run'];
/** `null`: by hand, without a token. */
function caller(token: [epoch: number, runId: string, seq: number] | null, runId = 'by-hand'): Caller {
  const now = () => 200;
  if (token === null) return { run: run(runId), now };
  const [epoch, id, seq] = token;
  return { token: { systemId: null, expectedTimeline: null, epoch, runId: id, seq }, run: run(id), now };
}

describe('claims', () => {
  test.each<[name: string, Parameters<typeof caller>[0], stale: boolean]>([
    ['a newer run', [6, 'run-6', 1], false],
    ['an older run', [4, 'run-4', 9], true],
    ['an older epoch of the same run', [4, 'run-5', 9], true],
    ['another run of the same epoch', [5, 'run-x', 9], true],
    ['an older attempt', [5, 'run-5', 2], true],
    ['the same attempt', [5, 'run-5', 3], false],
    ['a newer attempt', [5, 'run-5', 4], false],
    ['somebody without a token', null, false],
  ])('%s', (_name, token, stale) => {
    expect(isStale(stored, caller(token))).toBe(stale);
    const asserting = () => assertCurrent('the name', stored, caller(token));
    if (!stale) expect(asserting).not.toThrow();
    else {
      const [epoch, runId, seq] = token!;
      const message = `the name is held by run run-5 (epoch 5, step 3); run ${runId} (epoch ${epoch}, step ${seq}) is stale`;
      expect(asserting).toThrow(expect.objectContaining({ type: 'Conflict', message }));
    }
    expect(() => assertCurrent('the name', null, caller(token))).not.toThrow();
  });

  test('a claim whose numbers cannot be read lets nobody with a token through', () => {
    for (const broken of [
      { ...stored, epoch: Number.NaN },
      { ...stored, seq: Number.NaN },
    ])
      expect(isStale(broken, caller([5, 'run-5', 3]))).toBe(true);
  });

  test.each<[name: string, edited: boolean, fits: boolean, by: Caller, refused: boolean]>([
    ["an edit after one's own change", true, false, caller([5, 'run-5', 4]), true],
    ['an edit that says what is wanted', true, true, caller([5, 'run-5', 4]), false],
    ['no edit', false, false, caller([5, 'run-5', 4]), false],
    ['an edit that a new run finds', true, false, caller([6, 'run-6', 1]), false],
    ['by hand, of the same run', true, false, caller(null, 'run-5'), true],
    ['by hand, of another one', true, false, caller(null), false],
  ])('%s', (_name, edited, fits, by, refused) => {
    const asserting = () => assertUnedited('the name', stored, { edited, fits }, by);
    if (!refused) expect(asserting).not.toThrow();
    else {
      const message = 'the name was changed by somebody else after run run-5 (epoch 5, step 3) set it';
      expect(asserting).toThrow(expect.objectContaining({ type: 'Conflict', message }));
    }
    expect(() => assertUnedited('the name', null, { edited, fits }, by)).not.toThrow();
  });

  test('the claim to leave behind never goes below the one that is there', () => {
    expect(claimToWrite(null, caller([1, 'run-1', 1]))).toEqual({ epoch: 1, runId: 'run-1', seq: 1, at: 200 });
    expect(claimToWrite(stored, caller([6, 'run-6', 1]))).toEqual({ epoch: 6, runId: 'run-6', seq: 1, at: 200 });
    expect(claimToWrite(stored, caller([5, 'run-5', 4]))).toEqual({ epoch: 5, runId: 'run-5', seq: 4, at: 200 });
    // A repeat leaves the text as it is.
    expect(claimToWrite(stored, caller([5, 'run-5', 3]))).toEqual(stored);
    expect(claimToWrite(stored, caller(null, 'run-5'))).toEqual(stored);
    expect(claimToWrite(stored, caller(null))).toEqual({ epoch: 5, runId: 'by-hand', seq: 0, at: 200 });
    expect(claimToWrite(null, caller(null))).toEqual({ epoch: 0, runId: 'by-hand', seq: 0, at: 200 });
  });

  test("whether it is one's own run's, and the same attempt's", () => {
    expect(isOfRun(stored, caller([5, 'run-5', 9]))).toBe(true);
    expect(isOfRun(stored, caller([6, 'run-5', 1]))).toBe(false);
    expect(isOfRun(stored, caller(null, 'run-5'))).toBe(true);
    expect(isOfRun(null, caller(null, 'run-5'))).toBe(false);
    const later: Claim = { ...stored, at: 999 };
    expect(sameClaim(stored, later)).toBe(true);
    expect(sameClaim(stored, { ...stored, seq: 4 })).toBe(false);
    expect(sameClaim(null, null)).toBe(false);
  });
});
