/** Keeps the facts at an open gate alive: one long activity instead of a history full of timers. */
import { clock } from '../drivers/clock.ts';
import type { DriverContext, NodeObservation } from '../drivers/ports.ts';
import { assess } from '../plan/facts.ts';
import { isNews, materialOf } from '../plan/material.ts';
import type { Facts, Observations } from '../plan/model.ts';
import { thin } from '../plan/readings.ts';
import { FRESHNESS_MS, queueOf } from '../plan/sides.ts';
import { CONTROL_QUEUE } from '../topology/components.ts';
import type { WatchCall } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { open } from './perform.ts';
import { aheadMs, samplesOf } from './samples.ts';

/** Between two looks, in milliseconds. */
const LOOK_EVERY_MS = 2_000;
/** Routers, workloads and checks are looked at more rarely, in milliseconds: some checks ask a whole monitoring system. */
const LOOK_AROUND_MS = FRESHNESS_MS / 4;
/** Whether the service is halted is asked this often, in milliseconds. */
const HALT_EVERY_MS = 10_000;

/** @returns the new facts as soon as something a decision depends on has changed; `null` when nothing did in time */
export async function watchFacts(deps: ActivityDeps, call: WatchCall, context: DriverContext): Promise<Facts | null> {
  const end = context.now() + call.forMs;
  const quietUntil = context.now() + call.quietMs;
  let observations = call.observations;
  const { service } = call.compile;
  let halt = await deps.halt(service);
  let haltAt = context.now();
  while (context.now() < end) {
    await clock.sleep(Math.min(LOOK_EVERY_MS, Math.max(end - context.now(), 1)), context.signal);
    observations = await look(deps, call, observations, context);
    observations = await lookAround(deps, call, observations, context);
    if (context.now() - haltAt >= HALT_EVERY_MS) {
      halt = await deps.halt(service);
      haltAt = context.now();
    }
    const facts = assess({ ...call.compile, observations, halt, now: context.now() - aheadMs() });
    context.heartbeat({ state: facts.classified.state, text: facts.classified.text, lossSeconds: facts.loss.seconds });
    if (context.now() >= quietUntil && isNews(call.shown, materialOf(facts))) return facts;
  }
  return null;
}

async function look(
  deps: ActivityDeps,
  call: WatchCall,
  before: Observations,
  context: DriverContext,
): Promise<Observations> {
  const stores: Observations['stores'] = {};
  const samples: Observations['samples'] = {};
  await Promise.all(
    Object.entries(before.stores).map(async ([name, nodes]) => {
      const component = call.compile.components[name]!;
      // As they will be measured once more before the promotion: what is approved here is then found again.
      samples[name] = thin(samplesOf(deps, name));
      const { lookEveryMs = 0 } = component.capabilities;
      if (nodes.length > 0 && nodes.every((old) => context.now() - old.observedAt < lookEveryMs)) {
        stores[name] = nodes;
        return;
      }
      const store = open(deps, component, 'store', context);
      const seen = (await Promise.all(Object.keys(component.sides).map((region) => store.observe({ region })))).flat();
      stores[name] = nodes.map((old) =>
        newest(
          old,
          seen.find((n) => n.node === old.node && n.region === old.region),
        ),
      );
    }),
  );
  return { ...before, stores, samples };
}

/**
 * What stands around the stores, read again where the first reading is old: left alone it would turn into a blocker
 * ("no fresh reading") of which nothing is true but that nobody has looked.
 */
async function lookAround(
  deps: ActivityDeps,
  { compile: { components } }: WatchCall,
  before: Observations,
  context: DriverContext,
): Promise<Observations> {
  const isOld = ({ observedAt }: { observedAt: number }): boolean => context.now() - observedAt > LOOK_AROUND_MS;
  /** A region's worker may reach what this one cannot: then its reading stays, with its age. */
  const again = async <T>(
    old: T,
    region: string | null,
    name: string,
    read: () => Promise<T>,
    good: (now: T) => boolean,
  ) => {
    const seen = await read().catch((error: unknown) => {
      context.log.debug(`${name} could not be read again at a gate`, { region, error: String(error) });
      return null;
    });
    if (seen !== null && good(seen)) return seen;
    const beside = queueOf(components[name]!, region) !== CONTROL_QUEUE;
    return seen === null || beside ? old : seen;
  };
  const routers = Object.entries(before.routers).map(async ([name, old]) => {
    if (!isOld(old)) return [name, old] as const;
    const read = () => open(deps, components[name]!, 'router', context).observe();
    return [name, await again(old, null, name, read, (now) => now.reachable)] as const;
  });
  const workloads = Object.entries(before.workloads).map(async ([name, sides]) => {
    const port = () => open(deps, components[name]!, 'workload', context);
    const seen = sides.map((old) =>
      isOld(old)
        ? again(
            old,
            old.region,
            name,
            () => port().observe(old.region),
            (now) => now.reachable,
          )
        : old,
    );
    return [name, await Promise.all(seen)] as const;
  });
  const checks = Object.entries(before.checks).map(async ([name, sides]) => {
    const port = () => open(deps, components[name]!, 'check', context);
    const seen = Object.entries(sides).map(async ([region, old]) => {
      if (!isOld({ observedAt: old.at })) return [region, old] as const;
      return [
        region,
        await again(
          old,
          region,
          name,
          () => port().run(region),
          (now) => now.outcome !== 'unknown',
        ),
      ] as const;
    });
    return [name, Object.fromEntries(await Promise.all(seen))] as const;
  });
  return {
    ...before,
    routers: Object.fromEntries(await Promise.all(routers)),
    workloads: Object.fromEntries(await Promise.all(workloads)),
    checks: Object.fromEntries(await Promise.all(checks)),
  };
}

/** From here a stopped server only does not answer: what the worker beside it read (its control data) says more. */
function newest(old: NodeObservation, seen: NodeObservation | undefined): NodeObservation {
  if (seen === undefined) return old;
  const silent = seen.state === 'unreachable';
  // Started read-only by somebody, it looks like a replica from here: that it is fenced stands in its own files. One that
  // streams from a primary was made to follow it, and is a replica indeed.
  const idle = seen.via === 'network' && seen.state === 'replica' && seen.upstream?.streaming !== true;
  if (idle && old.via === 'local' && old.state === 'fenced') return { ...old, observedAt: seen.observedAt };
  if (!silent || old.via !== 'local' || !['fenced', 'stopped'].includes(old.state)) return seen;
  // Its machine says that nothing listens there: it has not been started. Otherwise the reading stays, with its age.
  return seen.notListening === true ? { ...old, observedAt: seen.observedAt } : old;
}
