/** What the row of the observation table refuses, by mode. Pure. */
import type { Finding } from '../../drivers/ports.ts';
import { sourceWhenNoneWritable } from '../classify-source.ts';
import { nodesAt, type StoreView, sideState } from '../sides.ts';
import { movesStores, type Situation } from '../situation.ts';
import { blocker, escapeCommand, reprotectCommand, unplannedCommand, warning } from './finding.ts';
import { refenceFindings } from './refence.ts';

export function stateFindings(situation: Situation): Finding[] {
  const { input, course } = situation;
  if (course.nothing !== null) return [];
  const { action } = input.request;
  if (action === 'reprotect') return reprotectFindings(situation);
  if (action === 'refence') return refenceFindings(situation);
  const common = situation.reading.classified.state === 'twoWritable' ? splitBrain(situation) : [];
  return action === 'trafficRamp' ? [...common, ...rampFindings(situation)] : [...common, ...moveFindings(situation)];
}

function splitBrain({ reading, mode, from, to, parts, input }: Situation): Finding[] {
  const { text } = reading.classified;
  const name = input.service.name;
  const dual = parts.stores.find((view) => view.writable.length > 1);
  const inside = dual !== undefined && dual.writable.filter((node) => node.region === to).length > 1;
  if (mode === 'planned' || input.request.action !== 'failover' || from === null || inside) {
    const remedy = inside
      ? `Fence one of them by hand: ${escapeCommand(name)} prints the commands.`
      : `Decide which side is right, then: ${unplannedCommand(name, to)} (it fences the lower timeline first).`;
    return [blocker('splitBrain', text, remedy)];
  }
  const lineOf = (region: string) =>
    Math.max(
      0,
      ...(dual?.writable.filter((node) => node.region === region).map((node) => node.seen?.timeline ?? 0) ?? []),
    );
  // What is writable beside the two sides of this run is told by its own finding.
  if (elsewhere(dual, from, to).length > 0 || lineOf(to) >= lineOf(from)) return [];
  const message = `${to} is on timeline ${lineOf(to)}, ${from} on the higher ${lineOf(from)}: the lower one is to be fenced.`;
  return [blocker('lowerTimeline', message, `Go to ${from}, or accept it by name.`, { override: 'lowerTimeline' })];
}

function moveFindings(situation: Situation): Finding[] {
  const { reading, mode, from, to, input, parts, course } = situation;
  const { classified } = reading;
  const name = input.service.name;
  const found: Finding[] = [];
  if (classified.state === 'unknown') {
    const missing = classified.missing.join('; ') || 'a reading';
    const message = `${classified.text} Missing: ${missing}.`;
    found.push(blocker('unknownState', message, 'Mend the reading named here and plan again.'));
  }
  if (movesStores(situation)) found.push(...parts.stores.flatMap((view) => otherSource(situation, view)));
  const unclear = parts.stores.flatMap((view) => nodesAt(view, from).filter((node) => node.state === 'unknown'));
  if (classified.state === 'sourceLost' && unclear.length > 0) {
    const which = unclear.map((node) => `${node.name} in ${from} (${node.detail || 'no clear answer'})`).join(', ');
    const message = `Whether the source still accepts writes is not known: ${which}.`;
    const remedy = 'Mend the reading (address, credentials, rights) and plan again';
    const accept = mode === 'unplanned' ? { override: 'sourceUnclear' } : {};
    const or = mode === 'unplanned' ? ', or accept by name that it may still be alive.' : '.';
    found.push(blocker('sourceUnclear', message, remedy + or, { ...accept, region: from }));
  } else if (classified.state === 'sourceLost' && mode === 'planned') {
    const message = `${classified.text} A planned run needs a healthy source.`;
    found.push(
      blocker('sourceLost', message, `If it will not come back: ${unplannedCommand(name, to)}`, { region: from }),
    );
  }
  if ((classified.state === 'sourceLost' || classified.state === 'fenced') && classified.region === to) {
    const message = `${to} is the side that is ${classified.state === 'fenced' ? 'fenced' : 'lost'}.`;
    const remedy = `Go to the other side, or free the store by hand: ${escapeCommand(name)}`;
    found.push(blocker('targetLost', message, remedy, { region: to }));
  }
  const whole = course.resumeAt === null && from !== null && parts.stores.length > 0;
  if (whole && mode === 'unplanned' && parts.stores.every((view) => sideState(view, from) === 'writable')) {
    const message = `${from} is healthy and accepts writes: an unplanned run would lose data for nothing.`;
    found.push(
      blocker('healthySource', message, 'Use the mode planned, or accept it by name.', {
        override: 'healthySource',
        region: from,
      }),
    );
  }
  if (whole && mode === 'unplanned' && parts.stores.length > 0 && classified.state === 'sourceLost') {
    const streaming = parts.stores.flatMap((view) =>
      nodesAt(view, to).filter((node) => node.seen?.upstream?.streaming && sideState(view, from) === 'unreachable'),
    );
    for (const node of streaming) {
      const message = `${node.name} in ${to} still has a replication connection to ${from}: the source may be alive.`;
      found.push(warning('sourceMayLive', message, 'Look at it once more before approving.', { region: from }));
    }
  }
  if (
    parts.stores.length === 0 &&
    mode === 'unplanned' &&
    classified.state === 'steady' &&
    statelessHealthy(situation)
  ) {
    const message = `${from} is healthy and serves the traffic.`;
    found.push(
      blocker('healthySource', message, 'Use the mode planned, or accept it by name.', {
        override: 'healthySource',
        region: from,
      }),
    );
  }
  return found;
}

/** Regions besides the two of a run where a store accepts writes. */
const elsewhere = (view: StoreView | undefined, from: string, to: string): string[] => [
  ...new Set(view?.writable.map((node) => node.region).filter((region) => region !== from && region !== to)),
];

/** A plan leaves one side and fences that one alone: a store that may be written at a third one must not be promoted. */
function otherSource({ input, reading, mode, from, to }: Situation, view: StoreView): Finding[] {
  if (from === null) return [];
  const { name } = view.store;
  const rest = { component: name };
  const way = `this run leaves ${from} for ${to}: it would not be fenced`;
  const byHand = `fence it by hand: ${escapeCommand(input.service.name)}`;
  const writers = elsewhere(view, from, to);
  if (writers.length > 0) {
    const message = `${name} accepts writes in ${writers.join(' and ')}, and ${way}.`;
    return [blocker('otherSource', message, `Name it with --from or --to, or ${byHand}.`, rest)];
  }
  const source = view.writable.length > 0 ? null : sourceWhenNoneWritable(input, [view], to).from;
  if (source === null || source === from || sideState(view, source) === 'replica') return [];
  const message = `${name} was active in ${source} as far as can be told (now ${sideState(view, source)}), and ${way}.`;
  const { state, region } = reading.classified;
  const begun = state === 'partlyPromoted' && region !== null && region !== to;
  const first = begun
    ? `Finish the way to ${region} first: ${unplannedCommand(input.service.name, region)}`
    : `Bring that side back, or ${byHand}`;
  if (mode === 'planned') return [blocker('otherSource', message, `${first}.`, rest)];
  const remedy = `${first}; or accept by name that it may still be alive.`;
  return [blocker('otherSource', message, remedy, { ...rest, override: 'sourceUnclear' })];
}

function statelessHealthy({ input, parts, from }: Situation): boolean {
  const seen = parts.workloads.flatMap((workload) => input.observations.workloads[workload.name] ?? []);
  const source = seen.filter((workload) => workload.region === from);
  return source.length > 0 && source.every((workload) => workload.reachable && workload.ready === true);
}

function rampFindings({ parts, input, from, to, reading }: Situation): Finding[] {
  const found: Finding[] = [];
  const { name } = input.service;
  if (parts.edges.length === 0) {
    found.push(
      blocker('noEdge', `${name} has no router that carries shares of traffic.`, 'Use a failover to move it.'),
    );
  }
  const away = parts.stores.filter((view) => !view.writable.some((node) => node.region === to));
  if (input.service.writes === 'local' && away.length > 0) {
    const message = `The app of ${name} writes in one region at a time, and ${to} is not the active one.`;
    found.push(blocker('writesLocal', message, 'Use a failover, which moves the writable side first.', { region: to }));
  }
  if (['sourceLost', 'noneWritable', 'unknown'].includes(reading.classified.state) && parts.stores.length > 0) {
    const remedy = 'A ramp moves requests, not data: look at the stores as well.';
    found.push(warning('storesNotWell', reading.classified.text, remedy, { region: from }));
  }
  return found;
}

function reprotectFindings({ parts, input, to, regions }: Situation): Finding[] {
  const { name } = input.service;
  const found: Finding[] = [];
  for (const view of parts.stores) {
    const at = view.writable.map((node) => node.region);
    if (at.length === 1 && at[0] === to) continue;
    const where = at.length === 0 ? 'nowhere' : `in ${at.join(' and ')}`;
    const message = `${view.store.name} is writable ${where}: a replica can only follow the one writable side.`;
    const remedy =
      at.length === 1
        ? `Leave --to out, or finish the failover first.`
        : at.length === 0
          ? `Start the database that was the primary, or finish the failover; then ${reprotectCommand(name)}.`
          : `Finish the failover first; then ${reprotectCommand(name)}.`;
    found.push(blocker(at.length > 1 ? 'splitBrain' : 'notPrimary', message, remedy, { component: view.store.name }));
  }
  const wanted = input.request.from === undefined ? regions : [input.request.from];
  for (const view of parts.stores) {
    for (const node of view.nodes) {
      if (!wanted.includes(node.region) || !['unreachable', 'unknown'].includes(node.state)) continue;
      const message = `${node.name} in ${node.region} cannot be read (${node.detail || node.state}).`;
      const rest = { component: view.store.name, region: node.region };
      found.push(blocker('sideUnreachable', message, 'Bring its host and worker back first.', rest));
    }
  }
  return found;
}
