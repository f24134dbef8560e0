/** Bad days of a PostgreSQL pair, on real servers. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { clock } from '../../../drivers/clock.ts';
import type { LeftBehind, SampleReading } from '../../../drivers/ports.ts';
import { postgresIdentity } from '../../../lab/paths.ts';
import { urlOf, withClient } from '../../../lab/postgres/pair.ts';
import {
  freezePostgres,
  killPostgres,
  readPostmaster,
  startPostgres,
  stopPostgres,
} from '../../../lab/postgres/server.ts';
import type { Run } from '../../conformance/store/run.ts';
import { A, B, type Pair, type PairOptions, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 120_000 });

const LIMIT = { ms: 5_000, bytes: 1 << 24 };
const WAIT = { timeout: 15_000, interval: 20 };
let pair: Pair;
afterEach(() => pair?.close());

const start = async (options?: PairOptions): Promise<Run> => {
  pair = await startPair(options);
  return pair.newRun();
};
const failsAs = (type: string) => expect.objectContaining({ type });
const signalFile = (node: string): string => join(pair.nodes[node]!.data, 'standby.signal');

async function sample(run: Run, region: string): Promise<SampleReading> {
  const [seen] = await run.at(null).sample({ region });
  const { node, position, state, sync, observedAt: at } = seen!;
  return { node, region, position, state, sync, at };
}

async function caughtUp(run: Run, region = B): Promise<void> {
  await expect.poll(async () => (await run.observe(region)).lag, WAIT).toMatchObject({ fresh: true, bytes: 0 });
}

/** Both sides demand one of the two as a synchronous replica when they are primary. */
async function synchronous(...nodes: string[]): Promise<void> {
  const names = `FIRST 1 (${nodes.map((node) => `"${node}"`).join(', ')})`;
  for (const node of nodes) {
    await pair.sql(node, `ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
    await pair.sql(node, 'SELECT pg_reload_conf()');
  }
  const standby = "SELECT sync_state FROM pg_stat_replication WHERE sync_state = 'sync'";
  await expect.poll(async () => (await pair.sql(A, standby)).length, WAIT).toBe(1);
}

/** Stalls replication, so that what is written next is lost with the primary. */
async function writeLost(run: Run, rows: number): Promise<SampleReading[]> {
  const samples = [await sample(run, A)];
  pair.links[A]!.set({ mode: 'stall' });
  for (let i = 0; i < rows; i++) await pair.write(A);
  samples.push(await sample(run, A));
  return samples;
}

test('killed primary, rows lost: stated first; then rewound, its old data kept until released', async () => {
  const run = await start();
  await pair.write(A);
  await caughtUp(run);
  const samples = await writeLost(run, 25);
  const settings = await pair.sql(A, 'SHOW port');
  await killPostgres(pair.nodes[A]!.data);
  pair.links[A]!.set({ mode: 'open' });

  expect(await run.observe(A)).toMatchObject({ state: 'stopped', via: 'local', fence: null });
  const lag = (await run.observe(B)).lag!;
  expect(lag).toMatchObject({ fresh: false, bytes: null, seconds: null });
  const proof = await run.at(A).fence({ region: A });
  expect(proof.fence).toMatchObject({ cannotWrite: 'stopped', finalPosition: null, durable: true, needsRewind: true });
  const { catchUp } = await run.at(B).awaitCatchUp(proof, { region: B }, samples);
  expect(catchUp).toMatchObject({ complete: false, loss: { kind: 'bounded', atMostBytes: null } });
  expect(catchUp.loss.fromTime).toBe(new Date(samples[0]!.at).toISOString());
  expect(catchUp.loss.toTime).toBe(new Date(proof.fence.provenAt).toISOString());
  expect(catchUp.loss.atLeastBytes).toBe(Number(BigInt(samples[1]!.position!.order) - BigInt(catchUp.received!.order)));
  expect(catchUp.loss.note).toContain('asynchronous');

  await run.at(B).promote({ region: B }, A, proof, { timeline: 1 });
  await run.at(B).verifyWritable({ region: B }, A);
  await pair.write(B);
  expect(await pair.rows(B)).toBe(2);
  // Before anything is started: what the log of the old primary says that nobody has.
  const listed = (await run.at(A).leftBehind!({ region: A }, B)).facts.leftBehind as unknown as LeftBehind[];
  expect(listed).toMatchObject([{ kind: 'listed', transactions: 25, complete: true, moreTables: 0 }]);
  const [{ tables, bytes, firstCommit, lastCommit, from, to }] = listed as [LeftBehind];
  expect(tables).toMatchObject([{ database: 'app', table: 'public.orders', inserted: 25, updated: 0, deleted: 0 }]);
  expect(bytes).toBe(Number(BigInt(to!.order) - BigInt(from!.order)));
  expect(bytes).toBeLessThan(catchUp.loss.atLeastBytes!);
  // Inside the window that was stated before the promotion.
  for (const at of [firstCommit!, lastCommit!]) {
    expect(at >= catchUp.loss.fromTime! && at <= catchUp.loss.toTime!, `${at} in the stated window`).toBe(true);
  }
  const joined = await run.at(A).rejoin({ region: A }, B);
  expect(joined.facts).toMatchObject({ needs: 'rebuild', diverged: [A] });
  // The rows themselves, with the statement that the listing gives.
  expect(await pair.sql(A, tables[0]!.select!, 'app')).toHaveLength(25);
  expect(await pair.sql(B, tables[0]!.select!, 'app')).not.toHaveLength(25);
  expect((await run.at(A).leftBehind!({ region: A }, B)).facts.leftBehind).toEqual(listed);
  // Left as it is: read-only, with the lost rows to be read, and without a slot that holds up the new primary's log.
  expect(await pair.rows(A)).toBe(26);
  await expect(pair.write(A)).rejects.toThrow('read-only');
  expect(await pair.sql(B, 'SELECT slot_name FROM pg_replication_slots')).toEqual([]);

  const rebuilt = await run.at(A).rebuild({ region: A }, B);
  expect(rebuilt).toMatchObject({ already: false, facts: { how: ['rewind'] } });
  await caughtUp(run, A);
  expect(await pair.rows(A)).toBe(2);
  expect(await pair.sql(A, 'SHOW port')).toEqual(settings);
  expect((await run.at(A).rebuild({ region: A }, B)).already).toBe(true);
  const [kept] = rebuilt.facts.kept as string[];
  expect(existsSync(join(kept!, 'PG_VERSION'))).toBe(true);
  expect((await run.at(A).release({ region: A })).facts.released).toEqual([kept]);
  expect(existsSync(kept!)).toBe(false);
  expect((await run.at(A).release({ region: A })).already).toBe(true);
  await run.close();
  const back = await pair.newRun();
  await back.move(B, A);
});

test('killed primary, nothing lost: it follows without a rewind', async () => {
  const run = await start();
  await pair.write(A);
  await caughtUp(run);
  // From another machine: one that hangs may be running, one whose port is closed is not.
  freezePostgres(pair.nodes[A]!.data, true);
  const frozen = { state: 'unreachable', via: 'network', notListening: false };
  expect((await run.at(B).observe({ region: A }))[0]).toMatchObject(frozen);
  await killPostgres(pair.nodes[A]!.data);
  const killed = { state: 'unreachable', via: 'network', notListening: true };
  expect((await run.at(B).observe({ region: A }))[0]).toMatchObject(killed);
  const proof = await run.at(A).fence({ region: A });
  expect(proof.fence.finalPosition).toBeNull();
  await run.at(B).promote({ region: B }, A, proof, { timeline: 1 });
  await run.at(B).verifyWritable({ region: B }, A);
  expect((await run.at(A).leftBehind!({ region: A }, B)).facts.leftBehind).toMatchObject([
    { kind: 'none', transactions: 0, otherCommits: 0 },
  ]);
  expect((await run.at(A).rejoin({ region: A }, B)).facts).not.toHaveProperty('needs');
  await caughtUp(run, A);
  expect((await run.at(A).leftBehind!({ region: A }, B)).facts.leftBehind).toMatchObject([{ kind: 'none' }]);
});

test('the postmaster alone is killed: what it leaves behind is ended before anything is proven', async () => {
  const run = await start();
  // A backend that computes does not notice that its postmaster is gone, and would go on to commit.
  const client = withClient(urlOf(pair.nodes[A]!, 'app'), (session) =>
    session.query('INSERT INTO orders (at) SELECT now() FROM generate_series(1, 2000000000) AS g HAVING sum(g) > 0'),
  ).catch(() => 'ended');
  const busy = "SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'";
  await expect.poll(async () => (await pair.sql(A, busy)).length, WAIT).toBe(1);
  process.kill(readPostmaster(pair.nodes[A]!.data)!.pid, 'SIGKILL');
  await expect.poll(() => readPostmaster(pair.nodes[A]!.data), WAIT).toBeUndefined();
  expect(await run.observe(A)).toMatchObject({ state: 'unknown', detail: expect.stringContaining('may commit') });
  expect((await run.at(A).prove({ region: A })).fence.cannotWrite).toBe('none');
  const proof = await run.at(A).fence({ region: A });
  expect(proof.fence).toMatchObject({ cannotWrite: 'stopped', finalPosition: null });
  expect(await client).toBe('ended');
});

test('the primary is killed in the middle of its stop: the fence holds, the position is not claimed', async () => {
  const run = await start();
  pair.links[A]!.set({ mode: 'stall' });
  for (let i = 0; i < 5; i++) await pair.write(A);
  const fenced = run.at(A).fence({ region: A });
  await expect.poll(() => existsSync(signalFile(A)), { timeout: 5_000, interval: 1 }).toBe(true);
  await killPostgres(pair.nodes[A]!.data);
  pair.links[A]!.set({ mode: 'open' });
  const proof = await fenced;
  expect(proof.fence).toMatchObject({ cannotWrite: 'stopped', durable: true });
});

test('a replica that no longer answers does not keep the stop waiting for a minute', async () => {
  const run = await start();
  await caughtUp(run);
  pair.links[A]!.set({ mode: 'stall' });
  await pair.write(A);
  const started = performance.now();
  const proof = await run.at(A).fence({ region: A });
  expect(performance.now() - started).toBeLessThan(15_000);
  expect(proof.fence).toMatchObject({ cannotWrite: 'stopped', finalPosition: { text: expect.any(String) } });
  expect(proof.facts.endedWalSenders).toBe(1);
  pair.links[A]!.set({ mode: 'open' });
  const { catchUp } = await run.at(B).awaitCatchUp(proof, { region: B }, []);
  expect(catchUp).toMatchObject({ complete: false, loss: { atMostBytes: expect.any(Number) } });
  await run.at(A).unfence({ region: A }, { to: B, deadline: null });
  await pair.write(A);
});

test('an init system starts the old primary after the fence: read-only, still proven, and it can go either way', async () => {
  const run = await start();
  await run.at(null).converge(A, B, LIMIT);
  const proof = await run.at(A).fence({ region: A });
  await startPostgres({ data: pair.nodes[A]!.data, bin: pair.nodes[A]!.bin });
  await expect(pair.write(A)).rejects.toThrow('read-only');
  expect(await run.observe(A)).toMatchObject({ state: 'fenced', fence: { finalPosition: proof.fence.finalPosition } });
  // The fence needs no session: its proof is in the files.
  const wrong = pair.world.wrongCredentials();
  const blind = await run.at(A, { secrets: wrong.secrets }, wrong.component).prove({ region: A });
  expect(blind.fence).toMatchObject({ cannotWrite: 'stopped', finalPosition: proof.fence.finalPosition });
  expect((await run.at(A).prove({ region: A })).fence).toMatchObject({
    cannotWrite: 'stopped',
    finalPosition: proof.fence.finalPosition,
  });
  expect((await run.at(A).fence({ region: A })).already).toBe(true);
  // Back: it must come down once more to leave recovery without a new timeline.
  await run.at(A).unfence({ region: A }, { to: B, deadline: null });
  await pair.write(A);
  expect(await run.observe(A)).toMatchObject({ state: 'writable', timeline: 1 });
  await run.close();
  // And forward: fenced, started, promoted; it follows without a rewind. Stopped in recovery counts as well.
  const next = await pair.newRun();
  await next.at(null).converge(A, B, LIMIT);
  const again = await next.at(A).fence({ region: A });
  await startPostgres({ data: pair.nodes[A]!.data, bin: pair.nodes[A]!.bin });
  await stopPostgres(pair.nodes[A]!.data);
  const fresh = await next.at(A).prove({ region: A });
  expect(fresh.fence).toMatchObject({ cannotWrite: 'stopped', finalPosition: again.fence.finalPosition });
  await startPostgres({ data: pair.nodes[A]!.data, bin: pair.nodes[A]!.bin });
  await next.at(B).promote({ region: B }, A, fresh, { timeline: 1 });
  await next.at(B).verifyWritable({ region: B }, A);
  expect((await next.at(A).rejoin({ region: A }, B)).facts).not.toHaveProperty('needs');
  await caughtUp(next, A);
  expect(await next.observe(A)).toMatchObject({ state: 'replica', fence: null });
});

test('replay is paused: by a halt, read back; found before, not waited for for ever, no obstacle to a promotion', async () => {
  const run = await start();
  await pair.write(A);
  await caughtUp(run);
  const halt = () => run.at(null).pauseReplay!({ region: B });
  // Twice at once, and again: the same.
  const [[first], [second]] = await Promise.all([halt(), halt()]);
  for (const fact of [first!, second!, (await halt())[0]!])
    expect(fact).toMatchObject({
      node: B,
      state: 'paused',
      detail: 'replay is paused',
      lastCommitAt: expect.any(Number),
    });
  expect(Math.abs(first!.lastCommitAt! - Date.now())).toBeLessThan(60_000);
  await pair.write(A);
  const read = async () => (await run.at(null).readReplay!({ region: B }))[0]!;
  await expect
    .poll(async () => BigInt((await read()).received!.order), WAIT)
    .toBeGreaterThan(BigInt(first!.received!.order));
  expect([(await read()).applied, await pair.rows(B)]).toEqual([first!.applied, 1]);
  const points = await run.at(null).recoveryPoints!({ region: B });
  expect(points).toContainEqual(expect.objectContaining({ kind: 'replica', reaches: first!.lastCommitAt }));
  expect(points[0]!.text).toMatch(/eu-central is paused and has applied to .*a promotion applies all of that/);
  const archive = (await run.at(null).recoveryPoints!({ region: A })).find(({ kind }) => kind === 'archive');
  expect(archive!.text).toMatch(/archives no WAL \(archive_mode = off\)/);
  // The primary is no replica, and nobody listens for the other: each is said, and nothing throws.
  expect(await run.at(null).pauseReplay!({ region: A })).toMatchObject([{ state: 'none' }]);
  expect(await run.at(null, {}, pair.world.unreachable()).pauseReplay!({ region: B })).toMatchObject([
    { state: 'unknown', detail: expect.stringContaining('eu-central') },
  ]);
  expect(await run.at(null).resumeReplay!({ region: B })).toMatchObject([{ state: 'applying', changed: true }]);
  expect(await run.at(null).resumeReplay!({ region: B })).toMatchObject([{ state: 'applying', changed: false }]);
  await expect.poll(() => pair.rows(B), WAIT).toBe(2);

  await halt();
  await pair.write(A);
  const found = await run.at(null).preflight('planned', A, B);
  expect(found).toContainEqual(expect.objectContaining({ code: 'postgres.replayPaused', severity: 'blocker' }));
  expect(await run.observe(B)).toMatchObject({
    state: 'replica',
    detail: expect.stringContaining('replay is paused'),
    lag: { fresh: true },
  });
  expect((await run.observe(B)).lag!.bytes).toBeGreaterThan(0);
  const proof = await run.at(A).fence({ region: A });
  const { catchUp } = await run.at(B).awaitCatchUp(proof, { region: B }, []);
  expect(catchUp).toMatchObject({ complete: false, loss: { kind: 'unknown' } });
  await run.at(B).promote({ region: B }, A, proof, { timeline: 1 });
  // Everything that was received is applied by the promotion.
  expect(await pair.rows(B)).toBe(3);
});

test('a pause that is asked for and not in force yet is taken back: the replica does not stop after the halt', async () => {
  const run = await start();
  await pair.sql(B, "ALTER SYSTEM SET recovery_min_apply_delay = '1h'");
  await pair.sql(B, 'SELECT pg_reload_conf()');
  await pair.write(A);
  const seen = async () => (await run.at(null).readReplay!({ region: B }))[0]!;
  const raw = async () => (await pair.sql(B, 'SELECT pg_get_wal_replay_pause_state() AS state'))[0]!.state;
  // What was received waits for its hour: replay looks at a request only after that.
  await expect
    .poll(async () => {
      await pair.sql(B, 'SELECT pg_wal_replay_resume()');
      await pair.sql(B, 'SELECT pg_wal_replay_pause()');
      const { applied, received } = await seen();
      return BigInt(received!.order) > BigInt(applied!.order) ? raw() : 'nothing waits';
    }, WAIT)
    .toBe('pause requested');
  // The wait for it to be in force, in a quarter of the time.
  vi.spyOn(clock, 'monotonic').mockImplementation(() => performance.now() * 4);
  const [asked] = await run.at(null).pauseReplay!({ region: B });
  vi.restoreAllMocks();
  expect(await run.at(null).resumeReplay!({ region: B })).toMatchObject([{ state: 'applying' }]);
  expect([asked!.state, asked!.changed, await raw()]).toEqual(['pausing', false, 'not paused']);
  await pair.sql(B, "ALTER SYSTEM SET recovery_min_apply_delay = '0'");
  await pair.sql(B, 'SELECT pg_reload_conf()');
  await expect.poll(() => pair.rows(B), WAIT).toBe(1);
  expect(await seen()).toMatchObject({ state: 'applying', detail: 'replay goes on' });
});

test('a replica restarted while its primary is down: the applied position proves what the received one denies', async () => {
  const run = await start();
  await run.at(null).converge(A, B, LIMIT);
  await pair.write(A);
  const proof = await run.at(A).fence({ region: A });
  await stopPostgres(pair.nodes[B]!.data);
  await startPostgres({ data: pair.nodes[B]!.data, bin: pair.nodes[B]!.bin });
  const { catchUp } = await run.at(B).awaitCatchUp(proof, { region: B }, []);
  expect(catchUp.complete).toBe(true);
  await run.at(B).promote({ region: B }, A, proof, { timeline: 1 });
  expect(await pair.rows(B)).toBe(1);
});

test('an unfence that races a promotion is refused', async () => {
  const run = await start();
  await run.at(null).converge(A, B, LIMIT);
  const proof = await run.at(A).fence({ region: A });
  const [promoted, unfenced] = await Promise.allSettled([
    run.at(B).promote({ region: B }, A, proof, { timeline: 1 }),
    (async () => {
      await expect.poll(async () => (await run.observe(B)).state, { timeout: 10_000, interval: 1 }).toBe('writable');
      await run.at(A).unfence({ region: A }, { to: B, deadline: null });
    })(),
  ]);
  expect(promoted.status).toBe('fulfilled');
  expect(unfenced).toMatchObject({ status: 'rejected', reason: { type: 'Conflict' } });
  expect(existsSync(signalFile(A))).toBe(true);
});

test('both primary: refused before, found after', async () => {
  const run = await start();
  await run.at(null).converge(A, B, LIMIT);
  await pair.sql(B, 'SELECT pg_promote()');
  const found = await run.at(null).preflight('planned', A, B);
  expect(found).toContainEqual(expect.objectContaining({ code: 'postgres.bothPrimary', severity: 'blocker' }));
  await expect(run.at(B).verifyWritable({ region: B }, A)).rejects.toEqual(failsAs('SplitBrain'));
  await expect(run.at(A).rejoin({ region: A }, B)).rejects.toEqual(failsAs('SplitBrain'));
  await expect(run.at(A).rebuild({ region: A }, B)).rejects.toEqual(failsAs('SplitBrain'));
  // The lower timeline is fenced; then the other one is alone.
  await run.at(A).fence({ region: A });
  await run.at(B).verifyWritable({ region: B }, A);
});

test('replication is synchronous: the first commit waits for nobody, and the setting comes back with the replica', async () => {
  const run = await start();
  await synchronous(A, B);
  expect(await run.observe(A)).toMatchObject({ sync: { enabled: true }, replicas: [{ node: B, sync: 'sync' }] });
  await run.at(null).converge(A, B, LIMIT);
  await pair.write(A);
  const seen = await sample(run, A);
  const proof = await run.at(A).fence({ region: A });
  const { catchUp } = await run.at(B).awaitCatchUp(proof, { region: B }, [seen]);
  expect(catchUp.loss.note).toContain('cancelled');
  const promoted = await run.at(B).promote({ region: B }, A, proof, { timeline: 1 });
  expect(promoted.facts.suspended).toEqual(['synchronous_standby_names']);
  await run.at(B).verifyWritable({ region: B }, A);
  await pair.write(B);
  const joined = await run.at(A).rejoin({ region: A }, B);
  expect(joined.facts).toMatchObject({ syncRestored: ['synchronous_standby_names'], syncWaiting: [] });
  expect((await pair.sql(B, 'SHOW synchronous_standby_names'))[0]!.synchronous_standby_names).toContain('eu-west');
  await pair.write(B);
});

test('an unfinished stop leaves no server that nobody owns: unfence after the signal, before the stop', async () => {
  const run = await start();
  await caughtUp(run);
  writeFileSync(signalFile(A), '');
  expect((await run.at(A).prove({ region: A })).fence.cannotWrite).toBe('none');
  expect(await run.at(null).preflight('planned', A, B)).not.toContainEqual(
    expect.objectContaining({ severity: 'blocker' }),
  );
  await run.at(A).unfence({ region: A }, { to: B, deadline: null });
  expect(existsSync(signalFile(A))).toBe(false);
  await pair.write(A);
});

/** Starts the server once with the signal in place, as somebody may just before an unfence removes it; then without. */
const STARTED_EARLY = `
  const { existsSync, rmSync, writeFileSync } = require('node:fs');
  const { spawnSync } = require('node:child_process');
  const [bin, data, who] = process.argv.slice(1);
  const early = !existsSync(data + '/../started-early');
  if (early) { writeFileSync(data + '/../started-early', ''); writeFileSync(data + '/standby.signal', ''); }
  const args = ['-D', data, '-w', '-l', data + '/../early.log', 'start'];
  const { status } = spawnSync(bin + '/pg_ctl', args, { ...JSON.parse(who), cwd: '/', stdio: 'ignore' });
  if (early) rmSync(data + '/standby.signal');
  process.exit(status);`;

test('started read-only just before the fence is taken back: the next try stops it and makes it writable', async () => {
  const run = await start();
  await run.at(A).fence({ region: A });
  const { bin, data } = pair.nodes[A]!;
  const who = JSON.stringify(postgresIdentity() ?? {});
  const own = { kind: 'command', start: [process.execPath, '-e', STARTED_EARLY, bin, data, who] };
  const unfence = () =>
    run.at(A, {}, pair.changed({ control: own }, A)).unfence({ region: A }, { to: B, deadline: null });
  await expect(unfence()).rejects.toMatchObject({
    type: 'NotApplied',
    message: expect.stringContaining('was started before its fence was taken back'),
  });
  await unfence();
  await pair.write(A);
  expect(await run.observe(A)).toMatchObject({ state: 'writable', timeline: 1 });
});

test('another database in the replica’s place is found out', async () => {
  const run = await start();
  const other = await startPair({ fresh: true });
  try {
    const component = pair.changed({ port: other.nodes[B]!.port, dataDir: null }, B);
    const store = run.at(null, {}, component);
    expect(await store.preflight('planned', A, B)).toContainEqual(
      expect.objectContaining({ code: 'postgres.systemIdentifier', severity: 'blocker' }),
    );
    const proof = await run.at(A).fence({ region: A });
    await expect(store.awaitCatchUp(proof, { region: B }, [])).rejects.toEqual(failsAs('PreconditionFailed'));
    expect(await other.sql(B, 'SELECT pg_is_in_recovery() AS r')).toEqual([{ r: true }]);
  } finally {
    await other.close();
  }
});

test('lag: real while replication stands still, small at the first write after a long rest', async () => {
  const run = await start();
  await caughtUp(run);
  pair.links[A]!.set({ mode: 'stall' });
  await pair.write(A);
  const behind = (await run.observe(B)).lag!;
  expect(behind).toMatchObject({ fresh: true });
  expect(behind.bytes).toBeGreaterThan(0);
  expect(behind.seconds).toBeGreaterThan(0.2);
  await expect
    .poll(async () => (await run.observe(A)).replicas[0]?.lag, WAIT)
    .toMatchObject({ bytes: expect.toSatisfy((bytes: number) => bytes > 0) });
  pair.links[A]!.set({ mode: 'open' });
  await caughtUp(run);
  // The last commit is old by now; a replica that gets the next one at once is not that far behind.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const seen = [];
  for (let i = 0; i < 5; i++) {
    await pair.write(A);
    seen.push((await run.observe(B)).lag!.seconds);
  }
  for (const seconds of seen) expect(seconds).toBeLessThan(1);
});
