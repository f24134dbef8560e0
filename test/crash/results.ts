/** Results on disk: one file per action, one line per cell, kept in git and read by docs/proof.md. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from '../../lab/parts/lock.ts';
import { repositoryRoot } from '../../lab/paths.ts';
import type { CellResult } from './cell.ts';

export interface KeptCell extends CellResult {
  /** Digest of the sources it ran on. */
  sources: string;
}

export interface ResultFile {
  about: string;
  /** Of the last run that added to it. */
  versions: Record<string, string>;
  settings: object;
  cells: KeptCell[];
}

/** Folders whose change makes a result old. */
const SOURCES = ['topology', 'plan', 'workflows', 'activities', 'drivers', 'workers', 'lab'];
/** Drivers of systems that no cell drives. */
const ELSEWHERE = [
  ...['arc-routing-control', 'asg', 'aurora', 'aws', 'cloudflare', 'cloudwatch', 'ecs', 'global-accelerator', 'rds'],
  'route53',
].map((name) => join('drivers', name));

const folder = (): string => join(repositoryRoot(), 'test/crash/results');
const fileOf = (action: string): string => join(folder(), `${action}.json`);

/** @returns what is kept of an action; empty when there is nothing yet */
export function readResults(action: string): KeptCell[] {
  const file = fileOf(action);
  if (!existsSync(file)) return [];
  return (JSON.parse(readFileSync(file, 'utf8')) as ResultFile).cells;
}

/**
 * Replaces results of an action, and writes the file anew: a matrix that is cut off has lost nothing, and two that run
 * side by side lose nothing of each other's.
 */
export async function keepResults(
  action: string,
  fresh: readonly KeptCell[],
  about: string,
  versions: Record<string, string>,
  settings: object,
): Promise<void> {
  mkdirSync(folder(), { recursive: true });
  await withLock(`${fileOf(action)}.lock`, () => {
    const others = readResults(action).filter(({ id }) => !fresh.some((cell) => cell.id === id));
    write(action, { about, versions, settings, cells: [...others, ...fresh] });
  });
}

/**
 * Drops the results of cells that an action no longer has: of steps with another name, say. They count for nothing.
 * @param ids - of every cell that the action has
 */
export async function keepOnly(action: string, ids: readonly string[]): Promise<void> {
  if (!existsSync(fileOf(action))) return;
  await withLock(`${fileOf(action)}.lock`, () => {
    const file = JSON.parse(readFileSync(fileOf(action), 'utf8')) as ResultFile;
    const cells = file.cells.filter(({ id }) => ids.includes(id));
    if (cells.length < file.cells.length) write(action, { ...file, cells });
  });
}

function write(action: string, { cells, ...about }: ResultFile): void {
  const file = fileOf(action);
  const beside = `${file}.${process.pid}`;
  const head = JSON.stringify(about, null, 1).replace(/\n}$/, '');
  const lines = cells.sort((a, b) => (a.id < b.id ? -1 : 1)).map((one) => `  ${JSON.stringify(one)}`);
  writeFileSync(beside, `${head},\n "cells": [\n${lines.join(',\n')}\n ]\n}\n`);
  renameSync(beside, file);
}

/** Digest of everything a cell's outcome depends on. */
export function sourcesDigest(): string {
  const root = repositoryRoot();
  const hash = createHash('sha256');
  const add = (path: string): void => {
    for (const entry of readdirSync(join(root, path), { withFileTypes: true }).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    )) {
      const name = join(path, entry.name);
      if (ELSEWHERE.includes(name)) continue;
      if (entry.isDirectory()) add(name);
      else if (/\.(ts|json)$/.test(entry.name)) hash.update(name).update(readFileSync(join(root, name)));
    }
  };
  for (const path of SOURCES) add(path);
  return hash.digest('hex').slice(0, 12);
}

export function commit(): string {
  const asked = spawnSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: repositoryRoot(), encoding: 'utf8' });
  return asked.status === 0 ? asked.stdout.trim() : 'unknown';
}
