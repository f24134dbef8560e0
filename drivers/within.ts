/** Time-outs that come, whoever has forgotten the signal meanwhile. */

/**
 * A signal that aborts with the first of `signals`, or after `ms` milliseconds with a `TimeoutError`.
 *
 * Not `AbortSignal.any([signal, AbortSignal.timeout(ms)])`: on Node 20 nothing holds that time-out, and after a garbage
 * collection it never comes (0 of 200 on 20.20.2; test/drivers/within.test.ts). Here its timer holds it.
 */
export function within(ms: number, ...signals: AbortSignal[]): AbortSignal {
  const over = new AbortController();
  const late = new DOMException('The operation was aborted due to timeout', 'TimeoutError');
  setTimeout(() => over.abort(late), ms).unref();
  return AbortSignal.any([...signals, over.signal]);
}
