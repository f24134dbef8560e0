/** What happened, in the words of a workflow's history, with virtual times. */

export type EventName =
  | 'workflowExecutionStarted'
  | 'workflowExecutionSignaled'
  | 'workflowExecutionCancelRequested'
  | 'workflowExecutionUpdateAccepted'
  | 'workflowExecutionUpdateCompleted'
  | 'activityTaskScheduled'
  | 'activityTaskStarted'
  | 'activityTaskCancelRequested'
  | 'activityTaskCompleted'
  | 'activityTaskFailed'
  | 'activityTaskTimedOut'
  | 'activityTaskCanceled'
  | 'timerStarted'
  | 'timerFired'
  | 'timerCanceled'
  | 'startChildWorkflowExecutionInitiated'
  | 'startChildWorkflowExecutionFailed'
  | 'childWorkflowExecutionStarted'
  | 'childWorkflowExecutionCompleted'
  | 'childWorkflowExecutionFailed'
  | 'childWorkflowExecutionCanceled'
  | 'childWorkflowExecutionTerminated'
  | 'signalExternalWorkflowExecutionInitiated'
  | 'signalExternalWorkflowExecutionFailed'
  | 'externalWorkflowExecutionSignaled'
  | 'requestCancelExternalWorkflowExecutionInitiated'
  | 'requestCancelExternalWorkflowExecutionFailed'
  | 'externalWorkflowExecutionCancelRequested'
  | 'markerRecorded'
  | 'upsertWorkflowSearchAttributes'
  | 'workflowPropertiesModified'
  | 'workflowExecutionCompleted'
  | 'workflowExecutionFailed'
  | 'workflowExecutionCanceled'
  | 'workflowExecutionTerminated'
  | 'workflowExecutionContinuedAsNew';

/**
 * One event. `activityTaskStarted` stands here for every attempt; a server writes it once, with the event that
 * closes the activity.
 */
export interface TraceEvent {
  /** Milliseconds since the epoch, virtual. */
  at: number;
  workflowId: string;
  runId: string;
  event: EventName;
  /** Type of the activity or workflow; name of the signal, update or marker. */
  name?: string;
  /** Activity id, timer's number, id of the child, the other workflow or the update. */
  id?: string;
  summary?: string;
  attempt?: number;
  /** Task queue. */
  queue?: string;
  /** Timers: length in milliseconds. */
  ms?: number;
  /** Arguments, result, failure's text, attributes: whatever the event is about. */
  detail?: unknown;
}

export type TraceDetails = Omit<TraceEvent, 'at' | 'workflowId' | 'runId' | 'event'>;
