/** Systems that answer at once and are well: what is measured is what Rampart and Temporal take themselves. */
import type { Driver, NodeObservation, Router, Store } from '../drivers/ports.ts';
import { drivers } from '../drivers/registry.ts';
import type { Component } from '../topology/model.ts';

/** The real drivers' names, answering at once: the first region is active, the others replicate. */
export function instant(components: readonly Component[]): ReadonlyMap<string, Driver> {
  const known = new Map(drivers);
  for (const { type, role } of components) {
    const open = ((component: Component) =>
      role === 'store' ? storeOf(component.sides) : routerOf(component.sides)) as unknown as Driver['open'];
    known.set(type, { ...drivers.get(type)!, open } as Driver);
  }
  return known;
}

function storeOf(sides: Component['sides']): Pick<Store, 'observe' | 'sample' | 'preflight'> {
  const [active] = Object.keys(sides);
  const primary = sides[active!]!.nodes[0]!.name;
  const observe: Store['observe'] = async ({ region }) =>
    sides[region]!.nodes.map(({ name }): NodeObservation => {
      const now = Date.now();
      const writable = name === primary;
      const position = { text: '0/3054458', order: '50676824', timeline: 1 };
      return {
        node: name,
        region,
        state: writable ? 'writable' : 'replica',
        via: 'network',
        observedAt: now,
        systemId: '7571',
        timeline: 1,
        position,
        received: writable ? null : position,
        upstream: writable ? null : { address: 'x:5432', node: primary, streaming: true },
        lag: writable ? null : { bytes: 0, seconds: 0, measuredAt: now, freshnessMs: 10, fresh: true },
        replicas: [],
        fence: null,
        sync: null,
        claim: null,
        journal: null,
        slots: [],
        detail: '',
      };
    });
  return { observe, sample: observe, preflight: async () => [] };
}

function routerOf(sides: Component['sides']): Pick<Router, 'observe'> {
  const regions = Object.keys(sides);
  const weights = Object.fromEntries(regions.map((region, i) => [region, i === 0 ? 100 : 0]));
  return {
    observe: async () => ({ reachable: true, weights, applied: true, observedAt: Date.now(), detail: '', claim: null }),
  };
}
