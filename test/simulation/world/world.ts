/**
 * The model world: regions, a network between them, stores, routers, workloads. It does by itself what such systems do
 * (replicate, restart, warm up, propagate) and writes everything the judge needs into the trace. Drivers act on it
 * through `drivers/`, faults through `faults.ts`.
 */

import type { FenceReceipt, NodeObservation, SampleReading } from '../../../drivers/ports.ts';
import { lastOfEach } from '../../../plan/readings.ts';
import type { Service, Topology } from '../../../topology/model.ts';
import { type Alarm, type WatchState, judge as watch } from '../../../workers/watchdog.ts';
import { emptyTrace, type Happening, type ProofSeen, type Trace } from '../../judge/trace.ts';
import { RULES } from '../drivers/rules.ts';
import type { Random } from '../random.ts';
import { type Branch, missingFrom, position, type Stretch } from './history.ts';
import { Server } from './server.ts';
import { Traffic } from './traffic.ts';

/** Time and planned events, from the harness. */
export interface Timeline {
  now(): number;
  after(ms: number, action: () => void): void;
}

export interface RegionState {
  /** Its machines run. */
  alive: boolean;
  /** Nothing gets in or out. */
  cut: boolean;
}

export interface WorldSettings {
  regions: readonly string[];
  stores: readonly string[];
  active: string;
  /** How far a standby is behind, in milliseconds. */
  lagMs: number;
}

export const SYSTEM_ID = '7571';
/** A process that died is back after so long, in milliseconds, if somebody restarts it. */
const RESTART_MS = 4_000;
const START_MS = 300;
/** A fast stop gives its standbys so long to get the rest, in milliseconds. */
const SENDERS_MS = 3_000;
const SAMPLE_MS = 1_000;
/** Of each server in each role. */
const SAMPLES_KEPT = 120;

export class SimWorld {
  readonly trace: Trace;
  readonly regions: Record<string, RegionState>;
  readonly stores: Record<string, Record<string, Server>> = {};
  readonly traffic: Traffic;
  readonly topology: Topology;
  readonly service: Service;
  readonly random: Random;
  readonly timeline: Timeline;
  lagMs: number;
  /** What a worker's clock adds to the server's time, by task queue, in milliseconds. Replaced as a whole. */
  skew: Readonly<Record<string, number>> = {};
  /** Replication looks connected and delivers nothing. */
  stalled = false;
  /** The source's position cannot be read to compare with: lag readings are stale. */
  staleReadings = false;
  /** By run and store: what the last reading of the lag that the run waited by was worth. */
  readonly lagRead = new Map<string, 'good' | 'bad' | 'stale'>();
  /** By store: what clients were told is written. */
  readonly acknowledged: Record<string, Stretch[]> = {};
  /** What was proven, by its receipt's time, so that a promotion is judged by when its proof was really read. */
  readonly proofs: Array<{ store: string; claimed: number; proof: ProofSeen }> = [];
  /** When a region was last disturbed: what was looked at just before may have been right then. */
  readonly disturbedAt: Record<string, number> = {};
  /** Since when a region can be reached; absent: from the beginning. */
  readonly reachedSince: Record<string, number> = {};
  /** Nodes whose kept data a person let go of. */
  readonly released = new Set<string>();
  /** Mode of the run that acts now, and what it was allowed, for the promotions in the trace. */
  modeOf: (run: string) => 'planned' | 'unplanned' = () => 'planned';
  readonly #open = new Map<Server, Stretch>();
  readonly #samples: Record<string, Array<SampleReading & { skew: Readonly<Record<string, number>> }>> = {};
  readonly #watch: WatchState = { noneSince: {} };
  readonly #said = new Map<string, number>();

  constructor(settings: WorldSettings, topology: Topology, service: Service, timeline: Timeline, random: Random) {
    this.topology = topology;
    this.service = service;
    this.timeline = timeline;
    this.random = random;
    this.lagMs = settings.lagMs;
    this.trace = emptyTrace('', { freezeBudgetMs: service.tier.freezeBudgetMs });
    this.regions = Object.fromEntries(settings.regions.map((region) => [region, { alive: true, cut: false }]));
    for (const store of settings.stores) {
      const first: Branch = { timeline: 1, parent: null, fork: 0 };
      this.acknowledged[store] = [];
      this.#samples[store] = [];
      this.stores[store] = Object.fromEntries(
        settings.regions.map((region) => [
          region,
          new Server(store, region, settings.active, first, 1_000_000, timeline.now()),
        ]),
      );
      for (const server of this.servers(store)) if (server.writable) this.#opened(server, 'system');
    }
    this.traffic = new Traffic(this, settings.active);
  }

  get now(): number {
    return this.timeline.now();
  }

  say(...happened: Happening[]): void {
    const at = this.now;
    for (const one of happened) this.trace.events.push({ at, ...one });
  }

  servers(store: string): Server[] {
    return Object.values(this.stores[store] as Record<string, Server>);
  }

  server(store: string, region: string): Server {
    return this.stores[store]?.[region] as Server;
  }

  allServers(): Server[] {
    return Object.values(this.stores).flatMap((sides) => Object.values(sides));
  }

  /** Whether somebody at `from` (`null`: the control place) gets an answer from machines in `to`. */
  reaches(from: string | null, to: string): boolean {
    const target = this.regions[to] as RegionState;
    if (!target.alive) return false;
    if (from === to) return true;
    return !target.cut && (from === null || !this.regions[from]?.cut);
  }

  // --- the log ---------------------------------------------------------------------------------------------------

  /** Brings every log up to now. */
  flow(store: string): void {
    const now = this.now;
    for (const server of this.servers(store)) {
      if (server.writable) {
        server.end += now - server.since;
        const open = this.#open.get(server);
        if (open) Object.assign(open, { to: server.end, endAt: now });
      }
      server.since = now;
    }
    for (const server of this.servers(store)) {
      if (!this.streams(server) || this.stalled) continue;
      const upstream = this.server(store, server.follows as string);
      const idle = upstream.writable ? 0 : now - (this.#stoppedAt.get(upstream) ?? 0);
      this.#receive(server, upstream, upstream.end - Math.max(0, this.lagMs - idle));
    }
  }

  readonly #stoppedAt = new Map<Server, number>();

  #receive(standby: Server, upstream: Server, until: number): void {
    if (until <= standby.end && standby.branch === upstream.branch) return;
    if (until >= upstream.branch.fork) standby.branch = upstream.branch;
    standby.end = Math.max(standby.end, until);
  }

  /** It is connected to its upstream, and their logs fit. */
  streams(server: Server): boolean {
    if (server.process !== 'up' || server.stopping || !server.recovering || server.follows === null) return false;
    const upstream = this.server(server.store, server.follows);
    if (upstream.process !== 'up' || upstream.stopping || !this.reaches(server.region, upstream.region)) return false;
    return this.fits(server, upstream);
  }

  /** The standby's log is a beginning of the other's. */
  fits(standby: Server, upstream: Server): boolean {
    for (let b: Branch | null = upstream.branch, limit = upstream.end; b !== null; limit = b.fork, b = b.parent)
      if (b === standby.branch) return standby.end <= limit;
    return false;
  }

  // --- processes -------------------------------------------------------------------------------------------------

  #opened(server: Server, by: 'rampart' | 'system' | 'person'): void {
    this.flow(server.store);
    const { branch, region, end } = server;
    const stretch = { branch, region, from: end, to: end, startAt: this.now, endAt: this.now };
    this.#open.set(server, stretch);
    this.acknowledged[server.store]?.push(stretch);
    this.say({ kind: 'writable', store: server.store, region, writable: true, by, timeline: branch.timeline });
  }

  #closed(server: Server, by: 'rampart' | 'system' | 'person'): void {
    this.#open.delete(server);
    this.#stoppedAt.set(server, this.now);
    this.say({ kind: 'writable', store: server.store, region: server.region, writable: false, by });
  }

  /** Changes a server, with the log brought up to now before and the judge told after. */
  change(server: Server, by: 'rampart' | 'system' | 'person', how: () => void): void {
    this.flow(server.store);
    const before = server.writable;
    how();
    if (before && !server.writable) this.#closed(server, by);
    if (!before && server.writable) this.#opened(server, by);
  }

  /** The process dies where it stands. */
  kill(server: Server, by: 'rampart' | 'system' = 'system'): void {
    if (server.process === 'down') return;
    this.change(server, by, () => {
      server.process = 'down';
      server.stopping = false;
      server.clean = false;
      server.life += 1;
    });
    if (server.supervised) this.#restartLater(server);
  }

  #restartLater(server: Server): void {
    const { life } = server;
    this.timeline.after(RESTART_MS, () => {
      if (server.life === life && server.process === 'down' && this.regions[server.region]?.alive)
        this.start(server, 'system');
    });
  }

  /** Asks for a start; what comes up is what the signal file says when it comes up. */
  start(server: Server, by: 'rampart' | 'system'): void {
    // Whoever asks last has made it what it comes up as.
    if (server.process === 'starting') server.startedBy = by;
    if (server.process !== 'down') return;
    server.process = 'starting';
    server.startedBy = by;
    server.life += 1;
    const { life } = server;
    this.timeline.after(START_MS, () => {
      if (server.life !== life) return;
      this.change(server, server.startedBy, () => {
        server.process = 'up';
        server.recovering = server.signal;
        if (!server.recovering) server.follows = null;
      });
    });
  }

  /** A fast stop: standbys that stream get the rest first, as long as they are given. */
  stop(server: Server, by: 'rampart' | 'person', done: () => void): void {
    const { life } = server;
    const behind = this.servers(server.store).filter((s) => s.follows === server.region && this.streams(s));
    const reached = (s: Server): boolean => s.process === 'up' && s.recovering && this.reaches(s.region, server.region);
    this.change(server, by, () => {
      server.stopping = true;
    });
    const takes = behind.length === 0 ? 50 : this.stalled ? SENDERS_MS : Math.min(50 + this.lagMs, SENDERS_MS);
    this.timeline.after(takes, () => {
      if (server.life !== life) return done();
      if (!this.stalled && !server.recovering && this.lagMs < SENDERS_MS)
        for (const standby of behind) if (reached(standby)) this.#receive(standby, server, server.end);
      this.flow(server.store);
      server.process = 'down';
      server.stopping = false;
      server.life += 1;
      server.clean = true;
      if (server.eager) this.#restartLater(server);
      done();
    });
  }

  /** It stops answering, and goes on later as if nothing had been. */
  freeze(server: Server, ms: number): void {
    if (server.process !== 'up') return;
    this.change(server, 'system', () => {
      server.process = 'frozen';
    });
    const { life } = server;
    this.timeline.after(ms, () => {
      if (server.life === life && server.process === 'frozen') this.thaw(server);
    });
  }

  thaw(server: Server): void {
    this.change(server, 'system', () => {
      server.process = 'up';
    });
  }

  /** Asks it to promote: it leaves recovery a moment later, on a new timeline, unless its process dies before. */
  promote(server: Server, ms: number, from: string, proof: FenceReceipt | null, run: string): void {
    const { store, region, life } = server;
    server.promoting = life;
    const claimed = proof?.at ?? 0;
    const read = this.proofs.findLast(
      (p) =>
        p.store === store &&
        p.claimed === claimed &&
        p.proof.region === from &&
        p.proof.cannotWrite === proof?.fence.cannotWrite,
    );
    const proofs =
      proof === null ? [] : [read?.proof ?? { region: from, cannotWrite: 'none' as const, final: false, provenAt: 0 }];
    const beside = [...this.#open]
      .filter(([other]) => other.store === store && other !== server && this.reaches(null, other.region))
      .map(([other, { startAt }]) => ({
        region: other.region,
        since: Math.max(startAt, this.reachedSince[other.region] ?? 0),
      }));
    this.say({
      ...{ kind: 'promotion', store, region, from, by: 'rampart', run, mode: this.modeOf(run), beside },
      ...{ required: this.service.tier.fenceProof, proofs, override: proof === null ? ['weakFence'] : [] },
    });
    const finish = (): void => {
      if (server.life !== life || !server.recovering) return;
      // It goes on where it was when it thaws.
      if (server.process === 'frozen') this.timeline.after(ms, finish);
      if (server.process !== 'up') return;
      this.change(server, 'rampart', () => {
        server.branch = { timeline: server.branch.timeline + 1, parent: server.branch, fork: server.end };
        server.recovering = false;
        server.signal = false;
        server.follows = null;
        server.record.fence = null;
      });
    };
    this.timeline.after(ms, finish);
  }

  // --- what is seen ----------------------------------------------------------------------------------------------

  /** A reading of one node from a place. `local`: by a worker beside it, which also reads its files. */
  observe(server: Server, from: string | null, at: number): NodeObservation {
    this.flow(server.store);
    const local = from === server.region;
    const there = this.reaches(from, server.region);
    const answers = there && server.process === 'up' && !server.stopping;
    const files = there && local;
    const note = server.record.fence;
    const current = note !== null && note.branch === server.branch;
    const readOnly = server.process !== 'up' || server.recovering;
    const fenced = files && server.signal && readOnly && (server.process === 'down' || current);
    const former = current || (server.process === 'down' && !server.recovering);
    const state = fenced
      ? former || server.process === 'down'
        ? 'fenced'
        : 'replica'
      : answers
        ? server.recovering
          ? 'replica'
          : 'writable'
        : files && server.process === 'down'
          ? 'stopped'
          : 'unreachable';
    const seen = state !== 'unreachable';
    const here = position(server.end, server.branch.timeline);
    const final = this.finalOf(server);
    const upstream = server.follows === null ? null : this.server(server.store, server.follows);
    return {
      node: server.name,
      region: server.region,
      state,
      via: local ? 'local' : 'network',
      observedAt: at,
      systemId: seen ? SYSTEM_ID : null,
      timeline: seen ? server.branch.timeline : null,
      position: state === 'fenced' ? final : seen ? here : null,
      received: state === 'replica' ? here : null,
      upstream:
        state === 'replica' && upstream !== null
          ? {
              address: `${server.store}.${upstream.region}:5432`,
              node: upstream.name,
              streaming: this.streams(server),
            }
          : null,
      lag: state === 'replica' ? this.lagOf(server, from, at) : null,
      replicas: [],
      fence: state === 'fenced' ? { strength: 'stopped', finalPosition: final, durable: true } : null,
      sync: state === 'writable' ? { enabled: false, cancelledWaiters: 'none' } : null,
      claim: seen && (files || answers) ? server.record.claim : null,
      journal: seen && (files || answers) ? server.record.journal : null,
      ...(!seen && { notListening: there && server.process === 'down' }),
      detail: seen ? '' : 'connection refused',
    };
  }

  /** The last position it can have acknowledged, when its stop was clean and nothing happened since. */
  finalOf(server: Server) {
    const note = server.record.fence;
    const kept = note?.final ?? (server.process === 'down' && server.clean ? server.end : null);
    if (kept === null || kept !== server.end) return null;
    return position(server.end, server.branch.timeline);
  }

  lagOf(server: Server, from: string | null, at: number) {
    const upstream = server.follows === null ? null : this.server(server.store, server.follows);
    const stale = this.staleReadings && RULES.freshness;
    const known = upstream?.process === 'up' && this.reaches(from, upstream.region) && !stale;
    const bytes = known ? Math.max(0, upstream.end - server.end) : null;
    const seconds = bytes === null ? null : bytes / 1000;
    return { bytes, seconds, measuredAt: at, freshnessMs: stale ? 60_000 : 5, fresh: known };
  }

  /** What a reading of a replica's lag is worth now, whatever the reader makes of it. */
  lagIs(replica: Server): 'good' | 'bad' | 'stale' {
    this.flow(replica.store);
    const lag = this.lagOf(replica, null, this.now);
    if (!lag.fresh || this.staleReadings) return 'stale';
    return (lag.seconds ?? 0) > 20 ? 'bad' : 'good';
  }

  /** The sampler outside the regions: a reading a second of every side that answers it. */
  sample(store: string): void {
    const at = this.now;
    const { skew } = this;
    const readings = this.#samples[store]!;
    for (const server of this.servers(store)) {
      const seen = this.observe(server, null, at);
      if (seen.state !== 'writable' && seen.state !== 'replica') continue;
      readings.push({ node: seen.node, region: seen.region, position: seen.position, state: seen.state, at, skew });
    }
  }

  /** The sampler's file is lost. */
  forgetSamples(): void {
    for (const samples of Object.values(this.#samples)) samples.length = 0;
  }

  /** The readings as the sampler beside this queue's worker has dated them. */
  samplesOf(store: string, queue: string): SampleReading[] {
    return lastOfEach(this.#samples[store]!, SAMPLES_KEPT).map(({ skew, ...reading }) => ({
      ...reading,
      at: reading.at + (skew[queue] ?? 0),
    }));
  }

  /** The sampler's and watchdog's loop, in a process of the control place. Goes on for ever. */
  keepWatch(): void {
    const look = (): void => {
      for (const store of Object.keys(this.stores)) {
        this.sample(store);
        this.#alarm(store);
      }
      this.timeline.after(SAMPLE_MS, look);
    };
    look();
  }

  #alarm(store: string): void {
    const service = this.service.name;
    const watched = { service, component: store, freezeBudgetMs: this.service.tier.freezeBudgetMs };
    const nodes = this.servers(store).map((server) => this.observe(server, null, this.now));
    for (const alarm of watch(watched, nodes, this.#watch, this.now)) this.#announce(store, alarm);
  }

  #announce(store: string, { kind, message }: Alarm): void {
    const key = `${kind} ${store}`;
    if (this.now - (this.#said.get(key) ?? Number.NEGATIVE_INFINITY) < 60_000) return;
    this.#said.set(key, this.now);
    this.say({ kind: 'alarm', store, alarm: kind, text: message });
  }

  // --- for the judge ---------------------------------------------------------------------------------------------

  /** Everything a run may change and must put back; what is configured, not what happens to be alive. */
  state(): Record<string, string | number | boolean> {
    const out: Record<string, string | number | boolean> = this.traffic.state();
    for (const server of this.allServers()) {
      out[`${server.name} starts`] = server.signal ? 'read-only' : 'writable';
      // Whoever follows takes the timelines of its upstream as they arrive, with or without a run.
      if (server.follows === null) out[`${server.name} timeline`] = server.branch.timeline;
      out[`${server.name} follows`] = server.signal ? (server.follows ?? 'nobody') : 'nobody';
    }
    return out;
  }

  /** Counts at the end what clients were told is written and the surviving side does not hold. */
  count(): void {
    for (const store of Object.keys(this.stores)) {
      this.flow(store);
      const stretches = this.acknowledged[store] as Stretch[];
      for (const { region, from, to, startAt, endAt } of stretches)
        if (to > from)
          this.say({ kind: 'acknowledged', store, region, from: from + 1, to, firstAt: startAt, lastAt: endAt });
      const survivor = this.#survivor(store);
      for (const server of this.servers(store)) {
        const missing = missingFrom(stretches, survivor.branch, survivor.end).filter((m) => m.region === server.region);
        const ranges = missing.map(({ from, to, firstAt, lastAt }) => ({ from, to, firstAt, lastAt }));
        const bytes = missing.reduce((sum, { from, to }) => sum + to - from + 1, 0);
        this.say({ kind: 'missing', store, region: server.region, ranges, bytes });
        for (const lost of missing) {
          const copies = [server, ...server.aside];
          const readable = copies.some((copy) => missingFrom([lost], copy.branch, copy.end).length === 0);
          const by = this.released.has(server.name) ? 'person' : 'rampart';
          this.say({ kind: 'kept', store, region: server.region, readable, by });
        }
      }
    }
  }

  /**
   * The side clients end up with: the newest timeline, writable now or as soon as its process is back. Two sides may
   * each have made one of the same number; then it is the one they are sent to.
   */
  #survivor(store: string): Server {
    const sentTo = (s: Server): boolean => (this.traffic.router('writer').weights[s.region] ?? 0) > 0;
    const rank = (s: Server): number =>
      s.branch.timeline * 1e15 + (sentTo(s) ? 1e14 : 0) + (s.writable ? 1e13 : 0) + s.end;
    return this.servers(store).reduce((best, next) => (rank(next) > rank(best) ? next : best));
  }
}
