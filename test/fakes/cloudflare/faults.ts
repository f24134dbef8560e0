/** What goes wrong on the way to the fake of Cloudflare's API and back, as told by a test. */

/**
 * `hang`: no answer, ever. `reset`: the connection ends without an answer. `cut`: applied, and the answer ends in
 * mid-body. `throttled` (429), `denied` (403), `expired` (401), `unavailable` (503): an error, nothing applied.
 * `failed`: HTTP 200 with `success: false`, nothing applied. `nothing`: HTTP 200 with the usual answer, and nothing was
 * done. `pass`: no fault; for `before` and `after` alone.
 */
export type Fault =
  | 'hang'
  | 'reset'
  | 'cut'
  | 'throttled'
  | 'denied'
  | 'expired'
  | 'unavailable'
  | 'failed'
  | 'nothing'
  | 'pass';

export interface FaultRule {
  fault: Fault;
  /** `GET`, `PATCH`, …; all of them when absent. */
  method?: string;
  /** A part of the path. */
  path?: string;
  /** Calls that match and pass before the fault begins; 0 when absent. */
  skip?: number;
  /** How many calls meet it; all of them when absent. */
  times?: number;
  /** `hang`, `reset`, `unavailable`: the call is carried out, and only its answer is lost. */
  applied?: boolean;
  /** Runs before the call, or after it was applied: somebody else changes something meanwhile. */
  before?: () => void;
  after?: () => void;
}

export class Faults {
  #rules: Array<FaultRule & { passed: number; met: number }> = [];

  /** Of several rules that match, the one added last counts. @returns what takes it away */
  add(rule: FaultRule): () => void {
    const standing = { ...rule, passed: 0, met: 0 };
    this.#rules.unshift(standing);
    return () => {
      this.#rules = this.#rules.filter((other) => other !== standing);
    };
  }

  clear(): void {
    this.#rules = [];
  }

  /** The rule that this call meets, counted. */
  meet(method: string, path: string): FaultRule | undefined {
    for (const rule of this.#rules) {
      const fits = (rule.method ?? method) === method && path.includes(rule.path ?? '');
      if (!fits || rule.met >= (rule.times ?? Number.POSITIVE_INFINITY)) continue;
      if (rule.passed < (rule.skip ?? 0)) {
        rule.passed++;
        continue;
      }
      rule.met++;
      return rule;
    }
    return undefined;
  }
}
