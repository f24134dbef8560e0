/**
 * A lock between processes that share a disk, which a holder's death (kill -9 included) frees.
 *
 * A lock is a folder of numbered files. Holding it = having created the highest number; a number is created by
 * `link`, which only one can win, and the highest is never removed, so numbers only rise. A file ends its turn by
 * becoming empty or by its owner's death. Nothing is ever taken away from a living holder on the same machine.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { RampartError } from './errors.ts';
import { poll } from './poll.ts';

/** A holder on another machine cannot be asked; sections under the lock take milliseconds, this is far beyond. */
const FOREIGN_STALE_MS = 60_000;

interface Holder {
  host: string;
  /** Identifies the machine's present run: after a restart every earlier process is gone. */
  boot: string;
  pid: number;
  /** Start of the process, so that a reused pid is not taken for it; empty where the system does not tell. */
  start: string;
  /** Further process that goes on if the holder dies (a copy, a rewind): the lock waits for it as well. */
  child?: { pid: number; start: string };
  nonce: string;
}

export interface Lock {
  /** Lets the lock outlive this process for as long as `pid` lives. */
  extendTo(pid: number): Promise<void>;
}

/**
 * Runs `work` alone.
 * @param options.waitMs how long to wait for another holder, milliseconds
 * @throws Conflict when another holder keeps it for longer
 */
export async function withLock<T>(
  folder: string,
  options: { signal: AbortSignal; waitMs: number },
  work: (lock: Lock) => Promise<T>,
): Promise<T> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const me: Holder = {
    host: hostname(),
    boot: boot(),
    pid: process.pid,
    start: startOf(process.pid),
    nonce: randomUUID(),
  };
  const draft = join(folder, `draft.${me.nonce}`);
  let mine: string;
  try {
    await writeFile(draft, JSON.stringify(me), { mode: 0o600 });
    const number = await poll({ signal: options.signal, deadlineMs: options.waitMs, intervalMs: 2 }, () =>
      attempt(folder, draft),
    );
    if (number === undefined) throw await heldError(folder);
    mine = join(folder, String(number));
  } finally {
    await rm(draft, { force: true });
  }
  // What is written into the lock's file for a child must never come after it was emptied.
  let writing: Promise<void> = Promise.resolve();
  try {
    return await work({
      extendTo: (pid) => {
        writing = writing.then(async () => {
          // By rename: an empty file, however briefly, would be a lock let go.
          await writeFile(draft, JSON.stringify({ ...me, child: { pid, start: startOf(pid) } }), { mode: 0o600 });
          await rename(draft, mine);
        });
        return writing;
      },
    });
  } finally {
    await writing.catch(() => undefined);
    await truncate(mine).catch(() => undefined);
  }
}

/** The process that survived the last holder's death, if that holder died and its child lives. */
export async function orphanOf(folder: string): Promise<number | undefined> {
  const last = await highest(folder);
  if (last === 0) return undefined;
  const holder = await read(join(folder, String(last)));
  if (holder === undefined || holder.host !== hostname() || holder.boot !== boot() || lives(holder)) return undefined;
  return holder.child !== undefined && lives(holder.child) ? holder.child.pid : undefined;
}

async function attempt(folder: string, draft: string): Promise<number | undefined> {
  const last = await highest(folder);
  if (last > 0 && (await isHeld(join(folder, String(last))))) return undefined;
  const next = last + 1;
  try {
    await link(draft, join(folder, String(next)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  }
  // Somebody with a newer look may be further already and have removed what this look was based on.
  const present = await numbers(folder);
  if (Math.max(...present) > next) {
    await rm(join(folder, String(next)), { force: true });
    return undefined;
  }
  await Promise.all(present.filter((n) => n < next).map((n) => rm(join(folder, String(n)), { force: true })));
  return next;
}

async function numbers(folder: string): Promise<number[]> {
  return (await readdir(folder)).filter((name) => /^\d+$/.test(name)).map(Number);
}

async function highest(folder: string): Promise<number> {
  return Math.max(0, ...(await numbers(folder)));
}

async function isHeld(path: string): Promise<boolean> {
  // Nearly always it has been let go: one call tells.
  if ((await stat(path).catch(() => undefined))?.size === 0) return false;
  const holder = await read(path);
  if (holder === undefined) return false;
  if (holder.host !== hostname()) {
    const found = await stat(path).catch(() => undefined);
    return found !== undefined && Date.now() - found.mtimeMs < FOREIGN_STALE_MS;
  }
  if (holder.boot !== boot()) return false;
  return lives(holder) || (holder.child !== undefined && lives(holder.child));
}

async function read(path: string): Promise<Holder | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text === '' ? undefined : (JSON.parse(text) as Holder);
}

async function heldError(folder: string): Promise<RampartError> {
  const holder = await read(join(folder, String(await highest(folder))));
  const who = holder === undefined ? 'another process' : `process ${holder.child?.pid ?? holder.pid} on ${holder.host}`;
  return new RampartError('Conflict', `${who} is at work under ${folder}`, {
    remedy: 'Wait for it to end, or end that process, then retry.',
  });
}

function lives(process_: { pid: number; start: string }): boolean {
  try {
    process.kill(process_.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const present = startOf(process_.pid);
  if (present === 'gone') return false;
  return process_.start === '' || present === '' || present === process_.start;
}

function boot(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

/** Start time of a process in kernel ticks; `gone` for none or a zombie; empty where there is no /proc. */
export function startOf(pid: number): string {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? 'gone' : (fields[19] ?? '');
  } catch {
    return process.platform === 'linux' ? 'gone' : '';
  }
}
