/** What a failure, a closed gate or a person's word leads to (safety rules, failure policy). */
import { ActivityFailure, ApplicationFailure, ChildWorkflowFailure, TimeoutFailure } from '@temporalio/common';
import { isCancellation, patched } from '@temporalio/workflow';
import type { Outcome } from '../../evidence/record.ts';
import { FROZEN, type Stage, type Step } from '../../plan/model.ts';
import { compensate } from './compensate.ts';
import { causeOf, GateClosed, type Interrupt, Interrupted, SourceReturned, StepFailed } from './errors.ts';
import { close } from './finish.ts';
import { forget } from './forget.ts';
import { couldLetGo, holdsLivingSource } from './held.ts';
import { hold } from './hold.ts';
import { unfreeze } from './let-go.ts';
import { showProgress } from './progress.ts';
import { revokeCrossing } from './promote.ts';
import type { Run } from './state.ts';
import { stepBack } from './step-back.ts';

/** `again`: follow the plan on, from the stage with this index, or from the same one. */
export type End = { kind: 'closed' } | { kind: 'escalate'; interrupt: Interrupt } | { kind: 'again'; from?: number };

/** Decides; words that come while it is being settled (escalate in a compensation, abort in a hold) are settled too. */
export async function settleTrouble(run: Run, stage: Stage, trouble: unknown): Promise<End> {
  if (trouble instanceof SourceReturned) {
    for (const done of run.plan!.stages.slice(trouble.from)) run.doneStages.delete(done);
    return { kind: 'again', from: trouble.from };
  }
  // A step that was told to stop may also fail or time out: the word that stopped it is what counts.
  const stopped = isCancellation(trouble) || trouble instanceof StepFailed;
  const interrupt = trouble instanceof Interrupted ? trouble.interrupt : stopped ? run.takeInterrupt() : null;
  try {
    if (interrupt !== null) return await settleInterrupt(run, stage, interrupt);
    if (trouble instanceof GateClosed) return await settleClosedGate(run, stage, trouble);
    if (trouble instanceof StepFailed) return await settleFailure(run, stage, trouble);
    // Anything else that Temporal reports (an observation that failed, a cancelled child of a team's own) is shown.
    if (isReported(trouble)) return await holdAt(run, stage, causeOf(trouble).message, null);
  } catch (again) {
    if (again instanceof Interrupted || isCancellation(again)) return settleTrouble(run, stage, again);
    throw again;
  }
  throw trouble;
}

function isReported(trouble: unknown): boolean {
  const kinds = [ActivityFailure, ChildWorkflowFailure, ApplicationFailure, TimeoutFailure];
  return isCancellation(trouble) || kinds.some((kind) => trouble instanceof kind);
}

/** A word that came while there was no plan to follow: between two plans, or before the first. */
export async function endWithoutPlan(run: Run, interrupt: Interrupt): Promise<End> {
  const text = wordOf(interrupt);
  if (!run.acted) return ended(run, interrupt, text);
  if (!run.pastPointOfNoReturn) return goBack(run, text);
  run.freeze.end();
  close(
    run,
    'needsHuman',
    `${text}. A promotion was scheduled and there is no plan now: start the same failover again, it resumes.`,
  );
  return { kind: 'closed' };
}

/** Undoes everything where there is no plan to follow. */
export async function goBack(run: Run, why: string): Promise<End> {
  try {
    return await rollBack(run, 'rolledBack', why);
  } catch (again) {
    if (again instanceof Interrupted) return { kind: 'escalate', interrupt: again.interrupt };
    throw again;
  }
}

function wordOf(interrupt: Interrupt): string {
  return interrupt.kind === 'freezeExpired'
    ? interrupt.reason
    : `${interrupt.kind} by ${interrupt.by}: ${interrupt.reason}`;
}

function ended(run: Run, interrupt: Interrupt, text: string): End {
  run.freeze.end();
  close(run, interrupt.kind === 'withdraw' ? 'withdrawn' : 'cancelled', `${text}. Nothing had been done.`);
  return { kind: 'closed' };
}

async function settleInterrupt(run: Run, stage: Stage, interrupt: Interrupt): Promise<End> {
  if (interrupt.kind === 'escalate') {
    // The undos stay registered: the new plan may still be rejected, and then they lead back.
    run.freeze.disarm();
    return { kind: 'escalate', interrupt };
  }
  const text = wordOf(interrupt);
  if (!run.acted) return ended(run, interrupt, text);
  // People asked for an unplanned run because the source is in trouble: what they began stays theirs to decide.
  if (interrupt.kind === 'freezeExpired' && run.plan!.mode === 'unplanned') return letGoAndHold(run, stage, text, null);
  if (!run.pastPointOfNoReturn) return rollBack(run, 'rolledBack', text);
  return stopAfterCrossing(run, stage, text);
}

async function settleClosedGate(run: Run, stage: Stage, gate: GateClosed): Promise<End> {
  run.note(gate.message);
  if (!run.acted) {
    close(run, 'refused', `${gate.message}. Nothing had been done.`);
    return { kind: 'closed' };
  }
  if (run.pastPointOfNoReturn) return holdAt(run, stage, gate.message, null);
  return rollBack(run, 'rolledBack', gate.message);
}

async function settleFailure(run: Run, stage: Stage, failed: StepFailed): Promise<End> {
  const { onFailure, ramp } = run.plan!.policy;
  const planned = run.plan!.mode === 'planned';
  if (stage.name === 'ramp') {
    const said = await stepBack(run, stage);
    if (ramp.onFailure === 'rollback' && !run.pastPointOfNoReturn)
      return rollBack(run, 'rolledBack', `${failed.message}; ${said}`);
    return holdAt(run, stage, `${failed.message}; ${said}`, failed);
  }
  if (run.pastPointOfNoReturn) {
    // Nobody can write: if it can be proven that no promotion has begun, going back is safe and ends the outage.
    if (crosses(stage) && planned && onFailure === 'rollback' && (await revokeCrossing(run)))
      return rollBack(run, 'rolledBack', failed.message);
    return holdAt(run, stage, failed.message, failed);
  }
  if (onFailure === 'rollback' && failed.step.onFailure === 'rollback')
    return rollBack(run, 'rolledBack', failed.message);
  // The freeze of a lost run has no timer here before this run's own fence.
  const found = !planned || (!run.freeze.active && patched('found-fence-let-go-in-planned'));
  const frozen = (planned && run.freeze.active) || (found && holdsLivingSource(run) && (await couldLetGo(run)));
  return frozen ? letGoAndHold(run, stage, failed.message, failed) : holdAt(run, stage, failed.message, failed);
}

/** A run that holds before the point of no return first lets people write again (I2); retry stops writes anew. */
async function letGoAndHold(run: Run, stage: Stage, why: string, failed: StepFailed | null): Promise<End> {
  const end = await holdAt(run, stage, `${why}; ${await unfreeze(run)}`, failed, true);
  if (end.kind !== 'again') return end;
  const { stages } = run.plan!;
  // While it waited the other side may have fallen behind: what was seen before is no reading for a new freeze.
  const near = stages.flatMap((s) => s.steps).filter(({ verb }) => verb === 'converge');
  forget(run, near);
  const first = stages.findIndex((s) => FROZEN.includes(s.name) || s.steps.some((step) => near.includes(step)));
  for (const s of stages.slice(first)) run.doneStages.delete(s);
  return { kind: 'again', from: Math.min(first, stages.indexOf(stage)) };
}

const isFinalReading = ({ verb }: Step): boolean => verb === 'verifyWritable' || verb === 'observeStore';

async function holdAt(
  run: Run,
  stage: Stage,
  reason: string,
  failed: StepFailed | null,
  watched = false,
): Promise<End> {
  showProgress(run);
  const failing = run.record.steps.filter((s) => s.state === 'failed').map((s) => s.id);
  const steps = stage.steps.filter((s) => failing.includes(s.id) || s === failed?.step);
  try {
    await hold(run, reason, steps, stage.name, watched);
  } catch (word) {
    if (word instanceof Interrupted) return settleInterrupt(run, stage, word.interrupt);
    throw word;
  }
  // What was seen before people were waited for is no reading of how the run ends.
  if (stage.name === 'settle') forget(run, stage.steps.filter(isFinalReading));
  return { kind: 'again' };
}

async function rollBack(run: Run, outcome: Outcome, why: string): Promise<End> {
  run.note(`going back: ${why}`);
  if (run.acted) run.tell('rollback-started', why);
  // The budget must not cancel the undo that ends the freeze.
  run.freeze.disarm();
  const { done } = await compensate(run);
  // Also what was put back before there was a word or a failure that led here.
  const changed = done > 0 || run.record.undos.some(({ state }) => state === 'done');
  // Also what failed earlier, when a hold ended the freeze, unless a later try put it back.
  const failed = run.record.undos.filter(
    (u, i, all) => u.state === 'failed' && !all.some((v, j) => j > i && v.stepId === u.stepId && v.state === 'done'),
  );
  run.freeze.end();
  if (failed.length === 0 && run.acted) run.tell('rollback-completed', `${done} undo(s) done: ${why}`);
  if (failed.length > 0) {
    const notes = failed.map((f) => `${f.note} (${f.summary})`).join('; ');
    const remedy = `\`rampart escape ${run.record.service}\` prints the commands.`;
    close(run, 'needsHuman', `${why}. ${failed.length} undo(s) could not be finished: ${notes}. ${remedy}`);
  } else if (fencedForGood(run))
    close(
      run,
      'needsHuman',
      `${why}. The fence of ${run.plan!.from} was tried and is not taken back: \`rampart status\` shows whether it stands; start the same again, or fence by hand with \`rampart escape ${run.record.service}\`.`,
    );
  else if (repairs(run).length > 0)
    close(
      run,
      'needsHuman',
      `${why}. Tried and not taken back, because a repair has no way back: ${repairs(run).join('; ')}. The writable side is as before; start the same again: it goes on from there.`,
    );
  else
    close(
      run,
      outcome,
      changed
        ? `${why}. Everything is as it was before the run${leftBefore(run)}.`
        : `${why}. Nothing had been changed.`,
    );
  return { kind: 'closed' };
}

/** What it has put back was not all its own: an earlier run had left it, with its journals open. */
function leftBefore(run: Run): string {
  const put = run.record.undos.filter(({ state, adopted }) => state === 'done' && adopted === true);
  const what = [...new Set(put.map(({ summary }) => summary))].join('; ');
  return what === '' ? '' : `, and what an earlier run had left is put back: ${what}`;
}

/** Stages in which the point of no return is crossed. */
const crosses = ({ name }: Stage): boolean => name === 'promote' || name === 'promote-atomic';

/** A fence without an undo (a returned old primary's) was tried: then it is not as it was before, and shall not be. */
function fencedForGood(run: Run): boolean {
  const tried = new Set(run.record.steps.map((s) => s.id));
  return (run.plan?.stages ?? []).some((stage) =>
    stage.steps.some((step) => step.verb === 'fence' && step.undo === undefined && tried.has(step.id)),
  );
}

/** Sides that were made to follow the writable one, or may have been: their own history is set aside by that. */
function repairs(run: Run): string[] {
  const tried = run.record.steps.filter((s) => ['rejoin', 'rebuild'].includes(s.verb) && !s.already);
  return tried.map(({ summary, state, result }) => `${summary} (${state === 'done' ? result : state})`);
}

/** Abort past the point of no return: never an undo of data; traffic back to the last good weights, or by proof all of it. */
async function stopAfterCrossing(run: Run, stage: Stage, why: string): Promise<End> {
  if (crosses(stage) && (await revokeCrossing(run))) return rollBack(run, 'rolledBack', why);
  const open = run.plan!.stages.filter((s) => ['verify', 'route'].includes(s.name) && !run.doneStages.has(s));
  if (crosses(stage) || open.length > 0) {
    const only =
      'the point of no return is crossed and writers have no way yet: only retry (go on) or escalate leads out';
    return holdAt(run, stage, `${why}; ${only}`, null);
  }
  if (stage.name === 'ramp') await stepBack(run, stage);
  const { service } = run.record;
  close(
    run,
    'needsHuman',
    `${why}. The promotion in ${run.plan!.to} stands; to go back, run \`rampart start failback --service ${service}\`; to go on, start the same failover again: it resumes.`,
  );
  return { kind: 'closed' };
}
