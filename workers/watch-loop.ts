/** The loop that samples and watches, in every worker process. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ActivityDeps } from '../activities/deps.ts';
import { open } from '../activities/perform.ts';
import { resolveSecret } from '../activities/secrets.ts';
import type { DriverContext, NodeObservation, SampleReading } from '../drivers/ports.ts';
import { metrics } from '../metrics/process.ts';
import { queuesOfPlace } from '../topology/components.ts';
import type { Component, Topology } from '../topology/model.ts';
import { Journals } from './journals.ts';
import { lagOf } from './lag.ts';
import type { Sampler } from './sampler.ts';
import { type Announcer, isOverdue, judge, type Watched, type WatchState } from './watchdog.ts';

export interface WatchLoopOptions {
  deps: ActivityDeps;
  sampler: Sampler;
  announcer: Announcer;
  /** Between two looks, in milliseconds. */
  intervalMs: number;
  signal: AbortSignal;
}

/** A changed topology file is read again at most this often, in milliseconds. */
const RELOAD_MS = 30_000;
/** A reading that is not repeated within this time is shown no more, in milliseconds: a look may wait for a dead side. */
const FRESH_MS = 15_000;

/** Runs until the signal aborts; an error in one look never ends the loop. */
export async function watchLoop(options: WatchLoopOptions): Promise<void> {
  const { deps, sampler, intervalMs, signal } = options;
  const state: WatchState = { noneSince: {} };
  const stores = storesNow(deps, sampler);
  const journals = new Journals(queuesOfPlace(deps.place), signal);
  while (!signal.aborted) {
    const began = Date.now();
    const looks = (await stores(began)).map((store) =>
      lookAt(store, options, state, journals).catch((error: unknown) =>
        deps.log.warn(`a look at ${store.component.name} failed`, { error: messageOf(error) }),
      ),
    );
    await Promise.all(looks);
    await sleep(Math.max(intervalMs - (Date.now() - began), 50), undefined, { signal }).catch(() => undefined);
  }
  await journals.end();
}

/**
 * The stores of the topology, read again now and then. While its file cannot be read (somebody has saved a broken one),
 * those it named before are watched: that is when nobody may go blind.
 */
function storesNow({ topology, log }: ActivityDeps, sampler: Sampler): (now: number) => Promise<WatchedStore[]> {
  let stores: WatchedStore[] | null = null;
  let readAt = 0;
  let trouble: string | null = null;
  return async (now) => {
    if (stores !== null && now - readAt <= RELOAD_MS) return stores;
    readAt = now;
    try {
      const read = storesOf(await topology());
      if (stores === null) await sampler.load(read.map(({ component }) => component));
      stores = read;
      if (trouble !== null) log.info('the topology can be read again');
      trouble = null;
    } catch (error) {
      const message = messageOf(error);
      const watched = stores === null ? 'no store is watched' : 'its stores are watched as it was';
      if (message !== trouble) log.warn(`the topology cannot be read: ${watched}`, { error: message });
      trouble = message;
    }
    return stores ?? [];
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

interface WatchedStore {
  watched: Watched;
  component: Component;
}

function storesOf(topology: Topology): WatchedStore[] {
  return Object.values(topology.services).flatMap((service) =>
    service.components.flatMap((name): WatchedStore[] => {
      const component = topology.components[name];
      if (component === undefined || component.role !== 'store') return [];
      return [
        { component, watched: { service: service.name, component: name, freezeBudgetMs: service.tier.freezeBudgetMs } },
      ];
    }),
  );
}

async function lookAt(
  { watched, component }: WatchedStore,
  options: WatchLoopOptions,
  state: WatchState,
  journals: Journals,
): Promise<void> {
  const { deps, sampler, announcer } = options;
  const context = (signal: AbortSignal): DriverContext => ({
    signal,
    heartbeat: () => undefined,
    now: () => Date.now(),
    log: deps.log,
    secret: resolveSecret,
    place: deps.place,
    stateDir: `${deps.stateDir}/claims`,
    run: { workflowId: 'sampler', runId: 'sampler', service: watched.service },
    watching: true,
  });
  const store = (signal: AbortSignal) => open(deps, component, 'store', context(signal));
  const nodes = await sampler.sample(component, store(options.signal), deps);
  const now = Date.now();
  publish(watched, nodes, sampler.of(component.name), now);
  // Only when nothing was writable for too long: the freeze of a run at work is left alone.
  const fenced =
    nodes.every((n) => n.state !== 'writable') && isOverdue(watched, state, now)
      ? journals.of(component, now, async (at, signal) => store(signal).observe(at))
      : [];
  const alarms = judge(watched, nodes, state, now, fenced.length > 0 ? fenced : nodes);
  for (const kind of ['noneWritable', 'twoWritable', 'fenceForgotten'] as const)
    metrics.set(
      'rampart_alarm',
      { kind, service: watched.service, component: watched.component },
      alarms.some((a) => a.kind === kind) ? 1 : 0,
      FRESH_MS,
    );
  for (const alarm of alarms) announcer.announce(alarm, now);
}

function publish(
  { service, component }: Watched,
  nodes: NodeObservation[],
  readings: SampleReading[],
  now: number,
): void {
  const writable = nodes.filter((n) => n.state === 'writable');
  metrics.set('rampart_writable_sides', { service, component }, writable.length, FRESH_MS);
  for (const region of new Set(nodes.map((n) => n.region)))
    metrics.set(
      'rampart_active_region',
      { service, component, region },
      writable.some((n) => n.region === region) ? 1 : 0,
      FRESH_MS,
    );
  for (const node of nodes) {
    const lag = lagOf(node, nodes, readings, now);
    if (lag === null) continue;
    const labels = { service, component, region: node.region };
    metrics.set('rampart_replication_lag_bytes', labels, lag.bytes, FRESH_MS);
    if (lag.seconds !== null) metrics.set('rampart_replication_lag_seconds', labels, lag.seconds, FRESH_MS);
  }
}
