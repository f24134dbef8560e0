/** Sends a person's word to a run as an update, and says exactly what the run answered. */
import {
  isGrpcServiceError,
  ServiceError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import type { MessageAnswer } from '../workflows/contract.ts';
import { inTime, taskFailure, unlessUnmanned } from './ask.ts';
import type { Temporal } from './connection.ts';
import type { RunRef } from './runs.ts';

export type MessageVerb =
  | 'approve'
  | 'reject'
  | 'pause'
  | 'resume'
  | 'skip'
  | 'retry'
  | 'abort'
  | 'escalate'
  | 'withdraw'
  | 'note';

/** Longest wait for a run's answer, in milliseconds. */
const ANSWER_MS = 10_000;

/** The run refused the message; the text is its own. */
export class MessageRefused extends Error {
  override readonly name = 'MessageRefused';
}

/** Nobody took the message: it has not been applied, and may still be if a worker returns within seconds. */
export class MessageNotTaken extends Error {
  override readonly name = 'MessageNotTaken';
}

/**
 * Sends one message.
 * @param updateId makes a repeat count once; leave it out where saying it twice means it twice
 * @throws MessageRefused, MessageNotTaken, TaskFails
 */
export async function sendMessage(
  temporal: Temporal,
  run: Pick<RunRef, 'workflowId' | 'runId'>,
  verb: MessageVerb,
  input: object,
  updateId?: string,
): Promise<MessageAnswer> {
  const handle = temporal.client.workflow.getHandle(run.workflowId, run.runId);
  const options = { args: [input] as [object], ...(updateId === undefined ? {} : { updateId }) };
  const notTaken = new MessageNotTaken('no worker took the message: it is not known to have been applied');
  try {
    return await unlessUnmanned(
      temporal,
      inTime(temporal, () => handle.executeUpdate<MessageAnswer, [object]>(verb, options), ANSWER_MS),
      notTaken,
    );
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) {
      throw new MessageRefused(error.cause?.message ?? error.message);
    }
    if (error instanceof WorkflowNotFoundError) throw new MessageRefused('the run is over: it takes no messages');
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isTimeout(error)) {
      throw notTaken;
    }
    throw (await taskFailure(temporal, run, error)) ?? error;
  }
}

function isTimeout(error: unknown): boolean {
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcServiceError(cause) && [1, 4].includes(cause.code);
}

/** The same message through the `temporal` CLI as a signal, which waits in the run's history for a worker. */
export function asSignal(workflowId: string, verb: MessageVerb, input: object): string {
  return `temporal workflow signal -w ${workflowId} --name ${verb} -i '${JSON.stringify(input).replaceAll("'", `'\\''`)}'`;
}
