/** The store port over a system that switches in one call: there is no fence, catch-up or promotion of its own. */
import { z } from 'zod';
import { RampartError } from '../../../drivers/errors.ts';
import { poll } from '../../../drivers/poll.ts';
import type {
  At,
  Claim,
  ClaimReceipt,
  Driver,
  DriverContext,
  FenceReceipt,
  Finding,
  Journal,
  Json,
  Lag,
  NodeObservation,
  Position,
  PromoteReceipt,
  Receipt,
  Store,
  StoreEscape,
  Token,
} from '../../../drivers/ports.ts';
import { originals } from '../../../drivers/store-claims.ts';
import type { Component, RegionName } from '../../../topology/model.ts';
import { secretSchema } from '../../../topology/scalars.ts';
import type { ClusterState } from './system.ts';

const configSchema = z.strictObject({ url: z.string(), key: secretSchema });

export const atomicStore: Driver<'store'> = {
  type: 'atomic-store',
  role: 'store',
  summary: 'A small system that switches in one call',
  config: configSchema,
  node: z.strictObject({}),
  capabilities: () => ({ role: 'store', cutover: 'atomic', fenceProofs: ['provider'], rewind: true }),
  local: () => false,
  secrets: ['key'],
  open: (component, context) => new AtomicStore(component, context),
};

/** What is kept in the cluster's tags. */
interface Tags {
  claim: Claim | null;
  journals: Record<RegionName, Journal>;
}

class AtomicStore implements Store {
  readonly #component: Component;
  readonly #context: DriverContext;

  constructor(component: Component, context: DriverContext) {
    this.#component = component;
    this.#context = context;
  }

  async observe(at: At): Promise<NodeObservation[]> {
    const asked = this.#context.now();
    const nodes = this.#component.sides[at.region]!.nodes;
    const state = await this.#state().catch((error: unknown) => {
      if (error instanceof RampartError) return error;
      throw error;
    });
    return nodes.map((node) => this.#nodeOf(node.name, at.region, state, asked));
  }

  sample(at: At): Promise<NodeObservation[]> {
    return this.observe(at);
  }

  async preflight(mode: 'planned' | 'unplanned', from: RegionName, to: RegionName): Promise<Finding[]> {
    const component = this.#component.name;
    const blocker = (code: string, message: string, remedy: string): Finding => ({
      code,
      severity: 'blocker',
      component,
      region: to,
      message,
      remedy,
    });
    try {
      const state = await this.#state();
      const writer = this.#writerOf(state);
      if (writer === to) return [blocker('atomic.targetIsWriter', `${to} is the writer already`, 'Nothing to switch.')];
      if (writer !== from && mode === 'planned')
        return [blocker('atomic.sourceIsReader', `the writer is ${writer}, not ${from}`, `Use --from ${writer}.`)];
      return [];
    } catch (error) {
      if (!(error instanceof RampartError)) throw error;
      return [
        blocker(
          error.type === 'AccessDenied' ? 'atomic.accessDenied' : 'atomic.unreachable',
          error.message,
          error.remedy,
        ),
      ];
    }
  }

  async readClaim(at: At): Promise<ClaimReceipt> {
    const { claim } = tagsOf(await this.#state());
    return { ...this.#receipt(true, 'claim read'), claim: { region: at.region, previous: null, current: claim } };
  }

  async claim(at: At, journal: Journal): Promise<ClaimReceipt> {
    const token = this.#token();
    const { value, changed } = await this.#change(({ claim, journals }) => {
      const same = claim?.epoch === token.epoch && claim.runId === token.runId;
      if (claim !== null && !same && claim.epoch >= token.epoch) {
        throw new RampartError('Conflict', `claimed by run ${claim.runId} with epoch ${claim.epoch}`);
      }
      const present = journals[at.region];
      if (same && present?.runId === journal.runId && present.open) return { value: claim };
      if (same && present?.runId === journal.runId && token.seq < claim.seq)
        throw new RampartError('Conflict', 'this run has closed its journal since');
      const adopted = present?.open === true && present.runId !== journal.runId ? present : null;
      const next = {
        ...journal,
        saved: originals(journal.saved, adopted?.saved),
        lastTouched: this.#context.now(),
        open: true,
      };
      const current = {
        epoch: token.epoch,
        runId: token.runId,
        seq: Math.max(token.seq, same ? claim.seq : 0),
        at: this.#context.now(),
      };
      return { value: claim, next: { claim: current, journals: { ...journals, [at.region]: next } } };
    });
    const { claim } = tagsOf(await this.#state());
    return { ...this.#receipt(!changed, 'claimed'), claim: { region: at.region, previous: value, current: claim } };
  }

  async journal(at: At, change: Partial<Pick<Journal, 'saved' | 'fencedAt' | 'open'>>): Promise<Receipt> {
    const { value } = await this.#mutate({ generation: null, id: null }, (tags) => {
      const present = tags.journals[at.region];
      if (present === undefined) throw new RampartError('Conflict', 'no journal: claim first');
      const next = {
        ...present,
        ...change,
        saved: { ...change.saved, ...present.saved },
        lastTouched: this.#context.now(),
      };
      return {
        value: !present.open && change.open === false,
        next: { ...tags, journals: { ...tags.journals, [at.region]: next } },
      };
    });
    return this.#receipt(value, 'journal touched');
  }

  async converge(from: RegionName, to: RegionName, limit: { ms: number; bytes: number }): Promise<Receipt> {
    const close = await this.#poll(10_000, async () => {
      const state = await this.#state();
      const lag = positionIn(state, from) - positionIn(state, to);
      return lag <= limit.bytes ? lag : undefined;
    });
    if (close === undefined) throw new RampartError('LagTooHigh', `${to} does not catch up with ${from}`);
    return this.#receipt(false, `${to} is ${close} behind`);
  }

  /** The one call. Planned: the system lets the reader catch up first. Unplanned: what has not arrived is lost. */
  async switchover(from: RegionName, to: RegionName, mode: 'planned' | 'unplanned'): Promise<PromoteReceipt> {
    const token = this.#token();
    for (;;) {
      const state = await this.#settled();
      const expected = token.expectedTimeline;
      if (state.writer === to) {
        checkToken(tagsOf(state).claim, token, { id: state.id, generation: null });
        if (expected !== null && state.generation <= expected)
          throw new RampartError('Conflict', `${to} has been the writer all along`);
        return this.#moved(state, to, true);
      }
      if (state.writer !== from)
        throw new RampartError('PreconditionFailed', `the writer is ${state.writer}, not ${from}`);
      const { version } = await this.#mutate({ id: state.id, generation: state.generation }, (tags) => ({
        value: null,
        next: tags,
      }));
      // Only under the tags that hold this run's claim: a run that took over since has changed them.
      const status = await this.#call(
        'POST',
        'switchover',
        { to, allowLoss: mode === 'unplanned', ifVersion: version },
        [202, 409, 412],
      );
      if (status !== 202) continue;
      const after = await this.#settled();
      if (after.writer === to) return this.#moved(after, to, false);
      throw new RampartError('NotApplied', `the switchover to ${to} was given up: it did not catch up`);
    }
  }

  async fence(_at: At): Promise<FenceReceipt> {
    throw atomicOnly('fence');
  }

  async unfence(): Promise<Receipt> {
    throw atomicOnly('unfence');
  }

  async awaitCatchUp(): Promise<never> {
    throw atomicOnly('catch-up');
  }

  async promote(): Promise<PromoteReceipt> {
    throw atomicOnly('promotion');
  }

  /** The token is written first: a call that was on its way finds other tags, and is refused. */
  async revokePromote(to: At): Promise<Receipt> {
    await this.#mutate({ id: null, generation: null }, (tags) => ({ value: null, next: tags }));
    const state = await this.#state();
    const revoked = state.writer !== null && state.writer !== to.region;
    return this.#receipt(false, revoked ? 'no switchover has begun' : 'a switchover was begun', { revoked });
  }

  async prove(at: At): Promise<FenceReceipt> {
    const state = await this.#state();
    const moved = state.writer !== null && state.writer !== at.region;
    return {
      ...this.#receipt(true, moved ? `the system says that ${state.writer} is the writer` : `${at.region} may write`),
      fence: {
        region: at.region,
        cannotWrite: moved ? 'provider' : 'none',
        finalPosition: null,
        durable: moved,
        systemId: state.id,
        timeline: state.generation,
        epoch: tagsOf(state).claim?.epoch ?? 0,
        needsRewind: false,
        provenAt: this.#context.now(),
      },
    };
  }

  async verifyWritable(to: At): Promise<Receipt> {
    this.#token();
    const state = await this.#settled();
    if (state.writer !== to.region) throw new RampartError('PreconditionFailed', `the writer is ${state.writer}`);
    return this.#receipt(true, `${to.region} is the only writer`);
  }

  async rejoin(at: At, primary: RegionName): Promise<Receipt> {
    this.#token();
    const followed = await this.#poll(10_000, async () => {
      const state = await this.#state();
      return state.writer === primary && positionIn(state, at.region) >= positionIn(state, primary) ? true : undefined;
    });
    if (!followed) throw new RampartError('NotApplied', `${at.region} does not follow ${primary}`);
    return this.#receipt(true, `${at.region} follows ${primary} by itself`);
  }

  rebuild(at: At, primary: RegionName): Promise<Receipt> {
    return this.rejoin(at, primary);
  }

  async release(_at: At): Promise<Receipt> {
    return this.#receipt(true, 'nothing is kept');
  }

  async escape(from: RegionName, to: RegionName): Promise<StoreEscape> {
    const { url } = configSchema.parse(this.#component.config);
    const now = [
      `# ${this.#component.name}: move the writer from ${from} to ${to}`,
      `curl -H "Authorization: Bearer $KEY" ${url}/cluster`,
      '# Take "version" from the answer:',
      `curl -H "Authorization: Bearer $KEY" -X POST ${url}/switchover -d '{"to":"${to}","ifVersion":…}'`,
    ];
    return { now, later: [] };
  }

  #moved(state: ClusterState, to: RegionName, already: boolean): PromoteReceipt {
    const node = this.#component.sides[to]!.nodes[0]!.name;
    const forkPosition = position(positionIn(state, to), state.generation - 1);
    return {
      ...this.#receipt(already, `${to} is the writer in generation ${state.generation}`),
      promote: { region: to, node, timeline: state.generation, forkPosition },
    };
  }

  #nodeOf(name: string, region: RegionName, state: ClusterState | RampartError, asked: number): NodeObservation {
    const base: NodeObservation = {
      ...{ node: name, region, state: 'unknown', via: 'network', observedAt: asked },
      ...{ systemId: null, timeline: null, position: null, received: null, upstream: null, lag: null },
      ...{ replicas: [], fence: null, sync: null, claim: null, journal: null, detail: '' },
    };
    if (state instanceof RampartError) {
      return {
        ...base,
        state: state.type === 'ProviderUnavailable' ? 'unreachable' : 'unknown',
        detail: state.message,
      };
    }
    const tags = tagsOf(state);
    const now = this.#context.now();
    const known: NodeObservation = {
      ...base,
      systemId: state.id,
      timeline: state.generation,
      position: position(positionIn(state, region), state.generation),
      claim: tags.claim,
      journal: tags.journals[region] ?? null,
      detail: `generation ${state.generation}, writer ${state.writer ?? 'is being moved'}`,
    };
    if (state.writer === region) return { ...known, state: 'writable' };
    if (state.writer === null) return known;
    const bytes = Math.max(0, positionIn(state, state.writer) - positionIn(state, region));
    const lag: Lag = { bytes, seconds: bytes === 0 ? 0 : null, measuredAt: now, freshnessMs: now - asked, fresh: true };
    const upstream = {
      address: state.writer,
      node: this.#component.sides[state.writer]!.nodes[0]!.name,
      streaming: true,
    };
    return { ...known, state: 'replica', received: known.position, upstream, lag };
  }

  /** The state once no switchover is under way. */
  async #settled(): Promise<ClusterState & { writer: string }> {
    const state = await this.#poll(30_000, async () => {
      const now = await this.#state();
      this.#context.heartbeat({ state: now.state });
      return now.writer === null ? undefined : (now as ClusterState & { writer: string });
    });
    if (state === undefined) throw new RampartError('DeadlineExceeded', 'a switchover does not end');
    return state;
  }

  #writerOf(state: ClusterState): string | null {
    return state.members.find((member) => member.role === 'writer')?.region ?? null;
  }

  #token(): Token {
    if (this.#context.token !== undefined) return this.#context.token;
    throw new RampartError('InvalidInput', 'a step that changes a store was called without a token');
  }

  #receipt(already: boolean, summary: string, facts: Record<string, Json> = {}): Receipt {
    return { already, at: this.#context.now(), summary, facts };
  }

  /** A change of the tags under this run's claim, which it renews. */
  #mutate<T>(
    expected: { id: string | null; generation: number | null },
    edit: (tags: Tags) => { value: T; next: Tags },
  ): Promise<{ value: T; changed: boolean; version: number }> {
    const token = this.#token();
    return this.#change((tags) => {
      checkToken(tags.claim, token, expected);
      const { value, next } = edit(tags);
      return { value, next: { ...next, claim: { ...tags.claim!, seq: token.seq } } };
    });
  }

  /** Compare-and-set on the tags' version, again while somebody else was faster. */
  async #change<T>(
    edit: (tags: Tags) => { value: T; next?: Tags },
  ): Promise<{ value: T; changed: boolean; version: number }> {
    for (;;) {
      const state = await this.#state();
      const { value, next } = edit(tagsOf(state));
      if (next === undefined) return { value, changed: false, version: state.version };
      const tags = { rampart: JSON.stringify(next) };
      const status = await this.#call('PUT', 'tags', { version: state.version, tags }, [200, 412]);
      if (status === 200) return { value, changed: true, version: state.version + 1 };
    }
  }

  async #state(): Promise<ClusterState> {
    return (await this.#request('GET', 'cluster')).json() as Promise<ClusterState>;
  }

  async #call(method: string, path: string, body: unknown, expected: number[]): Promise<number> {
    const response = await this.#request(method, path, body);
    await response.text();
    if (expected.includes(response.status)) return response.status;
    throw new RampartError('PreconditionFailed', `${method} /${path} was answered with ${response.status}`);
  }

  async #request(method: string, path: string, body?: unknown): Promise<Response> {
    const { url, key } = configSchema.parse(this.#component.config);
    const headers = { authorization: `Bearer ${await this.#context.secret(key)}` };
    const { signal } = this.#context;
    signal.throwIfAborted();
    const given = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(`${url}/${path}`, { method, headers, signal, ...given }).catch((error: Error) => {
      signal.throwIfAborted();
      throw new RampartError('ProviderUnavailable', `${url} does not answer: ${error.message}`, {
        remedy: 'See that it runs.',
      });
    });
    if (response.status === 403)
      throw new RampartError('AccessDenied', `${url} refuses the key`, { remedy: 'Check the key.' });
    return response;
  }

  #poll<T>(deadlineMs: number, look: () => Promise<T | undefined>): Promise<T | undefined> {
    return poll({ signal: this.#context.signal, deadlineMs, intervalMs: 2 }, look);
  }
}

function checkToken(
  claim: Claim | null,
  token: Token,
  expected: { id: string | null; generation: number | null },
): void {
  const refuse = (why: string): never => {
    throw new RampartError('Conflict', why);
  };
  if (claim === null || claim.epoch !== token.epoch || claim.runId !== token.runId)
    refuse('claimed by another run, or by none');
  else if (token.seq < claim.seq) refuse('a later step of the same run has acted');
  if (token.systemId !== null && expected.id !== null && token.systemId !== expected.id) refuse('another system');
  if (
    token.expectedTimeline !== null &&
    expected.generation !== null &&
    token.expectedTimeline !== expected.generation
  ) {
    refuse(`generation ${expected.generation}, the plan was made for ${token.expectedTimeline}`);
  }
}

function tagsOf(state: ClusterState): Tags {
  const text = state.tags.rampart;
  return text === undefined ? { claim: null, journals: {} } : (JSON.parse(text) as Tags);
}

const positionIn = (state: ClusterState, region: RegionName): number =>
  state.members.find((member) => member.region === region)?.position ?? 0;

const position = (order: number, timeline: number): Position => ({ text: `#${order}`, order: String(order), timeline });

function atomicOnly(what: string): RampartError {
  return new RampartError('PreconditionFailed', `this store has no ${what} of its own: it switches in one call`);
}
