/**
 * A source that is fenced and could write if it were not (I2). A planned run has a timer for that; an unplanned one may
 * work as long as it takes, because nothing else ends the outage, but it does not wait for people with such a source.
 */
import { patched } from '@temporalio/workflow';
import { lookAtSide } from './measure.ts';
import { identityOf, type Run } from './state.ts';
import type { UndoEntry } from './undo.ts';

/** The fences of this run, found ones included, that keep a living source from writing. */
function heldBy(run: Run): UndoEntry[] {
  if (run.pastPointOfNoReturn) return [];
  return run.undo.pending().filter(({ step, undo }) => {
    if (undo.verb !== 'unfence') return false;
    return (
      run.lived.has(step.region!) ||
      run.record.steps.some((s) => s.id === step.id && s.facts.stoppedWrites === true) ||
      (run.foundFenced.has(step.region!) && patched('found-fence-is-held'))
    );
  });
}

/** Whether waiting now would keep a source from writing that could write before this run fenced it. */
export const holdsLivingSource = (run: Run): boolean => heldBy(run).length > 0;

/** The regions of such sources. */
export const heldRegions = (run: Run): string[] => [...new Set(heldBy(run).map(({ step }) => step.region!))];

/**
 * Looks whether letting go would help: a side that does not answer cannot be unfenced, and waiting for it would only
 * take the gate away from people; a store that writes is not held, but another of the service may be.
 */
export async function couldLetGo(run: Run): Promise<boolean> {
  const held = new Map(heldBy(run).map(({ step }) => [`${step.component} ${step.region}`, step]));
  const sides = await Promise.all(
    [...held.values()].map((step) =>
      lookAtSide(run.resolved!.components[step.component!]!, step.region!, identityOf(run)),
    ),
  );
  const seen = sides.flat();
  // Seen from beside it and over the network; a stopped one answers one way only.
  const answers = new Set(seen.filter(({ state }) => !['unreachable', 'unknown'].includes(state)).map((n) => n.node));
  const stopped = sides.some((nodes) => !nodes.some(({ state }) => state === 'writable'));
  return stopped && seen.every(({ node }) => answers.has(node));
}
