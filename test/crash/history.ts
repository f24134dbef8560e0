/** A closed run's history, read into what the judge's trace needs: every step with its call, its receipt and its times. */
import type { Client } from '@temporalio/client';
import type { Receipt } from '../../drivers/ports.ts';
import type { StepCall } from '../../plan/model.ts';
import type { Ref } from './watch.ts';

export interface Activity {
  step: string;
  verb: string;
  /** The step's call; `null` for planning activities. */
  call: StepCall | null;
  scheduledAt: number;
  closedAt: number | null;
  how: 'completed' | 'failed' | 'timedOut' | 'cancelled' | 'open';
  receipt: Receipt | null;
  /** Attempt that closed it, where the history tells. */
  attempt: number;
  /** Type of the error it failed with. */
  error: string | null;
}

export interface History {
  startedAt: number;
  closedAt: number | null;
  activities: Activity[];
  /** All of it as text: to be searched for secrets. */
  text: string;
}

export async function readHistory(client: Client, { workflowId, runId }: Ref): Promise<History> {
  const { events = [] } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  const activities = new Map<string, Activity>();
  const texts: string[] = [];
  let closedAt: number | null = null;
  for (const event of events ?? []) {
    const at = millis(event.eventTime);
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled) {
      const input = payload(scheduled.input?.payloads?.[0]?.data, texts);
      const isStep = typeof input === 'object' && input !== null && 'token' in input;
      activities.set(String(event.eventId), {
        step: String(payload(event.userMetadata?.summary?.data, texts) ?? scheduled.activityType?.name ?? '?'),
        verb: scheduled.activityType?.name ?? '?',
        call: isStep ? (input as StepCall) : null,
        scheduledAt: at,
        closedAt: null,
        how: 'open',
        receipt: null,
        attempt: 1,
        error: null,
      });
    }
    const started = event.activityTaskStartedEventAttributes;
    if (started)
      Object.assign(activities.get(String(started.scheduledEventId)) ?? {}, { attempt: started.attempt ?? 1 });
    const close = (id: unknown, how: Activity['how'], more: Partial<Activity> = {}): void =>
      void Object.assign(activities.get(String(id)) ?? {}, { closedAt: at, how, ...more });
    const completed = event.activityTaskCompletedEventAttributes;
    if (completed)
      close(completed.scheduledEventId, 'completed', {
        receipt: (payload(completed.result?.payloads?.[0]?.data, texts) ?? null) as Receipt | null,
      });
    const failed = event.activityTaskFailedEventAttributes;
    if (failed) {
      texts.push(failed.failure?.message ?? '');
      close(failed.scheduledEventId, 'failed', { error: failed.failure?.applicationFailureInfo?.type ?? 'Unknown' });
    }
    const timedOut = event.activityTaskTimedOutEventAttributes;
    if (timedOut) close(timedOut.scheduledEventId, 'timedOut', { error: 'TimedOut' });
    const cancelled = event.activityTaskCanceledEventAttributes;
    if (cancelled) close(cancelled.scheduledEventId, 'cancelled');
    const ended =
      event.workflowExecutionCompletedEventAttributes ??
      event.workflowExecutionFailedEventAttributes ??
      event.workflowExecutionCanceledEventAttributes ??
      event.workflowExecutionTerminatedEventAttributes;
    if (ended) closedAt = at;
  }
  return {
    startedAt: millis(events?.[0]?.eventTime),
    closedAt,
    activities: [...activities.values()],
    text: texts.join('\n'),
  };
}

function payload(data: Uint8Array | null | undefined, texts: string[]): unknown {
  if (!data || data.length === 0) return undefined;
  const text = new TextDecoder().decode(data);
  texts.push(text);
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function millis(stamp: { seconds?: unknown; nanos?: number | null } | null | undefined): number {
  return Number(stamp?.seconds ?? 0) * 1_000 + (stamp?.nanos ?? 0) / 1e6;
}
