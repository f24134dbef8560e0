/** A second Temporal server with the same request: the lock does not reach it, the claims in the systems do. */
import { Client } from '@temporalio/client';
import { afterAll, beforeAll, expect } from 'vitest';
import { CONTROL_QUEUE } from '../../workflows/contract.ts';
import { fullOnly } from './expectations.ts';
import { holdStage } from './hold.ts';
import { secondServer } from './second.ts';
import { LOCK, openTestWorld, runOf, type TestWorld } from './world.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await openTestWorld('second', { load: 40, bake: '500ms' });
}, 300_000);
afterAll(() => world?.close(), 60_000);

fullOnly(
  'the later claim wins, the earlier run can change nothing any more, and nothing is lost',
  async () => {
    const connection = await secondServer(world);
    const second = new Client({ connection });
    const input = { service: 'checkout', to: 'eu-central' };
    const hold = holdStage(world, 'quiesce', '25s');
    const first = await world.start('failover', input);
    await first.approve('cutover');
    await hold.reached(first);
    world.resetTopology();

    const later = runOf(
      await second.workflow.start('failover', { taskQueue: CONTROL_QUEUE, workflowId: LOCK, args: [input] }),
    );
    await later.approve('cutover');
    await later.until('its claims', (s) => s.steps.some((x) => x.id.startsWith('converge:')));
    hold.release();
    const [one, two] = await Promise.all([first.ended(240_000), later.ended(120_000)]);
    expect(two.status, two.text).toBe('completed');
    expect(one.status, one.text).not.toBe('completed');
    expect(JSON.stringify(one.record.steps)).toMatch(/Conflict/);
    expect(await world.sides()).toEqual({ active: 'eu-central', other: 'eu-west' });
    await world.untilProtected();
    const orders = await world.verifyOrders();
    expect([orders.lost, orders.duplicated]).toEqual([[], 0]);
    await connection.close();
  },
  480_000,
);
