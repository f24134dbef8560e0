/** Starting, stopping, killing and freezing a postmaster, by its data directory. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ownerOf } from './node.ts';

/** What `postmaster.pid` says. */
export interface Postmaster {
  pid: number;
  port: number;
  /** `starting`, `ready` (takes sessions, a hot standby read-only ones), `standby` (takes none), `stopping`. */
  status: string;
}

/** The postmaster of a data directory, or undefined when none runs there. */
export function readPostmaster(data: string): Postmaster | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return undefined;
  }
  const pid = Number(lines[0]);
  // A killed server leaves its file behind.
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined;
  return { pid, port: Number(lines[3] ?? 0), status: (lines[7] ?? '').trim() || 'starting' };
}

/**
 * Starts the server as the owner of its data directory, detached, and waits until it takes sessions.
 * Already running is fine.
 * @param options.deadlineMs milliseconds until it must take sessions, 20 s by default
 * @throws Error with the end of the server's log
 */
export async function startPostgres(options: { data: string; bin: string; deadlineMs?: number }): Promise<Postmaster> {
  const { data, bin } = options;
  const running = readPostmaster(data);
  if (running?.status === 'ready' || running?.status === 'standby') return running;
  const log = join(dirname(data), 'postgres.log');
  const descriptor = openSync(log, 'a');
  let ended: string | undefined;
  if (!running) {
    const child = spawn(join(bin, 'postgres'), ['-D', data], {
      ...ownerOf(data),
      cwd: '/',
      detached: true,
      stdio: ['ignore', descriptor, descriptor],
    });
    child.once('error', (error) => {
      ended = error.message;
    });
    child.once('exit', (code, signal) => {
      ended ??= `ended with ${code ?? signal}`;
    });
    child.unref();
  }
  closeSync(descriptor);
  const deadline = Date.now() + (options.deadlineMs ?? 90_000);
  for (;;) {
    const found = readPostmaster(data);
    if (found?.status === 'ready' || found?.status === 'standby') return found;
    if (ended) throw new Error(`PostgreSQL in ${data} did not start: ${ended}\n${tail(log)}`);
    if (Date.now() > deadline) throw new Error(`PostgreSQL in ${data} took too long to start\n${tail(log)}`);
    await sleep(3);
  }
}

const STOP_SIGNAL = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const;

/**
 * Stops the server and waits until its pid file is gone. Not running is fine.
 * @param mode as of `pg_ctl stop -m`
 */
export async function stopPostgres(
  data: string,
  mode: keyof typeof STOP_SIGNAL = 'fast',
  deadlineMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  const first = readPostmaster(data);
  if (!first) return;
  process.kill(first.pid, STOP_SIGNAL[mode]);
  while (readPostmaster(data)?.pid === first.pid) {
    if (Date.now() > deadline)
      throw new Error(`PostgreSQL in ${data} (pid ${first.pid}) did not stop within ${deadlineMs} ms`);
    await sleep(2);
  }
}

/** Kills the postmaster and all its backends with SIGKILL, as a host that loses power. Not running is fine. */
export async function killPostgres(data: string): Promise<void> {
  const postmaster = readPostmaster(data);
  if (!postmaster) return;
  // Stopped first, so that it starts no further backend while they are counted.
  process.kill(postmaster.pid, 'SIGSTOP');
  const family = [...childrenOf(postmaster.pid), postmaster.pid];
  for (const pid of family) signal(pid, 'SIGKILL');
  while (family.some(isAlive)) await sleep(2);
  // A child of this process is a zombie until the event loop has seen its end, and PostgreSQL takes a zombie's pid file
  // for that of a running server. Somebody else's children are reaped by them.
  for (let i = 0; i < 500 && exists(postmaster.pid); i += 1) await sleep(2);
  dropSharedMemory(data);
}

/**
 * The segment by which a server knows that its data directory is in use outlives a kill. One that is started again there
 * removes it; most of the lab's are not, and after some thousand the machine gives out no more (`kernel.shmmni`).
 */
function dropSharedMemory(data: string): void {
  try {
    const [, id] = (readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[6] ?? '').trim().split(/ +/);
    if (id !== undefined && /^\d+$/.test(id)) spawnSync('ipcrm', ['-m', id], { stdio: 'ignore' });
  } catch {
    // It left no file: then it has cleaned up itself.
  }
}

/** Stops (SIGSTOP) or continues (SIGCONT) the postmaster and its backends. */
export function freezePostgres(data: string, frozen: boolean): void {
  const postmaster = readPostmaster(data);
  if (!postmaster) return;
  const send = frozen ? 'SIGSTOP' : 'SIGCONT';
  signal(postmaster.pid, send);
  for (const pid of childrenOf(postmaster.pid)) signal(pid, send);
}

function childrenOf(pid: number): number[] {
  const listed = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  return listed.stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, parent]) => parent === pid)
    .map(([child]) => child as number);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended meanwhile, which is what a signal would have asked for or cannot matter any more.
  }
}

/** Whether the process exists, be it as a zombie. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Whether the process exists and is not a zombie that only waits for its parent. */
function isAlive(pid: number): boolean {
  if (!exists(pid)) return false;
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}

function tail(file: string): string {
  try {
    return readFileSync(file, 'utf8').split('\n').slice(-15).join('\n');
  } catch {
    return '';
  }
}
