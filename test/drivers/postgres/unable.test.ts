/** Nodes that cannot follow the new primary, for every reason there is: each must come to its rebuild. */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import type { LeftBehind } from '../../../drivers/ports.ts';
import { readControlData } from '../../../drivers/postgres/control-data.ts';
import { LAB_DATABASE, LAB_PASSWORDS } from '../../../lab/postgres/pair.ts';
import { killPostgres, startPostgres, stopPostgres } from '../../../lab/postgres/server.ts';
import type { Run } from '../../conformance/store/run.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 120_000 });

const NORTH = 'eu-north';
const WAIT = { timeout: 20_000, interval: 20 };
let pair: Pair;
afterEach(() => pair?.close());

const dataOf = (node: string): string => pair.nodes[node]!.data;
const start = (node: string) => startPostgres({ data: dataOf(node), bin: pair.nodes[node]!.bin });
const slots = async (node: string) => pair.sql(node, 'SELECT slot_name, active FROM pg_replication_slots');
const wide = (rows: number) => `INSERT INTO orders (at) SELECT now() FROM generate_series(1, ${rows})`;

async function caughtUp(run: Run, region: string): Promise<void> {
  await expect.poll(async () => (await run.observe(region)).lag, WAIT).toMatchObject({ fresh: true, bytes: 0 });
}

/** Rows of A are lost: it is killed and B is promoted. */
async function lose(run: Run, rows: number): Promise<void> {
  await caughtUp(run, B);
  pair.links[A]!.set({ mode: 'stall' });
  await pair.sql(A, wide(rows), LAB_DATABASE);
  await killPostgres(dataOf(A));
  pair.links[A]!.set({ mode: 'open' });
  const proof = await run.at(A).fence({ region: A });
  await run.at(B).promote({ region: B }, A, proof, { timeline: 1 });
  await run.at(B).verifyWritable({ region: B }, A);
}

/** The primary keeps no log but what it needs itself. */
async function recycle(node: string): Promise<void> {
  for (const change of ['wal_keep_size = 0', "max_slot_wal_keep_size = '1MB'"]) {
    await pair.sql(node, `ALTER SYSTEM SET ${change}`);
  }
  await pair.sql(node, 'SELECT pg_reload_conf()');
  for (let i = 0; i < 5; i++) {
    await pair.write(node);
    await pair.sql(node, 'SELECT pg_switch_wal()');
  }
  await pair.sql(node, 'CHECKPOINT');
}

test('the log between is gone, with and without a slot that was to keep it: copied anew, no slot is left behind', async () => {
  pair = await startPair();
  const run = await pair.newRun();
  await pair.write(A);
  await run.move(A, B);
  await recycle(B);
  for (const round of ['no slot', 'a lost one']) {
    const joined = await run.at(A).rejoin({ region: A }, B);
    expect(joined.facts, round).toMatchObject({ needs: 'rebuild', unable: [A] });
    expect(joined.summary).toMatch(/log .* is gone/);
    expect(await slots(B)).toEqual([]);
    expect((await run.at(A).rebuild({ region: A }, B)).facts).toMatchObject({ how: ['basebackup'] });
    await caughtUp(run, A);
    expect(await slots(B)).toEqual([{ slot_name: 'rampart_eu_west', active: true }]);
    if (round === 'a lost one') continue;
    await stopPostgres(dataOf(A));
    await recycle(B);
    const lost = "SELECT wal_status FROM pg_replication_slots WHERE wal_status = 'lost'";
    expect(await pair.sql(B, lost)).toHaveLength(1);
  }
});

test('a node with log of its own serves reads whenever it is started again, and comes to its rebuild', async () => {
  pair = await startPair();
  const run = await pair.newRun();
  await pair.write(A);
  await lose(run, 3);
  expect((await run.at(A).rejoin({ region: A }, B)).facts).toMatchObject({ needs: 'rebuild', diverged: [A] });
  await expect.poll(() => pair.rows(A), WAIT).toBe(4);
  // Its control file is beyond the fork now, and the history of the new timeline may have come: as a host restarts.
  copyFileSync(join(dataOf(B), 'pg_wal/00000002.history'), join(dataOf(A), 'pg_wal/00000002.history'));
  chmodSync(join(dataOf(A), 'pg_wal/00000002.history'), 0o644);
  await killPostgres(dataOf(A));
  await start(A);
  await expect.poll(() => pair.rows(A), WAIT).toBe(4);
  await killPostgres(dataOf(A));
  expect((await run.at(A).rejoin({ region: A }, B)).facts).toMatchObject({ needs: 'rebuild', diverged: [A] });
  expect(await pair.rows(A)).toBe(4);
  await killPostgres(dataOf(A));
  expect((await run.at(A).rebuild({ region: A }, B)).facts).toMatchObject({ how: ['rewind'] });
  await caughtUp(run, A);
  expect((await pair.sql(A, 'SHOW recovery_target_timeline'))[0]).toEqual({ recovery_target_timeline: 'latest' });
});

test('one that was held on its timeline and has nothing of its own is let go of it, also while it runs', async () => {
  pair = await startPair();
  await pair.sql(A, "ALTER SYSTEM SET recovery_target_timeline = 'current'");
  const run = await pair.newRun();
  await pair.write(A);
  await run.move(A, B);
  await start(A);
  expect((await run.at(A).rejoin({ region: A }, B)).facts).not.toHaveProperty('needs');
  await caughtUp(run, A);
  expect((await run.at(A).rejoin({ region: A }, B)).already).toBe(true);
});

test.each(['as it was left', 'started by an init system', 'the same, and its log cannot be read'])(
  'with a restore_command, which brings the new history to it, a node with log of its own does not pass as a follower: %s',
  async (how) => {
    pair = await startPair();
    const archive = join(pair.dir, 'archive');
    mkdirSync(archive);
    chmodSync(archive, 0o755);
    await pair.sql(A, `ALTER SYSTEM SET restore_command = 'cp ${archive}/%f "%p"'`);
    // From the time when it was a replica.
    const former = `host=127.0.0.1 port=${pair.links[B]!.port} user=rampart password=${LAB_PASSWORDS.rampart}`;
    await pair.sql(A, `ALTER SYSTEM SET primary_conninfo = '${former}'`);
    const run = await pair.newRun();
    await pair.write(A);
    await lose(run, 10_000);
    copyFileSync(join(dataOf(B), 'pg_wal/00000002.history'), join(archive, '00000002.history'));
    chmodSync(join(archive, '00000002.history'), 0o644);
    if (how !== 'as it was left') {
      await start(A);
      const receiver = 'SELECT status, received_tli FROM pg_stat_wal_receiver';
      await expect.poll(() => pair.sql(A, receiver), WAIT).toEqual([{ status: 'streaming', received_tli: 2 }]);
    }
    if (how === 'the same, and its log cannot be read') {
      // Then where it streams from gives it away.
      const bin = join(pair.dir, 'bin');
      mkdirSync(bin);
      symlinkSync(join(pair.nodes[A]!.bin, 'postgres'), join(bin, 'postgres'));
      const joined = await run.at(A, {}, pair.changed({ bin }, A)).rejoin({ region: A }, B);
      expect(joined.facts).toMatchObject({ needs: 'rebuild', diverged: [A] });
      return;
    }
    const listed = (await run.at(A).leftBehind!({ region: A }, B)).facts.leftBehind as unknown as LeftBehind[];
    expect(listed).toMatchObject([{ kind: 'listed', transactions: 1, from: { timeline: 1 } }]);
    expect((await run.at(A).rejoin({ region: A }, B)).facts).toMatchObject({ needs: 'rebuild', diverged: [A] });
    expect(await pair.rows(A)).toBe(10_001);
    expect((await run.at(A).rebuild({ region: A }, B)).facts).toMatchObject({ how: ['rewind'] });
    await caughtUp(run, A);
    expect(await pair.rows(A)).toBe(1);
    expect((await pair.sql(A, 'SHOW restore_command'))[0]!.restore_command).toContain(archive);
  },
);

test('a primary that dies before its first checkpoint: its own timeline is looked at, not the one before', async () => {
  pair = await startPair({ replicas: { [NORTH]: NORTH } });
  const run = await pair.newRun();
  await run.at(NORTH).claim({ region: NORTH }, run.journal());
  // Enough to write out that the checkpoint after the promotion takes its time.
  await pair.sql(A, wide(60_000), LAB_DATABASE);
  await caughtUp(run, B);
  await caughtUp(run, NORTH);
  const proof = await run.at(A).fence({ region: A });
  await run.at(B).promote({ region: B }, A, proof, { timeline: 1 });
  await run.at(NORTH).rejoin({ region: NORTH }, B);
  await caughtUp(run, NORTH);
  pair.links[B]!.set({ mode: 'stall' });
  for (let i = 0; i < 3; i++) await pair.write(B);
  await killPostgres(dataOf(B));
  pair.links[B]!.set({ mode: 'open' });
  expect(await readControlData(dataOf(B), null, AbortSignal.timeout(5_000))).toMatchObject({ timeline: 1 });
  await pair.sql(NORTH, 'SELECT pg_promote()');

  const listed = (await run.at(B).leftBehind!({ region: B }, NORTH)).facts.leftBehind as unknown as LeftBehind[];
  expect(listed).toMatchObject([{ kind: 'listed', transactions: 3, from: { timeline: 2 } }]);
  // Fenced on the timeline that it is on, whoever starts it then.
  await run.at(B).fence({ region: B });
  await start(B);
  expect(await run.observe(B)).toMatchObject({ state: 'fenced', timeline: 2 });
  expect((await run.at(B).rejoin({ region: B }, NORTH)).facts).toMatchObject({ needs: 'rebuild', diverged: [B] });
});

test('a directory that no start can recover: its repair takes a base backup', async () => {
  pair = await startPair();
  const run = await pair.newRun();
  await pair.write(A);
  await lose(run, 3);
  const log = join(dataOf(A), 'pg_wal');
  for (const name of readdirSync(log).filter((each) => each.length === 24)) rmSync(join(log, name));
  const joined = await run.at(A).rejoin({ region: A }, B);
  expect(joined).toMatchObject({
    facts: { needs: 'rebuild', unable: [A] },
    summary: expect.stringContaining('could not locate a valid checkpoint record'),
  });
  expect(await slots(B)).toEqual([]);
  expect((await run.at(A).rebuild({ region: A }, B)).facts).toMatchObject({ how: ['basebackup'] });
  await caughtUp(run, A);
});
