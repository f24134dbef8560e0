/**
 * A run's commands: what core does with them at once, inside the workflow task, and what the server does with the
 * rest when the task completes.
 */
import type { Planned } from '../clock.ts';
import { type Command, decode, durationMs, type Failure, type Job, type Payload } from '../sdk.ts';
import { type ActivityClosed, ActivityTask, type Cancellation } from './activity.ts';
import { ChildWorkflow } from './child.ts';
import { activityFailure, cancelled, externalFailure, RETRY_STATE } from './failures.ts';
import { LocalActivity } from './local-activity.ts';
import { retryPolicy } from './retry.ts';
import type { WorkflowRun } from './run.ts';

export type Closing =
  | { kind: 'completed'; result: Payload | null }
  | { kind: 'failed'; failure: Failure }
  | { kind: 'canceled' }
  | { kind: 'continuedAsNew'; command: NonNullable<Command['continueAsNewWorkflowExecution']> };

/** A command of the workflow, or one that core makes up itself. */
type Buffered = Command & { localMarker?: { type: string; attempt: number } };

/** `coresdk.workflow_commands.ActivityCancellationType` */
const CANCELLATION: Cancellation[] = ['TRY_CANCEL', 'WAIT_CANCELLATION_COMPLETED', 'ABANDON'];
const LOCAL_RETRY_THRESHOLD_MS = 60_000;

interface Scheduled {
  type: string;
  activityId: string;
  cancellation: Cancellation;
  /** Absent until the workflow task has completed. */
  task?: ActivityTask;
  /** Core has already told the workflow that it is cancelled: what becomes of it is not told again. */
  muted: boolean;
}

export class Commands {
  readonly #run: WorkflowRun;
  #buffered: Buffered[] = [];
  readonly #activities = new Map<number, Scheduled>();
  readonly #localActivities = new Map<number, LocalActivity>();
  readonly #timers = new Map<number, Planned | null>();
  readonly #children = new Map<number, ChildWorkflow>();
  searchAttributes: Record<string, Payload>;
  memo: Record<string, Payload>;
  closing: Closing | null = null;

  constructor(run: WorkflowRun) {
    this.#run = run;
    this.searchAttributes = { ...run.spec.searchAttributes };
    this.memo = { ...run.spec.memo };
  }

  get localActivitiesOpen(): boolean {
    return this.#localActivities.size > 0;
  }

  /** Takes in one activation's commands. Returns the jobs with which core answers inside the same workflow task. */
  take(commands: Command[]): Job[] {
    return commands.flatMap((command) => this.#take(command));
  }

  /** Leaves out what the workflow does not wait for any more. */
  deliverable(jobs: Job[]): Job[] {
    return jobs.filter(({ resolveActivity, fireTimer }) => {
      if (fireTimer) return this.#timers.delete(fireTimer.seq as number);
      if (!resolveActivity || resolveActivity.isLocal) return true;
      const seq = resolveActivity.seq as number;
      const muted = this.#activities.get(seq)?.muted;
      this.#activities.delete(seq);
      return !muted;
    });
  }

  /** The workflow task has completed: the server carries out its commands, in their order. */
  carryOut(): void {
    for (const command of this.#buffered.splice(0)) this.#carryOut(command);
  }

  /** The run has closed. */
  abandonAll(): void {
    for (const { task } of this.#activities.values()) task?.orphan();
    for (const timer of this.#timers.values()) this.#run.namespace.server.cancel(timer);
    for (const child of this.#children.values()) child.parentClosed();
  }

  #take(command: Command): Job[] {
    if (this.closing) return [];
    if (command.requestCancelActivity)
      return this.#cancelActivity(command, command.requestCancelActivity.seq as number);
    if (command.cancelTimer) return this.#cancelTimer(command, command.cancelTimer.seq as number);
    if (command.cancelChildWorkflowExecution) {
      return this.#cancelChild(command, command.cancelChildWorkflowExecution.childWorkflowSeq as number);
    }
    if (command.scheduleLocalActivity) this.#startLocalActivity(command);
    else if (command.requestCancelLocalActivity) {
      this.#localActivities.get(command.requestCancelLocalActivity.seq as number)?.cancel();
    } else {
      this.#expect(command);
      this.#buffered.push(command);
    }
    return [];
  }

  /** Notes what a command starts, so that a later command of the same workflow task can call it off. */
  #expect(command: Command): void {
    const { scheduleActivity, startTimer, startChildWorkflowExecution: child } = command;
    if (scheduleActivity) {
      this.#activities.set(scheduleActivity.seq as number, {
        type: scheduleActivity.activityType as string,
        activityId: scheduleActivity.activityId as string,
        cancellation: CANCELLATION[scheduleActivity.cancellationType ?? 0] as Cancellation,
        muted: false,
      });
    } else if (startTimer) this.#timers.set(startTimer.seq as number, null);
    else if (child) this.#children.set(child.seq as number, new ChildWorkflow(this.#run, command));
    else if (command.completeWorkflowExecution) {
      this.closing = { kind: 'completed', result: command.completeWorkflowExecution.result ?? null };
    } else if (command.failWorkflowExecution) {
      this.closing = { kind: 'failed', failure: command.failWorkflowExecution.failure as Failure };
    } else if (command.cancelWorkflowExecution) this.closing = { kind: 'canceled' };
    else if (command.continueAsNewWorkflowExecution) {
      this.closing = { kind: 'continuedAsNew', command: command.continueAsNewWorkflowExecution };
    }
  }

  #unsend(found: (command: Command) => boolean): boolean {
    const index = this.#buffered.findIndex(found);
    if (index >= 0) this.#buffered.splice(index, 1);
    return index >= 0;
  }

  #cancelActivity(command: Command, seq: number): Job[] {
    const scheduled = this.#activities.get(seq);
    if (!scheduled || scheduled.muted) return [];
    const failure = activityFailure('Activity cancelled', scheduled, RETRY_STATE.cancelRequested, cancelled);
    const resolved: Job[] = [{ resolveActivity: { seq, result: { cancelled: { failure } } } }];
    if (this.#unsend(({ scheduleActivity }) => scheduleActivity?.seq === seq)) {
      this.#activities.delete(seq);
      return resolved;
    }
    if (scheduled.cancellation !== 'ABANDON') this.#buffered.push(command);
    if (scheduled.cancellation === 'WAIT_CANCELLATION_COMPLETED') return [];
    scheduled.muted = true;
    return resolved;
  }

  #cancelTimer(command: Command, seq: number): Job[] {
    if (this.#unsend(({ startTimer }) => startTimer?.seq === seq)) this.#timers.delete(seq);
    else this.#buffered.push(command);
    return [];
  }

  #cancelChild(command: Command, seq: number): Job[] {
    const child = this.#children.get(seq);
    if (!child) return [];
    if (this.#unsend(({ startChildWorkflowExecution }) => startChildWorkflowExecution?.seq === seq)) {
      this.#children.delete(seq);
      return [child.cancelledBeforeStart(command.cancelChildWorkflowExecution?.reason ?? '')];
    }
    if (child.cancellation !== 'ABANDON') this.#buffered.push(command);
    return child.resolvesOnCancelRequest() ? [child.cancelledJob()] : [];
  }

  #startLocalActivity(command: Command): void {
    const attributes = command.scheduleLocalActivity as NonNullable<Command['scheduleLocalActivity']>;
    const seq = attributes.seq as number;
    const { namespace, spec } = this.#run;
    const activity = new LocalActivity(
      {
        ...common(command, attributes),
        queue: spec.queue,
        scheduledAt: durationMs(attributes.originalScheduleTime) ?? namespace.clock.now,
        firstAttempt: attributes.attempt || 1,
        retryThresholdMs: durationMs(attributes.localRetryThreshold) ?? LOCAL_RETRY_THRESHOLD_MS,
        workflowId: spec.workflowId,
        runId: spec.runId,
      },
      namespace.clock,
      namespace.activities,
      (result, attempt) => {
        this.#localActivities.delete(seq);
        this.#buffered.push({ localMarker: { type: attributes.activityType as string, attempt } });
        this.#run.enqueue({ resolveActivity: { seq, isLocal: true, result } });
      },
    );
    this.#localActivities.set(seq, activity);
  }

  #carryOut(command: Buffered): void {
    if (command.scheduleActivity) this.#scheduleActivity(command);
    else if (command.requestCancelActivity) this.#requestCancelActivity(command.requestCancelActivity.seq as number);
    else if (command.startTimer) this.#startTimer(command);
    else if (command.cancelTimer) this.#timerCancelled(command.cancelTimer.seq as number);
    else if (command.startChildWorkflowExecution) {
      this.#children.get(command.startChildWorkflowExecution.seq as number)?.initiated();
    } else if (command.cancelChildWorkflowExecution) {
      this.#children.get(command.cancelChildWorkflowExecution.childWorkflowSeq as number)?.requestCancel();
    } else if (command.signalExternalWorkflowExecution) this.#signalExternal(command);
    else if (command.requestCancelExternalWorkflowExecution) this.#cancelExternal(command);
    else if (command.updateResponse) this.#run.updateAnswered(command.updateResponse);
    else if (!this.#note(command) && !command.cancelSignalWorkflow && !this.closing) {
      throw new Error(`the harness knows no ${Object.keys(command).join(', ')}: add it to ${import.meta.filename}`);
    }
  }

  /** Commands that only write something down. */
  #note(command: Buffered): boolean {
    const run = this.#run;
    if (command.upsertWorkflowSearchAttributes) {
      const fields = command.upsertWorkflowSearchAttributes.searchAttributes?.indexedFields ?? {};
      run.namespace.checkRegistered(Object.keys(fields), run.spec.workflowId);
      const detail = Object.fromEntries(Object.entries(fields).map(([name, payload]) => [name, decode(payload)]));
      for (const [name, value] of Object.entries(detail)) {
        if (value == null) delete this.searchAttributes[name];
        else this.searchAttributes[name] = fields[name] as Payload;
      }
      run.record('upsertWorkflowSearchAttributes', { detail });
    } else if (command.modifyWorkflowProperties) {
      Object.assign(this.memo, command.modifyWorkflowProperties.upsertedMemo?.fields);
      run.record('workflowPropertiesModified');
    } else if (command.setPatchMarker) {
      run.record('markerRecorded', { name: 'core_patch', id: command.setPatchMarker.patchId as string });
      // Core lists the patches in a search attribute of its own.
      run.record('upsertWorkflowSearchAttributes', { id: 'TemporalChangeVersion' });
    } else if (command.localMarker) {
      const { type, attempt } = command.localMarker;
      run.record('markerRecorded', { name: 'core_local_activity', id: type, attempt });
    } else return false;
    return true;
  }

  #scheduleActivity(command: Command): void {
    const attributes = command.scheduleActivity as NonNullable<Command['scheduleActivity']>;
    const seq = attributes.seq as number;
    const { namespace, spec } = this.#run;
    const base = common(command, attributes);
    const queue = attributes.taskQueue as string;
    const { type: name, activityId: id, summary, args } = base;
    this.#run.record('activityTaskScheduled', { name, id, queue, summary: summary ?? undefined, detail: args });
    const task = new ActivityTask(
      {
        ...base,
        queue,
        scheduleToStartMs: durationMs(attributes.scheduleToStartTimeout),
        heartbeatMs: durationMs(attributes.heartbeatTimeout),
        workflowId: spec.workflowId,
        runId: spec.runId,
      },
      {
        clock: namespace.clock,
        server: namespace.server,
        handler: namespace.activities,
        dispatch: (to, queued) => namespace.dispatch(to, queued),
        started: (started, attempt) => {
          namespace.running.add(attempt);
          this.#run.record('activityTaskStarted', { name, id, queue, attempt: started.attempt });
        },
      },
      (closed) => this.#activityClosed(seq, name, id, closed),
    );
    (this.#activities.get(seq) as Scheduled).task = task;
  }

  #activityClosed(seq: number, name: string, id: string, { event, attempt, result }: ActivityClosed): void {
    this.#run.record(event, {
      ...{ name, id, attempt },
      // Read by few, and large.
      get detail() {
        return 'completed' in result ? decode(result.completed) : 'failed' in result ? result.failed : result.cancelled;
      },
    });
    const resolution =
      'completed' in result
        ? { completed: { result: result.completed } }
        : 'failed' in result
          ? { failed: { failure: result.failed } }
          : { cancelled: { failure: result.cancelled } };
    this.#run.enqueue({ resolveActivity: { seq, result: resolution } });
  }

  #requestCancelActivity(seq: number): void {
    const scheduled = this.#activities.get(seq);
    if (!scheduled?.task?.open) return;
    this.#run.record('activityTaskCancelRequested', { name: scheduled.type, id: scheduled.activityId });
    scheduled.task.requestCancel();
  }

  #startTimer(command: Command): void {
    const seq = command.startTimer?.seq as number;
    const ms = durationMs(command.startTimer?.startToFireTimeout) ?? 0;
    this.#run.record('timerStarted', { id: String(seq), ms, summary: summaryOf(command) ?? undefined });
    const fire = (): void => {
      this.#run.record('timerFired', { id: String(seq) });
      this.#run.enqueue({ fireTimer: { seq } });
    };
    this.#timers.set(seq, this.#run.namespace.server.after(ms, fire));
  }

  #timerCancelled(seq: number): void {
    this.#run.namespace.server.cancel(this.#timers.get(seq));
    if (this.#timers.delete(seq)) this.#run.record('timerCanceled', { id: String(seq) });
  }

  #signalExternal(command: Command): void {
    const { seq, workflowExecution, childWorkflowId, signalName, args } =
      command.signalExternalWorkflowExecution as NonNullable<Command['signalExternalWorkflowExecution']>;
    const id = (childWorkflowId || workflowExecution?.workflowId) as string;
    this.#run.record('signalExternalWorkflowExecutionInitiated', { name: signalName as string, id });
    this.#run.namespace.defer(() => {
      const found = this.#run.namespace.signal(id, workflowExecution?.runId || null, signalName as string, args ?? []);
      this.#run.record(found ? 'externalWorkflowExecutionSignaled' : 'signalExternalWorkflowExecutionFailed', { id });
      const failure = found ? undefined : externalFailure('signal');
      this.#run.enqueue({ resolveSignalExternalWorkflow: { seq, failure } });
    });
  }

  #cancelExternal(command: Command): void {
    const { seq, workflowExecution, reason } = command.requestCancelExternalWorkflowExecution as NonNullable<
      Command['requestCancelExternalWorkflowExecution']
    >;
    const id = workflowExecution?.workflowId as string;
    this.#run.record('requestCancelExternalWorkflowExecutionInitiated', { id });
    this.#run.namespace.defer(() => {
      const found = this.#run.namespace.requestCancel(id, workflowExecution?.runId || null, reason ?? '');
      const event = found ? 'externalWorkflowExecutionCancelRequested' : 'requestCancelExternalWorkflowExecutionFailed';
      this.#run.record(event, { id });
      const failure = found ? undefined : externalFailure('cancel');
      this.#run.enqueue({ resolveRequestCancelExternalWorkflow: { seq, failure } });
    });
  }
}

type ActivityAttributes = NonNullable<Command['scheduleActivity']> | NonNullable<Command['scheduleLocalActivity']>;

function common(command: Command, attributes: ActivityAttributes) {
  return {
    seq: attributes.seq as number,
    activityId: attributes.activityId as string,
    type: attributes.activityType as string,
    args: (attributes.arguments ?? []).map(decode),
    summary: summaryOf(command),
    scheduleToCloseMs: durationMs(attributes.scheduleToCloseTimeout),
    startToCloseMs: durationMs(attributes.startToCloseTimeout),
    retry: retryPolicy(attributes.retryPolicy),
    cancellation: CANCELLATION[attributes.cancellationType ?? 0] as Cancellation,
  };
}

function summaryOf(command: Command): string | null {
  const summary = decode(command.userMetadata?.summary);
  return typeof summary === 'string' ? summary : null;
}
