/** What every run workflow does around the engine: handlers first, the lock, then the outcome as a closed status. */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { allHandlersFinished, CancellationScope, condition, workflowInfo } from '@temporalio/workflow';
import type { RunRecord } from '../../evidence/record.ts';
import type { Action, Request } from '../../plan/model.ts';
import { execute } from './engine.ts';
import { RefusedRun } from './errors.ts';
import { registerMessages } from './messages.ts';
import { control } from './prepare.ts';
import { showProgress } from './progress.ts';
import { Run } from './state.ts';

/**
 * Runs `action` for one JSON request.
 * @returns the run's record, when it completed or there was nothing to do
 * @throws ApplicationFailure of type InvalidInput, Refused, RolledBack or NeedsHuman with the record in its details;
 *   CancelledFailure when it was withdrawn, or cancelled before any effect
 */
export async function runWorkflow(action: Action, input: unknown): Promise<RunRecord> {
  const run = new Run(action, sketchOf(action, input));
  registerMessages(run);
  try {
    await execute(run, { input, workflowType: workflowInfo().workflowType, workflowId: workflowInfo().workflowId });
  } catch (error) {
    if (!(error instanceof RefusedRun)) throw error;
    run.close('refused', error.message);
    showProgress(run);
    await run.news?.end();
    await handlersFinished();
    throw ApplicationFailure.nonRetryable(
      error.message,
      error.type === 'InvalidInput' ? 'InvalidInput' : 'Refused',
      run.record,
    );
  }
  await run.news?.end();
  await handlersFinished();
  if (run.record.outcome === 'withdrawn' || run.record.outcome === 'cancelled') await becomeCancelled();
  return outcomeOf(run);
}

/** Out of cancellation's reach: a run that was cancelled on its way still ends with the outcome it came to. */
function handlersFinished(): Promise<void> {
  return CancellationScope.nonCancellable(() => condition(allHandlersFinished));
}

/** How long the request to cancel itself may take; without it the run ends as Failed, with the same text. */
const CANCEL_SELF = '10s';

/** Only a workflow that was asked to cancel may close as Canceled: one that withdraws has itself asked. */
function becomeCancelled(): Promise<void> {
  const { workflowId, runId } = workflowInfo();
  const scope = CancellationScope.current();
  if (scope.consideredCancelled) return Promise.resolve();
  return CancellationScope.nonCancellable(async () => {
    await control.cancelRun({ workflowId, runId }).catch(() => undefined);
    await condition(() => scope.consideredCancelled, CANCEL_SELF);
  });
}

function outcomeOf(run: Run): RunRecord {
  const { record } = run;
  switch (record.outcome) {
    case 'completed':
    case 'nothingToDo':
      return record;
    case 'withdrawn':
    case 'cancelled':
      throw new CancelledFailure(record.text, [record]);
    case 'rolledBack':
      throw ApplicationFailure.nonRetryable(record.text, 'RolledBack', record);
    case 'refused':
      throw ApplicationFailure.nonRetryable(record.text, 'Refused', record);
    case 'needsHuman':
      throw ApplicationFailure.nonRetryable(record.text, 'NeedsHuman', record);
    case null:
      throw ApplicationFailure.nonRetryable('the run ended without an outcome', 'NeedsHuman', record);
  }
}

/** A first, unchecked reading of the request, so that queries answer from the first moment. */
function sketchOf(action: Action, input: unknown): Request {
  const o = typeof input === 'object' && input !== null ? (input as Record<string, unknown>) : {};
  const text = (key: string) => (typeof o[key] === 'string' ? (o[key] as string) : undefined);
  const sketch: Request = { action, service: text('service') ?? '' };
  for (const key of ['from', 'to', 'by', 'reason', 'digest'] as const) {
    const value = text(key);
    if (value !== undefined) sketch[key] = value;
  }
  if (o.mode === 'planned' || o.mode === 'unplanned') sketch.mode = o.mode;
  return sketch;
}
