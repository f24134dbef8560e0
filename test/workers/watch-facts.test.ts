/** The facts at an open gate stay what they are while nothing happens, however long people take. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ActivityDeps } from '../../activities/deps.ts';
import { watchFacts } from '../../activities/watch.ts';
import { useClock } from '../../drivers/clock.ts';
import type { Driver, DriverContext, NodeObservation, Role } from '../../drivers/ports.ts';
import { assess } from '../../plan/facts.ts';
import { materialOf } from '../../plan/material.ts';
import type { Facts, Observations } from '../../plan/model.ts';
import { A, B, input, NOW, WORLDS } from '../plan/world.ts';

let now = NOW;
beforeEach(() => {
  now = NOW;
  useClock({
    now: () => now,
    monotonic: () => now,
    sleep: async (ms) => {
      now += ms;
    },
    every: () => () => {},
  });
});
afterEach(() => useClock(null));

/** Drivers of a world in which nothing happens: each reading is what it was, read now. */
function driversOf(world: () => Observations): ActivityDeps['drivers'] {
  const driver = (type: string, role: Role, port: (name: string) => object): [string, Driver] => [
    type,
    { type, role, open: ({ name }: { name: string }) => port(name) } as unknown as Driver,
  ];
  return new Map([
    driver('postgres', 'store', (name) => ({
      observe: async ({ region }: { region: string }) =>
        world()
          .stores[name]!.filter((node) => node.region === region)
          .map((node) => ({ ...node, observedAt: now, ...(node.lag && { lag: { ...node.lag, measuredAt: now } }) })),
    })),
    driver('traefik', 'router', (name) => ({ observe: async () => ({ ...world().routers[name]!, observedAt: now }) })),
    driver('http-contract', 'workload', (name) => ({
      observe: async (region: string) => ({
        ...world().workloads[name]!.find((one) => one.region === region)!,
        observedAt: now,
      }),
    })),
    driver('http', 'check', (name) => ({
      run: async (region: string) => ({ ...world().checks[name]![region]!, at: now }),
    })),
  ]);
}

/** Ten minutes at a gate that opened on `first`, in a world that is `world`. */
async function watch(first: Observations, world: () => Observations): Promise<Facts | null> {
  const { observations, now: _, ...compile } = input(first);
  const shown = materialOf(assess({ ...compile, observations, now }));
  const deps = { drivers: driversOf(world), samples: () => [], halt: async () => null } as unknown as ActivityDeps;
  const context = {
    now: () => now,
    signal: new AbortController().signal,
    heartbeat: () => {},
  } as unknown as DriverContext;
  const run = { workflowId: 'failover/checkout', runId: 'run-1', service: 'checkout', by: null };
  return new MockActivityEnvironment({ currentAttemptScheduledTimestampMs: NOW }).run(() =>
    watchFacts(deps, { compile, run, shown, observations, quietMs: 0, forMs: 600_000 }, context),
  ) as Promise<Facts | null>;
}

test.each(['steady(A)', 'steady(B)', 'midRamp(B)'])('%s: nothing happens, and nobody is asked again', async (name) => {
  const world = WORLDS[name]!;
  expect((await watch(world(), world))?.blockers.map(({ message }) => message)).toBeUndefined();
});

test('a fenced primary that somebody starts looks like a replica from here: it is fenced, and nobody is asked again', async () => {
  const fenced = WORLDS['fenced(A)']!;
  const started = fenced();
  started.stores['orders-db'] = started.stores['orders-db']!.map((node) =>
    node.state === 'fenced' ? { ...node, state: 'replica', via: 'network', fence: null, upstream: null } : node,
  );
  const first = fenced();
  first.stores['orders-db'] = first.stores['orders-db']!.map((node) => ({ ...node, via: 'local' }));
  expect((await watch(first, () => started))?.classified.text).toBeUndefined();

  now = NOW;
  const follows = WORLDS['steady(B)']!;
  const facts = await watch(first, follows);
  expect(facts?.positions['orders-db']?.map(({ region, state }) => [region, state])).toContainEqual([A, 'replica']);
});

test('a primary that was seen stopped beside it stays that while its machine says that nothing listens there', async () => {
  const stopped = (over: Partial<NodeObservation>) => {
    const world = WORLDS['steady(A)']!();
    world.stores['orders-db'] = world.stores['orders-db']!.map((node) =>
      node.region === A ? { ...node, state: 'stopped', ...over } : node,
    );
    return world;
  };
  const first = stopped({ via: 'local' });
  const unreachable = { via: 'network', state: 'unreachable', timeline: null, position: null } as const;
  const stays = await watch(first, () => stopped({ ...unreachable, notListening: true }));
  expect(stays?.classified.text).toBeUndefined();

  now = NOW;
  const silent = await watch(first, () => stopped({ ...unreachable, notListening: false }));
  expect(silent?.classified.text).toContain('the reading is 60 s old');
});

test('a router that cannot be read any more, a check that fails: people are told', async () => {
  const steady = WORLDS['steady(A)']!;
  const silent = steady();
  silent.routers.edge = { ...silent.routers.edge!, reachable: false, weights: null, detail: 'connection refused' };
  expect((await watch(steady(), () => silent))?.blockers.map(({ code }) => code)).toEqual(['routerUnreachable']);

  now = NOW;
  const failing = steady();
  failing.checks.ready![B] = { ...failing.checks.ready![B]!, outcome: 'fail', observed: '503' };
  expect((await watch(steady(), () => failing))?.blockers.map(({ code }) => code)).toEqual(['checkFailing']);
});
