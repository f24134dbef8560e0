import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { installPart } from '../../lab/parts/install.ts';
import { postgresHome } from '../../lab/paths.ts';
import { freePorts } from '../../lab/ports.ts';
import { createPrimary, createReplica, type PostgresNode, urlOf, withClient } from '../../lab/postgres/pair.ts';
import {
  freezePostgres,
  killPostgres,
  readPostmaster,
  startPostgres,
  stopPostgres,
} from '../../lab/postgres/server.ts';

const folder = join(postgresHome(), `test-postgres-${process.pid}`);
const nodes: PostgresNode[] = [];

afterEach(async () => {
  for (const node of nodes.splice(0)) await killPostgres(node.data);
  rmSync(folder, { recursive: true, force: true });
});

async function pair(bin: string): Promise<[PostgresNode, PostgresNode]> {
  mkdirSync(folder, { recursive: true });
  const [a, b] = await freePorts(2);
  const primary = await createPrimary({ dir: join(folder, 'a'), port: a as number, bin });
  nodes.push(primary);
  const replica = await createReplica({ from: primary, dir: join(folder, 'b'), port: b as number, slot: 'to_b' });
  nodes.push(replica);
  return [primary, replica];
}

const ask = async (url: string, sql: string): Promise<unknown> =>
  withClient(url, async (client) => Object.values((await client.query(sql)).rows[0] ?? {})[0]);

for (const version of ['bin18', 'bin16'] as const) {
  test(`a pair streams through its slot, with checksums and commit timestamps (${version})`, async () => {
    const [primary, replica] = await pair((await installPart('postgres'))[version]);
    await ask(urlOf(primary, 'app'), 'CREATE TABLE t AS SELECT 1 AS n');
    await expect
      .poll(() => ask(replica.url, "SELECT count(*)::int FROM pg_tables WHERE tablename = 't'"), { timeout: 5_000 })
      .toBe(1);
    expect(await ask(primary.url, "SELECT active FROM pg_replication_slots WHERE slot_name = 'to_b'")).toBe(true);
    expect(await ask(replica.url, 'SHOW data_checksums')).toBe('on');
    expect(await ask(replica.url, 'SHOW wal_log_hints')).toBe('on');
    expect(await ask(replica.url, 'SHOW track_commit_timestamp')).toBe('on');
  });
}

test('stop, start, freeze and kill do what they say, also twice', async () => {
  const { bin } = await installPart('postgres');
  const [primary, replica] = await pair(bin);
  await stopPostgres(primary.data);
  await stopPostgres(primary.data);
  expect(readPostmaster(primary.data)).toBeUndefined();
  const started = await startPostgres({ data: primary.data, bin });
  expect((await startPostgres({ data: primary.data, bin })).pid).toBe(started.pid);
  expect(started.status).toBe('ready');

  freezePostgres(replica.data, true);
  const frozen = ask(replica.url, 'SELECT 1');
  // A frozen server answers only after it goes on; a fresh question to the other one overtakes it.
  expect(await Promise.race([frozen, ask(primary.url, 'SELECT 2')])).toBe(2);
  freezePostgres(replica.data, false);
  expect(await frozen).toBe(1);

  const { pid } = readPostmaster(primary.data)!;
  const segment = readFileSync(join(primary.data, 'postmaster.pid'), 'utf8').split('\n')[6]!.trim().split(/ +/)[1]!;
  const segments = () =>
    execFileSync('ipcs', ['-m'], { encoding: 'utf8' })
      .split('\n')
      .map((line) => line.split(/ +/)[1]);
  expect(segments()).toContain(segment);
  await killPostgres(primary.data);
  // A machine has some thousand of them, and nobody else would give this one back.
  expect(segments()).not.toContain(segment);
  // Not even as a zombie, whose pid file would keep the next one from starting.
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  await killPostgres(primary.data);
  expect(readPostmaster(primary.data)).toBeUndefined();
  expect((await startPostgres({ data: primary.data, bin })).status).toBe('ready');
});

test('a server that cannot start says why', async () => {
  const { bin } = await installPart('postgres');
  const [primary, replica] = await pair(bin);
  await stopPostgres(replica.data);
  // The replica's own settings, with the port that the primary holds.
  const { writeNodeSettings } = await import('../../lab/postgres/node.ts');
  writeNodeSettings(replica.dir, { port: primary.port }, undefined);
  await expect(startPostgres({ data: replica.data, bin })).rejects.toThrow(/could not create any TCP\/IP sockets/);
});
