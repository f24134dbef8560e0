/**
 * How many requests this process sends to one API: an account's limit is shared by everything in it, and a run that
 * eats it up takes it from the people who look at the same consoles.
 */
import { clock } from '../clock.ts';

export interface Budget {
  /** Requests a second, in the long run. */
  perSecond: number;
  /** How many may go at once after a pause. */
  burst: number;
}

/**
 * Published limits, less a part for others. Route 53: five requests a second for an account ("Amazon Route 53 API
 * requests", Developer Guide, DNSLimitations). The others publish none that is as low; theirs keeps one run polite.
 */
const BUDGETS: Record<string, Budget> = {
  'route-53': { perSecond: 4, burst: 8 },
  // Three changes a second per endpoint ("Quotas for routing control"), of which a switch makes one; reads are free.
  'route53-recovery-cluster': { perSecond: 100, burst: 300 },
};
const USUAL: Budget = { perSecond: 20, burst: 100 };

interface Bucket {
  tokens: number;
  at: number;
}

const buckets = new Map<string, Bucket>();

/**
 * Waits until a request may go.
 * @param place what shares the limit: region or endpoint
 * @param budget when it is not the service's own from the list above
 * @throws AbortError as soon as the signal aborts
 */
export async function spend(
  service: string,
  place: string,
  signal: AbortSignal,
  budget: Budget = BUDGETS[service] ?? USUAL,
): Promise<void> {
  const { perSecond, burst } = budget;
  const key = `${service} ${place}`;
  const now = clock.monotonic();
  const bucket = buckets.get(key) ?? { tokens: burst, at: now };
  buckets.set(key, bucket);
  bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) * perSecond) / 1000) - 1;
  bucket.at = now;
  // Below zero: as many are before this one as the number says.
  if (bucket.tokens < 0) await clock.sleep((-bucket.tokens * 1000) / perSecond, signal);
}
