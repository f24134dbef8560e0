/** Runs the real activities, each attempt in a real activity context, in virtual time, where faults can reach it. */
import { asyncLocalStorage, Context, type Info } from '@temporalio/activity';
import { CancelledFailure, noopMetricMeter } from '@temporalio/common';
import { type Clock, useClock } from '../../drivers/clock.ts';
import { RampartError } from '../../drivers/errors.ts';
import type { StepCall } from '../../plan/model.ts';
import type { ActivityCall, ActivityHandler } from '../virtual-time/harness.ts';
import { RULES } from './drivers/rules.ts';
import type { Fault, WorldFault } from './scenario.ts';

type Activity = (...args: never[]) => Promise<unknown>;

/** A frozen worker that wakes up goes on for so long before it hears that it was given up, in milliseconds. */
const DEAF_MS = 200;
const LATENCY_MS: readonly [number, number] = [1, 8];
const AFTER = 99;

export interface AttemptsOptions {
  /** The real activities by task queue. */
  activities(queue: string): Record<string, Activity>;
  faults: readonly Fault[];
  /** Lets a fault of the world strike. */
  strike(fault: Fault): void;
  latency(low: number, high: number): number;
  /** A worker's clock: what it adds to the true time. */
  skew(queue: string): number;
  now(): number;
  after(ms: number, action: () => void): void;
  /** A boundary that a fault struck at, for the counts. */
  struck(fault: Fault, verb: string): void;
}

/** One attempt on its worker. */
export class SimAttempt {
  readonly call: ActivityCall;
  readonly #options: AttemptsOptions;
  readonly #faults: Fault[];
  readonly #abort = new AbortController();
  #ops = 0;
  #frozenUntil = 0;
  /** It never answers: its worker has died, or its answer is lost. */
  silent = false;

  constructor(call: ActivityCall, faults: Fault[], options: AttemptsOptions) {
    this.call = call;
    this.#faults = faults;
    this.#options = options;
    call.signal.addEventListener('abort', () => this.#hearAbort(), { once: true });
    if (call.signal.aborted) this.#hearAbort();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** A frozen process learns nothing; when it wakes it does what it was about to do, and hears of the end later. */
  #hearAbort(): void {
    const wait = this.#frozenUntil - this.call.now();
    const abort = (): void => this.#abort.abort(this.call.signal.reason);
    if (wait <= 0) abort();
    else this.#options.after(wait + DEAF_MS, abort);
  }

  heartbeat(details: unknown): void {
    if (!this.silent && this.call.now() >= this.#frozenUntil) this.call.heartbeat(details);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => reject(signal?.reason as Error);
      if (signal?.aborted) return aborted();
      signal?.addEventListener('abort', aborted, { once: true });
      void this.call.sleep(ms, { ignoreAbort: true }).then(() => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      });
    });
  }

  /** One operation of a driver. */
  async op(): Promise<void> {
    await this.#strike(++this.#ops);
    await this.call.sleep(this.#options.latency(...LATENCY_MS), { ignoreAbort: true });
  }

  before(): Promise<void> {
    return this.#strike(0);
  }

  after(): Promise<void> {
    return this.#strike(AFTER);
  }

  async #strike(op: number): Promise<void> {
    for (const fault of this.#faults) {
      if (!('step' in fault.when) || fault.when.op !== op) continue;
      this.#options.struck(fault, this.call.type);
      switch (fault.what) {
        case 'fail':
          throw new RampartError('ProviderUnavailable', 'the connection was reset');
        case 'loseAnswer':
          this.silent = true;
          if (op !== AFTER) await new Promise(() => undefined);
          break;
        case 'freezeWorker':
          this.#frozenUntil = this.call.now() + fault.ms;
          await this.call.sleep(fault.ms, { ignoreAbort: true });
          break;
        case 'twice':
          break;
        default:
          this.#options.strike(fault);
          // What happens to the world happens before this operation, not beside it.
          await this.call.sleep(0, { ignoreAbort: true });
      }
    }
  }
}

const running = new WeakMap<Context, SimAttempt>();
let options: AttemptsOptions | null = null;

/** The attempt whose code runs now. */
export function currentAttempt(): SimAttempt {
  const context = asyncLocalStorage.getStore();
  const attempt = context && running.get(context);
  if (!attempt) throw new Error('not inside a simulated activity');
  return attempt;
}

/** The clock of activities: each one's own worker's. */
const clock: Clock = {
  now: () => {
    const { call } = currentAttempt();
    return call.now() + (options?.skew(call.queue) ?? 0);
  },
  monotonic: () => currentAttempt().call.now(),
  sleep: (ms, signal) => currentAttempt().sleep(ms, signal),
  every: (ms, action) => {
    const attempt = currentAttempt();
    let over = false;
    const next = async (): Promise<void> => {
      while (!over) {
        await attempt.call.sleep(ms, { ignoreAbort: true });
        if (!over) action();
      }
    };
    void next();
    return () => {
      over = true;
    };
  },
};

/** @returns what the harness calls for every attempt. One simulation at a time in a process. */
export function activityHandler(given: AttemptsOptions): ActivityHandler {
  options = given;
  useClock(clock);
  const attempts = new Map<string, number>();
  return (call) => {
    const key = call.summary ?? call.type;
    const nth = (attempts.get(key) ?? 0) + 1;
    attempts.set(key, nth);
    const faults = given.faults.filter(({ when }) => 'step' in when && when.step === key && when.nth === nth);
    const activity = given.activities(call.queue)[call.type];
    if (activity === undefined) throw new Error(`no activity ${call.type} on ${call.queue}`);
    const twice = faults.find(({ what }) => what === 'twice');
    if (twice === undefined) return runAttempt(call, activity, faults, given);
    given.struck(twice, call.type);
    const second = new Promise<void>((resolve) => given.after(twice.ms, resolve)).then(() =>
      runAttempt(call, activity, [], given),
    );
    second.catch(() => undefined);
    return runAttempt(call, activity, faults, given);
  };
}

async function runAttempt(
  call: ActivityCall,
  activity: Activity,
  faults: Fault[],
  given: AttemptsOptions,
): Promise<unknown> {
  const attempt = new SimAttempt(call, faults, given);
  const cancelled = new Promise<never>((_, reject) => {
    attempt.signal.addEventListener('abort', () => reject(new CancelledFailure('cancelled')), { once: true });
  });
  cancelled.catch(() => undefined);
  const context = new Context(
    infoOf(call),
    cancelled,
    attempt.signal,
    (details) => attempt.heartbeat(details),
    undefined,
    QUIET,
    noopMetricMeter,
    {},
  );
  running.set(context, attempt);
  return asyncLocalStorage.run(context, async () => {
    await attempt.before();
    const result = await activity(...(call.args as never[]));
    await attempt.after();
    return attempt.silent ? 'never' : result;
  });
}

const nothing = (): void => undefined;
const QUIET = { log: nothing, trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

function infoOf(call: ActivityCall): Info {
  const { type, activityId, attempt, queue, heartbeatDetails, workflowId, runId, scheduledAt } = call;
  const info: Partial<Info> = {
    ...{ activityType: type, activityId, attempt, taskQueue: queue, heartbeatDetails },
    ...{ currentAttemptScheduledTimestampMs: RULES.serverTime ? scheduledAt : Number.MAX_SAFE_INTEGER },
    ...{ workflowExecution: { workflowId, runId }, startToCloseTimeoutMs: 60_000 },
  };
  return info as Info;
}

/** The step an attempt works on; `null` for planning. */
export function stepOf(call: ActivityCall): StepCall | null {
  const [input] = call.args as [StepCall | undefined];
  return input?.step === undefined ? null : input;
}

export function isWorldFault(what: Fault['what']): what is WorldFault {
  return !['fail', 'loseAnswer', 'freezeWorker', 'twice'].includes(what);
}
