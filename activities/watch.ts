/** Keeps the facts at an open gate alive: one long activity instead of a history full of timers. */
import { clock } from '../drivers/clock.ts';
import type { DriverContext, NodeObservation } from '../drivers/ports.ts';
import { assess } from '../plan/facts.ts';
import { isNews, materialOf } from '../plan/material.ts';
import type { Facts, Observations } from '../plan/model.ts';
import type { WatchCall } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { open } from './perform.ts';
import { aheadMs, samplesOf } from './samples.ts';

/** Between two looks, in milliseconds. */
const LOOK_EVERY_MS = 2_000;

/** @returns the new facts as soon as something a decision depends on has changed; `null` when nothing did in time */
export async function watchFacts(deps: ActivityDeps, call: WatchCall, context: DriverContext): Promise<Facts | null> {
  const end = context.now() + call.forMs;
  const quietUntil = context.now() + call.quietMs;
  let observations = call.observations;
  while (context.now() < end) {
    await clock.sleep(Math.min(LOOK_EVERY_MS, Math.max(end - context.now(), 1)), context.signal);
    observations = await look(deps, call, observations, context);
    const facts = assess({ ...call.compile, observations, now: context.now() - aheadMs() });
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
      const store = open(deps, component, 'store', context);
      const seen = (await Promise.all(Object.keys(component.sides).map((region) => store.observe({ region })))).flat();
      stores[name] = nodes.map((old) =>
        newest(
          old,
          seen.find((n) => n.node === old.node && n.region === old.region),
        ),
      );
      samples[name] = samplesOf(deps, name);
    }),
  );
  return { ...before, stores, samples };
}

/** From here a stopped server only does not answer: what the worker beside it read (its control data) says more. */
function newest(old: NodeObservation, seen: NodeObservation | undefined): NodeObservation {
  if (seen === undefined) return old;
  const silent = seen.state === 'unreachable';
  return silent && old.via === 'local' && ['fenced', 'stopped'].includes(old.state) ? old : seen;
}
