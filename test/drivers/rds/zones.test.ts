import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { rdsMultiAz } from '../../../drivers/rds/driver.ts';
import type { Component } from '../../../topology/model.ts';
import { Run } from '../../conformance/store/run.ts';
import { describeStore } from '../../conformance/store/store-suite.ts';
import { countOrders, writeOrder } from '../../fakes/aws/rds-servers.ts';
import { AWS, A as HOME, ID, type RdsWorld, startRds } from './world.ts';

const [A, B] = ['zone-a', 'zone-b'];
const ZONE: Record<string, string> = { [A]: 'eu-west-1a', [B]: 'eu-west-1b' };

/** The world's instance in ireland, as Multi-AZ. */
async function startZones(): Promise<RdsWorld> {
  const rds = await startRds();
  Object.assign(rds.instance(HOME), { multiAz: true, secondaryAz: ZONE[B] });
  const component = (endpoint: unknown): Component => ({
    ...rds.component,
    type: 'rds-multi-az',
    config: { ...rds.component.config, showsWithin: '300ms' },
    sides: Object.fromEntries(
      [A, B].map((region) => {
        const config = { awsRegion: AWS[HOME]!, instance: ID[HOME]!, endpoint: String(endpoint), zone: ZONE[region]! };
        return [region, { region, nodes: [{ name: region, queue: 'rampart', config }] }];
      }),
    ),
    capabilities: rdsMultiAz.capabilities({}),
  });
  const { unreachable, wrongCredentials } = rds.world;
  const own = component(rds.aws.url);
  Object.assign(rds.world, {
    ...{ driver: rdsMultiAz, component: own, from: A, to: B },
    unreachable: () => component(unreachable().sides[HOME]!.nodes[0]!.config.endpoint),
    wrongCredentials: () => {
      const { component: other, secrets } = wrongCredentials();
      return { component: { ...own, config: other.config }, secrets };
    },
    write: async (region: string) => {
      if (rds.instance(HOME).az !== ZONE[region]) throw new Error(`no client reaches the standby in ${region}`);
      await writeOrder(rds.port(HOME));
    },
    count: () => countOrders(rds.port(HOME)),
  });
  return { ...rds, component: own };
}

describeStore('rds-multi-az', async () => (await startZones()).world, { short: true });

describe('a failover between zones', { timeout: 30_000 }, () => {
  let rds: RdsWorld;
  beforeAll(async () => {
    rds = await startZones();
  }, 60_000);
  afterAll(() => rds?.close());
  beforeEach(() => rds.aws.faults.clear());

  test('an answer that is lost is looked at, and not sent again: it would lead back', async () => {
    const run = await rds.newRun();
    const sent = rds.aws.count('RebootDBInstance');
    rds.aws.fault({ fault: 'cut', operation: 'RebootDBInstance', times: 1 });
    const heartbeats: Array<{ event?: string }> = [];
    await run.at(null, { heartbeats }).switchover!(A, B, 'planned');
    expect(rds.aws.count('RebootDBInstance')).toBe(sent + 1);
    expect(rds.instance(HOME)).toMatchObject({ az: ZONE[B], secondaryAz: ZONE[A] });
    expect(heartbeats.some(({ event }) => event?.includes('failover completed'))).toBe(true);
    await run.at(null).switchover!(B, A, 'planned');
    expect(rds.instance(HOME)).toMatchObject({ az: ZONE[A] });
    await run.close();
  });

  test('a failover that RDS accepts and does not do is none; only then it is asked for again', async () => {
    const run = await rds.newRun();
    const sent = rds.aws.count('RebootDBInstance');
    rds.aws.fault({ fault: 'nothing', operation: 'RebootDBInstance', times: 1 });
    let looks = 0;
    const now = (): number => Date.now() + (rds.aws.count('RebootDBInstance') > sent ? 30_000 * ++looks : 0);
    await expect(run.at(null, { now }).switchover!(A, B, 'planned')).rejects.toEqual(
      expect.objectContaining({ type: 'NotApplied' }),
    );
    expect(rds.aws.count('RebootDBInstance')).toBe(sent + 1);
    expect(await run.observe(A)).toMatchObject({ state: 'writable' });
    expect(await run.at(null).switchover!(A, B, 'planned')).toMatchObject({ already: false });
    expect(rds.aws.count('RebootDBInstance')).toBe(sent + 2);
    await run.at(null).switchover!(B, A, 'planned');
    await run.close();
  });

  test('one that an earlier run asked for may still show: the next run neither sends another nor says that none is on its way', async () => {
    const start = Date.now();
    const [first, worker] = [await rds.newRun(), new AbortController()];
    const sent = rds.aws.count('RebootDBInstance');
    const before = (): void => worker.abort(new Error('gone'));
    rds.aws.fault({ fault: 'nothing', operation: 'RebootDBInstance', times: 1, before });
    const gone = first.at(null, { now: () => start, signal: worker.signal }).switchover!(A, B, 'planned');
    await expect(gone).rejects.toThrow('gone');

    const run = await rds.newRun();
    const revoke = run.at(null, { now: () => start + 100 }).revokePromote({ region: B });
    expect((await revoke).facts.revoked).toBe(false);
    let looks = 0;
    // Within `showsWithin` for three looks, and then beyond it.
    const moved = await run.at(null, {
      now: () => start + (looks < 3 ? 100 : 400),
      heartbeat: () => {
        if (++looks <= 3) expect(rds.aws.count('RebootDBInstance')).toBe(sent + 1);
      },
    }).switchover!(A, B, 'planned');
    expect(moved).toMatchObject({ already: false });
    expect(rds.aws.count('RebootDBInstance')).toBe(sent + 2);
    await run.at(null).switchover!(B, A, 'planned');
    await run.close();
  });

  test('one that RDS refuses was not begun', async () => {
    const run = await rds.newRun();
    rds.aws.fault({ fault: 'denied', operation: 'RebootDBInstance', times: 1 });
    const denied = run.at(null).switchover!(A, B, 'planned');
    await expect(denied).rejects.toEqual(expect.objectContaining({ type: 'AccessDenied' }));
    expect((await run.at(null).revokePromote({ region: B })).facts).toEqual({ revoked: true, reasons: [] });
    await run.close();
  });

  test('the sampler asks RDS now and then, and what throttles is not lost', async () => {
    const run = await rds.newRun();
    let time = Date.now();
    const port = run.at(null, { now: () => time });
    await port.sample({ region: A });
    const asked = rds.aws.count('DescribeDBInstances');
    for (let i = 0; i < 9; i++) {
      time += 1_000;
      expect((await port.sample({ region: A }))[0]).toMatchObject({ state: 'writable' });
    }
    expect(rds.aws.count('DescribeDBInstances')).toBe(asked);
    time += 1_000;
    rds.aws.fault({ fault: 'throttled', operation: 'DescribeDBInstances', times: 1 });
    expect((await port.sample({ region: A }))[0]).toMatchObject({
      state: 'unknown',
      detail: expect.stringContaining('throttled'),
    });
    await run.close();
  });

  test.each([
    ['no standby', { multiAz: false, secondaryAz: null }, 'rds.noStandby'],
    ['a standby elsewhere', { secondaryAz: 'eu-west-1c' }, 'rds.noStandby'],
    ['a primary elsewhere', { az: 'eu-west-1c' }, 'rds.zone'],
    ['zones swapped', { az: ZONE[B], secondaryAz: ZONE[A] }, 'rds.targetIsPrimary'],
    ['busy', { status: 'backing-up' }, 'rds.busy'],
    ['another engine', { engine: 'mariadb' }, 'rds.engine'],
  ])('preflight: %s', async (_, change, code) => {
    const instance = rds.instance(HOME);
    const was = { ...instance };
    Object.assign(instance, change);
    const found = await new Run(rds.world, 0).at(null).preflight('planned', A, B);
    Object.assign(instance, was);
    expect(found.filter(({ severity }) => severity === 'blocker').map((finding) => finding.code)).toContain(code);
  });
});
