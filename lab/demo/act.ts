/** One run of the demo: asked for, approved at its gate, watched to its end, and checked against the database. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Temporal } from '../../clients/connection.ts';
import { follow } from '../../clients/follow.ts';
import { sendMessage } from '../../clients/messages.ts';
import type { RunRef } from '../../clients/runs.ts';
import { startRun } from '../../clients/start.ts';
import type { LossStatement } from '../../drivers/ports.ts';
import { within } from '../../drivers/within.ts';
import type { RunRecord } from '../../evidence/record.ts';
import type { Request } from '../../plan/model.ts';
import type { RunStatus } from '../../workflows/contract.ts';
import type { LoadClient } from '../load/client.ts';
import { regionOfActive, type WorldReport } from '../world/running.ts';
import type { Narrator } from './narrator.ts';
import { type RunFindings, rampWindows } from './result.ts';

/** A run that takes longer than this has gone wrong; nobody is there to help it. */
const RUN_DEADLINE_MS = 90_000;
/** How long the facts of a gate stay on the screen before somebody approves. */
const GATE_LOOK_MS = 1_200;
const APPROVER = 'ana';

export interface Stage {
  temporal: Temporal;
  load: LoadClient;
  world: WorldReport;
  narrator: Narrator;
  signal: AbortSignal;
  /** Workflow ID that is the service's lock. */
  lock: string;
  /** Component that splits the traffic. */
  edge: string;
}

/**
 * Plays one run.
 * @param since when the window of the clients' view begins (milliseconds since the epoch); the run's start if absent
 * @throws Error when the run holds, does not end, or leaves no record
 */
export async function playRun(stage: Stage, request: Request, since = Date.now()): Promise<RunFindings> {
  return watchRun(stage, await startRun(stage.temporal, stage.lock, request), since);
}

/**
 * Plays a run that has been started, by whomever: a person looks at its gates and approves them.
 * @throws Error when the run holds, does not end, or leaves no record
 */
export async function watchRun(stage: Stage, run: RunRef, since: number): Promise<RunFindings> {
  const { temporal, load, narrator } = stage;
  const signal = within(RUN_DEADLINE_MS, stage.signal);
  let statedAtGate: LossStatement | null = null;
  let record: RunRecord | null = null;
  let last: RunStatus | null = null;
  const decided = new Set<string>();
  try {
    for await (const view of follow(temporal, run, { intervalMs: 200, signal })) {
      const now = Date.now();
      narrator.show(view, { now: await load.report(now - 1_000, now), run: await load.report(since, now) });
      last = view.status ?? last;
      record = view.ending?.record ?? record;
      if (view.ending !== null) break;
      if (view.status?.holding) throw new Error(`the run holds and waits for people: ${view.status.holding.reason}`);
      const gate = view.status?.gate;
      if (!gate || decided.has(gate.id)) continue;
      decided.add(gate.id);
      statedAtGate = gate.loss;
      await sleep(GATE_LOOK_MS, undefined, { signal });
      await sendMessage(temporal, run, 'approve', { by: APPROVER, gate: gate.id, comment: 'seen in the demo' });
    }
  } finally {
    narrator.endRun();
  }
  stage.signal.throwIfAborted();
  if (record === null) {
    throw new Error(
      `the run did not end within ${RUN_DEADLINE_MS / 1000} s; it was at ${last?.phase ?? 'its very start'}`,
    );
  }
  return { record, statedAtGate, ...(await check(stage, record, since)) };
}

/** Looks for every order ever acknowledged in the database that takes writes now. */
async function check(
  { load, world, edge }: Stage,
  record: RunRecord,
  since: number,
): Promise<Pick<RunFindings, 'seen' | 'verified' | 'split'>> {
  const seen = await load.report(since, Date.now());
  const split: RunFindings['split'] = [];
  for (const { percent, from, to } of rampWindows(record, edge)) {
    split.push({ percent, regions: (await load.report(from, to)).regions });
  }
  await load.pause();
  const verified = await load.verify(world.regions[await regionOfActive(world)]?.database ?? '');
  await load.resume();
  return { seen, verified, split };
}
