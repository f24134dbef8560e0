/** How far a repair of a node has come: on disk before each phase begins, so that the next attempt goes on from there. */
import { join } from 'node:path';
import type { Millis } from '../ports.ts';
import { exists, makeFolder, readIfThere, writeDurably } from './files.ts';
import { type LocalNode, stateDirOf } from './server.ts';

/**
 * `keep`: the old directory is being copied aside. `recover`: it is brought to a clean stop. `rewind`: pg_rewind is at
 * work; found again after a crash, the directory is unusable. `backup`: a base backup is being taken beside it.
 * `swap`: the new directory takes the old one's place. `configure`, `start`: settings of its own, then streaming.
 */
export type Phase = 'keep' | 'recover' | 'rewind' | 'backup' | 'swap' | 'configure' | 'start' | 'done';

export interface Repair {
  runId: string;
  at: Millis;
  how: 'rewind' | 'basebackup';
  phase: Phase;
  /** Where the old data is kept. */
  kept: string;
  /** Where the directory goes that another run has left half done; absent = it is thrown away, `kept` has all of it. */
  aside?: string;
  /** `primary_conninfo` of the node before the repair: its own role, TLS and name. */
  conninfo: string;
}

const fileOf = (node: LocalNode): string => join(stateDirOf(node), 'repair.json');

/** The repair on record; it holds a connection string and is readable for its owner alone. */
export async function readRepair(node: LocalNode): Promise<Repair | null> {
  const text = await readIfThere(fileOf(node));
  return text === null ? null : (JSON.parse(text) as Repair);
}

export async function saveRepair(node: LocalNode, repair: Repair): Promise<Repair> {
  await makeFolder(stateDirOf(node));
  await writeDurably(fileOf(node), `${JSON.stringify(repair, null, 2)}\n`);
  return repair;
}

export const newDirOf = (node: LocalNode): string => `${node.dataDir}.new`;

/** The list of what repairs have kept aside: only what is on it is ever deleted. */
const listOf = (node: LocalNode): string => join(stateDirOf(node), 'kept.json');

/** A place for a run's old directory that nothing has yet, noted before anything is put there. */
export async function chooseKeptDir(node: LocalNode, runId: string): Promise<string> {
  const base = `${node.dataDir}.before-${runId.replaceAll(/[^A-Za-z0-9._-]/g, '_').slice(0, 40)}`;
  let path = base;
  for (let n = 2; await exists(path); n++) path = `${base}-${n}`;
  await saveKept(node, [...(await listed(node)), path]);
  return path;
}

/** Old data kept aside, oldest first. */
export async function keptDirs(node: LocalNode): Promise<string[]> {
  const paths = await listed(node);
  const there = await Promise.all(paths.map(exists));
  return paths.filter((_, i) => there[i]);
}

export const forgetKept = (node: LocalNode): Promise<void> => saveKept(node, []);

async function listed(node: LocalNode): Promise<string[]> {
  const text = await readIfThere(listOf(node));
  return text === null ? [] : (JSON.parse(text) as string[]);
}

async function saveKept(node: LocalNode, paths: string[]): Promise<void> {
  await makeFolder(stateDirOf(node));
  await writeDurably(listOf(node), `${JSON.stringify(paths, null, 2)}\n`);
}
