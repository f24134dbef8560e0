/** The service that is moved: a checkout in two regions with one or two stores. */
import type { ActivityDeps } from '../../activities/deps.ts';
import { createPlanningActivities } from '../../activities/planning.ts';
import { createStepActivities } from '../../activities/steps.ts';
import type { Driver, DriverContext, PortOf, Role } from '../../drivers/ports.ts';
import type { Component, Service, Topology } from '../../topology/model.ts';
import { SEARCH_ATTRIBUTES } from '../../workflows/contract.ts';
import { A, approvals, B, checkout, component, components } from '../plan/world.ts';
import { currentAttempt } from './attempts.ts';
import { openStore } from './drivers/store.ts';
import { openCheck, openRouter, openWorkload } from './drivers/traffic.ts';
import type { Scenario } from './scenario.ts';
import type { SimWorld } from './world/world.ts';

export { A, B };
export const LOCK = 'failover/checkout';
/** Task queue of the control place; those of regions begin with it. */
export const CONTROL = 'rampart';

export function serviceOf(scenario: Scenario): Service {
  const policy = {
    ...approvals(scenario.approvals).cutover,
    timeoutMs: scenario.gateMs,
    onTimeout: scenario.onTimeout,
  };
  const all = approvals(scenario.approvals);
  for (const gate of Object.keys(all) as Array<keyof typeof all>) all[gate] = { ...policy };
  return {
    ...checkout,
    tier: { ...checkout.tier, rpoMs: scenario.rpoMs },
    components: [...scenario.stores, 'writer', 'edge', 'shop'],
    approvals: all,
    ramp: {
      ...checkout.ramp,
      steps: [50, 100],
      bakeMs: 1_000,
      onFailure: scenario.rampFails,
      unplanned: scenario.unplannedRamp,
    },
    writes: scenario.writes,
    onFailure: { planned: scenario.onFailure, unplanned: 'hold' },
  };
}

export function topologyOf(scenario: Scenario, service: Service): Topology {
  const all: Record<string, Component> = components();
  all.edge!.capabilities.fences = true;
  for (const store of scenario.stores)
    all[store] ??= component(store, 'store', [A, B], { cutover: 'staged', rewind: true });
  return {
    version: 1,
    digest: 'a'.repeat(64),
    path: 'rampart.yaml',
    regions: Object.fromEntries([A, B].map((name) => [name, { name, labels: {} }])),
    tiers: { [service.tier.name]: service.tier },
    components: all,
    services: { checkout: service },
    alertSources: {},
    watches: {},
    triggers: {},
    drills: {},
  };
}

type Activities = Record<string, (...args: never[]) => Promise<unknown>>;

/** The real activities of every task queue, over drivers that act on the model world. */
export function activitiesOf(world: SimWorld, cancelRun: (workflowId: string) => void): (queue: string) => Activities {
  const byQueue = new Map<string, Activities>();
  const silent = (): void => undefined;
  const drivers = modelDrivers(world);
  return (queue) => {
    let activities = byQueue.get(queue);
    if (activities !== undefined) return activities;
    const region = queue === 'rampart' ? null : queue.slice('rampart.'.length);
    const deps: ActivityDeps = {
      place: { region, place: null },
      stateDir: '/nowhere',
      build: '0.1.0',
      drivers,
      topology: async () => world.topology,
      searchAttributes: async () => Object.keys(SEARCH_ATTRIBUTES),
      cancelRun: async (workflowId) => cancelRun(workflowId),
      halt: async () => null,
      samples: (store) => world.samplesOf(store, queue),
      log: { debug: silent, info: silent, warn: silent, error: silent },
      namespace: 'default',
      ui: null,
    };
    activities = {
      ...createPlanningActivities(deps),
      ...createStepActivities(deps),
      // Only this one writes to the disk of its own machine, and no run depends on it.
      writeEscapePage: async () => ({ path: 'escape/checkout.md' }),
    } as unknown as Activities;
    byQueue.set(queue, activities);
    return activities;
  };
}

function modelDrivers(world: SimWorld): Map<string, Driver> {
  const make = <R extends Role>(
    type: string,
    role: R,
    port: (component: Component, context: DriverContext, op: () => Promise<void>) => PortOf[R],
  ): [string, Driver] => [
    type,
    {
      type,
      role,
      open: (of: Component, context: DriverContext) => {
        const attempt = currentAttempt();
        return port(of, context, () => attempt.op());
      },
    } as unknown as Driver,
  ];
  return new Map([
    make('postgres', 'store', ({ name }, context, op) => openStore(world, name, context, op)),
    make('traefik', 'router', ({ name }, context, op) => openRouter(world, name, context, op)),
    make('http-contract', 'workload', (_, context, op) => openWorkload(world, context, op)),
    make('http', 'check', (_, context, op) => openCheck(world, context, op)),
  ]);
}
