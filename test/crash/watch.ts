/** A run's history as it grows, by the server's long poll: what the faults of a cell are aimed by. */
import { setMaxListeners } from 'node:events';
import type { Client } from '@temporalio/client';
import { breathe } from './hands.ts';

/** A step that was scheduled or closed. */
export interface Mark {
  kind: 'scheduled' | 'closed';
  /** The step's id, as in the Web UI. */
  step: string;
  /** The server's time, milliseconds since the epoch. */
  at: number;
  /** How it closed, and on which attempt, where the history tells. */
  how?: 'completed' | 'failed' | 'timedOut' | 'cancelled';
  /** Whether an attempt before the one that closed it was given up because its worker fell silent. */
  takenOver?: boolean;
  /** Of a scheduling: the workflow task that it came from. Steps of one task enter the history at once. */
  task?: string;
}

export interface Ref {
  workflowId: string;
  runId: string;
}

const TERMINAL = [
  'workflowExecutionCompletedEventAttributes',
  'workflowExecutionFailedEventAttributes',
  'workflowExecutionCanceledEventAttributes',
  'workflowExecutionTerminatedEventAttributes',
  'workflowExecutionTimedOutEventAttributes',
] as const;

const CLOSED = {
  activityTaskCompletedEventAttributes: 'completed',
  activityTaskFailedEventAttributes: 'failed',
  activityTaskTimedOutEventAttributes: 'timedOut',
  activityTaskCanceledEventAttributes: 'cancelled',
} as const;

/**
 * Follows the run until a mark fits; the server is asked again when it was away.
 * @param seen gets every mark on the way, oldest first
 * @returns the mark; `null` when the run closed, or `signal` aborted, without one
 */
export async function untilMark(
  client: Client,
  ref: Ref,
  fits: (mark: Mark) => boolean,
  signal: AbortSignal,
): Promise<Mark | null> {
  const { namespace } = client.options;
  // Each poll listens to it, and there are many.
  setMaxListeners(0, signal);
  const steps: Steps = new Map();
  let nextPageToken: Uint8Array | undefined;
  let told = 0;
  while (!signal.aborted) {
    const answer = await client
      .withAbortSignal(signal, () =>
        client.workflowService.getWorkflowExecutionHistory({
          namespace,
          execution: ref,
          waitNewEvent: true,
          ...(nextPageToken === undefined ? {} : { nextPageToken }),
        }),
      )
      .catch(() => null);
    if (answer === null) {
      // The server is away, or has lost what the page token meant: read again from the beginning.
      nextPageToken = undefined;
      await breathe();
      continue;
    }
    for (const event of answer.history?.events ?? []) {
      const id = Number(event.eventId);
      if (id <= told) continue;
      told = id;
      const mark = markOf(event as never, steps);
      if (mark !== null && fits(mark)) return mark;
      if (TERMINAL.some((name) => event[name] != null)) return null;
    }
    const token = answer.nextPageToken;
    nextPageToken = token && token.length > 0 ? (token as Uint8Array) : undefined;
  }
  return null;
}

/** Every mark of a run so far. */
export async function marksOf(client: Client, { workflowId, runId }: Ref): Promise<Mark[]> {
  const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  const steps: Steps = new Map();
  return (events ?? []).flatMap((event) => markOf(event as never, steps) ?? []);
}

interface Event {
  eventId?: unknown;
  eventTime?: { seconds?: unknown; nanos?: number | null } | null;
  userMetadata?: { summary?: { data?: Uint8Array | null } | null } | null;
  activityTaskScheduledEventAttributes?: {
    activityType?: { name?: string | null } | null;
    workflowTaskCompletedEventId?: unknown;
  } | null;
  activityTaskStartedEventAttributes?: {
    scheduledEventId?: unknown;
    lastFailure?: { timeoutFailureInfo?: object | null } | null;
  } | null;
  [closed: string]: unknown;
}

/** Steps that were scheduled, by event id. */
type Steps = Map<string, { step: string; takenOver: boolean }>;

/** Remembers which scheduling an event belongs to, in `steps`. */
function markOf(event: Event, steps: Steps): Mark | null {
  const at = Number(event.eventTime?.seconds ?? 0) * 1_000 + (event.eventTime?.nanos ?? 0) / 1e6;
  const scheduled = event.activityTaskScheduledEventAttributes;
  if (scheduled) {
    const step = textOf(event.userMetadata?.summary?.data) ?? scheduled.activityType?.name ?? '?';
    steps.set(String(event.eventId), { step, takenOver: false });
    return { kind: 'scheduled', step, at, task: String(scheduled.workflowTaskCompletedEventId) };
  }
  const started = event.activityTaskStartedEventAttributes;
  const own = steps.get(String(started?.scheduledEventId));
  if (started && own) own.takenOver = started.lastFailure?.timeoutFailureInfo != null;
  for (const [name, how] of Object.entries(CLOSED)) {
    const closed = event[name] as { scheduledEventId?: unknown } | null | undefined;
    if (closed) {
      const { step = '?', takenOver = false } = steps.get(String(closed.scheduledEventId)) ?? {};
      return { kind: 'closed', step, at, how, takenOver };
    }
  }
  return null;
}

/** Summaries are JSON strings. */
function textOf(data: Uint8Array | null | undefined): string | undefined {
  if (!data || data.length === 0) return undefined;
  const value: unknown = JSON.parse(new TextDecoder().decode(data));
  return typeof value === 'string' ? value : undefined;
}
