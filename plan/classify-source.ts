/** Which region was the source of stores that accept writes nowhere any more, and how that is known. Pure. */
import type { RegionName } from '../topology/model.ts';
import type { CompileInput, Plan } from './model.ts';
import { regionsOf } from './parts.ts';
import { type NodeView, nodesAt, type StoreView, sideState } from './sides.ts';

export interface Source {
  from: RegionName | null;
  fromSource: Plan['fromSource'];
}

/**
 * In this order: the one side that is fenced, what the replicas replicate from, the last sample of a writable node,
 * the only side that is not in recovery, the request, and on a pair the other region. The order is shown, since each is
 * weaker than the one before. With more regions nothing is guessed: whoever fences the wrong side promotes beside the
 * right one.
 * @param stores the ones that accept writes nowhere
 * @param to where they are to go; absent while that is not known
 */
export function sourceWhenNoneWritable(
  input: CompileInput,
  stores: readonly StoreView[],
  to: RegionName | undefined,
): Source {
  const { request } = input;
  const others = regionsOf(input).filter((region) => region !== to);
  const inState = (states: readonly string[]) =>
    others.filter((region) => stores.some((view) => states.includes(sideState(view, region))));
  const silent = inState(['unknown', 'unreachable', 'stopped']);
  const sampled = lastWritable(input, stores, to);

  // One that was fenced for an earlier move may be fenced still; what was left since then is another side.
  const fenced = inState(['fenced']).filter((region) => !stores.some((view) => outrun(view, region, to)));
  if (fenced.length === 1) {
    const silentSince = sampled !== null && sampled !== fenced[0] && silent.includes(sampled);
    return silentSince ? { from: sampled, fromSource: 'sample' } : { from: fenced[0]!, fromSource: 'observed' };
  }
  const upstream = upstreamRegion(stores, to);
  if (upstream !== null) return { from: upstream, fromSource: 'primary_conninfo' };
  // Of one that is in recovery now a sample says little while another side does not answer.
  if (sampled !== null && (silent.length === 0 || silent.includes(sampled)))
    return { from: sampled, fromSource: 'sample' };
  if (others.length > 1 && silent.length === 1 && (request.from ?? silent[0]) === silent[0])
    return { from: silent[0]!, fromSource: 'observed' };
  if (request.from !== undefined) return { from: request.from, fromSource: 'request' };
  return { from: others.length === 1 ? others[0]! : null, fromSource: 'none' };
}

/** The region where a sampler last saw one of the stores accept writes. */
function lastWritable(input: CompileInput, stores: readonly StoreView[], to: RegionName | undefined) {
  const samples = stores
    .flatMap((view) => input.observations.samples[view.store.name] ?? [])
    .filter((sample) => sample.state === 'writable' && sample.region !== to)
    .sort((a, b) => b.at - a.at);
  return samples[0]?.region ?? null;
}

/** The replicas at the target are on a later timeline than that side: it was promoted away from before. */
function outrun(view: StoreView, region: RegionName, to: RegionName | undefined): boolean {
  const latest = (nodes: readonly NodeView[]) => Math.max(0, ...nodes.map((node) => node.seen?.timeline ?? 0));
  const side = latest(nodesAt(view, region));
  return side > 0 && side < latest(replicasAt(view, to));
}

const replicasAt = (view: StoreView, to: RegionName | undefined) =>
  (to === undefined ? view.nodes : nodesAt(view, to)).filter((node) => node.state === 'replica');

/** The region that the replicas of the target (or of any side) replicate from. */
function upstreamRegion(stores: readonly StoreView[], to: RegionName | undefined): RegionName | null {
  for (const view of stores) {
    for (const node of replicasAt(view, to)) {
      const origin = originOf(view, node);
      if (origin !== null && origin.region !== node.region && origin.region !== to) return origin.region;
    }
  }
  return null;
}

/** The node at the head of the chain that a replica is in; where its settings lead in a circle, its own upstream. */
function originOf(view: StoreView, replica: NodeView): NodeView | null {
  const first = upstreamOf(view, replica);
  const passed = new Set([replica]);
  for (let head = first; head !== null; ) {
    if (passed.has(head)) return first;
    passed.add(head);
    const next = head.state === 'replica' ? upstreamOf(view, head) : null;
    if (next === null) return head;
    head = next;
  }
  return null;
}

function upstreamOf(view: StoreView, { seen }: NodeView): NodeView | null {
  const upstream = seen?.upstream;
  if (!upstream) return null;
  for (const side of Object.values(view.store.sides)) {
    for (const { name, config } of side.nodes) {
      if (name !== upstream.node && `${config.host}:${config.port}` !== upstream.address) continue;
      return nodesAt(view, side.region).find((node) => node.name === name) ?? null;
    }
  }
  return null;
}
