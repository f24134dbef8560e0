/** What a guard needs of its process goes on while Temporal's lists, or an edited topology, are broken. */
import type { Client } from '@temporalio/client';
import { expect, test } from 'vitest';
import { alertOf } from '../../activities/guarding.ts';
import type { HealthFinding } from '../../plan/health/model.ts';
import type { Topology } from '../../topology/model.ts';
import { parseTopology } from '../../topology/parse.ts';
import { createGuardDeps } from '../../workers/guard-deps.ts';
import { lastReadable } from '../../workers/last-topology.ts';
import { Announcer } from '../../workers/watchdog.ts';
import { BASE } from '../topology/bad-inputs.ts';
import { fakeDrivers } from '../topology/fake-drivers.ts';

const text = `${BASE}triggers:
  any: {service: checkout, action: page, when: [{source: guard}]}
`;
const topology = parseTopology(text, { path: 'rampart.yaml', drivers: fakeDrivers }).topology!;
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const AT = Date.UTC(2026, 0, 1);
const finding: HealthFinding = {
  ...{ code: 'topologyUnreadable', severity: 'warning', component: null, region: null },
  ...{ message: 'it cannot be read anew', remedy: 'rampart validate', since: AT },
};

test('whom to tell is known from the topology that could last be read', async () => {
  let broken = false;
  const read = async (): Promise<Topology> => {
    if (broken) throw new Error('rampart.yaml does not validate');
    return topology;
  };
  const last = lastReadable(read);
  await last();
  const signalled: string[] = [];
  const client = {
    withDeadline: (_: number, call: () => Promise<unknown>) => call(),
    workflow: {
      signalWithStart: async (_: string, { workflowId }: { workflowId: string }) => signalled.push(workflowId),
    },
  } as unknown as Client;
  const guard = createGuardDeps(client, read, last, new Announcer(log, null, null));
  broken = true;
  await expect(guard.topology()).rejects.toThrow('does not validate');
  await guard.tellTriggers([alertOf('checkout', finding, 'firing', AT)]);
  expect(signalled).toEqual(['trigger/any']);
});

test('a topology that could never be read is not made up', async () => {
  await expect(lastReadable(() => Promise.reject(new Error('no such file')))()).rejects.toThrow('no such file');
});
