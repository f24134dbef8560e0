/** A failover and a failback that nothing but the `temporal` CLI has started and approved. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunRecord } from '../../evidence/record.ts';
import type { RunStatus } from '../../workflows/contract.ts';
import { expectPlanned } from './expectations.ts';
import { LOCK, openTestWorld, type TestWorld, until } from './world.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await openTestWorld('cli', { load: 60, workers: 2, bake: '1500ms' });
}, 300_000);
afterAll(() => world?.close(), 60_000);

const start = (type: string, input: string) =>
  world.temporal(
    'workflow',
    'start',
    '--type',
    type,
    '--task-queue',
    'rampart',
    '--workflow-id',
    LOCK,
    '--input',
    input,
  );

async function status(): Promise<RunStatus> {
  const out = await world.temporal('workflow', 'query', '--workflow-id', LOCK, '--type', 'status', '-o', 'json');
  return (JSON.parse(out) as { queryResult: [RunStatus] }).queryResult[0];
}

/** Share of the answers that `region` gave while each weight was held, counted by the writer at the edge. */
async function shares(record: RunRecord, region: string): Promise<Array<{ set: number; observed: number }>> {
  const load = await world.lab.load();
  const edge = record.ramp.filter(({ router }) => router === 'edge');
  return Promise.all(
    edge.map(async ({ percent, setAt }, i) => {
      // The weight is set a little after `setAt`; the window leaves out what the one before had under way.
      const { regions } = await load.report(setAt + 300, edge[i + 1]?.setAt ?? setAt + 1_700);
      const all = Object.values(regions).reduce((sum, n) => sum + n, 0);
      return { set: percent, observed: (100 * (regions[region] ?? 0)) / all };
    }),
  );
}

async function follow(type: string, input: string, from: string, to: string): Promise<RunRecord> {
  await start(type, input);
  const open = await until('the gate', async () => {
    const seen = await status();
    return seen.gate === null ? undefined : seen;
  });
  expect([open.gate!.name, open.from, open.to, open.mode]).toEqual(['cutover', from, to, 'planned']);
  // A gate has had no effect: all traffic and the writer endpoint are where they were.
  expect(open.weights).toMatchObject({ edge: { [from]: 100, [to]: 0 }, writer: { [from]: 100, [to]: 0 } });
  await world.temporal(
    'workflow',
    'signal',
    '--workflow-id',
    LOCK,
    '--name',
    'approve',
    '--input',
    '{"by":"ana@example.com"}',
  );
  await world.temporal('workflow', 'result', '--workflow-id', LOCK);
  // Read by the client: the CLI shows an empty list as null.
  const ended = await world.run().ended();
  expectPlanned(ended, from, to);
  const { record } = ended;
  expect(record.ramp.filter((r) => r.router === 'edge').map((r) => [r.percent, r.bake])).toEqual([
    [10, 'passed'],
    [25, 'passed'],
    [50, 'passed'],
    [100, 'passed'],
  ]);
  for (const { set, observed } of await shares(record, to))
    expect(Math.abs(observed - set), `${set} %: ${observed}`).toBeLessThan(6);
  expect(await world.sides()).toEqual({ active: to, other: from });
  await world.untilProtected();
  const orders = await world.verifyOrders();
  expect(orders.acknowledged).toBeGreaterThan(100);
  expect([orders.lost, orders.duplicated]).toEqual([[], 0]);
  return record;
}

test('a failover with {"service","to"} and an approve signal moves the service and loses nothing', async () => {
  const record = await follow('failover', '{"service":"checkout","to":"eu-central"}', 'eu-west', 'eu-central');
  expect(record.decisions).toMatchObject([{ gate: 'cutover.1', decision: 'approve', by: 'ana@example.com' }]);
  const load = await world.lab.load();
  const whole = await load.report(record.startedAt, record.endedAt!);
  expect(whole.errors).toBe(0);
  expect(whole.writeGapMs).toBeLessThan(record.freeze.budgetMs);
}, 360_000);

test('a failback with {"service"} brings it home the same way', async () => {
  await follow('failback', '{"service":"checkout"}', 'eu-central', 'eu-west');
}, 360_000);
