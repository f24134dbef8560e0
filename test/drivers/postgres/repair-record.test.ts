/** What becomes of a repair that its run has left unfinished, when the node lives on and another run finds the record. */
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import type { Json } from '../../../drivers/ports.ts';
import { nodesAt, openCluster } from '../../../drivers/postgres/config.ts';
import { readControlData } from '../../../drivers/postgres/control-data.ts';
import { type Found, phaseLeft } from '../../../drivers/postgres/repair-resume.ts';
import { type Phase, readRepair, saveRepair } from '../../../drivers/postgres/repair-state.ts';
import { type LocalNode, local } from '../../../drivers/postgres/server.ts';
import { killPostgres } from '../../../lab/postgres/server.ts';
import { driverContext } from '../../conformance/driver-context.ts';
import type { Run } from '../../conformance/store/run.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 120_000 });

const WAIT = { timeout: 20_000, interval: 20 };
let pair: Pair;
afterAll(() => pair?.close());

function nodeA(): LocalNode {
  const cluster = openCluster(pair.component, driverContext({ place: { region: A, place: null } }));
  return local(nodesAt(cluster, { region: A })[0]!);
}

/** Rows of A are lost: it is killed, B is promoted and written to. */
async function lose(run: Run): Promise<void> {
  await expect.poll(async () => (await run.observe(B)).lag, WAIT).toMatchObject({ fresh: true, bytes: 0 });
  pair.links[A]!.set({ mode: 'stall' });
  for (let i = 0; i < 3; i++) await pair.write(A);
  await killPostgres(pair.nodes[A]!.data);
  pair.links[A]!.set({ mode: 'open' });
  const { timeline } = await run.observe(B);
  const proof = await run.at(A).fence({ region: A });
  await run.at(B).promote({ region: B }, A, proof, { timeline });
  await run.at(B).verifyWritable({ region: B }, A);
  await pair.write(B);
}

/** The record as a run leaves it that ends at this moment; the server goes on by itself. */
async function leaveAt(phase: Phase): Promise<void> {
  await saveRepair(nodeA(), { ...(await readRepair(nodeA()))!, phase });
}

const phase = async () => (await readRepair(nodeA()))?.phase;
const folders = (): string[] =>
  readdirSync(dirname(pair.nodes[A]!.data))
    .filter((name) => name.startsWith('data'))
    .sort();

test('the next incident: its rows are kept by their own name, and nothing of the first repair is gone on with', async () => {
  pair = await startPair();
  const first = await pair.newRun();
  await pair.write(A);
  await lose(first);
  await first.at(A).rebuild({ region: A }, B);
  await leaveAt('start');
  await first.close();

  const home = await pair.newRun();
  await home.move(B, A);
  await home.at(B).rejoin({ region: B }, A);
  await home.close();
  const third = await pair.newRun();
  await pair.write(A);
  await lose(third);
  expect((await third.at(A).rejoin({ region: A }, B)).facts).toMatchObject({ needs: 'rebuild', diverged: [A] });
  const rows = await pair.rows(A);
  const rebuilt = await third.at(A).rebuild({ region: A }, B);
  expect(rebuilt.facts.how).toEqual(['rewind']);
  expect(folders()).toEqual(['data', `data.before-${first.id}`, `data.before-${third.id}`, 'data.rampart']);
  // Today's history, with today's rows.
  const kept = await readControlData(`${pair.nodes[A]!.data}.before-${third.id}`, null, AbortSignal.timeout(5_000));
  expect(kept).toMatchObject({ timeline: 3 });
  await expect.poll(() => pair.rows(A), WAIT).toBe(rows - 2);
  await third.close();
});

test('once the node streams without it the repair is over, whoever sees that', async () => {
  const run = await pair.newRun();
  await leaveAt('start');
  expect((await run.at(A).rejoin({ region: A }, B)).already).toBe(true);
  expect(await phase()).toBe('done');
  await leaveAt('backup');
  expect((await run.at(A).rebuild({ region: A }, B)).facts).toMatchObject({ how: ['none'] });
  expect(await phase()).toBe('done');
  await leaveAt('start');
  expect((await run.at(A).release({ region: A })).facts.released).toHaveLength(2);
  expect(folders()).toEqual(['data', 'data.rampart']);
  expect(await phase()).toBe('done');
  // While it does not, its old data is not let go of.
  await leaveAt('start');
  await killPostgres(pair.nodes[A]!.data);
  await expect(run.at(A).release({ region: A })).rejects.toMatchObject({ type: 'PreconditionFailed' });
});

test('a run takes over what another has left half rewound: a base backup, and nothing is thrown away', async () => {
  const home = await pair.newRun();
  await home.at(A).rejoin({ region: A }, B);
  await home.move(B, A);
  await home.at(B).rejoin({ region: B }, A);
  await home.close();
  const run = await pair.newRun();
  await lose(run);
  const heartbeat = ({ doing }: Record<string, Json>): void => {
    if (doing === 'pg_rewind') throw new Error('the worker died');
  };
  await expect(run.at(A, { heartbeat }).rebuild({ region: A }, B)).rejects.toThrow('the worker died');
  expect(await phase()).toBe('rewind');
  await run.close();

  const next = await pair.newRun();
  const joined = await next.at(A).rejoin({ region: A }, B);
  expect(joined).toMatchObject({ facts: { needs: 'rebuild' }, summary: expect.stringContaining('was cut off') });
  const rebuilt = await next.at(A).rebuild({ region: A }, B);
  expect(rebuilt.facts.how).toEqual(['basebackup']);
  expect(folders()).toEqual(['data', `data.before-${run.id}`, `data.before-${next.id}`, 'data.rampart']);
  expect((await next.at(A).release({ region: A })).facts.released).toHaveLength(2);
});

const asLeft: Found = {
  data: true,
  kept: true,
  fresh: false,
  unstarted: false,
  sameCheckpoint: true,
  sameTimeline: true,
};
const livedOn = { ...asLeft, sameCheckpoint: false };

test('what a record is gone on with, and what it is not about any more', () => {
  const phases: Phase[] = ['keep', 'recover', 'rewind', 'backup', 'swap', 'configure', 'start', 'done'];
  const left = (found: Partial<Found>) => phases.map((each) => phaseLeft(each, { ...asLeft, ...found }));
  const [backup, none] = ['backup', null];
  // As the run left it, before and after pg_rewind was through.
  expect(left({})).toEqual(['keep', 'recover', backup, backup, none, none, none, none]);
  expect(left({ ...livedOn, unstarted: true })).toEqual([
    none,
    none,
    backup,
    backup,
    'swap',
    'configure',
    'start',
    none,
  ]);
  // Started since, promoted since: whatever it was, the directory is somebody's.
  expect(left(livedOn)).toEqual([none, none, none, none, none, none, none, none]);
  expect(left({ sameTimeline: false }).slice(0, 2)).toEqual([none, none]);
  // A base backup that lies there may be old.
  expect(left({ fresh: true })[4]).toBe('backup');
  expect(left({ ...livedOn, fresh: true })[4]).toBeNull();
  // Nothing is kept yet: the directory itself will be.
  expect(left({ ...livedOn, kept: false })).toEqual(['keep', none, backup, backup, none, none, none, none]);
  expect(left({ data: false })).toEqual([none, none, none, none, 'swap', none, none, none]);
});
