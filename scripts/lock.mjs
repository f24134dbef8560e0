// A lock between processes: a directory whose creation is atomic, with the holder's pid inside. The
// launcher (POSIX sh) uses the same protocol, so both can guard the same thing.
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Runs `work` while holding the lock at `path`. A lock whose holder is gone is taken over.
 * @template T
 * @param {string} path directory that stands for the lock
 * @param {() => T | Promise<T>} work
 * @param {{ onWait?: (pid: number) => void }} [options] `onWait` is called once when somebody else holds it
 * @returns {Promise<T>}
 */
export async function withLock(path, work, options = {}) {
  mkdirSync(dirname(path), { recursive: true });
  for (let waited = false; !tryAcquire(path); ) {
    const holder = holderOf(path);
    if (holder === 'gone') {
      removeStale(path);
      continue;
    }
    if (!waited && typeof holder === 'number') {
      options.onWait?.(holder);
      waited = true;
    }
    await sleep(50);
  }
  const release = () => rmSync(path, { recursive: true, force: true });
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.removeListener('exit', release);
    release();
  }
}

function tryAcquire(path) {
  try {
    mkdirSync(path);
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
  writeFileSync(join(path, 'pid'), String(process.pid));
  return true;
}

/** The holder's pid, `gone` when it no longer lives, `starting` between its mkdir and its pid. */
function holderOf(path) {
  let pid;
  try {
    pid = Number(readFileSync(join(path, 'pid'), 'utf8'));
  } catch {
    // No pid yet: the holder is between two system calls, or died there.
    return age(path) > 5_000 ? 'gone' : 'starting';
  }
  if (!Number.isInteger(pid) || pid <= 0) return age(path) > 5_000 ? 'gone' : 'starting';
  try {
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    return error.code === 'EPERM' ? pid : 'gone';
  }
}

function age(path) {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

/** Moves the dead lock aside first: of two waiters only one can rename it, so none removes a fresh one. */
function removeStale(path) {
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  rmSync(aside, { recursive: true, force: true });
}
