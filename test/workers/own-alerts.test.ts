/** Alerts of Rampart itself, on their way to triggers. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { expect, test } from 'vitest';
import { alertOf as guardAlert } from '../../activities/guarding.ts';
import type { HealthFinding } from '../../plan/health/model.ts';
import { alertOf } from '../../plan/watch/verdict.ts';
import { parseTopology } from '../../topology/parse.ts';
import { tellTriggers } from '../../workers/own-alerts.ts';
import { alertsIn } from '../../workflows/trigger/state.ts';
import { BASE } from '../topology/bad-inputs.ts';
import { fakeDrivers } from '../topology/fake-drivers.ts';

const text = `${BASE}watch:
  shop: {service: checkout}
triggers:
  down: {service: checkout, to: eu-central, when: [{source: watch, labels: {alertname: RegionDown, region: eu-west}}]}
  any: {service: checkout, action: page, when: [{source: watch}]}
  split: {service: checkout, action: page, when: [{source: guard, labels: {alertname: twoWritable}}]}
`;
const topology = parseTopology(text, { path: 'rampart.yaml', drivers: fakeDrivers }).topology!;
const watch = topology.watches.shop!;
const NOW = Date.UTC(2026, 0, 1);
const verdict = { signal: 'down', probe: null, region: 'eu-west', at: NOW, votes: '2/2', text: 'no answer' } as const;
const down = alertOf(watch, { ...verdict, on: true, since: NOW - 9_000, until: null }, NOW);
const over = alertOf(watch, { ...verdict, on: false, since: NOW - 9_000, until: NOW }, NOW);

/** What Temporal got, as `call workflow: status alert`; `running`: the triggers that run. */
function temporal(running: string[]) {
  const got: string[] = [];
  const say = (call: string, id: string, [given]: [{ alerts: unknown[] }]) =>
    got.push(`${call} ${id}: ${alertsIn(given).map(({ status, labels }) => `${status} ${labels.alertname}`)}`);
  const client = {
    withDeadline: (_: number, call: () => Promise<unknown>) => call(),
    workflow: {
      signalWithStart: async (_: string, { workflowId, signalArgs }: { workflowId: string; signalArgs: [never] }) =>
        say('start', workflowId, signalArgs),
      getHandle: (workflowId: string) => ({
        signal: async (_: string, ...args: [never]) => {
          if (!running.includes(workflowId)) throw new WorkflowNotFoundError('not found', workflowId, undefined);
          say('signal', workflowId, args);
        },
      }),
    },
  } as unknown as Client;
  return { client, got };
}

test('what fires starts every trigger that wants it', async () => {
  const { client, got } = temporal([]);
  await tellTriggers(client, topology, [down]);
  expect(got.sort()).toEqual(['start trigger/any: firing RegionDown', 'start trigger/down: firing RegionDown']);
});

test('what is over is told to those that run, and starts none', async () => {
  const { client, got } = temporal(['trigger/down']);
  await tellTriggers(client, topology, [over]);
  expect(got).toEqual(['signal trigger/down: resolved RegionDown']);
});

test('a finding of a guard goes the same way, with one key from beginning to end', async () => {
  const finding: HealthFinding = {
    code: 'twoWritable',
    severity: 'critical',
    ...{ component: 'orders-db', region: null },
    ...{ message: '2 writable sides', remedy: 'fence', since: NOW },
  };
  const [opened, cleared] = (['firing', 'resolved'] as const).map((s) => guardAlert('checkout', finding, s, NOW + 1));
  expect(opened).toMatchObject({
    source: 'guard',
    startsAt: NOW,
    labels: { service: 'checkout', component: 'orders-db' },
  });
  expect(cleared!.key).toBe(opened!.key);
  const { client, got } = temporal([]);
  await tellTriggers(client, topology, [opened!]);
  expect(got).toEqual(['start trigger/split: firing twoWritable']);
});

test('one that Temporal does not take is an error: all are told again', async () => {
  const { client } = temporal([]);
  const broken = {
    ...client,
    workflow: { ...client.workflow, signalWithStart: () => Promise.reject(new Error('away')) },
  };
  await expect(tellTriggers(broken as unknown as Client, topology, [down])).rejects.toThrow('away');
});
