/**
 * Failures in the very shape in which the server records them and the worker's core hands them to workflow code.
 * Texts and retry states are those of server 1.32; the calibration compares them with the real ones.
 */
import type { Failure, Payload } from '../sdk.ts';

/** `temporal.api.enums.v1.RetryState` */
export const RETRY_STATE = {
  nonRetryable: 2,
  timeout: 3,
  maximumAttempts: 4,
  retryPolicyNotSet: 5,
  cancelRequested: 7,
} as const;
export type RetryState = (typeof RETRY_STATE)[keyof typeof RETRY_STATE];

/** `temporal.api.enums.v1.TimeoutType`, with the server's name for messages and `nonRetryableErrorTypes`. */
export const TIMEOUT = {
  startToClose: { type: 1, name: 'StartToClose' },
  scheduleToStart: { type: 2, name: 'ScheduleToStart' },
  scheduleToClose: { type: 3, name: 'ScheduleToClose' },
  heartbeat: { type: 4, name: 'Heartbeat' },
} as const;
export type TimeoutKind = keyof typeof TIMEOUT;

const NO_TIME_LEFT =
  'Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying';

/** @param state why there is no further attempt; when time is why, that is the limit reported, whichever ran out */
export function timeoutFailure(
  kind: TimeoutKind,
  lastHeartbeat: Payload[],
  cause: Failure | null,
  state?: RetryState,
): Failure {
  if (state === RETRY_STATE.timeout && kind !== 'scheduleToStart') {
    return { ...timeoutFailure('scheduleToClose', lastHeartbeat, cause), message: NO_TIME_LEFT };
  }
  return {
    message: `activity ${TIMEOUT[kind].name} timeout`,
    source: 'Server',
    timeoutFailureInfo: {
      timeoutType: TIMEOUT[kind].type,
      lastHeartbeatDetails: lastHeartbeat.length > 0 ? { payloads: lastHeartbeat } : undefined,
    },
    cause: cause ?? undefined,
  };
}

export const cancelled: Failure = { canceledFailureInfo: {} };

/** What an activity's promise is rejected with: the outer failure that names the activity. */
export function activityFailure(
  message: string,
  activity: { type: string; activityId: string },
  retryState: RetryState,
  cause: Failure,
): Failure {
  return {
    message,
    cause,
    activityFailureInfo: {
      activityType: { name: activity.type },
      activityId: activity.activityId,
      identity: 'virtual-time',
      retryState,
    },
  };
}

/** What a child workflow's promise is rejected with. */
export function childFailure(
  message: string,
  child: { type: string; workflowId: string; runId: string; namespace: string },
  cause: Failure,
  retryState: RetryState = RETRY_STATE.nonRetryable,
): Failure {
  return {
    message,
    cause,
    childWorkflowExecutionFailureInfo: {
      namespace: child.namespace,
      workflowType: { name: child.type },
      workflowExecution: { workflowId: child.workflowId, runId: child.runId },
      retryState,
    },
  };
}

export function externalFailure(verb: 'signal' | 'cancel'): Failure {
  return {
    message: `Unable to ${verb} external workflow because ${verb === 'signal' ? 'it was not found' : 'not found'}`,
    applicationFailureInfo: { type: 'ExternalWorkflowExecutionNotFound' },
  };
}
