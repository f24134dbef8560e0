/** Lets people write again before the point of no return, because nothing may happen while the run waits (I2). */
import { patched } from '@temporalio/workflow';
import { FROZEN, type Step } from '../../plan/model.ts';
import { compensate, inFreeze } from './compensate.ts';
import { forget } from './forget.ts';
import { couldLetGo, holdsLivingSource, lookAtHeld } from './held.ts';
import type { Run } from './state.ts';
import type { UndoEntry } from './undo.ts';

/**
 * Undoes what stopped writes, and forgets that it was done: a retry does it anew. Outside of a planned freeze a source
 * that does not answer is left as it is, for its undo would keep the run from people until it does.
 * @returns a sentence of what became of it
 * @throws {Interrupted} only for `escalate`
 */
export async function unfreeze(run: Run): Promise<string> {
  const frozen = run.plan!.stages.filter((s) => FROZEN.includes(s.name));
  run.freeze.disarm();
  const one = !run.freeze.active && holdsLivingSource(run) && patched('let-go-each-store');
  const looks = one ? await lookAtHeld(run) : [];
  const silent = looks.filter(({ answers }) => !answers).map(({ step }) => step);
  const { failed } = await compensate(run, (entry) => inFreeze(entry) && !fences(entry, silent));
  forget(
    run,
    frozen.flatMap((s) => s.steps),
  );
  for (const s of frozen) run.doneStages.delete(s);
  run.freeze.end();
  const notes = failed.map((f) => `${f.undo.summary}: ${f.record.note}`).join('; ');
  const undone =
    failed.length === 0
      ? 'the source accepts writes again'
      : `whether the source accepts writes again must be looked at, because an undo failed: ${notes}`;
  const left = silent.map((step) => `${step.component} in ${step.region}`).join(', ');
  if (silent.length === 0) return undone;
  if (silent.length === looks.length && failed.length === 0)
    return `${left} does not answer any more and stays fenced; it is looked at again`;
  return `${undone}, but for ${left}, which does not answer and is looked at again`;
}

/** Whether it is the fence of one of these. */
const fences = ({ step, undo }: UndoEntry, these: readonly Step[]): boolean =>
  undo.verb === 'unfence' && these.some((one) => one.component === step.component && one.region === step.region);

/** @returns the reason of a hold, with what became of the source */
export async function letGoBeside(run: Run, reason: string): Promise<string> {
  return `${reason.replace(/\.$/, '')}; ${await unfreeze(run)}`;
}

/**
 * For a hold with no plan to follow: an escalated run whose new plan cannot be made still has the old one's fence.
 * @returns the reason, with what became of the source where it was let go
 */
export async function reasonToHold(run: Run, reason: string): Promise<string> {
  const held = run.plan !== null && holdsLivingSource(run) && (await couldLetGo(run));
  return held ? letGoBeside(run, reason) : reason;
}
