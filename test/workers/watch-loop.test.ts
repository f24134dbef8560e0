/** The watchdog's loop goes on with what it has: a topology that broke, a disk that is full, a store that fails. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ActivityDeps } from '../../activities/deps.ts';
import type { At, Driver, Journal, NodeObservation, Store } from '../../drivers/ports.ts';
import { metrics } from '../../metrics/process.ts';
import type { Topology } from '../../topology/model.ts';
import { Sampler } from '../../workers/sampler.ts';
import { watchLoop } from '../../workers/watch-loop.ts';
import { Announcer } from '../../workers/watchdog.ts';
import { A, B, checkout, components, nodeSeen } from '../plan/world.ts';

/** No node looks writable for this long before it is said, in milliseconds. */
const BUDGET_MS = 20_000;
const [DB_A, DB_B] = [`orders-db-${A}`, `orders-db-${B}`];
const db = components()['orders-db']!;
const service = { ...checkout, components: ['orders-db'], tier: { ...checkout.tier, freezeBudgetMs: BUDGET_MS } };
const topology = { components: { 'orders-db': db }, services: { checkout: service } } as unknown as Topology;

let stateDir: string;
/** What the store shows, by region; and what was said. */
let shown: Record<string, NodeObservation[]>;
let said: Record<'error' | 'warn' | 'info', string[]>;
let looks: number;
let store: Partial<Store>;
let deps: Partial<ActivityDeps>;
let stop: AbortController;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  stateDir = mkdtempSync(join(tmpdir(), 'rampart-watch-'));
  shown = { [A]: [nodeSeen(DB_A, A, 'writable')], [B]: [nodeSeen(DB_B, B, 'replica')] };
  said = { error: [], warn: [], info: [] };
  looks = 0;
  store = {
    sample: async ({ region }) => {
      looks++;
      return shown[region]!;
    },
  };
  deps = { topology: async () => topology, place: { region: null, place: null } };
  stop = new AbortController();
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(stateDir, { recursive: true, force: true });
});

/** Watches while `during` goes on. */
async function watching(during: () => Promise<void>): Promise<void> {
  const log = {
    debug: () => {},
    info: (text: string) => said.info.push(text),
    warn: (text: string, facts?: object) => said.warn.push(`${text} ${JSON.stringify(facts ?? {})}`),
    error: (text: string) => said.error.push(text),
  };
  const driver = { type: 'postgres', role: 'store', open: () => store } as unknown as Driver;
  const looping = watchLoop({
    deps: { stateDir, drivers: new Map([['postgres', driver]]), log, ...deps } as ActivityDeps,
    sampler: new Sampler(stateDir),
    announcer: new Announcer(log, null, null),
    intervalMs: 50,
    signal: stop.signal,
  });
  try {
    await during();
  } finally {
    stop.abort();
    await looping;
  }
}

const later = (ms: number) => vi.setSystemTime(Date.now() + ms);
const looked = async (times: number) => {
  const from = looks;
  await expect.poll(() => looks, { timeout: 10_000 }).toBeGreaterThan(from + times);
};
const alarm = (kind: string) =>
  /\d$/.exec(new RegExp(`rampart_alarm\\{kind="${kind}".*`).exec(metrics.render())?.[0] ?? '')?.[0];

test('a topology that cannot be read any more is watched as it was, which is said once', async () => {
  let broken: string | null = null;
  let reads = 0;
  deps.topology = async () => {
    reads++;
    if (broken !== null) throw new Error(broken);
    return topology;
  };
  await watching(async () => {
    await looked(2);
    broken = 'unknown key "servces"';
    later(31_000);
    await expect.poll(() => reads, { timeout: 10_000 }).toBe(2);
    shown[B] = [nodeSeen(DB_B, B, 'writable')];
    await expect.poll(() => alarm('twoWritable'), { timeout: 10_000 }).toBe('1');
    expect(said.error.join('\n')).toMatch(/ALARM twoWritable/);
    later(31_000);
    await expect.poll(() => reads, { timeout: 10_000 }).toBe(3);
    await looked(4);
    expect(said.warn).toEqual([expect.stringMatching(/as it was.*unknown key/)]);
    broken = null;
    later(31_000);
    await expect.poll(() => said.info, { timeout: 10_000 }).toEqual([expect.stringMatching(/can be read again/)]);
    expect(reads).toBe(4);
  });
});

test('with no topology at all it asks again until there is one', async () => {
  let reads = 0;
  deps.topology = async () => {
    if (++reads < 4) throw new Error('no such file');
    return topology;
  };
  await watching(() => looked(2));
  expect(said.warn).toHaveLength(1);
});

test('a full disk keeps nobody from being told', async () => {
  writeFileSync(join(stateDir, 'samples'), 'no folder');
  shown[B] = [nodeSeen(DB_B, B, 'writable')];
  await watching(() => expect.poll(() => said.error.join('\n'), { timeout: 10_000 }).toMatch(/ALARM twoWritable/));
});

test('a store that cannot even be looked at keeps nobody from looking at another', async () => {
  const other = { ...db, name: 'other-db', type: 'unheard-of' };
  deps.topology = async () => ({
    ...topology,
    components: { 'other-db': other, 'orders-db': db },
    services: { checkout: { ...service, components: ['other-db', 'orders-db'] } },
  });
  shown[B] = [nodeSeen(DB_B, B, 'writable')];
  await watching(() => expect.poll(() => said.error.join('\n'), { timeout: 10_000 }).toMatch(/ALARM twoWritable/));
  expect(said.warn[0]).toMatch(/other-db.*knows no driver/);
});

const journal = (lastTouched: number): Journal => ({
  ...{ runId: 'r', workflowId: 'failover/checkout', epoch: 3, service: 'checkout', component: 'orders-db', saved: {} },
  ...{ fencedAt: lastTouched, freezeBudgetMs: BUDGET_MS, lastTouched, open: true },
});

/** The source is fenced by a run that nobody goes on with, and its sample does not show the journal. */
function fenceLeft(untouchedMs: () => number): { reads: At[] } {
  const reads: At[] = [];
  shown[A] = [nodeSeen(DB_A, A, 'stopped')];
  store.observe = async (at) => {
    reads.push(at);
    const now = Date.now();
    return [nodeSeen(DB_A, A, 'fenced', { observedAt: now, journal: journal(now - untouchedMs()) })];
  };
  return { reads };
}

test('a fence that nobody goes on with is said with its run, by the worker beside it, and at no more cost than needed', async () => {
  let untouchedMs = 60_000;
  const { reads } = fenceLeft(() => untouchedMs);
  deps.place = { region: A, place: null };
  await watching(async () => {
    await looked(4);
    expect(alarm('noneWritable')).toBe('0');
    // The freeze of a run at work is left alone.
    expect(reads).toEqual([]);
    later(BUDGET_MS + 1);
    await expect.poll(() => alarm('fenceForgotten'), { timeout: 10_000 }).toBe('1');
    expect(said.error.join('\n')).toMatch(/ALARM fenceForgotten: .* fenced by failover\/checkout .* for 60 s/);
    await looked(6);
    expect(reads).toEqual([{ region: A, nodes: [DB_A] }]);

    untouchedMs = 1_000;
    later(10_001);
    await expect.poll(() => alarm('fenceForgotten'), { timeout: 10_000 }).toBe('0');
    expect(alarm('noneWritable')).toBe('1');
    // Nothing is made of how long ago it was read.
    later(9_000);
    await looked(4);
    expect(alarm('fenceForgotten')).toBe('0');
    expect(reads).toHaveLength(2);
  });
});

test('a journal that cannot be read any more is no reason for an alarm', async () => {
  fenceLeft(() => 60_000);
  deps.place = { region: A, place: null };
  await watching(async () => {
    await looked(1);
    later(BUDGET_MS + 1);
    await expect.poll(() => alarm('fenceForgotten'), { timeout: 10_000 }).toBe('1');
    store.observe = async () => {
      throw new Error('the disk is gone');
    };
    later(10_001);
    await expect.poll(() => alarm('fenceForgotten'), { timeout: 10_000 }).toBe('0');
    expect(alarm('noneWritable')).toBe('1');
  });
});

test('a worker elsewhere leaves it to the one beside it', async () => {
  const { reads } = fenceLeft(() => 60_000);
  deps.place = { region: B, place: null };
  store.observe = async () => [nodeSeen(DB_B, B, 'replica')];
  await watching(async () => {
    await looked(1);
    later(BUDGET_MS + 1);
    await expect.poll(() => alarm('noneWritable'), { timeout: 10_000 }).toBe('1');
    await looked(4);
    expect(alarm('fenceForgotten')).toBe('0');
    expect(reads).toEqual([]);
  });
});
