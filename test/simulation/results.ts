/** What simulations showed, kept in git and read by docs/proof.md. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../../lab/paths.ts';
import { addTally, type Tally } from './play.ts';

/** What a simulation's outcome depends on: code that runs in it. */
const SOURCES = ['topology', 'plan', 'workflows', 'activities', 'evidence', 'test/simulation', 'test/judge'];

export interface Versions {
  node: string;
  temporalSdk: string;
  /** Digest of the sources that were simulated. */
  sources: string;
  date: string;
}

export interface SeedsFile {
  versions: Versions;
  /** First seed and number of seeds of every batch on these sources. */
  batches: Array<{ from: number; seeds: number; seconds: number }>;
  tally: Omit<Tally, 'failures'> & { failures: number };
}

export interface MutationResult {
  name: string;
  what: string;
  /** Seeds played until it was noticed; `null`: it was not. */
  seeds: number | null;
  rule: string | null;
  text: string;
}

export interface MutationsFile {
  versions: Versions;
  mutations: MutationResult[];
}

export interface Found {
  rule: string;
  found: string;
  what: string;
  cause: string;
  fix: string;
  test: string;
  date: string;
}

export const resultsFolder = (): string => join(repositoryRoot(), 'test/simulation/results');

export function readJson<T>(path: string): T | null {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T) : null;
}

function sourcesDigest(): string {
  const hash = createHash('sha256');
  const add = (path: string): void => {
    const entries = readdirSync(join(repositoryRoot(), path), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = join(path, entry.name);
      if (entry.isDirectory()) add(name);
      else if (/\.ts$/.test(name)) hash.update(name).update(readFileSync(join(repositoryRoot(), name)));
    }
  };
  for (const path of SOURCES) add(path);
  return hash.digest('hex').slice(0, 12);
}

export function versionsNow(): Versions {
  const { dependencies } = JSON.parse(readFileSync(join(repositoryRoot(), 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  return {
    node: process.version,
    temporalSdk: dependencies['@temporalio/workflow'] ?? 'unknown',
    sources: sourcesDigest(),
    date: new Date().toISOString().slice(0, 10),
  };
}

function write(name: string, content: object): void {
  mkdirSync(resultsFolder(), { recursive: true });
  writeFileSync(join(resultsFolder(), name), `${JSON.stringify(content, null, 2)}\n`);
}

/**
 * Adds a batch to those on the same sources; the first on other sources replaces them.
 * @param versions as they were when the batch began
 */
export function keepSeeds(versions: Versions, from: number, tally: Tally, seconds: number): void {
  const { failures, ...rest } = tally;
  const now = { ...rest, failures: new Set(failures.map(({ seed }) => seed)).size };
  const kept = readJson<SeedsFile>(join(resultsFolder(), 'seeds.json'));
  const batch = { from, seeds: tally.seeds, seconds: Math.round(seconds) };
  const same = kept?.versions.sources === versions.sources && !kept.batches.some((b) => b.from === from);
  if (!same || kept === null) {
    write('seeds.json', { versions, batches: [batch], tally: now });
    return;
  }
  const sum = addTally({ ...kept.tally, failures: [] }, { ...rest, failures: [] });
  const all = { ...sum, failures: kept.tally.failures + now.failures };
  write('seeds.json', { versions, batches: [...kept.batches, batch], tally: all });
}

export function keepMutations(versions: Versions, mutations: MutationResult[]): void {
  write('mutations.json', { versions, mutations });
}
