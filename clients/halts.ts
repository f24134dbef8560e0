/** A halt as clients see it: found, started, ended, read. */
import { WorkflowExecutionAlreadyStartedError, WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { HaltRecord } from '../evidence/halt-record.ts';
import { CONTROL_QUEUE } from '../workflows/contract.ts';
import { inTime } from './ask.ts';
import type { Temporal } from './connection.ts';
import { findRun, queryHalt, type RunRef } from './runs.ts';

/** The halt that is open under this workflow ID; `null` when none is. */
export async function findOpenHalt(temporal: Temporal, workflowId: string): Promise<RunRef | null> {
  const found = await findRun(temporal, workflowId);
  return found === null || found.closedAt !== null ? null : found;
}

/** @returns the halt, and whether it was open already: then nothing was started */
export async function startHalt(
  temporal: Temporal,
  workflowId: string,
  input: { service: string; by: string; reason: string; replication: boolean },
): Promise<{ run: RunRef; already: boolean }> {
  try {
    const handle = await inTime(temporal, () =>
      temporal.client.workflow.start('halt', {
        workflowId,
        taskQueue: CONTROL_QUEUE,
        args: [input],
        staticSummary: `halt ${input.service}: ${input.reason}`.slice(0, 190),
        workflowIdConflictPolicy: 'FAIL',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      }),
    );
    const runId = handle.firstExecutionRunId;
    return {
      run: { workflowId, runId, type: 'halt', status: 'RUNNING', startedAt: Date.now(), closedAt: null },
      already: false,
    };
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const run = await findRun(temporal, workflowId);
    if (run === null) throw error;
    return { run, already: true };
  }
}

/**
 * The record of a halt, open or over.
 * @throws NoWorker when it is open and nobody answers; Error with its own words when it was refused
 */
export async function haltRecord(temporal: Temporal, run: RunRef): Promise<HaltRecord | null> {
  const now = await findRun(temporal, run.workflowId);
  if (now === null) return null;
  if (now.closedAt === null) return queryHalt(temporal, now);
  const handle = temporal.client.workflow.getHandle(now.workflowId, now.runId);
  try {
    return (await inTime(temporal, () => handle.result())) as HaltRecord;
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const { cause } = error;
    const record = cause instanceof ApplicationFailure ? (cause.details?.[0] as HaltRecord | undefined) : undefined;
    if (record !== undefined) return record;
    throw new Error(cause?.message ?? 'the halt ended without a record', { cause: error });
  }
}
