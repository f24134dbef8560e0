/**
 * An old primary that an init system starts again after an unplanned failover, with and without `rampart local-guard`
 * before its start. For real: a pair, kill -9, a promotion, pg_ctl.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type GuardAnswer, type GuardInput, localGuard } from '../../../drivers/postgres/local-guard.ts';
import { permitOf } from '../../../drivers/postgres/start-permit.ts';
import { freePort } from '../../../lab/ports.ts';
import { LAB_PASSWORDS } from '../../../lab/postgres/pair.ts';
import { killPostgres, startPostgres, stopPostgres } from '../../../lab/postgres/server.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 120_000 });
let pair: Pair;
let nobody: number;
beforeAll(async () => {
  pair = await startPair();
  nobody = await freePort();
});
afterAll(() => pair?.close());

const dataOf = (node: string): string => pair.nodes[node]!.data;
const start = (node: string) => startPostgres({ data: dataOf(node), bin: pair.nodes[node]!.bin });

/** What `rampart local-guard` says before the start of a node. `silent`: the other one does not answer. */
function asked(node: string, { silent = false, more = {} as Partial<GuardInput> } = {}): Promise<GuardAnswer> {
  const other = node === A ? B : A;
  const port = silent ? nobody : pair.nodes[other]!.port;
  const peer = { name: other, host: '127.0.0.1', port, user: 'rampart', database: 'postgres' };
  const peers = [{ ...peer, password: LAB_PASSWORDS.rampart }];
  const { data: dataDir, bin: binDir } = pair.nodes[node]!;
  return localGuard({ dataDir, binDir, peers, timeoutMs: 1_000, slots: true, ...more });
}

/** As a unit with `ExecStartPre=rampart local-guard` does it. @returns whether the server was started */
async function unitStarts(node: string): Promise<boolean> {
  if (!(await asked(node)).allowed) return false;
  await start(node);
  return true;
}

test('a run that takes its fence back is not held up by the guard when the other side is silent', async () => {
  const run = await pair.newRun();
  await run.at(A).fence({ region: A });
  expect((await asked(A)).reason).toMatch(/starts in recovery/);
  await run.at(A).unfence({ region: A }, { to: B, deadline: null });
  await run.close();
  await killPostgres(dataOf(A));
  expect(await asked(A, { silent: true })).toMatchObject({
    allowed: true,
    reason: expect.stringMatching(/run run-1 takes its fence back/),
  });
  const now = Date.now();
  expect(await permitOf(dataOf(A), 1, now + 600_000)).toBeNull();
  expect(await permitOf(dataOf(A), 2, now)).toBeNull();
  rmSync(`${dataOf(A)}.rampart/may-start.json`);
  // Without that leave, a side that has a replica is not proven to be the newest.
  expect(await asked(A, { silent: true })).toMatchObject({ allowed: false, unseen: [B] });
  expect(await unitStarts(A)).toBe(true);
});

test('without the guard an old primary takes writes; with it, none, whichever way it went down', async () => {
  await pair.write(A);
  await killPostgres(dataOf(A));
  const run = await pair.newRun();
  await run.at(B).promote({ region: B }, A, null, { timeline: 1 });
  await run.close();

  // No guard: it comes up writable on its old timeline, and acknowledges what nobody will find.
  await start(A);
  await pair.write(A);
  const stray = await pair.rows(A);
  expect(stray).toBeGreaterThan(await pair.rows(B));

  for (const how of ['killed', 'stopped', 'killed again'] as const) {
    if (how === 'stopped') await stopPostgres(dataOf(A));
    else await killPostgres(dataOf(A));
    expect([how, await unitStarts(A)]).toEqual([how, false]);
    await expect(pair.rows(A)).rejects.toThrow();
    if (how !== 'killed again') await start(A);
  }
  expect(await asked(A, { silent: true })).toMatchObject({ allowed: false });

  // Read-only it may start, and what it has stays readable.
  writeFileSync(join(dataOf(A), 'standby.signal'), '');
  expect(await unitStarts(A)).toBe(true);
  expect(await pair.rows(A)).toBe(stray);
  await expect(pair.write(A)).rejects.toThrow(/read-only|recovery/);
});

test('the survivor may start again although the lost side is silent, until it has a replica', async () => {
  await killPostgres(dataOf(A));
  await stopPostgres(dataOf(B));
  expect(await asked(B)).toMatchObject({
    allowed: true,
    unseen: [A],
    reason: expect.stringMatching(/was promoted to timeline 2 .* has had no replica since/),
  });
  // By choice not even then; and never where another peer may have been promoted that did not follow this server.
  expect(await asked(B, { more: { unreachable: 'refuse' } })).toMatchObject({ allowed: false, undecided: true });
  const third = { name: 'us-east', host: '127.0.0.1', port: nobody, user: 'rampart', database: 'postgres' };
  const { port } = pair.nodes[A]!;
  const peers = [{ ...third, name: A, port }, third];
  expect(await asked(B, { more: { peers } })).toMatchObject({
    allowed: false,
    undecided: true,
    unseen: [A, 'us-east'],
  });
  await start(B);
  await pair.sql(B, "SELECT pg_create_physical_replication_slot('rampart_eu_west', true)");
  await stopPostgres(dataOf(B));
  expect(await asked(B)).toMatchObject({ allowed: false, unseen: [A] });
  await start(B);
});
