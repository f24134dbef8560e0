/** Lets people write again before the point of no return, because nothing may happen while the run waits (I2). */
import { FROZEN } from '../../plan/model.ts';
import { compensate, inFreeze } from './compensate.ts';
import { forget } from './forget.ts';
import { couldLetGo, holdsLivingSource } from './held.ts';
import type { Run } from './state.ts';

/**
 * Undoes what stopped writes, and forgets that it was done: a retry does it anew.
 * @returns a sentence of what became of it
 * @throws {Interrupted} only for `escalate`
 */
export async function unfreeze(run: Run): Promise<string> {
  const frozen = run.plan!.stages.filter((s) => FROZEN.includes(s.name));
  run.freeze.disarm();
  const { failed } = await compensate(run, inFreeze);
  forget(
    run,
    frozen.flatMap((s) => s.steps),
  );
  for (const s of frozen) run.doneStages.delete(s);
  run.freeze.end();
  if (failed.length === 0) return 'the source accepts writes again';
  const notes = failed.map((f) => `${f.undo.summary}: ${f.record.note}`).join('; ');
  return `whether the source accepts writes again must be looked at, because an undo failed: ${notes}`;
}

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
