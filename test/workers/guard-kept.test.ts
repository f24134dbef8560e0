/** What a guard goes by between two readings: of what a provider limits, and of the topology. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Guarded, GuardingActivities, WatchServiceAnswer } from '../../activities/contract.ts';
import type { ActivityDeps } from '../../activities/deps.ts';
import { createGuardingActivities } from '../../activities/guarding.ts';
import { useClock } from '../../drivers/clock.ts';
import type { Driver, RouterObservation } from '../../drivers/ports.ts';
import { EMPTY_MEMORY } from '../../plan/health/judge.ts';
import type { Health } from '../../plan/health/model.ts';
import { lockOf, type Topology } from '../../topology/model.ts';
import { A, B, checkout, components } from '../plan/world.ts';

const LOOK_EVERY_MS = 30_000;
const edge = { ...components().edge!, type: 'limited' };
edge.capabilities = { ...edge.capabilities, lookEveryMs: LOOK_EVERY_MS };
const service = { ...checkout, components: ['edge'], guard: { enabled: true, intervalMs: 1_000, proofAgeMs: 1e12 } };
const guarded: Guarded = {
  service,
  components: { edge },
  lock: lockOf(service),
  searchAttributes: [],
};

let now = 0;
let broken = false;
beforeEach(() => {
  now = 1_000_000;
  broken = false;
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

/** @param answers whether the router answers, look by look; the last one goes on */
function watch(
  answers: boolean[],
  shown: Health | null,
  forMs: number,
): { looks: number[]; end: Promise<WatchServiceAnswer> } {
  const looks: number[] = [];
  const { watchService } = activities(answers, looks);
  const call = { guarded, shown, memory: EMPTY_MEMORY, local: {}, forMs };
  return { looks, end: new MockActivityEnvironment().run(watchService, call) as Promise<WatchServiceAnswer> };
}

function activities(answers: boolean[], looks: number[]): GuardingActivities {
  const observe = async (): Promise<RouterObservation> => {
    const reachable = answers[Math.min(looks.length, answers.length - 1)]!;
    looks.push(now);
    const weights = reachable ? { [A]: 100, [B]: 0 } : null;
    return {
      reachable,
      weights,
      applied: reachable,
      observedAt: now,
      detail: reachable ? '' : 'no answer',
      claim: null,
    };
  };
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const deps = {
    place: { region: null, place: null },
    stateDir: '/nonexistent',
    searchAttributes: async () => [],
    log: quiet,
    drivers: new Map([
      ['limited', { type: 'limited', role: 'router', open: () => ({ observe }) } as unknown as Driver],
    ]),
  } as unknown as ActivityDeps;
  const whole = { services: { checkout: guarded.service }, components: { edge } } as unknown as Topology;
  return createGuardingActivities(deps, {
    topology: async () => {
      if (broken) throw new Error('rampart.yaml does not validate');
      return whole;
    },
    lastTopology: async () => whole,
    lock: async () => ({ run: null, lastProof: null }),
    publish: () => {},
    tell: async () => {},
    tellTriggers: async () => {},
  });
}

const well = async (): Promise<Health> => (await watch([true], null, 1_000).end).health;

test('a reading that was bad once is no news: it is looked at anew before anything is said', async () => {
  const { looks, end } = watch([false, true], await well(), 20_000);
  const began = now;
  expect(await end).toMatchObject({ why: 'time', health: { verdict: 'well' } });
  expect(looks.map((at) => at - began)).toEqual([0, expect.any(Number)]);
});

test('one that stays bad is said, as soon as its time has come', async () => {
  const { looks, end } = watch([false], await well(), 60_000);
  const answer = await end;
  expect(answer.why).toBe('changed');
  expect(answer.health.findings.map(({ code }) => code)).toContain('routerUnreadable');
  expect(looks).toHaveLength(2);
});

test('while all is well it is looked at no more often than its driver says', async () => {
  const shown = await well();
  const { looks, end } = watch([true], shown, 3 * LOOK_EVERY_MS - 1_000);
  expect((await end).why).toBe('time');
  expect(looks).toHaveLength(3);
});

test('a topology that stays broken is said once, and its end when it can be read again', async () => {
  const shown = await well();
  broken = true;
  const said = await watch([true], shown, 60_000).end;
  const codes = ({ health }: WatchServiceAnswer) => health.findings.map(({ code }) => code);
  expect([said.why, codes(said)]).toEqual(['changed', expect.arrayContaining(['topologyUnreadable'])]);
  // The next watch begins while it is still broken.
  const later = await watch([true], said.health, 60_000).end;
  expect([later.why, codes(later)]).toEqual(['time', codes(said)]);
  broken = false;
  const mended = await watch([true], later.health, 60_000).end;
  expect([mended.why, codes(mended)]).toEqual(['changed', codes({ ...mended, health: shown })]);
});

test('a guard that begins while the topology is broken watches what it could last read', async () => {
  broken = true;
  const resolved = await new MockActivityEnvironment().run(activities([true], []).resolveGuarded, {
    service: 'checkout',
  });
  expect(resolved).toMatchObject({ lock: 'failover/checkout', service: { name: 'checkout' } });
});
