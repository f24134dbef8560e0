/** One stage: its steps in parallel, except where `after` orders them. */

import type { Stage, Step } from '../../plan/model.ts';
import { type Cause, StepFailed } from './errors.ts';
import { waitWhilePaused } from './hold.ts';
import type { Run } from './state.ts';
import { recordBake, runStep } from './step.ts';

/** A bake that a person's word or a deadline ended. */
const STOPPED: Cause = { type: 'Cancelled', message: 'it was stopped before its end' };

/**
 * Runs what is not done yet. After a failure, steps that do not depend on the failed one still finish (a fence that
 * is under way must be known), then the first failure is thrown.
 * @throws {StepFailed}
 */
export async function runStage(run: Run, stage: Stage): Promise<void> {
  const started = new Map<string, Promise<void>>();
  for (const step of stage.steps) {
    const before = (step.after ?? []).map((id) => started.get(id) ?? Promise.resolve());
    started.set(step.id, runInOrder(run, stage, step, before));
  }
  const results = await Promise.allSettled(started.values());
  const reasons = results.filter((r) => r.status === 'rejected').map((r) => r.reason as unknown);
  // A step that waited for a failed one is rejected with the same failure: the first is the cause.
  const failed = reasons.find((r) => r instanceof StepFailed) ?? reasons[0];
  if (failed !== undefined) throw failed;
  run.doneStages.add(stage);
}

async function runInOrder(run: Run, stage: Stage, step: Step, before: Promise<void>[]): Promise<void> {
  await Promise.all(before);
  if (run.receipts.has(step.id) || run.skipped.has(step.id) || !isWanted(run, step)) return;
  if (stage.name === 'ramp' && step.verb === 'setWeights') await waitWhilePaused(run, stage);
  if (step.verb !== 'analyse') return runStep(run, stage.name, step);
  const percent = Number(step.input.percent);
  try {
    await runStep(run, stage.name, step);
    recordBake(run, percent, run.receipts.get(step.id)!);
  } catch (error) {
    recordBake(run, percent, error instanceof StepFailed ? error.reason : STOPPED);
    throw error;
  }
}

/** A step may depend on what an earlier one found: a rebuild only where the rejoin said that it needs one. */
export function isWanted(run: Run, step: Step): boolean {
  if (step.onlyIf === undefined) return true;
  const { step: id, fact, equals } = step.onlyIf;
  const receipt = run.receipts.get(id);
  if (receipt !== undefined) return receipt.facts[fact] === equals;
  return run.record.steps.findLast((s) => s.id === id)?.state === 'failed';
}
