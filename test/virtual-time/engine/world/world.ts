/**
 * A world for the engine to act on: two regions, a database, routers, an app and its check, reached by the same
 * activities with the same receipts and refusals as the real ones. Everything that happens to it is in `log`.
 *
 * Faults are scripted per step: `world.on('promote:orders-db', async (act) => { await act(); return 'never'; })` loses
 * the answer of the first promotion.
 */
import { ApplicationFailure } from '@temporalio/common';
import type { NotifyCall, PlanningActivities } from '../../../../activities/contract.ts';
import { ERROR_TYPES, RampartError } from '../../../../drivers/errors.ts';
import type { FenceReceipt, Finding, Json, Receipt, Weights } from '../../../../drivers/ports.ts';
import { MOVE } from '../../../../plan/adopted.ts';
import type { HaltNote, StepCall } from '../../../../plan/model.ts';
import type { Notifications } from '../../../../topology/channels.ts';
import type { Service, Topology } from '../../../../topology/model.ts';
import { A, B, checkout, component, components } from '../../../plan/world.ts';
import type { ActivityCall, ActivityHandler } from '../../harness.ts';
import { Database } from './databases.ts';
import { planningActivities } from './planning.ts';
import { Traffic } from './traffic.ts';

export { A, B };

/** What the script does instead of, or around, the step's own work. `'never'`: no answer. */
export type Script = (act: () => Promise<Receipt>, call: ActivityCall, step: StepCall) => unknown;

export interface Happened {
  at: number;
  /** What changed in the world. */
  what: string;
}

/** How long the work of a verb takes, in milliseconds; the others take `ORDINARY_MS`. */
const TAKES: Record<string, number> = {
  converge: 1_000,
  fence: 300,
  promote: 200,
  drainWorkload: 2_000,
  rejoin: 2_000,
};
const ORDINARY_MS = 100;
const PLANNING_MS = 20;
const HEARTBEAT_MS = 500;

export interface WorldOptions {
  service?: Partial<Service>;
  searchAttributes?: string[];
  /** Region that is active at first. */
  active?: string;
  /** How many times longer than usual the work of a step takes. */
  pace?: number;
  /** Stores beside `orders-db`, by name, with how they switch. */
  stores?: Record<string, 'staged' | 'atomic'>;
  notifications?: Notifications;
}

export class ModelWorld {
  readonly log: Happened[] = [];
  /** Step ids in the order in which their work was begun, attempts included. */
  readonly attempts: string[] = [];
  readonly topology: Topology;
  readonly traffic: Traffic;
  readonly databases: Record<string, Database>;
  /** What the stores' own preflight finds. */
  findings: Finding[] = [];
  /** What channels were asked to send, attempt by attempt. */
  readonly told: NotifyCall[] = [];
  /** How a channel answers; default: it sends, and keeps nothing. */
  notify: (call: ActivityCall, input: NotifyCall) => unknown = () => ({ kept: null });
  /** Numbers of the tokens that steps were scheduled with, in order. */
  readonly tokens: number[] = [];
  /** What the server does when the run asks for its own cancellation. */
  cancelRun: () => Promise<void> = async () => undefined;
  /** The halt that is open, as activities find it. */
  halt: HaltNote | null = null;
  #now: () => number = () => 0;
  readonly #pace: number;
  readonly #scripts: Array<{ key: string; script: Script; times: number }> = [];
  readonly #planning: ReturnType<typeof planningActivities>;

  constructor(options: WorldOptions = {}) {
    const active = options.active ?? A;
    this.#pace = options.pace ?? 1;
    const changed = (what: string): void => {
      this.log.push({ at: this.now, what });
    };
    const now = (): number => this.now;
    this.traffic = new Traffic(active, [A, B], now, changed);
    const further = options.stores ?? {};
    this.databases = Object.fromEntries(
      ['orders-db', ...Object.keys(further)].map((name) => [name, new Database(name, [A, B], active, now, changed)]),
    );
    this.topology = {
      version: 1,
      digest: 'a'.repeat(64),
      path: 'rampart.yaml',
      regions: Object.fromEntries([A, B].map((name) => [name, { name, labels: {} }])),
      tiers: { [checkout.tier.name]: checkout.tier },
      components: {
        ...components(),
        ...Object.fromEntries(
          Object.entries(further).map(([name, cutover]) => [name, component(name, 'store', [A, B], { cutover })]),
        ),
      },
      alertSources: {},
      watches: {},
      triggers: {},
      ...(options.notifications === undefined ? {} : { notifications: options.notifications }),
      drills: {},
      services: {
        checkout: {
          ...checkout,
          components: [...checkout.components, ...Object.keys(further)],
          ...options.service,
        },
      },
    };
    this.#planning = planningActivities(this, this.topology, options.searchAttributes ?? []);
  }

  get now(): number {
    return this.#now();
  }

  /** Ties the world to the harness's clock. */
  useClock(now: () => number): void {
    this.#now = now;
    for (const database of Object.values(this.databases)) {
      for (const server of Object.values(database.servers)) server.since = now();
      database.samples = [];
      database.sample();
    }
  }

  database(name = 'orders-db'): Database {
    return this.databases[name] as Database;
  }

  /**
   * Scripts what happens when a step is worked on.
   * @param key a step id (`fence:orders-db@eu-west`, `undo:…`), a verb, or a planning activity's name
   * @param times how many attempts it is for; then the step works by itself
   */
  on(key: string, script: Script, times = 1): void {
    this.#scripts.push({ key, script, times });
  }

  /** The host of a region dies, with the database, the app and the workers beside it. */
  lose(region: string): void {
    for (const database of Object.values(this.databases)) {
      database.sample();
      database.flow();
      database.server(region).reachable = false;
    }
    this.traffic.workload('shop', region).reachable = false;
    this.log.push({ at: this.now, what: `${region} is lost` });
  }

  /** Everything a run may change and must put back when it goes back (I7). Positions and claims aside. */
  state(): unknown {
    const { routers } = this.traffic;
    const sizes = Object.values(this.traffic.workloads).flatMap((sides) =>
      Object.values(sides).map(({ state, size }) => ({ state, size })),
    );
    const servers = Object.values(this.databases).flatMap(({ servers }) =>
      Object.values(servers).map(({ region, role, signal, timeline, follows }) => ({
        ...{ region, role, signal, timeline, follows },
      })),
    );
    return structuredClone({ routers, sizes, servers });
  }

  /** Changes whenever a look at the world could show something else than before, but for the passing of time. */
  get version(): string {
    const { routers, workloads, checks } = this.traffic;
    const stores = Object.values(this.databases).map(({ lagMs, stalled, servers }) => [
      ...[lagMs, stalled],
      ...Object.values(servers).map(({ reachable, role, timeline }) => [reachable, role, timeline]),
    ]);
    return JSON.stringify([stores, routers, workloads, checks, this.findings, this.halt]);
  }

  /** Journals that are open: a run that has ended leaves none. */
  get openJournals(): string[] {
    return Object.values(this.databases).flatMap(({ servers }) =>
      Object.values(servers)
        .filter(({ journal }) => journal?.open)
        .map(({ name }) => name),
    );
  }

  readonly activities: ActivityHandler = (call) => {
    const [input] = call.args as [never];
    if (call.type === 'notify') {
      this.told.push(input);
      return this.notify(call, input);
    }
    const planning = this.#planning[call.type as keyof PlanningActivities];
    if (planning !== undefined)
      return this.#run(call.type, PLANNING_MS, call, {} as StepCall, () => planning(call, input));
    const step = input as StepCall;
    if (step.token !== null && call.attempt === 1) this.tokens.push(step.token.seq);
    return this.#run(step.step.id, this.#pace * (TAKES[call.type] ?? ORDINARY_MS), call, step, () =>
      this.#work(call, step),
    );
  };

  async #run(key: string, ms: number, call: ActivityCall, step: StepCall, work: () => unknown): Promise<unknown> {
    if (key !== call.type) this.attempts.push(key);
    const act = async (): Promise<Receipt> => {
      for (let left = ms; left > 0; left -= HEARTBEAT_MS) {
        call.heartbeat({ left });
        await call.sleep(Math.min(left, HEARTBEAT_MS));
      }
      return (await work()) as Receipt;
    };
    const script = this.#scripts.find((each) => (each.key === key || each.key === call.type) && each.times > 0);
    if (script) script.times -= 1;
    try {
      return await (script ? script.script(act, call, step) : act());
    } catch (error) {
      throw error instanceof RampartError ? failure(error) : error;
    }
  }

  #work(call: ActivityCall, step: StepCall): unknown {
    const { component, region, input } = step;
    const name = component?.name as string;
    const at = region as string;
    const token = step.token as NonNullable<StepCall['token']>;
    const saved =
      (input.saved as Record<string, Json> | undefined) ?? (step.given.saved as unknown as Receipt | undefined)?.facts;
    switch (call.type) {
      case 'ping':
        return this.#receipt('build 0.1.0 answers', { build: '0.1.0' });
      case 'preflightStep':
        return this.#receipt('no findings');
      case 'runCheck':
        return this.#mustPass(name, at, input.must !== false);
      case 'readClaim':
        return this.database(name).readClaim(at);
      case 'claim':
        return this.database(name).claim(at, token, {
          runId: step.run.runId,
          workflowId: step.run.workflowId,
          epoch: token.epoch,
          service: step.run.service,
          component: name,
          saved: {
            ...Object.fromEntries(
              Object.entries(step.given).filter(([key, value]) => key.startsWith('save:') && value !== null),
            ),
            [MOVE]: {
              ...((input.move as object | undefined) ?? { from: step.from, to: step.to }),
              ...(input.traffic === true ? { traffic: true } : {}),
            },
          },
          fencedAt: null,
          freezeBudgetMs: Number(input.freezeBudgetMs),
          lastTouched: this.now,
          open: true,
        });
      case 'closeJournal':
        return this.database(name).closeJournal(at, token);
      case 'converge':
        return this.database(name).converge(
          input.from as string,
          input.to as string,
          input.limit as { ms: number; bytes: number },
        );
      case 'fence':
        return this.database(name).fence(at, token);
      case 'unfence':
        return this.database(name).unfence(at, token, input.to as string);
      case 'prove':
        return this.database(name).prove(at);
      case 'awaitCatchUp':
        return this.#catchUp(call, name, at, step.given.fence as unknown as FenceReceipt | null);
      case 'promote':
        return this.database(name).promote(at, token, input.from as string, proofFor(step), token.expectedTimeline);
      case 'switchover':
        return this.database(name).switchover(input.from as string, input.to as string, token);
      case 'revokePromote':
        return this.database(name).revokePromote(at, token);
      case 'verifyWritable':
        return this.database(name).verifyWritable(input.to as string, input.from as string);
      case 'leftBehind':
        return this.database(name).leftBehind(at, input.primary as string);
      case 'rejoin':
        return this.database(name).rejoin(at, token, input.primary as string);
      case 'rebuild':
        return this.database(name).rebuild(at, token, input.primary as string);
      case 'release':
        this.log.push({ at: this.now, what: `the old data of ${name} in ${at} is let go of` });
        return this.#receipt(`deleted what was kept in ${at}`);
      case 'finalObservation':
        return this.#oneWritable(name);
      case 'saveRouter':
        return this.traffic.saveRouter(name);
      case 'prepareRouter':
        return this.traffic.setTtl(name);
      case 'restoreRouter':
        return this.traffic.setTtl(name, saved?.ttl as number);
      case 'fenceRouter':
        return this.traffic.fenceRouter(name, at);
      case 'setWeights':
        return this.traffic.setWeights(name, input.weights as Weights, (to) => this.#mayReceive(name, to));
      case 'verifyWeights':
        return this.traffic.verifyWeights(name);
      case 'saveWorkload':
        return this.traffic.saveWorkload(name, at);
      case 'scaleWorkload':
        return this.traffic.setWorkload(name, at, { state: 'active', size: this.traffic.workload(name, at).wanted });
      case 'quiesceWorkload':
        return this.traffic.setWorkload(name, at, { state: 'standby' });
      case 'drainWorkload':
        return this.traffic.setWorkload(name, at, { state: 'drained' });
      case 'restoreWorkload':
        return this.traffic.setWorkload(
          name,
          at,
          input.desired ? { state: input.desired as 'standby' } : (saved as { state: 'active'; size: number }),
        );
      case 'analyse':
        return this.#bake(call, step);
      case 'ownCommand':
      case 'ownHttp':
        this.log.push({ at: this.now, what: step.step.id });
        return this.#receipt(`${step.step.summary}: done`);
      default:
        throw new Error(`the model world has no activity ${call.type}`);
    }
  }

  async #catchUp(call: ActivityCall, name: string, region: string, fence: FenceReceipt | null): Promise<unknown> {
    for (;;) {
      const reached = this.database(name).awaitCatchUp(region, fence);
      if (reached !== null) return reached;
      call.heartbeat({ waiting: true });
      await call.sleep(100);
    }
  }

  #mustPass(name: string, region: string, must: boolean): Receipt {
    const { outcome, observed } = this.traffic.check(name, region);
    if (must && outcome !== 'pass')
      throw new RampartError('PreconditionFailed', `check ${name} in ${region}: ${outcome}, observed ${observed}`);
    return this.#receipt(`${name}: ${outcome}`, { outcome });
  }

  async #bake(call: ActivityCall, step: StepCall): Promise<Receipt> {
    const { durationMs, intervalMs, failureLimit, region, percent } = step.input as Record<string, number | string>;
    const end = this.now + Number(durationMs);
    let failed = 0;
    for (;;) {
      const bad = step.related.filter(({ name }) => this.traffic.check(name, String(region)).outcome !== 'pass');
      failed += bad.length;
      call.heartbeat({ failed });
      if (failed > Number(failureLimit))
        throw new RampartError('AnalysisFailed', `at ${percent} % in ${region}: ${bad.map(({ name }) => name)} failed`);
      if (this.now >= end) return this.#receipt(`${percent} % held`, { outcome: 'pass', measurements: [] });
      await call.sleep(Math.min(Number(intervalMs), end - this.now));
    }
  }

  #oneWritable(name: string): Receipt {
    const { writable, servers } = this.database(name);
    const seen = writable.filter((region) => servers[region]?.reachable);
    if (seen.length !== 1)
      throw new RampartError(seen.length === 0 ? 'PreconditionFailed' : 'SplitBrain', `${seen.length} writable`);
    return this.#receipt(`writable in ${seen[0]}`, { region: seen[0] as string });
  }

  #mayReceive(router: string, region: string): string | null {
    if (this.traffic.routers[router]?.kind === 'endpoint')
      return this.database().writable.includes(region) && this.database().server(region).reachable
        ? null
        : 'no store is writable there';
    const { reachable, ready, state, size, wanted } = this.traffic.workload('shop', region);
    if (!reachable || !ready || state === 'drained') return 'the app is not ready there';
    return size < wanted ? `${size} of ${wanted} are there` : null;
  }

  #receipt(summary: string, facts: Receipt['facts'] = {}): Receipt {
    return { already: true, at: this.now, summary, facts };
  }
}

/** As the activity hands it on: a proof that shows nothing is none, once people have accepted a weak fence. */
function proofFor({ given, overrides }: StepCall): FenceReceipt | null {
  const proof = (given.proof ?? null) as unknown as FenceReceipt | null;
  return proof?.fence.cannotWrite === 'none' && overrides.includes('weakFence') ? null : proof;
}

/** As activities report it: retryable or not as the table of errors says. */
export function failure(error: RampartError): ApplicationFailure {
  return ApplicationFailure.create({
    message: error.message,
    type: error.type,
    nonRetryable: !ERROR_TYPES[error.type].retryable,
  });
}
