/** What is wrong with the stores of a run that moves their writable side. Pure. */
import type { Finding, Lag } from '../../drivers/ports.ts';
import { movedBefore } from '../adopted.ts';
import { comparePositions } from '../positions.ts';
import { FRESHNESS_MS, follows, isOpen, type NodeView, nodesAt, reached, type StoreView, sideState } from '../sides.ts';
import { movesStores, type Situation, targetNode } from '../situation.ts';
import { blocker, reprotectCommand, stops, unplannedCommand, warning } from './finding.ts';

export function storeFindings(situation: Situation): Finding[] {
  const { input, course, moving, parts, from } = situation;
  if (course.nothing !== null) return [];
  const found = parts.stores.flatMap((view) => identityFindings(view));
  for (const view of parts.stores) {
    for (const node of view.nodes.filter(isOpen)) {
      const journal = node.seen!.journal!;
      const message = `${node.name} in ${node.region} has an open journal of ${journal.workflowId} (run ${journal.runId}).`;
      const remedy = 'Its saved settings are adopted and put back by this run.';
      found.push(warning('openJournal', message, remedy, { component: view.store.name, region: node.region }));
    }
  }
  found.push(...trafficFindings(situation));
  if (!movesStores(situation)) return found;
  for (const view of moving) {
    found.push(...targetFindings(situation, view));
    if (from !== null) found.push(...sourceFindings(situation, view));
    const own = input.observations.preflight[view.store.name] ?? [];
    // A way begun earlier finds the source as the first run left it; the steps themselves look at what they need.
    found.push(...(course.resumeAt === null ? own : own.map((one) => ({ ...one, severity: 'warning' as const }))));
  }
  return found;
}

/** A reprotect closes the journals and makes the apps small again that a lost ramp sends traffic to. */
function trafficFindings(situation: Situation): Finding[] {
  const { input, parts, from, to } = situation;
  if (input.request.action !== 'reprotect') return [];
  const { name } = input.service;
  return [...parts.endpoints, ...parts.edges].flatMap((router) => {
    if (movedBefore(situation, router) === null) return [];
    const message = `A ramp that did not come to its end has moved the traffic of ${router.name}.`;
    const sides = [...new Set([from, to])].filter((region) => region !== null);
    const ways = sides.map((region) => `rampart start trafficRamp --service ${name} --to ${region}`);
    const remedy = `First send all of it to one side: ${ways.join(', or ')}`;
    return [blocker('trafficMoved', message, remedy, { component: router.name })];
  });
}

function identityFindings(view: StoreView): Finding[] {
  const ids = new Map(view.nodes.flatMap((node) => (node.seen?.systemId ? [[node.seen.systemId, node] as const] : [])));
  if (ids.size < 2) return [];
  const names = [...ids].map(([id, node]) => `${node.name} in ${node.region} is ${id}`).join(', ');
  const message = `The nodes of ${view.store.name} are not one system: ${names}.`;
  const remedy = 'Correct the addresses in the topology, or rebuild the wrong one as a replica.';
  return [blocker('wrongSystemId', message, remedy, { component: view.store.name })];
}

function targetFindings(situation: Situation, view: StoreView): Finding[] {
  const { to, mode, course, reading, input } = situation;
  const rest = { component: view.store.name, region: to };
  const { name } = view.store;
  if (view.store.sides[to] === undefined) {
    return [blocker('noSide', `${name} has no side in ${to}.`, 'Choose another region or add the side.', rest)];
  }
  const target = targetNode(situation, view);
  if (target?.state === 'fenced' && reading.classified.state === 'sourceLost') {
    // The target of an earlier run died before it was promoted: the fenced old source is the rescue.
    const message = `${target.name} in ${to} is fenced: promoting it makes it writable again, on a new timeline.`;
    const remedy = `Make sure that nothing was written in ${situation.from} meanwhile.`;
    return [warning('promotesFenced', message, remedy, rest)];
  }
  if (target === null || target.state !== 'replica') {
    const follower = view.nodes.find((node) => node.region !== to && isLeftBy(view, node, to));
    if (follower !== undefined) return [primaryDown(situation, view, follower)];
    // What cannot be read at all is told by the state.
    if (target === null && sideState(view, to) !== 'stopped') return [];
    const remedy = `Bring it back as a replica first: ${reprotectCommand(input.service.name)}`;
    return [blocker('notReplica', `${name} in ${to} is no replica (${target?.state ?? 'stopped'}).`, remedy, rest)];
  }
  const found: Finding[] = [];
  const whole = course.resumeAt === null && reading.classified.state !== 'sourceLost';
  if (whole && !follows(view, target)) {
    const message = `${target.name} in ${to} does not stream (${target.detail || 'no connection to its primary'}).`;
    const remedy = `Mend its replication, or rebuild it: ${reprotectCommand(input.service.name)}`;
    found.push(stops(mode, 'notStreaming', message, remedy, rest));
  }
  if (whole && mode === 'planned') found.push(...lagFindings(situation, view, target));
  found.push(...timelineFindings(situation, view, target));
  return [...found, ...siblingFindings(situation, view, target), ...betterFindings(situation, view, target)];
}

/**
 * A replica that has nothing of its primary's timeline yet: after a rejoin nothing has reached it. While that primary
 * accepts writes the promotion would be refused, with the source fenced.
 */
function timelineFindings({ input, from, to }: Situation, view: StoreView, target: NodeView): Finding[] {
  const own = target.seen?.timeline ?? null;
  const source = nodesAt(view, from).reduce<NodeView | null>(
    (best, node) => ((node.seen?.timeline ?? 0) > (best?.seen?.timeline ?? 0) ? node : best),
    null,
  );
  const theirs = source?.seen?.timeline ?? null;
  if (source === null || own === null || theirs === null || theirs <= own || source.state === 'replica') return [];
  const rest = { component: view.store.name, region: to };
  const message = `${target.name} in ${to} is on timeline ${own}, ${source.name} in ${from} on ${theirs}: it has nothing of what was written since ${from} was promoted.`;
  if (source.state === 'writable') {
    const remedy = `Wait until it streams, or: ${reprotectCommand(input.service.name)}`;
    return [blocker('oldTimeline', message, remedy, rest)];
  }
  const remedy = `Bring ${from} back instead if there is any way: all of that would be lost.`;
  return [warning('oldTimeline', message, remedy, rest)];
}

/**
 * A run before this one may have begun to promote a node that fell silent: only people can find out. While the store is
 * writable somewhere, or nobody had begun, it is a standby like others.
 */
function siblingFindings({ to, course }: Situation, view: StoreView, target: NodeView): Finding[] {
  if (view.writable.length > 0 || !(course.past || view.nodes.some(isOpen))) return [];
  const silent = nodesAt(view, to).filter((node) => ['unreachable', 'unknown'].includes(node.state));
  return silent.map((node) => {
    const message = `${node.name} in ${to} does not answer: if an earlier run promoted it, it may accept writes beside ${target.name}.`;
    const remedy = 'Look at it and keep it from starting before this is approved.';
    return warning('siblingSilent', message, remedy, { component: view.store.name, region: to });
  });
}

/** A replica whose primary is in that region, stopped, while nothing accepts writes: that one is the primary still. */
function isLeftBy(view: StoreView, node: NodeView, region: string): boolean {
  const upstream = view.nodes.find((one) => one.name === node.seen?.upstream?.node);
  return (
    view.writable.length === 0 &&
    node.state === 'replica' &&
    upstream?.region === region &&
    upstream.state === 'stopped'
  );
}

function primaryDown({ input, to }: Situation, { store }: StoreView, follower: NodeView): Finding {
  const message = `${store.name} in ${to} is the primary, and it is down: ${follower.name} in ${follower.region} replicates from it.`;
  const remedy = `Start its database, then nothing is left to do; if it will not come back: ${unplannedCommand(input.service.name, follower.region)}`;
  return blocker('primaryDown', message, remedy, { component: store.name, region: to });
}

/** Lag against the objective: the tier's RPO, or the cut-over lag where that is wider. */
function lagFindings({ input, to }: Situation, view: StoreView, target: NodeView): Finding[] {
  const { name } = view.store;
  const rest = { component: name, region: to };
  const lag = lagOf(view, target);
  const remedy = 'Wait for a fresh reading; check that the primary can be reached from Rampart.';
  if (lag === null || (lag.bytes === null && lag.seconds === null)) {
    return [blocker('lagUnknown', `How far ${name} in ${to} lags is not known.`, remedy, rest)];
  }
  const age = lag.freshnessMs + (input.now - lag.measuredAt);
  if (!lag.fresh || age > FRESHNESS_MS) {
    const message = `The lag of ${name} in ${to} is ${Math.round(age / 1000)} s old: that is no reading.`;
    return [blocker('lagStale', message, remedy, rest)];
  }
  const { tier, cutoverLag } = input.service;
  const limitMs = Math.max(tier.rpoMs, cutoverLag.ms);
  const late = lag.seconds !== null && lag.seconds * 1000 > limitMs;
  const heavy = lag.seconds === null && lag.bytes !== null && lag.bytes > cutoverLag.bytes;
  if (!late && !heavy) return [];
  const amount = late
    ? `${lag.seconds} s, objective ${limitMs / 1000} s`
    : `${lag.bytes} B, objective ${cutoverLag.bytes} B`;
  const message = `${name} in ${to} lags by ${amount}.`;
  return [
    blocker('lagAboveObjective', message, 'Wait until it has caught up, or accept a longer wait by name.', {
      ...rest,
      override: 'lagAboveObjective',
    }),
  ];
}

/** The replica's own reading, or what its primary says of it. */
export function lagOf(view: StoreView, target: NodeView): Lag | null {
  if (target.seen?.lag) return target.seen.lag;
  const told = view.writable.flatMap((node) => node.seen?.replicas ?? []).find((fact) => fact.node === target.name);
  return told?.lag ?? null;
}

/** A replica elsewhere that holds more than the target does: choosing it would lose less. */
export function betterFindings({ mode, to, reading }: Situation, view: StoreView, target: NodeView): Finding[] {
  if (mode === 'planned' && reading.classified.state !== 'noneWritable') return [];
  const mine = reached(target);
  const better = view.nodes.filter((node) => {
    const theirs = reached(node);
    return (
      node.state === 'replica' &&
      node !== target &&
      theirs !== null &&
      mine !== null &&
      comparePositions(theirs, mine) > 0
    );
  });
  return better.map((node) => {
    const message = `${node.name} in ${node.region} holds more (${reached(node)!.text}) than ${target.name} in ${to} (${mine!.text}).`;
    const remedy = `Going to ${node.region} loses less.`;
    return warning('betterCandidate', message, remedy, { component: view.store.name, region: node.region });
  });
}

/** A planned run fences every node of the source side, so every one must be readable. */
function sourceFindings({ from, mode, course }: Situation, view: StoreView): Finding[] {
  const blind = nodesAt(view, from).filter((node) => ['unreachable', 'unknown', 'stopped'].includes(node.state));
  const primary = sideState(view, from) === 'writable';
  if (mode !== 'planned' || course.past || !primary) return [];
  return blind.map((node) => {
    const message = `${node.name} in ${from} cannot be fenced with its side: ${node.detail || node.state}.`;
    const remedy = 'Bring it back, or take it out of the topology.';
    return blocker('sourceNode', message, remedy, { component: view.store.name, region: from });
  });
}
