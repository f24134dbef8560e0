/**
 * Changes a file that another process watches: whole or not at all, one writer at a time, also between processes.
 * Drafts and locks live in the folder `.rampart` beside it: on the same file system, so that the rename is atomic,
 * and outside what the watcher reads.
 */
import { randomUUID } from 'node:crypto';
import {
  access,
  chmod,
  chown,
  constants,
  link,
  mkdir,
  open,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';

/** A lock is held for milliseconds; one this old belongs to a process that died or was stopped. */
const STALE_LOCK_MS = 10_000;

/**
 * Reads the file under its lock and writes what `change` makes of it.
 * @param change gets the text, `null` when there is no file; returns the new text, or `null` to leave it
 * @returns whether it wrote
 * @throws ProviderUnavailable when somebody else keeps the lock; AccessDenied without the right to write
 */
export async function changeFile(
  path: string,
  signal: AbortSignal,
  change: (text: string | null) => string | null,
): Promise<boolean> {
  try {
    const target = await realpath(path).catch(() => path);
    const folder = join(dirname(target), '.rampart');
    await mkdir(folder, { recursive: true });
    const lock = join(folder, `${basename(target)}.lock`);
    const owner = JSON.stringify({ host: hostname(), pid: process.pid, nonce: randomUUID() });
    await acquire(lock, owner, signal);
    try {
      const text = change(await readIfThere(target));
      if (text === null) return false;
      const draft = join(folder, `${basename(target)}.draft`);
      await writeDraft(draft, text, target);
      // A process that was stopped for long may wake here after another one took the lock over.
      if ((await readIfThere(lock)) !== owner) {
        throw new RampartError('Conflict', `the lock on ${path} was lost before the write`, { remedy: 'Retry.' });
      }
      await rename(draft, target);
      await syncFolder(dirname(target));
      return true;
    } finally {
      if ((await readIfThere(lock)) === owner) await unlink(lock);
    }
  } catch (error) {
    throw translated(error, path);
  }
}

/**
 * Whether this text could be written, as far as that can be told without leaving anything behind.
 * @throws what `changeFile` would
 */
export async function tryChange(path: string, text: string): Promise<void> {
  try {
    const target = await realpath(path).catch(() => path);
    // Here the rename writes, and here the folder for drafts is made; only the real right counts, which a mount can take.
    await access(dirname(target), constants.R_OK | constants.W_OK | constants.X_OK);
    const trial = join(dirname(target), '.rampart', `${basename(target)}.trial`);
    try {
      await writeFile(trial, text);
    } catch (error) {
      // Nothing has been written here yet: the folder for drafts is made with the first change.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    } finally {
      await rm(trial, { force: true }).catch(() => undefined);
    }
  } catch (error) {
    throw translated(error, path);
  }
}

/** The file's text, or `null` when there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw translated(error, path);
  }
}

async function writeDraft(draft: string, text: string, target: string): Promise<void> {
  const handle = await open(draft, 'w', 0o644);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  const present = await stat(target).catch(() => undefined);
  if (present === undefined) return;
  await chmod(draft, present.mode & 0o7777);
  // Only root may give a file away; without the right the writer owns it, as with any editor.
  await chown(draft, present.uid, present.gid).catch(() => undefined);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function acquire(lock: string, owner: string, signal: AbortSignal): Promise<void> {
  const got = await poll({ signal, deadlineMs: STALE_LOCK_MS + 2_000, intervalMs: 2 }, async () => {
    try {
      await writeFile(lock, owner, { flag: 'wx' });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    await removeStale(lock);
    return undefined;
  });
  if (got) return;
  throw new RampartError('ProviderUnavailable', `another process keeps the lock ${lock}`, {
    remedy: `Retry; if nothing else of Rampart runs, remove ${lock}.`,
  });
}

async function removeStale(lock: string): Promise<void> {
  const holder = await readIfThere(lock);
  if (holder === null || !(await isStale(lock, holder))) return;
  // Move it away and look again: between the look and the move somebody else may have taken the lock over.
  const aside = `${lock}.${randomUUID()}`;
  try {
    await rename(lock, aside);
  } catch {
    return;
  }
  if ((await readIfThere(aside)) !== holder) await link(aside, lock).catch(() => undefined);
  await unlink(aside).catch(() => undefined);
}

async function isStale(lock: string, holder: string): Promise<boolean> {
  const found = await stat(lock).catch(() => undefined);
  if (found === undefined) return false;
  if (Date.now() - found.mtimeMs > STALE_LOCK_MS) return true;
  try {
    const { host, pid } = JSON.parse(holder) as { host: string; pid: number };
    if (host !== hostname()) return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function translated(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    const remedy = `Give the worker's user the right to write in ${dirname(path)}.`;
    return new RampartError('AccessDenied', `${path} cannot be changed: ${(error as Error).message}`, {
      remedy,
      cause: error,
    });
  }
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENOSPC') {
    const remedy = `See that ${dirname(path)} is there and has room; this step must run where Traefik's files are.`;
    return new RampartError('PreconditionFailed', `${path}: ${(error as Error).message}`, { remedy, cause: error });
  }
  return error;
}
