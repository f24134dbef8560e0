/** When a guard starts `refence`, and when it reports and waits instead. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { ChildWorkflowCancellationType, ParentClosePolicy, startChild } from '@temporalio/workflow';
import type { Guarded } from '../../activities/contract.ts';
import { CONTROL_QUEUE } from '../contract.ts';
import type { GuardState } from './state.ts';

/**
 * Between two tries, in milliseconds: doubled each time. The first are close together: a region that boots has its
 * database before its worker, and a refused try has changed nothing.
 */
const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 900_000;

/**
 * Starts a refence under the service's lock when an old primary is back, it is certain which side is old, the policy
 * says `fence`, and no run is at work. The lock itself decides between two that come at once.
 */
export async function considerRefence(state: GuardState, guarded: Guarded): Promise<void> {
  const { refencing, health } = state;
  const returned = health?.returned ?? null;
  if (health === null || returned === null) return;
  const wait = (text: string): void => {
    state.refencing = { ...refencing, text };
  };
  if (guarded.service.returningPrimary !== 'fence')
    return wait(`the policy says notify: rampart refence ${state.service}`);
  if (returned.doubts.length > 0) return wait(`not certain which side is old: ${returned.doubts.join('; ')}`);
  if (health.run !== null) return wait(`${health.run.workflowId} is held by a ${health.run.type}; waiting for its end`);
  if (Date.now() < refencing.notBefore) return;
  const tries = refencing.tries + 1;
  const pause = Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), LONGEST_PAUSE_MS);
  const tried = { tries, lastAt: Date.now(), notBefore: Date.now() + pause };
  try {
    const child = await startChild('refence', {
      workflowId: guarded.lock,
      taskQueue: CONTROL_QUEUE,
      args: [{ service: state.service, from: returned.from, by: 'guard', reason: returned.text }],
      staticSummary: `refence ${state.service}: ${returned.text}`.slice(0, 190),
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      // It is a run like any other: it outlives the guard, and ends by its own words.
      parentClosePolicy: ParentClosePolicy.ABANDON,
      cancellationType: ChildWorkflowCancellationType.ABANDON,
    });
    // What becomes of it is seen on the databases; its own record says the rest.
    child.result().catch(() => undefined);
    state.refencing = { ...tried, text: `started refence of ${returned.from} (${guarded.lock})` };
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    state.refencing = { ...tried, text: `${guarded.lock} is held by a run; waiting for its end` };
  }
}

/** How long the guard may watch before it must come back to a refence that did not help, in milliseconds. */
export function untilNextTry({ refencing, health }: GuardState, longestMs: number): number {
  if (health?.returned == null || refencing.tries === 0) return longestMs;
  return Math.min(Math.max(refencing.notBefore - Date.now(), 1_000), longestMs);
}
