/** When the sampler's readings were made, whatever its clock did. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, expect, test } from 'vitest';
import { onThisClock, samplesOf } from '../../activities/samples.ts';
import { useClock } from '../../drivers/clock.ts';
import type { SampleReading } from '../../drivers/ports.ts';

const SERVER = Date.UTC(2026, 0, 1);
afterEach(() => useClock(null));

/** What `read` gives in an attempt that the server had ready at `SERVER`, on a worker whose clock shows `shown` then. */
function inAttempt<T>(shown: number, read: () => T): Promise<T> {
  useClock({ now: () => shown, monotonic: () => shown, sleep: async () => {}, every: () => () => {} });
  return new MockActivityEnvironment({ currentAttemptScheduledTimestampMs: SERVER }).run(async () => read());
}

const dates = (shown: number, ...ats: number[]): Promise<number[]> => {
  const samples = (): SampleReading[] =>
    ats.map((at) => ({ node: 'a', region: 'a', position: null, state: 'writable', at: SERVER + at }));
  return inAttempt(SERVER + shown, () => samplesOf({ samples }, 'orders-db').map(({ at }) => at - SERVER));
};

test('a clock that is right dates them as it did, less the time on the way', async () => {
  expect(await dates(0, -3_000, -2_000, -1_000)).toEqual([-3_000, -2_000, -1_000]);
  expect(await dates(40, -3_000, -2_000)).toEqual([-3_040, -2_040]);
});

test('a clock that is ahead dates them no later than the server would have', async () => {
  expect(await dates(50_000, 47_000, 49_000)).toEqual([-3_000, -1_000]);
});

test('a clock that was set back has dated too late what came before', async () => {
  expect(await dates(-40_000, 51_000, 52_000, -42_000, -41_000)).toEqual([-42_000, -42_000, -42_000, -41_000]);
  expect(await dates(-40_000, 51_000, 52_000)).toEqual([-40_000, -40_000]);
});

test('a proof is as old on this clock as on the server’s, or older', async () => {
  const age = (shown: number): Promise<number> =>
    inAttempt(SERVER + shown, () => SERVER + shown - onThisClock(SERVER - 1_000));
  expect(await age(0)).toBe(1_000);
  // On the way for so long, as far as anybody can tell.
  expect(await age(3_000)).toBe(4_000);
  expect(await age(12_000)).toBe(6_000);
  expect(await age(-12_000)).toBe(6_000);
});
