/** examples/aws-cloudflare on emulators: Aurora Global Database, Route 53, ECS and Cloudflare, with real data behind them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLOUDFLARE } from '../../lab/cloud/edge.ts';
import { openTestWorld, type TestWorld } from '../integration/world.ts';
import { expectMove, expectPlanInReadme, providerOf, recordsOf, tasksOf } from './cloud.ts';

/** The example's own steps on the way there; fewer on the way back, where they show nothing new. */
const THERE = [10, 25, 50, 100];
const BACK = [50, 100];
const RECORD = 'api.example.com';

let world: TestWorld;
beforeAll(async () => {
  world = await openTestWorld('aws', { cloud: 'aws-cloudflare', load: 40, bake: '1s' });
}, 300_000);
afterAll(() => world?.close(), 60_000);

/** What the control planes say, not what a run says of them. */
async function live() {
  const { clients, ports } = await providerOf(world);
  const { DescribeGlobalClustersCommand } = await import('@aws-sdk/client-rds');
  const { GlobalClusters } = await clients.rds['eu-west']!.send(new DescribeGlobalClustersCommand({}));
  const writer = GlobalClusters?.[0]?.GlobalClusterMembers?.find(({ IsWriter }) => IsWriter)?.DBClusterArn;
  const { zoneId, loadBalancerId, token } = CLOUDFLARE;
  const url = `http://127.0.0.1:${ports.api}/client/v4/zones/${zoneId}/load_balancers/${loadBalancerId}`;
  const answer = (await (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).json()) as {
    result: { random_steering: { pool_weights: Record<string, number> } };
  };
  return {
    writer: writer?.split(':').at(-1),
    pools: Object.values(answer.result.random_steering.pool_weights),
    records: await recordsOf(clients, RECORD),
    tasks: await tasksOf(clients),
  };
}

test('the plan against the live state is the one in its README', () => expectPlanInReadme(world, 'aws-cloudflare'));

test('a planned failover moves the writer, both routers by the ramp and the tasks, and loses nothing', async () => {
  await expectMove(world, 'failover', 'eu-central', THERE);
  expect(await world.sides()).toEqual({ active: 'eu-central', other: 'eu-west' });
  expect(await live()).toEqual({
    writer: 'orders-eu-central-1',
    pools: [0, 1],
    records: { 'eu-west': { weight: 0, ttl: 2 }, 'eu-central': { weight: 100, ttl: 2 } },
    tasks: { 'eu-west': 2, 'eu-central': 4 },
  });
});

test('the failback brings everything home, by another switch', async () => {
  await expectMove(world, 'failback', 'eu-west', BACK);
  expect(await world.sides()).toEqual({ active: 'eu-west', other: 'eu-central' });
  expect(await live()).toMatchObject({ writer: 'orders-eu-west-1', pools: [1, 0] });
});
