/** A store of the model world: one server per region, its log, its claim and journal, as the drivers' rules have it. */
import { RampartError } from '../../../../drivers/errors.ts';
import type {
  CatchUpReceipt,
  Claim,
  ClaimReceipt,
  FenceReceipt,
  Journal,
  Json,
  Lag,
  NodeObservation,
  Position,
  PromoteReceipt,
  Receipt,
  SampleReading,
  Token,
} from '../../../../drivers/ports.ts';
import { originals } from '../../../../drivers/store-claims.ts';
import { lossOf } from '../../../../plan/loss.ts';

const SYSTEM_ID = '7571';
/** Bytes that clients write each millisecond to a primary that takes writes. */
const WRITE_RATE = 1;
const SAMPLE_EVERY_MS = 1_000;
const SAMPLES_KEPT = 120;
/** Oldest proof that a promotion acts on, in milliseconds, as the PostgreSQL driver has it. */
const PROOF_MS = 10_000;

export type Role = 'primary' | 'replica' | 'stopped';

/** One server. `reachable: false`: its host is gone, with every worker beside it. */
export interface Server {
  region: string;
  name: string;
  reachable: boolean;
  role: Role;
  /** Kept from starting writable: the durable part of a fence. */
  signal: boolean;
  timeline: number;
  /** End of its log at `since`; a primary's grows from there. */
  position: number;
  since: number;
  follows: string | null;
  claim: Claim | null;
  journal: Journal | null;
  promoteBegun: { epoch: number } | null;
}

export class Database {
  readonly name: string;
  readonly servers: Record<string, Server>;
  readonly #now: () => number;
  readonly #changed: (what: string) => void;
  /** How far a streaming replica is behind its primary, in milliseconds of writing. */
  lagMs = 0;
  /** Replication has stopped delivering, although it looks connected. */
  stalled = false;
  samples: SampleReading[] = [];

  constructor(
    name: string,
    regions: readonly string[],
    primary: string,
    now: () => number,
    changed: (what: string) => void,
  ) {
    this.name = name;
    this.#now = now;
    this.#changed = changed;
    this.servers = Object.fromEntries(
      regions.map((region): [string, Server] => [
        region,
        {
          region,
          name: `${name}-${region}`,
          reachable: true,
          role: region === primary ? 'primary' : 'replica',
          signal: region !== primary,
          timeline: 1,
          position: 0x3054458,
          since: now(),
          follows: region === primary ? null : primary,
          claim: null,
          journal: null,
          promoteBegun: null,
        },
      ]),
    );
    this.sample();
  }

  server(region: string): Server {
    return this.servers[region] as Server;
  }

  /** Sides that accept writes, reachable or not. */
  get writable(): string[] {
    return Object.values(this.servers)
      .filter(({ role }) => role === 'primary')
      .map(({ region }) => region);
  }

  /** Brings the replicas up to what they have received until now. Called before anything changes or is looked at. */
  flow(): void {
    const now = this.#now();
    for (const server of Object.values(this.servers)) {
      if (server.role !== 'primary') continue;
      server.position += (now - server.since) * WRITE_RATE;
      server.since = now;
    }
    for (const server of Object.values(this.servers)) {
      if (!this.#streaming(server)) continue;
      const upstream = this.server(server.follows as string);
      const behind = upstream.role === 'primary' ? this.lagMs * WRITE_RATE : 0;
      server.position = Math.max(server.position, upstream.position - behind);
      server.timeline = upstream.timeline;
    }
  }

  #streaming(server: Server): boolean {
    const upstream = server.follows === null ? undefined : this.servers[server.follows];
    return (
      server.role === 'replica' &&
      server.reachable &&
      upstream?.reachable === true &&
      upstream.role !== 'stopped' &&
      !this.stalled
    );
  }

  /** What a sampler outside the source's region would have kept by now. */
  sample(): void {
    this.flow();
    const now = this.#now();
    for (const { name: node, region, role, reachable, position, timeline } of Object.values(this.servers)) {
      if (role === 'primary' && reachable) {
        const reading: SampleReading = { node, region, position: at(position, timeline), state: 'writable', at: now };
        this.samples.push(reading);
      }
    }
    this.samples = this.samples.slice(-SAMPLES_KEPT);
  }

  /** The samples of the last two minutes, one a second, up to now or to when the primary was last seen. */
  readSamples(): SampleReading[] {
    this.flow();
    const primary = Object.values(this.servers).find(({ role, reachable }) => role === 'primary' && reachable);
    if (!primary) return this.samples;
    const now = this.#now();
    const back = Array.from({ length: 30 }, (_, i) => 29 - i).map((n): SampleReading => {
      const age = n * SAMPLE_EVERY_MS;
      const position = at(Math.max(0, primary.position - age * WRITE_RATE), primary.timeline);
      return { node: primary.name, region: primary.region, position, state: 'writable', at: now - age };
    });
    return [...this.samples.filter((sample) => sample.at < now - 30_000), ...back];
  }

  observe(region: string, local: boolean): NodeObservation {
    this.flow();
    const server = this.server(region);
    const silent = !server.reachable || (server.role === 'stopped' && !local);
    const now = this.#now();
    const position = at(server.position, server.timeline);
    const state = silent
      ? 'unreachable'
      : server.role === 'primary'
        ? 'writable'
        : server.role === 'replica'
          ? 'replica'
          : server.signal
            ? 'fenced'
            : 'stopped';
    return {
      node: server.name,
      region,
      state,
      via: local ? 'local' : 'network',
      observedAt: now,
      systemId: silent ? null : SYSTEM_ID,
      timeline: silent ? null : server.timeline,
      position: silent ? null : position,
      received: state === 'replica' ? position : null,
      upstream:
        state === 'replica' && server.follows !== null
          ? {
              address: `${this.name}.${server.follows}:5432`,
              node: this.server(server.follows).name,
              streaming: this.#streaming(server),
            }
          : null,
      lag: state === 'replica' ? this.#lag(server) : null,
      replicas: [],
      fence: state === 'fenced' ? { strength: 'stopped', finalPosition: position, durable: true } : null,
      sync: state === 'writable' ? { enabled: false, cancelledWaiters: 'none' } : null,
      claim: silent ? null : server.claim,
      journal: silent ? null : server.journal,
      detail: silent ? 'connection refused' : '',
    };
  }

  #lag(server: Server): Lag {
    const upstream = server.follows === null ? undefined : this.servers[server.follows];
    const known = upstream?.reachable === true && upstream.role !== 'stopped';
    const bytes = known ? Math.max(0, upstream.position - server.position) : null;
    const seconds = bytes === null ? null : bytes / WRITE_RATE / 1000;
    return { bytes, seconds, measuredAt: this.#now(), freshnessMs: 50, fresh: known };
  }

  readClaim(region: string): ClaimReceipt {
    const { claim } = this.#ask(region);
    return { ...this.#receipt('read', { journals: [] }, true), claim: { region, previous: null, current: claim } };
  }

  claim(region: string, token: Token, journal: Journal): ClaimReceipt {
    const server = this.#ask(region);
    const { claim: previous } = server;
    const wanted: Claim = { epoch: token.epoch, runId: token.runId, seq: token.seq, at: this.#now() };
    const same = previous?.epoch === wanted.epoch && previous.runId === wanted.runId;
    if (previous && !same && previous.epoch >= wanted.epoch)
      throw new RampartError('Conflict', `${server.name} is claimed by run ${previous.runId}`);
    if (same && wanted.seq < previous.seq && server.journal?.open === false)
      throw new RampartError('Conflict', `${server.name}: a later step (${previous.seq}) has acted`);
    const already = same && server.journal?.open === true;
    server.claim = { ...wanted, seq: Math.max(wanted.seq, same ? previous.seq : 0) };
    if (!same) server.promoteBegun = null;
    const adopted = server.journal?.open === true ? server.journal : null;
    const { saved, fencedAt } = journal;
    if (!already)
      server.journal = {
        ...{ ...journal, open: true },
        ...{ saved: originals(saved, adopted?.saved), fencedAt: adopted?.fencedAt ?? fencedAt },
      };
    if (!already) this.#changed(`${server.name} claimed`);
    const facts = { fencedAt: server.journal!.fencedAt };
    return { ...this.#receipt('claimed', facts, already), claim: { region, previous, current: server.claim } };
  }

  closeJournal(region: string, token: Token): Receipt {
    // What another run holds, or nobody, is not this run's to close: its own journal is not open, as wanted.
    const { claim } = this.#ask(region);
    if (claim?.runId !== token.runId) return this.#receipt('no journal of this run', {}, true);
    const server = this.#mutate(region, token);
    const already = server.journal?.open !== true;
    if (server.journal) server.journal = { ...server.journal, open: false };
    if (!already) this.#changed(`journal of ${server.name} closed`);
    return this.#receipt('journal closed', {}, already);
  }

  converge(from: string, to: string, limit: { ms: number; bytes: number }): Receipt {
    this.#ask(from);
    const lag = this.#lag(this.#ask(to));
    if (!lag.fresh || (lag.seconds ?? 0) * 1000 > limit.ms)
      throw new RampartError('LagTooHigh', `${this.name} in ${to} is ${lag.seconds ?? '?'} s behind`);
    return this.#receipt('close behind', { lagBytes: lag.bytes }, true);
  }

  fence(region: string, token: Token): FenceReceipt {
    const server = this.#mutate(region, token, true);
    const already = server.role === 'stopped' && server.signal;
    if (!already) {
      // A fast stop lets the replicas have everything first.
      for (const other of Object.values(this.servers))
        if (other.follows === region && this.#streaming(other)) other.position = server.position;
      server.role = 'stopped';
      server.signal = true;
      if (server.journal) server.journal = { ...server.journal, fencedAt: this.#now() };
      this.#changed(`${server.name} fenced`);
    }
    return this.#proof(server, already);
  }

  unfence(region: string, token: Token, to: string): Receipt {
    const server = this.#mutate(region, token, true);
    if (this.server(to).role === 'primary')
      throw new RampartError('Conflict', `${server.name} stays fenced: ${to} is promoted`);
    const already = server.role === 'primary';
    if (!already) {
      server.role = 'primary';
      server.signal = false;
      server.since = this.#now();
      if (server.journal) server.journal = { ...server.journal, fencedAt: null };
      this.#changed(`${server.name} unfenced`);
    }
    return this.#receipt(`${server.name} is writable`, {}, already);
  }

  /** Reads only. */
  prove(region: string): FenceReceipt {
    return this.#proof(this.#ask(region), true);
  }

  awaitCatchUp(region: string, fence: FenceReceipt | null): CatchUpReceipt | null {
    const server = this.#ask(region);
    const final = fence?.fence.finalPosition ?? null;
    const applied = at(server.position, server.timeline);
    const complete = final !== null && server.position >= Number(final.order);
    if (final !== null && !complete && !this.stalled) return null;
    const loss = lossOf({
      samples: this.readSamples(),
      reached: applied,
      finalPosition: final,
      closedAt: final === null ? null : (fence?.fence.provenAt ?? null),
      sync: { enabled: false, cancelledWaiters: 'none' },
      now: this.#now(),
    });
    const catchUp = { region, node: server.name, applied, received: applied, complete, loss };
    return { ...this.#receipt(complete ? 'everything is applied' : 'recorded', {}, true), catchUp };
  }

  promote(
    region: string,
    token: Token,
    from: string,
    proof: FenceReceipt | null,
    timeline: number | null,
  ): PromoteReceipt {
    const server = this.#ask(region);
    if (server.role !== 'primary') {
      if (timeline !== null && server.timeline !== timeline)
        throw new RampartError('Conflict', `${server.name} is on timeline ${server.timeline}`);
      this.#assertProof(proof, from, token);
      this.#mutate(region, token);
      server.promoteBegun = { epoch: token.epoch };
      server.role = 'primary';
      server.signal = false;
      server.timeline += 1;
      server.follows = null;
      server.since = this.#now();
      this.#changed(`${server.name} promoted`);
      return this.#promoted(server, false);
    }
    if (timeline !== null && server.timeline <= timeline)
      throw new RampartError('PreconditionFailed', `${server.name} is writable without having been promoted`);
    return this.#promoted(server, true);
  }

  /** What the provider of an atomic store does in one call: both sides, at once, or nothing. */
  switchover(from: string, to: string, token: Token): PromoteReceipt {
    const next = this.#mutate(to, token);
    // A source that is lost is fenced at its storage, and comes back as a replica.
    const old = this.server(from).reachable ? this.#mutate(from, token) : this.server(from);
    if (next.role === 'primary') return this.#promoted(next, true);
    Object.assign(old, { role: 'replica', signal: true, follows: to });
    Object.assign(next, { role: 'primary', signal: false, follows: null, since: this.#now() });
    if (old.reachable) next.position = Math.max(old.position, next.position);
    next.timeline += 1;
    this.#changed(`${this.name} switched to ${to}`);
    return this.#promoted(next, false);
  }

  revokePromote(region: string, token: Token): Receipt {
    const server = this.#mutate(region, token);
    const revoked = server.role !== 'primary' && server.promoteBegun?.epoch !== token.epoch;
    return this.#receipt(revoked ? 'no promotion has begun' : 'a promotion was begun', { revoked });
  }

  verifyWritable(to: string, from: string): Receipt {
    const server = this.#ask(to);
    if (server.role !== 'primary') throw new RampartError('PreconditionFailed', `${server.name} is not writable`);
    const other = this.server(from);
    if (from !== to && other.role === 'primary' && other.reachable)
      throw new RampartError('SplitBrain', `${other.name} accepts writes as well`);
    return this.#receipt(`${server.name} is writable and nowhere else`, {}, true);
  }

  /** Reads only. */
  leftBehind(region: string, primary: string): Receipt {
    const server = this.#ask(region);
    const upstream = this.server(primary);
    const bytes = server.timeline < upstream.timeline ? Math.max(0, server.position - upstream.position) : 0;
    const kind = bytes > 0 ? 'listed' : 'none';
    return this.#receipt(`${server.name}: ${bytes} bytes did not arrive`, { leftBehind: [{ kind, bytes }] }, true);
  }

  rejoin(region: string, token: Token, primary: string): Receipt {
    const server = this.#mutate(region, token);
    if (server.role === 'replica' && server.follows === primary) return this.#receipt('follows', {}, true);
    const fork = this.server(primary);
    if (server.role === 'primary') throw new RampartError('NotFenced', `${server.name} accepts writes`);
    if (server.position > fork.position && server.timeline < fork.timeline)
      return this.#receipt('it went further than the new primary', { needs: 'rebuild' }, true);
    return this.#follow(server, primary, 'rejoined');
  }

  rebuild(region: string, token: Token, primary: string): Receipt {
    const server = this.#mutate(region, token);
    return this.#follow(server, primary, 'rebuilt, old data kept aside');
  }

  #follow(server: Server, primary: string, how: string): Receipt {
    const upstream = this.#ask(primary);
    Object.assign(server, { role: 'replica', signal: true, follows: primary, timeline: upstream.timeline });
    server.position = upstream.position;
    this.#changed(`${server.name} ${how}`);
    return this.#receipt(`${server.name} follows ${upstream.name}`, {});
  }

  #promoted(server: Server, already: boolean): PromoteReceipt {
    const promote = {
      region: server.region,
      node: server.name,
      timeline: server.timeline,
      forkPosition: at(server.position, server.timeline - 1),
    };
    return { ...this.#receipt(`${server.name} is writable`, {}, already), promote };
  }

  #assertProof(proof: FenceReceipt | null, from: string, token: Token): void {
    if (proof === null) return;
    const { fence } = proof;
    if (fence.region !== from || fence.cannotWrite === 'none')
      throw new RampartError('NotFenced', `nothing proves that ${from} cannot write`);
    if (this.#now() - fence.provenAt > PROOF_MS) throw new RampartError('NotFenced', 'the proof is too old');
    if (fence.epoch !== token.epoch) throw new RampartError('NotFenced', 'the proof was read under another claim');
  }

  #proof(server: Server, already: boolean): FenceReceipt {
    const fenced = server.role === 'stopped' && server.signal;
    return {
      ...this.#receipt(fenced ? `${server.name} is stopped` : `${server.name} is ${server.role}`, {}, already),
      fence: {
        region: server.region,
        cannotWrite: fenced ? 'stopped' : 'none',
        finalPosition: fenced ? at(server.position, server.timeline) : null,
        durable: fenced,
        systemId: SYSTEM_ID,
        timeline: server.timeline,
        epoch: server.claim?.epoch ?? 0,
        needsRewind: false,
        provenAt: this.#now(),
      },
    };
  }

  #ask(region: string): Server {
    this.flow();
    const server = this.server(region);
    if (!server.reachable) throw new RampartError('ProviderUnavailable', `${server.name} does not answer`);
    return server;
  }

  #mutate(region: string, token: Token, ofTimeline = false): Server {
    const server = this.#ask(region);
    const { claim } = server;
    if (claim === null) throw new RampartError('Conflict', `${server.name} is not claimed`);
    if (claim.epoch !== token.epoch || claim.runId !== token.runId)
      throw new RampartError('Conflict', `${server.name} is claimed with epoch ${claim.epoch}, not ${token.epoch}`);
    if (token.seq < claim.seq)
      throw new RampartError('Conflict', `${server.name}: a later step (${claim.seq}) has acted, this is ${token.seq}`);
    if (ofTimeline && token.expectedTimeline !== null && token.expectedTimeline !== server.timeline)
      throw new RampartError('Conflict', `${server.name} is on timeline ${server.timeline}`);
    server.claim = { ...claim, seq: token.seq };
    return server;
  }

  #receipt(summary: string, facts: Record<string, Json>, already = false): Receipt {
    return { already, at: this.#now(), summary, facts };
  }
}

function at(order: number, timeline: number): Position {
  const whole = Math.floor(order);
  return { text: `0/${whole.toString(16).toUpperCase()}`, order: String(whole), timeline };
}
