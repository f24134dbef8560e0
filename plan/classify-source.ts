/** Which region was the source when nothing accepts writes any more, and how that is known. Pure. */
import type { Component, RegionName } from '../topology/model.ts';
import type { CompileInput, Plan } from './model.ts';
import { regionsOf } from './parts.ts';
import { nodesAt, type StoreView, sideState } from './sides.ts';

interface Source {
  from: RegionName | null;
  fromSource: Plan['fromSource'];
}

/**
 * In this order: the one side that is fenced, what the replicas replicate from, the last sample of a writable node,
 * the request, and on a pair the other region. The order is shown, since each is weaker than the one before.
 */
export function sourceWhenNoneWritable(input: CompileInput, stores: readonly StoreView[]): Source {
  const { request } = input;
  const others = regionsOf(input).filter((region) => region !== request.to);
  const fenced = others.filter((region) => stores.some((view) => sideState(view, region) === 'fenced'));
  if (fenced.length === 1) return { from: fenced[0]!, fromSource: 'observed' };

  const upstream = upstreamRegion(stores, request.to);
  if (upstream !== null && upstream !== request.to) return { from: upstream, fromSource: 'primary_conninfo' };

  const samples = stores
    .flatMap((view) => input.observations.samples[view.store.name] ?? [])
    .filter((sample) => sample.state === 'writable' && sample.region !== request.to)
    .sort((a, b) => b.at - a.at);
  if (samples.length > 0) return { from: samples[0]!.region, fromSource: 'sample' };

  if (request.from !== undefined) return { from: request.from, fromSource: 'request' };
  return { from: others.length === 1 ? others[0]! : null, fromSource: 'none' };
}

/** The region that the replicas of the target (or of any side) name as their upstream. */
function upstreamRegion(stores: readonly StoreView[], to: RegionName | undefined): RegionName | null {
  for (const view of stores) {
    const replicas = (to === undefined ? view.nodes : nodesAt(view, to)).filter((node) => node.state === 'replica');
    for (const node of replicas) {
      const upstream = node.seen?.upstream;
      const region = upstream && regionOfUpstream(view.store, upstream);
      if (region && region !== node.region) return region;
    }
  }
  return null;
}

function regionOfUpstream(store: Component, upstream: { address: string; node: string | null }): RegionName | null {
  for (const side of Object.values(store.sides)) {
    for (const node of side.nodes) {
      if (node.name === upstream.node) return side.region;
      if (`${node.config.host}:${node.config.port}` === upstream.address) return side.region;
    }
  }
  return null;
}
