/** Starts runs and plans. The workflow ID is the lock, so a second run is refused by Temporal itself. */
import { randomBytes } from 'node:crypto';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { defineSearchAttributeKey, type SearchAttributePair, TypedSearchAttributes } from '@temporalio/common';
import type { Request } from '../plan/model.ts';
// Constants only; the workflow contract loads nothing.
import { CONTROL_QUEUE, SEARCH_ATTRIBUTES, WORKFLOW_TASK_TIMEOUT } from '../workflows/contract.ts';
import { inTime } from './ask.ts';
import type { Temporal } from './connection.ts';
import { findRun, type RunRef, registeredSearchAttributes } from './runs.ts';

/** The lock is held by another run. */
export class LockHeld extends Error {
  readonly holder: RunRef;
  constructor(holder: RunRef) {
    super(`${holder.workflowId} is held by a run`);
    this.holder = holder;
  }
}

/**
 * Starts a run under its lock.
 * @throws LockHeld when another run holds it
 */
export async function startRun(temporal: Temporal, lock: string, request: Request): Promise<RunRef> {
  const { action, ...input } = request;
  const registered = await registeredSearchAttributes(temporal);
  return underLock(temporal, lock, action, {
    args: [input],
    staticSummary: summaryOf(request),
    staticDetails: detailsOf(request),
    typedSearchAttributes: searchAttributes(request, registered),
  });
}

export interface ReleaseRequest {
  service: string;
  by: string;
  /** Let go although protection debt is left; needs a reason. */
  waive?: boolean;
  reason?: string;
}

/**
 * Starts the workflow that lets go of old data kept by a rebuild.
 * @throws LockHeld when a run holds the lock
 */
export function startRelease(temporal: Temporal, lock: string, request: ReleaseRequest): Promise<RunRef> {
  return underLock(temporal, lock, 'release', { args: [request], staticSummary: `release ${request.service}` });
}

type StartOptions = Parameters<Temporal['client']['workflow']['start']>[1];

async function underLock(
  temporal: Temporal,
  lock: string,
  type: string,
  options: Pick<StartOptions, 'args' | 'staticSummary' | 'staticDetails' | 'typedSearchAttributes'>,
): Promise<RunRef> {
  try {
    const handle = await inTime(temporal, () =>
      temporal.client.workflow.start(type, {
        ...options,
        args: options.args ?? [],
        workflowId: lock,
        taskQueue: CONTROL_QUEUE,
        workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
        workflowIdConflictPolicy: 'FAIL',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      }),
    );
    return {
      workflowId: lock,
      runId: handle.firstExecutionRunId,
      type,
      status: 'RUNNING',
      startedAt: Date.now(),
      closedAt: null,
    };
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const holder = await findRun(temporal, lock);
    if (holder === null) throw error;
    throw new LockHeld(holder);
  }
}

/** One line for lists of the Web UI; the server's limit is 400 bytes. */
function summaryOf({ action, service, to, mode, reason }: Request): string {
  const text = `${action} ${service}${to === undefined ? '' : ` → ${to}`}${mode === undefined ? '' : ` (${mode})`}`;
  return `${text}${reason === undefined ? '' : `: ${reason}`}`.slice(0, 190);
}

function detailsOf({ by, reason, digest, override }: Request): string {
  return [
    `Requested by ${by ?? 'an unknown person'}${reason === undefined ? '' : `: ${reason.slice(0, 4_000)}`}`,
    ...(digest === undefined ? [] : [`Only the plan with digest ${digest}`]),
    ...(override === undefined || override.length === 0 ? [] : [`Accepts: ${override.join(', ')}`]),
  ].join('\n\n');
}

/** What lists can be filtered by from the first moment; an unregistered one would make the start fail. */
function searchAttributes(request: Request, registered: Record<string, number> | null): TypedSearchAttributes {
  const wanted: Array<[keyof typeof SEARCH_ATTRIBUTES, string | undefined]> = [
    ['RampartService', request.service],
    ['RampartAction', request.action],
    ['RampartMode', request.mode],
    ['RampartFrom', request.from],
    ['RampartTo', request.to],
  ];
  return new TypedSearchAttributes(
    wanted
      .filter(([name, value]) => value !== undefined && registered !== null && name in registered)
      .map(
        ([name, value]) =>
          ({ key: defineSearchAttributeKey(name, SEARCH_ATTRIBUTES[name]), value }) as SearchAttributePair,
      ),
  );
}

/** Starts the read-only workflow that observes and compiles. It holds no lock, so any number may run. */
export async function startPlan(temporal: Temporal, request: Request): Promise<RunRef> {
  const workflowId = `plan/${request.service}/${randomBytes(4).toString('hex')}`;
  const handle = await inTime(temporal, () =>
    temporal.client.workflow.start('plan', {
      workflowId,
      taskQueue: CONTROL_QUEUE,
      args: [request],
      staticSummary: `plan ${summaryOf(request)}`,
    }),
  );
  return {
    workflowId,
    runId: handle.firstExecutionRunId,
    type: 'plan',
    status: 'RUNNING',
    startedAt: Date.now(),
    closedAt: null,
  };
}
