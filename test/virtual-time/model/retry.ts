/** When a failed attempt is tried again: the server's rules (and core's, for local activities). */
import { durationMs, type Failure } from '../sdk.ts';
import { RETRY_STATE, type RetryState, TIMEOUT } from './failures.ts';

export interface RetryPolicy {
  initialMs: number;
  coefficient: number;
  maximumMs: number;
  /** 0 = without limit. */
  maximumAttempts: number;
  nonRetryableErrorTypes: string[];
}

interface PolicyMessage {
  initialInterval?: Parameters<typeof durationMs>[0];
  backoffCoefficient?: number | null;
  maximumInterval?: Parameters<typeof durationMs>[0];
  maximumAttempts?: number | null;
  nonRetryableErrorTypes?: string[] | null;
}

export function retryPolicy(message: PolicyMessage | null | undefined): RetryPolicy {
  const initialMs = durationMs(message?.initialInterval) ?? 1000;
  return {
    initialMs,
    coefficient: message?.backoffCoefficient || 2,
    maximumMs: durationMs(message?.maximumInterval) ?? 100 * initialMs,
    maximumAttempts: message?.maximumAttempts ?? 0,
    nonRetryableErrorTypes: message?.nonRetryableErrorTypes ?? [],
  };
}

/**
 * @param attempt the one that failed, from 1
 * @param expiresAt when the schedule-to-close limit ends, in the clock's milliseconds; `null` = no limit
 * @returns the delay in milliseconds, or why there is no further attempt
 */
export function nextAttempt(
  policy: RetryPolicy,
  failure: Failure,
  attempt: number,
  now: number,
  expiresAt: number | null,
): { delayMs: number } | { refused: RetryState } {
  const limit = failure.timeoutFailureInfo?.timeoutType;
  if (limit === TIMEOUT.scheduleToStart.type || limit === TIMEOUT.scheduleToClose.type) {
    return { refused: RETRY_STATE.timeout };
  }
  if (!retryable(policy, failure)) return { refused: RETRY_STATE.nonRetryable };
  if (policy.maximumAttempts > 0 && attempt >= policy.maximumAttempts) return { refused: RETRY_STATE.maximumAttempts };
  const asked = durationMs(failure.applicationFailureInfo?.nextRetryDelay);
  const grown = policy.initialMs * policy.coefficient ** (attempt - 1);
  const delayMs = asked ?? Math.min(grown, policy.maximumMs);
  if (expiresAt !== null && now + delayMs > expiresAt) return { refused: RETRY_STATE.timeout };
  return { delayMs };
}

function retryable(policy: RetryPolicy, failure: Failure): boolean {
  const listed = (type: string): boolean => policy.nonRetryableErrorTypes.includes(type);
  if (failure.canceledFailureInfo || failure.terminatedFailureInfo) return false;
  if (failure.timeoutFailureInfo) {
    const type = failure.timeoutFailureInfo.timeoutType;
    const again = [TIMEOUT.startToClose, TIMEOUT.heartbeat].find((kind) => kind.type === type);
    return again !== undefined && !listed(`TemporalTimeout:${again.name}`);
  }
  if (failure.serverFailureInfo) return !failure.serverFailureInfo.nonRetryable;
  const info = failure.applicationFailureInfo;
  return !info?.nonRetryable && !listed(info?.type ?? '');
}
