/** Waits for a promise, but no longer than a signal allows. */

/**
 * The promise's outcome, or a rejection with the signal's reason as soon as it is aborted, whether what is waited for
 * honours the signal or not.
 */
export function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
