/** A local activity as the worker's core runs it: inside the workflow task, retried in the process for short back-offs. */
import type { Planned, VirtualClock } from '../clock.ts';
import { type ActivityResolution, type Failure, timestamp } from '../sdk.ts';
import type { Cancellation } from './activity.ts';
import { type ActivityHandler, Attempt, type Result } from './attempt.ts';
import { activityFailure, cancelled, RETRY_STATE, timeoutFailure } from './failures.ts';
import { nextAttempt, type RetryPolicy } from './retry.ts';

export interface LocalActivitySpec {
  seq: number;
  activityId: string;
  type: string;
  queue: string;
  args: unknown[];
  summary: string | null;
  /** Of the first scheduling, when a timer has separated the attempts. */
  scheduledAt: number;
  firstAttempt: number;
  scheduleToCloseMs: number | undefined;
  startToCloseMs: number | undefined;
  /** A longer back-off is left to a timer of the workflow. */
  retryThresholdMs: number;
  retry: RetryPolicy;
  cancellation: Cancellation;
  workflowId: string;
  runId: string;
}

export class LocalActivity {
  readonly spec: LocalActivitySpec;
  readonly #clock: VirtualClock;
  readonly #handler: ActivityHandler;
  readonly #resolved: (resolution: ActivityResolution, attempt: number) => void;
  #number: number;
  #attempt: Attempt | null = null;
  #expiry: Planned | null = null;
  /** What comes next: the first or another attempt, or the limit of the present one. */
  #phase: Planned | null;
  #open = true;

  constructor(
    spec: LocalActivitySpec,
    clock: VirtualClock,
    handler: ActivityHandler,
    resolved: (resolution: ActivityResolution, attempt: number) => void,
  ) {
    this.spec = spec;
    this.#clock = clock;
    this.#handler = handler;
    this.#resolved = resolved;
    this.#number = spec.firstAttempt;
    const left =
      spec.scheduleToCloseMs === undefined ? undefined : spec.scheduledAt + spec.scheduleToCloseMs - clock.now;
    if (left !== undefined) this.#expiry = clock.after(left, () => this.#timeOut('scheduleToClose'));
    this.#phase = clock.after(0, () => this.#start());
  }

  cancel(): void {
    if (!this.#open) return;
    const waits = this.spec.cancellation === 'WAIT_CANCELLATION_COMPLETED';
    const running = this.#attempt?.running ?? false;
    if (this.spec.cancellation !== 'ABANDON') this.#attempt?.abort('CANCELLED');
    if (!waits || !running)
      this.#resolve({ cancelled: { failure: this.#wrap('Local Activity cancelled', cancelled) } });
  }

  #start(): void {
    const attempt = new Attempt(
      this.#clock,
      {
        ...this.spec,
        attempt: this.#number,
        scheduledAt: this.#clock.now,
        local: true,
        heartbeatDetails: undefined,
        heartbeatMs: undefined,
      },
      {
        heartbeat: () => null,
        result: (result) => {
          if (this.#attempt === attempt) this.#answered(result);
          return null;
        },
      },
    );
    this.#attempt = attempt;
    const limit = this.spec.startToCloseMs;
    this.#phase = limit === undefined ? null : this.#clock.after(limit, () => this.#timeOut('startToClose'));
    attempt.start(this.#handler);
  }

  #answered(result: Result): void {
    if ('completed' in result) this.#resolve({ completed: { result: result.completed } });
    else if ('cancelled' in result) {
      this.#resolve({ cancelled: { failure: this.#wrap('Local Activity cancelled', result.cancelled) } });
    } else this.#failed(result.failed, result.failed);
  }

  #timeOut(kind: 'scheduleToClose' | 'startToClose'): void {
    const failure: Failure = { ...timeoutFailure(kind, [], null), message: 'Activity timed out', source: '' };
    this.#attempt?.abort('TIMED_OUT');
    this.#attempt = null;
    const outer = this.#wrap('Local Activity timed out', failure);
    if (kind === 'startToClose') this.#failed(failure, outer);
    else this.#resolve({ failed: { failure: outer } });
  }

  /** @param reported what the workflow sees when there is no further attempt */
  #failed(failure: Failure, reported: Failure): void {
    const next = nextAttempt(this.spec.retry, failure, this.#number, this.#clock.now, null);
    if ('refused' in next) this.#resolve({ failed: { failure: reported } });
    else if (next.delayMs > this.spec.retryThresholdMs) {
      this.#resolve({
        backoff: {
          attempt: this.#number + 1,
          backoffDuration: timestamp(next.delayMs),
          originalScheduleTime: timestamp(this.spec.scheduledAt),
        },
      });
    } else {
      this.#number++;
      this.#attempt = null;
      this.#clock.cancel(this.#phase);
      this.#phase = this.#clock.after(next.delayMs, () => this.#start());
    }
  }

  #wrap(message: string, cause: Failure): Failure {
    return activityFailure(message, this.spec, RETRY_STATE.cancelRequested, cause);
  }

  #resolve(resolution: ActivityResolution): void {
    if (!this.#open) return;
    this.#open = false;
    this.#clock.cancel(this.#expiry);
    this.#clock.cancel(this.#phase);
    this.#resolved(resolution, this.#number);
  }
}
