/** The rules no run may break, as far as the model world can see them, looked at after every step of the harness. */
import type { ModelWorld } from './world.ts';

export class Invariants {
  readonly broken: string[] = [];
  readonly #world: ModelWorld;
  /** By store: since when no side has accepted writes. */
  readonly #noneSince = new Map<string, number>();
  /** A person has accepted in writing that the old primary may still take writes. */
  weakFenceAccepted = false;
  /** Longest time, in milliseconds, in which no side accepted writes. */
  longestFreezeMs = 0;

  constructor(world: ModelWorld) {
    this.#world = world;
  }

  look(): void {
    const { now, databases, traffic } = this.#world;
    for (const database of Object.values(databases)) {
      // I1. A writable side whose host is lost counts: nobody has proven that it stays down.
      if (database.writable.length > 1 && !this.weakFenceAccepted)
        this.#add(`I1: ${database.name} is writable in ${database.writable}`);
      const alive = database.writable.filter((region) => database.server(region).reachable);
      this.#freeze(database.name, alive.length === 0, now);
      const endpoint = traffic.routers.writer?.weights ?? {};
      for (const [region, weight] of Object.entries(endpoint)) {
        const { role, reachable } = database.server(region);
        // I5, at the moment it changes: nobody points at a replica but by having been there before.
        if (weight > 0 && role === 'replica' && reachable && database.writable.length === 0)
          this.#add(`I5: the writer endpoint points at the replica in ${region}`);
      }
    }
    for (const [name, { weights }] of Object.entries(traffic.routers)) {
      const sum = Object.values(weights).reduce((total, weight) => total + weight, 0);
      if (sum !== 100) this.#add(`I5: the weights of ${name} add up to ${sum}`);
    }
  }

  #freeze(store: string, frozen: boolean, now: number): void {
    if (!frozen) {
      this.#noneSince.delete(store);
      return;
    }
    const since = this.#noneSince.get(store) ?? now;
    this.#noneSince.set(store, since);
    this.longestFreezeMs = Math.max(this.longestFreezeMs, now - since);
  }

  #add(text: string): void {
    if (!this.broken.includes(text)) this.broken.push(text);
  }
}
