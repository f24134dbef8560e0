/** What stands beside the port: least rights, looking at an address, the guard of a start. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openCluster } from '../../../drivers/postgres/config.ts';
import { checkGrants, grantsFor } from '../../../drivers/postgres/grants.ts';
import { inspect } from '../../../drivers/postgres/inspect.ts';
import { type GuardInput, localGuard, type Peer } from '../../../drivers/postgres/local-guard.ts';
import { freePort } from '../../../lab/ports.ts';
import { LAB_DATABASE, LAB_PASSWORDS } from '../../../lab/postgres/pair.ts';
import { killPostgres, stopPostgres } from '../../../lab/postgres/server.ts';
import type { Component } from '../../../topology/model.ts';
import { driverContext } from '../../conformance/driver-context.ts';
import { Run } from '../../conformance/store/run.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 120_000 });
let pair: Pair;
beforeAll(async () => {
  pair = await startPair();
});
afterAll(() => pair?.close());

const OPERATOR = '${env:OPERATOR}';
const secrets = { [OPERATOR]: 'operator-password' };

test('an address is looked at: role, identity, who follows whom', async () => {
  const address = (node: string) => ({
    host: '127.0.0.1',
    port: pair.nodes[node]!.port,
    user: 'rampart',
    password: LAB_PASSWORDS.rampart,
    database: 'postgres',
  });
  const primary = await inspect(address(A));
  const replica = await inspect(address(B));
  expect(primary).toMatchObject({
    role: 'primary',
    timeline: 1,
    clusterName: A,
    dataDirectory: pair.nodes[A]!.data,
    upstream: null,
    replicas: [B],
  });
  expect(primary.version).toMatch(/^\d+\.\d+$/);
  expect(primary.databases).toContain(LAB_DATABASE);
  expect(replica).toMatchObject({
    role: 'replica',
    systemId: primary.systemId,
    upstream: { host: '127.0.0.1', port: pair.links[A]!.port, slot: 'rampart_eu_central' },
  });
  await expect(inspect({ ...address(A), password: 'wrong' })).rejects.toThrow('password authentication failed');
});

test('the least rights: what is missing is named, with the statement; with them a whole move works', async () => {
  await pair.sql(A, "CREATE ROLE operator LOGIN PASSWORD 'operator-password'");
  const component: Component = {
    ...pair.component,
    config: { ...pair.component.config, user: 'operator', password: OPERATOR },
  };
  const context = driverContext({ secrets });
  await expect
    .poll(async () => (await checkGrants(component, context)).map(({ node, problem }) => [node, problem]), {
      timeout: 10_000,
    })
    .toEqual([
      [A, null],
      [B, null],
    ]);
  expect((await checkGrants(component, context))[0]!.missing.length).toBeGreaterThan(5);
  const version = Number((await pair.sql(A, 'SHOW server_version_num'))[0]!.server_version_num);
  for (const grant of grantsFor(openCluster(component, context), 'operator')) {
    if (grant.onlyFor === 'sqlFence' || (grant.since ?? 0) > version) continue;
    await pair.sql(A, grant.sql, grant.database ?? 'postgres');
  }
  await expect
    .poll(async () => (await checkGrants(component, context)).map(({ missing }) => missing.map(({ sql }) => sql)), {
      timeout: 10_000,
    })
    .toEqual([[], []]);

  const world = { ...pair.world, component, secrets };
  const run = new Run(world, 1);
  await run.claim();
  const found = await run.at(null).preflight('planned', A, B);
  expect(found.filter(({ severity }) => severity !== 'info')).toEqual([]);
  await pair.write(A);
  await run.move(A, B);
  expect((await run.at(A).rejoin({ region: A }, B)).facts).not.toHaveProperty('needs');
  expect((await run.observe(A)).upstream).toMatchObject({ node: B, streaming: true });
  await run.close();
  const back = new Run(world, 2);
  await back.claim();
  await back.move(B, A);
  await back.at(B).rejoin({ region: B }, A);
  await back.close();
  // And the hard way: rows are lost, listed and rewound away.
  const hard = new Run(world, 3);
  await hard.claim();
  await expect.poll(async () => (await hard.observe(B)).lag?.bytes, { timeout: 10_000 }).toBe(0);
  pair.links[A]!.set({ mode: 'stall' });
  await pair.write(A);
  await killPostgres(pair.nodes[A]!.data);
  pair.links[A]!.set({ mode: 'open' });
  const { timeline } = await hard.observe(B);
  const proof = await hard.at(A).fence({ region: A });
  await hard.at(B).promote({ region: B }, A, proof, { timeline });
  await hard.at(B).verifyWritable({ region: B }, A);
  expect((await hard.at(A).leftBehind!({ region: A }, B)).facts.leftBehind).toMatchObject([
    { kind: 'listed', transactions: 1, tables: [{ table: 'public.orders', inserted: 1 }] },
  ]);
  expect((await hard.at(A).rejoin({ region: A }, B)).facts).toMatchObject({ needs: 'rebuild' });
  expect((await hard.at(A).rebuild({ region: A }, B)).facts).toMatchObject({ how: ['rewind'] });
  await hard.close();
  const home = new Run(world, 4);
  await home.claim();
  await home.move(B, A);
  await home.at(B).rejoin({ region: B }, A);
});

test('the guard of a start: refused when a peer went on, read-only is free, silence is said', async () => {
  const peer: Peer = {
    name: B,
    host: '127.0.0.1',
    port: pair.nodes[B]!.port,
    user: 'rampart',
    password: LAB_PASSWORDS.rampart,
    database: 'postgres',
  };
  const { data: dataDir, bin: binDir } = pair.nodes[A]!;
  const guard = (peers: Peer[] = [peer], more: Partial<GuardInput> = {}) =>
    localGuard({ dataDir, binDir, peers, timeoutMs: 1_000, ...more });
  await stopPostgres(dataDir);
  expect(await guard()).toMatchObject({
    allowed: true,
    reason: expect.stringContaining('no peer has a timeline above'),
    unseen: [],
  });
  const silent = { ...peer, port: await freePort() };
  // Unknown is not good: only a person's choice lets it start then.
  expect(await guard([silent])).toMatchObject({
    allowed: false,
    undecided: true,
    unseen: [B],
    reason: expect.stringMatching(/refused: .* may have been promoted.*--unreachable allow/),
  });
  expect(await guard([silent], { unreachable: 'allow' })).toMatchObject({
    allowed: true,
    reason: expect.stringContaining('not proven'),
  });
  // It has a replica's slot: that replica may have taken over, whatever a record says.
  expect(await guard([silent], { slots: true })).toMatchObject({ allowed: false });
  await pair.sql(B, 'SELECT pg_promote()');
  expect(await guard()).toMatchObject({
    allowed: false,
    reason: expect.stringMatching(/refused: eu-central is on timeline \d+/),
  });
  // One that has taken over is all there is to know: nobody waits for the others.
  expect(await guard([silent, peer], { waitMs: 3_600_000 })).toMatchObject({ allowed: false, undecided: false });
  const signal = join(dataDir, 'standby.signal');
  writeFileSync(signal, '');
  expect(await guard()).toMatchObject({ allowed: true, reason: expect.stringContaining('takes no writes') });
  rmSync(signal);
  // While it waits for an answer somebody makes it a standby: that needs no answer.
  const heard: string[] = [];
  const waits = guard([silent], {
    waitMs: 3_600_000,
    onWait: (why) => {
      heard.push(why);
      writeFileSync(signal, '');
    },
  });
  expect(await waits).toMatchObject({ allowed: true, reason: expect.stringContaining('takes no writes') });
  expect(heard).toEqual([expect.stringContaining(`${B} (`)]);
  rmSync(signal);
  // Or what is in the directory has gone on to another timeline, and a run lets it start on that one.
  const segment = join(dataDir, 'pg_wal', `000000FF${'0'.repeat(16)}`);
  const permit = join(`${dataDir}.rampart`, 'may-start.json');
  const moved = guard([silent], {
    waitMs: 3_600_000,
    onWait: () => {
      writeFileSync(segment, '');
      mkdirSync(`${dataDir}.rampart`, { recursive: true });
      writeFileSync(permit, JSON.stringify({ runId: 'run-later', timeline: 255, until: Date.now() + 600_000 }));
    },
  });
  expect(await moved).toMatchObject({ allowed: true, timeline: 255, reason: expect.stringContaining('run-later') });
  for (const file of [segment, permit]) rmSync(file);
});
