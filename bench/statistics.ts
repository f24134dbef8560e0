/** Numbers of repeated runs, as a table for people and JSON for programs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '../lab/paths.ts';

export interface BenchOptions {
  /** Runs that count. */
  runs: number;
  /** Leave the peer out. */
  alone: boolean;
  say: (line: string) => void;
}

/** One measured quantity over all runs. */
export interface Measure {
  /** What was measured, e.g. `write gap`. */
  name: string;
  /** Who was measured: `Rampart`, `Patroni 3.0.2`, … */
  subject: string;
  unit: 'ms' | 's' | 'rows' | 'count' | 'MiB' | '% of a core';
  values: number[];
  /** What it should be, for a person: `median ≤ 200`. Never asserted. */
  aim?: string;
}

export interface Result {
  benchmark: string;
  /** One sentence: what a run does and how it is measured. */
  about: string;
  measures: Measure[];
  /** What a reader must know to judge the numbers. */
  notes: string[];
}

export interface Saved extends Result {
  at: string;
  machine: { cpu: string; cores: number; memoryGiB: number; system: string; node: string };
}

/** Smallest, middle and greatest value. @throws RangeError for no values */
export function spread(values: readonly number[]): { min: number; median: number; max: number } {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { min: sorted[0]!, median, max: sorted.at(-1)! };
}

/** Rows of a table: header first. */
export function rowsOf(measures: readonly Measure[]): string[][] {
  const header = ['what', 'who', 'unit', 'runs', 'min', 'median', 'max', 'aim'];
  const body = measures
    .filter(({ values }) => values.length > 0)
    .map(({ name, subject, unit, values, aim }) => {
      const { min, median, max } = spread(values);
      return [name, subject, unit, String(values.length), ...[min, median, max].map(shown), aim ?? ''];
    });
  return [header, ...body];
}

const shown = (value: number): string =>
  value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);

/** Aligned columns for a terminal. */
export function tableText(rows: readonly string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Where results are kept: one JSON file a benchmark; `docs/performance.md` is made from them. */
export const resultsFolder = (): string => join(repositoryRoot(), 'bench/results');

/** Writes a result with what it was measured on. @returns the file's path */
export function save(result: Result): string {
  const saved: Saved = {
    ...result,
    at: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      system: `${process.platform} ${release()}`,
      node: process.version,
    },
  };
  const folder = resultsFolder();
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${result.benchmark}.json`);
  writeFileSync(path, `${JSON.stringify(saved, null, 2)}\n`);
  return path;
}
