/**
 * The server's own time: what it does by itself (timers, limits of activities, back-offs) happens late when it is down
 * at that moment, in the order in which it was due, as soon as it is back.
 */
import type { Planned, VirtualClock } from '../clock.ts';

export class ServerClock {
  readonly #clock: VirtualClock;
  readonly #late: Planned[] = [];
  #up = true;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  get now(): number {
    return this.#clock.now;
  }

  get up(): boolean {
    return this.#up;
  }

  after(ms: number, action: () => void): Planned {
    const planned = this.#clock.after(ms, () => {
      if (this.#up) return action();
      planned.action = action;
      this.#late.push(planned);
    });
    return planned;
  }

  cancel(planned: Planned | null | undefined): void {
    this.#clock.cancel(planned);
  }

  stop(): void {
    this.#up = false;
  }

  resume(): void {
    this.#up = true;
    for (const planned of this.#late.splice(0)) {
      const { action } = planned;
      planned.action = null;
      action?.();
    }
  }
}
