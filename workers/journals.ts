/**
 * The journals of this worker's own nodes, for the watchdog: a sample shows none, and those beside a data directory
 * nobody else can read. Read apart from the looks, which wait for nothing here.
 */
import type { At, Millis, NodeObservation } from '../drivers/ports.ts';
import { within } from '../drivers/within.ts';
import type { Component } from '../topology/model.ts';

/** Between two readings of a component, in milliseconds: each asks its systems for everything. */
const EVERY_MS = 10_000;
/** Longest time for one, in milliseconds. */
const LONGEST_MS = 10_000;

/** Reads nodes in full; gives up when the signal aborts. */
export type ReadNodes = (at: At, signal: AbortSignal) => Promise<NodeObservation[]>;

export class Journals {
  private readonly queues: ReadonlySet<string>;
  private readonly stop: AbortSignal;
  private readonly read = new Map<string, { at: Millis; seen: NodeObservation[] }>();
  private readonly begun = new Map<string, Millis>();
  private readonly reading = new Map<string, Promise<void>>();

  /** @param queues task queues of this worker: its own nodes are those whose steps run there */
  constructor(queues: Iterable<string>, stop: AbortSignal) {
    this.queues = new Set(queues);
    this.stop = stop;
  }

  /**
   * What was last read of the component's own nodes, with the time of each; nothing that is much older than it should
   * be. Reads them again when it is time to.
   */
  of(component: Component, now: Millis, read: ReadNodes): NodeObservation[] {
    const { name, capabilities } = component;
    const everyMs = Math.max(EVERY_MS, capabilities.lookEveryMs ?? 0);
    if (now - (this.begun.get(name) ?? Number.NEGATIVE_INFINITY) >= everyMs && !this.reading.has(name)) {
      this.begun.set(name, now);
      this.reading.set(
        name,
        this.readAll(component, read).then((seen) => {
          this.read.set(name, { at: now, seen });
          this.reading.delete(name);
        }),
      );
    }
    const last = this.read.get(name);
    return last === undefined || now - last.at > everyMs + LONGEST_MS ? [] : last.seen;
  }

  /** Waits for what is being read. */
  async end(): Promise<void> {
    await Promise.all(this.reading.values());
  }

  private async readAll({ sides }: Component, read: ReadNodes): Promise<NodeObservation[]> {
    const signal = within(LONGEST_MS, this.stop);
    const ats = Object.values(sides).flatMap(({ region, nodes }): At[] => {
      const own = nodes.filter(({ queue }) => this.queues.has(queue)).map(({ name }) => name);
      return own.length === 0 ? [] : [{ region, nodes: own }];
    });
    // What cannot be read says nothing, and what it said before is over.
    return (await Promise.all(ats.map((at) => read(at, signal).catch(() => [])))).flat();
  }
}
