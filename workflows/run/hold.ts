/** Holding: the run has stopped at a defined state and says which words of a person move it on. */
import { condition, patched } from '@temporalio/workflow';
import { FROZEN, type Stage, type StageName, type Step, UNSKIPPABLE, UNSKIPPABLE_VERBS } from '../../plan/model.ts';
import { Interrupted } from './errors.ts';
import { helps, holdsLivingSource, lookAtHeld } from './held.ts';
import { letGoBeside } from './let-go.ts';
import { control } from './prepare.ts';
import type { Run } from './state.ts';

/** Longest wait between two looks at a source that is fenced, in milliseconds. */
const LONGEST_WAIT_MS = 600_000;

export type Answer = { kind: 'retry' } | { kind: 'skip'; step: string };

/**
 * Waits until a person says retry or skip.
 * @param watched whether a source that is held still is let go as soon as that can be; a retry must stop writes anew then
 * @throws {Interrupted} on abort or escalate
 */
export async function hold(
  run: Run,
  reason: string,
  failed: Step[],
  stage: StageName | null,
  watched = stage === null,
): Promise<Answer> {
  const since = Date.now();
  const skippable =
    stage !== null && !UNSKIPPABLE.includes(stage) && failed.some((s) => !UNSKIPPABLE_VERBS.includes(s.verb));
  run.holding = {
    reason,
    since,
    choices: ['retry', ...(skippable ? ['skip'] : []), 'abort', 'escalate'],
    answer: null,
    failed,
  };
  run.phase = 'holding';
  run.note(`holding: ${reason}`);
  run.tell('run-held', reason);
  try {
    if (watched) await lookAtHeldSource(run, stage === null ? 'hold-looks-again' : 'let-go-each-store');
    await condition(() => answered(run));
    if (run.interrupt !== null) throw new Interrupted(run.takeInterrupt()!);
    const answer = run.holding.answer!;
    run.tell('run-resumed', answer.kind === 'retry' ? 'trying again' : `${answer.step} skipped by ${answer.by}`);
    if (answer.kind === 'retry') return { kind: 'retry' };
    run.skipped.add(answer.step);
    const record = run.record.steps.findLast((s) => s.id === answer.step);
    if (record !== undefined) record.state = 'skipped';
    run.note(`${answer.step} skipped by ${answer.by}: ${answer.reason}`);
    return { kind: 'skip', step: answer.step };
  } finally {
    run.waited('hold', reason, since);
    run.holding = null;
  }
}

const answered = (run: Run): boolean => run.holding!.answer !== null || run.interrupt !== null;

/**
 * Nothing else ends the outage of a source that this run fenced and that did not answer when the hold began, for instance
 * because it was just being stopped: it is looked at again, ever more rarely.
 * @param since the change of the engine since which it is
 */
async function lookAtHeldSource(run: Run, since: string): Promise<void> {
  let waitMs = run.plan?.policy.freezeBudgetMs ?? 0;
  while (run.plan !== null && holdsLivingSource(run) && patched(since)) {
    if (await condition(() => answered(run), waitMs, { summary: 'look at the source again' })) return;
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
    const looks = await lookAtHeld(run);
    const help = helps(looks);
    // Its fence did not hold, or was never made.
    const writes = !help && looks.every(({ stopped }) => !stopped) && patched('let-go-each-store');
    if (answered(run) || !(help || writes)) continue;
    const { holding } = run;
    holding!.reason = help
      ? await letGoBeside(run, holding!.reason)
      : `${holding!.reason.replace(/\.$/, '')}; the source accepts writes, as was seen later`;
    run.phase = 'holding';
    run.note(`holding: ${holding!.reason}`);
    run.tell('run-held', holding!.reason);
    if (writes) return;
  }
}

/** A pause takes effect between stages and between weights, never once writes have been stopped. */
export async function checkpoint(run: Run, stage: Stage): Promise<void> {
  await waitWhilePaused(run, stage);
  if (run.interrupt !== null) throw new Interrupted(run.takeInterrupt()!);
}

/** Between the first stage that stops writes and the one that lets them go on again. */
function insideCut(run: Run, stage: Stage): boolean {
  return FROZEN.includes(stage.name) && [...run.doneStages].some((s) => FROZEN.includes(s.name));
}

/** Whether it was a halt that spoke, by its workflow ID. */
export const isHalt = (by: string): boolean => by.startsWith('halt/');

/** Returns at a person's `resume`, or at a word that ends what is paused. */
export async function waitWhilePaused(run: Run, stage: Stage): Promise<void> {
  while (run.paused !== null && run.interrupt === null && !insideCut(run, stage)) {
    const since = Date.now();
    const { by } = run.paused;
    run.note(`paused by ${by}`);
    run.tell('run-paused', `paused by ${by}`);
    await condition(() => run.paused === null || run.interrupt !== null);
    run.waited('pause', `paused by ${by}`, since);
    if (run.paused === null && isHalt(by) && (await isStillOpen(run))) {
      run.paused ??= { by, since: Date.now() };
      run.note(`${by} is still open: end it first, with rampart resume ${run.record.service}`);
    }
    if (run.paused === null) run.tell('run-resumed', 'going on after the pause');
  }
}

/** Asked anew: a halt that was terminated tells nobody, and must not keep a run for ever. */
async function isStillOpen(run: Run): Promise<boolean> {
  const { name, group } = run.resolved!.service;
  const halt = await control.openHalt({ service: group === undefined ? { name } : { name, group } });
  return halt !== null && !halt.ending;
}
