/** The faults of the matrix. Each is one sharp act at the moment the cell names; what is put right afterwards is said here. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { CONTROL_QUEUE } from '../../workflows/contract.ts';
import { LOCK, PERSON } from '../integration/world.ts';
import { type Boundary, type Fault, STOPPED } from './boundaries.ts';
import { followByHand } from './by-hand.ts';
import type { Ground, RunDone } from './ground.ts';
import type { Ref } from './watch.ts';

export interface FaultContext {
  ground: Ground;
  /** The run it is aimed at. */
  ref: Ref;
  action: string;
  input: object;
  from: string;
  to: string;
  boundary: Boundary;
  /** Says what broke of a promise in the act itself, for example a second start that was accepted. */
  broken(text: string): void;
  /** Hands over a run that the fault itself had, so that it is judged as well. */
  ran(run: RunDone): void;
  /** Says whether another orchestrator is at work. */
  besides(on: boolean): void;
}

/** Does it. @returns what was done, in a few words; resolves when the act, and a supervisor's restart, are over */
export async function inject(fault: Fault, c: FaultContext): Promise<string> {
  const { from, to, boundary, ground } = c;
  const { hands } = ground;
  // The worker that the step runs on; where that is a control worker, the source's.
  const region = boundary.side === 'target' ? to : from;
  switch (fault) {
    case 'kill-control-worker':
      await hands.killWorkers('control');
      return 'both control workers killed and started again';
    case 'kill-region-worker':
      await hands.killWorkers(region);
      return `both workers of ${region} killed and started again`;
    case 'kill-temporal':
      await hands.killTemporal();
      return 'the Temporal server killed and started again';
    case 'kill-old-primary':
      if (await isDown(c)) return nothingTo(from);
      await hands.killDatabase(from);
      return `the database of ${from} killed`;
    case 'kill-old-primary-behind':
      if (await isDown(c)) return nothingTo(from);
      await hands.killDatabaseBehind(from);
      return `replication stalled, then the database of ${from} killed`;
    case 'kill-new-primary':
      await hands.killDatabase(to);
      return `the database of ${to} killed`;
    case 'freeze-old-primary':
      if (await isDown(c)) return nothingTo(from);
      await hands.freezeDatabase(from);
      return `the database of ${from} frozen (SIGSTOP)`;
    case 'freeze-worker': {
      const place = boundary.side === null ? 'control' : region;
      await hands.freezeWorker(place);
      return `one worker of ${place} frozen (SIGSTOP) with its polls open, until another had overtaken it`;
    }
    case 'cancel':
      await hands.client.workflow.getHandle(c.ref.workflowId, c.ref.runId).cancel();
      return 'cancelled';
    case 'abort':
      return abort(c);
    case 'duplicate-start':
      return startAgain(c);
    case 'lose-temporal':
      await hands.loseTemporal();
      return 'the Temporal server killed, its data deleted, an empty one started';
    case 'second-orchestrator':
      return besideIt(c);
    case 'escape-by-hand':
      return byHand(c);
  }
}

/** The run has stopped the old primary before: there is nothing to kill or to freeze. */
async function isDown({ ground: { hands }, from }: FaultContext): Promise<boolean> {
  return (await hands.roles())[from] === 'stopped';
}

const nothingTo = (region: string): string => `the database of ${region} ${STOPPED}`;

async function abort({ ground, ref }: FaultContext): Promise<string> {
  const handle = ground.hands.client.workflow.getHandle(ref.workflowId, ref.runId);
  try {
    await handle.executeUpdate('abort', { args: [{ by: PERSON, reason: 'a cell of the crash matrix' }] });
    return 'aborted';
  } catch (error) {
    // A run that has just ended refuses the word, and that is an answer.
    return `abort refused: ${(error as Error).cause ?? (error as Error).message}`;
  }
}

async function startAgain({ ground: { hands }, ref, action, input, broken }: FaultContext): Promise<string> {
  try {
    const second = await hands.client.workflow.start(action, {
      taskQueue: CONTROL_QUEUE,
      workflowId: LOCK,
      args: [input],
    });
    const first = await hands.client.workflow.getHandle(ref.workflowId, ref.runId).describe();
    if (first.status.name === 'RUNNING')
      broken(`a second run (${second.firstExecutionRunId}) started beside the first`);
    return 'the first run had ended; a second one started';
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return 'a second start refused by the lock';
    throw error;
  }
}

/** The same request on a second server with workers of its own, cared for like the first, at the same time. */
async function besideIt({ ground, action, input, ran, besides }: FaultContext): Promise<string> {
  const client = await ground.hands.second();
  besides(true);
  try {
    const done = await ground.run(action, input, { client });
    ran(done);
    return `the same request on a second orchestrator, which ended ${done.status}`;
  } finally {
    besides(false);
  }
}

/** Nothing of Rampart is left; somebody does what `rampart escape` prints, and then Rampart comes back. */
async function byHand({ ground, to, broken }: FaultContext): Promise<string> {
  await ground.hands.killRampart();
  const problems = await followByHand(ground, to);
  for (const problem of problems) broken(problem);
  ground.at('fault', 'by hand: all of Rampart is started again');
  await ground.hands.mend();
  return 'the Temporal server and all workers killed, the page followed by hand, all of it started again';
}
