/** Secrets of the sources, resolved once in a while and not for each message. */

/** A changed file or variable counts after this time at the latest, in milliseconds. */
const KEEP_MS = 10_000;

export interface Resolved {
  values: string[];
  /** Why others could not be read; each names its variable or file, never a value. */
  problems: string[];
}

export class Secrets {
  readonly #resolve: (reference: string) => Promise<string>;
  readonly #now: () => number;
  readonly #kept = new Map<string, { until: number; value: Promise<string> }>();

  /** @param resolve gives the value of a reference, or throws an error that names the reference and no value */
  constructor(resolve: (reference: string) => Promise<string>, now: () => number = Date.now) {
    this.#resolve = resolve;
    this.#now = now;
  }

  /** Every secret that can be read now. One that cannot does not keep the others from being used. */
  async all(references: readonly string[]): Promise<Resolved> {
    const resolved: Resolved = { values: [], problems: [] };
    for (const outcome of await Promise.allSettled(references.map((reference) => this.#one(reference)))) {
      if (outcome.status === 'rejected') resolved.problems.push((outcome.reason as Error).message);
      else resolved.values.push(outcome.value);
    }
    return resolved;
  }

  #one(reference: string): Promise<string> {
    const now = this.#now();
    const kept = this.#kept.get(reference);
    if (kept !== undefined && now < kept.until) return kept.value;
    const value = this.#resolve(reference).then((text) => {
      // Whoever sends nothing would know it.
      if (text === '') throw new Error(`the secret ${reference} is empty`);
      return text;
    });
    this.#kept.set(reference, { until: now + KEEP_MS, value });
    value.catch(() => this.#kept.delete(reference));
    return value;
  }
}
