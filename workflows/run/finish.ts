/** The end of a run: settings that are still to be put back, the debt it leaves, and the record closed. */
import { patched } from '@temporalio/workflow';
import type { Outcome } from '../../evidence/record.ts';
import { countUndo } from './counted.ts';
import { causeOf } from './errors.ts';
import { showProgress } from './progress.ts';
import { callFor, optionsFor, schedule } from './schedule.ts';
import type { Run } from './state.ts';
import type { UndoEntry } from './undo.ts';

/**
 * Settings of routers that a plan changed which escalation replaced: the values read before that are the originals,
 * whatever the new plan read. Tried once each: what fails is debt, never a reason to hold a safe service.
 */
export async function restoreSettings(run: Run): Promise<void> {
  const { discarded, pending } = run.undo.settingsLeft(run.record.plans.length);
  // A service that keeps no data never crosses the point of no return: nothing of it is ever discarded.
  const kept = pending.length > 0 && patched('settings-of-earlier-plans') ? pending : [];
  for (const entry of [...discarded, ...kept]) {
    run.undo.settled(entry);
    try {
      await putBack(run, entry);
      entry.record.state = 'done';
      entry.record.endedAt = Date.now();
      countUndo(run, entry.undo, 'done');
    } catch (error) {
      entry.record.state = 'debt';
      entry.record.note = causeOf(error).message;
      countUndo(run, entry.undo, 'failed');
      run.addDebt({
        code: 'settingNotRestored',
        component: entry.step.component,
        region: entry.step.region,
        message: `not put back: ${entry.undo.summary}: ${causeOf(error).message}`,
        remedy: `put it back by hand; \`rampart escape ${run.record.service}\` prints the commands`,
      });
    }
  }
}

/** Sends an undo once, with the limits of an ordinary step. */
export function putBack(run: Run, { step, undo, given }: UndoEntry) {
  const restore = {
    ...step,
    id: `undo:${step.id}`,
    summary: undo.summary,
    verb: undo.verb,
    input: undo.input,
    place: undo.place ?? step.place,
    effect: 'reversible' as const,
  };
  return schedule(undo.verb, callFor(run, restore, given), optionsFor(restore, null));
}

/** Closes a run that came to its end, naming what it leaves unprotected. */
export function finish(run: Run): void {
  const p = run.plan!;
  const stores = Object.values(p.components).filter((c) => c.role === 'store');
  if (p.mode === 'unplanned' && p.from !== null)
    for (const store of stores.filter((c) => c.sides[p.from!] !== undefined)) {
      const back = run.record.steps.some(
        (s) => ['rejoin', 'rebuild'].includes(s.verb) && s.component === store.name && s.state === 'done',
      );
      if (!back)
        run.addDebt({
          code: 'replicaMissing',
          component: store.name,
          region: p.from,
          message: `${store.name} in ${p.from} is no replica: ${p.to} is unprotected`,
          remedy: `rampart reprotect ${run.record.service}`,
        });
    }
  // The side was given up before; this run has found it on its own and made it harmless.
  if (p.request.action === 'refence')
    for (const step of run.record.steps.filter((s) => s.verb === 'fence' && s.state === 'done'))
      run.addDebt({
        code: 'replicaMissing',
        component: step.component,
        region: step.region,
        message: `${step.component} in ${step.region} is fenced and no replica: ${p.to} is unprotected`,
        remedy: `rampart reprotect ${run.record.service}`,
      });
  const debts = run.record.debt.length;
  const debt = debts === 0 ? '' : ` It leaves ${debts} protection debt${debts === 1 ? '' : 's'}.`;
  const done =
    p.request.action === 'refence'
      ? `${p.from} of ${run.record.service} is fenced; ${p.to} stays active.`
      : `${p.request.action} of ${run.record.service} to ${p.to} is complete.`;
  close(run, 'completed', `${done}${debt}`);
}

export function close(run: Run, outcome: Outcome, text: string): void {
  run.close(outcome, text);
  showProgress(run);
}
