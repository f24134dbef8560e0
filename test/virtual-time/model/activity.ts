/**
 * An activity as the server keeps it: its four limits, its retries, its cancellation. One `ActivityTask` lives from
 * the command that schedules it to the one event that closes it, over any number of attempts.
 */
import type { Planned, VirtualClock } from '../clock.ts';
import { decode, encode, type Failure, type Payload } from '../sdk.ts';
import { type ActivityHandler, Attempt, type Result } from './attempt.ts';
import { activityFailure, RETRY_STATE, type RetryState, type TimeoutKind, timeoutFailure } from './failures.ts';
import { nextAttempt, type RetryPolicy } from './retry.ts';
import type { ServerClock } from './server.ts';

export type Cancellation = 'TRY_CANCEL' | 'WAIT_CANCELLATION_COMPLETED' | 'ABANDON';

export interface ActivitySpec {
  seq: number;
  activityId: string;
  type: string;
  queue: string;
  args: unknown[];
  summary: string | null;
  scheduleToCloseMs: number | undefined;
  scheduleToStartMs: number | undefined;
  startToCloseMs: number | undefined;
  heartbeatMs: number | undefined;
  retry: RetryPolicy;
  cancellation: Cancellation;
  workflowId: string;
  runId: string;
}

/** How it closed, as an event of history. */
export interface ActivityClosed {
  event: 'activityTaskCompleted' | 'activityTaskFailed' | 'activityTaskTimedOut' | 'activityTaskCanceled';
  attempt: number;
  result: Result;
}

/** What an activity needs around it. */
export interface ActivityWorld {
  /** The workers' time. */
  clock: VirtualClock;
  server: ServerClock;
  handler: ActivityHandler;
  /** Calls back as soon as a worker polls the queue: planned for now, or when one comes up. */
  dispatch(queue: string, task: ActivityTask): void;
  started(task: ActivityTask, attempt: Attempt): void;
}

export class ActivityTask {
  readonly spec: ActivitySpec;
  readonly #world: ActivityWorld;
  readonly #closed: (closed: ActivityClosed) => void;
  readonly #expiresAt: number | null;
  #expiry: Planned | null = null;
  /** The limit that applies to the present phase: schedule-to-start, the back-off, or start-to-close. */
  #phase: Planned | null = null;
  #heartbeatTimeout: Planned | null = null;
  #state: 'queued' | 'backingOff' | 'running' | 'closed' = 'queued';
  #number = 1;
  #scheduledAt = 0;
  #lastFailure: Failure | null = null;
  #lastHeartbeat: Payload[] = [];
  #cancelRequested = false;

  constructor(spec: ActivitySpec, world: ActivityWorld, closed: (closed: ActivityClosed) => void) {
    const whole = spec.scheduleToCloseMs;
    const within = (ms: number | undefined): number | undefined =>
      whole === undefined ? ms : Math.min(ms ?? whole, whole);
    this.spec = {
      ...spec,
      startToCloseMs: within(spec.startToCloseMs),
      scheduleToStartMs: within(spec.scheduleToStartMs),
    };
    this.#world = world;
    this.#closed = closed;
    this.#expiresAt = whole === undefined ? null : world.server.now + whole;
    this.#enqueue();
    if (whole !== undefined) this.#expiry = world.server.after(whole, () => this.#timeOut('scheduleToClose'));
  }

  get attempt(): number {
    return this.#number;
  }

  get open(): boolean {
    return this.#state !== 'closed';
  }

  get queued(): boolean {
    return this.#state === 'queued';
  }

  /** A worker has taken the task. */
  start(): void {
    const { spec } = this;
    this.#state = 'running';
    this.#plan(spec.startToCloseMs, 'startToClose');
    this.#renewHeartbeat();
    const number = this.#number;
    const current = (): boolean => this.#state === 'running' && this.#number === number;
    const attempt = new Attempt(
      this.#world.clock,
      {
        ...spec,
        attempt: number,
        scheduledAt: this.#scheduledAt,
        local: false,
        heartbeatDetails: decode(this.#lastHeartbeat[0]),
      },
      {
        heartbeat: (details) => {
          if (!this.#world.server.up) return null;
          if (!current()) return 'NOT_FOUND';
          this.#lastHeartbeat = details;
          this.#renewHeartbeat();
          return this.#cancelRequested ? 'CANCELLED' : null;
        },
        result: (result) => {
          if (!this.#world.server.up) return 'UNAVAILABLE';
          if (current()) this.#answered(result);
          return null;
        },
      },
    );
    this.#world.started(this, attempt);
    attempt.start(this.#world.handler);
  }

  /** The workflow asks for its cancellation. A running attempt learns of it with its next heartbeat. */
  requestCancel(): void {
    if (this.#state === 'closed' || this.#cancelRequested) return;
    this.#cancelRequested = true;
    if (this.#state === 'running') return;
    const details = { payloads: [encode('ACTIVITY_ID_NOT_STARTED')] };
    this.#close('activityTaskCanceled', { cancelled: this.#cancelledFailure({ canceledFailureInfo: { details } }) });
  }

  /** Its workflow has closed: nobody waits for it, and a running attempt is told so when it next heartbeats. */
  orphan(): void {
    this.#stop();
  }

  #enqueue(): void {
    this.#state = 'queued';
    this.#scheduledAt = this.#world.server.now;
    this.#plan(this.spec.scheduleToStartMs, 'scheduleToStart');
    this.#world.dispatch(this.spec.queue, this);
  }

  #plan(ms: number | undefined, limit: TimeoutKind): void {
    this.#world.server.cancel(this.#phase);
    this.#phase = ms === undefined ? null : this.#world.server.after(ms, () => this.#timeOut(limit));
  }

  #renewHeartbeat(): void {
    this.#world.server.cancel(this.#heartbeatTimeout);
    const limit = this.spec.heartbeatMs;
    this.#heartbeatTimeout =
      limit === undefined ? null : this.#world.server.after(limit, () => this.#timeOut('heartbeat'));
  }

  #answered(result: Result): void {
    if ('completed' in result) this.#close('activityTaskCompleted', result);
    else if ('cancelled' in result && this.#cancelRequested) {
      this.#close('activityTaskCanceled', { cancelled: this.#cancelledFailure(result.cancelled) });
    } else this.#failed('cancelled' in result ? result.cancelled : result.failed);
  }

  #failed(failure: Failure): void {
    const refused = this.#retry(failure);
    if (refused) {
      const outer = activityFailure('Activity task failed', this.spec, refused, failure);
      this.#close('activityTaskFailed', { failed: outer });
    }
  }

  #timeOut(kind: TimeoutKind): void {
    const failure = timeoutFailure(kind, this.#lastHeartbeat, this.#lastFailure);
    const refused = this.#retry(failure);
    if (!refused) return;
    const reported = timeoutFailure(kind, this.#lastHeartbeat, this.#lastFailure, refused);
    this.#close('activityTaskTimedOut', {
      failed: activityFailure('Activity task timed out', this.spec, refused, reported),
    });
  }

  /** Backs off for the next attempt, or says why there is none. */
  #retry(failure: Failure): RetryState | null {
    if (this.#cancelRequested) return RETRY_STATE.cancelRequested;
    const { server } = this.#world;
    const next = nextAttempt(this.spec.retry, failure, this.#number, server.now, this.#expiresAt);
    if ('refused' in next) return next.refused;
    server.cancel(this.#phase);
    server.cancel(this.#heartbeatTimeout);
    this.#lastFailure = failure;
    this.#number++;
    this.#state = 'backingOff';
    this.#phase = server.after(next.delayMs, () => this.#enqueue());
    return null;
  }

  #cancelledFailure(reported: Failure): Failure {
    const details = reported.canceledFailureInfo?.details;
    const cause: Failure = { canceledFailureInfo: { details } };
    return activityFailure('Activity cancelled', this.spec, RETRY_STATE.cancelRequested, cause);
  }

  #close(event: ActivityClosed['event'], result: Result): void {
    this.#stop();
    this.#closed({ event, attempt: this.#number, result });
  }

  #stop(): void {
    this.#state = 'closed';
    for (const planned of [this.#expiry, this.#phase, this.#heartbeatTimeout]) this.#world.server.cancel(planned);
  }
}
