import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { drivers } from '../../drivers/registry.ts';
import { built } from '../../lab/paths.ts';
import { urlOf, withClient } from '../../lab/postgres/pair.ts';
import { survivors } from '../../lab/processes.ts';
import type { ControlFile } from '../../lab/supervisor.ts';
import { nodesDirectory, recordOf, type WorldSpec, worldDirectory } from '../../lab/world/spec.ts';
import { endWorld, findWorld, openWorld, removeWorld, type World } from '../../lab/world.ts';
import { loadTopology } from '../../topology/load.ts';

// One name per test process, so that the tests can run twice on one machine.
const name = (suffix: string): string => `test-${process.pid}-${suffix}`;
const opened = new Set<string>();
const soon = { timeout: 15_000, interval: 20 };
let shared: World;

beforeAll(async () => {
  shared = await openWorld({ name: name('a'), load: 60, workers: 0, tied: true });
}, 300_000);
afterAll(() => removeWorld(name('a')), 60_000);
afterEach(async () => {
  for (const each of opened) await removeWorld(each);
  opened.clear();
}, 60_000);

/** Everything of a world that runs. */
function processesOf(world: string): string[] {
  const listed = spawnSync('ps', ['-A', '-ww', '-o', 'pid=,stat=,args='], { encoding: 'utf8' }).stdout.split('\n');
  const folders = [`${worldDirectory(world)}/`, `${nodesDirectory(world)}/`];
  const named = listed.filter((line) => folders.some((folder) => line.includes(folder)) && !/^\s*\d+\s+Z/.test(line));
  // Apps and workers do not name the world on their command line; the record has them.
  return [...named, ...survivors(recordOf(worldDirectory(world)))];
}

function supervisorOf(world: string): ControlFile {
  return JSON.parse(readFileSync(join(worldDirectory(world), 'control.json'), 'utf8')) as ControlFile;
}

test('up gives a world that serves orders from the home region', async () => {
  const { world, databases, members } = await shared.status();
  expect(databases.map(({ region, role }) => [region, role])).toEqual([
    ['eu-west', 'primary'],
    ['eu-central', 'replica'],
  ]);
  expect(members.filter(({ state }) => state !== 'running')).toEqual([]);
  expect(Object.keys(world)).toEqual(['temporal', 'config', 'edge', 'writer', 'services', 'regions']);
  expect(Object.keys(world.regions['eu-west'] ?? {})).toEqual(['database', 'app', 'dataDir', 'pids']);
  const id = crypto.randomUUID();
  const post = (amount: number) =>
    fetch(`${world.edge}/orders`, { method: 'POST', body: JSON.stringify({ id, amount }) });
  const first = await post(5);
  expect([first.status, first.headers.get('x-region')]).toEqual([201, 'eu-west']);
  expect((await post(5)).status).toBe(200);
  expect((await post(6)).status).toBe(409);
  const count = await withClient(world.writer, (client) =>
    client.query('SELECT count(*)::int AS n FROM orders WHERE id = $1', [id]),
  );
  expect(count.rows).toEqual([{ n: 1 }]);
});

test('its topology is valid, without a warning', async () => {
  const { world } = await shared.status();
  const { topology, problems } = await loadTopology({ path: world.config }, drivers);
  expect(problems).toEqual([]);
  expect(Object.keys(topology?.services ?? {})).toEqual(world.services);
});

test('the contract answers with the state and takes a desired one', async () => {
  const { world } = await shared.status();
  const app = world.regions['eu-central']?.app ?? '';
  const put = async (desired: string) => fetch(`${app}/rampart`, { method: 'PUT', body: JSON.stringify({ desired }) });
  expect(await (await fetch(`${app}/rampart`)).json()).toMatchObject({ state: 'standby', ready: true });
  expect(await (await put('drained')).json()).toMatchObject({ state: 'drained', ready: false, inflight: 0 });
  expect((await fetch(`${app}/orders/${crypto.randomUUID()}`)).status).toBe(503);
  expect((await fetch(`${app}/readyz`)).status).toBe(503);
  expect((await put('off')).status).toBe(400);
  expect(await (await put('standby')).json()).toMatchObject({ state: 'standby' });
  expect((await fetch(`${app}/orders/${crypto.randomUUID()}`)).status).toBe(404);
});

test('stalled replication holds WAL back, healing lets it through', async () => {
  const { world } = await shared.status();
  const behind = async (): Promise<number> => {
    const end = await withClient(world.regions['eu-west']?.database ?? '', (c) =>
      c.query('SELECT pg_current_wal_lsn() AS lsn'),
    );
    const lag = await withClient(world.regions['eu-central']?.database ?? '', (c) =>
      c.query('SELECT pg_wal_lsn_diff($1::pg_lsn, pg_last_wal_replay_lsn())::int AS bytes', [end.rows[0].lsn]),
    );
    return lag.rows[0].bytes;
  };
  await shared.stallReplication();
  await expect.poll(behind, soon).toBeGreaterThan(2_000);
  await shared.heal();
  await expect.poll(behind, soon).toBeLessThan(2_000);
});

test('the load survives a frozen database, and every acknowledged order is there', async () => {
  const load = await shared.load();
  await expect.poll(async () => (await load.report()).acknowledged, soon).toBeGreaterThan(30);
  const before = Date.now();
  await shared.freeze({ what: 'database' });
  const gap = async (): Promise<number> => (await load.report(before)).writeGapMs;
  await expect.poll(gap, soon).toBeGreaterThan(300);
  await shared.heal();
  await expect.poll(async () => (await load.report(Date.now() - 300)).acknowledged, soon).toBeGreaterThan(5);
  await load.pause();
  const { world } = await shared.status();
  const found = await load.verify(world.regions['eu-west']?.database ?? '');
  expect([found.lost, found.duplicated]).toEqual([[], 0]);
  expect(found.acknowledged).toBeGreaterThan(30);
  await load.resume();
});

test('a killed database takes its requests along for a while, started again it serves them', async () => {
  expect(await shared.kill({ what: 'database', where: 'eu-west' })).toEqual(['database eu-west']);
  expect((await shared.status()).databases[0]).toMatchObject({ region: 'eu-west', pid: null, role: 'stopped' });
  await shared.start({ what: 'database', where: 'eu-west' });
  const { world } = await shared.status();
  const order = { method: 'POST', body: JSON.stringify({ id: crypto.randomUUID(), amount: 1 }) };
  await expect.poll(async () => (await fetch(`${world.edge}/orders`, order)).ok, soon).toBe(true);
});

test('a partition cuts the edge from the region', async () => {
  const { world } = await shared.status();
  const answers = (): Promise<boolean> =>
    fetch(`${world.edge}/healthz`, { signal: AbortSignal.timeout(500) }).then(
      (response) => response.ok,
      () => false,
    );
  expect(await answers()).toBe(true);
  expect(await shared.partition('eu-west', 'refuse')).toHaveLength(6);
  await expect.poll(answers, soon).toBe(false);
  await shared.heal();
  await expect.poll(answers, soon).toBe(true);
});

test('Temporal loses nothing by being killed', async () => {
  if (process.env.TEMPORAL_ADDRESS) return;
  const spec = JSON.parse(readFileSync(join(shared.dir, 'world.json'), 'utf8')) as WorldSpec;
  const api = `http://127.0.0.1:${spec.temporal.httpPort}/api/v1/namespaces/default`;
  const started = await fetch(`${api}/workflows/kept`, {
    method: 'POST',
    body: JSON.stringify({ workflowType: { name: 'x' }, taskQueue: { name: 'nobody' } }),
  });
  expect(started.status).toBe(200);
  await shared.kill({ what: 'temporal' });
  await shared.start({ what: 'temporal' });
  const found = (): Promise<number> =>
    fetch(`${api}/workflows/kept`).then(
      (r) => r.status,
      () => 0,
    );
  await expect.poll(found, soon).toBe(200);
});

test('a wrong target is refused with what there is', async () => {
  await expect(shared.kill({ what: 'database', where: 'mars' })).rejects.toThrow(
    'there is no region "mars"; the world has eu-west and eu-central',
  );
  await expect(shared.kill({ what: 'region' })).rejects.toThrow('which region? eu-west or eu-central');
});

test('a second world stands beside the first, and down leaves nothing', async () => {
  opened.add(name('b'));
  const second = await openWorld({ name: name('b'), workers: 0, tied: true });
  expect((await second.status()).world.edge).not.toBe((await shared.status()).world.edge);
  // A database started by somebody else than the lab, as a driver does, ends with the world too.
  await second.kill({ what: 'database', where: 'eu-central' });
  await second.start({ what: 'database', where: 'eu-central' });
  expect((await openWorld({ name: name('b') })).dir).toBe(second.dir);
  await second.freeze({ what: 'region', where: 'eu-central' });
  await second.down();
  expect(processesOf(name('b'))).toEqual([]);
  expect(await findWorld(name('b'))).toBeUndefined();
  expect((await shared.status()).databases[0]?.role).toBe('primary');
});

test('a killed supervisor takes its world along', async () => {
  opened.add(name('c'));
  const world = await openWorld({ name: name('c'), load: 20, workers: 0 });
  const databases = Object.values((await world.status()).world.regions).map(({ database }) => database);
  expect(processesOf(name('c')).length).toBeGreaterThan(3);
  process.kill(supervisorOf(name('c')).supervisor.pid, 'SIGKILL');
  await expect.poll(() => processesOf(name('c')), soon).toEqual([]);
  await expect(withClient(databases[0] ?? '', (client) => client.query('SELECT 1'))).rejects.toThrow(/ECONNREFUSED/);
});

test('a killed command takes the world along that it has not handed over', async () => {
  opened.add(name('d'));
  const script = `import { openWorld } from ${JSON.stringify(built('lab/world.js'))};
    await openWorld({ name: ${JSON.stringify(name('d'))}, workers: 0, tied: true });
    console.log('up');
    setInterval(() => {}, 1000);`;
  const command = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => command.stdout.once('data', resolve));
  expect(processesOf(name('d')).length).toBeGreaterThan(3);
  command.kill('SIGKILL');
  await expect.poll(() => processesOf(name('d')), soon).toEqual([]);
});

test('what is left after supervisor and reaper were both killed is ended by down', async () => {
  opened.add(name('e'));
  await openWorld({ name: name('e'), workers: 0 });
  const { supervisor, reaper } = supervisorOf(name('e'));
  process.kill(reaper.pid, 'SIGKILL');
  process.kill(supervisor.pid, 'SIGKILL');
  expect(processesOf(name('e')).length).toBeGreaterThan(3);
  await endWorld(name('e'));
  expect(processesOf(name('e'))).toEqual([]);
});

test('wrong credentials are wrong in the lab too', async () => {
  const { world } = await shared.status();
  const wrong = new URL(world.regions['eu-west']?.database ?? urlOf({ port: 1 }));
  wrong.password = 'guess';
  await expect(withClient(wrong.href, (client) => client.query('SELECT 1'))).rejects.toThrow(
    /password authentication failed/,
  );
});
