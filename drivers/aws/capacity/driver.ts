/** What drivers of capacity workloads have in common besides the verbs. */
import type { Component } from '../../../topology/model.ts';
import type { Capabilities, Json } from '../../ports.ts';
import type { CapacityConfig } from './config.ts';

/** @param unit plural, for people */
export function capacityCapabilities(config: Record<string, Json>, unit: string): Capabilities {
  const { quiesce, deadline, drainDeadline } = config as unknown as CapacityConfig;
  return {
    role: 'workload',
    verify: 'readback',
    preflight: true,
    applyMs: Math.max(deadline ?? 0, drainDeadline ?? 0),
    unverifiable: [
      ...(quiesce === 'stop'
        ? []
        : [`that running ${unit} write nothing while standby: what stops their writes is the fence of the store`]),
      `that the load balancer sends requests to new ${unit}: add a check that asks through it`,
    ],
  };
}

type Problem = { path: (string | number)[]; message: string; code: string };

/** One node for each side, no two sides the same place, and no region swapped with another side's. */
export function capacityProblems(component: Component, identity: (node: Record<string, Json>) => string): Problem[] {
  const sides = Object.values(component.sides);
  const regionOf = (side: (typeof sides)[number]) => side.nodes[0]?.config.region;
  const places = sides.map(({ nodes }) => nodes.map(({ config }) => identity(config)).join());
  return sides.flatMap((side, index): Problem[] => {
    const path = ['sides', side.region];
    const found: Problem[] = [];
    if (side.nodes.length !== 1)
      found.push({ path, message: 'needs exactly one node: what it drives is one service', code: 'capacity_one_node' });
    if (places.indexOf(places[index] as string) !== index)
      found.push({ path, message: 'is the same as another side', code: 'capacity_same_side' });
    const named = sides.find((other) => other !== side && other.region === regionOf(side));
    if (named !== undefined && regionOf(side) !== side.region)
      found.push({
        path: [...path, 'region'],
        message: `is ${String(regionOf(side))}, the name of another side: are they swapped?`,
        code: 'capacity_swapped',
      });
    return found;
  });
}
