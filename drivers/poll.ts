import { clock } from './clock.ts';

export interface Polling {
  signal: AbortSignal;
  /** How long to go on, in milliseconds from now (monotonic clock). */
  deadlineMs: number;
  /** Pause after the first look, in milliseconds. */
  intervalMs: number;
  /** When given, pauses grow by half each time up to this, in milliseconds: for waits that may be long. */
  maxIntervalMs?: number;
}

/**
 * Looks again and again until `look` gives something other than `undefined`. The first look is at once, the last
 * one after the deadline, so that a slow look is never the reason for giving up.
 * @returns what `look` gave, or `undefined` when the deadline passed
 * @throws the signal's reason when aborted, and whatever `look` throws
 */
export async function poll<T>(polling: Polling, look: () => Promise<T | undefined>): Promise<T | undefined> {
  const end = clock.monotonic() + polling.deadlineMs;
  let pause = polling.intervalMs;
  for (;;) {
    polling.signal.throwIfAborted();
    const last = clock.monotonic() >= end;
    const found = await look();
    if (found !== undefined) return found;
    if (last) return undefined;
    // The signal is looked at above, so that its own reason is thrown and not the timer's AbortError.
    await clock.sleep(pause, polling.signal).catch(() => undefined);
    pause = Math.min(pause * 1.5, polling.maxIntervalMs ?? pause);
  }
}
