/**
 * The old region is gone, the service moved without it, and then the region comes back by itself: its database starts
 * writable on its old timeline, and a client that still knows its address writes. The guard sees it and starts refence.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { drivers } from '../../drivers/registry.ts';
import type { RunRecord } from '../../evidence/record.ts';
import { OldClient } from '../../lab/load/old-client.ts';
import { built } from '../../lab/paths.ts';
import { withClient } from '../../lab/postgres/pair.ts';
import { loadTopology } from '../../topology/load.ts';
import { keepGuards } from '../../workers/guards.ts';
import type { GuardNotice } from '../../workers/watchdog.ts';
import type { GuardStatus } from '../../workflows/contract.ts';
import { fullOnly } from './expectations.ts';
import { openTestWorld, type TestWorld, until } from './world.ts';

const A = 'eu-west';
const B = 'eu-central';
const OUTBOX = join(tmpdir(), `rampart-told-${process.pid}.jsonl`);
let world: TestWorld;
beforeAll(async () => {
  // People, in this test, are a file.
  process.env.RAMPART_NOTIFY_COMMAND = JSON.stringify(['tee', '-a', OUTBOX]);
  world = await openTestWorld('returning', { load: 40, guard: true });
}, 300_000);
afterAll(async () => {
  delete process.env.RAMPART_NOTIFY_COMMAND;
  await world?.close();
  rmSync(OUTBOX, { force: true });
}, 60_000);

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const guardStatus = (): Promise<GuardStatus> => world.client.workflow.getHandle('guard/checkout').query('health');
const health = async () => (await guardStatus()).health;
const codes = async () => (await health())?.findings.map(({ code }) => code) ?? [];

const writable = (region: string): Promise<boolean> =>
  withClient(world.report.regions[region]!.database, async (client) => {
    const { rows } = await client.query('SELECT NOT pg_is_in_recovery() AS writable');
    return rows[0].writable as boolean;
  }).catch(() => false);

test('the guard fences a region that comes back, and tells people what to do', async () => {
  await until('a guard that says all is well', async () => ((await health())?.verdict === 'well' ? true : undefined));
  await world.lab.kill({ what: 'region', where: A });
  const run = await world.start('failover', { service: 'checkout', to: B, mode: 'unplanned', by: 'bo' });
  await run.approveAll();
  expect((await run.ended()).status).toBe('completed');
  await until('the guard knows that eu-central is active', async () =>
    (await health())?.active['orders-db']?.region === B ? true : undefined,
  );

  const old = new OldClient(world.report.regions[A]!.database);
  try {
    await world.lab.start({ what: 'region', where: A });
    await until('the old database takes a write', async () => (old.acknowledged.length > 0 ? true : undefined));
    await until('the old database takes none any more', async () => ((await writable(A)) ? undefined : true), 60_000);
    const refence = world.run();
    const record = (await refence.handle.result()) as unknown as RunRecord;
    expect([record.action, record.outcome, record.from, record.to]).toEqual(['refence', 'completed', A, B]);
    expect(record.request.by).toBe('guard');
    expect(existsSync(join(world.report.regions[A]!.dataDir, 'standby.signal'))).toBe(true);
    expect(await world.sides()).toMatchObject({ active: B });
    expect(record.debt).toMatchObject([{ code: 'replicaMissing', remedy: 'rampart reprotect checkout' }]);
    const window = old.acknowledged.at(-1)! - old.acknowledged[0]!;
    console.log(`the old primary took writes for ${window} ms (${old.acknowledged.length} acknowledged)`);

    // Whoever starts it again gets it read-only: what it has acknowledged stays there, readable, and nothing is added.
    const before = old.acknowledged.length;
    await world.lab.start({ what: 'database', where: A });
    const kept = await until('the old side is readable', () =>
      withClient(world.report.regions[A]!.database, async (client) => {
        const { rows } = await client.query('SELECT pg_is_in_recovery() AS replica, count(*)::int AS n FROM stray');
        return rows[0] as { replica: boolean; n: number };
      }).catch(() => undefined),
    );
    expect(kept).toEqual({ replica: true, n: before });
    expect(old.acknowledged.length).toBe(before);
  } finally {
    await old.stop();
  }
  await until('the guard sees one writable side', async () =>
    (await codes()).includes('twoWritable') ? undefined : true,
  );
  const told = readFileSync(OUTBOX, 'utf8')
    .replaceAll('}{', '}\n{')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as GuardNotice);
  expect(told.find(({ kind }) => kind === 'twoWritable')?.remedy).toMatch(/rampart (reprotect|escape) checkout/);
  // Nothing was lost on the side that stayed active.
  const { startedAt } = await world.run().status();
  expect((await world.verifyOrders(startedAt)).lost).toEqual([]);
}, 240_000);

test('a guard that somebody ended is there again, once, and `rampart guard` shows what it sees', async () => {
  const handle = world.client.workflow.getHandle('guard/checkout');
  await handle.terminate('by hand');
  const { topology } = await loadTopology({ path: world.report.config }, drivers);
  const stop = new AbortController();
  const keep = { client: world.client, topology: async () => topology!, log: silent, signal: stop.signal, everyMs: 50 };
  const keepers = [keepGuards(keep), keepGuards(keep)];
  const { runId } = await until('the guard', async () => {
    const found = await handle.describe();
    return found.status.name === 'RUNNING' ? found : undefined;
  });
  await until('its first look', async () => ((await health()) === null ? undefined : true));
  stop.abort();
  await Promise.all(keepers);
  expect((await handle.describe()).runId).toBe(runId);

  const { address, namespace } = world.report.temporal;
  const env = { ...process.env, TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace };
  const args = [built('clients/cli/main.js'), 'guard', '--json', '--config', world.report.config];
  // Not synchronously: a process that stands still keeps connections that their server has closed meanwhile. It exits 0.
  const said = await promisify(execFile)(process.execPath, args, { env });
  expect(JSON.parse(said.stdout)).toMatchObject({
    guards: [{ service: 'checkout', trouble: null, status: { health: { active: { 'orders-db': { region: B } } } } }],
  });
}, 60_000);

fullOnly(
  'a worker that is told to stop hands the watch to the next one',
  async () => {
    const handle = world.client.workflow.getHandle('guard/checkout');
    const watching = async () => {
      const { pendingActivities } = (await handle.describe()).raw;
      return pendingActivities?.find(({ activityType }) => activityType?.name === 'watchService');
    };
    const before = await until('a watch', async () => ((await watching())?.state === 2 ? await watching() : undefined));
    const { members } = await world.lab.status();
    process.kill(members.find(({ name }) => name === 'worker control 1')!.pid!, 'SIGTERM');
    await until('the worker is gone', async () => {
      const now = (await world.lab.status()).members.find(({ name }) => name === 'worker control 1');
      return now?.state === 'stopped' ? true : undefined;
    });
    await world.lab.start({ what: 'worker', where: 'control' });
    await until('another worker watches', async () => {
      const now = await watching();
      return now?.state === 2 && now.lastWorkerIdentity !== before!.lastWorkerIdentity ? true : undefined;
    });
    expect((await handle.describe()).status.name).toBe('RUNNING');
  },
  120_000,
);

test('without Temporal, and so without a guard, the watchdog still alarms', async () => {
  const log = join(world.lab.dir, 'logs', 'worker-control-1.log');
  const lines = (text: string): number =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.includes(text)).length;
  // A worker that has told of it already, through the guard, says it again only after a minute: this one has not.
  const [begun, alarms] = [lines('worker started'), lines('ALARM twoWritable')];
  await world.lab.kill({ what: 'worker', where: 'control' });
  await world.lab.start({ what: 'worker', where: 'control' });
  await until('the new worker', async () => (lines('worker started') > begun ? true : undefined));
  await world.lab.kill({ what: 'temporal' });
  await withClient(world.report.regions[A]!.database, (client) => client.query('SELECT pg_promote()'));
  await until(
    'the alarm of the control worker',
    async () => (lines('ALARM twoWritable') > alarms ? true : undefined),
    60_000,
  );
  // One that begins without Temporal watches as well, and takes up its work as soon as that is back.
  const [before, started] = [lines('ALARM twoWritable'), lines('worker started')];
  await world.lab.kill({ what: 'worker', where: 'control' });
  await world.lab.start({ what: 'worker', where: 'control' });
  await until(
    'the alarm of a worker that has not seen Temporal',
    async () => (lines('ALARM twoWritable') > before ? true : undefined),
    60_000,
  );
  expect(lines('worker started')).toBe(started);
  await world.lab.start({ what: 'temporal' });
  await until('the worker is at work', async () => (lines('worker started') > started ? true : undefined), 60_000);
}, 240_000);
