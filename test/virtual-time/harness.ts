/**
 * Drives the real workflow bundle without a server, in virtual time.
 *
 *     const world = await createWorld({ workflowsPath, activities: (call) => … });
 *     const wf = await world.start('failover', { workflowId: 'failover/checkout', args: [request] });
 *     await wf.update('decide', { decision: 'approve', by: 'ann' });
 *     await wf.runUntilClosed();
 *     wf.outcome; wf.trace; world.now
 *
 * Nothing here depends on real time or chance: the same handlers give the same trace every time. What the model of
 * Temporal does is in `model/`; that it does what Temporal does is measured by `calibration.test.ts`.
 */
import type { SearchAttributePair } from '@temporalio/common';
import { VirtualClock } from './clock.ts';
import type { ActivityHandler } from './model/attempt.ts';
import { Namespace } from './model/namespace.ts';
import { type Outcome, Unavailable, type UpdateState, type WorkflowRun } from './model/run.ts';
import type { EventName, TraceEvent } from './model/trace.ts';
import {
  type Bundle,
  createSandbox,
  encodeAll,
  encodeSearchAttributes,
  type LogLine,
  loadBundle,
  type Measurement,
  type Payload,
  type Sandbox,
} from './sdk.ts';

export type { ActivityCall, ActivityHandler } from './model/attempt.ts';
export type { Outcome } from './model/run.ts';
export { Unavailable, WorkflowTaskFailed } from './model/run.ts';
export type { TraceEvent } from './model/trace.ts';

export interface WorldOptions {
  /** The workflows' entry file; bundled once per process. */
  workflowsPath?: string;
  bundle?: Bundle;
  activities: ActivityHandler;
  /** Task queues on which the bundle's workers run workflows; child workflows on any other go to `foreignWorkflows`. */
  workflowQueues?: string[];
  foreignWorkflows?: ActivityHandler;
  /** Start of time, milliseconds since the epoch. */
  startAt?: number;
  /** Whether what happens at one instant reaches a run in one activation or in one activation each. Both are real. */
  batching?: 'together' | 'apart';
  /** Suggest continue-as-new from this history length on; by default the server's 4,096 events. */
  suggestContinueAsNewAfter?: number;
  /** Search attributes the namespace knows, when the workflow is to meet one that does not know some. */
  registeredSearchAttributes?: string[];
}

export interface StartOptions {
  workflowId: string;
  args?: unknown[];
  taskQueue?: string;
  searchAttributes?: SearchAttributePair[];
}

/** More than any workflow needs at one instant: a livelock. */
const STEPS_AT_ONE_INSTANT = 20_000;
const DAY_MS = 86_400_000;

const sandboxes = new WeakMap<Bundle, Promise<Sandbox>>();
/** Whose log lines the shared sandbox delivers; worlds of one process run one after the other, or interleaved. */
const logs: LogLine[] = [];
/** What workflow code measures, while a test wants to know it. */
let measured: Measurement[] | null = null;

/** Collects from now on, in a fresh list. */
export function collectMeasurements(): Measurement[] {
  measured = [];
  return measured;
}

function sandboxFor(bundle: Bundle): Promise<Sandbox> {
  let sandbox = sandboxes.get(bundle);
  if (!sandbox) {
    sandbox = createSandbox(
      bundle,
      (line) => logs.push(line),
      (one) => measured?.push(one),
    );
    sandboxes.set(bundle, sandbox);
  }
  return sandbox;
}

export async function createWorld(options: WorldOptions): Promise<World> {
  const bundle = options.bundle ?? (await loadBundle(options.workflowsPath as string));
  return new World(await sandboxFor(bundle), options);
}

export class World {
  readonly trace: TraceEvent[] = [];
  readonly #clock: VirtualClock;
  readonly #namespace: Namespace;
  readonly #defaultQueue: string;
  /** Called after every step; where a simulation checks its invariants. */
  onStep: (() => void) | null = null;

  constructor(sandbox: Sandbox, options: WorldOptions) {
    const queues = options.workflowQueues;
    this.#defaultQueue = queues?.[0] ?? 'default';
    this.#clock = new VirtualClock(options.startAt ?? Date.UTC(2026, 0, 1));
    this.#namespace = new Namespace({
      clock: this.#clock,
      sandbox,
      activities: options.activities,
      foreign:
        queues && options.foreignWorkflows
          ? { serves: (queue) => queues.includes(queue), handler: options.foreignWorkflows }
          : null,
      batching: options.batching ?? 'together',
      suggestContinueAsNewAfter: options.suggestContinueAsNewAfter ?? null,
      registered: options.registeredSearchAttributes ? new Set(options.registeredSearchAttributes) : null,
      onEvent: (event) => this.trace.push(event),
    });
  }

  /** Milliseconds since the epoch. */
  get now(): number {
    return this.#clock.now;
  }

  /** Plans something of the world around the runs, in so many milliseconds. */
  after(ms: number, action: () => void): void {
    this.#clock.after(ms, action);
  }

  /** @throws Error when a run with this id is open */
  async start(type: string, options: StartOptions): Promise<Workflow> {
    const { workflowId, args = [], taskQueue = this.#defaultQueue, searchAttributes = [] } = options;
    this.#asked();
    const started = await this.#namespace.start(
      {
        workflowId,
        type,
        queue: taskQueue,
        args: encodeAll(args),
        searchAttributes: encodeSearchAttributes(searchAttributes),
        memo: {},
        reuse: 0,
        parent: null,
      },
      () => {},
    );
    if (!started) throw new Error(`Workflow execution already started: ${workflowId}`);
    await this.settle();
    return this.workflow(workflowId);
  }

  /** A handle on a workflow by its id, children included. */
  workflow(workflowId: string): Workflow {
    return new Workflow(this, this.#namespace, workflowId);
  }

  /** Does the next thing there is to do, moving the clock if it must, but not past `until`. False: there is nothing. */
  async step(until = this.#clock.now): Promise<boolean> {
    const did = (await this.#stepNow()) || (await this.#jump(until));
    if (did) this.onStep?.();
    return did;
  }

  /** Does everything there is to do without moving the clock. */
  async settle(): Promise<void> {
    for (let steps = 0; await this.step(); ) this.#guard(++steps);
  }

  /** Lets this much virtual time pass, in milliseconds. */
  advance(ms: number): Promise<void> {
    return this.advanceTo(this.#clock.now + ms);
  }

  async advanceTo(at: number): Promise<void> {
    while (await this.step(at));
    this.#clock.now = Math.max(this.#clock.now, at);
  }

  /**
   * Goes on until the condition holds; it is looked at after every step.
   * @throws Error naming what the open runs wait for, when nothing is left to happen or the time is up
   */
  async runUntil(condition: () => boolean, limitMs = 60 * DAY_MS): Promise<void> {
    const until = this.#clock.now + limitMs;
    let instant = this.#clock.now;
    for (let steps = 0; !condition(); ) {
      if (!(await this.step(until))) throw new Error(`waited in vain: ${this.#describe()}`);
      if (this.#clock.now !== instant) steps = 0;
      instant = this.#clock.now;
      this.#guard(++steps);
    }
  }

  /** Requests the cancellation of a workflow, as an activity with a client would; takes effect with the next step. */
  requestCancel(workflowId: string): void {
    this.#asked();
    this.#namespace.requestCancel(workflowId, null, 'requested by a client');
  }

  /** The server is down: it delivers nothing, its timers are late, and whoever calls it hears that it is unavailable. */
  stopServer(): void {
    this.#namespace.stopServer();
  }

  resumeServer(): void {
    this.#namespace.resumeServer();
  }

  /** Whether a client's call would find the server, and a query a worker of this task queue. */
  serves(queue: string): boolean {
    return this.#namespace.serves(queue);
  }

  /** @throws Unavailable */
  #asked(): void {
    if (!this.#namespace.server.up) throw new Unavailable();
  }

  /** The queue's workers die and others take their place: attempts under way vanish until a time-out finds out. */
  crashWorkers(queue: string): void {
    this.#namespace.crash(queue);
  }

  /** The queue's workers die and nobody polls it. */
  removeWorkers(queue: string): void {
    this.#namespace.crash(queue);
    this.#namespace.setWorkers(queue, false);
  }

  addWorkers(queue: string): void {
    this.#namespace.setWorkers(queue, true);
  }

  /** What workflow code has logged since the last call, in every world of this process. */
  takeLogs(): LogLine[] {
    return logs.splice(0);
  }

  /** Replays every run from its own record, as after a worker's restart. @throws Error at the first difference */
  async replay(): Promise<void> {
    for (const run of this.#namespace.runs) await run.replay();
  }

  /** Frees the runs' code; the sandbox stays for the next world. */
  async dispose(): Promise<void> {
    for (const run of this.#namespace.runs) await run.dispose();
    logs.length = 0;
  }

  async #stepNow(): Promise<boolean> {
    const did = this.#clock.fireDue() + (await this.#namespace.carryOutDeferred());
    // Handlers get their turn: whatever they can do without virtual time passing is done after this.
    await new Promise((resolve) => setImmediate(resolve));
    if (did > 0) return true;
    const run = this.#namespace.runs.find(({ hasWork }) => hasWork);
    if (!run) return false;
    await run.runTask();
    return true;
  }

  async #jump(until: number): Promise<boolean> {
    const next = this.#clock.next;
    if (next === undefined || next > until) return false;
    this.#clock.now = Math.max(this.#clock.now, next);
    return await this.#stepNow();
  }

  #guard(steps: number): void {
    if (steps < STEPS_AT_ONE_INSTANT) return;
    throw new Error(`${steps} steps without time passing: ${this.#describe()}`);
  }

  #describe(): string {
    const open = this.#namespace.runs.filter((run) => run.open);
    const last = (run: WorkflowRun): string => {
      const recent = run.trace.slice(-5).map(({ event, name, id }) => [event, name, id].filter(Boolean).join(' '));
      return `${run.spec.workflowId} after ${recent.join(', ')}`;
    };
    return open.length === 0 ? 'no run is open' : open.map(last).join('; ');
  }
}

/** One workflow id; after continue-as-new its latest run. */
export class Workflow {
  readonly workflowId: string;
  readonly #world: World;
  readonly #namespace: Namespace;

  constructor(world: World, namespace: Namespace, workflowId: string) {
    this.#world = world;
    this.#namespace = namespace;
    this.workflowId = workflowId;
  }

  get #run(): WorkflowRun {
    const run = this.#namespace.execution(this.workflowId)?.run;
    if (!run) throw new Error(`no workflow ${this.workflowId} was started`);
    return run;
  }

  get runId(): string {
    return this.#run.spec.runId;
  }

  /** `null` while it runs. */
  get outcome(): Outcome | null {
    return this.#run.outcome;
  }

  /** Events of all its runs. */
  get trace(): TraceEvent[] {
    return this.#world.trace.filter(({ workflowId }) => workflowId === this.workflowId);
  }

  /** Every text and payload in the history of its latest run: arguments, results, failures, attributes, memo. */
  get texts(): string[] {
    return this.#run.texts;
  }

  get searchAttributes(): Record<string, unknown> {
    return this.#run.searchAttributes;
  }

  get memo(): Record<string, unknown> {
    return this.#run.memo;
  }

  /** When its latest run began. */
  get startedAt(): number {
    return this.#run.startedAt;
  }

  /** Names of the activities scheduled so far, in order; local ones are not among them. */
  get scheduled(): string[] {
    return this.names('activityTaskScheduled');
  }

  names(event: EventName): string[] {
    return this.trace.filter((entry) => entry.event === event).map(({ name }) => name ?? '');
  }

  /** Sends a signal and lets it take effect. @throws Error when the workflow has closed */
  signal(name: string, ...args: unknown[]): Promise<void> {
    return this.signalRaw(name, encodeAll(args));
  }

  /** A signal whose payloads need not be what the SDK would send. */
  async signalRaw(name: string, payloads: Payload[]): Promise<void> {
    this.#asked();
    if (!this.#namespace.signal(this.workflowId, null, name, payloads)) throw this.#closed();
    await this.#world.settle();
  }

  /**
   * Sends an update and waits for its outcome, in virtual time if need be.
   * @throws the failure with which the workflow refused or failed it
   */
  async update(name: string, ...args: unknown[]): Promise<unknown> {
    const state = await this.startUpdate(name, ...args);
    await this.#world.runUntil(() => state.outcome !== null);
    const { outcome } = state;
    if (outcome && 'failure' in outcome) throw outcome.failure;
    return outcome?.value;
  }

  /** Sends an update and lets it take effect; its outcome may be still to come. */
  async startUpdate(name: string, ...args: unknown[]): Promise<UpdateState> {
    this.#asked();
    if (this.outcome) throw this.#closed();
    const state = this.#run.update(name, args);
    await this.#world.settle();
    return state;
  }

  /** @throws the failure with which the workflow answered */
  query(name: string, ...args: unknown[]): Promise<unknown> {
    if (!this.#namespace.serves(this.#run.spec.queue)) return Promise.reject(new Unavailable());
    return this.#run.query(name, args);
  }

  /** What people see as "current details", markdown. */
  async currentDetails(): Promise<string> {
    const metadata = (await this.query('__temporal_workflow_metadata')) as { currentDetails?: string };
    return metadata.currentDetails ?? '';
  }

  async cancel(reason = 'requested by the test'): Promise<void> {
    this.#asked();
    if (!this.#namespace.requestCancel(this.workflowId, null, reason)) throw this.#closed();
    await this.#world.settle();
  }

  async terminate(): Promise<void> {
    this.#asked();
    this.#namespace.terminate(this.workflowId);
    await this.#world.settle();
  }

  runUntilClosed(limitMs?: number): Promise<void> {
    return this.#world.runUntil(() => this.outcome !== null, limitMs);
  }

  /** @throws Unavailable */
  #asked(): void {
    if (!this.#namespace.server.up) throw new Unavailable();
  }

  #closed(): Error {
    return new Error(`workflow ${this.workflowId} has completed`);
  }
}
