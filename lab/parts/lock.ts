import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { repositoryRoot } from '../paths.ts';

type WithLock = <T>(path: string, work: () => T | Promise<T>) => Promise<T>;

/**
 * Runs `work` while holding a lock between processes. The lock itself is plain JavaScript, because the
 * build needs it before anything is built.
 * @param path directory that stands for the lock
 */
export const withLock: WithLock = async (path, work) => {
  const file = pathToFileURL(join(repositoryRoot(), 'scripts/lock.mjs')).href;
  const lock = (await import(file)) as { withLock: WithLock };
  return lock.withLock(path, work);
};
