/**
 * How many requests this process sends to one API: an account's limit is shared by everything in it, and a run that
 * eats it up takes it from the people who look at the same consoles.
 */
import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext } from '../ports.ts';

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

/** Longest wait of who only watches, in milliseconds: a reading that comes later says nothing. */
const WATCHER_WAIT_MS = 10_000;

/**
 * Waits until a request may go. Who only watches (`context.watching`) leaves half of the burst to runs, and waits behind
 * all of theirs.
 * @param place what shares the limit: region or endpoint
 * @param budget when it is not the service's own from the list above
 * @throws AbortError as soon as the signal aborts; ProviderUnavailable when there is nothing left for a watcher
 */
export async function spend(
  service: string,
  place: string,
  context: Pick<DriverContext, 'signal' | 'watching'>,
  budget: Budget = BUDGETS[service] ?? USUAL,
): Promise<void> {
  const bucket = bucketOf(`${service} ${place}`, budget);
  if (context.watching) await leaveToRuns(service, bucket, budget, context.signal);
  refill(bucket, budget);
  bucket.tokens -= 1;
  // Below zero: as many are before this one as the number says.
  if (bucket.tokens < 0) await clock.sleep((-bucket.tokens * 1000) / budget.perSecond, context.signal);
}

async function leaveToRuns(service: string, bucket: Bucket, budget: Budget, signal: AbortSignal): Promise<void> {
  const { perSecond, burst } = budget;
  const until = clock.monotonic() + WATCHER_WAIT_MS;
  for (;;) {
    refill(bucket, budget);
    const missing = Math.ceil(burst / 2) + 1 - bucket.tokens;
    if (missing <= 0) return;
    const wait = (missing * 1000) / perSecond;
    if (clock.monotonic() + wait > until)
      throw new RampartError('ProviderUnavailable', `${service} was not asked: its request budget is used up`, {
        remedy: 'Runs go first; watching goes on by itself when they have what they need.',
        details: { retryAfterMs: Math.ceil(wait), notApplied: true },
      });
    await clock.sleep(wait, signal);
  }
}

function bucketOf(key: string, { burst }: Budget): Bucket {
  const bucket = buckets.get(key) ?? { tokens: burst, at: clock.monotonic() };
  buckets.set(key, bucket);
  return bucket;
}

function refill(bucket: Bucket, { perSecond, burst }: Budget): void {
  const now = clock.monotonic();
  bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) * perSecond) / 1000);
  bucket.at = now;
}
