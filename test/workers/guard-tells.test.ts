/** A guard's findings reach everybody who can be reached, whatever becomes of the others. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, expect, test } from 'vitest';
import type { ActivityDeps } from '../../activities/deps.ts';
import { createGuardingActivities, type GuardDeps } from '../../activities/guarding.ts';
import { useClock } from '../../drivers/clock.ts';
import type { HealthFinding } from '../../plan/health/model.ts';
import type { Alert } from '../../topology/alerts.ts';

const SINCE = Date.UTC(2026, 2, 29, 3, 12);
const AT = SINCE + 10_000;
const finding = (code: HealthFinding['code'], component: string): HealthFinding => ({
  ...{ code, severity: 'critical', component, region: null },
  ...{ message: `${code} of ${component}`, remedy: 'look', since: SINCE },
});
const call = {
  service: 'checkout',
  opened: [
    { ...finding('twoWritable', 'orders-db'), at: AT },
    { ...finding('noWeights', 'edge'), at: AT },
  ],
  cleared: [{ ...finding('writerAstray', 'writer'), at: AT }],
};

afterEach(() => useClock(null));

function guard(more: Partial<GuardDeps>) {
  const told: string[] = [];
  const alerts: Alert[] = [];
  const deps: GuardDeps = {
    topology: () => Promise.reject(new Error('not asked')),
    lastTopology: () => Promise.reject(new Error('not asked')),
    lock: () => Promise.reject(new Error('not asked')),
    publish: () => {},
    tell: async ({ code }, { state, at }) => void told.push(`${state} ${code} ${at - AT}`),
    tellTriggers: async (some) => void alerts.push(...some),
    ...more,
  };
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const { tellPeople } = createGuardingActivities(
    { stateDir: '/nonexistent', log: quiet } as unknown as ActivityDeps,
    deps,
  );
  return { told, alerts, tell: () => new MockActivityEnvironment().run(tellPeople, call) as Promise<void> };
}

test('one that cannot be told keeps none of the others from being told', async () => {
  const { told, alerts, tell } = guard({
    tell: async ({ code }, { state }) => {
      if (code === 'twoWritable') throw new Error('talk was not told of twoWritable: invalid_auth');
      told.push(`${state} ${code}`);
    },
  });
  await expect(tell()).rejects.toThrow('talk was not told of twoWritable');
  expect(told.sort()).toEqual(['cleared writerAstray', 'opened noWeights']);
  expect(alerts.map(({ status }) => status)).toEqual(['firing', 'firing', 'resolved']);
});

test('triggers that cannot be told keep no finding from people', async () => {
  const { told, tell } = guard({ tellTriggers: () => Promise.reject(new Error('Temporal is away')) });
  await expect(tell()).rejects.toThrow('Temporal is away');
  expect(told.sort()).toEqual(['cleared writerAstray 0', 'opened noWeights 0', 'opened twoWritable 0']);
});

test('however often it is tried, triggers count it once', async () => {
  const { alerts, tell } = guard({});
  for (const now of [AT + 1_000, AT + 900_000]) {
    useClock({ now: () => now, monotonic: () => now, sleep: async () => {}, every: () => () => {} });
    await tell();
  }
  expect(new Set(alerts.map(({ delivery }) => delivery)).size).toBe(3);
});
