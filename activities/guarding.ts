/** What a guard's workflow asks for: the service as the topology has it, one long watch, and word to people. */
import { activityInfo } from '@temporalio/activity';
import { clock } from '../drivers/clock.ts';
import type { DriverContext, Json, Millis, NodeObservation } from '../drivers/ports.ts';
import { isHealthNews, judgeHealth } from '../plan/health/judge.ts';
import type { Health, HealthFinding, LastProof, LiveRun, Look, Memory } from '../plan/health/model.ts';
import type { Alert } from '../topology/alerts.ts';
import { type Component, lockOf, type Service, type Topology } from '../topology/model.ts';
import { GUARD_SOURCE } from '../topology/watches.ts';
import type { Guarded, GuardingActivities, HealthNews, WatchServiceAnswer, WatchServiceCall } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { open, perform } from './perform.ts';

/** What a guard needs of its process besides what every activity has. */
export interface GuardDeps {
  /** The topology, at most half a minute old: every guard of the process asks for the same one. */
  topology(): Promise<Topology>;
  /** As it could last be read. */
  lastTopology(): Promise<Topology>;
  /** The run under a lock, and the last one there that went through to its end. */
  lock(workflowId: string): Promise<{ run: LiveRun | null; lastProof: LastProof | null }>;
  /** Shows the health in the process's metrics; `null`: this process no longer watches the service. */
  publish(service: string, health: Health | null, look: { ms: number; everyMs: number }): void;
  /** Tells triggers. @throws when Temporal is away: worth another try */
  tellTriggers(alerts: Alert[]): Promise<void>;
  /**
   * Tells people. With the same `at` it is the same word again: who has heard it is left alone.
   * @throws when the notify command failed, or a channel did not take it
   */
  tell(finding: HealthFinding, about: { service: string; state: 'opened' | 'cleared'; at: Millis }): Promise<void>;
}

/** An edited topology is noticed within this time, in milliseconds. */
const TOPOLOGY_EVERY_MS = 30_000;
/** Without anything to say, who holds the lock is asked this often, in milliseconds: only the last proof may be new. */
const LOCK_EVERY_MS = 60_000;

export function createGuardingActivities(deps: ActivityDeps, guard: GuardDeps): GuardingActivities {
  const nobody = (service: string) => ({ workflowId: '', runId: '', service, by: null });
  return {
    resolveGuarded: ({ service }) =>
      perform(deps, nobody(service), null, async () => {
        // While an edited one is broken, what is guarded is guarded as it was; the watch says so.
        const found = guardedIn(await guard.topology().catch(guard.lastTopology), service);
        return found === null ? null : { ...found, searchAttributes: await deps.searchAttributes() };
      }),
    watchService: (call) =>
      perform(deps, nobody(call.guarded.service.name), null, (context) => watchService(deps, guard, call, context)),
    tellPeople: ({ service, opened, cleared }) =>
      perform(deps, nobody(service), null, async (context) => {
        const now = context.now();
        const tell = ({ at = now, ...one }: HealthNews, state: 'opened' | 'cleared') =>
          guard.tell(one, { service, state, at });
        // Whoever cannot be told keeps nobody else from hearing, and no other finding from being heard.
        const told = await Promise.allSettled([
          guard.tellTriggers([
            ...opened.map((one) => alertOf(service, one, 'firing', now)),
            ...cleared.map((one) => alertOf(service, one, 'resolved', now)),
          ]),
          ...opened.map((one) => tell(one, 'opened')),
          ...cleared.map((one) => tell(one, 'cleared')),
        ]);
        const failed = told.find((one): one is PromiseRejectedResult => one.status === 'rejected');
        if (failed !== undefined) throw failed.reason;
      }),
  };
}

/** A finding as any other source would tell it. A repeated attempt is the same delivery: a trigger counts it once. */
export function alertOf(service: string, finding: HealthNews, status: 'firing' | 'resolved', now: Millis): Alert {
  const { code, severity, component, region, message, remedy, since, at = now } = finding;
  const key = [service, code, component ?? '', region ?? '', severity].join('/');
  return {
    ...{ source: GUARD_SOURCE, key, delivery: `${key}/${status}/${at}`, status, startsAt: since, severity },
    labels: {
      ...{ alertname: code, service, severity },
      ...(component === null ? {} : { component }),
      ...(region === null ? {} : { region }),
    },
    ...{ annotations: { summary: message, remedy }, url: null, receivedAt: now },
  };
}

/** The part of the topology that a guard watches; `null` when the service is not there, or wants no guard. */
export function guardedIn(topology: Topology, name: string): Omit<Guarded, 'searchAttributes'> | null {
  const service = topology.services[name];
  if (service === undefined || !isGuarded(service)) return null;
  const components = Object.fromEntries(service.components.map((one) => [one, topology.components[one]!]));
  return { service, components, lock: lockOf(service) };
}

export const isGuarded = (service: Service): boolean => service.guard?.enabled === true;

/** Looks again and again. @returns at a material change, when the topology says something else, or after `forMs` */
async function watchService(
  deps: ActivityDeps,
  guard: GuardDeps,
  call: WatchServiceCall,
  context: DriverContext,
): Promise<WatchServiceAnswer> {
  const { service } = call.guarded;
  const end = context.now() + call.forMs;
  const everyMs = service.guard?.intervalMs ?? 2_000;
  // A watch that moves to another worker goes on remembering since when things stand.
  const before = activityInfo().heartbeatDetails as { memory?: Memory } | undefined;
  let memory = before?.memory ?? call.memory;
  // What was said to be broken is read before it is said to be mended.
  let topologyError = saysBroken(call.shown) ? await guard.topology().then(() => null, messageOf) : null;
  let lock: Awaited<ReturnType<GuardDeps['lock']>> = { run: call.shown?.run ?? null, lastProof: null };
  let lockAt = 0;
  let topologyAt = context.now();
  const kept: Kept = new Map();
  try {
    for (;;) {
      const began = context.now();
      const started = clock.monotonic();
      let seen = await lookAt(deps, call, { ...context, watching: true }, kept);
      const look = (): Look => ({ ...call.guarded, ...seen, ...lock, topologyError });
      let judged = judgeHealth(look(), memory, context.now());
      // What was read a while ago may be over: nothing new is said before it was looked at again.
      if (isHealthNews(call.shown, judged.health) && [...kept.values()].some(({ at }) => at < began)) {
        kept.clear();
        seen = await lookAt(deps, call, { ...context, watching: true }, kept);
        judged = judgeHealth(look(), memory, context.now());
      }
      // Whether a run is at work decides what is said, so it is asked before anything is.
      if (lock.run !== null || isHealthNews(call.shown, judged.health) || context.now() - lockAt >= LOCK_EVERY_MS) {
        lock = await guard.lock(call.guarded.lock);
        lockAt = context.now();
        judged = judgeHealth(look(), memory, context.now());
      }
      memory = judged.memory;
      guard.publish(service.name, judged.health, { ms: clock.monotonic() - started, everyMs });
      context.heartbeat({ verdict: judged.health.verdict, memory: memory as unknown as Json });
      if (isHealthNews(call.shown, judged.health)) return { why: 'changed', ...judged };
      if (context.now() >= end) return { why: 'time', ...judged };
      if (context.now() - topologyAt >= TOPOLOGY_EVERY_MS) {
        topologyAt = context.now();
        try {
          if (differs(call.guarded, guardedIn(await guard.topology(), service.name)))
            return { why: 'topology', ...judged };
          topologyError = null;
        } catch (error) {
          topologyError = messageOf(error);
        }
      }
      const wait = everyMs - (context.now() - began);
      await clock.sleep(Math.max(wait, 50), context.signal);
    }
  } finally {
    guard.publish(service.name, null, { ms: 0, everyMs });
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const saysBroken = (health: Health | null): boolean =>
  health?.findings.some(({ code }) => code === 'topologyUnreadable') ?? false;

function differs(known: Guarded, now: Omit<Guarded, 'searchAttributes'> | null): boolean {
  const part = (of: Omit<Guarded, 'searchAttributes'>) => JSON.stringify([of.service, of.components, of.lock]);
  return now === null || part(known) !== part(now);
}

/** Readings of components whose provider limits requests, with their time: until the next look they stand. */
type Kept = Map<string, { at: Millis; seen: unknown }>;

async function nowAndThen<T>(kept: Kept, component: Component, now: Millis, read: () => Promise<T>): Promise<T> {
  const { name, capabilities } = component;
  const last = kept.get(name);
  if (last !== undefined && now - last.at < (capabilities.lookEveryMs ?? 0)) return last.seen as T;
  const seen = await read();
  kept.set(name, { at: now, seen });
  return seen;
}

/** Every store and router of the service, from here. One that cannot even be opened is one that does not answer. */
async function lookAt(
  deps: ActivityDeps,
  call: WatchServiceCall,
  context: DriverContext,
  kept: Kept,
): Promise<Pick<Look, 'stores' | 'routers'>> {
  const components = Object.values(call.guarded.components);
  const stores = components.filter(({ role }) => role === 'store');
  const routers = components.filter(({ role }) => role === 'router');
  const [sides, weights] = await Promise.all([
    Promise.all(
      stores.map(async (component): Promise<[string, NodeObservation[]]> => {
        const seen = await nowAndThen(kept, component, context.now(), () => {
          const store = open(deps, component, 'store', context);
          return Promise.all(
            Object.keys(component.sides).map((region) =>
              // A secret that is not here, say: then nothing of that side is known, and the others are still watched.
              store.observe({ region }).catch((error: unknown) => unread(component, region, context.now(), error)),
            ),
          );
        });
        return [component.name, seen.flat().map((node) => better(node, call.local[component.name] ?? []))];
      }),
    ),
    Promise.all(
      routers.map(async (component): Promise<[string, Look['routers'][string]]> => {
        try {
          const read = () => open(deps, component, 'router', context).observe();
          return [component.name, await nowAndThen(kept, component, context.now(), read)];
        } catch (error) {
          const detail = messageOf(error);
          const none = { reachable: false, weights: null, applied: false, claim: null };
          return [component.name, { ...none, observedAt: context.now(), detail }];
        }
      }),
    ),
  ]);
  return { stores: Object.fromEntries(sides), routers: Object.fromEntries(weights) };
}

function unread(component: Component, region: string, at: number, error: unknown): NodeObservation[] {
  const detail = messageOf(error);
  const nothing = { systemId: null, timeline: null, position: null, received: null, upstream: null, lag: null };
  const none = { replicas: [], fence: null, sync: null, claim: null, journal: null };
  return component.sides[region]!.nodes.map(({ name }) => ({
    node: name,
    region,
    state: 'unknown',
    via: 'network',
    observedAt: at,
    ...nothing,
    ...none,
    detail,
  }));
}

/**
 * From here a stopped server only does not answer: what the worker beside it read at the beginning of this watch says
 * more, and so does its journal.
 */
function better(seen: NodeObservation, local: readonly NodeObservation[]): NodeObservation {
  const beside = local.find((node) => node.node === seen.node && node.region === seen.region && node.via === 'local');
  if (beside === undefined) return seen;
  if (seen.state === 'unreachable' && ['fenced', 'stopped'].includes(beside.state))
    return { ...beside, observedAt: seen.observedAt };
  return seen.journal === null && seen.via === 'network' ? { ...seen, journal: beside.journal } : seen;
}
