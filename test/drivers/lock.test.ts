import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { orphanOf, startOf, withLock } from '../../drivers/lock.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rampart-lock-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lock = <T>(work: () => Promise<T>, waitMs = 10_000): Promise<T> =>
  withLock(join(folder, 'lock'), { signal: new AbortController().signal, waitMs }, work);

test('many at once: never two inside, everybody gets a turn', async () => {
  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 25 }, () =>
      lock(async () => {
        most = Math.max(most, ++inside);
        await new Promise((resolve) => setImmediate(resolve));
        inside--;
      }),
    ),
  );
  expect(most).toBe(1);
  expect(readdirSync(join(folder, 'lock')).filter((name) => name.startsWith('draft'))).toEqual([]);
});

test('a holder that lives is waited for, then the wait ends as a conflict', async () => {
  await lock(async () => {
    await expect(lock(async () => 'in', 50)).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining(String(process.pid)),
    });
  });
  expect(await lock(async () => 'in')).toBe('in');
});

test('what fails inside frees the lock', async () => {
  await expect(lock(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await lock(async () => 'in', 100)).toBe('in');
});

test('a killed holder frees it; a child that outlives the holder keeps it', async () => {
  const dead = spawn('sleep', ['100']);
  const child = spawn('sleep', ['100']);
  await Promise.all([once(dead, 'spawn'), once(child, 'spawn')]);
  const start = (pid: number) => ({ pid, start: startOf(pid) });
  await lock(async () => 'in');
  const { hostname } = await import('node:os');
  const { readFileSync } = await import('node:fs');
  const boot = process.platform === 'linux' ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() : '';
  writeFileSync(
    join(folder, 'lock', '7'),
    JSON.stringify({ host: hostname(), boot, ...start(dead.pid!), child: start(child.pid!), nonce: 'n' }),
  );
  await expect(lock(async () => 'in', 30)).rejects.toMatchObject({ type: 'Conflict' });
  expect(await orphanOf(join(folder, 'lock'))).toBeUndefined();
  dead.kill('SIGKILL');
  await once(dead, 'exit');
  await expect(lock(async () => 'in', 30)).rejects.toMatchObject({ type: 'Conflict' });
  expect(await orphanOf(join(folder, 'lock'))).toBe(child.pid);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await lock(async () => 'in', 30)).toBe('in');
});

test('a child that is announced while the work fails does not keep the lock', async () => {
  for (let i = 0; i < 20; i++) {
    const failing = withLock(
      join(folder, 'lock'),
      { signal: new AbortController().signal, waitMs: 1_000 },
      async (held) => {
        void held.extendTo(process.pid);
        throw new Error('cut off');
      },
    );
    await expect(failing).rejects.toThrow('cut off');
  }
  expect(await lock(async () => 'in', 1_000)).toBe('in');
});
