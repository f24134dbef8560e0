/** What the sampler keeps of a primary that died, in memory and on disk, and what of it goes into a history. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NodeObservation, SampleReading, Store } from '../../drivers/ports.ts';
import { lossOf } from '../../plan/loss.ts';
import { thin } from '../../plan/readings.ts';
import { Sampler } from '../../workers/sampler.ts';
import { components } from '../plan/world.ts';

const [A, B] = ['eu-west', 'eu-central'];
const place = (order: number) => ({ text: String(order), order: String(order), timeline: 1 });
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rampart-sampler-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

type Role = [node: string, region: string, state: NodeObservation['state']];
const PRIMARY: Role = ['db-a', A, 'writable'];
const BESIDE: Role = ['db-a2', A, 'replica'];
const TARGET: Role = ['db-b', B, 'replica'];
const THIRD: Role = ['db-b2', B, 'replica'];

const reading = ([node, region, state]: Role, at: number): SampleReading => ({
  ...{ node, region, state, at: at * 1_000 },
  position: place(at),
});
/** What is read in these seconds, second by second. */
const looks = (from: number, to: number, ...roles: Role[]): SampleReading[] =>
  Array.from({ length: to - from }, (_, i) => roles.map((role) => reading(role, from + i))).flat();
/** The loss when the target has all but the primary's last second. */
const lossFrom = (samples: SampleReading[], diedAt: number) => {
  const moments = { closedAt: diedAt * 1_000, now: diedAt * 1_000 };
  return lossOf({ samples, reached: place(diedAt - 2), finalPosition: null, sync: null, ...moments });
};

test('however long ago the source died, the loss measured from a history is the one that people approved', () => {
  const alive = looks(0, 900, PRIMARY, BESIDE, TARGET);
  for (let since = 120; since < 135; since++) {
    const samples = [...alive, ...looks(900, 900 + since, TARGET)];
    expect(lossFrom(thin(samples), 900), `${since} s after`).toEqual(lossFrom(samples, 900));
    expect(lossFrom(thin(samples), 900)).toMatchObject({ kind: 'bounded', seconds: 2 });
  }
});

test('a history gets the last minute of each node, and of the time before so much that it bounds a loss', () => {
  const samples = looks(0, 900, PRIMARY, TARGET);
  const kept = thin(samples);
  expect(kept.length).toBeLessThan(200);
  expect(kept.toSorted((a, b) => a.at - b.at)).toEqual(kept);
  for (const [node] of [PRIMARY, TARGET])
    expect(kept.filter((one) => one.node === node && one.at >= 840_000)).toHaveLength(60);
  const source = kept.filter(({ state }) => state === 'writable').map(({ at }) => at);
  expect(source[0]).toBeLessThan(15_000);
  expect(Math.max(...source.slice(1).map((at, i) => at - source[i]!))).toBe(15_000);
});

/** A store that answers with what `roles` says now. */
const storeOf = (now: () => { at: number; roles: Role[] }): Store =>
  ({
    sample: async ({ region }: { region: string }) => {
      const { at, roles } = now();
      return roles
        .filter((role) => role[1] === region)
        .map(([node, where, state]) => ({
          ...{ node, region: where, state, position: place(at), observedAt: at * 1_000, sync: null },
        }));
    },
  }) as unknown as Store;

test('what a primary last said stays while it is not read, over a rewrite of the file and over a restart', async () => {
  const watched = components()['orders-db']!;
  const sampler = new Sampler(dir);
  await sampler.load([watched]);
  let [at, roles]: [number, Role[]] = [0, [PRIMARY, TARGET, THIRD]];
  const store = storeOf(() => ({ at, roles }));
  for (; at < 100; at++) await sampler.sample(watched, store, { log: quiet });
  roles = [TARGET, THIRD];
  for (; at < 900; at++) await sampler.sample(watched, store, { log: quiet });
  // Somebody starts it read-only, to look at what it holds.
  roles = [['db-a', A, 'replica'], TARGET, THIRD];
  for (; at < 2_000; at++) await sampler.sample(watched, store, { log: quiet });

  const again = new Sampler(dir);
  await again.load([watched]);
  for (const samples of [sampler.of('orders-db'), again.of('orders-db')]) {
    expect(samples.filter(({ state }) => state === 'writable')).toEqual(looks(0, 100, PRIMARY));
    expect(lossFrom(samples, 100)).toMatchObject({ kind: 'bounded', seconds: 2 });
    expect(samples.toSorted((a, b) => a.at - b.at)).toEqual(samples);
    // A quarter of an hour of each node in each of its roles.
    expect(samples.length).toBeGreaterThanOrEqual(100 + 3 * 900);
    expect(samples.length).toBeLessThan(100 + 3 * 900 + 1_000);
  }
});

test('a disk that takes nothing keeps nobody from looking; it is said once, and what follows is written', async () => {
  const watched = components()['orders-db']!;
  const said: string[] = [];
  const log = { ...quiet, warn: (text: string) => said.push(text), info: (text: string) => said.push(text) };
  const state = join(dir, 'state');
  writeFileSync(state, 'no folder');
  const sampler = new Sampler(state);
  await sampler.load([watched]);
  let at = 0;
  const store = storeOf(() => ({ at, roles: [PRIMARY, TARGET] }));
  for (; at < 3; at++) expect(await sampler.sample(watched, store, { log })).toHaveLength(2);
  expect(sampler.of('orders-db')).toEqual(looks(0, 3, PRIMARY, TARGET));
  expect(said).toEqual([expect.stringMatching(/readings .*orders-db.* are kept in memory only/)]);

  rmSync(state);
  for (; at < 5; at++) await sampler.sample(watched, store, { log });
  expect(said[1]).toMatch(/orders-db.* kept on disk again/);
  expect(said).toHaveLength(2);
  const again = new Sampler(state);
  await again.load([watched]);
  expect(again.of('orders-db')).toEqual(looks(3, 5, PRIMARY, TARGET));
});
