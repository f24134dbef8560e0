/**
 * The lab's child processes. Every one is recorded in a file before anything else happens, so that whoever
 * is left (the supervisor, its reaper, or a later `lab down`) can end them all.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Identity } from './paths.ts';
import { killPostgres } from './postgres/server.ts';

/**
 * One line of the record: a process group by its leader, whose start time tells it from a later process with
 * the same id; or a data directory, whose postmaster may have been started by anybody.
 */
export type Recorded = { name: string; group: number; started: string } | { name: string; data: string };

export interface ProcessOptions {
  name: string;
  command: string;
  args: string[];
  env?: Record<string, string>;
  cwd?: string;
  identity?: Identity | undefined;
  /** File that gets the process's output, appended. */
  log: string;
  /** File of the record. */
  record: string;
}

/** Starts a process as the leader of its own group and records it. */
export function startProcess(options: ProcessOptions): ChildProcess {
  const descriptor = openSync(options.log, 'a');
  const child = spawn(options.command, options.args, {
    cwd: options.cwd ?? '/',
    env: { ...process.env, ...options.env },
    detached: true,
    stdio: ['ignore', descriptor, descriptor],
    ...options.identity,
  });
  closeSync(descriptor);
  if (child.pid !== undefined) recordGroup(options.record, options.name, child.pid);
  return child;
}

export function recordGroup(file: string, name: string, group: number): void {
  record(file, { name, group, started: startTimeOf(group) ?? '' });
}

/** Records that a postmaster may run on this data directory, now or later. */
export function recordPostgres(file: string, name: string, data: string): void {
  record(file, { name, data });
}

function record(file: string, entry: Recorded): void {
  appendFileSync(file, `${JSON.stringify(entry)}\n`);
}

export function readRecord(file: string): Recorded[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as Recorded];
    } catch {
      return []; // the last line of a process that died while it wrote
    }
  });
}

/**
 * Ends everything recorded in the file and waits until it is gone. Graceful first where that saves work;
 * nothing recorded survives.
 * @param graceMs milliseconds between SIGTERM and SIGKILL; 0 kills at once
 */
export async function endRecorded(file: string, graceMs: number): Promise<void> {
  const entries = readRecord(file);
  // A supervisor's own group is in its record for the tools it runs; it does not end itself.
  const groups = entries.filter((entry) => 'group' in entry).filter(({ group }) => group !== process.pid);
  if (graceMs > 0) {
    for (const entry of groups) if (groupLives(entry)) signalGroup(entry.group, 'SIGTERM');
    await until(() => !groups.some(groupLives), graceMs);
  }
  // Workers first: a live one could start a postmaster again.
  for (const entry of groups) if (groupLives(entry)) signalGroup(entry.group, 'SIGKILL');
  await until(() => !groups.some(groupLives), 5_000);
  for (const entry of entries) if ('data' in entry) await killPostgres(entry.data);
}

/** What of the record still runs, by name. */
export function survivors(file: string): string[] {
  return readRecord(file)
    .filter((entry) => 'group' in entry && groupLives(entry))
    .map((entry) => entry.name);
}

/** Sends a signal to a whole process group; a group that is gone is fine. */
export function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether the recorded group has a living member. */
export function groupLives(entry: { group: number; started: string }): boolean {
  const leader = startTimeOf(entry.group);
  // The kernel gives a group's id to no new process while the group exists: another start time means that
  // the group has gone and the id was used again.
  if (leader !== undefined && leader !== entry.started) return false;
  try {
    process.kill(-entry.group, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return leader !== undefined || !onlyZombies(entry.group);
}

/** When the process started, in the system's own words; undefined when it is gone or a zombie. */
export function startTimeOf(pid: number): string | undefined {
  if (process.platform === 'linux') {
    try {
      // Fields after the command in parentheses, which may itself hold spaces and parentheses.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' ? undefined : fields[19];
    } catch {
      return undefined;
    }
  }
  const listed = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
  return listed === '' ? undefined : listed;
}

function onlyZombies(group: number): boolean {
  const listed = spawnSync('ps', ['-A', '-o', 'pgid=,stat='], { encoding: 'utf8' }).stdout.split('\n');
  const members = listed.map((line) => line.trim().split(/\s+/)).filter(([id]) => Number(id) === group);
  return members.every(([, state]) => state?.startsWith('Z'));
}

async function until(done: () => boolean, deadlineMs: number): Promise<boolean> {
  const deadline = Date.now() + deadlineMs;
  while (!done()) {
    if (Date.now() > deadline) return false;
    await sleep(10);
  }
  return true;
}
