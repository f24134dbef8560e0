/** examples/rds-postgres on emulators: a replica of RDS that is promoted, behind records of Route 53, with real data. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestWorld, type TestWorld } from '../integration/world.ts';
import { expectMove, expectPlanInReadme, play, providerOf, recordsOf, tasksOf } from './cloud.ts';

/** The example's own steps on the way there; fewer on the way back, where they show nothing new. */
const THERE = [10, 50, 100];
const BACK = [50, 100];

let world: TestWorld;
beforeAll(async () => {
  world = await openTestWorld('rds', { cloud: 'rds-postgres', load: 40, bake: '1s' });
}, 300_000);
afterAll(() => world?.close(), 60_000);

/** Instances and what they replicate from, by RDS's own word. */
async function instances(): Promise<Record<string, string>> {
  const { DescribeDBInstancesCommand } = await import('@aws-sdk/client-rds');
  const { clients } = await providerOf(world);
  const answers = Object.values(clients.rds).map((rds) => rds.send(new DescribeDBInstancesCommand({})));
  const found = (await Promise.all(answers)).flatMap(({ DBInstances }) => DBInstances ?? []);
  return Object.fromEntries(
    found.map(({ DBInstanceIdentifier: id, ReadReplicaSourceDBInstanceIdentifier: source }) => [
      id!.replace(/-kept-\d+$/, '-kept'),
      source ? source.split(':').at(-1)! : 'nothing',
    ]),
  );
}

test('the plan against the live state is the one in its README', () => expectPlanInReadme(world, 'rds-postgres'));

test('a planned failover fences, waits for the last byte, promotes and moves both names, and loses nothing', async () => {
  expect(await instances()).toEqual({ 'orders-ireland': 'nothing', 'orders-frankfurt': 'orders-ireland' });
  await expectMove(world, 'failover', 'eu-central', THERE);
  expect(await instances()).toEqual({ 'orders-ireland': 'nothing', 'orders-frankfurt': 'nothing' });
  const { clients } = await providerOf(world);
  const value = 'orders-frankfurt.c1a2b3c4.eu-central-1.rds.amazonaws.com';
  expect(await recordsOf(clients, 'orders-db.example.com')).toEqual({ simple: { value, ttl: 2 } });
  expect(await recordsOf(clients, 'checkout.example.com')).toEqual({
    'eu-west': { weight: 0, ttl: 2 },
    'eu-central': { weight: 100, ttl: 2 },
  });
  expect(await tasksOf(clients)).toEqual({ 'eu-west': 2, 'eu-central': 4 });
});

test('reprotect makes a new replica under the old name, once a person agrees, and the failback goes to it', async () => {
  const { gates, result } = await play(world, 'reprotect', { service: 'checkout' });
  expect([gates, result.outcome]).toEqual([['rebuild'], 'completed']);
  expect(await instances()).toEqual({
    'orders-ireland-kept': 'nothing',
    'orders-ireland': 'orders-frankfurt',
    'orders-frankfurt': 'nothing',
  });
  await expectMove(world, 'failback', 'eu-west', BACK);
});
