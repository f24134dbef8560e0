import { expect, test } from 'vitest';
import { inTurn } from '../../../drivers/aws/in-turn.ts';

test('who is called off while it waits is told at once; the next one still waits for the first', async () => {
  const log: string[] = [];
  let leave = (): void => undefined;
  const first = inTurn('orders', new AbortController().signal, async () => {
    log.push('first begins');
    await new Promise<void>((resolve) => {
      leave = resolve;
    });
    log.push('first ends');
  });
  const off = new AbortController();
  const second = inTurn('orders', off.signal, async () => void log.push('second'));
  off.abort(new Error('called off'));
  await expect(second).rejects.toThrow('called off');
  expect(log).toEqual(['first begins']);
  const third = inTurn('orders', new AbortController().signal, async () => void log.push('third'));
  leave();
  await Promise.all([first, third]);
  expect(log).toEqual(['first begins', 'first ends', 'third']);
}, 10_000);

test('a turn that fails is told to its caller alone, and passes on', async () => {
  const { signal } = new AbortController();
  const first = inTurn('payments', signal, () => Promise.reject(new Error('broken')));
  const second = inTurn('payments', signal, async () => 'done');
  await expect(first).rejects.toThrow('broken');
  expect(await second).toBe('done');
});
