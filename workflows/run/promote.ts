/**
 * The promotion (safety rules, the data cut 5): one Temporal attempt per scheduling. On any failure the run looks
 * again at the target and at the fence, and schedules a new promotion with a new token; `promote` first asks
 * "already promoted?", so a lost answer costs nothing.
 */
import { ApplicationFailure } from '@temporalio/common';
import { CancellationScope, isCancellation, sleep } from '@temporalio/workflow';
import type { Json, Receipt } from '../../drivers/ports.ts';
import type { Step } from '../../plan/model.ts';
import { type Cause, causeOf } from './errors.ts';
import { freshenProofs, weakProof } from './proof.ts';
import { callFor, given, optionsFor, schedule } from './schedule.ts';
import type { Run } from './state.ts';

/** Schedulings before the run holds and asks people: each one re-proves the fence first. */
const SCHEDULINGS = 5;
/** Pause after the first failed scheduling, doubled each time, in milliseconds: a restart of the target takes seconds. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 60_000;

/** In milliseconds. A provider that throttles says how long it wants to be left alone. */
const pauseAfter = (n: number, { retryAfterMs = 0 }: Cause): number =>
  Math.max(FIRST_PAUSE_MS * 2 ** (n - 1), Math.min(retryAfterMs, LONGEST_PAUSE_MS));

/**
 * Runs a promotion in its own non-cancellable scope: once scheduled, its outcome must be known before anything else.
 * @throws the last failure, when every scheduling failed
 */
export function promoteStep(run: Run, step: Step): Promise<Receipt> {
  return CancellationScope.nonCancellable(async () => {
    for (let n = 1; ; n += 1) {
      await freshenProofs(run, step);
      // A proof that got weaker or older since people were last asked is theirs to judge again, at the gate.
      const weak = run.overrides.has('weakFence') ? null : weakProof(run, step.component!);
      if (weak !== null) throw ApplicationFailure.nonRetryable(weak, 'NotFenced');
      try {
        const options = optionsFor({ ...step, attempts: 1 }, 'promote');
        return await schedule('promote', callFor(run, step, given(run, step.needs)), options);
      } catch (error) {
        const cause = causeOf(error);
        run.note(`promotion ${n} of ${SCHEDULINGS} of ${step.component}: ${cause.message}`);
        // Words that another scheduling cannot change: somebody else holds the claim, or the fence is gone.
        if (n === SCHEDULINGS || ['Conflict', 'SplitBrain', 'InvalidInput', 'NotFenced'].includes(cause.type))
          throw error;
        await sleep(pauseAfter(n, cause));
      }
    }
  });
}

/**
 * Runs the one call of a provider. One Temporal attempt per scheduling, as for a promotion: when the worker that waited
 * is gone, or the provider did not answer, nothing is known of the call, and it is asked for again with a new token; the
 * driver looks first and only waits where the switch is under way or made. What the provider itself said (given up,
 * failed, refused) and a wait that took too long are for people: nothing is sent a second time for those.
 * Unlike a promotion it can be interrupted, because a provider may take half an hour and a person must be able to
 * escalate meanwhile; the call itself is not taken back by that.
 * @throws the last failure
 */
export async function switchoverStep(run: Run, step: Step): Promise<Receipt> {
  for (let n = 1; ; n += 1) {
    try {
      const options = optionsFor({ ...step, attempts: 1 }, 'promote-atomic');
      return await schedule('switchover', callFor(run, step, given(run, step.needs)), options);
    } catch (error) {
      if (isCancellation(error)) throw error;
      const cause = causeOf(error);
      run.note(`switchover ${n} of ${SCHEDULINGS} of ${step.component}: ${cause.message}`);
      if (n === SCHEDULINGS || !['WorkerAbsent', 'ProviderUnavailable'].includes(cause.type)) throw error;
      await sleep(pauseAfter(n, cause));
    }
  }
}

/**
 * Whether every promotion of this plan can be shown not to have begun: writes a higher token on every target store.
 * True only by proof from all of them; then the undos are valid again.
 */
export async function revokeCrossing(run: Run): Promise<boolean> {
  const steps = run.plan!.stages.flatMap((s) => s.steps);
  // Only this plan's own promotions can be shown not to have begun; what an earlier one did stands.
  if (run.plan!.pastPointOfNoReturn === true || run.crossedInPlan !== run.record.plans.length) return false;
  const promotions = steps.filter((s) => s.verb === 'promote' || s.verb === 'switchover');
  const results = await Promise.all(
    promotions.map(async (step) => {
      const revoke: Step = {
        ...step,
        id: step.id.replace(/^(promote|switchover):/, 'revoke:'),
        summary: `Prove that the promotion of ${step.component} has not begun`,
        verb: 'revokePromote',
        effect: 'reversible',
        timeoutMs: 30_000,
        attempts: 2,
      };
      try {
        const receipt = await schedule('revokePromote', callFor(run, revoke, {}), optionsFor(revoke, 'promote'));
        run.note(receipt.summary);
        return (receipt.facts.revoked as Json) === true;
      } catch (error) {
        run.note(`${revoke.id}: ${causeOf(error).message}`);
        return false;
      }
    }),
  );
  if (!results.every(Boolean) || results.length === 0) return false;
  run.record.pointOfNoReturn.revokedAt = Date.now();
  run.undo.restore();
  run.note('the point of no return is revoked by proof: no promotion has begun, and none can begin with an old token');
  return true;
}
