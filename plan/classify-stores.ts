/** The rows of the observation table for services that keep data. Pure. */
import type { Component, RegionName } from '../topology/model.ts';
import { type Source, sourceWhenNoneWritable } from './classify-source.ts';
import type { Classified, CompileInput } from './model.ts';
import { defaultTo, type Parts, type Reading, regionsOf, weightsOf } from './parts.ts';
import { follows, isOpen, nodesAt, readable, type StoreView, sideState } from './sides.ts';

type Verdict = Reading;

function verdict(
  state: Classified['state'],
  region: RegionName | null,
  text: string,
  route: Omit<Reading, 'classified'>,
  missing: string[] = [],
): Verdict {
  return { ...route, classified: { state, region, text, missing } };
}

const list = (names: readonly string[]) => names.join(', ');
const timelineText = (timeline: number | null) => `timeline ${timeline ?? 'unknown'}`;

/** Decides the row from the most alarming to the most ordinary. */
export function classifyStores(input: CompileInput, parts: Parts): Reading {
  const { stores } = parts;
  if (stores.some((view) => view.writable.length > 1)) return twoWritable(input, stores);
  const writers = [...new Set(stores.flatMap((view) => view.writable.map((node) => node.region)))];
  if (writers.length === 0) return noneWritable(input, stores);
  const settled = stores.every((view) => view.writable.length === 1);
  if (writers.length === 1 && settled) return oneWritable(input, parts, writers[0]!);
  if (writers.length === 1) return someWritable(input, stores, writers[0]!);
  return split(input, stores, writers);
}

/** Two nodes of one store accept writes. The lower timeline is the one to fence. */
function twoWritable(input: CompileInput, stores: readonly StoreView[]): Verdict {
  const dual = stores.find((view) => view.writable.length > 1)!;
  const ranked = [...dual.writable].sort((a, b) => (b.seen?.timeline ?? 0) - (a.seen?.timeline ?? 0));
  const keep = ranked[0]!;
  const to = input.request.to ?? keep.region;
  const from = ranked.findLast((node) => node.region !== to)?.region ?? null;
  const sides = ranked.map((node) => `${node.name} in ${node.region} (${timelineText(node.seen?.timeline ?? null)})`);
  const text = `${dual.store.name} accepts writes at ${ranked.length} places: ${sides.join(' and ')}.`;
  return verdict('twoWritable', from, text, { from, fromSource: from === null ? 'none' : 'observed', to });
}

/** Every store has its one writable side in the same region. */
function oneWritable(input: CompileInput, parts: Parts, active: RegionName): Verdict {
  const { request } = input;
  const stray = parts.endpoints.filter((router) => {
    const seen = input.observations.routers[router.name];
    const weights = weightsOf(input, router);
    // An endpoint that cannot be read is no proof of a run cut short, except where the request wants it to point here.
    if (weights === null) return request.to === active;
    return (weights[active] ?? 0) < 100 || seen?.applied === false;
  });
  const served = (routers: readonly Component[]) => [
    ...new Set(
      routers.flatMap((router) =>
        Object.entries(weightsOf(input, router) ?? {})
          .filter(([region, weight]) => region !== active && weight > 0)
          .map(([region]) => region),
      ),
    ),
  ];
  const elsewhere = served(parts.edges);
  const loose = parts.stores.flatMap((view) =>
    view.nodes.filter((node) => node.state !== 'writable' && !follows(view, node)),
  );
  const open = parts.stores.flatMap((view) => view.nodes.filter(isOpen));
  const unfinished = stray.length > 0 || elsewhere.length > 0 || loose.length > 0 || open.length > 0;
  // Without a target, finishing what was begun is the safe reading on a pair.
  const pair = regionsOf(input).length === 2;
  const begun = stray.length > 0 || open.length > 0 || elsewhere.length > 0;
  const finish =
    request.action === 'reprotect' || request.action === 'refence' || (request.action === 'failover' && pair && begun);
  const to = request.to ?? (finish ? active : defaultTo(input, active));
  const hither = to === active;
  const trace = [...elsewhere, ...served(parts.endpoints), ...[...loose, ...open].map((node) => node.region)];
  const others = [...trace, ...regionsOf(input)].filter((region) => region !== active);
  // A replica that lost its primary, or a share of the traffic, may be anywhere; what was left is in recovery nowhere.
  const left = others.find((region) => loose.some((node) => node.region === region && node.state !== 'replica'));
  const other = request.from !== undefined && request.from !== active ? request.from : (left ?? others[0] ?? null);
  // Traffic may come from any region; the writable side leaves only the active one.
  const ramp = request.action === 'trafficRamp' ? request.from : undefined;
  const route = { from: ramp ?? (hither ? other : active), fromSource: 'observed', to } as const;

  if (!hither && to !== null) {
    const missing = missingAt(parts.stores, to);
    if (missing.length > 0) return verdict('unknown', active, `${to} cannot be read.`, route, missing);
  }
  if (stray.length > 0) {
    const text = `${active} is writable, but ${list(stray.map((router) => router.name))} does not point there.`;
    return verdict('promoted', active, text, route);
  }
  const moving = request.from === undefined ? elsewhere : elsewhere.filter((region) => region === request.from);
  if (hither && moving.length > 0) {
    const text = `${active} is writable and routed; part of the traffic is still at ${list(moving)}.`;
    return verdict('midRamp', active, text, route);
  }
  if (!unfinished || (loose.length === 0 && open.length === 0)) {
    const spread = elsewhere.length > 0 ? ` Part of the traffic goes to ${list(elsewhere)}.` : '';
    return verdict('steady', active, `${active} is active and every other side replicates from it.${spread}`, route);
  }
  const debts = [
    ...loose.map((node) => `${node.name} in ${node.region} does not replicate (${node.state})`),
    ...[...new Set(open.map((node) => node.region))].map((region) => `a journal is open in ${region}`),
  ];
  return verdict('unsettled', active, `${active} is active and routed, but ${debts.join('; ')}.`, route);
}

/** What cannot be read at a region, per store. */
function missingAt(stores: readonly StoreView[], region: RegionName): string[] {
  return stores
    .filter((view) => view.store.sides[region] !== undefined && !readable(view, region))
    .flatMap((view) => {
      const side = nodesAt(view, region).filter((node) => node.state !== 'stopped');
      return side.map((node) => `${view.store.name}: ${node.name} in ${region} (${node.detail || node.state})`);
    });
}

/** Some stores are writable in one region, the others nowhere. */
function someWritable(input: CompileInput, stores: readonly StoreView[], region: RegionName): Verdict {
  const { request } = input;
  const rest = stores.filter((view) => view.writable.length === 0);
  const inRecovery = rest.every((view) => sideState(view, region) === 'replica');
  const to = request.to ?? (inRecovery ? region : defaultTo(input, region));
  // Where the rest is to follow, one node of a side that can be promoted is enough.
  if (!inRecovery && to !== region) return lostOrFenced(stores, { from: region, fromSource: 'observed', to });
  const source = to === region ? sourceOfRest(input, rest, to) : { from: region, fromSource: 'observed' as const };
  const missing = to === region ? missingAt(rest, to) : [];
  if (missing.length > 0) return verdict('unknown', source.from, `${to} cannot be read.`, { ...source, to }, missing);
  const done = list(stores.filter((view) => view.writable.length > 0).map((view) => view.store.name));
  const text = `${region} is writable for ${done}, but not yet for ${list(rest.map((view) => view.store.name))}.`;
  return verdict('partlyPromoted', region, text, { ...source, to });
}

/** The rest is on its way from a side that is to be fenced, which the rest alone tells; traffic may come from any. */
function sourceOfRest(input: CompileInput, rest: readonly StoreView[], to: RegionName): Source {
  const { action, from } = input.request;
  if (action === 'trafficRamp' && from !== undefined) return { from, fromSource: 'observed' };
  return sourceWhenNoneWritable(input, rest, to);
}

/** Stores are writable in different regions. */
function split(input: CompileInput, stores: readonly StoreView[], writers: readonly RegionName[]): Verdict {
  // A service that is split was on its way from its home, more often than not; only the request can say otherwise.
  const away = writers.filter((region) => region !== input.service.home);
  const to = defaultTo(input, null) ?? (away.length === 1 ? away[0]! : null);
  const left = writers.filter((region) => region !== to);
  const from = left.find((region) => region === input.request.from) ?? left[0] ?? null;
  const where = stores.map(
    (view) => `${view.store.name} in ${list(view.writable.map((n) => n.region)) || 'no region'}`,
  );
  const region = to !== null && writers.includes(to) ? to : (writers[0] ?? null);
  const text = `The service is split across regions: ${where.join(', ')}.`;
  return verdict('partlyPromoted', region, text, { from, fromSource: 'observed', to });
}

/** Nothing accepts writes anywhere. */
function noneWritable(input: CompileInput, stores: readonly StoreView[]): Verdict {
  const { from, fromSource } = sourceWhenNoneWritable(input, stores, input.request.to);
  const to = defaultTo(input, from);
  const source = from === to ? (regionsOf(input).find((region) => region !== to) ?? null) : from;
  return lostOrFenced(stores, { from: source, fromSource: from === to ? 'none' : fromSource, to });
}

/** The source does not accept writes for at least one store: is it fenced, lost, or is nothing certain? */
function lostOrFenced(stores: readonly StoreView[], route: Omit<Reading, 'classified'>): Verdict {
  const { from, to } = route;
  const missing = to === null ? [] : missingAt(stores, to);
  if (missing.length > 0) return verdict('unknown', from, `${to} cannot be read.`, route, missing);
  const at = (state: string) => stores.filter((view) => sideState(view, from) === state);
  const lost = [...at('unknown'), ...at('unreachable'), ...at('stopped')];
  if (lost.length > 0) {
    const down = lost.map((view) => {
      const node = nodesAt(view, from).find((n) => ['unknown', 'unreachable', 'stopped'].includes(n.state));
      return `${view.store.name} (${node?.detail || node?.state})`;
    });
    const alive = at('writable').map((view) => view.store.name);
    const rest = alive.length > 0 ? ` ${list(alive)} is still writable there.` : '';
    return verdict('sourceLost', from, `${from} is lost for ${down.join(', ')}.${rest}`, route);
  }
  const fenced = at('fenced');
  const ready = to !== null && stores.every((view) => nodesAt(view, to).some((node) => node.state === 'replica'));
  if (fenced.length > 0 && at('replica').length === 0 && ready) {
    const open = at('writable').map((view) => view.store.name);
    const rest = open.length > 0 ? ` ${list(open)} is not fenced yet.` : '';
    const names = list(fenced.map((view) => view.store.name));
    return verdict('fenced', from, `${from} is fenced for ${names}; ${to} is not promoted.${rest}`, route);
  }
  const far = stores.flatMap((view) =>
    view.nodes.map(
      (n) =>
        `${n.name} in ${n.region}: ${n.state} at ${n.seen?.position?.text ?? 'unknown'} on ${timelineText(n.seen?.timeline ?? null)}`,
    ),
  );
  const parted = stores.filter((view) => new Set(view.nodes.flatMap((n) => n.seen?.timeline ?? [])).size > 1);
  const warning =
    parted.length === 0
      ? ''
      : ` The sides of ${list(parted.map((view) => view.store.name))} have parted: each may hold writes that the other lacks.`;
  return verdict('noneWritable', from, `No side accepts writes. ${far.join('; ')}.${warning}`, route);
}
