/** The pieces of a service that planning looks at: components by role, regions, weights, and where a request leads. Pure. */
import type { Weights } from '../drivers/ports.ts';
import type { Component, RegionName } from '../topology/model.ts';
import type { Classified, CompileInput, Plan } from './model.ts';
import { type StoreView, viewStore } from './sides.ts';

export interface Reading {
  classified: Classified;
  from: RegionName | null;
  fromSource: Plan['fromSource'];
  /** `null` when the request names none and more than one is possible. */
  to: RegionName | null;
}

export interface Parts {
  stores: StoreView[];
  /** Routers that point at exactly one region. */
  endpoints: Component[];
  /** Routers that carry shares of the traffic. */
  edges: Component[];
  workloads: Component[];
  checks: Component[];
}

/** The service's components by what they are for. */
export function partsOf({ service, components, observations, now }: CompileInput): Parts {
  const named = [...new Set([...service.components, ...service.checks])].flatMap((name) => components[name] ?? []);
  const role = (wanted: Component['role']) => named.filter((component) => component.role === wanted);
  return {
    stores: role('store').map((store) => viewStore(store, observations.stores[store.name], now)),
    endpoints: role('router').filter((router) => router.capabilities.kind === 'endpoint'),
    edges: role('router').filter((router) => router.capabilities.kind !== 'endpoint'),
    workloads: role('workload'),
    checks: role('check'),
  };
}

/** Every region the service knows, home first. */
export function regionsOf({ service, components }: Pick<CompileInput, 'service' | 'components'>): RegionName[] {
  const sides = [...service.components, ...service.checks].flatMap((name) =>
    Object.keys(components[name]?.sides ?? {}),
  );
  return [...new Set([service.home, ...service.standby, ...sides])];
}

/** Weights of a router, or `null` when it could not be read. */
export function weightsOf(input: CompileInput, router: Component): Weights | null {
  const seen = input.observations.routers[router.name];
  return seen?.reachable ? seen.weights : null;
}

/** Where a request without `to` goes: home on a failback, else the only other region. */
export function defaultTo(input: CompileInput, away: RegionName | null): RegionName | null {
  const { request, service } = input;
  if (request.to !== undefined) return request.to;
  if (request.action === 'failback') return service.home;
  const left = request.from ?? away;
  const others = regionsOf(input).filter((region) => region !== left);
  return left !== null && others.length === 1 ? others[0]! : null;
}
