/** One cluster whose instances are the sides: what is sent, and the ends that need no database. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { aurora } from '../../../drivers/aurora/driver.ts';
import type { Json, Store } from '../../../drivers/ports.ts';
import { freePort } from '../../../lab/ports.ts';
import type { Component } from '../../../topology/model.ts';
import { driverContext, token } from '../../conformance/driver-context.ts';
import { FakeAurora } from '../../fakes/aws/aurora.ts';
import { FakeAws } from '../../fakes/aws/server.ts';

process.env.AWS_ACCESS_KEY_ID = '000000000000';
process.env.AWS_SECRET_ACCESS_KEY = 'of-no-use';

let fake: FakeAurora;
let aws: FakeAws;
let closed: number;
beforeAll(async () => {
  closed = await freePort();
});
beforeEach(async () => {
  await aws?.stop();
  fake = new FakeAurora();
  fake.addCluster({
    ...{ region: 'eu-west-1', id: 'orders', port: closed },
    instances: [
      { id: 'orders-1', writer: true },
      { id: 'orders-2', writer: false },
    ],
  });
  aws = await FakeAws.start([fake.service()]);
  const opened = {
    ...{
      runId: 'run-1',
      workflowId: 'failover/checkout',
      epoch: 1,
      service: 'checkout',
      component: 'orders-db',
      saved: {},
    },
    ...{ fencedAt: null, freezeBudgetMs: 30_000, lastTouched: 0, open: true },
  };
  for (const region of ['a', 'b']) await store().claim({ region }, opened);
});
afterAll(() => aws?.stop());

let seq = 0;
function store(config: Record<string, Json> = {}, second = 'orders-2'): Store {
  const node = (name: string, instance: string) => ({
    name,
    queue: 'rampart',
    config: { instance, host: '127.0.0.1', port: closed },
  });
  const component: Component = {
    ...{ name: 'orders-db', type: 'aurora', role: 'store', queue: 'rampart' },
    config: {
      ...{ cluster: 'orders', awsRegion: 'eu-west-1', endpoint: aws.url, ssl: 'disable', claimSettle: 0 },
      ...{ poll: 10, startGrace: 50, switchTimeout: 5_000, ...config },
    },
    sides: { a: { region: 'a', nodes: [node('a', 'orders-1')] }, b: { region: 'b', nodes: [node('b', second)] } },
    capabilities: aurora.capabilities({}),
  };
  return aurora.open(component, driverContext({ token: token(1, 'run-1', ++seq) }));
}
const sent = () =>
  aws.calls.filter(({ operation }) => operation.startsWith('Failover') || operation.startsWith('Switchover'));

describe('a failover within a cluster', () => {
  it.each(['planned', 'unplanned'] as const)(
    '%s: names the instance; that it failed is told, and nothing is sent again',
    async (mode) => {
      fake.next = { outcome: 'fails', looks: 3, resync: 1 };
      await expect(store().switchover!('a', 'b', mode)).rejects.toMatchObject({
        type: 'NotApplied',
        message: expect.stringContaining('Cluster failover failed, check the health'),
      });
      expect(sent()).toMatchObject([
        {
          operation: 'FailoverDBCluster',
          input: { DBClusterIdentifier: 'orders', TargetDBInstanceIdentifier: 'orders-2' },
        },
      ]);
      expect((await store().revokePromote({ region: 'b' })).facts.revoked).toBe(true);
      expect((await store().prove({ region: 'a' })).fence.cannotWrite).toBe('none');
    },
  );

  it('accepted, and nothing happened: told as that', async () => {
    fake.next.outcome = 'silent';
    await expect(store().switchover!('a', 'b', 'planned')).rejects.toMatchObject({ type: 'NotApplied' });
  });

  it('that moved the writer is not done before the instance takes a write', async () => {
    await expect(store({ switchTimeout: 300 }).switchover!('a', 'b', 'planned')).rejects.toMatchObject({
      type: 'DeadlineExceeded',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    expect(sent()).toHaveLength(1);
    expect((await store().prove({ region: 'a' })).fence.cannotWrite).toBe('provider');
  });
});

it('an instance that the cluster does not have stops it', async () => {
  const codes = (await store({}, 'orders-9').preflight('unplanned', 'a', 'b')).map(({ code }) => code);
  expect(codes).toContain('aurora.notMember');
});

it('by hand: the command names the instance, behind #', async () => {
  const { now } = await store().escape('a', 'b');
  expect(now.find((line) => line.includes('failover-db-cluster'))).toMatch(
    /^#.*--target-db-instance-identifier orders-2$/,
  );
});
