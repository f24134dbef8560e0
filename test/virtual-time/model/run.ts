/**
 * One run of a workflow: hands its code the jobs of each workflow task in core's order and carries out the commands
 * it answers with. Workflow tasks take no time and never fail but by the workflow's fault.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  type Command,
  decode,
  decodeFailure,
  encodeAll,
  type Failure,
  type Job,
  type Payload,
  type RunIdentity,
  type SandboxedRun,
  timestamp,
} from '../sdk.ts';
import { type Closing, Commands } from './commands.ts';
import type { Namespace } from './namespace.ts';
import type { EventName, TraceDetails, TraceEvent } from './trace.ts';

export interface RunSpec {
  workflowId: string;
  runId: string;
  firstRunId: string;
  type: string;
  queue: string;
  args: Payload[];
  searchAttributes: Record<string, Payload>;
  memo: Record<string, Payload>;
  parent: { workflowId: string; runId: string; namespace: string } | null;
  continuedFrom: string | null;
}

export type Outcome =
  | { status: 'completed'; result: unknown }
  | { status: 'failed'; failure: Error }
  | { status: 'canceled' }
  | { status: 'terminated' }
  | { status: 'continuedAsNew' };

/** How a run ends, with what its parent or its next run needs of it. */
export type Ending = Closing | { kind: 'terminated' };

export interface UpdateState {
  name: string;
  accepted: boolean;
  outcome: { value: unknown } | { failure: Error } | null;
}

/** The workflow's code threw something that fails the workflow task: a real run would be stuck until a new deployment. */
export class WorkflowTaskFailed extends Error {
  override readonly name = 'WorkflowTaskFailed';
  constructor(workflowId: string, failure: Failure) {
    super(`${workflowId} is wedged, its workflow task fails: ${failure.message}`, { cause: decodeFailure(failure) });
    if (failure.stackTrace) this.stack = `${this.message}\n${failure.stackTrace}`;
  }
}

function textsIn(value: unknown, texts: string[]): void {
  if (typeof value === 'string') texts.push(value);
  else if (value instanceof Uint8Array)
    texts.push(Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1'));
  else if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) textsIn(one, texts);
}

/** What a client hears when no server, or no worker, is there to answer. */
export class Unavailable extends Error {
  override readonly name = 'ServiceError';
  constructor() {
    super('14 UNAVAILABLE: the Temporal server does not answer');
  }
}

/** A history of this length makes the server suggest continue-as-new. */
const SUGGEST_CONTINUE_AS_NEW_EVENTS = 4_096;
/** With local activities under way a workflow task is kept open for so long (80 % of its 10 s) before it is renewed. */
const TASK_HEARTBEAT_MS = 8_000;

export class WorkflowRun {
  readonly spec: RunSpec;
  readonly namespace: Namespace;
  readonly trace: TraceEvent[] = [];
  #code: SandboxedRun;
  /** Its worker has died, and the next one has to replay it from its history. */
  #evicted = false;
  readonly #commands: Commands;
  #pending: Job[];
  /** Set while local activities keep the workflow task open. */
  #heldUntil: number | null = null;
  readonly #activations: Array<{
    historyLength: number;
    at: number;
    jobs: Job[];
    patches: string[];
    commands: Command[];
  }> = [];
  readonly #updates = new Map<string, UpdateState>();
  readonly #flags = new Set<number>();
  #counter = 0;
  readonly startedAt: number;
  ending: Ending | null = null;
  outcome: Outcome | null = null;

  static async start(namespace: Namespace, spec: RunSpec): Promise<WorkflowRun> {
    const code = await namespace.sandbox.create(identityOf(namespace.clock.now, namespace, spec));
    return new WorkflowRun(namespace, code, spec);
  }

  private constructor(namespace: Namespace, code: SandboxedRun, spec: RunSpec) {
    this.namespace = namespace;
    this.spec = spec;
    this.#code = code;
    this.startedAt = namespace.clock.now;
    this.#commands = new Commands(this);
    this.#pending = [{ initializeWorkflow: this.#initialization() }];
    this.record('workflowExecutionStarted', { name: spec.type, detail: spec.args.map(decode) });
  }

  get open(): boolean {
    return this.outcome === null;
  }

  get searchAttributes(): Record<string, unknown> {
    return decodeAll(this.#commands.searchAttributes);
  }

  get memo(): Record<string, unknown> {
    return decodeAll(this.#commands.memo);
  }

  /** As they stand, for the run that continues this one. */
  get attributePayloads(): Record<string, Payload> {
    return this.#commands.searchAttributes;
  }

  record(event: EventName, details: TraceDetails = {}): void {
    const { workflowId, runId } = this.spec;
    // Not spread, so that what is read by few is made only for them.
    const entry: TraceEvent = Object.assign(details, { at: this.namespace.clock.now, workflowId, runId, event });
    this.trace.push(entry);
    this.namespace.onEvent(entry);
  }

  /** Adds a job for the next workflow task. */
  enqueue(job: Job): void {
    if (this.open) this.#pending.push(job);
  }

  signal(name: string, args: Payload[]): void {
    this.record('workflowExecutionSignaled', { name, detail: args });
    this.enqueue({ signalWorkflow: { signalName: name, input: args, identity: 'virtual-time' } });
  }

  requestCancel(reason: string): void {
    if (this.trace.some(({ event }) => event === 'workflowExecutionCancelRequested')) return;
    this.record('workflowExecutionCancelRequested', { detail: reason });
    this.enqueue({ cancelWorkflow: { reason } });
  }

  update(name: string, args: unknown[], id = `update-${++this.#counter}`): UpdateState {
    const known = this.#updates.get(id);
    if (known) return known;
    const state: UpdateState = { name, accepted: false, outcome: null };
    this.#updates.set(id, state);
    this.enqueue({ doUpdate: { id, protocolInstanceId: id, name, input: encodeAll(args), runValidator: true } });
    return state;
  }

  async query(name: string, args: unknown[]): Promise<unknown> {
    const queryId = `query-${++this.#counter}`;
    await this.#recall();
    const job: Job = { queryWorkflow: { queryId, queryType: name, arguments: encodeAll(args) } };
    const { commands } = await this.#activate(this.#code, [job], false);
    for (const { respondToQuery } of commands) {
      if (respondToQuery?.failed) throw decodeFailure(respondToQuery.failed);
      if (respondToQuery?.succeeded) return decode(respondToQuery.succeeded.response);
    }
    throw new Error(`no answer to query ${name}`);
  }

  updateAnswered(answer: NonNullable<Command['updateResponse']>): void {
    const id = answer.protocolInstanceId as string;
    const state = this.#updates.get(id);
    if (!state) throw new Error(`answer to an update nobody sent: ${id}`);
    if (answer.accepted) {
      state.accepted = true;
      this.record('workflowExecutionUpdateAccepted', { name: state.name, id });
    } else if (answer.rejected) state.outcome = { failure: decodeFailure(answer.rejected) };
    else state.outcome = { value: decode(answer.completed) };
    if (state.accepted && state.outcome) this.record('workflowExecutionUpdateCompleted', { name: state.name, id });
  }

  /** Whether there is a workflow task to run now. */
  get hasWork(): boolean {
    if (!this.open || !this.namespace.serves(this.spec.queue)) return false;
    if (this.#heldUntil === null) return this.#pending.length > 0;
    return this.#pending.some(isLocalResolution) || this.namespace.clock.now >= this.#heldUntil;
  }

  /** Runs one workflow task. */
  async runTask(): Promise<void> {
    await this.#recall();
    if (this.#heldUntil !== null && !this.#pending.some(isLocalResolution)) {
      this.#heldUntil = null;
      this.#commands.carryOut();
    }
    let jobs = this.#nextJobs();
    while (jobs.length > 0) {
      const { commands } = await this.#activate(this.#code, jobs, false);
      jobs = inOrder(this.#commands.take(commands));
      if (this.#commands.closing) break;
    }
    if (this.#commands.localActivitiesOpen && !this.#commands.closing) {
      if (this.#heldUntil !== null) return;
      this.#heldUntil = this.namespace.clock.now + TASK_HEARTBEAT_MS;
      this.namespace.clock.after(TASK_HEARTBEAT_MS, () => {});
      return;
    }
    this.#heldUntil = null;
    this.#commands.carryOut();
    if (this.#commands.closing) await this.close(this.#commands.closing);
  }

  /** Ends the run: nothing of it happens any more. */
  async close(ending: Ending): Promise<void> {
    this.ending = ending;
    this.outcome = outcomeOf(ending);
    this.#pending = [];
    this.#commands.abandonAll();
    for (const state of this.#updates.values()) {
      state.outcome ??= { failure: new Error('the workflow closed before the update completed') };
    }
    await this.namespace.closed(this, ending);
  }

  /** Every text and payload that its history holds, as it is stored. */
  get texts(): string[] {
    const texts: string[] = [];
    for (const { jobs, commands } of this.#activations) {
      textsIn(jobs, texts);
      textsIn(commands, texts);
    }
    return texts;
  }

  /** The worker that had it in its cache is gone. */
  evict(): void {
    if (this.#heldUntil !== null) throw new Error('the death of a worker with local activities is not modelled');
    this.#evicted = true;
  }

  /** An update that no worker has accepted yet is in no history: who sent it hears that the server is gone. */
  forgetAdmitted(): void {
    this.#pending = this.#pending.filter(({ doUpdate }) => {
      const state = doUpdate && this.#updates.get(doUpdate.id as string);
      if (state) state.outcome = { failure: new Unavailable() };
      return !state;
    });
  }

  async #recall(): Promise<void> {
    if (!this.#evicted) return;
    this.#evicted = false;
    await this.#code.dispose();
    this.#code = await this.#replayed();
  }

  /**
   * Runs the same activations through fresh workflow code, as a worker does after a restart.
   * @throws Error naming the first activation whose commands differ
   */
  async replay(): Promise<void> {
    await (await this.#replayed()).dispose();
  }

  async #replayed(): Promise<SandboxedRun> {
    const code = await this.namespace.sandbox.create(identityOf(this.startedAt, this.namespace, this.spec));
    try {
      for (const [i, { at, jobs, patches, commands, historyLength }] of this.#activations.entries()) {
        const marked = patches.map((patchId): Job => ({ notifyHasPatch: { patchId } }));
        const recorded = jobs.filter(({ doUpdate }) => !doUpdate || this.#updates.get(doUpdate.id as string)?.accepted);
        if (recorded.length === 0) continue;
        const replayed = await this.#activate(code, inOrder([...recorded.map(unvalidated), ...marked]), true, {
          at,
          historyLength,
        });
        const first = this.#recorded(commands);
        const again = this.#recorded(replayed.commands);
        // Texts of payloads are many times as long: made only where the objects differ, and then they decide, because
        // a field that is undefined and one that is not there are the same command.
        if (!isDeepStrictEqual(again, first)) {
          const [one, other] = [JSON.stringify(first), JSON.stringify(again)];
          if (one !== other)
            throw new Error(
              `${this.spec.workflowId} is not deterministic, activation ${i + 1}:\nfirst  ${one}\nreplay ${other}`,
            );
        }
      }
      return code;
    } catch (error) {
      await code.dispose();
      throw error;
    }
  }

  dispose(): Promise<void> {
    return this.#code.dispose();
  }

  #nextJobs(): Job[] {
    if (this.#heldUntil !== null) {
      // Everything else waits for the next workflow task.
      const local = this.#pending.filter(isLocalResolution);
      this.#pending = this.#pending.filter((job) => !isLocalResolution(job));
      return this.#commands.deliverable(local);
    }
    const apart = this.namespace.batching === 'apart';
    return inOrder(this.#commands.deliverable(this.#pending.splice(0, apart ? 1 : this.#pending.length)));
  }

  /** @param as what the history says of this activation: a replay is told the same as the first time */
  async #activate(
    code: SandboxedRun,
    jobs: Job[],
    replaying: boolean,
    { at, historyLength } = {
      at: this.namespace.clock.now,
      historyLength: this.trace.length + 3 * this.#activations.length,
    },
  ) {
    const limit = this.namespace.suggestContinueAsNewAfter ?? SUGGEST_CONTINUE_AS_NEW_EVENTS;
    const answer = await code.activate({
      jobs,
      at,
      replaying,
      historyLength,
      continueAsNewSuggested: historyLength >= limit,
      flags: replaying ? [...this.#flags] : [],
    });
    if ('taskFailure' in answer) throw new WorkflowTaskFailed(this.spec.workflowId, answer.taskFailure);
    if (!replaying && !jobs[0]?.queryWorkflow) {
      const patches = answer.commands.flatMap(({ setPatchMarker }) => setPatchMarker?.patchId ?? []);
      for (const flag of answer.flags) this.#flags.add(flag);
      this.#activations.push({ at, jobs, patches, commands: answer.commands, historyLength });
    }
    return answer;
  }

  /** What of the commands a history would hold: a refused update leaves no trace. */
  #recorded(commands: Command[]): Command[] {
    return commands.filter(({ updateResponse: answer }) => {
      return !answer?.rejected || this.#updates.get(answer.protocolInstanceId as string)?.accepted;
    });
  }

  #initialization(): NonNullable<Job['initializeWorkflow']> {
    const { spec, namespace } = this;
    return {
      workflowId: spec.workflowId,
      workflowType: spec.type,
      arguments: spec.args,
      firstExecutionRunId: spec.firstRunId,
      originalExecutionRunId: spec.runId,
      attempt: 1,
      startTime: timestamp(namespace.clock.now),
      searchAttributes: { indexedFields: spec.searchAttributes },
      memo: { fields: spec.memo },
    };
  }
}

function identityOf(startedAt: number, namespace: Namespace, spec: RunSpec): RunIdentity {
  const { workflowId, runId, firstRunId, type, queue, parent, continuedFrom } = spec;
  return {
    workflowId,
    runId,
    firstRunId,
    workflowType: type,
    taskQueue: queue,
    namespace: namespace.name,
    startedAt,
    parent,
    continuedFrom,
  };
}

function decodeAll(payloads: Record<string, Payload>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(payloads).map(([key, payload]) => [key, decode(payload)]));
}

function isLocalResolution(job: Job): boolean {
  return job.resolveActivity?.isLocal === true;
}

/** On replay the server does not ask validators again. */
function unvalidated(job: Job): Job {
  return job.doUpdate ? { doUpdate: { ...job.doUpdate, runValidator: false } } : job;
}

/** Core's order within one activation. */
function inOrder(jobs: Job[]): Job[] {
  const rank = (job: Job): number => {
    if (job.initializeWorkflow) return 0;
    if (job.notifyHasPatch) return 1;
    if (job.updateRandomSeed) return 2;
    if (job.signalWorkflow || job.doUpdate) return 3;
    return isLocalResolution(job) ? 5 : 4;
  };
  return jobs.toSorted((a, b) => rank(a) - rank(b));
}

function outcomeOf(ending: Ending): Outcome {
  switch (ending.kind) {
    case 'completed':
      return { status: 'completed', result: decode(ending.result) };
    case 'failed':
      return { status: 'failed', failure: decodeFailure(ending.failure) };
    case 'canceled':
      return { status: 'canceled' };
    case 'terminated':
      return { status: 'terminated' };
    case 'continuedAsNew':
      return { status: 'continuedAsNew' };
  }
}
