/** A time-out must come, also when memory was cleaned up before it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { within } from '../../drivers/within.ts';
import { repositoryRoot } from '../../lab/paths.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('comes after a garbage collection, although nobody holds the signal', async () => {
  const { signal } = new AbortController();
  const ended = Array.from({ length: 50 }, () => {
    const limited = within(100, signal);
    return new Promise<unknown>((resolve) => {
      limited.addEventListener('abort', (event) => resolve((event.target as AbortSignal).reason), { once: true });
    });
  });
  collectGarbage();
  for (const reason of await Promise.all(ended)) expect(reason).toMatchObject({ name: 'TimeoutError' });
});

test('ends with the first signal, and is ended when one was before', async () => {
  const first = new AbortController();
  const limited = within(60_000, first.signal);
  first.abort(new Error('cancelled by a person'));
  expect(limited.reason).toMatchObject({ message: 'cancelled by a person' });
  expect(within(60_000, first.signal).aborted).toBe(true);
});

test('nobody combines signals with a time-out that nothing holds', () => {
  const folders = [
    'activities',
    'bench',
    'clients',
    'drivers',
    'evidence',
    'lab',
    'metrics',
    'plan',
    'topology',
    'workers',
  ];
  const sources = folders.flatMap((folder) =>
    (readdirSync(join(repositoryRoot(), folder), { recursive: true }) as string[])
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
  const wrong = sources.filter((name) => {
    const text = readFileSync(join(repositoryRoot(), name), 'utf8').replace(/^\s*(\/\/|\*).*$/gm, '');
    return /AbortSignal\.any\(/.test(text) && /AbortSignal\.timeout\(/.test(text);
  });
  expect(wrong).toEqual([]);
});
