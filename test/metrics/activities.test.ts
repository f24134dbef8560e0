/** What activities count and show, through a router and a check that answer what the test says. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { beforeEach, expect, it } from 'vitest';
import type { ActivityDeps } from '../../activities/deps.ts';
import { createStepActivities } from '../../activities/steps.ts';
import { metrics } from '../../metrics/process.ts';
import type { StepCall } from '../../plan/model.ts';

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
/** A service of its own for each test: the registry is the process's. */
let service: string;
let count = 0;
beforeEach(() => {
  count += 1;
  service = `service-${count}`;
});

let facts: Record<string, unknown>;
const port = {
  run: async () => ({ outcome: 'pass', observed: '200', threshold: '200', detail: '', at: 0 }),
  verifyWeights: async () => ({ already: true, at: 0, summary: '', facts }),
};
const activities = createStepActivities({
  ...{ place: { region: null, place: null }, stateDir: '/nowhere', build: '0', log: quiet },
  drivers: new Map(['router', 'check'].map((role) => [role, { type: role, role, open: () => port }])),
} as unknown as ActivityDeps);

const call = (more: Record<string, unknown>): StepCall =>
  ({
    ...{ run: { workflowId: 'w', runId: 'r', service, by: null }, step: { id: 's' }, token: null, related: [] },
    ...{ input: {}, given: {}, overrides: [], deadline: null, mode: 'planned', from: 'a', to: 'b', region: 'b' },
    ...more,
  }) as unknown as StepCall;
const component = (role: string) => ({ name: `${role}-1`, type: role, role, sides: {}, config: {} });
const value = (series: string): string | undefined =>
  metrics
    .render()
    .split('\n')
    .find((line) => line.startsWith(`${series} `))
    ?.slice(series.length + 1);

it('an attempt after the first is a retry', async () => {
  for (const attempt of [1, 2, 3])
    await new MockActivityEnvironment({ attempt, activityType: 'ping' }).run(activities.ping, call({}));
  expect(value(`rampart_step_retries_total{service="${service}",step="ping"}`)).toBe('2');
});

it('weights that clients were counted at are shown; what was only read back is no observation', async () => {
  const verify = () =>
    new MockActivityEnvironment().run(
      activities.verifyWeights,
      call({ component: component('router'), input: { weights: { a: 75, b: 25 } } }),
    );
  const series = `rampart_traffic_weight_observed_percent{service="${service}",component="router-1",region="b"}`;
  facts = { by: 'readback', observed: { a: 75, b: 25 } };
  await verify();
  expect(value(series)).toBeUndefined();
  facts = { by: 'sampled', observed: { a: 74, b: 26 } };
  await verify();
  expect(value(series)).toBe('26');
});

it('a bake counts each measurement of each check', async () => {
  const input = { durationMs: 0, intervalMs: 50, failureLimit: 0, region: 'b', percent: 10 };
  await new MockActivityEnvironment().run(activities.analyse, call({ input, related: [component('check')] }));
  expect(value(`rampart_analysis_measurements_total{service="${service}",check="check-1",result="pass"}`)).toBe('1');
});
