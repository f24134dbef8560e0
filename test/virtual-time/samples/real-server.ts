/** A real Temporal dev server, and activity handlers of the virtual world run by a real worker. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { defineSearchAttributeKey } from '@temporalio/common';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { installPart } from '../../../lab/parts/install.ts';
import type { ActivityCall } from '../model/attempt.ts';

/** With the server's defaults every activity costs 51 ms, because its queues are read at most 20 times a second. */
const FAST = [
  ...['--dynamic-config-value', 'history.transferProcessorMaxPollRPS=2000'],
  ...['--dynamic-config-value', 'history.timerProcessorMaxPollRPS=2000'],
];

/** @param extraArgs further arguments of the server */
export async function startServer(
  searchAttributes: ReturnType<typeof defineSearchAttributeKey>[],
  extraArgs: readonly string[] = [],
): Promise<TestWorkflowEnvironment> {
  const { bin } = await installPart('temporal');
  return TestWorkflowEnvironment.createLocal({
    server: {
      executable: { type: 'existing-path', path: bin },
      searchAttributes,
      extraArgs: [...FAST, ...extraArgs],
      log: { format: 'pretty', level: 'error' },
    },
  });
}

/** The present activity as the virtual world's handlers see it. */
export function realCall(args: readonly unknown[]): ActivityCall {
  const context = Context.current();
  const { info } = context;
  return {
    type: info.activityType,
    queue: info.taskQueue,
    args,
    activityId: info.activityId,
    summary: null,
    attempt: info.attempt,
    scheduledAt: info.currentAttemptScheduledTimestampMs,
    local: info.isLocal,
    workflowId: info.workflowExecution?.workflowId ?? '',
    runId: info.workflowExecution?.runId ?? '',
    heartbeatDetails: info.heartbeatDetails,
    heartbeatTimeoutMs: info.heartbeatTimeoutMs ?? null,
    signal: context.cancellationSignal,
    heartbeat: (details) => context.heartbeat(details),
    sleep: (ms, options) => (options?.ignoreAbort ? sleep(ms) : context.sleep(ms)),
    now: () => Date.now(),
  };
}

/** What a handler gave, with `'never'` made true. */
export function answer(outcome: unknown): unknown {
  const never = new Promise(() => {});
  if (!(outcome instanceof Promise)) return outcome === 'never' ? never : outcome;
  return outcome.then((value) => (value === 'never' ? never : value));
}
