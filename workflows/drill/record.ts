/** The record of a drill, from its beginning to the closed status of its workflow. */
import { ApplicationFailure, CancelledFailure, ChildWorkflowFailure } from '@temporalio/common';
import { workflowInfo } from '@temporalio/workflow';
import type { DrillRecord } from '../../evidence/record.ts';

type Asked = Pick<DrillRecord, 'service' | 'name' | 'kind' | 'to' | 'by' | 'reason'> & { nextDueAt?: number | null };

export function begin({ service, name, kind, to, by, reason, nextDueAt = null }: Asked): DrillRecord {
  const { workflowId, firstExecutionRunId: runId } = workflowInfo();
  const asked = { service, name, ...(kind === undefined ? {} : { kind }), from: null, to, by, reason };
  const empty = { endedAt: null, legs: [], dwell: null, verdict: null, text: '', reasons: [], assertions: [] };
  const due = nextDueAt === null ? {} : { nextDueAt };
  return { version: 1, workflowId, runId, ...asked, ...due, startedAt: Date.now(), ...empty };
}

export function close(record: DrillRecord, verdict: NonNullable<DrillRecord['verdict']>, text: string): void {
  record.verdict = verdict;
  record.text = text;
}

/** It does not begin, and nothing is wrong with that: whoever looks reads why. */
export function skip(record: DrillRecord, reasons: string[]): void {
  record.reasons.push(...reasons);
  close(record, 'skipped', `skipped: ${reasons.join('; ')}`);
}

/**
 * A drill that has not passed is a workflow that has failed: pipelines and lists see it without reading anything.
 * @returns the record of one that has passed, or was skipped for a reason
 */
export function ended(record: DrillRecord): DrillRecord {
  record.endedAt ??= Date.now();
  switch (record.verdict) {
    case 'passed':
    case 'skipped':
      return record;
    case 'withdrawn':
      throw new CancelledFailure(record.text, [record]);
    case 'refused':
      throw ApplicationFailure.nonRetryable(record.text, 'Refused', record);
    case 'escalated':
      throw ApplicationFailure.nonRetryable(record.text, 'Escalated', record);
    default:
      throw ApplicationFailure.nonRetryable(record.text, 'DrillFailed', record);
  }
}

/** The record with which a child has ended, from its failure; `null` when it left none (terminated, cancelled at once). */
export function recordIn(error: unknown): DrillRecord | null {
  const cause = error instanceof ChildWorkflowFailure ? error.cause : error;
  if (!(cause instanceof ApplicationFailure || cause instanceof CancelledFailure)) return null;
  const [record] = (cause.details ?? []) as unknown[];
  return typeof record === 'object' && record !== null && 'legs' in record ? (record as DrillRecord) : null;
}
