import { orAborted } from './or-aborted.ts';

/** One after the other within this process, for what has no compare-and-set; others are kept out by the claim alone. */
const turns = new Map<string, Promise<unknown>>();

/**
 * @param key what is taken turns on: a resource, with its region and endpoint
 * @throws the signal's reason as soon as it aborts before the turn came, and whatever `work` throws
 */
export async function inTurn<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const before = turns.get(key) ?? Promise.resolve();
  const mine = before.then(() => {
    signal.throwIfAborted();
    return work();
  });
  // The next one comes after this one's end, whatever that is; this one's caller is told of it below.
  const settled = mine
    .catch(() => undefined)
    .then(() => {
      if (turns.get(key) === settled) turns.delete(key);
    });
  turns.set(key, settled);
  // Who is called off while it waits leaves; its turn passes unused when it comes.
  await orAborted(before, signal);
  return mine;
}
