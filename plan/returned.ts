/**
 * The old primary that came back by itself: which side it is, and what speaks against fencing it. Pure. The guard asks
 * before it starts a refence, and the refence's own plan asks again: only a side that is certainly not the active one
 * is ever fenced.
 */
import type { Weights } from '../drivers/ports.ts';
import type { Component, RegionName } from '../topology/model.ts';
import { type NodeView, nodesAt, type StoreView } from './sides.ts';

/** A writable node behind another writable node of the same store. */
export interface Returned {
  component: string;
  region: RegionName;
  node: string;
  timeline: number;
  /** The side that is further, and stays. */
  keep: { region: RegionName; node: string; timeline: number };
}

/** Routers of a service and what they send where now; `null` where that could not be read. */
export interface Routes {
  endpoints: readonly Component[];
  edges: readonly Component[];
  weights(router: Component): Weights | null;
  /** False when what is configured is not what the system applies. */
  applied(router: Component): boolean;
}

/** Writable nodes on a lower timeline than exactly one other writable node of their store. */
export function returnedPrimaries(stores: readonly StoreView[]): Returned[] {
  return stores.flatMap((view) => {
    const ranked = [...view.writable].sort((a, b) => timelineOf(b) - timelineOf(a));
    const keep = ranked[0];
    if (keep === undefined || timelineOf(keep) === 0) return [];
    return ranked
      .slice(1)
      .filter((node) => node.region !== keep.region && timelineOf(node) > 0 && timelineOf(node) < timelineOf(keep))
      .map((node) => ({
        component: view.store.name,
        region: node.region,
        node: node.name,
        timeline: timelineOf(node),
        keep: { region: keep.region, node: keep.name, timeline: timelineOf(keep) },
      }));
  });
}

const timelineOf = (node: NodeView): number => node.seen?.timeline ?? 0;

/**
 * Why `from` must not be fenced without a second look: an empty list says that every store with a side there has its
 * one other writable side in `to`, on a higher timeline of the same database, and that clients are sent to `to`.
 */
export function doubtsAboutFencing(
  stores: readonly StoreView[],
  routes: Routes,
  from: RegionName,
  to: RegionName,
): string[] {
  const concerned = stores.filter((view) =>
    nodesAt(view, from).some((node) => mayWrite(node) || node.state === 'unknown'),
  );
  return [...concerned.flatMap((view) => storeDoubts(view, from, to)), ...routeDoubts(routes, from, to)];
}

/** Nodes that accept writes, or would after a start. */
export function mayWrite(node: NodeView): boolean {
  return node.state === 'writable' || node.state === 'stopped';
}

function storeDoubts(view: StoreView, from: RegionName, to: RegionName): string[] {
  const { name } = view.store;
  const kept = view.writable.filter((node) => node.region === to);
  const others = view.writable.filter((node) => node.region !== to && node.region !== from);
  const doubts: string[] = [];
  if (view.store.capabilities.cutover === 'atomic')
    doubts.push(`${name} is switched by its provider: Rampart has no fence for one side of it`);
  if (kept.length !== 1) {
    const is = nodesAt(view, to).map((node) => `${node.name} is ${node.state}`);
    doubts.push(`${name} has ${kept.length} writable nodes in ${to} (${is.join(', ') || 'no node'}), not one`);
  }
  for (const node of others) doubts.push(`${node.name} in ${node.region} accepts writes as well`);
  for (const node of view.nodes.filter((one) => one.state === 'unknown'))
    doubts.push(`the state of ${node.name} in ${node.region} is not known (${node.detail || 'no clear answer'})`);
  const keep = kept[0];
  if (keep === undefined) return doubts;
  for (const node of nodesAt(view, from).filter(mayWrite)) {
    const [low, high] = [node.seen?.timeline ?? null, keep.seen?.timeline ?? null];
    if (low === null || high === null)
      doubts.push(`the timeline of ${low === null ? node.name : keep.name} is not known`);
    else if (low >= high)
      doubts.push(
        `${node.name} in ${from} is on timeline ${low}, ${keep.name} in ${to} on ${high}: it is not certain which side is the old one`,
      );
    const [mine, theirs] = [node.seen?.systemId ?? null, keep.seen?.systemId ?? null];
    if (mine === null || theirs === null || mine !== theirs)
      doubts.push(
        `${node.name} and ${keep.name} are not known to be the same database (${mine ?? '?'}, ${theirs ?? '?'})`,
      );
  }
  return doubts;
}

/**
 * A higher timeline alone does not make a side the active one: somebody may have promoted a standby by mistake while
 * every client writes to the old primary. The writer endpoint tells; without one, the edge does.
 */
function routeDoubts(routes: Routes, from: RegionName, to: RegionName): string[] {
  const { endpoints, edges } = routes;
  if (endpoints.length === 0 && edges.length === 0)
    return [`no router of the service says whether clients write to ${to} or to ${from}`];
  const asked = endpoints.length > 0 ? endpoints : edges;
  return asked.flatMap((router) => {
    const weights = routes.weights(router);
    if (weights === null) return [`${router.name} cannot be read, so it is not known that clients are sent to ${to}`];
    if (!routes.applied(router)) return [`${router.name} does not apply what it is configured to do`];
    if ((weights[from] ?? 0) > 0) return [`${router.name} sends ${weights[from]} % to ${from}`];
    return (weights[to] ?? 0) > 0 ? [] : [`${router.name} sends nothing to ${to}`];
  });
}
