/**
 * Time, for everything that is generic over systems: activities and the waits they share. Real unless a simulation has
 * put another clock in its place, which must be the only one of its process.
 */
import { setTimeout as sleepFor } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since the epoch; may jump. */
  now(): number;
  /** Milliseconds since some moment; never jumps. */
  monotonic(): number;
  /** @throws AbortError as soon as the signal aborts */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Does something again and again. @returns what ends it */
  every(ms: number, action: () => void): () => void;
}

const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => sleepFor(ms, undefined, { signal }),
  every: (ms, action) => {
    const timer = setInterval(action, ms);
    return () => clearInterval(timer);
  },
};

let present = realClock;

/** The process's clock. */
export const clock: Clock = {
  now: () => present.now(),
  monotonic: () => present.monotonic(),
  sleep: (ms, signal) => present.sleep(ms, signal),
  every: (ms, action) => present.every(ms, action),
};

/** Puts another clock in the place of the real one, for the whole process; `null`: the real one again. */
export function useClock(other: Clock | null): void {
  present = other ?? realClock;
}
