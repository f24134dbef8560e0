/** Looks at everything a plan depends on, each thing from the place that can see it best. */
import { ActivityCancellationType, type ActivityOptions, proxyActivities } from '@temporalio/workflow';
import type { ObserveCall, PlanningActivities, Resolved } from '../../activities/contract.ts';
import type { CheckResult, NodeObservation } from '../../drivers/ports.ts';
import type { CompileInput, Observations, StepCall } from '../../plan/model.ts';
import type { Component, Node } from '../../topology/model.ts';
import { CONTROL_QUEUE } from '../contract.ts';
import { causeOf } from './errors.ts';

/** An observation must be quick: what does not answer in this time is unreachable, in milliseconds. */
const OBSERVE_MS = 10_000;
/** How long an observation waits for a worker beside the system before it is made over the network instead. */
const WORKER_MS = 3_000;

export type RunIdentity = StepCall['run'];

/** A look just before a promotion: longer than a fence proof may be old nobody waits for a side that was given up. */
const LOOK_MS = 5_000;

function planning(queue: string, summary: string, limits?: Partial<ActivityOptions>): PlanningActivities {
  const options: ActivityOptions = {
    taskQueue: queue,
    summary,
    startToCloseTimeout: OBSERVE_MS,
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: { maximumAttempts: 2, initialInterval: 200 },
    ...(queue === CONTROL_QUEUE ? {} : { scheduleToStartTimeout: WORKER_MS }),
    ...limits,
  };
  return proxyActivities<PlanningActivities>(options);
}

/** @returns observations of every component; nothing in it is older than this call */
export async function observeAll(
  { service, components }: Pick<Resolved, 'service' | 'components'>,
  identity: RunIdentity,
): Promise<Observations> {
  const out: Observations = {
    stores: {},
    routers: {},
    workloads: {},
    checks: {},
    places: {},
    preflight: {},
    samples: {},
  };
  const queues = new Set<string>([CONTROL_QUEUE]);
  const work: Promise<void>[] = [];
  for (const name of [...service.components, ...service.checks]) {
    const component = components[name]!;
    queues.add(component.queue);
    for (const side of Object.values(component.sides)) for (const node of side.nodes) queues.add(node.queue);
    work.push(observeComponent(out, component, identity));
  }
  for (const queue of [...queues].sort()) work.push(probe(out, queue));
  await Promise.all(work);
  return out;
}

async function observeComponent(out: Observations, component: Component, identity: RunIdentity): Promise<void> {
  const call: ObserveCall = { run: identity, component, region: null, nodes: null };
  const regions = Object.keys(component.sides).sort();
  if (component.role === 'store') {
    const [sides, samples] = await Promise.all([
      observeStore(component, identity),
      planning(CONTROL_QUEUE, `samples:${component.name}`)
        .readSamples(call)
        .catch(() => []),
    ]);
    out.stores[component.name] = sides;
    out.samples[component.name] = samples;
  } else if (component.role === 'router') {
    out.routers[component.name] = await planning(component.queue, `observe:${component.name}`)
      .observeRouter(call)
      .catch((error: unknown) => ({
        reachable: false,
        weights: null,
        applied: false,
        observedAt: Date.now(),
        detail: causeOf(error).message,
        claim: null,
      }));
  } else if (component.role === 'workload') {
    out.workloads[component.name] = await Promise.all(
      regions.map((region) =>
        planning(queueOf(component, region), `observe:${component.name}@${region}`)
          .observeWorkload({ ...call, region })
          .catch((error: unknown) => ({
            region,
            reachable: false,
            state: 'unknown' as const,
            ready: null,
            inflight: null,
            capacity: null,
            observedAt: Date.now(),
            detail: causeOf(error).message,
          })),
      ),
    );
  } else {
    const results = await Promise.all(
      regions.map(
        async (region): Promise<[string, CheckResult]> => [region, await observeCheckAt(component, region, identity)],
      ),
    );
    out.checks[component.name] = Object.fromEntries(results);
  }
}

/** One check in one region; no answer is an answer as well. */
export async function observeCheckAt(component: Component, region: string, run: RunIdentity): Promise<CheckResult> {
  try {
    const call: ObserveCall = { run, component, region, nodes: null };
    return await planning(queueOf(component, region), `check:${component.name}@${region}`).observeCheck(call);
  } catch (error) {
    const detail = causeOf(error).message;
    return { outcome: 'unknown', observed: 'no answer', threshold: '', at: Date.now(), detail };
  }
}

/** Every node of a store, each read from the place that can see it best. */
export async function observeStore(component: Component, identity: RunIdentity): Promise<NodeObservation[]> {
  const call: ObserveCall = { run: identity, component, region: null, nodes: null };
  const regions = Object.keys(component.sides).sort();
  return (await Promise.all(regions.map((region) => observeSide(call, region)))).flat();
}

/**
 * The nodes of one side as seen within seconds, from beside them and over the network at the same time.
 * @returns what each way saw: a node may be in it twice, or as `unreachable` one way and well the other
 */
export async function lookAtSide(
  component: Component,
  region: string,
  identity: RunIdentity,
): Promise<NodeObservation[]> {
  const { nodes } = component.sides[region]!;
  const call: ObserveCall = { run: identity, component, region, nodes: null };
  const ways = [...new Set(nodes.map((node) => node.queue)), CONTROL_QUEUE];
  const limits = { scheduleToCloseTimeout: LOOK_MS, startToCloseTimeout: LOOK_MS, retry: { maximumAttempts: 1 } };
  const seen = await Promise.all(
    ways.map(async (queue) => {
      const beside = nodes.filter((node) => queue === CONTROL_QUEUE || node.queue === queue).map(({ name }) => name);
      try {
        const summary = `look again:${component.name}@${region}`;
        return await planning(queue, summary, limits).observeStore({ ...call, nodes: beside });
      } catch (error) {
        return beside.map((name) => unreadable(name, region, causeOf(error).message));
      }
    }),
  );
  return seen.flat();
}

function queueOf(component: Component, region: string): string {
  return component.sides[region]?.nodes[0]?.queue ?? component.queue;
}

/** Nodes are read by the worker beside them; where none answers, over the network from the control place. */
async function observeSide(call: ObserveCall, region: string): Promise<NodeObservation[]> {
  const byQueue = new Map<string, Node[]>();
  for (const node of call.component.sides[region]!.nodes)
    byQueue.set(node.queue, [...(byQueue.get(node.queue) ?? []), node]);
  const groups = await Promise.all(
    [...byQueue].map(async ([queue, nodes]) => {
      const group: ObserveCall = { ...call, region, nodes: nodes.map((n) => n.name) };
      const summary = `observe:${call.component.name}@${region}`;
      try {
        return await planning(queue, summary).observeStore(group);
      } catch (error) {
        const why = causeOf(error);
        if (queue === CONTROL_QUEUE) return group.nodes!.map((n) => unreadable(n, region, why.message));
        try {
          const seen = await planning(CONTROL_QUEUE, `${summary} by network`).observeStore(group);
          return seen.map((o) => ({ ...o, detail: `${o.detail}; worker absent on ${queue}` }));
        } catch (second) {
          return group.nodes!.map((n) =>
            unreadable(n, region, `worker absent on ${queue}; ${causeOf(second).message}`),
          );
        }
      }
    }),
  );
  return groups.flat();
}

function unreadable(node: string, region: string, detail: string): NodeObservation {
  return {
    node,
    region,
    state: 'unreachable',
    via: 'network',
    observedAt: Date.now(),
    systemId: null,
    timeline: null,
    position: null,
    received: null,
    upstream: null,
    lag: null,
    replicas: [],
    fence: null,
    sync: null,
    claim: null,
    journal: null,
    detail,
  };
}

async function probe(out: Pick<Observations, 'places'>, queue: string): Promise<void> {
  try {
    out.places[queue] = await planning(queue, `ping:${queue}`).probePlace({ queue });
  } catch {
    // No answer is the finding: the compiler turns a missing build into a blocker or a warning, by mode.
    out.places[queue] = { build: null, at: Date.now() };
  }
}

/** Asks again where nobody answered. */
export async function probeAgain(places: Observations['places']): Promise<Observations['places']> {
  const again: Pick<Observations, 'places'> = { places: { ...places } };
  const absent = Object.keys(places).filter((queue) => places[queue]!.build === null);
  await Promise.all(absent.map((queue) => probe(again, queue)));
  return again.places;
}

/** Whether the component's driver has findings of its own: stores always, the others where they say so. */
export function hasPreflight(component: Component | undefined): boolean {
  return component?.role === 'store' || component?.capabilities.preflight === true;
}

/** The drivers' own findings, once it is known which side is which: of stores from the control place. */
export async function preflightAll(
  resolved: Resolved,
  identity: RunIdentity,
  direction: { from: string; to: string; mode: 'planned' | 'unplanned' },
): Promise<Observations['preflight']> {
  const asked = resolved.service.components.filter((name) => hasPreflight(resolved.components[name]));
  const findings = await Promise.all(
    asked.map(async (name) => {
      const component = resolved.components[name]!;
      const call = { run: identity, component, region: null, nodes: null, ...direction };
      try {
        const queue = component.role === 'store' ? CONTROL_QUEUE : component.queue;
        return await planning(queue, `preflight:${name}`).preflightStore(call);
      } catch (error) {
        return [
          {
            code: 'preflightFailed',
            severity: direction.mode === 'planned' ? ('blocker' as const) : ('warning' as const),
            component: name,
            region: null,
            message: `preflight could not be finished: ${causeOf(error).message}`,
            remedy: 'run `rampart doctor` to see which endpoint or right is missing',
          },
        ];
      }
    }),
  );
  return Object.fromEntries(asked.map((name, i) => [name, findings[i]!]));
}

/** @returns the compiler's input without observations: what `watchFacts` and `assessFacts` need besides */
export function compileBase(resolved: Resolved): Omit<CompileInput, 'observations' | 'now'> {
  return {
    request: resolved.request,
    topologyDigest: resolved.topologyDigest,
    service: resolved.service,
    components: resolved.components,
  };
}
