import { ApplicationFailure } from '@temporalio/common';
import { workflowInfo } from '@temporalio/workflow';
import type { Plan } from '../plan/model.ts';
import { causeOf } from './run/errors.ts';
import { preparePlan, resolve } from './run/prepare.ts';

/**
 * Observes and compiles like a run would, and changes nothing: what `rampart plan` shows.
 * Input: {"action":"failover","service":"checkout","to":"eu-central"}. Takes no lock, so its workflow ID is free.
 */
export async function plan(input: unknown): Promise<Plan> {
  const { workflowId, workflowType, firstExecutionRunId } = workflowInfo();
  try {
    const resolved = await resolve({ input, workflowType, workflowId });
    const { request } = resolved;
    const identity = { workflowId, runId: firstExecutionRunId, service: request.service, by: request.by ?? null };
    return (await preparePlan(resolved, identity)).plan;
  } catch (error) {
    const cause = causeOf(error);
    throw ApplicationFailure.nonRetryable(cause.message, cause.type);
  }
}
