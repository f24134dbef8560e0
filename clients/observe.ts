/**
 * Looks at a service from this machine, with the drivers alone: no Temporal, no worker, nothing changed. What this
 * machine cannot reach or has no credential for is said, never guessed.
 */
import type { Driver, NodeObservation } from '../drivers/ports.ts';
import { within } from '../drivers/within.ts';
import { classify } from '../plan/classify.ts';
import type { Classified, CompileInput, Observations, Request } from '../plan/model.ts';
import type { Reading } from '../plan/parts.ts';
import type { Component, Service, Topology } from '../topology/model.ts';
import { abortable } from './abortable.ts';
import type { Env } from './connection.ts';
import { type Beside, localContext, NOWHERE, openPort } from './local-context.ts';

export interface Look {
  at: number;
  observations: Observations;
  reading: Reading;
  classified: Classified;
  /** What could not be seen from here, a sentence each. */
  unseen: string[];
}

export interface LookOptions {
  drivers: ReadonlyMap<string, Driver>;
  env: Env;
  /** Longest time for the whole look, in milliseconds. */
  budgetMs: number;
  beside?: Beside;
  /** Where the service is to go, and what it is to leave, for the classification. */
  to?: string;
  from?: string;
  signal?: AbortSignal;
}

/** The service's components and checks, by name. */
export function componentsOf(topology: Topology, service: Service): Record<string, Component> {
  const names = [...service.components, ...service.checks, ...service.ramp.analysis];
  return Object.fromEntries(names.map((name) => [name, topology.components[name]!]));
}

/** Observes stores, routers and workloads of a service. Never throws for what does not answer. */
export async function lookAt(topology: Topology, service: Service, options: LookOptions): Promise<Look> {
  const { drivers, env, budgetMs, beside = NOWHERE } = options;
  const budget = within(budgetMs);
  const signal = options.signal === undefined ? budget : AbortSignal.any([budget, options.signal]);
  const context = localContext(env, service.name, signal, beside);
  const components = componentsOf(topology, service);
  const observations: Observations = {
    stores: {},
    routers: {},
    workloads: {},
    checks: {},
    places: {},
    preflight: {},
    samples: {},
  };
  const unseen: string[] = [];
  const late = `no answer within ${budgetMs / 1000} s`;
  const answer = <T>(call: Promise<T>): Promise<T> =>
    abortable(call, signal).catch((error: unknown) => {
      throw budget.aborted && error === signal.reason ? new Error(late) : error;
    });

  const one = async (component: Component): Promise<void> => {
    const regions = Object.keys(component.sides).sort();
    const say = (what: string, error: unknown): string => {
      const why = error instanceof Error ? error.message : String(error);
      unseen.push(`${what}: ${why}`);
      return why;
    };
    if (component.role === 'store') {
      const sides = await Promise.all(
        regions.map((region) =>
          attempt(() => answer(openPort<'store'>(drivers, component, context).observe({ region }))).catch((error) => {
            const why = say(`${component.name} in ${region}`, error);
            return component.sides[region]!.nodes.map((node) => unseenNode(node.name, region, why));
          }),
        ),
      );
      observations.stores[component.name] = sides.flat();
      for (const node of sides.flat()) {
        if (node.state === 'unreachable' || node.state === 'unknown') {
          const line = `${component.name}, ${node.node} in ${node.region}: ${node.detail || node.state}`;
          if (!unseen.some((known) => known.startsWith(`${component.name} in ${node.region}:`))) unseen.push(line);
        }
      }
    } else if (component.role === 'router') {
      observations.routers[component.name] = await attempt(() =>
        answer(openPort<'router'>(drivers, component, context).observe()),
      ).catch((error) => ({
        reachable: false,
        weights: null,
        applied: false,
        observedAt: Date.now(),
        detail: say(component.name, error),
        claim: null,
      }));
    } else if (component.role === 'workload') {
      observations.workloads[component.name] = await Promise.all(
        regions.map((region) =>
          attempt(() => answer(openPort<'workload'>(drivers, component, context).observe(region))).catch((error) => ({
            region,
            reachable: false,
            state: 'unknown' as const,
            ready: null,
            inflight: null,
            capacity: null,
            observedAt: Date.now(),
            detail: say(`${component.name} in ${region}`, error),
          })),
        ),
      );
    }
  };
  await Promise.all([...new Set(service.components)].map((name) => one(components[name]!)));

  const request: Request = { action: 'failover', service: service.name };
  if (options.to !== undefined) request.to = options.to;
  if (options.from !== undefined) request.from = options.from;
  const input: CompileInput = {
    request,
    topologyDigest: topology.digest,
    service,
    components,
    observations,
    now: Date.now(),
  };
  const reading = classify(input);
  return { at: input.now, observations, reading, classified: reading.classified, unseen: unseen.sort() };
}

/** A driver may throw before it returns a promise. */
async function attempt<T>(call: () => Promise<T>): Promise<T> {
  return call();
}

function unseenNode(node: string, region: string, detail: string): NodeObservation {
  return {
    node,
    region,
    state: 'unknown',
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
