/** What is seen and found before a switch, and how it is said. */
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { auroraGlobal } from '../../../drivers/aurora/driver.ts';
import { generationOf } from '../../../drivers/aurora/generation.ts';
import { readTags } from '../../../drivers/aurora/tags.ts';
import type { Json } from '../../../drivers/ports.ts';
import { freePort } from '../../../lab/ports.ts';
import { Run } from '../../conformance/store/run.ts';
import { A, type AuroraWorld, B, CLUSTERS, GLOBAL } from './world.ts';

/** @param get the pair of regions that the cases share */
export function lookCases(get: () => AuroraWorld): void {
  let world: AuroraWorld;
  beforeAll(() => {
    world = get();
  });
  afterEach(() => world.reset());

  const WEST = CLUSTERS[A]!.region;
  const CENTRAL = CLUSTERS[B]!.region;
  const west = () => world.fake.cluster(WEST, CLUSTERS[A]!.id);
  const central = () => world.fake.cluster(CENTRAL, CLUSTERS[B]!.id);
  const store = (config: Record<string, Json> = {}, nodes: Record<string, Record<string, Json>> = {}) =>
    new Run(world, 0).at(null, {}, world.with(config, nodes));
  const found = async (
    mode: 'planned' | 'unplanned' = 'planned',
    config: Record<string, Json> = {},
    nodes: Record<string, Record<string, Json>> = {},
  ) => {
    const all = await store(config, nodes).preflight(mode, A, B);
    for (const one of all)
      expect(one).toMatchObject({
        component: 'orders-db',
        message: expect.stringMatching(/\S/),
        remedy: expect.stringMatching(/\S/),
      });
    return Object.fromEntries(all.map(({ code, severity, region }) => [code, [severity, region]]));
  };

  describe('preflight', () => {
    it('of a pair in order: nothing but how clients find the writer', async () => {
      expect(await found()).toEqual({ 'aurora.noGlobalEndpoint': ['info', null] });
      world.fake.state.endpoints[GLOBAL] = 'orders-global.global-abc.global.rds.amazonaws.com';
      expect(await found()).toEqual({ 'aurora.globalEndpoint': ['info', null] });
    });

    it('names what stands in the way at the target', async () => {
      central().instances = [];
      expect(await found()).toMatchObject({ 'aurora.headless': ['blocker', B] });
      Object.assign(central(), { instances: [{ id: 'x', writer: true }], version: '15.4', status: 'upgrading' });
      expect(await found()).toMatchObject({
        'aurora.versionMismatch': ['blocker', B],
        'aurora.notAvailable': ['blocker', B],
      });
      central().engine = 'aurora-mysql';
      expect(await found()).toMatchObject({ 'aurora.engine': ['blocker', B] });
    });

    it('names what the global database is doing', async () => {
      const global = world.fake.global(GLOBAL);
      global.members[1]!.sync = 'pending-resync';
      global.members[1]!.resync = 1_000;
      expect(await found('unplanned')).toMatchObject({ 'aurora.pendingResync': ['blocker', B] });
      world.fake.next.outcome = 'lasts';
      global.members[1]!.sync = 'connected';
      await world.fake.operations().SwitchoverGlobalCluster!({
        input: { GlobalClusterIdentifier: GLOBAL, TargetDbClusterIdentifier: world.fake.arnOf(CLUSTERS[B]!) },
      } as never);
      expect(await found()).toMatchObject({ 'aurora.underWay': ['blocker', B] });
      global.operation = null;
      global.members.push({
        arn: world.fake.arnOf({ region: 'us-east-1', id: 'far' }),
        writer: false,
        sync: 'connected',
        resync: 0,
      });
      expect(await found('unplanned')).toMatchObject({ 'aurora.otherSecondaries': ['warning', null] });
      global.members.splice(1);
      expect(await found()).toMatchObject({ 'aurora.notMember': ['blocker', B] });
    });

    it('regions that are swapped in the topology stop it', async () => {
      const swapped = { [A]: { awsRegion: CENTRAL }, [B]: { awsRegion: WEST } };
      expect(await found('planned', {}, swapped)).toMatchObject({
        'aurora.regionsSwapped': ['blocker', expect.any(String)],
      });
      expect(await found('unplanned', {}, swapped)).toMatchObject({
        'aurora.regionsSwapped': ['blocker', expect.any(String)],
      });
      const unknown = { [B]: { cluster: 'nobody' } };
      expect(await found('planned', {}, unknown)).toMatchObject({ 'aurora.notFound': ['blocker', B] });
    });

    it('settings that are not carried over, a commit that would wait, and proxies that stay', async () => {
      west().parameterGroup = 'orders-west';
      central().parameterGroup = 'orders-central';
      world.fake.state.parameters = {
        'orders-west': { 'rds.global_db_rpo': '20', 'rds.logical_replication': '1' },
        'orders-central': { 'rds.logical_replication': '0' },
      };
      world.fake.state.proxies = [
        { region: WEST, name: 'front', cluster: west().id },
        { region: WEST, name: 'other', cluster: 'other' },
      ];
      const all = await store().preflight('planned', A, B);
      const text = (code: string) => all.filter((one) => one.code === code).map(({ message }) => message);
      expect(text('aurora.globalDbRpo')).toEqual([expect.stringContaining('20 s with one secondary')]);
      expect(text('aurora.parametersDiffer')).toEqual([
        expect.stringContaining('rds.global_db_rpo, rds.logical_replication'),
      ]);
      expect(text('aurora.proxy')).toEqual([expect.stringContaining('RDS Proxy front in eu-west goes on pointing')]);
    });

    it('a source that is silent or denies stops only a planned run; a target does in both', async () => {
      world.aws.fault({ fault: 'reset', region: WEST });
      expect(await found()).toMatchObject({ 'aurora.unreachable': ['blocker', A] });
      expect(await found('unplanned')).toMatchObject({
        'aurora.unreachable': ['warning', A],
        'aurora.noLag': ['warning', B],
      });
      world.aws.faults.clear();
      world.aws.fault({ fault: 'denied', operation: 'DescribeDBClusters', region: CENTRAL });
      expect(await found('unplanned')).toMatchObject({ 'aurora.accessDenied': ['blocker', B] });
    });

    it('a target whose database cannot be asked: nobody could tell whether it takes writes', async () => {
      const nowhere = { [B]: { host: '127.0.0.1', port: await freePort() } };
      expect(await found('planned', {}, nowhere)).toMatchObject({ 'aurora.sqlUnreachable': ['blocker', B] });
      expect(await found('unplanned', {}, nowhere)).toMatchObject({ 'aurora.sqlUnreachable': ['warning', B] });
    });
  });

  describe('observing', () => {
    const at = async (nodes: Record<string, Record<string, Json>>) =>
      (await store({}, nodes).observe({ region: B }))[0]!;
    const lagAt = async (nodes: Record<string, Record<string, Json>>) => (await at(nodes)).lag;

    it('without the databases the lag is what CloudWatch has outside the primary’s region; missing and old are no reading', async () => {
      const port = await freePort();
      const silent = Object.fromEntries([A, B].map((side) => [side, { host: '127.0.0.1', port }]));
      expect(await lagAt(silent)).toBeNull();
      world.lag.values = { [CLUSTERS[B]!.id]: { ms: 1_500, ageMs: 70_000 } };
      const lag = (await lagAt(silent))!;
      expect(lag).toMatchObject({ bytes: null, seconds: 1.5, fresh: true });
      expect(lag.freshnessMs).toBeGreaterThan(69_000);
      expect(
        world.aws.calls.filter(({ service }) => service === 'monitoring').every(({ region }) => region === CENTRAL),
      ).toBe(true);
      world.lag.values = { [CLUSTERS[B]!.id]: { ms: 0, ageMs: 20 * 60_000 } };
      expect(await lagAt(silent)).toBeNull();
      // The writer whose database does not answer is not called writable.
      expect((await store({}, silent).observe({ region: A }))[0]).toMatchObject({
        state: 'unknown',
        detail: expect.stringContaining('does not say so'),
      });
    });

    it('an API that throttles is there: nothing is known, and nothing is called lost', async () => {
      world.aws.fault({ fault: 'throttled' });
      expect((await store().observe({ region: A }))[0]).toMatchObject({
        state: 'unknown',
        detail: expect.stringContaining('throttled'),
      });
    });

    it('regions that name different writers: unknown, and nothing is proven', async () => {
      const global = world.fake.global(GLOBAL);
      const remove = world.aws.fault({
        fault: 'pass',
        operation: 'DescribeGlobalClusters',
        before: ({ region }) => {
          for (const member of global.members) member.writer = member.arn.includes(region === WEST ? WEST : CENTRAL);
        },
      });
      expect((await store().observe({ region: B }))[0]).toMatchObject({
        state: 'unknown',
        detail: expect.stringContaining('do not agree'),
      });
      remove();
    });

    it('the lag is found again when the writer has moved to a region of which CloudWatch keeps it apart', async () => {
      const port = await freePort();
      const component = world.with({}, Object.fromEntries([A, B].map((side) => [side, { host: '127.0.0.1', port }])));
      const seconds = async () => {
        const [seen] = await new Run(world, 0).at(null, {}, component).observe({ region: B });
        return seen!.lag?.seconds;
      };
      const id = CLUSTERS[B]!.id;
      world.lag.values = { [id]: { ms: 1_500, ageMs: 0, source: 'eu-west-1' } };
      expect(await seconds()).toBe(1.5);
      world.lag.values = { [id]: { ms: 2_500, ageMs: 0, source: 'us-east-1' } };
      await vi.waitUntil(async () => (await seconds()) === 2.5);
    });

    it('that a side is connected is the provider’s word of some time ago: it streams where a database or a fresh lag says so', async () => {
      const port = await freePort();
      const silent = Object.fromEntries([A, B].map((side) => [side, { host: '127.0.0.1', port }]));
      expect((await at({})).upstream).toMatchObject({ streaming: true });
      expect((await at(silent)).upstream).toMatchObject({ streaming: false });
      world.lag.values = { [CLUSTERS[B]!.id]: { ms: 1_500, ageMs: 70_000 } };
      expect((await at(silent)).upstream).toMatchObject({ streaming: true });
    });

    it('a source that is cut off cannot prove itself the writer', async () => {
      expect((await store().prove({ region: A })).fence).toMatchObject({ cannotWrite: 'none', durable: false });
      world.aws.fault({ fault: 'reset', region: CENTRAL });
      await expect(store().prove({ region: A })).rejects.toMatchObject({ type: 'ProviderUnavailable' });
    });
  });

  describe('what is written down', () => {
    it('a journal of any size and alphabet comes back whole; a torn one is not guessed', async () => {
      const run = await world.newRun();
      const saved = {
        'save:edge': { text: 'ü{"}\n%'.repeat(10), list: Array.from({ length: 300 }, (_, i) => i * 7919) },
      };
      await run.at(null).journal({ region: A }, { saved: saved as never });
      expect((await run.observe(A)).journal?.saved).toEqual(saved);
      const parts = Object.keys(west().tags).filter((key) => key.includes(':journal:'));
      expect(parts.length).toBeGreaterThan(2);
      await run.at(null).journal({ region: B }, { open: false });
      delete west().tags[parts.at(-2)!];
      expect(await run.observe(A)).toMatchObject({
        state: 'unreachable',
        detail: expect.stringContaining('cannot be read whole'),
      });
    });

    it('the number of moves: from the newest count, one more when the writer is elsewhere', () => {
      const kept = (text?: string) =>
        readTags(text === undefined ? [] : [{ Key: 'rampart:generation', Value: text }], A);
      expect(generationOf([null, kept()], A)).toEqual({ number: 1, writer: A });
      expect(generationOf([kept(`3:${A}`), kept(`2:${B}`)], A)).toEqual({ number: 3, writer: A });
      expect(generationOf([kept(`3:${A}`), null], B)).toEqual({ number: 4, writer: B });
    });

    it('by hand: what stands without # only looks', async () => {
      const { now, later } = await store().escape(A, B);
      const bare = [...now, ...later].filter((line) => line !== '' && !line.startsWith('#'));
      for (const line of bare) expect(line).toMatch(/^aws rds --region \S+ (--endpoint-url \S+ )?describe-/);
      const text = now.join('\n');
      expect(text).toMatch(/--region eu-west-1 .*switchover-global-cluster/);
      expect(text).toMatch(/--region eu-central-1 .*failover-global-cluster .*--allow-data-loss/);
      expect(text).toContain('remove-from-global-cluster');
    });

    it('sides that are one cluster, or several, do not make a global database', () => {
      const component = world.with({}, { [B]: { awsRegion: WEST } });
      component.sides[A]!.nodes.push(component.sides[A]!.nodes[0]!);
      const codes = auroraGlobal.validate!(component).map(({ code }) => code);
      expect(codes).toContain('aurora_one_cluster');
      expect(codes).toContain('aurora_region_twice');
    });
  });
}
