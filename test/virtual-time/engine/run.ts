/** Starts a run of the real engine on a model world, in virtual time. */
import { fileURLToPath } from 'node:url';
import type { RunRecord } from '../../../evidence/record.ts';
import type { GateView, MessageAnswer, RunStatus } from '../../../workflows/contract.ts';
import { createWorld, type Workflow, type World, type WorldOptions } from '../harness.ts';
import { readBundle } from '../sdk.ts';
import { Invariants } from './world/invariants.ts';
import { type WorldOptions as ModelOptions, ModelWorld } from './world/world.ts';

/** Built from the sources before any test (`test/build.ts`), so that no test file bundles for itself. */
export const BUNDLE = fileURLToPath(new URL('../../../dist/workflow-bundle.js', import.meta.url));
export const LOCK = 'failover/checkout';

export interface RunOptions {
  workflowId?: string;
  type?: string;
  request?: unknown;
  world?: ModelOptions;
  harness?: Partial<WorldOptions>;
  /** The world begins with two writable sides: not this run's doing. */
  splitBrain?: boolean;
  /** Set up before the run starts. */
  before?: (model: ModelWorld, harness: World) => void;
}

export const PLANNED = { service: 'checkout', to: 'eu-central', by: 'ann' };
export const UNPLANNED = { ...PLANNED, mode: 'unplanned' };

/** A run under way, with the words people use on it. */
export class EngineRun {
  readonly model: ModelWorld;
  readonly harness: World;
  readonly workflow: Workflow;
  readonly invariants: Invariants;
  /** The world as it was before the run. */
  readonly before: unknown;

  constructor(model: ModelWorld, harness: World, workflow: Workflow, invariants: Invariants, before: unknown) {
    this.model = model;
    this.invariants = invariants;
    this.harness = harness;
    this.workflow = workflow;
    this.before = before;
  }

  status(): Promise<RunStatus> {
    return this.workflow.query('status') as Promise<RunStatus>;
  }

  record(): Promise<RunRecord> {
    return this.workflow.query('evidence') as Promise<RunRecord>;
  }

  /** Sends an update; the answer is what was done. @throws the refusal */
  send(verb: string, input: unknown = { by: 'bob' }): Promise<MessageAnswer> {
    return this.workflow.update(verb, input) as Promise<MessageAnswer>;
  }

  /** Runs on until a gate is open. */
  async gate(name?: string): Promise<GateView> {
    for (;;) {
      await this.harness.settle();
      const gate = this.workflow.outcome ? null : (await this.status()).gate;
      if (gate && (name === undefined || gate.name === name)) return gate;
      await this.#go(`gate ${name ?? ''}`);
    }
  }

  /** Runs on until the run holds. */
  async holding(): Promise<NonNullable<RunStatus['holding']>> {
    for (;;) {
      await this.harness.settle();
      const holding = this.workflow.outcome ? null : (await this.status()).holding;
      if (holding) return holding;
      await this.#go('a hold');
    }
  }

  /** Approves the cut-over, or whatever gate opens next. */
  async approve(extra: object = {}): Promise<void> {
    const { id, needsOverride } = await this.gate();
    if (needsOverride.includes('weakFence')) this.invariants.weakFenceAccepted = true;
    await this.send('decide', { gate: id, decision: 'approve', by: 'bob', override: needsOverride, ...extra });
  }

  cancel(): Promise<void> {
    return this.workflow.cancel();
  }

  /** Runs on until this step's work has begun. */
  until(step: string, attempt = 1): Promise<void> {
    return this.harness.runUntil(() => this.model.attempts.filter((id) => id === step).length >= attempt);
  }

  /**
   * Runs to the end and returns the record, whatever the outcome. Replays everything from its own history.
   * @throws Error when an invariant was broken on the way, or a run that says it went back did not
   */
  async end(): Promise<RunRecord> {
    await this.workflow.runUntilClosed();
    const record = await this.record();
    await this.harness.replay();
    const { broken } = this.invariants;
    if (broken.length > 0) throw new Error(`${broken.join('; ')}\n${this.story(record)}`);
    if (['rolledBack', 'cancelled', 'withdrawn', 'refused'].includes(record.outcome as string)) {
      const now = JSON.stringify(this.model.state());
      if (now !== JSON.stringify(this.before))
        throw new Error(`I7: it is not as it was: ${now}\n${this.story(record)}`);
      if (this.model.openJournals.length > 0) throw new Error(`open journals: ${this.model.openJournals}`);
    }
    return record;
  }

  /** What happened, for the message of a failing test. */
  story(record: RunRecord): string {
    const lines = [...record.log, ...this.model.log.map(({ at, what }) => ({ at, text: `    ${what}` }))];
    return lines
      .sort((a, b) => a.at - b.at)
      .map(({ at, text }) => `${String((at - record.startedAt) / 1000).padStart(8)} s ${text}`)
      .join('\n');
  }

  /** The steps whose undo was worked on, in that order. */
  get undone(): string[] {
    return this.model.attempts.filter((id) => id.startsWith('undo:')).map((id) => id.slice('undo:'.length));
  }

  dispose(): Promise<void> {
    return this.harness.dispose();
  }

  /** On to the next instant: what opens does so when nothing more happens at the present one. */
  async #go(what: string): Promise<void> {
    const limit = this.harness.now + 86_400_000;
    if (this.workflow.outcome || !(await this.harness.step(limit))) {
      const { text, log } = await this.record();
      const last = log.slice(-5).map((line) => line.text);
      throw new Error(`the run does not come to ${what}: ${text || last.join(' | ')}`);
    }
  }
}

export async function startRun(options: RunOptions = {}): Promise<EngineRun> {
  const model = new ModelWorld(options.world);
  const harness = await createWorld({
    bundle: await readBundle(BUNDLE),
    activities: model.activities,
    workflowQueues: ['rampart'],
    foreignWorkflows: () => ({ done: true }),
    ...options.harness,
  });
  model.useClock(() => harness.now);
  options.before?.(model, harness);
  const before = model.state();
  const invariants = new Invariants(model);
  invariants.weakFenceAccepted = options.splitBrain === true;
  harness.onStep = () => invariants.look();
  const workflow = await harness.start(options.type ?? 'failover', {
    workflowId: options.workflowId ?? LOCK,
    args: options.request === undefined ? [PLANNED] : [options.request],
  });
  // Not `workflow.cancel()`: an activity must not drive the world that runs it.
  model.cancelRun = async () => harness.requestCancel(workflow.workflowId);
  return new EngineRun(model, harness, workflow, invariants, before);
}
