/**
 * From one look at a service to what people should know of it. Pure: the clock is passed in, what must be remembered
 * is in the memory that is handed on.
 */
import type { Lag, Millis } from '../../drivers/ports.ts';
import type { Component } from '../../topology/model.ts';
import { lagOf } from '../findings/stores.ts';
import { doubtsAboutFencing, type Routes, returnedPrimaries } from '../returned.ts';
import { FRESHNESS_MS, type StoreView, viewStore } from '../sides.ts';
import type { Health, HealthCode, HealthFinding, Look, Memory } from './model.ts';
import { routerFindings } from './routers.ts';
import { type Draft, storeFindings } from './stores.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** How long something must last before it is said, in milliseconds, when that is not the tier's freeze budget. */
const HOLD_MS: Record<Exclude<HealthCode, 'noneWritable'>, Millis> = {
  // Every second counts, and a look that shows it is proof enough.
  twoWritable: 0,
  noWeights: 0,
  // A run that has just ended may still be on its way into its lists.
  fenceForgotten: 10 * SECOND,
  writerAstray: 10 * SECOND,
  openJournal: 10 * SECOND,
  trafficElsewhere: 10 * SECOND,
  routerUnreadable: 10 * SECOND,
  routerNotApplied: 10 * SECOND,
  // A restart of a database, a short break of its link.
  nodeUnreadable: 30 * SECOND,
  lagAboveObjective: 30 * SECOND,
  lagUnknown: 30 * SECOND,
  protectionDebt: 30 * SECOND,
  syncSuspended: 30 * SECOND,
  slotLost: 30 * SECOND,
  // A replica that reconnects leaves its slot idle for a while.
  orphanSlot: 5 * MINUTE,
  proofOld: 0,
  neverProven: 0,
  topologyUnreadable: 0,
};

/** What a run on the way does on purpose, or is about to mend: said only when no run is at work. */
const RUNS_WORK: readonly HealthCode[] = [
  'fenceForgotten',
  'writerAstray',
  'openJournal',
  'trafficElsewhere',
  'routerNotApplied',
  'protectionDebt',
  'syncSuspended',
];

export const EMPTY_MEMORY: Memory = { since: {}, lastProof: null };

/** The same for one finding as long as it lasts. */
export const keyOf = ({ code, component, region }: Pick<HealthFinding, 'code' | 'component' | 'region'>): string =>
  [code, component ?? '', region ?? ''].join('/');

/** Judges one look. @returns what to say, and what to remember for the next look */
export function judgeHealth(look: Look, memory: Memory, now: Millis): { health: Health; memory: Memory } {
  const { service, components } = look;
  const named = [...new Set(service.components)].flatMap((name) => components[name] ?? []);
  const views = named
    .filter((component) => component.role === 'store')
    .map((component) => viewStore(component, look.stores[component.name], now));
  const routers = named.filter((component) => component.role === 'router');
  const lastProof = newer(look.lastProof, memory.lastProof);
  const returned = returnedOf(look, views, routers, now);
  const drafts = [
    ...views.flatMap((view) => storeFindings(look, view, returned)),
    ...routerFindings(look, views, routers, now),
    ...proofFindings(look, lastProof, now),
    ...(look.topologyError === null ? [] : [topologyFinding(look.topologyError)]),
  ].filter((draft) => look.run === null || !RUNS_WORK.includes(draft.code));
  const since = Object.fromEntries(drafts.map((draft) => [keyOf(draft), memory.since[keyOf(draft)] ?? now]));
  const held = (draft: Draft) =>
    draft.holdMs ?? (draft.code === 'noneWritable' ? service.tier.freezeBudgetMs : HOLD_MS[draft.code]);
  const findings = drafts
    .filter((draft) => now - since[keyOf(draft)]! >= held(draft))
    .map(({ holdMs: _, ...draft }): HealthFinding => ({ ...draft, since: since[keyOf(draft)]! }))
    .sort((a, b) => RANK.indexOf(a.severity) - RANK.indexOf(b.severity) || keyOf(a).localeCompare(keyOf(b)));
  const worst = findings[0]?.severity ?? 'info';
  const health: Health = {
    service: service.name,
    at: now,
    verdict: worst === 'info' ? 'well' : worst,
    active: Object.fromEntries(views.map((view) => [view.store.name, activeOf(view)])),
    lag: Object.fromEntries(views.map((view) => [view.store.name, lagsOf(view)])),
    weights: Object.fromEntries(routers.map(({ name }) => [name, look.routers[name]?.weights ?? null])),
    run: look.run,
    lastProof,
    findings,
    returned,
  };
  return { health, memory: { since, lastProof } };
}

const RANK = ['critical', 'warning', 'info'];

/** Whether people, or the guard itself, would act differently on `now` than on `shown`. Readings alone are no news. */
export function isHealthNews(shown: Health | null, now: Health): boolean {
  return shown === null || essence(shown) !== essence(now);
}

function essence({ findings, active, run, returned, lastProof }: Health): string {
  return JSON.stringify([
    findings.map((one) => [keyOf(one), one.severity]),
    Object.entries(active).map(([store, side]) => [store, side?.region ?? null]),
    run?.runId ?? null,
    returned === null ? null : [returned.from, returned.to, returned.doubts.length > 0],
    lastProof?.runId ?? null,
  ]);
}

/** Findings of `now` that `before` had not, and those of `before` that are gone. */
export function changes(before: Health | null, now: Health): { opened: HealthFinding[]; cleared: HealthFinding[] } {
  const has = (list: readonly HealthFinding[], one: HealthFinding) =>
    list.some((other) => keyOf(other) === keyOf(one) && other.severity === one.severity);
  const said = (list: readonly HealthFinding[]) => list.filter((one) => one.severity !== 'info');
  const old = said(before?.findings ?? []);
  return {
    opened: said(now.findings).filter((one) => !has(old, one)),
    cleared: old.filter((one) => !said(now.findings).some((other) => keyOf(other) === keyOf(one))),
  };
}

function newer(a: Health['lastProof'], b: Health['lastProof']): Health['lastProof'] {
  if (a === null || b === null) return a ?? b;
  return a.at >= b.at ? a : b;
}

function activeOf(view: StoreView): Health['active'][string] {
  const [one, ...more] = view.writable;
  if (one === undefined || more.length > 0) return null;
  return { region: one.region, node: one.name, timeline: one.seen?.timeline ?? null };
}

function lagsOf(view: StoreView): Record<string, Lag | null> {
  const replicas = view.nodes.filter((node) => node.state === 'replica');
  return Object.fromEntries(replicas.map((node) => [node.name, lagOf(view, node)]));
}

function returnedOf(look: Look, views: StoreView[], routers: Component[], now: Millis): Health['returned'] {
  const [one] = returnedPrimaries(views);
  if (one === undefined) return null;
  const from = one.region;
  const to = one.keep.region;
  const fresh = (name: string) => {
    const seen = look.routers[name];
    return seen?.reachable && now - seen.observedAt <= FRESHNESS_MS ? seen : null;
  };
  const routes: Routes = {
    endpoints: routers.filter((router) => router.capabilities.kind === 'endpoint'),
    edges: routers.filter((router) => router.capabilities.kind !== 'endpoint'),
    weights: (router) => fresh(router.name)?.weights ?? null,
    applied: (router) => look.routers[router.name]?.applied === true,
  };
  const text = `${one.node} in ${from} accepts writes again on timeline ${one.timeline}; ${one.keep.node} in ${to} is on ${one.keep.timeline}`;
  return { from, to, text, doubts: doubtsAboutFencing(views, routes, from, to) };
}

function proofFindings(look: Look, last: Health['lastProof'], now: Millis): Draft[] {
  const { service } = look;
  if (service.standby.length === 0) return [];
  const base = { component: null, region: null };
  const remedy = `Do one in quiet times: rampart plan failover --service ${service.name} --to ${service.standby[0]}`;
  if (last === null) {
    const message = `no completed failover of ${service.name} is known: that it can move is not proven`;
    return [{ ...base, code: 'neverProven', severity: 'info', message, remedy }];
  }
  const limit = service.guard?.proofAgeMs ?? Number.POSITIVE_INFINITY;
  if (now - last.at <= limit) return [];
  const days = Math.floor((now - last.at) / 86_400_000);
  const message = `the last completed ${last.type} of ${service.name} is ${days} days old`;
  return [{ ...base, code: 'proofOld', severity: 'warning', message, remedy }];
}

function topologyFinding(error: string): Draft {
  const message = `the topology cannot be read anew, the service is watched as it was: ${error}`;
  const remedy = 'rampart validate shows where.';
  return { code: 'topologyUnreadable', severity: 'warning', component: null, region: null, message, remedy };
}
