/** What an acknowledgement is worth: asynchronous, synchronous, and waits that were cancelled. On real servers. */
import { afterEach, expect, test, vi } from 'vitest';
import type { LeftBehind, SampleReading } from '../../../drivers/ports.ts';
import { LAB_DATABASE, urlOf, withClient } from '../../../lab/postgres/pair.ts';
import { killPostgres } from '../../../lab/postgres/server.ts';
import type { Run } from '../../conformance/store/run.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 90_000 });

const WAIT = { timeout: 15_000, interval: 20 };
let pair: Pair;
afterEach(() => pair?.close());

async function sample(run: Run): Promise<SampleReading> {
  const [seen] = await run.at(null).sample({ region: A });
  const { node, region, position, state, sync, observedAt: at } = seen!;
  return { node, region, position, state, sync, at };
}

async function demand(node: string, standby: string): Promise<void> {
  await pair.sql(node, `ALTER SYSTEM SET synchronous_standby_names = '"${standby}"'`);
  await pair.sql(node, 'SELECT pg_reload_conf()');
}

/** Inserts a row in a session of its own; says what its client was told. */
function insert(name: string, before = ''): Promise<'acknowledged' | 'broken off'> {
  return withClient(urlOf(pair.nodes[A]!, 'app'), async (client) => {
    await client.query(`SET application_name = '${name}'; ${before}`);
    await client.query('INSERT INTO orders DEFAULT VALUES');
    return 'acknowledged' as const;
  }).catch(() => 'broken off' as const);
}

const waiting = (name: string) =>
  expect
    .poll(
      () => pair.sql(A, `SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = '${name}'`),
      WAIT,
    )
    .toHaveLength(1);
const signal = (fn: string, name: string) =>
  pair.sql(A, `SELECT ${fn}(pid) FROM pg_stat_activity WHERE application_name = '${name}'`);
const visible = async () => Number((await pair.sql(A, 'SELECT count(*) AS n FROM orders', LAB_DATABASE))[0]!.n);

test('synchronous: what was acknowledged is there; what was cancelled or did not wait is lost, and stated', async () => {
  pair = await startPair();
  const run = await pair.newRun();
  await demand(A, B);
  const isSync = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
  await expect.poll(() => pair.sql(A, isSync), WAIT).toHaveLength(1);
  expect(await insert('ordinary')).toBe('acknowledged');
  const samples = [await sample(run)];
  expect(samples[0]!.sync).toEqual({ enabled: true, cancelledWaiters: 'unknown' });

  // Its commits would wait for ever for a replica that applies nothing.
  await pair.sql(A, "ALTER ROLE app SET synchronous_commit = 'remote_apply'");
  expect(await run.at(null).pauseReplay!({ region: B })).toMatchObject([
    { state: 'applying', detail: expect.stringContaining('remote_apply') },
  ]);
  await pair.sql(A, 'ALTER ROLE app RESET synchronous_commit');

  pair.links[A]!.set({ mode: 'stall' });
  const cancelled = insert('cancelled');
  const ended = insert('ended');
  const patient = insert('patient');
  for (const name of ['cancelled', 'ended', 'patient']) await waiting(name);
  samples.push(await sample(run));
  expect(samples[1]!.sync).toEqual({ enabled: true, cancelledWaiters: 'possible' });
  // Nobody sees them yet: their sessions still wait.
  expect(await visible()).toBe(1);
  await signal('pg_cancel_backend', 'cancelled');
  await signal('pg_terminate_backend', 'ended');
  // Told that it is done, although nobody else has it: PostgreSQL only warns.
  expect(await cancelled).toBe('acknowledged');
  expect(await ended).toBe('broken off');
  expect(await insert('local', 'SET synchronous_commit = local')).toBe('acknowledged');
  expect(await visible()).toBe(4);
  const acknowledgedAt = new Date().toISOString();

  await killPostgres(pair.nodes[A]!.data);
  expect(await patient).toBe('broken off');
  pair.links[A]!.set({ mode: 'open' });
  const proof = await run.at(A).fence({ region: A });
  const { loss } = (await run.at(B).awaitCatchUp(proof, { region: B }, samples)).catchUp;
  expect(loss).toMatchObject({ kind: 'bounded', atLeastBytes: expect.any(Number) });
  expect(loss.note).toMatch(/acknowledged in the ordinary way is on a synchronous replica/);
  expect(loss.note).toMatch(/cancelled .*acknowledged without being replicated. Sessions were waiting then/);
  expect(loss.fromTime! <= acknowledgedAt && acknowledgedAt <= loss.toTime!).toBe(true);
  await run.at(B).promote({ region: B }, A, proof, { timeline: 1 });
  await run.at(B).verifyWritable({ region: B }, A);
  // The ordinary one, and nothing else: what waited to the end was never acknowledged.
  expect(await pair.rows(B)).toBe(1);
  const [listed] = (await run.at(A).leftBehind!({ region: A }, B)).facts.leftBehind as unknown as LeftBehind[];
  expect(listed).toMatchObject({ kind: 'listed', transactions: 4, tables: [{ table: 'public.orders', inserted: 4 }] });
});

test('asynchronous: the statement says so, also when the target is set up to be synchronous once it is promoted', async () => {
  pair = await startPair();
  const run = await pair.newRun();
  await demand(B, A);
  await pair.write(A);
  const samples = [await sample(run)];
  expect(samples[0]!.sync).toEqual({ enabled: false, cancelledWaiters: 'none' });
  const note = async (given: SampleReading[]) =>
    (await run.at(B).awaitCatchUp(null, { region: B }, given)).catchUp.loss.note;
  expect(await note(samples)).toContain('Replication was asynchronous');
  // Without a word of the source nothing is promised.
  expect(await note([])).toContain('not known');
});

test('set aside at a promotion: owed by that node alone until the replicas are there or somebody decides otherwise', async () => {
  pair = await startPair();
  const names = async (node: string) => {
    const [row] = await pair.sql(node, "SELECT current_setting('synchronous_standby_names') AS value");
    return row!.value;
  };
  const set = async (node: string, value: string) => {
    await pair.sql(node, `ALTER SYSTEM SET synchronous_standby_names = '${value}'`);
    await pair.sql(node, 'SELECT pg_reload_conf()');
    await expect.poll(() => names(node), WAIT).toBe(value);
  };
  await set(A, `"${B}"`);
  await set(B, `ANY 2 ("${A}", dr1)`);
  const run = await pair.newRun();
  await run.move(A, B);
  const setAside = { suspended: ['synchronous_standby_names'] };
  expect((await run.at(B).verifyWritable({ region: B }, A)).facts).toMatchObject(setAside);
  // One of the two is there again.
  const joined = await run.at(A).rejoin({ region: A }, B);
  expect(joined.facts).toMatchObject({ syncRestored: [], syncWaiting: setAside.suspended });
  expect(await run.observe(B)).toMatchObject(setAside);
  expect(await run.observe(A)).not.toHaveProperty('suspended');

  // And back: the row about the one node has come along to the other, whose own value is another.
  const back = await pair.newRun();
  await back.move(B, A);
  expect(await back.observe(A)).toMatchObject(setAside);
  const followed = await back.at(B).rejoin({ region: B }, A);
  expect(followed.facts).toMatchObject({ syncRestored: setAside.suspended, syncWaiting: [] });
  expect(await names(A)).toBe(`"${B}"`);
  expect(await back.observe(A)).not.toHaveProperty('suspended');

  // It is still owed when that node is the primary again. People do without the second replica: that is the end of it.
  const third = await pair.newRun();
  await third.move(A, B);
  expect((await third.at(B).verifyWritable({ region: B }, A)).facts).toMatchObject(setAside);
  await set(B, `"${A}"`);
  expect(await third.observe(B)).not.toHaveProperty('suspended');
  const decided = await third.at(A).rejoin({ region: A }, B);
  expect(decided.facts).toMatchObject({ syncRestored: [], syncWaiting: [] });
  expect(await names(B)).toBe(`"${A}"`);
  expect(await pair.sql(B, "SELECT name FROM rampart.suspended WHERE name LIKE '%eu-central'", LAB_DATABASE)).toEqual(
    [],
  );
});
