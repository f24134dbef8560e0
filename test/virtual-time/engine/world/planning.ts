/** The planning activities over the model world: the real compiler and the real reading of requests, modelled looks. */
import type { ObserveCall, PlanningActivities, RawRequest, WatchCall } from '../../../../activities/contract.ts';
import { readRequest, refuseDrill } from '../../../../activities/request.ts';
import { compilePlan } from '../../../../plan/compile.ts';
import { assess } from '../../../../plan/facts.ts';
import { isNews, materialOf } from '../../../../plan/material.ts';
import type { CompileInput, Facts, Observations } from '../../../../plan/model.ts';
import { notifyViewOf } from '../../../../topology/channels.ts';
import type { Topology } from '../../../../topology/model.ts';
import { lockOf } from '../../../../topology/model.ts';
import type { ActivityCall } from '../../harness.ts';
import type { ModelWorld } from './world.ts';

/** Between two looks of the watch at a gate, in milliseconds. */
const LOOK_EVERY_MS = 2_000;

type Planning = { [K in keyof PlanningActivities]: (call: ActivityCall, input: never) => unknown };

export function planningActivities(world: ModelWorld, topology: Topology, searchAttributes: string[]): Planning {
  return {
    resolveRequest: (_call, raw: RawRequest) => {
      const { request, service } = readRequest(raw, topology);
      if (raw.drill === true) refuseDrill(service, world.halt);
      const names = [...service.components, ...service.checks, ...service.ramp.analysis];
      const notify = notifyViewOf(topology.notifications, service.name);
      return {
        request,
        service,
        components: Object.fromEntries(names.map((name) => [name, topology.components[name]])),
        topologyDigest: topology.digest,
        lock: lockOf(service),
        searchAttributes,
        ui: null,
        namespace: 'default',
        ...(notify === null ? {} : { notify }),
      };
    },
    observeStore: (call, { component, region }: ObserveCall) => [
      world.database(component.name).observe(region as string, call.queue === `rampart.${region}`),
    ],
    observeRouter: (_call, { component }: ObserveCall) => world.traffic.observeRouter(component.name),
    observeWorkload: (_call, { component, region }: ObserveCall) =>
      world.traffic.observeWorkload(component.name, region as string),
    observeCheck: (_call, { component, region }: ObserveCall) => world.traffic.check(component.name, region as string),
    preflightStore: () => world.findings,
    readSamples: (_call, { component }: ObserveCall) => world.database(component.name).readSamples(),
    probePlace: () => ({ build: '0.1.0', at: world.now }),
    findDirection: (_call, input: CompileInput) => {
      const { from, to, mode } = compilePlan(input);
      return { from, to, mode };
    },
    openHalt: () => world.halt,
    compilePlan: (_call, input: CompileInput) => compilePlan({ ...input, halt: world.halt }),
    assessFacts: (_call, input: CompileInput) => assess({ ...input, halt: world.halt }),
    watchFacts: (call, input: WatchCall) => watchFacts(world, call, input),
    cancelRun: () => world.cancelRun(),
    writeEscapePage: () => ({ path: 'escape/checkout.txt' }),
  };
}

async function watchFacts(world: ModelWorld, call: ActivityCall, input: WatchCall): Promise<Facts | null> {
  const end = call.now() + input.forMs;
  const quietUntil = call.now() + input.quietMs;
  let seen = '';
  while (call.now() < end) {
    await call.sleep(Math.min(LOOK_EVERY_MS, end - call.now()));
    call.heartbeat({ looking: true });
    // With the source well, time alone is no news.
    if (call.now() < quietUntil || (input.shown.loss.kind === 'none' && world.version === seen)) continue;
    seen = world.version;
    const { halt } = world;
    const facts = assess({ ...input.compile, halt, observations: look(world, input.observations), now: call.now() });
    if (isNews(input.shown, materialOf(facts))) return facts;
  }
  return null;
}

/**
 * Everything anew as the control place sees it, and what only a worker beside a system can tell as it was: from here
 * a stopped server only does not answer.
 */
function look(world: ModelWorld, before: Observations): Observations {
  const stores = mapped(before.stores, (name, nodes) =>
    nodes.map((old) => {
      const seen = world.database(name).observe(old.region, false);
      const better = seen.state === 'unreachable' && old.via === 'local' && ['fenced', 'stopped'].includes(old.state);
      return better ? old : seen;
    }),
  );
  return {
    ...before,
    stores,
    samples: mapped(before.stores, (name) => world.database(name).readSamples()),
    routers: mapped(before.routers, (name) => world.traffic.observeRouter(name)),
    workloads: mapped(before.workloads, (name, sides) =>
      sides.map(({ region }) => world.traffic.observeWorkload(name, region)),
    ),
    checks: mapped(before.checks, (name, sides) => mapped(sides, (region) => world.traffic.check(name, region))),
    places: mapped(before.places, (_queue, { build }) => ({ build, at: world.now })),
  };
}

function mapped<T, R>(record: Record<string, T>, each: (name: string, value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, each(name, value)]));
}
