/** The vantage points of a watch: one long activity each, on a queue of their own. */
import { ActivityFailure, TimeoutFailure } from '@temporalio/common';
import { ActivityCancellationType, isCancellation, proxyActivities, sleep } from '@temporalio/workflow';
import type { VantageActivities, Watched } from '../../activities/contract.ts';
import type { PointMemory } from '../../plan/watch/model.ts';
import type { VantagePoint } from '../../topology/watches.ts';
import { watchQueueOf } from '../contract.ts';
import { causeOf } from '../run/errors.ts';
import type { WatchState } from './state.ts';

/** Longest time that a vantage point is silent when it has nothing new to say, in milliseconds. */
const WATCH_MS = 900_000;
/** A vantage point that answered is unknown when its worker does not take up the watch again in this time, in milliseconds. */
const ABSENT_MS = 30_000;
/** A killed or frozen worker is unknown after this time, in milliseconds: what it said last counts no longer. */
const SILENT_MS = 30_000;
/** After something that another try at once would not mend, in milliseconds. */
const PAUSE_MS = 60_000;

/** Watches from one vantage point until its scope is cancelled. */
export async function watchFrom(state: WatchState, watched: Watched, point: VantagePoint): Promise<void> {
  for (;;) {
    const known = state.points[point];
    const answers = known?.report != null;
    const vantage = proxyActivities<VantageActivities>({
      taskQueue: watchQueueOf(point),
      summary: `ask from ${point}`,
      // Nobody waits for one that is unknown: it is heard when it is there again.
      scheduleToStartTimeout: answers ? ABSENT_MS : WATCH_MS,
      startToCloseTimeout: WATCH_MS + 120_000,
      heartbeatTimeout: SILENT_MS,
      cancellationType: ActivityCancellationType.TRY_CANCEL,
      // A try that is lost is a vantage point that is lost, and that must be known here.
      retry: { maximumAttempts: 1 },
    });
    try {
      const { report: shown = null, memory = {} } = known ?? {};
      state.hear(point, await vantage.watchPoint({ watched, point, shown, memory, forMs: WATCH_MS }));
    } catch (error) {
      if (isCancellation(error)) throw error;
      const timeout = timeoutIn(error);
      state.lose(point, textOf(timeout, error), memoryIn(timeout));
      // A worker that is away is waited for on its queue; what failed at once would fail at once again.
      if (timeout === null) await sleep(PAUSE_MS);
    }
  }
}

function timeoutIn(error: unknown): TimeoutFailure | null {
  return error instanceof ActivityFailure && error.cause instanceof TimeoutFailure ? error.cause : null;
}

function textOf(timeout: TimeoutFailure | null, error: unknown): string {
  if (timeout === null) return causeOf(error).message;
  return timeout.timeoutType === 'SCHEDULE_TO_START' ? 'no worker takes up the watch' : 'its worker has gone silent';
}

/** What the lost one has read goes with its last heartbeat. */
function memoryIn(timeout: TimeoutFailure | null): PointMemory | undefined {
  return (timeout?.lastHeartbeatDetails as { memory?: PointMemory } | null | undefined)?.memory;
}
