/** Runs as Temporal knows them: which there are, where they stand, what became of them. */
import { WorkflowFailedError, WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure, TerminatedFailure, TimeoutFailure } from '@temporalio/common';
import { isDrill } from '../evidence/drill.ts';
import type { HaltRecord } from '../evidence/halt-record.ts';
import type { DrillRecord, Outcome, RunRecord } from '../evidence/record.ts';
import type { Plan } from '../plan/model.ts';
import type { GuardStatus, RunStatus, WatchStatus } from '../workflows/contract.ts';
import { inTime, query } from './ask.ts';
import type { Temporal } from './connection.ts';

/** Statuses as Temporal names them. */
export type WorkflowStatus =
  | 'RUNNING'
  | 'COMPLETED'
  | 'FAILED'
  | 'CANCELLED'
  | 'TERMINATED'
  | 'CONTINUED_AS_NEW'
  | 'TIMED_OUT'
  | 'PAUSED'
  | 'UNSPECIFIED'
  | 'UNKNOWN';

export interface RunRef {
  workflowId: string;
  runId: string;
  /** Wire name of the workflow type. */
  type: string;
  status: WorkflowStatus;
  startedAt: number;
  closedAt: number | null;
}

/** What became of a closed run. `record` is `null` when it ended without one (terminated, reset). */
export interface Ending {
  outcome: Outcome | 'terminated' | 'failed';
  text: string;
  record: RunRecord | null;
  /** A drill has this instead of a record. */
  drill?: DrillRecord;
}

/** The newest run of a workflow ID, or a given one; `null` when there is none. */
export async function findRun(temporal: Temporal, workflowId: string, runId?: string): Promise<RunRef | null> {
  try {
    return await inTime(temporal, async () => {
      const found = await temporal.client.workflow.getHandle(workflowId, runId).describe();
      return {
        workflowId,
        runId: found.runId,
        type: found.type,
        status: found.status.name,
        startedAt: found.startTime.getTime(),
        closedAt: found.closeTime?.getTime() ?? null,
      };
    });
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** Past and present runs of a workflow ID, newest first. */
export async function listRuns(temporal: Temporal, workflowId: string, limit: number): Promise<RunRef[]> {
  return listed(temporal, `WorkflowId = "${workflowId.replaceAll('"', '')}"`, limit);
}

/** Runs that closed after a moment, whatever their lock, newest first; continued ones have their end elsewhere. */
export async function closedSince(temporal: Temporal, since: number, limit: number): Promise<RunRef[]> {
  const types = RECORDED.map((type) => `"${type}"`).join(', ');
  const closed = ['Completed', 'Failed', 'Canceled', 'Terminated', 'TimedOut'].map((status) => `"${status}"`);
  const after = since <= 0 ? '' : ` AND CloseTime >= "${new Date(since).toISOString()}"`;
  return listed(temporal, `WorkflowType IN (${types}) AND ExecutionStatus IN (${closed.join(', ')})${after}`, limit);
}

/** Types of the workflows that leave a record or a drill; a turn leaves that of its drill, or one of its own. */
const RECORDED = [
  ...['failover', 'failback', 'trafficRamp', 'reprotect', 'refence', 'release', 'drill', 'drillTurn'],
  // One that did not begin; what did is known by its run ID.
  'scheduledDrill',
];

async function listed(temporal: Temporal, text: string, limit: number): Promise<RunRef[]> {
  return inTime(
    temporal,
    async () => {
      const runs: RunRef[] = [];
      for await (const run of temporal.client.workflow.list({ query: text, pageSize: Math.min(limit, 100) })) {
        runs.push({
          workflowId: run.workflowId,
          runId: run.runId,
          type: run.type,
          status: run.status.name,
          startedAt: run.startTime.getTime(),
          closedAt: run.closeTime?.getTime() ?? null,
        });
        if (runs.length >= limit) break;
      }
      return runs.sort((a, b) => b.startedAt - a.startedAt);
    },
    10_000,
  );
}

/** @throws NoWorker when nobody can answer */
export const queryStatus = (temporal: Temporal, ref: Pick<RunRef, 'workflowId' | 'runId'>): Promise<RunStatus> =>
  query<RunStatus>(temporal, ref, 'status');

/** The record of a halt that is open. @throws NoWorker */
export const queryHalt = (temporal: Temporal, ref: Pick<RunRef, 'workflowId' | 'runId'>): Promise<HaltRecord> =>
  query<HaltRecord>(temporal, ref, 'evidence');

/** What a guard saw last. @throws NoWorker */
export const queryHealth = (temporal: Temporal, ref: Pick<RunRef, 'workflowId' | 'runId'>): Promise<GuardStatus> =>
  query<GuardStatus>(temporal, ref, 'health');

/** What a watch sees. @throws NoWorker */
export const queryWatch = (temporal: Temporal, ref: Pick<RunRef, 'workflowId' | 'runId'>): Promise<WatchStatus> =>
  query<WatchStatus>(temporal, ref, 'status');

/** The record of a run that is still open. @throws NoWorker */
export const queryEvidence = (temporal: Temporal, ref: Pick<RunRef, 'workflowId' | 'runId'>): Promise<RunRecord> =>
  query<RunRecord>(temporal, ref, 'evidence');

/** A drill that is still on. @throws NoWorker */
export const queryDrill = (temporal: Temporal, ref: Pick<RunRef, 'workflowId' | 'runId'>): Promise<DrillRecord> =>
  query<DrillRecord>(temporal, ref, 'drill');

/** The frozen plan of a run. @throws NoWorker */
export const queryPlan = (temporal: Temporal, ref: Pick<RunRef, 'workflowId' | 'runId'>): Promise<Plan | null> =>
  query<Plan | null>(temporal, ref, 'plan');

/**
 * What became of a closed run, from its result or its failure. No worker is needed, except for the record of a run that
 * was cancelled or terminated: Temporal keeps no result of those, but a worker can rebuild it from the history.
 */
export async function endingOf(temporal: Temporal, ref: RunRef): Promise<Ending> {
  const handle = temporal.client.workflow.getHandle(ref.workflowId, ref.runId, { followRuns: false });
  try {
    const result: unknown = await inTime(temporal, () => handle.result());
    const drill = asDrill(result);
    if (drill !== null) return endingOfDrill(drill);
    const record = asRecord(result);
    return { outcome: record?.outcome ?? 'completed', text: record?.text || textOf(result) || 'completed', record };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const ending = endingFrom(error.cause);
    const cut = ['cancelled', 'terminated'].includes(ending.outcome) || error.cause instanceof TimeoutFailure;
    if (ending.record !== null || ending.drill !== undefined || !cut) return ending;
    if (ref.type === 'drill') {
      const drill = asDrill(await queryDrill(temporal, ref).catch(() => null));
      return drill === null ? ending : { ...ending, drill };
    }
    const record = asRecord(await queryEvidence(temporal, ref).catch(() => null));
    if (record === null || ending.outcome !== 'cancelled') return { ...ending, record };
    return { outcome: record.outcome ?? ending.outcome, text: record.text || ending.text, record };
  }
}

function endingFrom(cause: unknown): Ending {
  if (cause instanceof ApplicationFailure || cause instanceof CancelledFailure) {
    const drill = asDrill(cause.details?.[0]);
    if (drill !== null) return endingOfDrill(drill);
    const record = asRecord(cause.details?.[0]);
    const closed = cause instanceof CancelledFailure ? 'cancelled' : (OUTCOMES[cause.type ?? ''] ?? 'failed');
    return { outcome: record?.outcome ?? closed, text: record?.text || cause.message || closed, record };
  }
  if (cause instanceof TerminatedFailure) {
    const text = `It was terminated, which skips every undo: ${cause.message}`;
    return { outcome: 'terminated', text, record: null };
  }
  if (cause instanceof TimeoutFailure)
    return { outcome: 'failed', text: 'It ran into a workflow time-out.', record: null };
  return { outcome: 'failed', text: cause instanceof Error ? cause.message : 'It failed.', record: null };
}

const OUTCOMES: Readonly<Record<string, Outcome>> = {
  RolledBack: 'rolledBack',
  Refused: 'refused',
  InvalidInput: 'refused',
  NeedsHuman: 'needsHuman',
};

/** A drill that has not passed has failed, as its workflow has; one that did nothing was refused or withdrawn. */
const ENDINGS_OF_DRILLS: Record<NonNullable<DrillRecord['verdict']>, Ending['outcome']> = {
  passed: 'completed',
  failed: 'failed',
  escalated: 'failed',
  refused: 'refused',
  skipped: 'refused',
  withdrawn: 'withdrawn',
};

function endingOfDrill(drill: DrillRecord): Ending {
  const { verdict, text } = drill;
  return { outcome: verdict === null ? 'failed' : ENDINGS_OF_DRILLS[verdict], text, record: null, drill };
}

function asDrill(value: unknown): DrillRecord | null {
  return typeof value === 'object' && value !== null && isDrill(value) ? value : null;
}

function asRecord(value: unknown): RunRecord | null {
  return typeof value === 'object' && value !== null && 'steps' in value && 'outcome' in value
    ? (value as RunRecord)
    : null;
}

function textOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return '';
  const { text, summary } = value as { text?: unknown; summary?: unknown };
  return typeof text === 'string' ? text : typeof summary === 'string' ? summary : '';
}

/** Outcomes that a person need not look after. */
export const endedWell = (outcome: Ending['outcome']): boolean => outcome === 'completed' || outcome === 'nothingToDo';

/** Names of the search attributes registered on the namespace; `null` when that may not be asked. */
export async function registeredSearchAttributes(temporal: Temporal): Promise<Record<string, number> | null> {
  try {
    const answer = await inTime(temporal, () =>
      temporal.connection.operatorService.listSearchAttributes({ namespace: temporal.namespace }),
    );
    return (answer.customAttributes ?? {}) as Record<string, number>;
  } catch {
    return null;
  }
}
