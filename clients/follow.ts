/** Follows one run until it is over: what it says of itself, again and again. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunStatus } from '../workflows/contract.ts';
import { NoWorker, reasonOf, TaskFails } from './ask.ts';
import type { Temporal } from './connection.ts';
import { type Ending, endingOf, findRun, queryStatus, type RunRef } from './runs.ts';

export interface View {
  run: RunRef;
  /** The last thing the run said; `null` before it has said anything. */
  status: RunStatus | null;
  /** When it said so, on this machine's clock. */
  seenAt: number | null;
  /** Why there is nothing newer: no worker, no server. `null` when the status is of now. */
  trouble: string | null;
  /** Set on the last view, when the run is over. */
  ending: Ending | null;
}

export interface FollowOptions {
  /** Milliseconds between two looks. */
  intervalMs: number;
  signal: AbortSignal;
}

/**
 * Yields a view per look; the last one carries the ending, unless the signal ended it. A server or worker that is away
 * is waited for: the run itself goes on without this program.
 */
export async function* follow(temporal: Temporal, run: RunRef, options: FollowOptions): AsyncGenerator<View> {
  const view: View = { run, status: null, seenAt: null, trouble: null, ending: null };
  while (!options.signal.aborted) {
    await look(temporal, view);
    yield { ...view };
    if (view.ending !== null) return;
    await sleep(options.intervalMs, undefined, { signal: options.signal }).catch(() => undefined);
  }
}

async function look(temporal: Temporal, view: View): Promise<void> {
  const [found, said] = await Promise.allSettled([
    findRun(temporal, view.run.workflowId, view.run.runId),
    queryStatus(temporal, view.run),
  ]);
  if (said.status === 'fulfilled') {
    view.status = said.value;
    view.seenAt = Date.now();
    view.trouble = null;
  } else {
    view.trouble = troubleOf(said.reason);
  }
  if (found.status === 'rejected') {
    view.trouble = `Temporal does not answer: ${reasonOf(found.reason)}`;
    return;
  }
  if (found.value === null || found.value.closedAt === null) return;
  if (found.value.status === 'CONTINUED_AS_NEW') {
    view.run = (await findRun(temporal, view.run.workflowId).catch(() => null)) ?? view.run;
    return;
  }
  view.run = found.value;
  try {
    view.ending = await endingOf(temporal, found.value);
    view.trouble = null;
  } catch (error) {
    view.trouble = `the run is over, its result cannot be read yet: ${reasonOf(error)}`;
  }
}

const troubleOf = (error: unknown): string =>
  error instanceof NoWorker ? 'no worker answers: the run waits for one' : reasonOf(error);

/** Where a run stands, asked once. */
export async function viewOf(temporal: Temporal, run: RunRef): Promise<View> {
  const view: View = { run, status: null, seenAt: null, trouble: null, ending: null };
  if (run.closedAt !== null && run.status !== 'CONTINUED_AS_NEW') {
    view.ending = await endingOf(temporal, run);
    return view;
  }
  try {
    view.status = await queryStatus(temporal, run);
    view.seenAt = Date.now();
  } catch (error) {
    if (!(error instanceof NoWorker || error instanceof TaskFails)) throw error;
    view.trouble = error.message;
  }
  return view;
}
