/** A clock that jumps: things happen in the order of their time, and at one time in the order they were planned. */

export interface Planned {
  readonly at: number;
  readonly order: number;
  /** `null` once it has happened or was called off. */
  action: (() => void) | null;
}

export class VirtualClock {
  /** Milliseconds since the epoch. */
  now: number;
  #order = 0;
  /** Binary heap by (at, order). */
  readonly #heap: Planned[] = [];

  constructor(now: number) {
    this.now = now;
  }

  /** Plans an action in so many milliseconds; call it off with `cancel`. */
  after(ms: number, action: () => void): Planned {
    const planned: Planned = { at: this.now + Math.max(0, ms), order: this.#order++, action };
    this.#heap.push(planned);
    this.#up(this.#heap.length - 1);
    return planned;
  }

  cancel(planned: Planned | null | undefined): void {
    if (planned) planned.action = null;
  }

  /** Time of the next action, `undefined` when nothing is planned. */
  get next(): number | undefined {
    while (this.#heap[0] && this.#heap[0].action === null) this.#pop();
    return this.#heap[0]?.at;
  }

  /** Does everything that is due at `now`, also what that plans for now. Returns how much was done. */
  fireDue(): number {
    let fired = 0;
    for (let at = this.next; at !== undefined && at <= this.now; at = this.next) {
      const planned = this.#pop();
      const action = planned.action;
      planned.action = null;
      action?.();
      fired++;
    }
    return fired;
  }

  #pop(): Planned {
    const top = this.#heap[0] as Planned;
    const last = this.#heap.pop() as Planned;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#down(0);
    }
    return top;
  }

  #before(a: number, b: number): boolean {
    const x = this.#heap[a] as Planned;
    const y = this.#heap[b] as Planned;
    return x.at < y.at || (x.at === y.at && x.order < y.order);
  }

  #swap(a: number, b: number): void {
    const x = this.#heap[a] as Planned;
    this.#heap[a] = this.#heap[b] as Planned;
    this.#heap[b] = x;
  }

  #up(child: number): void {
    for (let i = child; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!this.#before(i, parent)) return;
      this.#swap(i, parent);
      i = parent;
    }
  }

  #down(parent: number): void {
    for (let i = parent; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < this.#heap.length && this.#before(child, least)) least = child;
      }
      if (least === i) return;
      this.#swap(i, least);
      i = least;
    }
  }
}
