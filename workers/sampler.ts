/**
 * Samples every store's positions and roles, with no Temporal call in its path: what the primary's last readings
 * were, kept outside its region, bounds the loss when it dies. Kept in memory and in a file of this worker's place.
 */
import { appendFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DriverContext, DriverLog, NodeObservation, SampleReading, Store } from '../drivers/ports.ts';
import { lastOfEach } from '../plan/readings.ts';
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
  /** Components whose file cannot be written now. */
  private readonly unwritten = new Set<string>();
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
    // Readings without a position say nothing about loss.
    const useful = nodes
      .filter(({ position }) => position !== null)
      .map(({ node, region, position, state, observedAt, sync }) => ({
        ...{ node, region, position, state, at: observedAt },
        // Only the source's setting tells what its acknowledgements were worth.
        ...(state === 'writable' && sync !== null ? { sync } : {}),
      }));
    if (useful.length === 0) return nodes;
    this.remember(component.name, useful);
    await this.keep(component.name, useful, context.log);
    return nodes;
  }

  /** On disk, for the next process of this place. What the disk does not take is in memory all the same. */
  private async keep(component: string, readings: SampleReading[], log: DriverLog): Promise<void> {
    const failing = this.unwritten.has(component);
    try {
      if (failing || !this.appended.has(component)) await mkdir(this.dir, { recursive: true });
      await this.write(component, readings, failing);
      this.unwritten.delete(component);
      if (failing) log.info(`readings of ${component} are kept on disk again`);
    } catch (error) {
      this.unwritten.add(component);
      if (failing) return;
      log.warn(`readings of ${component} are kept in memory only: a restart of this worker loses them`, {
        error: String(error),
      });
    }
  }

  private async write(component: string, readings: SampleReading[], afterFailure: boolean): Promise<void> {
    const appended = (this.appended.get(component) ?? 0) + readings.length;
    const file = this.file(component);
    this.appended.set(component, appended < REWRITE_AFTER ? appended : 0);
    if (appended < REWRITE_AFTER) {
      // A disk that filled up has taken half a line.
      await appendFile(file, `${afterFailure ? '\n' : ''}${linesOf(readings)}`);
      return;
    }
    const whole = `${file}.${process.pid}`;
    try {
      await writeFile(whole, linesOf(this.of(component)));
      await rename(whole, file);
    } catch (error) {
      await rm(whole, { force: true }).catch(() => undefined);
      throw error;
    }
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
