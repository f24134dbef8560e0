/** A vantage point against real servers: what it sees, when it speaks, what it takes with it, and what it cannot tell. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { WatchPointAnswer } from '../../activities/contract.ts';
import type { ActivityDeps } from '../../activities/deps.ts';
import { createVantageActivities } from '../../activities/vantage.ts';
import { drivers } from '../../drivers/registry.ts';
import { freePorts } from '../../lab/ports.ts';
import { metrics } from '../../metrics/process.ts';
import type { PointMemory, PointReport } from '../../plan/watch/model.ts';
import type { Component } from '../../topology/model.ts';
import type { Watch } from '../../topology/watches.ts';
import { publishVantage } from '../../workers/watch-deps.ts';
import { checkComponent } from '../conformance/check/check-suite.ts';

vi.setConfig({ testTimeout: 30_000 });
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const WATCH: Watch = {
  ...{ name: 'shop', service: 'checkout', regions: ['a', 'b'], probes: ['app', 'port'], from: ['control', 'a', 'b'] },
  ...{ intervalMs: 50, windowMs: 60_000, failures: 3, errorRate: 5, latencyMs: 500, votes: 2 },
};

let server: Server;
let port: number;
let closed: number;
/** Status that the server answers, and how often it was asked. */
let status = 200;
let asked = 0;
beforeAll(async () => {
  server = createServer((_, response) => {
    asked += 1;
    response.writeHead(status).end('{}');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  ({ port } = server.address() as AddressInfo);
  [closed] = (await freePorts(1)) as [number];
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  status = 200;
});

const deps: ActivityDeps = {
  ...{ place: { region: null, place: null }, stateDir: '/nonexistent', build: 'test', drivers },
  topology: async () => {
    throw new Error('a vantage point needs no topology');
  },
  ...{ searchAttributes: async () => [], cancelRun: async () => {}, halt: async () => null, samples: () => [] },
  ...{ log: quiet, namespace: 'default', ui: null },
};

/** `app` over HTTP and `port` over TCP, in both regions; in b where nobody listens when `lost`. */
function components(lost = false, more: object = {}): Record<string, Component> {
  const where = { a: port, b: lost ? closed : port };
  const of = (type: string, config: object, node: (port: number) => object): Component => {
    const driver = drivers.get(type)!;
    const sides = Object.fromEntries(Object.entries(where).map(([region, at]) => [region, [node(at)]]));
    return checkComponent(driver as Parameters<typeof checkComponent>[0], config, sides);
  };
  return {
    app: of('http', { timeout: '10s', ...more }, (at) => ({ url: `http://127.0.0.1:${at}/` })),
    port: of('tcp', { timeout: '10s' }, (at) => ({ host: '127.0.0.1', port: at })),
  };
}

interface Ask {
  components?: Record<string, Component>;
  intervalMs?: number;
  shown?: PointReport | null;
  memory?: PointMemory;
  forMs?: number;
  environment?: MockActivityEnvironment;
}
function ask({ environment, intervalMs = WATCH.intervalMs, ...given }: Ask = {}): Promise<WatchPointAnswer> {
  const { watchPoint } = createVantageActivities(deps, { publish: publishVantage });
  const call = { point: 'control', shown: null, memory: {}, forMs: 20_000, ...given };
  const watched = { watch: { ...WATCH, intervalMs }, components: given.components ?? components() };
  return (environment ?? new MockActivityEnvironment()).run(watchPoint, {
    ...call,
    watched,
  }) as Promise<WatchPointAnswer>;
}
const failing = ({ report }: WatchPointAnswer) =>
  Object.fromEntries(report.targets.map(({ probe, region, signals }) => [`${probe}@${region}`, signals.failing.on]));
const ALL_WELL = { 'app@a': false, 'app@b': false, 'port@a': false, 'port@b': false };

test('it speaks when it knows of all, and then only when something has changed', async () => {
  const first = await ask();
  expect([first.why, failing(first)]).toEqual(['changed', ALL_WELL]);
  asked = 0;
  const same = await ask({ shown: first.report, memory: first.memory, forMs: 500 });
  expect(same.why).toBe('time');
  expect(asked).toBeGreaterThan(2);
  expect(metrics.render()).not.toContain('rampart_probe_failing{');

  status = 503;
  const began = Date.now();
  const bad = await ask({ shown: same.report, memory: same.memory });
  expect(failing(bad)).toEqual({ ...ALL_WELL, 'app@a': true, 'app@b': true });
  const app = bad.report.targets.find(({ probe }) => probe === 'app')!;
  expect(app).toMatchObject({ silent: false, text: expect.stringContaining('status 503') });
  expect(app.signals.failing.since).toBeGreaterThanOrEqual(began - 1);
});

test('where nobody listens nobody answers, since the first failure', async () => {
  const first = await ask();
  const began = Date.now();
  let seen = first;
  for (let i = 0; i < 10 && seen.report.targets.some(({ region, silent }) => region === 'b' && !silent); i += 1)
    seen = await ask({ components: components(true), shown: seen.report, memory: seen.memory });
  expect(failing(seen)).toEqual({ ...ALL_WELL, 'app@b': true, 'port@b': true });
  const lost = seen.report.targets.filter(({ region }) => region === 'b');
  expect(lost.map(({ silent, text }) => [silent, /refused/.test(text)])).toEqual([
    [true, true],
    [true, true],
  ]);
  for (const { signals } of lost) expect(signals.failing.since!).toBeGreaterThanOrEqual(began - 1);
});

test('a question that cannot be asked is no failure: nothing is known', async () => {
  const unset = components(false, { secretHeaders: { Authorization: '${env:NOT_HERE_AT_ALL}' } });
  const first = await ask({ components: unset });
  const again = await ask({ components: unset, shown: first.report, memory: first.memory, forMs: 400 });
  expect(failing(again)).toEqual({ 'app@a': null, 'app@b': null, 'port@a': false, 'port@b': false });
  expect(again.report.targets[0]!.text).toContain('NOT_HERE_AT_ALL');
});

test('one that takes over goes on with what was read before', async () => {
  const first = await ask();
  status = 503;
  const before = new MockActivityEnvironment();
  const beats: Array<{ memory?: PointMemory }> = [];
  before.on('heartbeat', (facts) => beats.push(facts as { memory?: PointMemory }));
  // Slow enough that no heartbeat is left out between two failures.
  const dying = ask({ environment: before, intervalMs: 250, shown: first.report, memory: first.memory });
  const twice = ({ memory }: { memory?: PointMemory }): boolean => memory?.['app@a']?.failures === 2;
  await vi.waitUntil(() => beats.some(twice), { timeout: 20_000, interval: 5 });
  before.cancel();
  await expect(dying).rejects.toThrow();
  const heartbeatDetails = beats.find(twice);
  const after = new MockActivityEnvironment({ heartbeatDetails });
  asked = 0;
  const bad = await ask({ environment: after, shown: first.report });
  expect(failing(bad)['app@a']).toBe(true);
  expect(bad.memory['app@a']!.failures).toBeGreaterThanOrEqual(3);
});

test('cancelled, it stops asking', async () => {
  const environment = new MockActivityEnvironment();
  const first = await ask();
  const asking = ask({ environment, shown: first.report, memory: first.memory });
  asked = 0;
  await vi.waitUntil(() => asked > 2, { timeout: 20_000, interval: 5 });
  environment.cancel();
  await expect(asking).rejects.toThrow();
  expect(metrics.render()).not.toContain('rampart_probe_failing{');
});
