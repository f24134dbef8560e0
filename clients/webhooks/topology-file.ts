/** The topology as its file says now. A file that is being edited and is wrong for a moment takes nothing away. */
import { stat } from 'node:fs/promises';
import type { DriverLog } from '../../drivers/ports.ts';
import type { Topology } from '../../topology/model.ts';
import type { ParseResult } from '../../topology/parse.ts';
import { formatProblems } from '../../topology/problem.ts';

/** The file is looked at no more often than this, in milliseconds. */
const LOOK_EVERY_MS = 2_000;

export interface TopologyFileOptions {
  path: string;
  /** Reads and checks the file. */
  load(path: string): Promise<ParseResult>;
  log: Pick<DriverLog, 'info' | 'warn'>;
  /** Milliseconds since the epoch. */
  now(): number;
}

export class TopologyFile {
  readonly #options: TopologyFileOptions;
  #last: Topology | null = null;
  /** Of the file that was read last; `null`: there was none. */
  #version: string | null | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | null = null;

  constructor(options: TopologyFileOptions) {
    this.#options = options;
  }

  /** The last valid one. @throws Error with every problem of the file, when there has been none */
  async current(): Promise<Topology> {
    if (this.#options.now() - this.#lookedAt >= LOOK_EVERY_MS) {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = null;
        this.#lookedAt = this.#options.now();
      });
    }
    // Whoever comes while it is read waits for it: the message may be for a source that is new.
    await this.#looking;
    if (this.#last === null) throw new Error('there is no valid topology');
    return this.#last;
  }

  async #look(): Promise<void> {
    const { path, load, log } = this.#options;
    const version = await versionOf(path);
    if (version === this.#version && this.#last !== null) return;
    const { topology, problems } = await load(path);
    this.#version = version;
    if (topology !== undefined) {
      if (this.#last !== null) log.info('the topology has changed', { sources: Object.keys(topology.alertSources) });
      this.#last = topology;
      return;
    }
    const errors = formatProblems(problems.filter(({ severity }) => severity === 'error'));
    if (this.#last === null) throw new Error(errors);
    log.warn('the topology is not valid: what it said before counts', { problems: errors });
  }
}

/** Changes whenever the file does; `null`: it is not there. */
async function versionOf(path: string): Promise<string | null> {
  try {
    const { mtimeMs, size, ino } = await stat(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    return null;
  }
}
