/** What a run loses as far as it is known now, of all of its stores together. */
import type { CatchUpReceipt, LossStatement } from '../../drivers/ports.ts';
import { type ByStore, closeLoss, combineLoss, noLoss } from '../../plan/loss.ts';
import type { Step } from '../../plan/model.ts';
import { fencedSince } from './proof.ts';
import type { Run } from './state.ts';

/**
 * What the catch-up steps stated, of all stores together, with what was known of those that a provider switches and of
 * those of which one of two writable sides is left behind; before them, the facts' estimate.
 */
export function lossNow(run: Run): LossStatement {
  const steps = run.plan!.stages.flatMap((s) => s.steps);
  const caught = steps.filter((s) => s.verb === 'awaitCatchUp');
  const stated = caught.flatMap((s) => {
    const receipt = run.receipts.get(s.id) as CatchUpReceipt | undefined;
    return receipt?.catchUp === undefined ? [] : [[s.component!, receipt.catchUp.loss] as const];
  });
  const provided = providedLoss(run, steps);
  const left = leftBehindLoss(run, caught);
  if (stated.length < caught.length || stated.length + provided.length + left.length === 0)
    return run.facts?.loss ?? noLoss('');
  return combineLoss([...stated, ...provided, ...left]);
}

/** The window of a store that its provider switches closes when the provider says that the writer has moved. */
function providedLoss(run: Run, steps: readonly Step[]): ByStore {
  const known = run.facts?.lossByProvider ?? {};
  return steps
    .filter((s) => s.verb === 'switchover' && known[s.component!] !== undefined)
    .map((s) => {
      const loss = known[s.component!]!;
      // The record has steps of earlier plans, too, under the same names; receipts are of this one.
      const switched = run.receipts.has(s.id);
      const done = switched ? run.record.steps.findLast((one) => one.id === s.id && one.state === 'done') : undefined;
      if (done?.endedAt == null) return [s.component!, loss] as const;
      const note = `The provider's own fence of ${run.plan!.from} is best effort: what was accepted there after ${new Date(done.endedAt).toISOString()} is lost as well.`;
      return [s.component!, closeLoss(loss, done.endedAt, note)] as const;
    });
}

/**
 * Of a store that is writable at both sides no step states what the one that is fenced has acknowledged alone. Facts
 * that are measured once it is fenced do not know of it any more: those of the plan do. Its window ends with the fence.
 */
function leftBehindLoss(run: Run, caught: readonly Step[]): ByStore {
  const known = { ...run.plan!.facts.lossLeftBehind, ...run.facts?.lossLeftBehind };
  return Object.entries(known)
    .filter(([store]) => !caught.some((s) => s.component === store))
    .map(([store, loss]) => {
      const at = fencedSince(run, store);
      const note = `It stays in ${run.plan!.from}.`;
      return [store, at === null ? loss : closeLoss(loss, at, note)] as const;
    });
}
