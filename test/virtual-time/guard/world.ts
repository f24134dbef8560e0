/** A guard of the real bundle on the model world, in virtual time; its long watch looks at that world. */
import type { GuardingActivities, WatchServiceCall } from '../../../activities/contract.ts';
import { isHealthNews, judgeHealth } from '../../../plan/health/judge.ts';
import type { Health, LastProof, LiveRun, Look } from '../../../plan/health/model.ts';
import { lockOf } from '../../../topology/model.ts';
import type { GuardStatus } from '../../../workflows/contract.ts';
import { BUNDLE, LOCK } from '../engine/run.ts';
import { A, B, ModelWorld } from '../engine/world/world.ts';
import { type ActivityCall, createWorld, type Workflow, type World, type WorldOptions } from '../harness.ts';
import { readBundle } from '../sdk.ts';

type Handlers = { [K in keyof GuardingActivities]: (call: ActivityCall, input: never) => unknown };

export interface GuardOptions {
  policy?: 'fence' | 'notify';
  harness?: Partial<WorldOptions>;
  /** In place of the watch that looks at the world. */
  watch?: (call: ActivityCall, input: WatchServiceCall, guarded: GuardRun) => unknown;
  /** Whether the notify command fails now. */
  deaf?: () => boolean;
  before?: (model: ModelWorld) => void;
}

const INTERVAL_MS = 2_000;

/** What a guard's activities see, in virtual time or on a real server. */
export interface Watched {
  readonly model: ModelWorld;
  readonly told: string[];
  readonly lastProof: LastProof | null;
  /** The run that holds the service's lock. */
  live(): LiveRun | null | Promise<LiveRun | null>;
}

export class GuardRun implements Watched {
  readonly model: ModelWorld;
  harness!: World;
  guard!: Workflow;
  /** What people were told, in order: `opened twoWritable`, `cleared twoWritable`. */
  readonly told: string[] = [];
  lastProof: LastProof | null = null;
  #seen = 0;
  #locked = false;

  constructor(model: ModelWorld) {
    this.model = model;
  }

  status(): Promise<GuardStatus> {
    return this.guard.query('health') as Promise<GuardStatus>;
  }

  async codes(): Promise<string[]> {
    return ((await this.status()).health?.findings ?? []).map(({ code }) => code);
  }

  /** The run that holds the service's lock. */
  live(): LiveRun | null {
    // Each event is looked at once: in a year there are half a million of them, and tens of thousands of looks.
    const { trace } = this.harness;
    while (!this.#locked && this.#seen < trace.length) this.#locked = trace[this.#seen++]!.workflowId === LOCK;
    if (!this.#locked) return null;
    const run = this.harness.workflow(LOCK);
    if (run.outcome !== null) return null;
    return { workflowId: LOCK, runId: run.runId, type: 'refence', startedAt: 0 };
  }

  get refences(): number {
    return this.guard.trace.filter(({ event }) => event === 'childWorkflowExecutionStarted').length;
  }

  /** Runs on until the guard shows this. */
  async until(fits: (health: Health) => boolean, limitMs = 3_600_000): Promise<Health> {
    const end = this.harness.now + limitMs;
    for (;;) {
      await this.harness.settle();
      const { health } = await this.status();
      if (health !== null && fits(health)) return health;
      if (!(await this.harness.step(end))) throw new Error(`the guard shows ${JSON.stringify(health, null, 1)}`);
    }
  }

  dispose(): Promise<void> {
    return this.harness.dispose();
  }
}

export async function look(watched: Watched, { guarded, local }: WatchServiceCall): Promise<Look> {
  const { model, lastProof } = watched;
  const better = (region: string) => {
    const seen = model.database().observe(region, false);
    const beside = (local['orders-db'] ?? []).find((node) => node.region === region && node.via === 'local');
    const known = beside !== undefined && ['fenced', 'stopped'].includes(beside.state);
    return seen.state === 'unreachable' && known ? { ...beside, observedAt: seen.observedAt } : seen;
  };
  return {
    ...guarded,
    stores: { 'orders-db': [better(A), better(B)] },
    routers: Object.fromEntries(
      ['writer', 'edge'].map((name) => [name, model.traffic.observeRouter(name)]),
    ) as Look['routers'],
    run: await watched.live(),
    lastProof,
    topologyError: null,
  };
}

/** The old primary starts by itself on its old timeline, after a failover to B. */
export function oldPrimaryReturns(model: ModelWorld): void {
  Object.assign(model.database().server(A), { role: 'primary', signal: false, follows: null });
}

/** As an unplanned failover to B leaves it: A is gone. */
export function failedOver(model: ModelWorld): void {
  Object.assign(model.database().server(B), { role: 'primary', timeline: 2, signal: false, follows: null });
  Object.assign(model.database().server(A), { role: 'stopped', signal: false });
  model.traffic.routers.writer!.weights = { [A]: 0, [B]: 100 };
  model.traffic.routers.edge!.weights = { [A]: 0, [B]: 100 };
}

/** A world whose service has a guard. */
export function guardedWorld(policy: 'fence' | 'notify', searchAttributes: string[]): ModelWorld {
  return new ModelWorld({
    service: {
      returningPrimary: policy,
      guard: { enabled: true, intervalMs: INTERVAL_MS, proofAgeMs: 7_776_000_000 },
    },
    searchAttributes,
  });
}

const SHOWN = ['RampartService', 'RampartPhase', 'RampartAction'];

/** Every activity of a guard and of the runs it starts. */
export function guardActivities<W extends Watched>(
  watched: W,
  options: {
    searchAttributes: string[];
    watch?: (call: ActivityCall, input: WatchServiceCall, watched: W) => unknown;
    deaf?: () => boolean;
  },
): (call: ActivityCall) => unknown {
  const { model } = watched;
  const handlers: Handlers = {
    resolveGuarded: (_call, { service: name }: { service: string }) => {
      const service = model.topology.services[name];
      if (service?.guard?.enabled !== true) return null;
      return {
        service,
        components: model.topology.components,
        lock: lockOf(service),
        searchAttributes: options.searchAttributes,
      };
    },
    watchService: (call, input: WatchServiceCall) =>
      options.watch === undefined ? watch(watched, call, input) : options.watch(call, input, watched),
    tellPeople: (_call, { opened, cleared }: Parameters<GuardingActivities['tellPeople']>[0]) => {
      if (options.deaf?.()) throw new Error('the notify command ended with 1');
      watched.told.push(...opened.map(({ code }) => `opened ${code}`), ...cleared.map(({ code }) => `cleared ${code}`));
    },
  };
  return (call) => {
    const handler = handlers[call.type as keyof Handlers];
    return handler === undefined ? model.activities(call) : handler(call, call.args[0] as never);
  };
}

export async function startGuard(options: GuardOptions = {}): Promise<GuardRun> {
  const model = guardedWorld(options.policy ?? 'fence', SHOWN);
  const run = new GuardRun(model);
  const { watch, deaf } = options;
  const harness = await createWorld({
    bundle: await readBundle(BUNDLE),
    activities: guardActivities(run, {
      searchAttributes: SHOWN,
      ...(watch === undefined ? {} : { watch }),
      ...(deaf === undefined ? {} : { deaf }),
    }),
    workflowQueues: ['rampart'],
    foreignWorkflows: () => ({ done: true }),
    ...options.harness,
  });
  run.harness = harness;
  model.useClock(() => harness.now);
  options.before?.(model);
  run.guard = await harness.start('guard', { workflowId: 'guard/checkout', args: [{ service: 'checkout' }] });
  return run;
}

/** As the real one: looks every two seconds, returns what is new, or after its time. */
async function watch(watched: Watched, call: ActivityCall, input: WatchServiceCall): Promise<unknown> {
  const end = call.now() + input.forMs;
  const known = JSON.stringify(input.guarded.service);
  let { memory } = input;
  for (;;) {
    const judged = judgeHealth(await look(watched, input), memory, call.now());
    memory = judged.memory;
    call.heartbeat({ memory });
    if (isHealthNews(input.shown, judged.health)) return { why: 'changed', ...judged };
    if (call.now() >= end) return { why: 'time', ...judged };
    if (JSON.stringify(watched.model.topology.services.checkout) !== known) return { why: 'topology', ...judged };
    await call.sleep(INTERVAL_MS);
  }
}
