/**
 * Samples every store's positions and roles, with no Temporal call in its path: what the primary's last readings
 * were, kept outside its region, bounds the loss when it dies. Kept in memory and in a file of this worker's place.
 */
import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lastOfEach } from '../activities/readings.ts';
import type { DriverContext, NodeObservation, SampleReading, Store } from '../drivers/ports.ts';
import type { Component } from '../topology/model.ts';

/** Readings kept of each node in each role: a quarter of an hour at one a second. */
const KEEP = 900;
/** What is kept is cut to that when it has grown by this many readings. */
const CUT_AFTER = 300;
/** The file is rewritten with what is kept when it has grown by this many readings. */
const REWRITE_AFTER = 5_000;

export class Sampler {
  private readonly readings = new Map<string, SampleReading[]>();
  /** Readings of a component since what is kept of it was last cut. */
  private readonly grown = new Map<string, number>();
  private readonly appended = new Map<string, number>();
  private readonly dir: string;

  constructor(stateDir: string) {
    this.dir = join(stateDir, 'samples');
  }

  /** Readings of a component, oldest first. */
  of(component: string): SampleReading[] {
    return this.readings.get(component) ?? [];
  }

  /** Reads what an earlier process of this place has kept; a broken line (a crash while writing) is left out. */
  async load(components: Component[]): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    for (const component of components) {
      const text = await readFile(this.file(component.name), 'utf8').catch(() => '');
      const kept = text.split('\n').flatMap((line): SampleReading[] => {
        try {
          return line === '' ? [] : [JSON.parse(line) as SampleReading];
        } catch {
          return [];
        }
      });
      this.readings.set(component.name, lastOfEach(kept, KEEP));
    }
  }

  /** Takes one reading of every node. Never throws: what does not answer is a reading that says so. */
  async sample(component: Component, store: Store, context: Pick<DriverContext, 'log'>): Promise<NodeObservation[]> {
    const sides = await Promise.all(
      Object.keys(component.sides).map(async (region) => {
        try {
          return await store.sample({ region });
        } catch (error) {
          context.log.debug(`sampling ${component.name} in ${region} failed`, { error: String(error) });
          return [];
        }
      }),
    );
    const nodes = sides.flat();
    await this.keep(
      component.name,
      nodes.map(({ node, region, position, state, observedAt, sync }) => ({
        ...{ node, region, position, state, at: observedAt },
        // Only the source's setting tells what its acknowledgements were worth.
        ...(state === 'writable' && sync !== null ? { sync } : {}),
      })),
    );
    return nodes;
  }

  private async keep(component: string, readings: SampleReading[]): Promise<void> {
    // Readings without a position say nothing about loss.
    const useful = readings.filter((r) => r.position !== null);
    if (useful.length === 0) return;
    this.remember(component, useful);
    const appended = (this.appended.get(component) ?? 0) + useful.length;
    const file = this.file(component);
    if (appended < REWRITE_AFTER) {
      this.appended.set(component, appended);
      await appendFile(file, linesOf(useful));
      return;
    }
    this.appended.set(component, 0);
    await writeFile(`${file}.${process.pid}`, linesOf(this.of(component)));
    await rename(`${file}.${process.pid}`, file);
  }

  private remember(component: string, readings: SampleReading[]): void {
    const all = [...this.of(component), ...readings];
    const grown = (this.grown.get(component) ?? 0) + readings.length;
    this.grown.set(component, grown < CUT_AFTER ? grown : 0);
    this.readings.set(component, grown < CUT_AFTER ? all : lastOfEach(all, KEEP));
  }

  private file(component: string): string {
    // Two workers of a place share it: they append whole lines, and either one's readings serve.
    return join(this.dir, `${encodeURIComponent(component)}.jsonl`);
  }
}

const linesOf = (readings: SampleReading[]): string => readings.map((r) => `${JSON.stringify(r)}\n`).join('');
