/** examples/aws-cloudflare on emulators: Aurora Global Database, Route 53, ECS and Cloudflare, with real data behind them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLOUDFLARE } from '../../lab/cloud/edge.ts';
import { isInside } from '../../lab/demo/result.ts';
import { fullOnly } from '../integration/expectations.ts';
import { openTestWorld, type TestWorld, until } from '../integration/world.ts';
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

/** Its database, its apps and workers, and every way in or out, the provider's API among them. */
async function loseRegion(region: string): Promise<void> {
  await world.lab.kill({ what: 'region', where: region });
  await world.lab.partition(region, 'refuse');
}

fullOnly('a lost region: the loss is stated before anybody agrees, and nothing is missing beyond it', async () => {
  const load = await world.lab.load();
  await world.lab.stallReplication();
  const stalledAt = Date.now();
  await until('orders that only eu-west has', async () =>
    (await load.report(stalledAt)).acknowledged > 40 ? true : undefined,
  );
  await loseRegion('eu-west');
  const lostAt = Date.now();

  const run = await world.start('failover', { service: 'checkout', to: 'eu-central', mode: 'unplanned', by: 'bo' });
  const { gate, pointOfNoReturn } = await run.until('the gate', (s) => s.gate !== null);
  expect([gate!.name, gate!.facts.classified.state]).toEqual(['cutover', 'sourceLost']);
  expect(gate!.loss.kind).not.toBe('none');
  // Until somebody agrees the provider was told nothing.
  expect([pointOfNoReturn.crossedAt, (await live()).writer]).toEqual([null, 'orders-eu-west-1']);
  await run.approveAll();
  const { status, text, record } = await run.ended();
  expect(status, text).toBe('completed');
  expect(await live()).toMatchObject({ writer: 'orders-eu-central-1', pools: [0, 1] });
  expect((await world.sides()).active).toBe('eu-central');
  expect(record.debt.map(({ code, region }) => [code, region])).toContainEqual(['replicaMissing', 'eu-west']);

  const orders = await world.verifyOrders();
  expect(orders.lost.length).toBeGreaterThan(0);
  expect(orders.duplicated).toBe(0);
  for (const stated of [gate!.loss, record.loss!])
    expect(orders.lost.filter((order) => !isInside(order, stated))).toEqual([]);
  expect(orders.lost.filter(({ sentAt }) => sentAt > lostAt)).toEqual([]);

  // The region is back: the provider makes its volume anew, and nothing of it is taken for a writer.
  await world.lab.heal();
  await world.lab.start({ what: 'region', where: 'eu-west' });
  const repair = await world.start('reprotect', { service: 'checkout' });
  await repair.approveAll();
  const repaired = await repair.ended();
  expect([repaired.status, repaired.record.debt], repaired.text).toEqual(['completed', []]);
  await world.untilProtected();
});
