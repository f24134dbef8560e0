/** Where the time of a run went, read from its history. Times are the server's, in milliseconds since the epoch. */
import type { Temporal } from '../clients/connection.ts';

export interface ActivityTimes {
  /** The step's id, as in the Web UI; the activity's type where it has none. */
  step: string;
  type: string;
  scheduledAt: number;
  startedAt: number;
  endedAt: number;
}

export interface RunTimes {
  startedAt: number;
  endedAt: number;
  activities: ActivityTimes[];
  /** Timers, fired or cancelled. */
  timers: Array<{ startedAt: number; endedAt: number; fired: boolean }>;
  workflowTasks: number;
  events: number;
}

interface Stamp {
  seconds?: unknown;
  nanos?: number | null;
}

/** Reads a closed run's history. */
export async function readTimes(temporal: Temporal, workflowId: string, runId: string): Promise<RunTimes> {
  const { events } = await temporal.client.workflow.getHandle(workflowId, runId).fetchHistory();
  const all = events ?? [];
  const activities = new Map<string, ActivityTimes>();
  const timers = new Map<string, RunTimes['timers'][number]>();
  let workflowTasks = 0;
  for (const event of all) {
    const at = millisOf(event.eventTime as Stamp);
    const id = String(event.eventId);
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled)
      activities.set(id, {
        step: textOf(event.userMetadata?.summary?.data) ?? scheduled.activityType?.name ?? '?',
        type: scheduled.activityType?.name ?? '?',
        scheduledAt: at,
        startedAt: at,
        endedAt: at,
      });
    const started = event.activityTaskStartedEventAttributes;
    if (started) Object.assign(activities.get(String(started.scheduledEventId)) ?? {}, { startedAt: at });
    const ended =
      event.activityTaskCompletedEventAttributes ??
      event.activityTaskFailedEventAttributes ??
      event.activityTaskTimedOutEventAttributes ??
      event.activityTaskCanceledEventAttributes;
    if (ended) Object.assign(activities.get(String(ended.scheduledEventId)) ?? {}, { endedAt: at });
    if (event.timerStartedEventAttributes)
      timers.set(id, { startedAt: at, endedAt: Number.POSITIVE_INFINITY, fired: false });
    const fired = event.timerFiredEventAttributes;
    if (fired) Object.assign(timers.get(String(fired.startedEventId)) ?? {}, { endedAt: at, fired: true });
    const cancelled = event.timerCanceledEventAttributes;
    if (cancelled) Object.assign(timers.get(String(cancelled.startedEventId)) ?? {}, { endedAt: at });
    if (event.workflowTaskCompletedEventAttributes) workflowTasks += 1;
  }
  return {
    startedAt: millisOf(all[0]?.eventTime as Stamp),
    endedAt: millisOf(all.at(-1)?.eventTime as Stamp),
    activities: [...activities.values()],
    timers: [...timers.values()],
    workflowTasks,
    events: all.length,
  };
}

/** Milliseconds covered by at least one of the intervals. */
export function covered(intervals: ReadonlyArray<readonly [from: number, to: number]>): number {
  let total = 0;
  let reached = Number.NEGATIVE_INFINITY;
  for (const [from, to] of [...intervals].sort((a, b) => a[0] - b[0])) {
    if (to <= reached) continue;
    total += to - Math.max(from, reached);
    reached = to;
  }
  return total;
}

function millisOf(stamp: Stamp | null | undefined): number {
  return Number(stamp?.seconds ?? 0) * 1_000 + (stamp?.nanos ?? 0) / 1e6;
}

/** Summaries are JSON strings. */
function textOf(data: Uint8Array | null | undefined): string | undefined {
  if (!data || data.length === 0) return undefined;
  const value: unknown = JSON.parse(new TextDecoder().decode(data));
  return typeof value === 'string' ? value : undefined;
}
