/** Files that must survive a crash: written whole or not at all, on disk when the call returns. */
import { randomUUID } from 'node:crypto';
import { chown, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RampartError } from '../errors.ts';

export interface Owner {
  uid: number;
  gid: number;
}

/**
 * The user that PostgreSQL's tools must run as: the owner of the data directory when we are root, because they
 * refuse root; `undefined` = ourselves.
 */
export async function ownerOf(path: string): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = await stat(path);
  if (uid !== 0) return { uid, gid };
  throw new RampartError('PreconditionFailed', `${path} belongs to root, and PostgreSQL refuses to run as root`, {
    remedy: `Give the directory to the user that runs PostgreSQL: chown -R postgres: ${path}`,
  });
}

/** Writes the file atomically and durably. `owner` gets it, with the mode given. */
export async function writeDurably(
  path: string,
  text: string,
  options: { owner?: Owner; mode?: number } = {},
): Promise<void> {
  const draft = `${path}.${randomUUID().slice(0, 8)}.draft`;
  try {
    const handle = await open(draft, 'wx', options.mode ?? 0o600);
    try {
      await handle.writeFile(text);
      if (options.owner !== undefined) await handle.chown(options.owner.uid, options.owner.gid);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw translated(error, path);
  }
  await syncFolder(dirname(path));
}

/** Removes the file durably. @returns whether it was there */
export async function removeDurably(path: string): Promise<boolean> {
  try {
    await rm(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw translated(error, path);
  }
  await syncFolder(dirname(path));
  return true;
}

/** Makes creations, renames and removals in the folder survive a crash. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The file's text, `null` when there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Creates the folder, for `owner` when given. */
export async function makeFolder(path: string, owner?: Owner): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    if (owner !== undefined) await chown(path, owner.uid, owner.gid);
  } catch (error) {
    throw translated(error, path);
  }
}

/** What a failed file operation means. */
function translated(error: unknown, path: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new RampartError('AccessDenied', `${path} cannot be written: ${message}`, {
      remedy: 'Run the worker beside a database as the owner of its data directory, or as root.',
      cause: error,
    });
  }
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new RampartError('PreconditionFailed', `${path} cannot be written: no space is left`, {
      remedy: `Free a few kilobytes in ${dirname(path)}, then retry; \`rampart escape\` prints the commands for going on by hand.`,
      cause: error,
    });
  }
  return error;
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
