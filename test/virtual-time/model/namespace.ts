/** What runs share: workflow ids, task queues with their workers, messages from one run to another. */
import type { VirtualClock } from '../clock.ts';
import { decode, encode, type Payload, type Sandbox } from '../sdk.ts';
import type { ActivityTask } from './activity.ts';
import { type ActivityHandler, Attempt } from './attempt.ts';
import { type Ending, type RunSpec, WorkflowRun } from './run.ts';
import { ServerClock } from './server.ts';
import type { TraceEvent } from './trace.ts';

export interface StartRequest {
  workflowId: string;
  type: string;
  queue: string;
  args: Payload[];
  searchAttributes: Record<string, Payload>;
  memo: Record<string, Payload>;
  /** `temporal.api.enums.v1.WorkflowIdReusePolicy` */
  reuse: number;
  parent: RunSpec['parent'];
}

const REUSE = { allowDuplicateFailedOnly: 2, rejectDuplicate: 3 };

export interface NamespaceOptions {
  clock: VirtualClock;
  sandbox: Sandbox;
  activities: ActivityHandler;
  /** Stands in for workflows on task queues that the bundle's workers do not serve; `null`: every queue is served. */
  foreign: { serves(queue: string): boolean; handler: ActivityHandler } | null;
  batching: 'together' | 'apart';
  suggestContinueAsNewAfter: number | null;
  /** Search attributes the namespace knows; `null`: all of them. */
  registered: ReadonlySet<string> | null;
  onEvent(event: TraceEvent): void;
}

/** The latest run of a workflow id. */
interface Execution {
  runId: string;
  run: WorkflowRun | null;
  /** Set for a foreign workflow instead of `run`. */
  foreign: Attempt | null;
  ending: Ending | null;
  onEnd: (ending: Ending) => void;
}

export class Namespace {
  readonly name = 'default';
  readonly runs: WorkflowRun[] = [];
  /** Every attempt ever started; a crash ends those that still run. */
  readonly running = new Set<Attempt>();
  readonly #options: NamespaceOptions;
  readonly #executions = new Map<string, Execution>();
  readonly #absent = new Set<string>();
  readonly #waiting = new Map<string, ActivityTask[]>();
  #deferred: Array<() => void | Promise<void>> = [];
  #runNumber = 0;

  readonly server: ServerClock;

  constructor(options: NamespaceOptions) {
    this.#options = options;
    this.server = new ServerClock(options.clock);
  }

  get clock(): VirtualClock {
    return this.#options.clock;
  }

  get sandbox(): Sandbox {
    return this.#options.sandbox;
  }

  get activities(): ActivityHandler {
    return this.#options.activities;
  }

  get batching(): NamespaceOptions['batching'] {
    return this.#options.batching;
  }

  get suggestContinueAsNewAfter(): number | null {
    return this.#options.suggestContinueAsNewAfter;
  }

  onEvent(event: TraceEvent): void {
    this.#options.onEvent(event);
  }

  /** @throws Error as the server's refusal, which would fail the workflow task for ever */
  checkRegistered(names: string[], workflowId: string): void {
    const unknown = names.filter((name) => this.#options.registered?.has(name) === false);
    if (unknown.length === 0) return;
    throw new Error(`${workflowId} is wedged: BadSearchAttributes: no such search attribute: ${unknown.join(', ')}`);
  }

  /** Starts a run; `null` when the workflow id is taken. */
  async start(request: StartRequest, onEnd: (ending: Ending) => void): Promise<{ runId: string } | null> {
    const previous = this.#executions.get(request.workflowId);
    if (previous && !mayReuse(previous, request.reuse)) return null;
    const { foreign } = this.#options;
    if (foreign && !foreign.serves(request.queue)) return this.#startForeign(request, onEnd, foreign.handler);
    const runId = this.#nextRunId();
    await this.#startRun({ ...request, runId, firstRunId: runId, continuedFrom: null }, onEnd);
    return { runId };
  }

  execution(workflowId: string): { run: WorkflowRun | null; open: boolean } | null {
    const execution = this.#executions.get(workflowId);
    return execution ? { run: execution.run, open: execution.ending === null } : null;
  }

  /** @returns whether there is such an open run */
  signal(workflowId: string, runId: string | null, name: string, args: Payload[]): boolean {
    const execution = this.#open(workflowId, runId);
    execution?.run?.signal(name, args);
    return execution !== null;
  }

  /** @returns whether there is such an open run */
  requestCancel(workflowId: string, runId: string | null, reason: string): boolean {
    const execution = this.#open(workflowId, runId);
    execution?.run?.requestCancel(reason);
    execution?.foreign?.abort('CANCELLED');
    return execution !== null;
  }

  terminate(workflowId: string): void {
    const execution = this.#open(workflowId, null);
    const run = execution?.run;
    if (execution && !run) this.#foreignEnded(execution, { kind: 'terminated' });
    if (!run) return;
    this.defer(async () => {
      if (!run.open) return;
      run.record('workflowExecutionTerminated');
      await run.close({ kind: 'terminated' });
    });
  }

  /** The server's transfer queue: what follows a workflow task, but not within it. */
  defer(action: () => void | Promise<void>): void {
    this.#deferred.push(action);
  }

  /** Does what has been deferred so far. Returns how much that was. */
  async carryOutDeferred(): Promise<number> {
    if (!this.server.up) return 0;
    const actions = this.#deferred.splice(0);
    for (const action of actions) await action();
    return actions.length;
  }

  /** A run has closed: its parent hears of it, or its next run starts. */
  async closed(run: WorkflowRun, ending: Ending): Promise<void> {
    const execution = this.#executions.get(run.spec.workflowId) as Execution;
    if (ending.kind === 'continuedAsNew') {
      const { command } = ending;
      run.record('workflowExecutionContinuedAsNew', { detail: (command.arguments ?? []).map(decode) });
      await this.#startRun(
        {
          ...run.spec,
          runId: this.#nextRunId(),
          type: command.workflowType || run.spec.type,
          queue: command.taskQueue || run.spec.queue,
          args: command.arguments ?? [],
          searchAttributes: command.searchAttributes?.indexedFields ?? run.attributePayloads,
          // What the run wrote into its memo by itself does not come along, unlike its search attributes.
          memo: command.memo && Object.keys(command.memo).length > 0 ? command.memo : run.spec.memo,
          continuedFrom: run.spec.runId,
        },
        execution.onEnd,
      );
      return;
    }
    if (ending.kind === 'completed') run.record('workflowExecutionCompleted', { detail: decode(ending.result) });
    else if (ending.kind === 'failed') run.record('workflowExecutionFailed', { detail: ending.failure });
    else if (ending.kind === 'canceled') run.record('workflowExecutionCanceled');
    execution.ending = ending;
    execution.onEnd(ending);
  }

  /** Hands an activity to a worker of its queue: now, or when there is one again. */
  dispatch(queue: string, task: ActivityTask): void {
    if (this.#absent.has(queue)) {
      this.#waiting.set(queue, [...(this.#waiting.get(queue) ?? []), task]);
      return;
    }
    this.defer(() => {
      if (this.#absent.has(queue)) this.dispatch(queue, task);
      else if (task.queued) task.start();
    });
  }

  /** The queue's workers die; what they were doing is lost without a word, and so are the workflows in their caches. */
  crash(queue: string): void {
    for (const attempt of this.running) {
      if (attempt.queue === queue) attempt.crash();
    }
    for (const run of this.runs) if (run.open && run.spec.queue === queue) run.evict();
  }

  /** Whether a workflow task of this queue finds a server and a worker. */
  serves(queue: string): boolean {
    return this.server.up && !this.#absent.has(queue);
  }

  /** The server is down: what is on its disk stays, what it only had in memory is lost. */
  stopServer(): void {
    this.server.stop();
    for (const run of this.runs) run.forgetAdmitted();
  }

  resumeServer(): void {
    this.server.resume();
  }

  setWorkers(queue: string, present: boolean): void {
    if (!present) {
      this.#absent.add(queue);
      return;
    }
    this.#absent.delete(queue);
    const waiting = this.#waiting.get(queue) ?? [];
    this.#waiting.delete(queue);
    for (const task of waiting) this.dispatch(queue, task);
  }

  async #startRun(spec: RunSpec, onEnd: (ending: Ending) => void): Promise<void> {
    const run = await WorkflowRun.start(this, spec);
    this.runs.push(run);
    this.#executions.set(spec.workflowId, { runId: spec.runId, run, foreign: null, ending: null, onEnd });
  }

  #startForeign(request: StartRequest, onEnd: (ending: Ending) => void, handler: ActivityHandler): { runId: string } {
    const runId = this.#nextRunId();
    const { workflowId, type, queue } = request;
    const execution: Execution = { runId, run: null, foreign: null, ending: null, onEnd };
    const attempt = new Attempt(
      this.clock,
      {
        ...{ workflowId, runId, type, queue, attempt: 1, local: true, summary: null, activityId: workflowId },
        args: request.args.map(decode),
        scheduledAt: this.clock.now,
        heartbeatDetails: undefined,
        heartbeatMs: undefined,
        startToCloseMs: undefined,
      },
      {
        heartbeat: () => null,
        result: (result) => {
          if (!this.server.up) return 'UNAVAILABLE';
          this.#foreignEnded(
            execution,
            'completed' in result
              ? { kind: 'completed', result: result.completed ?? encode(undefined) }
              : 'failed' in result
                ? { kind: 'failed', failure: result.failed }
                : { kind: 'canceled' },
          );
          return null;
        },
      },
    );
    execution.foreign = attempt;
    this.#executions.set(workflowId, execution);
    this.defer(() => attempt.start(handler));
    return { runId };
  }

  #foreignEnded(execution: Execution, ending: Ending): void {
    if (execution.ending) return;
    execution.ending = ending;
    execution.foreign?.crash();
    execution.onEnd(ending);
  }

  #open(workflowId: string, runId: string | null): Execution | null {
    const execution = this.#executions.get(workflowId);
    if (!execution || execution.ending || (runId && runId !== execution.runId)) return null;
    return execution;
  }

  #nextRunId(): string {
    return `00000000-0000-4000-8000-${String(++this.#runNumber).padStart(12, '0')}`;
  }
}

function mayReuse(previous: Execution, policy: number): boolean {
  if (!previous.ending) return false;
  if (policy === REUSE.rejectDuplicate) return false;
  return policy !== REUSE.allowDuplicateFailedOnly || previous.ending.kind !== 'completed';
}
