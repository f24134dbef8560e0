/**
 * The guard's watch on a real pair, in a process in which no watchdog runs; and the watchdog's loop in one in which no
 * guard and no Temporal is. Each must see two writable sides without the other.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Guarded, WatchServiceAnswer } from '../../activities/contract.ts';
import type { ActivityDeps } from '../../activities/deps.ts';
import { createGuardingActivities, type GuardDeps } from '../../activities/guarding.ts';
import { drivers } from '../../drivers/registry.ts';
import { LAB_PASSWORDS } from '../../lab/postgres/pair.ts';
import { killPostgres, startPostgres } from '../../lab/postgres/server.ts';
import { metrics } from '../../metrics/process.ts';
import { EMPTY_MEMORY } from '../../plan/health/judge.ts';
import type { Health } from '../../plan/health/model.ts';
import type { Service, Topology } from '../../topology/model.ts';
import { Sampler } from '../../workers/sampler.ts';
import { watchLoop } from '../../workers/watch-loop.ts';
import { Announcer } from '../../workers/watchdog.ts';
import { Run } from '../conformance/store/run.ts';
import { A, B, type Pair, startPair } from '../drivers/postgres/pair.ts';
import { checkout } from '../plan/world.ts';

vi.setConfig({ testTimeout: 60_000 });
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const service: Service = {
  ...checkout,
  components: ['orders-db'],
  checks: [],
  tier: { ...checkout.tier, freezeBudgetMs: 1_000 },
  returningPrimary: 'fence',
  guard: { enabled: true, intervalMs: 100, proofAgeMs: 1_000 },
};
let pair: Pair;
let stateDir: string;
let topology: Topology;
beforeAll(async () => {
  process.env.DB_PASSWORD = LAB_PASSWORDS.rampart;
  pair = await startPair();
  stateDir = mkdtempSync(join(tmpdir(), 'rampart-guard-'));
  topology = {
    version: 1,
    digest: 'a'.repeat(64),
    path: 'rampart.yaml',
    regions: {},
    tiers: {},
    components: { 'orders-db': pair.component },
    services: { checkout: service },
    alertSources: {},
    watches: {},
    triggers: {},
    drills: {},
  };
});
afterAll(async () => {
  delete process.env.DB_PASSWORD;
  await pair?.close();
  rmSync(stateDir, { recursive: true, force: true });
});

const deps = (): ActivityDeps => ({
  place: { region: null, place: null },
  stateDir,
  build: 'test',
  drivers,
  topology: async () => topology,
  searchAttributes: async () => [],
  cancelRun: async () => {},
  halt: async () => null,
  samples: () => [],
  log: quiet,
  namespace: 'default',
  ui: null,
});

function watch(
  shown: Health | null,
  more: Partial<GuardDeps> = {},
  forMs = 20_000,
  component = pair.component,
): Promise<WatchServiceAnswer> {
  const guard: GuardDeps = {
    topology: async () => topology,
    lastTopology: async () => topology,
    lock: async () => ({ run: null, lastProof: null }),
    publish: () => {},
    tell: async () => {},
    tellTriggers: async () => {},
    ...more,
  };
  const guarded: Guarded = {
    service,
    components: { 'orders-db': component },
    lock: 'failover/checkout',
    searchAttributes: [],
  };
  const { watchService } = createGuardingActivities(deps(), guard);
  const call = { guarded, shown, memory: EMPTY_MEMORY, local: {}, forMs };
  return new MockActivityEnvironment().run(watchService, call) as Promise<WatchServiceAnswer>;
}

test('the guard watches where no watchdog runs: well, nothing new, two writable sides', async () => {
  const looks: Array<Health | null> = [];
  const well = await watch(null);
  expect(well).toMatchObject({ why: 'changed', health: { verdict: 'well', active: { 'orders-db': { region: A } } } });
  const same = await watch(well.health, { publish: (_, health) => looks.push(health) }, 500);
  expect(same.why).toBe('time');
  expect(looks.filter((health) => health !== null).length).toBeGreaterThan(1);
  // The process that no longer watches says so.
  expect(looks.at(-1)).toBeNull();

  await killPostgres(pair.nodes[A]!.data);
  await pair.sql(B, 'SELECT pg_promote()');
  await startPostgres({ data: pair.nodes[A]!.data, bin: pair.nodes[A]!.bin });
  let { health } = well;
  for (let i = 0; i < 20 && health.returned === null; i += 1) health = (await watch(health)).health;
  expect(health).toMatchObject({ verdict: 'critical', returned: { from: A, to: B } });
  expect(health.findings[0]).toMatchObject({ code: 'twoWritable', component: 'orders-db' });
  // No router says where clients write: nothing would be fenced by itself.
  expect(health.returned?.doubts).toEqual([expect.stringMatching(/no router of the service says/)]);
});

test('a store whose secret is missing is one of which nothing is known, and that is said', async () => {
  const component = { ...pair.component, config: { ...pair.component.config, password: '${env:NOT_HERE}' } };
  let { health } = await watch(null, {}, 20_000, component);
  expect(health.active['orders-db']).toBeNull();
  // Its tier's budget is a second here: what is not seen to be writable for longer is said, with the reason.
  for (let i = 0; i < 20 && health.verdict === 'well'; i += 1)
    health = (await watch(health, {}, 20_000, component)).health;
  expect(health.findings[0]).toMatchObject({ code: 'noneWritable', message: expect.stringMatching(/unknown/) });
});

test('a store whose provider limits requests is looked at as often as its driver says', async () => {
  const looks = vi.spyOn(drivers.get('postgres')!, 'open');
  const rare = { ...pair.component, capabilities: { ...pair.component.capabilities, lookEveryMs: 60_000 } };
  const { health } = await watch(null, {}, 20_000, rare);
  looks.mockClear();
  const seen: Array<Health | null> = [];
  expect((await watch(health, { publish: (_, now) => seen.push(now) }, 500, rare)).why).toBe('time');
  expect(seen.length).toBeGreaterThan(2);
  expect(looks).toHaveBeenCalledTimes(1);
  looks.mockRestore();
});

test('the watch asks who holds the lock before it says anything', async () => {
  const run = { workflowId: 'failover/checkout', runId: 'x', type: 'failover', startedAt: 0 };
  const seen = await watch(null, { lock: async () => ({ run, lastProof: null }) });
  expect(seen.health.run).toEqual(run);
  expect(seen.health.findings[0]?.remedy).toContain('failover/checkout (failover) is at work');
});

test('the watchdog alarms where no guard and no Temporal is', async () => {
  const said: string[] = [];
  const log = { ...quiet, error: (message: string) => said.push(message) };
  const stop = new AbortController();
  const looping = watchLoop({
    deps: { ...deps(), log },
    sampler: new Sampler(stateDir),
    announcer: new Announcer(log, null, null),
    intervalMs: 50,
    signal: stop.signal,
  });
  await expect
    .poll(() => said.join('\n'), { timeout: 20_000 })
    .toMatch(/ALARM twoWritable: 2 writable sides of orders-db/);
  stop.abort();
  await looping;
  // Prometheus is told the same, by the readings themselves.
  const shown = metrics.render();
  expect(shown).toContain('rampart_alarm{kind="twoWritable",service="checkout",component="orders-db"} 1\n');
  expect(shown).toContain('rampart_writable_sides{service="checkout",component="orders-db"} 2\n');
});

test('the watchdog beside a fence that a run has left says whose it is', async () => {
  const run = new Run(pair.world, 1);
  const at = { region: A };
  await run.at(A).claim(at, run.journal({ freezeBudgetMs: 1_000 }));
  await run.at(A).fence(at);
  await killPostgres(pair.nodes[B]!.data);
  const said: string[] = [];
  const log = { ...quiet, error: (message: string) => said.push(message) };
  const stop = new AbortController();
  const looping = watchLoop({
    deps: { ...deps(), place: { region: A, place: null }, log },
    sampler: new Sampler(stateDir),
    announcer: new Announcer(log, null, null),
    intervalMs: 50,
    signal: stop.signal,
  });
  await expect
    .poll(() => said.join('\n'), { timeout: 20_000 })
    .toMatch(/ALARM fenceForgotten: eu-west in eu-west was fenced by failover\/checkout/);
  stop.abort();
  await looping;
  expect(metrics.render()).toContain(
    'rampart_alarm{kind="fenceForgotten",service="checkout",component="orders-db"} 1\n',
  );
});
