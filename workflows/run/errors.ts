/** How a run's flow is interrupted, and how failures are read. Thrown and caught inside the engine only. */
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildWorkflowFailure,
  TimeoutFailure,
} from '@temporalio/common';
import { isCancellation } from '@temporalio/workflow';
import type { Step } from '../../plan/model.ts';

export type InterruptKind = 'abort' | 'escalate' | 'withdraw' | 'freezeExpired';

export interface Interrupt {
  kind: InterruptKind;
  by: string;
  reason: string;
  to?: string;
  override?: string[];
}

/** A person's word or a deadline ended what was being done. */
export class Interrupted extends Error {
  readonly interrupt: Interrupt;
  constructor(interrupt: Interrupt) {
    super(`${interrupt.kind} by ${interrupt.by}: ${interrupt.reason}`);
    this.interrupt = interrupt;
  }
}

export interface Cause {
  type: string;
  message: string;
  /** How long a provider that throttles wants to be left alone, in milliseconds. */
  retryAfterMs?: number;
}

/** A step failed for good: Temporal's own retries are used up. */
export class StepFailed extends Error {
  readonly step: Step;
  readonly reason: Cause;
  constructor(step: Step, reason: Cause) {
    super(`${step.id}: ${reason.message}`);
    this.step = step;
    this.reason = reason;
  }
}

/** A gate ended without an approval. */
export class GateClosed extends Error {
  readonly how: 'rejected' | 'expired';
  readonly gate: string;
  constructor(gate: string, how: 'rejected' | 'expired', text: string) {
    super(text);
    this.gate = gate;
    this.how = how;
  }
}

/** A source that was given up unfenced answers again and is claimed: the plan is followed anew from its fence. */
export class SourceReturned extends Error {
  /** Index of the stage in the plan. */
  readonly from: number;
  constructor(from: number) {
    super('the source answers again');
    this.from = from;
  }
}

/** The run ends before anything was done, for a reason the requester can act on. */
export class RefusedRun extends Error {
  readonly type: string;
  constructor(type: string, text: string) {
    super(text);
    this.type = type;
  }
}

/** No worker took the attempt that failed: it cannot have acted, and cannot act later. */
export function neverStarted(error: unknown): boolean {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  return cause instanceof TimeoutFailure && cause.timeoutType === 'SCHEDULE_TO_START';
}

/** Reads any failure into its type and the sentence a person can act on. */
export function causeOf(error: unknown): Cause {
  if (isCancellation(error)) return { type: 'Cancelled', message: 'it was cancelled' };
  if (error instanceof ActivityFailure || error instanceof ChildWorkflowFailure) {
    return error.cause === undefined ? { type: 'Unknown', message: error.message } : causeOf(error.cause);
  }
  if (error instanceof TimeoutFailure) {
    if (error.timeoutType === 'SCHEDULE_TO_START')
      return { type: 'WorkerAbsent', message: 'no worker took it from its task queue in time' };
    if (error.timeoutType === 'HEARTBEAT')
      return { type: 'WorkerAbsent', message: 'the worker that ran it stopped reporting; it may still act' };
    // A time-out hides what the last attempt failed with; that is the sentence people need.
    const last = error.failure?.cause;
    if (last?.applicationFailureInfo && last.message)
      return { type: last.applicationFailureInfo.type ?? 'DeadlineExceeded', message: last.message };
    return { type: 'DeadlineExceeded', message: 'it did not finish within its deadline; it may still act' };
  }
  if (error instanceof ApplicationFailure) {
    const [said] = (error.details ?? []) as Array<{ retryAfterMs?: unknown } | null>;
    const retryAfterMs = said?.retryAfterMs;
    return {
      type: error.type ?? 'Unknown',
      message: error.message,
      ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
    };
  }
  if (error instanceof CancelledFailure) return { type: 'Cancelled', message: 'it was cancelled' };
  if (error instanceof Error) return { type: error.name, message: error.message };
  return { type: 'Unknown', message: String(error) };
}
