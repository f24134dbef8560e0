/** The people around a run: they look when they are called, decide well or badly, and say things out of turn. */
import type { RunStatus } from '../../workflows/contract.ts';
import { asksOf } from '../judge/trace.ts';
import { Unavailable, type Workflow, type World } from '../virtual-time/harness.ts';
import type { Fault, Scenario } from './scenario.ts';
import type { SimWorld } from './world/world.ts';

/** Somebody looks at an open run at least so often, in milliseconds. */
const ROUND_MS = 20_000;
/** More words than this nobody sends to one run: then it is left as it is. */
const PATIENCE = 14;
/** Nobody answers: they try again after so long, in milliseconds. */
const AGAIN_MS = 2_500;
const QUEUE = 'rampart';

export class Bystanders {
  readonly #scenario: Scenario;
  readonly #harness: World;
  readonly #world: SimWorld;
  readonly #workflow: Workflow;
  #nextLook: number;
  #sent = 0;
  #awayUntil = 0;
  #retries = 0;
  #gatesSeen = 0;
  readonly #keptWaiting = new Set<string>();

  constructor(scenario: Scenario, harness: World, world: SimWorld, workflow: Workflow) {
    this.#scenario = scenario;
    this.#harness = harness;
    this.#world = world;
    this.#workflow = workflow;
    this.#nextLook = harness.now + scenario.people.delayMs;
  }

  get nextLook(): number {
    return this.#nextLook;
  }

  get tired(): boolean {
    return this.#sent >= PATIENCE;
  }

  /** The run waits for somebody. */
  call(): void {
    if (this.#harness.now < this.#awayUntil) return;
    this.#nextLook = Math.min(this.#nextLook, this.#harness.now + this.#scenario.people.delayMs);
  }

  /** Looks at the run and answers what it asks. */
  async look(): Promise<void> {
    const { people } = this.#scenario;
    this.#nextLook = this.#harness.now + ROUND_MS;
    if (this.#workflow.outcome !== null || this.tired) return;
    if (!this.#harness.serves(QUEUE)) {
      this.#nextLook = this.#harness.now + AGAIN_MS;
      return;
    }
    const status = (await this.#workflow.query('status')) as RunStatus;
    if (status.holding !== null) {
      const { reason, choices } = status.holding;
      this.#world.say({ kind: 'waiting', run: this.#workflow.runId, text: reason, choices });
    }
    if (status.gate !== null) {
      this.#gatesSeen += 1;
      for (const asks of asksOf(this.#workflow.runId, status.gate)) this.#world.say(asks);
      const first = !this.#keptWaiting.has(status.gate.name);
      this.#keptWaiting.add(status.gate.name);
      const expires = people.atPromotion === 'expire' && status.gate.name === 'promote';
      const lateMs = expires ? this.#scenario.gateMs + ROUND_MS : people.lateMs;
      if (first && lateMs > 0) {
        this.#nextLook = this.#awayUntil = this.#harness.now + lateMs;
        return;
      }
      await this.#decide(status.gate);
    } else if (status.holding !== null) await this.#answer(status);
    else if (status.paused !== null) await this.#send('resume', { by: 'carol' });
  }

  async #decide(gate: NonNullable<RunStatus['gate']>): Promise<void> {
    const { people, approvals } = this.#scenario;
    const by = ['bob', 'carol', 'dave'];
    if (people.wrongGate && this.#gatesSeen <= 2) {
      await this.#send('decide', { gate: `${gate.name}.99`, decision: 'approve', by: 'bob' });
      await this.#send('decide', { gate: 'rebuild.1', decision: 'approve', by: 'bob' });
    }
    const rejects =
      gate.name === 'cutover' ? people.rejects : gate.name === 'promote' && people.atPromotion === 'reject';
    if (rejects) return this.#send('decide', { gate: gate.id, decision: 'reject', by: 'bob' });
    const approve = { gate: gate.id, decision: 'approve', override: gate.needsOverride };
    for (const name of by.slice(0, Math.max(1, Math.min(approvals, gate.required)))) {
      await this.#send('decide', { ...approve, by: name });
      if (people.twice) await this.#send('decide', { ...approve, by: name });
    }
  }

  async #answer(status: RunStatus): Promise<void> {
    const { people } = this.#scenario;
    this.#retries += 1;
    const failed = status.steps.filter((s) => s.state === 'failed').at(-1);
    // Everybody tries again first or does what they do; in the end somebody gives up, by steps.
    const word =
      this.#retries === 1 ? people.atHold : this.#retries < 5 ? 'retry' : this.#retries < 7 ? 'abort' : 'escalate';
    if (word === 'skip' && failed !== undefined)
      return this.#send('skip', { by: 'carol', step: failed.id, reason: 'known' });
    if (word === 'escalate') return this.#send('escalate', { by: 'carol', reason: 'nothing else helps' });
    return this.#send(word === 'abort' ? 'abort' : 'retry', { by: 'carol', reason: 'as the book says' });
  }

  /** Something said out of turn. */
  async say(fault: Fault): Promise<void> {
    if (this.#workflow.outcome !== null) return;
    this.#world.say({ kind: 'fault', what: `somebody says ${fault.what}` });
    const who = { by: 'eve', reason: 'out of turn' };
    switch (fault.what) {
      case 'cancel':
        return this.#workflow.cancel();
      case 'escalate':
        return this.#send('escalate', who);
      case 'escalateBack':
        return this.#send('escalate', { ...who, to: fault.region });
      case 'secondStart':
        return this.#startAgain();
      case 'resume':
        return this.#send('resume', who);
      case 'pause':
        await this.#send('pause', who);
        return this.call();
      default:
        return this.#send(fault.what, who);
    }
  }

  async #startAgain(): Promise<void> {
    const { workflowId } = this.#workflow;
    const lock = workflowId;
    try {
      await this.#harness.start('failover', { workflowId, args: [{ service: 'checkout' }] });
      this.#world.say({ kind: 'run', run: 'second', lock, state: 'started' });
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#world.say({ kind: 'run', run: 'second', lock, state: 'refused', text });
    }
  }

  async #send(verb: string, input: object): Promise<void> {
    if (this.#workflow.outcome !== null) return;
    this.#sent += 1;
    try {
      await this.#workflow.startUpdate(verb, input);
      this.call();
    } catch (error) {
      // The server went away between two words: they look again, and say again what is still to be said.
      if (!(error instanceof Unavailable)) throw error;
      this.#nextLook = this.#harness.now + AGAIN_MS;
    }
  }
}
