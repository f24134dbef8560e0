/**
 * One attempt of an activity on its worker: the handler's run, its heartbeats (throttled as core does it) and how
 * cancellation reaches it. An attempt may go on after the server gave it up; then it is a stale actor.
 */
import { CancelledFailure, ensureApplicationFailure } from '@temporalio/common';
import type { Planned, VirtualClock } from '../clock.ts';
import { encode, encodeError, type Failure, type Payload } from '../sdk.ts';

/** What an activity handler is given. Times are virtual: a handler may await nothing but these and other handlers. */
export interface ActivityCall {
  readonly type: string;
  readonly queue: string;
  readonly args: readonly unknown[];
  readonly activityId: string;
  readonly summary: string | null;
  /** From 1. */
  readonly attempt: number;
  /** When the server had this attempt ready for a worker, milliseconds since the epoch. */
  readonly scheduledAt: number;
  readonly local: boolean;
  readonly workflowId: string;
  readonly runId: string;
  /** What an earlier attempt last reported. */
  readonly heartbeatDetails: unknown;
  readonly heartbeatTimeoutMs: number | null;
  readonly signal: AbortSignal;
  /** Reports progress. As in reality, this is how a cancellation arrives. */
  heartbeat(details?: unknown): void;
  /** Waits in virtual time; rejects with `CancelledFailure` on abort, unless told to ignore it. Never ends after a crash. */
  sleep(ms: number, options?: { ignoreAbort?: boolean }): Promise<void>;
  now(): number;
}

/** The world's side of every activity. `'never'`: no answer, as from a hung system. */
export type ActivityHandler = (call: ActivityCall) => unknown;

export type Result = { completed: Payload } | { failed: Failure } | { cancelled: Failure };

export interface AttemptSpec {
  type: string;
  queue: string;
  args: readonly unknown[];
  activityId: string;
  summary: string | null;
  attempt: number;
  scheduledAt: number;
  local: boolean;
  workflowId: string;
  runId: string;
  heartbeatDetails: unknown;
  heartbeatMs: number | undefined;
  startToCloseMs: number | undefined;
}

export type AbortReason = 'CANCELLED' | 'NOT_FOUND' | 'TIMED_OUT';

export interface Reports {
  /** A heartbeat; its answer: whether the attempt is to be aborted. A server that is down hears and says nothing. */
  heartbeat(details: Payload[]): AbortReason | null;
  /** The end of the attempt; whether the server was there to hear it. */
  result(result: Result): 'UNAVAILABLE' | null;
}

/** Core's own bound on an attempt the server must have timed out by then, when it does not heartbeat. */
const LOCAL_TIMEOUT_BUFFER_MS = 5_000;
const DEFAULT_THROTTLE_MS = 30_000;
const MAXIMUM_THROTTLE_MS = 60_000;
/** Core's client tries a call again at growing intervals, and no longer than this in all. */
const CALL_RETRY = { firstMs: 100, factor: 1.7, mostMs: 5_000, forMs: 10_000 };

export class Attempt {
  readonly #clock: VirtualClock;
  readonly #spec: AttemptSpec;
  readonly #reports: Reports;
  readonly #abort = new AbortController();
  #abortReason: AbortReason | null = null;
  #over = false;
  #crashed = false;
  #unsent: Payload[] | null = null;
  #throttle: Planned | null = null;
  #heartbeatBound: Planned | null = null;
  #closeBound: Planned | null = null;

  constructor(clock: VirtualClock, spec: AttemptSpec, reports: Reports) {
    this.#clock = clock;
    this.#spec = spec;
    this.#reports = reports;
  }

  get queue(): string {
    return this.#spec.queue;
  }

  get running(): boolean {
    return !this.#over && !this.#crashed;
  }

  start(handler: ActivityHandler): void {
    this.#renewHeartbeatBound();
    const { startToCloseMs, local } = this.#spec;
    if (startToCloseMs !== undefined && !local) this.#closeBound = this.#bound(startToCloseMs);
    let outcome: unknown;
    try {
      outcome = handler(this.#call());
    } catch (error) {
      this.#end(this.#failed(error));
      return;
    }
    if (outcome === 'never') return;
    if (!(outcome instanceof Promise)) {
      this.#end({ completed: encode(outcome) });
      return;
    }
    outcome.then(
      (value) => {
        if (value !== 'never') this.#end({ completed: encode(value) });
      },
      (error: unknown) => this.#end(this.#failed(error)),
    );
  }

  abort(reason: AbortReason): void {
    if (!this.running || this.#abortReason) return;
    this.#abortReason = reason;
    this.#abort.abort(new CancelledFailure(reason));
  }

  /** The worker dies: nothing of this attempt happens any more, not even what its handler was about to do. */
  crash(): void {
    this.#crashed = true;
    this.#forget();
  }

  #end(result: Result): void {
    if (!this.running) return;
    // Core sends the last details before a failure, so that the next attempt finds them.
    if ('failed' in result && this.#unsent) this.#reports.heartbeat(this.#unsent);
    this.#over = true;
    this.#forget();
    this.#answer(result, CALL_RETRY.firstMs, CALL_RETRY.forMs);
  }

  /** What the server cannot be told in time is lost: one of the activity's limits finds out. */
  #answer(result: Result, waitMs: number, leftMs: number): void {
    if (this.#crashed || this.#reports.result(result) === null || waitMs > leftMs) return;
    const nextMs = Math.min(waitMs * CALL_RETRY.factor, CALL_RETRY.mostMs);
    this.#clock.after(waitMs, () => this.#answer(result, nextMs, leftMs - waitMs));
  }

  #forget(): void {
    this.#clock.cancel(this.#throttle);
    this.#clock.cancel(this.#heartbeatBound);
    this.#clock.cancel(this.#closeBound);
  }

  #failed(error: unknown): Result {
    const aborted = this.#abortReason !== null;
    if (aborted && error instanceof CancelledFailure) return { cancelled: encodeError(error) };
    if (aborted && error instanceof Error && error.name === 'AbortError')
      return { cancelled: { canceledFailureInfo: {} } };
    return { failed: encodeError(ensureApplicationFailure(error)) };
  }

  #bound(limitMs: number): Planned {
    return this.#clock.after(limitMs + LOCAL_TIMEOUT_BUFFER_MS, () => this.abort('TIMED_OUT'));
  }

  #renewHeartbeatBound(): void {
    this.#clock.cancel(this.#heartbeatBound);
    const limit = this.#spec.heartbeatMs;
    this.#heartbeatBound = limit === undefined ? null : this.#bound(limit);
  }

  #heartbeat(details: unknown[]): void {
    if (!this.running) return;
    this.#unsent = details.map(encode);
    if (!this.#throttle?.action) this.#send();
  }

  #send(): void {
    const details = this.#unsent;
    if (!details || !this.running) return;
    this.#unsent = null;
    const answer = this.#reports.heartbeat(details);
    const limit = this.#spec.heartbeatMs;
    const interval = Math.min(limit === undefined ? DEFAULT_THROTTLE_MS : 0.8 * limit, MAXIMUM_THROTTLE_MS);
    this.#throttle = this.#clock.after(interval, () => this.#send());
    this.#renewHeartbeatBound();
    if (answer) this.abort(answer);
  }

  #call(): ActivityCall {
    const { heartbeatMs, startToCloseMs: _, ...visible } = this.#spec;
    return {
      ...visible,
      heartbeatTimeoutMs: heartbeatMs ?? null,
      signal: this.#abort.signal,
      heartbeat: (...details) => this.#heartbeat(details),
      sleep: (ms, options) => this.#sleep(ms, options?.ignoreAbort ?? false),
      now: () => this.#clock.now,
    };
  }

  #sleep(ms: number, ignoreAbort: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const { signal } = this.#abort;
      const aborted = (): void => {
        this.#clock.cancel(planned);
        if (!this.#crashed) reject(signal.reason as Error);
      };
      const planned = this.#clock.after(ms, () => {
        signal.removeEventListener('abort', aborted);
        if (!this.#crashed) resolve();
      });
      if (ignoreAbort) return;
      if (signal.aborted) aborted();
      else signal.addEventListener('abort', aborted, { once: true });
    });
  }
}
