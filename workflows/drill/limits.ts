/** When a dwell has gone wrong. Pure: it is told every round, and says what is the matter. */
import type { CheckResult } from '../../drivers/ports.ts';
import type { AbortWhen } from '../../topology/drill.ts';

/** What the checks of one round said. */
export type Round = ReadonlyArray<readonly [check: string, result: CheckResult]>;

/** How far a store is behind, in seconds; `null` when that is not known. */
export interface Behind {
  store: string;
  seconds: number | null;
}

/** Most rounds of one drill: each is a handful of events, and a history that is too long ends its workflow. */
const MOST_ROUNDS = 1_000;

/** Time between two rounds, so that they are not more than a history can hold. All in milliseconds. */
export const everyMs = (intervalMs: number, forMs: number, most = MOST_ROUNDS): number =>
  Math.max(intervalMs, Math.ceil(forMs / most));

export class Limits {
  readonly #wanted: AbortWhen;
  readonly #failing = new Map<string, number>();
  readonly #behind = new Map<string, number>();
  #passes: Array<{ at: number; passed: boolean }> = [];
  readonly #startedAt: number;

  /** @param startedAt beginning of the dwell, milliseconds since the epoch */
  constructor(wanted: AbortWhen, startedAt: number) {
    this.#wanted = wanted;
    this.#startedAt = startedAt;
  }

  /** @returns what ends the dwell, in a sentence; `null` when nothing does */
  take(round: Round, behind: readonly Behind[], now: number): string | null {
    const said = [...round.map(([name, result]) => this.#check(name, result)), this.#errorRate(round, now)];
    return [...said, ...behind.map((one) => this.#lag(one))].find((text) => text !== null) ?? null;
  }

  #check(name: string, { outcome, observed, threshold }: CheckResult): string | null {
    const times = outcome === 'pass' ? 0 : (this.#failing.get(name) ?? 0) + 1;
    this.#failing.set(name, times);
    if (times < this.#wanted.checksFailing) return null;
    return `check ${name} ${outcome === 'fail' ? 'failed' : 'gave no answer'} ${times} times in a row: ${observed} against ${threshold}`;
  }

  /** Judged once the window is full: of two measurements one that fails is no rate. */
  #errorRate(round: Round, now: number): string | null {
    const { errorRate } = this.#wanted;
    if (errorRate === null) return null;
    const { percent, withinMs } = errorRate;
    const measured = round.map(([, { outcome }]) => ({ at: now, passed: outcome === 'pass' }));
    this.#passes = [...this.#passes, ...measured].filter(({ at }) => at > now - withinMs);
    const failed = this.#passes.filter(({ passed }) => !passed).length;
    if (now - this.#startedAt < withinMs || failed * 100 <= this.#passes.length * percent) return null;
    return `${failed} of ${this.#passes.length} checks within ${withinMs / 1000} s did not pass; the limit is ${percent} %`;
  }

  #lag({ store, seconds }: Behind): string | null {
    const { lagAboveMs, checksFailing } = this.#wanted;
    if (lagAboveMs === null) return null;
    const late = seconds === null || seconds * 1_000 > lagAboveMs;
    const times = late ? (this.#behind.get(store) ?? 0) + 1 : 0;
    this.#behind.set(store, times);
    if (times < checksFailing) return null;
    const how = seconds === null ? 'is not known' : `is ${seconds} s`;
    return `the lag of ${store} ${how}, ${times} times in a row; the limit is ${lagAboveMs / 1000} s`;
  }
}
