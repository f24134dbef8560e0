/** The router's suite, and what only a load balancer has: pools, health, fences, sessions, lists by geography, rules. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readMark, withMark } from '../../../drivers/cloudflare/claim.ts';
import { readHealth } from '../../../drivers/cloudflare/lb-health.ts';
import { percents } from '../../../drivers/cloudflare/weights.ts';
import type { Router } from '../../../drivers/ports.ts';
import { type ContextOptions, driverContext, token } from '../../conformance/driver-context.ts';
import { describeRouter } from '../../conformance/router/router-suite.ts';
import { describeFaults } from './behaviour.ts';
import { ask, BALANCER, DISABLED, type LbWorld, makeLbWorld, POOLS, whole } from './cloudflare-lb.world.ts';

const [WEST, CENTRAL] = [POOLS['eu-west'], POOLS['eu-central']];
/** Keeps what it matches at the region that is left. */
const RULE = { name: 'api', condition: 'http.request.uri.path contains "/api"', overrides: { default_pools: [WEST] } };

describeRouter('cloudflare-lb, weighted', () => makeLbWorld('weighted'));
describeRouter('cloudflare-lb, onOff', () => makeLbWorld('onOff'));
describeFaults(
  'cloudflare-lb',
  () => makeLbWorld('weighted'),
  { method: 'PATCH', path: `/load_balancers/${BALANCER}` },
  {
    get: (world) => (world as LbWorld).balancer().description,
    set: (world, text) => {
      (world as LbWorld).balancer().description = text;
    },
  },
);

let world: LbWorld;
let epoch = 1_000;
const open = (options: ContextOptions = {}, component = world.component): Router =>
  world.driver.open(component, driverContext({ secrets: world.secrets, ...options }));
const run = (component = world.component) => open({ token: token(++epoch, `run-${epoch}`, 1) }, component);
const codes = async (component = world.component, mode: 'planned' | 'unplanned' = 'planned') =>
  (await open({}, component).preflight!(mode, 'eu-west', 'eu-central')).map(
    ({ code, severity }) => `${severity} ${code}`,
  );

describe('weighted', { timeout: 30_000 }, () => {
  let fresh: () => void;
  beforeAll(async () => {
    world = await makeLbWorld('weighted');
    const { balancers, pools, health } = world.fake.balancing;
    // It is for the conformance suite, and would count as another user of the pools.
    balancers.delete(DISABLED);
    const saved = structuredClone({ balancers, pools, health });
    fresh = () => {
      const copy = structuredClone(saved);
      for (const [id, one] of copy.balancers) balancers.set(id, one);
      for (const [id, one] of copy.pools) pools.set(id, one);
      for (const [id, one] of copy.health) health.set(id, one);
      world.fake.faults.clear();
      world.fake.calls.length = 0;
      world.fake.balancing.healthShape = 'map';
    };
  }, 60_000);
  beforeEach(() => fresh());
  afterAll(() => world?.close());

  test('every percent is written exactly, for all pools, and a newcomer gets nothing', async () => {
    for (const percent of [1, 7, 29, 57, 58, 99]) {
      await run().setWeights({ 'eu-west': 100 - percent, 'eu-central': percent });
      expect(world.balancer().random_steering).toEqual({
        default_weight: 0,
        pool_weights: { [WEST]: (100 - percent) / 100, [CENTRAL]: percent / 100 },
      });
      expect((await open().observe()).weights).toEqual({ 'eu-west': 100 - percent, 'eu-central': percent });
    }
    await run().setWeights({ 'eu-west': 75, 'eu-central': 25 });
    expect(await world.measure()).toEqual({ 'eu-west': 75, 'eu-central': 25 });
    expect((await open().verifyWeights({ 'eu-west': 75, 'eu-central': 25 })).facts).toMatchObject({ by: 'sampled' });
  });

  test('claim and weights go in one PATCH, with nothing else', async () => {
    await run().setWeights(whole('eu-central'));
    const patches = world.fake.sent('PATCH');
    expect(patches).toHaveLength(1);
    expect(Object.keys(patches[0]!.body).sort()).toEqual(['description', 'random_steering']);
  });

  test('a pool that is down gets nothing: nothing is sent there, and afterwards it is no success', async () => {
    world.fake.balancing.health.get(CENTRAL)!.pops = { 'Amsterdam, NL': false, 'Paris, FR': false, 'Oslo, NO': true };
    const short = world.with({ healthDeadline: '200ms' });
    await expect(run(short).setWeights(whole('eu-central'))).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining('eu-central unhealthy (down from 2 of 3 places'),
    });
    expect(world.fake.sent('PATCH')).toHaveLength(0);
    world.balancer().random_steering = { default_weight: 0, pool_weights: { [WEST]: 0, [CENTRAL]: 1 } };
    await expect(open().verifyWeights(whole('eu-central'))).rejects.toMatchObject({
      type: 'NotApplied',
      message: expect.stringContaining('eu-central unhealthy'),
    });
  });

  test('a newer run that takes the claim while health is waited for is not overwritten', async () => {
    const { pops } = world.fake.balancing.health.get(CENTRAL)!;
    world.fake.balancing.health.get(CENTRAL)!.pops = { 'Paris, FR': false };
    const older = token(++epoch, `run-${epoch}`, 1);
    const newer = { epoch: ++epoch, runId: `run-${epoch}`, seq: 1, at: 1 };
    world.fake.fault({
      path: `${CENTRAL}/health`,
      fault: 'pass',
      times: 1,
      after: () => {
        world.balancer().description = withMark('The shop', newer, 'a1b2c3d4');
        world.fake.balancing.health.get(CENTRAL)!.pops = pops;
      },
    });
    await expect(open({ token: older }).setWeights(whole('eu-central'))).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining(`held by run ${newer.runId}`),
    });
    expect(world.fake.sent('PATCH')).toHaveLength(0);
    expect(readMark(world.balancer().description).claim).toEqual(newer);
  });

  test('a monitor that is broken itself does not stop a move of which the topology says so', async () => {
    world.fake.balancing.health.get(CENTRAL)!.pops = { 'Paris, FR': false };
    const trusting = world.with({ requireHealth: false, sample: undefined });
    expect(await codes(trusting)).toEqual(['warning cloudflare.unhealthy']);
    await run(trusting).setWeights(whole('eu-central'));
    const seen = await open({}, trusting).verifyWeights(whole('eu-central'));
    expect(seen.facts.health).toContain('eu-central unhealthy');
  });

  test('fence: the fallback leaves first, then the pool is disabled; weights bring it back when it is healthy', async () => {
    await run().setWeights(whole('eu-west'));
    world.balancer().session_affinity = 'cookie';
    world.fake.calls.length = 0;
    const fencing = run();
    const receipt = await fencing.fence!('eu-central');
    expect(receipt).toMatchObject({ already: false, facts: { fallbackPool: WEST, pool: CENTRAL } });
    const [first, second] = world.fake.sent('PATCH');
    expect(first).toMatchObject({ body: { fallback_pool: WEST } });
    expect(second!.body).toMatchObject({ enabled: false });
    expect(second!.path).toContain(CENTRAL);
    // Also a client with a session leaves.
    expect(await ask(world.edgeUrl, { cookie: `__cflb=${CENTRAL}` })).toEqual(whole('eu-west'));
    expect((await fencing.fence!('eu-central')).already).toBe(true);
    expect((await open().observe()).detail).toContain('disabled: eu-central');

    await run().setWeights({ 'eu-west': 50, 'eu-central': 50 });
    expect(world.pool('eu-central')).toMatchObject({ enabled: true, description: '' });
    // Enabled, then asked for its health until there is some, and only then the weights.
    const order = world.fake.calls.map(({ method, path }) => `${method} ${path.split('/').slice(3).join('/')}`);
    const healthy = order.lastIndexOf(`GET load_balancers/pools/${CENTRAL}/health`);
    expect(order.lastIndexOf(`PATCH load_balancers/pools/${CENTRAL}`)).toBeLessThan(healthy);
    expect(order.lastIndexOf(`PATCH load_balancers/${BALANCER}`)).toBeGreaterThan(healthy);
  });

  test('fence: the answer about the pool lost, and a pool that stays enabled', async () => {
    await run().setWeights(whole('eu-west'));
    world.fake.fault({ method: 'PATCH', path: CENTRAL, fault: 'cut', times: 1 });
    expect((await run().fence!('eu-central')).already).toBe(false);
    expect(world.fake.sent('PATCH', CENTRAL)).toHaveLength(1);
    expect(world.pool('eu-central').enabled).toBe(false);
    fresh();
    await run().setWeights(whole('eu-west'));
    world.fake.fault({ method: 'PATCH', path: CENTRAL, fault: 'nothing' });
    await expect(run(world.with({ deadline: '200ms' })).fence!('eu-central')).rejects.toMatchObject({
      type: 'NotApplied',
    });
  });

  describe('a pool that another load balancer uses, too', () => {
    const other = { id: '7'.repeat(32), name: 'blog.example.com' };
    beforeEach(async () => {
      await run().setWeights(whole('eu-west'));
      const blog = { ...structuredClone(world.balancer()), ...other, default_pools: [CENTRAL], fallback_pool: CENTRAL };
      world.fake.balancing.balancers.set(other.id, blog);
      world.fake.calls.length = 0;
    });
    afterEach(() => void world.fake.balancing.balancers.delete(other.id));

    test('a fence moves the fallback pool, leaves the pool enabled, and does not pass for one', async () => {
      const fencing = run();
      const shared = [`blog.example.com (${other.id})`];
      const half = {
        type: 'PreconditionFailed',
        message: expect.stringContaining(`the pool of eu-central was left enabled, because ${shared} uses it, too`),
        details: { sharedWith: shared },
      };
      await expect(fencing.fence!('eu-central')).rejects.toMatchObject(half);
      expect(world.fake.sent('PATCH').map(({ path }) => path.split('/').at(-1))).toEqual([BALANCER]);
      expect(world.pool('eu-central')).toMatchObject({ enabled: true, description: '' });
      expect(world.balancer()).toMatchObject({ fallback_pool: WEST });
      expect(world.fake.balancing.balancers.get(other.id)).toMatchObject({ fallback_pool: CENTRAL });
      await expect(fencing.fence!('eu-central')).rejects.toMatchObject(half);
      expect(world.fake.sent('PATCH')).toHaveLength(1);
      // Once nobody else uses it.
      world.fake.balancing.balancers.delete(other.id);
      expect(await fencing.fence!('eu-central')).toMatchObject({ already: false, facts: { pool: CENTRAL } });
      expect(world.pool('eu-central').enabled).toBe(false);
    });

    test('traffic that the region still gets is named', async () => {
      await run().setWeights({ 'eu-west': 60, 'eu-central': 40 });
      await expect(run().fence!('eu-central')).rejects.toMatchObject({
        message: expect.stringContaining('eu-central still has 40 %'),
      });
      expect(world.pool('eu-central').enabled).toBe(true);
    });

    test('an edit by hand during the run is a conflict, although the pool stays as it is', async () => {
      world.balancer().fallback_pool = WEST;
      const fencing = run();
      await fencing.setWeights(whole('eu-west'));
      await world.changeByHand({ 'eu-west': 60, 'eu-central': 40 });
      const { description } = world.balancer();
      await expect(fencing.fence!('eu-central')).rejects.toMatchObject({ type: 'Conflict' });
      expect(world.balancer().description).toBe(description);
    });

    test('while nobody knows who uses the pool, a fence touches nothing', async () => {
      world.fake.fault({ method: 'GET', path: `${CENTRAL}/references`, fault: 'failed' });
      await expect(run().fence!('eu-central')).rejects.toMatchObject({ type: 'ProviderUnavailable' });
      expect(world.fake.sent('PATCH')).toHaveLength(0);
    });

    test('preflight says what a fence does about it, and that sessions outlive it', async () => {
      world.balancer().session_affinity = 'cookie';
      const found = async (from: string, to: string) => open().preflight!('planned', from, to);
      const shared = (await found('eu-central', 'eu-west')).find(({ code }) => code === 'cloudflare.poolShared');
      expect(shared).toMatchObject({ severity: 'warning', region: 'eu-central' });
      expect(shared!.message).toContain('a fence of eu-central leaves it enabled');
      const sessions = async (from: string, to: string) =>
        (await found(from, to)).find(({ code }) => code === 'cloudflare.sessions')!.remedy;
      expect(await sessions('eu-central', 'eu-west')).toContain('a fence does not end them');
      expect(await sessions('eu-west', 'eu-central')).toContain('a fence (pool disabled) ends it');
    });
  });

  test('a fence that would leave nobody is refused, before anything is touched', async () => {
    await run().setWeights(whole('eu-west'));
    world.fake.calls.length = 0;
    await expect(run().fence!('eu-west')).rejects.toMatchObject({ type: 'PreconditionFailed' });
    expect(world.fake.sent('PATCH')).toHaveLength(0);
  });

  test('the fallback pool goes back when a run is undone, and stays away from a region without traffic', async () => {
    await run().setWeights({ 'eu-west': 60, 'eu-central': 40 });
    const saved = (await open().save()).facts;
    world.balancer().fallback_pool = WEST;
    expect(await run().restore(saved)).toMatchObject({ already: false });
    expect(world.balancer().fallback_pool).toBe(CENTRAL);
    await run().setWeights(whole('eu-west'));
    world.balancer().fallback_pool = WEST;
    expect((await run().restore(saved)).summary).toContain('eu-central, where it was, gets no traffic');
    expect(world.balancer().fallback_pool).toBe(WEST);
  });

  test('a pool that somebody else disabled is not enabled', async () => {
    world.pool('eu-central').enabled = false;
    await expect(run().setWeights(whole('eu-central'))).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining('not by Rampart'),
    });
    expect(world.pool('eu-central').enabled).toBe(false);
    expect(await codes()).toContain('blocker cloudflare.poolDisabled');
    // What is disabled gets nothing, whatever its weight.
    world.balancer().random_steering = { default_weight: 0, pool_weights: { [WEST]: 0.5, [CENTRAL]: 0.5 } };
    expect((await open().observe()).weights).toEqual(whole('eu-west'));
  });

  test('other policies and other pools: seen, said, and not touched', async () => {
    world.balancer().steering_policy = 'least_outstanding_requests';
    expect(await open().observe()).toMatchObject({ weights: null, applied: false });
    await expect(run().setWeights(whole('eu-central'))).rejects.toMatchObject({ type: 'PreconditionFailed' });
    expect(await codes()).toContain('blocker cloudflare.steering');
    fresh();
    const stranger = '9'.repeat(32);
    world.fake.balancing.pools.set(stranger, { ...world.pool('eu-west'), id: stranger, name: 'other' });
    world.balancer().default_pools.push(stranger);
    world.balancer().random_steering!.default_weight = 0.5;
    expect((await open().observe()).detail).toContain(stranger);
    await expect(run().setWeights(whole('eu-central'))).rejects.toMatchObject({ type: 'PreconditionFailed' });
    world.balancer().random_steering!.default_weight = 0;
    await run().setWeights(whole('eu-central'));
    expect(world.balancer().random_steering!.pool_weights).toEqual({ [WEST]: 0, [CENTRAL]: 1, [stranger]: 0 });
    expect(world.fake.sent('PATCH')).toHaveLength(1);
  });

  test('a quiet load balancer has no findings', async () => {
    expect(await codes()).toEqual([]);
  });

  test('preflight: what keeps traffic at the region that is left', async () => {
    Object.assign(world.balancer(), {
      fallback_pool: WEST,
      session_affinity: 'cookie',
      session_affinity_attributes: { drain_duration: 60 },
      rules: [RULE, { name: 'off', disabled: true, overrides: { default_pools: [WEST] } }],
      pool_sets: [{ name: 'de', match: { topology: { countries: ['DE'] } }, overrides: { pools: [CENTRAL] } }],
      region_pools: { WEU: [WEST] },
    });
    const found = await open().preflight!('planned', 'eu-west', 'eu-central');
    expect(found.map(({ code, severity }) => `${severity} ${code}`).sort()).toEqual(
      [
        ...['blocker cloudflare.override', 'warning cloudflare.override', 'warning cloudflare.fallback'],
        ...['warning cloudflare.sessions', 'info cloudflare.drain', 'info cloudflare.geoUnused'],
      ].sort(),
    );
    expect(found.find(({ code }) => code === 'cloudflare.sessions')!.message).toContain('23 h');
  });

  test('preflight: what stops a planned move is only told before an unplanned one', async () => {
    Object.assign(world.balancer(), { enabled: false, steering_policy: 'proximity', rules: [RULE] });
    world.pool('eu-central').enabled = false;
    const dns = world.with({ proxied: false });
    const found = ['steering', 'disabled', 'poolDisabled', 'override', 'proxied'].map((code) => `cloudflare.${code}`);
    expect(await codes(dns)).toEqual(found.map((code) => `blocker ${code}`));
    expect(await codes(dns, 'unplanned')).toEqual(found.map((code) => `warning ${code}`));
  });

  test('preflight: regions swapped in the topology, by the names of the pools', async () => {
    const swapped = world.with({}, { 'eu-west': { pool: CENTRAL }, 'eu-central': { pool: WEST } });
    const two = Array(2).fill('blocker cloudflare.poolSwapped');
    for (const mode of ['planned', 'unplanned'] as const)
      expect((await codes(swapped, mode)).filter((code) => code.startsWith('blocker'))).toEqual(two);
    world.pool('eu-west').name = 'blue';
    world.pool('eu-central').name = 'green';
    const named = { 'eu-west': { poolName: 'green' }, 'eu-central': { poolName: 'blue' } };
    expect(await codes(world.with({}, named))).toEqual(two);
    expect(
      await codes(world.with({}, { 'eu-west': { poolName: 'blue' }, 'eu-central': { poolName: 'green' } })),
    ).toEqual([]);
  });

  test('preflight: what is missing, disabled, down, shared, unwatched, or DNS-only', async () => {
    const unknown = world.with({}, { 'eu-central': { pool: 'f'.repeat(32) } });
    expect(await codes(unknown)).toEqual(expect.arrayContaining(['blocker cloudflare.poolMissing']));
    await expect(run(unknown).setWeights(whole('eu-central'))).rejects.toMatchObject({ type: 'PreconditionFailed' });
    world.fake.balancing.health.get(CENTRAL)!.pops = { 'Paris, FR': false };
    expect(await codes()).toEqual(['blocker cloudflare.unhealthy']);
    expect(await codes(world.component, 'unplanned')).toEqual(['warning cloudflare.unhealthy']);
    fresh();
    delete world.pool('eu-west').monitor;
    Object.assign(world.balancer(), { proxied: false, ttl: 120, enabled: false });
    const other = { ...world.balancer(), id: '7'.repeat(32), name: 'blog.example.com', default_pools: [CENTRAL] };
    world.fake.balancing.balancers.set(other.id, other);
    expect(await codes()).toEqual([
      ...['blocker cloudflare.disabled', 'warning cloudflare.noMonitor', 'blocker cloudflare.proxied'],
      ...['warning cloudflare.ttl', 'warning cloudflare.poolShared'],
    ]);
    world.fake.balancing.balancers.delete(other.id);
  });

  test('the escape commands run as they stand, and move everything', async () => {
    const lines = (await open().escape('eu-central')).filter((line) => !line.startsWith('#'));
    const patch = lines.find((line) => line.includes('-X PATCH') && line.includes(BALANCER))!;
    const body = JSON.parse(/-d '(.*?)' '/.exec(patch)![1]!);
    expect(body).toEqual({ random_steering: { default_weight: 0, pool_weights: { [WEST]: 0, [CENTRAL]: 1 } } });
    expect(patch).toContain('Bearer $CF_TOKEN');
    // Also when the API says nothing.
    const blind = await open({}, world.unreachable()).escape('eu-central');
    expect(blind.some((line) => line.startsWith('#') && line.includes('From the topology alone'))).toBe(true);
    expect(blind.join('\n')).toContain(JSON.stringify(body.random_steering));
  });

  test('what the plan is told', () => {
    expect(world.with({}).capabilities).toMatchObject({ kind: 'weighted', resolutionPercent: 1, ttlMs: 0 });
    expect(world.with({ proxied: false, ttl: '90s' }).capabilities.ttlMs).toBe(90_000);
    expect(world.with({}).capabilities.unverifiable!.join()).toContain('weights only apply to new sessions');
    const twice = world.with({}, { 'eu-central': { pool: WEST } });
    expect(world.driver.validate!(twice)).toMatchObject([{ code: 'cloudflare_pool_twice' }]);
  });
});

test('onOff, geo: the region is first in every list, and lists that disagree are no split', async () => {
  world = await makeLbWorld('onOff');
  try {
    Object.assign(world.balancer(), {
      steering_policy: 'geo',
      region_pools: { WEU: [WEST, CENTRAL], EEU: [CENTRAL] },
      country_pools: { DE: [CENTRAL, WEST] },
    });
    const seen = await open().observe();
    expect(seen).toMatchObject({ weights: null, applied: false });
    expect(seen.detail).toContain('EEU: eu-central');
    await run().setWeights(whole('eu-central'));
    expect(world.balancer()).toMatchObject({
      default_pools: [CENTRAL, WEST],
      region_pools: { WEU: [CENTRAL, WEST], EEU: [CENTRAL] },
      country_pools: { DE: [CENTRAL, WEST] },
    });
    expect(await ask(world.edgeUrl, { 'x-client-region': 'WEU' })).toEqual(whole('eu-central'));
    await run().setWeights(whole('eu-west'));
    expect(world.balancer().region_pools).toEqual({ WEU: [WEST, CENTRAL], EEU: [WEST, CENTRAL] });
    await expect(run().setWeights({ 'eu-west': 50, 'eu-central': 50 })).rejects.toMatchObject({ type: 'InvalidInput' });
  } finally {
    await world.close();
  }
}, 60_000);

describe('pieces', () => {
  test.each([
    ['a map of data centres', { Paris: { healthy: true }, Oslo: { healthy: true } }, 'healthy'],
    ['one that disagrees', { Paris: { healthy: true }, Oslo: { healthy: true }, Rome: { healthy: false } }, 'healthy'],
    ['half of them', { Paris: { healthy: true }, Oslo: { healthy: false } }, 'unhealthy'],
    ['the flat form', { healthy: true, origins: [] }, 'healthy'],
    ['the flat form, down', { healthy: false, origins: [] }, 'unhealthy'],
    ['no data yet', {}, 'unknown'],
    ['nothing at all', null, 'unknown'],
  ])('health: %s', (_name, given, expected) => {
    expect(readHealth(given).health).toBe(expected);
  });

  test('a claim comes back as it was, and is short', () => {
    const claim = { epoch: 12, seq: 34, at: 1_795_000_000_000, runId: '0f8fad5b-d9cb-469f-a165-70867728950e' };
    const text = withMark('Writer of the shop', claim, 'a1b2c3d4');
    expect(readMark(text)).toEqual({ claim, digest: 'a1b2c3d4', rest: 'Writer of the shop' });
    expect(text.length).toBeLessThanOrEqual(80);
    for (const runId of ['another server', '~odd', 'a]b%']) {
      expect(readMark(withMark('', { ...claim, runId }, 'a1b2c3d4')).claim!.runId).toBe(runId);
    }
    expect(readMark('words [rampart] only')).toEqual({ claim: null, digest: null, rest: 'words [rampart] only' });
  });

  test('relative weights are whole percents that add up', () => {
    expect(percents({ a: 1, b: 1, c: 1 })).toEqual({ a: 34, b: 33, c: 33 });
    expect(percents({ a: 0, b: 0 })).toEqual({ a: 0, b: 0 });
  });
});
