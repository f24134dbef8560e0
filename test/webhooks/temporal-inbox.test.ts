/** What a trigger is told of a storm, and what it is told again when Temporal had not taken it. */
import type { Client } from '@temporalio/client';
import { describe, expect, test } from 'vitest';
import { Unavailable } from '../../clients/webhooks/inbox.ts';
import { temporalInbox } from '../../clients/webhooks/temporal-inbox.ts';
import { matches } from '../../topology/alert-match.ts';
import type { Alert } from '../../topology/alerts.ts';
import type { Topology } from '../../topology/model.ts';
import { parseTopology } from '../../topology/parse.ts';
import { fakeDrivers } from '../topology/fake-drivers.ts';
import { GOOD } from '../topology/good.ts';

const topology = parseTopology(GOOD, { path: 'rampart.yaml', drivers: fakeDrivers }).topology!;
const T0 = Date.parse('2026-03-29T03:00:00Z');

function alert(over: Partial<Alert> = {}): Alert {
  return {
    ...{ source: 'alertmanager', delivery: null, key: 'k', status: 'firing', startsAt: T0, receivedAt: T0 },
    ...{ labels: { alertname: 'RegionDown', region: 'eu-west' }, annotations: {}, severity: null, url: null },
    ...over,
  } as Alert;
}

/** Signals that Temporal got, as `trigger: keys`; `away`: it takes none. */
function inbox(times = 1) {
  const told: string[] = [];
  const state = { now: T0, away: false, broken: false };
  const client = {
    withDeadline: (_: number, call: () => Promise<unknown>) => call(),
    workflow: {
      signalWithStart: async (
        _: string,
        { workflowId, signalArgs }: { workflowId: string; signalArgs: [{ alerts: Alert[] }] },
      ) => {
        await Promise.resolve();
        if (state.away) throw new Error('no connection');
        told.push(`${workflowId}: ${signalArgs[0].alerts.map(({ key, status }) => `${status} ${key}`).join(', ')}`);
      },
    },
  } as unknown as Client;
  const triggers = Object.fromEntries(
    Object.entries(topology.triggers).map(([name, one]) => [name, { ...one, times: { ...one.times, atLeast: times } }]),
  );
  const read = async (): Promise<Topology> => {
    if (state.broken) throw new Error('rampart.yaml does not validate');
    return { ...topology, triggers };
  };
  return { told, state, box: temporalInbox({ client, topology: read, now: () => state.now }) };
}

describe('a delivery', () => {
  test('goes to the triggers that it matches, and to nobody else', async () => {
    const { told, box } = inbox();
    expect(await box.deliver([alert()])).toBe('accepted');
    expect(await box.deliver([alert({ labels: { alertname: 'DiskFull', region: 'eu-west' } })])).toBe('ignored');
    expect(await box.deliver([alert({ source: 'nobody' })])).toBe('ignored');
    expect(told).toEqual(['trigger/eu-west-down: firing k']);
  });

  test('that says the same again is a duplicate for a while; what changes is told at once', async () => {
    const { told, state, box } = inbox();
    await box.deliver([alert()]);
    expect(await box.deliver([alert()])).toBe('duplicate');
    expect(await box.deliver([alert({ status: 'resolved' })])).toBe('accepted');
    expect(await box.deliver([alert({ startsAt: T0 + 1_000 })])).toBe('accepted');
    state.now += 21_000;
    expect(await box.deliver([alert({ startsAt: T0 + 1_000 })])).toBe('accepted');
    expect(told).toHaveLength(4);
  });

  test('without a beginning is the same only when it is the same message', async () => {
    const { box } = inbox();
    const one = { startsAt: null, delivery: 'd1' };
    expect(await box.deliver([alert(one)])).toBe('accepted');
    expect(await box.deliver([alert(one)])).toBe('duplicate');
    expect(await box.deliver([alert({ ...one, delivery: 'd2' })])).toBe('accepted');
  });

  test('for a trigger that counts is told as often as that counts', async () => {
    const { told, box } = inbox(3);
    for (let i = 0; i < 10; i++) await box.deliver([alert({ delivery: `d${i}` })]);
    expect(told).toHaveLength(3);
  });
});

test('ten thousand deliveries of one incident at once: Temporal is told of each alert once', async () => {
  const { told, box } = inbox();
  const answers = await Promise.all(
    Array.from({ length: 10_000 }, (_, i) => box.deliver([alert({ key: `k${i % 4}`, delivery: `d${i}` })])),
  );
  expect(told).toHaveLength(4);
  expect(answers.filter((answer) => answer === 'accepted')).toHaveLength(4);
  expect(answers.filter((answer) => answer === 'duplicate')).toHaveLength(9_996);
});

describe('nothing is taken that is not kept', () => {
  test('when Temporal is away the sender is told so, its copies as well, and the next try is told', async () => {
    const { told, state, box } = inbox();
    state.away = true;
    const both = await Promise.allSettled([box.deliver([alert()]), box.deliver([alert()])]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect((both[0] as PromiseRejectedResult).reason).toBeInstanceOf(Unavailable);
    state.away = false;
    expect(await box.deliver([alert()])).toBe('accepted');
    expect(told).toHaveLength(1);
  });

  test('while the topology cannot be read nobody knows whom it is for', async () => {
    const { state, box } = inbox();
    state.broken = true;
    await expect(box.deliver([alert()])).rejects.toBeInstanceOf(Unavailable);
    await expect(box.sources()).rejects.toThrow('rampart.yaml does not validate');
  });
});

test('labels match whole, a pattern as well, and what every object has is no label', () => {
  const match = (labels: Record<string, string>, own: Record<string, string>): boolean =>
    matches({ source: 'alertmanager', labels }, alert({ labels: own }));
  expect(match({ region: '/eu-.*/' }, { region: 'eu-west' })).toBe(true);
  expect(match({ region: '/eu-/' }, { region: 'eu-west' })).toBe(false);
  expect(match({ region: '/eu|us/' }, { region: 'us-east' })).toBe(false);
  expect(match({ region: '' }, {})).toBe(true);
  expect(match({ constructor: '/.*Object.*/s' }, {})).toBe(false);
});
