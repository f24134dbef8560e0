/** A bake lasts as long as somebody measures: what a lost worker, a slow clock or a standstill took does not count. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ActivityDeps } from '../../activities/deps.ts';
import { createStepActivities } from '../../activities/steps.ts';
import { useClock } from '../../drivers/clock.ts';
import type { Receipt } from '../../drivers/ports.ts';
import type { StepCall } from '../../plan/model.ts';

const MINUTE = 60_000;
let now = 0;
let measured = 0;
/** What one measurement takes, in milliseconds, and what each sleep takes beyond what was asked for. */
let takesMs = 0;
let standstillMs = 0;
let outcome: string;

beforeEach(() => {
  [now, measured, takesMs, standstillMs, outcome] = [1_000_000, 0, 0, 0, 'pass'];
  useClock({
    now: () => now,
    monotonic: () => now,
    sleep: async (ms) => {
      now += ms + standstillMs;
    },
    every: () => () => {},
  });
});
afterEach(() => useClock(null));

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const run = async () => {
  measured += 1;
  now += takesMs;
  return { outcome, observed: '200', threshold: '200', detail: '', at: now };
};
const { analyse } = createStepActivities({
  ...{ place: { region: null, place: null }, stateDir: '/nowhere', build: '0', log: quiet },
  drivers: new Map([['check', { type: 'check', role: 'check', open: () => ({ run }) }]]),
} as unknown as ActivityDeps);
const call = {
  ...{ run: { workflowId: 'w', runId: 'r', service: 'baked', by: null }, step: { id: 's' }, token: null },
  ...{ given: {}, overrides: [], deadline: null, mode: 'planned', from: 'a', to: 'b', region: 'b' },
  input: { durationMs: 10 * MINUTE, intervalMs: 10_000, failureLimit: 1, region: 'b', percent: 50 },
  related: [{ name: 'ready', type: 'check', role: 'check', sides: {}, config: {} }],
} as unknown as StepCall;

/** @param from what the attempt before had sent last */
async function bake(from?: Record<string, unknown>): Promise<{ receipt: Receipt; beats: unknown[]; tookMs: number }> {
  const environment = new MockActivityEnvironment(from === undefined ? {} : { attempt: 2, heartbeatDetails: from });
  const beats: unknown[] = [];
  environment.on('heartbeat', (details) => beats.push(structuredClone(details)));
  const began = now;
  const receipt = (await environment.run(analyse, call)) as Receipt;
  return { receipt, beats, tookMs: now - began };
}

it('measures at its interval until its time is over', async () => {
  const { receipt, tookMs } = await bake();
  expect([measured, tookMs, receipt.facts.measured]).toEqual([61, 10 * MINUTE, 61]);
  expect(receipt.summary).toMatch(/^50 % held for 600 s: ready: pass/);
});

it('goes on from the time that was measured, however long nobody did', async () => {
  const { receipt, beats, tookMs } = await bake({ heldMs: 30_000, measured: 4, failed: {}, startedAt: 0 });
  expect([tookMs, measured]).toEqual([9.5 * MINUTE, 58]);
  expect(receipt.facts.measured).toBe(62);
  expect(receipt.summary).toContain('with interruptions: only what was measured counts');
  // One that is lost before its first measurement hands on what it was handed.
  expect(beats[0]).toEqual({ heldMs: 30_000, measured: 4, failed: {} });
  expect(beats.at(-1)).toMatchObject({ heldMs: 10 * MINUTE });
});

it('begins anew when it is only known when the attempt before began', async () => {
  expect((await bake({ startedAt: 0, measured: 4, failed: {} })).tookMs).toBe(10 * MINUTE);
});

it('does not count a standstill between two measurements, and counts what measuring takes', async () => {
  standstillMs = 5_000;
  expect((await bake()).tookMs).toBe(15 * MINUTE);
  [standstillMs, takesMs, measured] = [0, 2_000, 0];
  await bake();
  expect(measured).toBe(51);
});

it('counts failures of the attempts before against the limit', async () => {
  outcome = 'fail';
  await expect(bake({ heldMs: 0, measured: 1, failed: { ready: 1 } })).rejects.toMatchObject({
    type: 'AnalysisFailed',
    message: expect.stringContaining('2 of 2 measurements did not pass, 1 tolerated'),
  });
});
