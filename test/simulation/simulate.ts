/** Plays one scenario and has it judged. The same scenario gives the same trace, event by event. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunRecord } from '../../evidence/record.ts';
import { repositoryRoot } from '../../lab/paths.ts';
import type { RunStatus } from '../../workflows/contract.ts';
import { coverage, judge, type Rule, type Violation } from '../judge/judge.ts';
import type { Trace } from '../judge/trace.ts';
import { createWorld, type TraceEvent as HistoryEvent, type Workflow, type World } from '../virtual-time/harness.ts';
import { parseBundle } from '../virtual-time/sdk.ts';
import { activityHandler, stepOf } from './attempts.ts';
import { Faults } from './faults.ts';
import { Bystanders } from './people.ts';
import { Random } from './random.ts';
import { type Action, type Fault, type Scenario, WORDS } from './scenario.ts';
import { A, activitiesOf, B, LOCK, serviceOf, topologyOf } from './service.ts';
import { traceOfRun } from './story.ts';
import { SimWorld } from './world/world.ts';

export interface Result {
  scenario: Scenario;
  violations: Violation[];
  /** Rules that had something to judge. */
  judged: Rule[];
  /** Of everything that happened: equal for equal scenarios. */
  hash: string;
  trace: Trace;
  /** How each run ended, or what it waits for. */
  ends: string[];
  /** Faults that struck, as `fault at verb`, with their number. */
  struck: Record<string, number>;
}

export interface Options {
  bundle?: ReturnType<typeof parseBundle>;
  /** Replays every run from its own history at the end. */
  replay?: boolean;
  /** Around the activities: what a deliberate bug changes. */
  wrap?: (activities: ReturnType<typeof activitiesOf>, world: SimWorld) => ReturnType<typeof activitiesOf>;
}

/** A run that is not over after so long, in milliseconds, is looked at as it stands. */
const HORIZON_MS = 20 * 60_000;
/** After the last request everything is mended, and the run gets so long to come to an end, in milliseconds. */
const MENDED_AFTER_MS = 4 * 60_000;

let shipped: ReturnType<typeof parseBundle> | undefined;

/** The bundle that workers load. */
export async function bundleText(): Promise<string> {
  return readFile(join(repositoryRoot(), 'dist/workflow-bundle.js'), 'utf8');
}

async function shippedBundle() {
  shipped ??= parseBundle(await bundleText(), join(repositoryRoot(), 'dist/workflow-bundle.js'));
  return shipped;
}

export async function simulate(scenario: Scenario, options: Options = {}): Promise<Result> {
  const random = new Random(scenario.seed, 7);
  let harness: World | null = null;
  const early: Array<[number, () => void]> = [];
  const timeline = {
    // Clocks that programs read show whole milliseconds, and a position is a whole number of writes.
    now: () => Math.floor(harness?.now ?? START),
    after: (ms: number, action: () => void) => (harness ? harness.after(ms, action) : early.push([ms, action])),
  };
  const service = serviceOf(scenario);
  const settings = { regions: [A, B], stores: scenario.stores, active: A, lagMs: scenario.lagMs };
  const world = new SimWorld(settings, topologyOf(scenario, service), service, timeline, random);
  for (const server of world.allServers()) server.eager = scenario.eager;
  world.skew = scenario.skew;
  const real = activitiesOf(world, (workflowId) => harness?.requestCancel(workflowId));
  const struck: Record<string, number> = {};
  const spoken: Fault[] = [];
  let faults: Faults | null = null;
  const strike = (fault: Fault): void => {
    if ((WORDS as readonly string[]).includes(fault.what)) spoken.push(fault);
    else faults?.strike(fault);
  };
  const activities = options.wrap?.(real, world) ?? real;
  const handler = activityHandler({
    activities,
    faults: scenario.faults,
    strike,
    latency: (low, high) => random.int(low, high),
    skew: (queue) => world.skew[queue] ?? 0,
    now: () => timeline.now(),
    after: timeline.after,
    struck: ({ what }, verb) => {
      const key = `${what} at ${verb}`;
      struck[key] = (struck[key] ?? 0) + 1;
    },
  });
  const relied = new Relied(world);
  harness = await createWorld({
    bundle: options.bundle ?? (await shippedBundle()),
    activities: (call) => {
      const step = stepOf(call);
      if (step !== null) relied.see(step.run.runId, step.step.id, step.mode, step.overrides);
      return handler(call);
    },
    workflowQueues: ['rampart'],
    foreignWorkflows: () => ({ done: true }),
    startAt: START,
    batching: scenario.batching,
  });
  for (const [ms, action] of early) harness.after(ms, action);
  faults = new Faults(world, harness);
  world.keepWatch();
  for (const fault of scenario.faults)
    if ('ms' in fault.when) {
      const { ms } = fault.when;
      harness.after(ms, () => {
        struck[`${fault.what} at a moment`] = (struck[`${fault.what} at a moment`] ?? 0) + 1;
        strike(fault);
      });
    }
  const game = new Game(scenario, harness, world, faults, spoken);
  try {
    const ends = await game.play();
    if (options.replay) await harness.replay();
    world.count();
    world.trace.secrets = [SECRET];
    world.trace.name = `seed ${scenario.seed}`;
    world.trace.events.sort((a, b) => a.at - b.at);
    const hash = createHash('sha1')
      .update(JSON.stringify([world.trace.events, outline(harness.trace)]))
      .digest('hex');
    // After the digest, which they would make expensive.
    for (const [where, texts] of game.kept) world.say({ kind: 'text', where, text: texts.join('\n') });
    const violations = judge(world.trace);
    return { scenario, violations, judged: coverage(world.trace), hash, trace: world.trace, ends, struck };
  } finally {
    await harness.dispose();
  }
}

/** What no text may hold. */
export const SECRET = 'correct-horse-battery';
const START = Date.UTC(2026, 0, 1);
const outline = (history: HistoryEvent[]): unknown[] => history.map(({ at, event, name, id }) => [at, event, name, id]);

/**
 * Notes in the trace on which readings a planned run went into the freeze: the last one that it made of each store
 * while it waited for it to be close behind. What happens between that and the fence no reading could have told.
 */
class Relied {
  readonly #world: SimWorld;
  readonly #seen = new Set<string>();
  readonly modes = new Map<string, 'planned' | 'unplanned'>();

  constructor(world: SimWorld) {
    this.#world = world;
    world.modeOf = (run) => this.modes.get(run) ?? 'planned';
  }

  see(run: string, step: string, mode: 'planned' | 'unplanned', overrides: string[]): void {
    this.modes.set(run, mode);
    if (/^undo:fence:/.test(step)) this.#forget(run);
    if (!/^fence:/.test(step)) return;
    // With the first fence the run has gone on for every store: what a fault does to the others then comes after it.
    for (const store of Object.keys(this.#world.stores)) this.#judge(run, store, mode, overrides);
  }

  /** Writes go on again: what was read before is no reading for the next fence. */
  #forget(run: string): void {
    for (const store of Object.keys(this.#world.stores)) {
      this.#seen.delete(`${run} ${store}`);
      this.#world.lagRead.delete(`${run} ${store}`);
    }
  }

  #judge(run: string, store: string, mode: 'planned' | 'unplanned', overrides: string[]): void {
    if (this.#seen.has(`${run} ${store}`)) return;
    this.#seen.add(`${run} ${store}`);
    const replica = this.#world.servers(store).find((server) => server.recovering && server.follows !== null);
    // Found fenced, there is no lag to rely on: what it holds is what it ended with.
    const stopped = this.#world.servers(store).some((server) => server.follows === null && server.signal);
    if (replica === undefined || stopped) return;
    const quality = this.#world.lagRead.get(`${run} ${store}`) ?? this.#world.lagIs(replica);
    const accepted = overrides.includes('lagAboveObjective') || overrides.includes('healthySource');
    this.#world.say({ kind: 'relied', run, mode, on: `the lag of ${store}`, quality, accepted });
  }
}

/** The course of one simulation: request after request, people in between, then everything is mended. */
class Game {
  readonly #scenario: Scenario;
  readonly #harness: World;
  readonly #world: SimWorld;
  readonly #faults: Faults;
  readonly #spoken: Fault[];
  #events = 0;
  /** What of each run is kept anywhere, for the search for secrets. */
  readonly kept: Array<[where: string, texts: string[]]> = [];

  constructor(scenario: Scenario, harness: World, world: SimWorld, faults: Faults, spoken: Fault[]) {
    this.#scenario = scenario;
    this.#harness = harness;
    this.#world = world;
    this.#faults = faults;
    this.#spoken = spoken;
  }

  async play(): Promise<string[]> {
    const ends: string[] = [];
    for (let i = 0; i < this.#scenario.actions.length; ) {
      const last = i === this.#scenario.actions.length - 1;
      // A request may come while the world is still in pieces; the last one's run sees it mended.
      const { type, request } = this.#scenario.actions[i] as Action;
      const args = [{ service: 'checkout', by: 'ann', ...request }];
      await this.#harness.advance(ends.length === 0 ? 3_000 : 1_000);
      await this.#reachable();
      const before = this.#world.state();
      const workflow = await this.#harness.start(type, { workflowId: LOCK, args });
      const run = workflow.runId;
      this.#world.say({ kind: 'run', run, lock: LOCK, state: 'started' });
      this.#world.say({ kind: 'snapshot', run, moment: 'before', state: before });
      const end = await this.#follow(workflow, last);
      if (end !== 'open') this.#world.say({ kind: 'run', run, lock: LOCK, state: end });
      if (end === 'closed') this.#world.say({ kind: 'snapshot', run, moment: 'after', state: this.#world.state() });
      ends.push(await this.#conclude(workflow, run, end));
      if (end === 'open') break;
      // Whoever finds a run gone asks for the same again.
      if (end === 'closed') i += 1;
    }
    return ends;
  }

  async #follow(workflow: Workflow, last: boolean): Promise<'closed' | 'lost' | 'open'> {
    const harness = this.#harness;
    const people = new Bystanders(this.#scenario, harness, this.#world, workflow);
    const begun = harness.now;
    let mended = !last;
    while (workflow.outcome === null && harness.now - begun < HORIZON_MS) {
      const mendAt = begun + MENDED_AFTER_MS;
      if (!mended && harness.now >= mendAt) {
        this.#faults.mendAll();
        mended = true;
      }
      if (harness.now >= people.nextLook) await people.look();
      // Words out of turn are said again until somebody hears them.
      while (this.#spoken.length > 0 && harness.serves('rampart')) {
        const word = this.#spoken.shift() as Fault;
        if (word.what === 'terminate' && workflow.outcome === null) {
          await workflow.terminate();
          return 'lost';
        }
        await people.say(word);
      }
      const until = Math.min(people.nextLook, mended ? Number.POSITIVE_INFINITY : mendAt, begun + HORIZON_MS);
      if (!(await harness.step(until))) await harness.advanceTo(until);
      this.#hear(people);
      if (people.tired && harness.now - begun > MENDED_AFTER_MS + 60_000) break;
    }
    return workflow.outcome === null ? 'open' : 'closed';
  }

  /** Whoever has a question asks until somebody answers. */
  async #reachable(): Promise<void> {
    while (!this.#harness.serves('rampart')) await this.#harness.advance(1_000);
  }

  /** The run calls for people by its search attributes, as in a list of runs. */
  #hear(people: Bystanders): void {
    const { trace } = this.#harness;
    for (; this.#events < trace.length; this.#events++)
      if (trace[this.#events]?.event === 'upsertWorkflowSearchAttributes') people.call();
  }

  async #conclude(workflow: Workflow, run: string, end: 'closed' | 'lost' | 'open'): Promise<string> {
    await this.#reachable();
    const record = (await workflow.query('evidence')) as RunRecord;
    this.kept.push([`the history of ${run}`, workflow.texts]);
    this.kept.push([`an answer of ${run} to a query`, [await workflow.currentDetails()]]);
    const history = this.#harness.trace.filter((event) => event.runId === run);
    traceOfRun(this.#world, run, record, history, this.#scenario, end === 'lost');
    if (end === 'closed') return `${record.action} ${record.mode}: ${record.outcome}: ${record.text}`;
    if (end === 'lost') return `${record.action} ${record.mode}: lost`;
    const status = (await workflow.query('status')) as RunStatus;
    this.kept.push([`an answer of ${run} to a query`, [JSON.stringify(status)]]);
    const { gate, holding, paused, debt, phase } = status;
    const waits = status.phase === 'compensating' ? debt.map((d) => d.message).join('; ') : '';
    const text = holding?.reason ?? (gate ? `gate ${gate.id}` : paused ? `paused by ${paused.by}` : waits);
    this.#world.say({ kind: 'waiting', run, text, choices: holding?.choices ?? [] });
    return `${record.action} ${record.mode}: open in ${phase}: ${text || 'says nothing'}`;
  }
}
