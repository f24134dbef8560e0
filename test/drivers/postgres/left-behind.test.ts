/** What the log of a former primary says that nobody else has, on both versions of the lab. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import type { LeftBehind } from '../../../drivers/ports.ts';
import { LAB_DATABASE } from '../../../lab/postgres/pair.ts';
import { killPostgres } from '../../../lab/postgres/server.ts';
import type { Run } from '../../conformance/store/run.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 90_000 });

let pair: Pair;
afterEach(() => pair?.close());

/** A dies with these statements behind; B is promoted. */
async function diverge(version: 16 | 18, statements: string[]): Promise<Run> {
  pair = await startPair({ version });
  const run = await pair.newRun();
  for (let i = 0; i < 4; i++) await pair.write(A);
  await expect.poll(async () => (await run.observe(B)).lag?.bytes, { timeout: 15_000 }).toBe(0);
  pair.links[A]!.set({ mode: 'stall' });
  for (const statement of statements) await pair.sql(A, statement, LAB_DATABASE);
  await killPostgres(pair.nodes[A]!.data);
  pair.links[A]!.set({ mode: 'open' });
  const proof = await run.at(A).fence({ region: A });
  await run.at(B).promote({ region: B }, A, proof, { timeline: 1 });
  await run.at(B).verifyWritable({ region: B }, A);
  return run;
}

const list = async (run: Run, region = A) =>
  (await run.at(A).leftBehind!({ region }, B)).facts.leftBehind as unknown as LeftBehind[];

test.each([18, 16] as const)('PostgreSQL %i: rows by table, of committed transactions alone', async (version) => {
  const run = await diverge(version, [
    'INSERT INTO orders DEFAULT VALUES',
    'UPDATE orders SET at = now() WHERE id <= 2',
    'DELETE FROM orders WHERE id = 3',
    'BEGIN; INSERT INTO orders DEFAULT VALUES; INSERT INTO orders DEFAULT VALUES; ROLLBACK',
    'BEGIN; INSERT INTO orders DEFAULT VALUES; SAVEPOINT a; INSERT INTO orders DEFAULT VALUES; ROLLBACK TO a; SAVEPOINT b; INSERT INTO orders DEFAULT VALUES; COMMIT',
    'CREATE TABLE late AS SELECT g, repeat(md5(g::text), 400) AS long FROM generate_series(1, 7) AS g',
    'CREATE ROLE somebody',
  ]);
  const [found] = await list(run);
  expect(found).toMatchObject({ kind: 'listed', transactions: 5, otherCommits: 1, complete: true, moreTables: 0 });
  const [first, ...others] = found!.tables;
  // Made after the histories parted: the new primary has no name for it.
  expect(first).toMatchObject({ database: LAB_DATABASE, table: expect.stringMatching(/^relation \d+/), inserted: 7 });
  expect(others.filter(({ table }) => table === 'public.orders')).toMatchObject([
    { inserted: 3, updated: 2, deleted: 1 },
  ]);
  expect(found!.tables.some(({ table }) => table.includes('rampart'))).toBe(false);
  // Read-only and at hand: what the statement selects is what was inserted, and the new versions of what was updated.
  await run.at(A).rejoin({ region: A }, B);
  const { select } = others.find(({ table }) => table === 'public.orders')!;
  expect(await pair.sql(A, select!, LAB_DATABASE)).toHaveLength(5);
});

test('a log that is not there any more is not known, and that is said', async () => {
  const run = await diverge(18, ['INSERT INTO orders DEFAULT VALUES']);
  const [before] = await list(run);
  expect(before!.kind).toBe('listed');
  const { wal } = (await pair.sql(B, `SELECT pg_walfile_name('${before!.from!.text}'::pg_lsn) AS wal`))[0] as {
    wal: string;
  };
  rmSync(join(pair.nodes[A]!.data, 'pg_wal', wal.replace(/^.{8}/, '00000001')));
  const [after] = await list(run);
  expect(after).toMatchObject({ kind: 'unreadable', transactions: null, note: expect.stringMatching(/could not/) });
});
