/** Drills that were due: what became of each, and whether the next one is overdue. */
import type { DrillRecord } from '../../evidence/record.ts';
import type { Drill } from '../../topology/drill.ts';
import { nextRuns } from '../../topology/drills.ts';
import { CONTROL_QUEUE, scheduledDrillId } from '../../workflows/contract.ts';
import { inTime } from '../ask.ts';
import type { Temporal } from '../connection.ts';
import { type Ending, endingOf, type RunRef } from '../runs.ts';
import { memoOf } from './schedules.ts';

/** Drills that are looked at, the newest of all. */
const MOST = 500;
/** Endings that are read to find one that passed. */
const LOOK_BACK = 20;
const LIST_MS = 10_000;

/** A drill that was due, by its memo. */
export interface DrillRun extends RunRef {
  drill: string;
  service: string;
  kind: string;
}

/** Newest first. Those without a memo were started by nobody who belongs here. */
export async function drillRuns(temporal: Temporal): Promise<DrillRun[]> {
  return inTime(
    temporal,
    async () => {
      const runs: DrillRun[] = [];
      for await (const run of temporal.client.workflow.list({ query: 'WorkflowType = "scheduledDrill"' })) {
        const { drill, service, kind } = run.memo ?? {};
        if (typeof drill !== 'string' || typeof service !== 'string' || typeof kind !== 'string') continue;
        runs.push({
          ...{ workflowId: run.workflowId, runId: run.runId, type: 'drill', status: run.status.name },
          ...{ startedAt: run.startTime.getTime(), closedAt: run.closeTime?.getTime() ?? null },
          ...{ drill, service, kind },
        });
        if (runs.length >= MOST) break;
      }
      return runs.sort((a, b) => b.startedAt - a.startedAt);
    },
    LIST_MS,
  );
}

/** Starts a drill of the topology now, in a person's name. It is judged like any that is due. */
export async function startDrill(temporal: Temporal, drill: Drill, by: string, reason?: string): Promise<RunRef> {
  const startedAt = Date.now();
  // Named as a schedule names them, so that lists find it.
  const workflowId = `${scheduledDrillId(drill.name)}-${new Date(startedAt).toISOString()}`;
  const handle = await inTime(temporal, () =>
    temporal.client.workflow.start('scheduledDrill', {
      workflowId,
      taskQueue: CONTROL_QUEUE,
      args: [{ drill: drill.name, by, ...(reason === undefined ? {} : { reason }) }],
      staticSummary: `drill ${drill.name} of ${drill.service}, by ${by}`.slice(0, 190),
      memo: memoOf(drill),
    }),
  );
  return {
    ...{ workflowId, runId: handle.firstExecutionRunId, type: 'drill', status: 'RUNNING' },
    ...{ startedAt, closedAt: null },
  };
}

/** What is known of a drill's past. */
export interface Past {
  /** The newest that has ended, skipped ones among them. */
  last: { at: number; verdict: NonNullable<DrillRecord['verdict']> | 'failed'; text: string; runId: string } | null;
  /** When the newest that has passed did; `null`: none that Temporal remembers. */
  passedAt: number | null;
  running: RunRef | null;
}

/** @param runs of this drill, newest first */
export async function pastOf(temporal: Temporal, runs: readonly DrillRun[]): Promise<Past> {
  const running = runs.find(({ closedAt }) => closedAt === null) ?? null;
  const past: Past = { last: null, passedAt: null, running };
  for (const run of runs.filter(({ closedAt }) => closedAt !== null).slice(0, LOOK_BACK)) {
    const { drill, text }: Ending = await endingOf(temporal, run);
    const verdict = drill?.verdict ?? 'failed';
    past.last ??= { at: run.closedAt!, verdict, text, runId: run.runId };
    if (verdict !== 'passed') continue;
    past.passedAt = run.closedAt;
    break;
  }
  return past;
}

/**
 * When a drill is overdue unless one passes before.
 * @param since when one passed last, or else since when it is on a schedule, in milliseconds since the epoch
 */
export function overdueAt({ overdueAfterMs, crons, timeZone }: Drill, since: number): number {
  const [first, second] = nextRuns(crons, timeZone, new Date(since), 2).map((at) => at.getTime());
  const apart = first === undefined || second === undefined ? 0 : second - first;
  return since + (overdueAfterMs ?? 2 * apart);
}
