/**
 * A source that is fenced and could write if it were not (I2). A planned run has a timer for that; an unplanned one may
 * work as long as it takes, because nothing else ends the outage, but it does not wait for people with such a source.
 */
import { patched } from '@temporalio/workflow';
import type { Step } from '../../plan/model.ts';
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

/** A held source as it looks now. */
export interface Look {
  step: Step;
  /** No node of it accepts writes. */
  stopped: boolean;
  answers: boolean;
}

/** Looks at every held source, once for each store and region. */
export async function lookAtHeld(run: Run): Promise<Look[]> {
  const held = new Map(heldBy(run).map(({ step }) => [`${step.component} ${step.region}`, step]));
  return Promise.all(
    [...held.values()].map(async (step) => {
      const seen = await lookAtSide(run.resolved!.components[step.component!]!, step.region!, identityOf(run));
      // Seen from beside it and over the network; a stopped one answers one way only.
      const answering = new Set(
        seen.filter(({ state }) => !['unreachable', 'unknown'].includes(state)).map((n) => n.node),
      );
      const stopped = !seen.some(({ state }) => state === 'writable');
      return { step, stopped, answers: seen.every(({ node }) => answering.has(node)) };
    }),
  );
}

/**
 * Whether letting go would help: a side that does not answer cannot be unfenced, and waiting for it would only take the
 * gate away from people; a store that writes is not held, but another of the service may be.
 */
export function helps(looks: readonly Look[]): boolean {
  if (looks.every(({ answers }) => answers)) return looks.some(({ stopped }) => stopped);
  return looks.some(({ stopped, answers }) => stopped && answers) && patched('let-go-each-store');
}

/** Looks whether letting go would help. */
export const couldLetGo = async (run: Run): Promise<boolean> => helps(await lookAtHeld(run));
