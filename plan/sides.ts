/** How one store looks from outside: the state of each of its sides, and the places its steps run at. Pure. */
import type { Millis, NodeObservation, NodeState, Position } from '../drivers/ports.ts';
import type { Component, Node, RegionName } from '../topology/model.ts';
import { comparePositions, furtherOf } from './positions.ts';

/** Longest age, in milliseconds, at which a reading still counts as one. */
export const FRESHNESS_MS = 60_000;

/** One node with what is known of it now: a stale or missing reading is `unknown`. */
export interface NodeView {
  name: string;
  region: RegionName;
  state: NodeState;
  seen: NodeObservation | null;
  /** Why it is not readable, for people. */
  detail: string;
}

/** All nodes of a store with their present states, in the order of the topology. */
export function viewNodes(store: Component, seen: readonly NodeObservation[], now: Millis): NodeView[] {
  const declared = Object.values(store.sides).flatMap((side) =>
    side.nodes.map((node) => viewNode(node.name, side.region, seen, now)),
  );
  // A provider's store may declare no nodes of its own; then the driver's observation is what names them.
  const named = new Set(declared.map((view) => `${view.region} ${view.name}`));
  const extra = seen
    .filter((o) => store.sides[o.region]?.nodes.length === 0 && !named.has(`${o.region} ${o.node}`))
    .map((o) => viewNode(o.node, o.region, seen, now));
  return [...declared, ...extra];
}

function viewNode(name: string, region: RegionName, seen: readonly NodeObservation[], now: Millis): NodeView {
  const found = seen.find((o) => o.node === name && o.region === region) ?? null;
  if (found === null) return { name, region, state: 'unknown', seen: null, detail: 'no reading' };
  const age = now - found.observedAt;
  if (age > FRESHNESS_MS && found.state !== 'unreachable') {
    const detail = `the reading is ${Math.round(age / 1000)} s old`;
    return { name, region, state: 'unknown', seen: found, detail };
  }
  return { name, region, state: found.state, seen: found, detail: found.detail };
}

/** The state of a side as a source: the most dangerous of its nodes decides. `absent`: the store has no such side. */
export type SideState = NodeState | 'absent';

const DANGER: readonly NodeState[] = ['writable', 'unknown', 'unreachable', 'stopped', 'fenced', 'replica'];

export interface StoreView {
  store: Component;
  nodes: NodeView[];
  writable: NodeView[];
}

export function viewStore(store: Component, seen: readonly NodeObservation[] | undefined, now: Millis): StoreView {
  const nodes = viewNodes(store, seen ?? [], now);
  return { store, nodes, writable: nodes.filter((node) => node.state === 'writable') };
}

export function nodesAt(view: StoreView, region: RegionName | null): NodeView[] {
  return view.nodes.filter((node) => node.region === region);
}

export function sideState(view: StoreView, region: RegionName | null): SideState {
  const nodes = nodesAt(view, region);
  if (nodes.length === 0) return region !== null && view.store.sides[region] !== undefined ? 'unknown' : 'absent';
  return DANGER.find((state) => nodes.some((node) => node.state === state))!;
}

/** A side with at least one node that answers conclusively and could become, or is, the primary. */
export function readable(view: StoreView, region: RegionName): boolean {
  return nodesAt(view, region).some((node) => ['writable', 'replica', 'fenced'].includes(node.state));
}

/** The furthest place a node is known to hold: received counts, it is on its disk. */
export function reached(node: NodeView): Position | null {
  return node.seen === null ? null : furtherOf(node.seen.position, node.seen.received);
}

/** A replica that follows the given region, directly or through another replica. Not known counts as no. */
export function follows(view: StoreView, node: NodeView): boolean {
  const upstream = node.seen?.upstream;
  if (node.state !== 'replica' || upstream === null || upstream === undefined || !upstream.streaming) return false;
  const named = upstream.node === null ? undefined : view.nodes.find((other) => other.name === upstream.node);
  return named === undefined || named.state === 'writable' || named.state === 'replica';
}

/** A run opened a journal here and did not close it. */
export function isOpen(node: NodeView): boolean {
  return node.seen?.journal?.open === true;
}

/**
 * The node to promote on a side. Planned: the first healthy replica as declared, since the catch-up makes all equal.
 * Unplanned: the one that is furthest, since that decides what is lost. A fenced node serves only where no replica is.
 */
export function candidateOf(view: StoreView, region: RegionName, mode: 'planned' | 'unplanned'): NodeView | null {
  const side = nodesAt(view, region);
  const already = side.find((node) => node.state === 'writable');
  if (already !== undefined) return already;
  const replicas = side.filter((node) => node.state === 'replica');
  const pool = replicas.length > 0 ? replicas : side.filter((node) => node.state === 'fenced');
  if (mode === 'planned') return pool.find((node) => follows(view, node)) ?? pool[0] ?? null;
  return pool.reduce<NodeView | null>((best, node) => {
    if (best === null) return node;
    const [a, b] = [reached(best), reached(node)];
    return b !== null && (a === null || comparePositions(a, b) < 0) ? node : best;
  }, null);
}

/** The nodes of a side whose steps run at one task queue. */
export interface PlaceGroup {
  /** `''` when the side has one place; else `/<place>`, to make step ids unique. */
  suffix: string;
  queue: string;
  /** `undefined`: all nodes of the side. */
  nodes: string[] | undefined;
}

/** The place-groups of a side: one step each. `only` restricts to some nodes. */
export function placeGroups(component: Component, region: RegionName, only?: (node: Node) => boolean): PlaceGroup[] {
  const all = component.sides[region]?.nodes ?? [];
  if (all.length === 0) return only === undefined ? [{ suffix: '', queue: component.queue, nodes: undefined }] : [];
  const nodes = only === undefined ? all : all.filter(only);
  const queues = [...new Set(nodes.map((node) => node.queue))];
  if (queues.length === 1) {
    const whole = nodes.length === all.length;
    return [{ suffix: '', queue: queues[0]!, nodes: whole ? undefined : nodes.map((node) => node.name) }];
  }
  const taken = new Set<string>();
  return queues.map((queue) => {
    const members = nodes.filter((node) => node.queue === queue);
    const preferred = members[0]!.place ?? queue.split('.').at(-1)!;
    const name = taken.has(preferred) ? queue : preferred;
    taken.add(name);
    return { suffix: `/${name}`, queue, nodes: members.map((node) => node.name) };
  });
}

/** Task queue of a step that concerns a whole side: its nodes' queue if they share one, else the component's. */
export function queueOf(component: Component, region: RegionName | null): string {
  const queues = new Set((region === null ? [] : (component.sides[region]?.nodes ?? [])).map((node) => node.queue));
  return queues.size === 1 ? [...queues][0]! : component.queue;
}
