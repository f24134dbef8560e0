/** Questions to Temporal and to runs: each has an end, and says why nobody answers. */
import { isGrpcServiceError, QueryNotRegisteredError, ServiceError } from '@temporalio/client';
import { CONTROL_QUEUE } from '../workflows/contract.ts';
import type { Temporal } from './connection.ts';

/** Longest wait for one question, in milliseconds. */
const ASK_MS = 5_000;

/** Nobody answers a question because no worker polls the task queue. */
export class NoWorker extends Error {
  override readonly name = 'NoWorker';
}

/** Workers are there, and fail at the run's workflow task again and again: it cannot answer, nor go on. */
export class TaskFails extends Error {
  override readonly name = 'TaskFails';
}

interface Ref {
  workflowId: string;
  runId: string;
}

/** Asks a run. @throws NoWorker, TaskFails */
export async function query<T>(temporal: Temporal, ref: Ref, name: string): Promise<T> {
  const absent = new NoWorker(`no worker answers for ${ref.workflowId}; start one: rampart worker`);
  try {
    return await unlessUnmanned(
      temporal,
      inTime(temporal, () => temporal.client.workflow.getHandle(ref.workflowId, ref.runId).query<T>(name)),
      absent,
    );
  } catch (error) {
    const failing = await taskFailure(temporal, ref, error);
    if (failing !== null) throw failing;
    if (isUnanswered(error)) throw absent;
    if (error instanceof QueryNotRegisteredError) {
      throw new Error(`${ref.workflowId} is not a run of Rampart: it has no ${name} query`);
    }
    throw error;
  }
}

/** How long a run may be silent before we look whether there is anybody who could answer, in milliseconds. */
const PATIENCE_MS = 1_500;

/** What was asked of a run, or `absent` as soon as it is plain that no worker is there to answer. */
export async function unlessUnmanned<T>(temporal: Temporal, answer: Promise<T>, absent: Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const unmanned = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      isUnmanned(temporal).then(
        (is) => is && reject(absent),
        () => undefined,
      );
    }, PATIENCE_MS);
  });
  try {
    return await Promise.race([answer, unmanned]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether no worker has been there lately that could go on with a run. */
export async function isUnmanned(temporal: Temporal): Promise<boolean> {
  return (await pollersOf(temporal, CONTROL_QUEUE, 'workflow')).length === 0;
}

/**
 * gRPC statuses of a call that nobody answered: FAILED_PRECONDITION at once where the server knows of no worker,
 * DEADLINE_EXCEEDED or CANCELLED (of a retry) where it has waited for one.
 */
function isUnanswered(error: unknown): boolean {
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcServiceError(cause) && [1, 4, 9].includes(cause.code);
}

/**
 * What the server's own answer means once the run's newest task has failed three times: no worker is asked any more.
 * `null` for every other error, and where no worker has been there lately.
 */
export async function taskFailure(temporal: Temporal, ref: Ref, error: unknown): Promise<TaskFails | null> {
  const cause = error instanceof ServiceError ? error.cause : error;
  if (!isGrpcServiceError(cause) || cause.code !== 9 || !/workflow task/i.test(cause.details)) return null;
  if (await isUnmanned(temporal)) return null;
  const said = reasonOf(error).replace(/\.$/, '');
  return new TaskFails(
    `the workflow task of ${ref.workflowId} fails on its workers (${said}): roll them back to the build that the run began with; temporal workflow show -w ${ref.workflowId} -r ${ref.runId} says why`,
  );
}

/** The reason inside an error of the client, which says of itself only what it could not do. */
export function reasonOf(error: unknown): string {
  const cause = error instanceof ServiceError ? error.cause : error;
  const text = isGrpcServiceError(cause) ? cause.details : error instanceof Error ? error.message : String(error);
  return text.split('\n')[0] ?? '';
}

/** Every call to Temporal has a deadline: a server that is away must not hold a person up. */
export function inTime<T>(temporal: Temporal, call: () => Promise<T>, ms = ASK_MS): Promise<T> {
  const answer = temporal.client.withDeadline(Date.now() + ms, call);
  temporal.calls.add(answer);
  const settled = (): void => void temporal.calls.delete(answer);
  answer.then(settled, settled);
  return answer;
}

/** How many workers have polled a task queue in the last five minutes (Temporal keeps them that long). */
export async function pollersOf(
  temporal: Temporal,
  queue: string,
  kind: 'workflow' | 'activity',
): Promise<Array<{ identity: string; lastAccess: number }>> {
  const answer = await inTime(temporal, () =>
    temporal.connection.workflowService.describeTaskQueue({
      namespace: temporal.namespace,
      taskQueue: { name: queue },
      // TASK_QUEUE_TYPE_WORKFLOW and TASK_QUEUE_TYPE_ACTIVITY
      taskQueueType: kind === 'workflow' ? 1 : 2,
    }),
  );
  return (answer.pollers ?? []).map(({ identity, lastAccessTime }) => ({
    identity: identity ?? '',
    lastAccess: Number(lastAccessTime?.seconds ?? 0) * 1000 + Math.floor((lastAccessTime?.nanos ?? 0) / 1e6),
  }));
}
