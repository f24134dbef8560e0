/** Repairs: cut off at every moment, by base backup, and what they keep. */
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { nodesAt, openCluster } from '../../../drivers/postgres/config.ts';
import { readRepair } from '../../../drivers/postgres/repair-state.ts';
import { local } from '../../../drivers/postgres/server.ts';
import { killPostgres } from '../../../lab/postgres/server.ts';
import { driverContext } from '../../conformance/driver-context.ts';
import type { Run } from '../../conformance/store/run.ts';
import { A, B, type Pair, type PairOptions, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 120_000 });

const WAIT = { timeout: 20_000, interval: 20 };
let pair: Pair;
afterEach(() => pair?.close());

/** Loses rows of A: it is killed, B is promoted and written to. */
async function diverge(options: PairOptions = {}): Promise<Run> {
  pair = await startPair(options);
  const run = await pair.newRun();
  await pair.write(A);
  await expect.poll(async () => (await run.observe(B)).lag?.bytes, WAIT).toBe(0);
  pair.links[A]!.set({ mode: 'stall' });
  for (let i = 0; i < 5; i++) await pair.write(A);
  await killPostgres(pair.nodes[A]!.data);
  pair.links[A]!.set({ mode: 'open' });
  const proof = await run.at(A).fence({ region: A });
  await run.at(B).promote({ region: B }, A, proof, { timeline: 1 });
  await run.at(B).verifyWritable({ region: B }, A);
  await pair.write(B);
  return run;
}

const beside = (node: string): string[] =>
  readdirSync(dirname(pair.nodes[node]!.data)).filter((name) => name.startsWith('data'));

test('pg_rewind, cut off again and again: it ends whole, with one copy of the old data', async () => {
  const run = await diverge();
  appendFileSync(join(pair.nodes[A]!.data, 'postgresql.auto.conf'), "rampart_test.own = 'yes'\n");
  for (const ms of [5, 30, 80, 150, 250, 400, 600]) {
    await run
      .at(A, { signal: AbortSignal.timeout(ms) })
      .rebuild({ region: A }, B)
      .catch(() => undefined);
  }
  const done = await run.at(A).rebuild({ region: A }, B);
  expect(done.summary).toMatch(/streams from eu-central/);
  await expect.poll(() => pair.rows(A), WAIT).toBe(2);
  expect(beside(A).sort()).toEqual(['data', `data.before-${run.id}`, 'data.rampart']);
  // Its own settings, not the new primary's that the tools bring along.
  const settings = readFileSync(join(pair.nodes[A]!.data, 'postgresql.auto.conf'), 'utf8');
  expect(settings).toContain("rampart_test.own = 'yes'");
  expect(settings.match(/primary_conninfo/g)).toHaveLength(1);
  expect(settings).toContain('application_name=eu-west');
  expect((await pair.sql(A, 'SHOW cluster_name'))[0]!.cluster_name).toBe(A);
  expect(await pair.sql(B, 'SELECT slot_name, active FROM pg_replication_slots')).toEqual([
    { slot_name: 'rampart_eu_west', active: true },
  ]);
});

test('a pg_rewind that was cut off in the middle leaves nothing to go on from: a base backup follows', async () => {
  const run = await diverge();
  const [node] = nodesAt(openCluster(pair.component, driverContext({ place: { region: A, place: null } })), {
    region: A,
  });
  // Stop it when the rewind has begun, whenever that is.
  const controller = new AbortController();
  const watch = setInterval(async () => {
    if ((await readRepair(local(node!)))?.phase === 'rewind') controller.abort(new Error('worker died'));
  }, 2);
  await run
    .at(A, { signal: controller.signal })
    .rebuild({ region: A }, B)
    .catch(() => undefined);
  clearInterval(watch);
  const done = await run.at(A).rebuild({ region: A }, B);
  if (controller.signal.aborted) expect(done.facts.how).toEqual(['basebackup']);
  await expect.poll(() => pair.rows(A), WAIT).toBe(2);
  expect(existsSync(join(pair.nodes[A]!.dir, `data.before-${run.id}`, 'PG_VERSION'))).toBe(true);
});

test('a base backup, cut off again and again: the old directory is kept by its new name', async () => {
  const run = await diverge({ config: { repair: 'basebackup' }, version: 16 });
  for (const ms of [20, 100, 250, 500]) {
    await run
      .at(A, { signal: AbortSignal.timeout(ms) })
      .rebuild({ region: A }, B)
      .catch(() => undefined);
  }
  await run.at(A).rebuild({ region: A }, B);
  await expect.poll(() => pair.rows(A), WAIT).toBe(2);
  expect(beside(A).sort()).toEqual(['data', `data.before-${run.id}`, 'data.rampart']);
  expect((await pair.sql(A, 'SHOW cluster_name'))[0]!.cluster_name).toBe(A);
  // Somebody's own copy, whatever it is called, is nobody's to release.
  mkdirSync(join(pair.nodes[A]!.dir, 'data.before-upgrade'));
  const next = await pair.newRun();
  await next.move(B, A);
  await next.at(B).rejoin({ region: B }, A);
  await next.at(A).release({ region: A });
  expect(beside(A).sort()).toEqual(['data', 'data.before-upgrade', 'data.rampart']);
});
