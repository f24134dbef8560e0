/** What a guard needs of its process goes on while Temporal's lists, or an edited topology, are broken. */
import type { Client } from '@temporalio/client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { alertOf } from '../../activities/guarding.ts';
import { useClock } from '../../drivers/clock.ts';
import type { HealthFinding } from '../../plan/health/model.ts';
import type { Topology } from '../../topology/model.ts';
import { parseTopology } from '../../topology/parse.ts';
import { createGuardDeps } from '../../workers/guard-deps.ts';
import { rememberTopology } from '../../workers/last-topology.ts';
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
  const read = rememberTopology(async (): Promise<Topology> => {
    if (broken) throw new Error('rampart.yaml does not validate');
    return topology;
  });
  await read.now();
  const signalled: string[] = [];
  const client = {
    withDeadline: (_: number, call: () => Promise<unknown>) => call(),
    workflow: {
      signalWithStart: async (_: string, { workflowId }: { workflowId: string }) => signalled.push(workflowId),
    },
  } as unknown as Client;
  const guard = createGuardDeps(client, read, new Announcer(log, null, null));
  broken = true;
  await expect(guard.topology()).rejects.toThrow('does not validate');
  await guard.tellTriggers([alertOf('checkout', finding, 'firing', AT)]);
  expect(signalled).toEqual(['trigger/any']);
});

test('a topology that could never be read is not made up', async () => {
  const { last } = rememberTopology(() => Promise.reject(new Error('no such file')));
  await expect(last()).rejects.toThrow('no such file');
});

describe('who holds the lock', () => {
  /** Temporal with one completed failover and its list of runs, and a run that is at work or not. */
  function temporal() {
    const state = {
      ...{ lists: true, listed: true, runId: 'a', running: false, asked: 0, type: 'failover' },
      newer: [] as object[],
      result: { outcome: 'completed', pointOfNoReturn: { crossedAt: AT } } as unknown,
    };
    const client = {
      withDeadline: (_: number, call: () => Promise<unknown>) => call(),
      workflow: {
        getHandle: () => ({
          describe: async () => ({
            ...{ runId: state.runId, type: state.type, startTime: new Date(AT) },
            status: { name: state.running ? 'RUNNING' : 'COMPLETED' },
            closeTime: state.running ? undefined : new Date(AT + 1_000),
          }),
          result: async () => state.result,
        }),
        async *list() {
          state.asked += 1;
          if (!state.lists) throw new Error('visibility is away');
          yield* state.newer;
          if (state.listed) yield { runId: 'a', type: state.type, closeTime: new Date(AT + 1_000) };
        },
      },
    } as unknown as Client;
    const read = rememberTopology(async () => topology);
    return { state, guard: createGuardDeps(client, read, new Announcer(log, null, null)) };
  }
  const proof = { runId: 'a', type: 'failover', at: AT + 1_000 };
  const run = { workflowId: 'failover/checkout', runId: 'b', type: 'failover', startedAt: AT };
  let now = AT;
  beforeEach(() => {
    now = AT;
    useClock({ now: () => now, monotonic: () => now, sleep: async () => {}, every: () => () => {} });
  });
  afterEach(() => useClock(null));

  test('is said while the lists of runs are away, and the proof is asked for again', async () => {
    const { state, guard } = temporal();
    Object.assign(state, { lists: false, runId: 'b', running: true });
    expect(await guard.lock('failover/checkout')).toEqual({ run, lastProof: null });
    state.lists = true;
    now += 60_000;
    expect(await guard.lock('failover/checkout')).toEqual({ run, lastProof: proof });
  });

  test('with the proof that was known before', async () => {
    const { state, guard } = temporal();
    expect(await guard.lock('failover/checkout')).toEqual({ run: null, lastProof: proof });
    Object.assign(state, { lists: false, runId: 'b', running: true });
    expect(await guard.lock('failover/checkout')).toEqual({ run, lastProof: proof });
  });

  test('with the proof of a run that has ended and is in no list yet', async () => {
    const { state, guard } = temporal();
    state.listed = false;
    expect(await guard.lock('failover/checkout')).toEqual({ run: null, lastProof: proof });
  });

  test.each([
    ['a full drill that has passed is one', { verdict: 'passed', kind: 'full' }, true],
    ['a full drill that has not passed is none', { verdict: 'failed', kind: 'full' }, false],
    ['a drill of part of the traffic is none', { verdict: 'passed', kind: 'rampOnly' }, false],
  ])('with a proof: %s', async (_, result, proves) => {
    const { state, guard } = temporal();
    Object.assign(state, { type: 'drill', result });
    const lastProof = proves ? { ...proof, type: 'drill' } : null;
    expect(await guard.lock('failover/checkout')).toEqual({ run: null, lastProof });
  });

  test('with a proof that is older than any number of drills which could be none', async () => {
    const { state, guard } = temporal();
    const drill = { runId: 'd', type: 'drill', memo: { kind: 'rampOnly' }, closeTime: new Date(AT + 2_000) };
    Object.assign(state, { runId: 'b', running: true, newer: Array.from({ length: 20 }, () => drill) });
    expect(await guard.lock('failover/checkout')).toEqual({ run, lastProof: proof });
  });

  test('and lists that are away are not asked with every look', async () => {
    const { state, guard } = temporal();
    Object.assign(state, { lists: false, runId: 'b', running: true });
    for (let look = 0; look < 10; look += 1, now += 2_000) await guard.lock('failover/checkout');
    expect(state.asked).toBe(1);
  });
});
