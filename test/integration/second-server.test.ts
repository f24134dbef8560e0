/** A second Temporal server with the same request: the lock does not reach it, the claims in the systems do. */
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect } from 'vitest';
import { installPart } from '../../lab/parts/install.ts';
import { built } from '../../lab/paths.ts';
import { freePorts } from '../../lab/ports.ts';
import { startProcess } from '../../lab/processes.ts';
import { recordOf } from '../../lab/world/spec.ts';
import { devServerArguments, untilAnswers } from '../../lab/world/temporal.ts';
import { CONTROL_QUEUE } from '../../workflows/contract.ts';
import { fullOnly } from './expectations.ts';
import { holdStage } from './hold.ts';
import { LOCK, openTestWorld, runOf, type TestWorld } from './world.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await openTestWorld('second', { load: 40, bake: '500ms' });
}, 300_000);
afterAll(() => world?.close(), 60_000);

/** A server and a worker per place beside the world's own; they end with the world. */
async function secondServer(): Promise<Connection> {
  const { bin } = await installPart('temporal');
  const [port, uiPort, httpPort, ...health] = (await freePorts(6)) as [number, number, number, ...number[]];
  const { dir } = world.lab;
  const start = (name: string, command: string, args: string[], env: Record<string, string> = {}): void =>
    void startProcess({ name, command, args, env, log: join(dir, 'logs', `${name}.log`), record: recordOf(dir) });
  start('second-temporal', bin, devServerArguments({ port, uiPort, httpPort }, join(dir, 'second.db')));
  await untilAnswers(`http://127.0.0.1:${httpPort}/api/v1/namespaces/default`, 30_000, 'the second server');
  for (const [i, region] of [undefined, ...Object.keys(world.report.regions)].entries())
    start(
      `second-worker-${region ?? 'control'}`,
      process.execPath,
      [
        ...[built('clients/cli/main.js'), 'worker', '--health-address', `127.0.0.1:${health[i]}`],
        ...(region === undefined ? [] : ['--region', region]),
      ],
      {
        RAMPART_CONFIG: world.report.config,
        RAMPART_STATE_DIR: join(dir, 'second-state'),
        TEMPORAL_ADDRESS: `127.0.0.1:${port}`,
      },
    );
  await Promise.all(health.map((h) => untilAnswers(`http://127.0.0.1:${h}/readyz`, 60_000, 'a second worker')));
  return Connection.connect({ address: `127.0.0.1:${port}` });
}

fullOnly(
  'the later claim wins, the earlier run can change nothing any more, and nothing is lost',
  async () => {
    const connection = await secondServer();
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
