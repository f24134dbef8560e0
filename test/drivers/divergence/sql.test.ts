/** The comparer on real PostgreSQL servers: a primary and its replica, keys of every kind, and an HTTP source beside them. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { compare } from '../../../drivers/divergence/compare.ts';
import { httpSource } from '../../../drivers/divergence/http.ts';
import { type SqlSourceOptions, sqlSource } from '../../../drivers/divergence/sql.ts';
import { LAB_DATABASE, LAB_PASSWORDS } from '../../../lab/postgres/pair.ts';
import { A, B, type Pair, startPair } from '../postgres/pair.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let pair: Pair;
const opened: Array<{ close(): Promise<void> }> = [];
beforeAll(async () => {
  pair = await startPair();
  await pair.sql(
    A,
    `CREATE SCHEMA w; CREATE SCHEMA c;
     CREATE TABLE w.things (tenant text, n int, total numeric, note text, seen timestamptz, PRIMARY KEY (tenant, n));
     INSERT INTO w.things SELECT (ARRAY['a', 'B', 'ä', 'z-1', 'Ω'])[1 + i % 5], i, i / 7.0, CASE WHEN i % 3 = 0 THEN NULL ELSE 'note, "' || i END,
       timestamptz '2026-11-01 10:00+00' + i * interval '1 ms' FROM generate_series(1, 4000) i;
     CREATE TABLE c.things (LIKE w.things INCLUDING ALL);
     INSERT INTO c.things SELECT * FROM w.things;
     CREATE TABLE w.ids (id uuid PRIMARY KEY, v int); INSERT INTO w.ids SELECT md5(i::text)::uuid, i FROM generate_series(1, 500) i;
     CREATE TABLE c.ids (LIKE w.ids INCLUDING ALL); INSERT INTO c.ids SELECT * FROM w.ids`,
    LAB_DATABASE,
  );
});
afterAll(async () => {
  for (const source of opened) await source.close();
  await pair?.close();
});

const options = (node: string, over: Partial<SqlSourceOptions> = {}): SqlSourceOptions => ({
  ...{
    region: node,
    url: null,
    host: '127.0.0.1',
    port: pair.nodes[node]!.port,
    user: 'rampart',
    password: LAB_PASSWORDS.rampart,
  },
  ...{
    database: LAB_DATABASE,
    ssl: 'disable',
    table: null,
    query: null,
    key: ['tenant', 'n'],
    columns: null,
    timestamp: null,
  },
  ...{ concurrency: 2, timeoutMs: 10_000, signal: new AbortController().signal },
  ...over,
});
const sql = (node: string, over: Partial<SqlSourceOptions>) => {
  const source = sqlSource(options(node, over));
  opened.push(source);
  return source;
};
const run = (
  left: Parameters<typeof compare>[0],
  right: Parameters<typeof compare>[0],
  sleep = async (): Promise<void> => undefined,
) =>
  compare(left, right, {
    ...{
      samplePercent: 100,
      maxRows: 20_000,
      concurrency: 2,
      settleMs: 1,
      signal: new AbortController().signal,
      sleep,
    },
    ...{ now: () => Date.now(), random: Math.random, progress: () => undefined },
  });

test('rows that differ in a key of several columns, in any collation, are all found', async () => {
  const [west, central] = [
    sql(A, { region: 'w', table: 'w.things', timestamp: 'seen' }),
    sql(A, { region: 'c', table: 'c.things', timestamp: 'seen' }),
  ];
  expect(await run(west, central)).toMatchObject({ keys: [], complete: true, rows: { w: 4000, c: 4000, read: 0 } });
  await pair.sql(
    A,
    `UPDATE c.things SET total = total + 1, seen = seen + interval '1 s' WHERE n IN (17, 2500);
     UPDATE c.things SET note = '' WHERE n = 9 AND note IS NULL;
     DELETE FROM w.things WHERE n = 3333; DELETE FROM c.things WHERE n BETWEEN 1000 AND 1002`,
    LAB_DATABASE,
  );
  const { keys, rows } = await run(west, central);
  const said = keys.map(({ key, kind, region }) => `${key[1]} ${kind} ${region}`).sort();
  expect(said).toEqual(
    [
      '17 firstWriteWins w',
      '2500 firstWriteWins w',
      '9 conflict null',
      '3333 missing w',
      '1000 missing c',
      '1001 missing c',
      '1002 missing c',
    ].sort(),
  );
  expect(rows.read).toBeLessThan(2_000);
});

test('a replica that is behind is no divergence; one that stays behind is', async () => {
  const key = ['id'];
  const query = 'SELECT id, v FROM w.ids';
  const [primary, replica] = [sql(A, { query, key }), sql(B, { query, key })];
  await expect
    .poll(() => pair.sql(B, 'SELECT count(*)::int AS n FROM w.ids', LAB_DATABASE), { timeout: 15_000 })
    .toEqual([{ n: 500 }]);
  await pair.sql(B, 'SELECT pg_wal_replay_pause()');
  await pair.sql(A, 'UPDATE w.ids SET v = -1 WHERE v = 7', LAB_DATABASE);
  const stays = await run(primary, replica);
  expect(stays.keys).toMatchObject([{ kind: 'conflict' }]);
  const goesOn = async () => {
    await pair.sql(B, 'SELECT pg_wal_replay_resume()');
    await expect
      .poll(() => pair.sql(B, 'SELECT v FROM w.ids WHERE v = -1', LAB_DATABASE), { timeout: 15_000 })
      .toHaveLength(1);
  };
  expect(await run(primary, replica, goesOn)).toMatchObject({ keys: [], counts: { settled: 1 }, complete: true });
});

test('a table beside an HTTP address', async () => {
  const rows = await pair.sql(A, 'SELECT id, v FROM w.ids', LAB_DATABASE);
  rows[3]!.v = 12_345;
  const server = createServer((_, response) => void response.end(JSON.stringify(rows)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const shared = {
    key: ['id'],
    columns: null,
    timestamp: null,
    timeoutMs: 5_000,
    signal: new AbortController().signal,
  };
  const web = httpSource({ ...shared, region: 'web', url, token: null, mostRows: 1_000 });
  const found = await run(sql(A, { table: 'w.ids', key: ['id'] }), web);
  server.close();
  expect(found.keys).toMatchObject([{ key: [rows[3]!.id], kind: 'conflict' }]);
});

test('reads only, within its time, and says what is wrong', async () => {
  await pair.sql(A, 'CREATE SEQUENCE w.counter', LAB_DATABASE);
  const fails = async (over: Partial<SqlSourceOptions>) =>
    run(sql(A, { key: ['id'], ...over }), sql(A, { table: 'w.ids', key: ['id'] }));
  await expect(fails({ query: "SELECT nextval('w.counter') AS id, 1 AS v" })).rejects.toMatchObject({
    type: 'InvalidInput',
    message: expect.stringContaining('read-only'),
  });
  await expect(
    fails({ query: 'SELECT id, v FROM w.ids WHERE pg_sleep(10) IS NOT NULL', timeoutMs: 200 }),
  ).rejects.toMatchObject({ type: 'DeadlineExceeded' });
  await expect(fails({ table: 'w.idz' })).rejects.toThrow(/relation "w.idz" does not exist/);
  await expect(fails({ table: 'w.ids', columns: ['w'] })).rejects.toThrow(/has no column w; it has id, v/);
  await expect(fails({ table: 'w.ids', timestamp: 'v' })).rejects.toThrow(/v in eu-west is no timestamp/);
  await expect(fails({ query: 'SELECT NULL::uuid AS id, 1 AS v' })).rejects.toThrow(
    /rows without a value for the key id/,
  );
  await expect(fails({ query: 'SELECT v AS id, v FROM w.ids' })).rejects.toThrow(/ordered differently/);
  await expect(fails({ table: 'w.ids', password: 'wrong' })).rejects.toMatchObject({ type: 'AccessDenied' });
  await expect(fails({ table: 'w.ids', port: 1 })).rejects.toMatchObject({ type: 'ProviderUnavailable' });
});
