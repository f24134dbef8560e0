/** Requests that an account's limit leaves: runs before those who only watch. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { spend } from '../../../drivers/aws/budget.ts';
import { useClock } from '../../../drivers/clock.ts';

const BUDGET = { perSecond: 10, burst: 20 };
const { signal } = new AbortController();
const run = { signal };
const watcher = { signal, watching: true as const };

let now = 0;
let slept: number[] = [];
let api = 0;
/** Whether time stands still for those who wait, until they are let go. */
let held = false;
let release = () => {};

beforeEach(() => {
  api++;
  slept = [];
  held = false;
  const free = new Promise<void>((resolve) => {
    release = resolve;
  });
  useClock({
    now: () => now,
    monotonic: () => now,
    sleep: async (ms) => {
      slept.push(ms);
      if (held) return free;
      now += ms;
    },
    every: () => () => {},
  });
});
afterEach(() => useClock(null));

const ask = async (who: typeof run | typeof watcher, times: number): Promise<void> => {
  for (let i = 0; i < times; i++) await spend(`api-${api}`, 'eu-west-1', who, BUDGET);
};

test('a burst goes at once, what is beyond it at the pace of the limit', async () => {
  await ask(run, 20);
  expect(slept).toEqual([]);
  await ask(run, 10);
  expect(slept.reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(1_000);
});

test('who watches leaves half of the burst to runs', async () => {
  await ask(watcher, 9);
  expect(slept).toEqual([]);
  await ask(watcher, 30);
  expect(slept.length).toBeGreaterThan(0);
  slept = [];
  await ask(run, 10);
  expect(slept).toEqual([]);
});

test('who watches is refused, in words, where runs need everything; a run waits for its turn', async () => {
  // So many are before this one that nothing is left for longer than a reading is worth.
  held = true;
  const before = Array.from({ length: 200 }, () => spend(`api-${api}`, 'eu-west-1', run, BUDGET));
  await expect(ask(watcher, 1)).rejects.toMatchObject({
    type: 'ProviderUnavailable',
    message: expect.stringContaining('its request budget is used up'),
  });
  release();
  await Promise.all(before);
  expect(Math.max(...slept)).toBeCloseTo(18_000);
});

test('places do not share what they have not in common', async () => {
  await ask(run, 20);
  await spend(`api-${api}`, 'eu-central-1', run, BUDGET);
  expect(slept).toEqual([]);
});
