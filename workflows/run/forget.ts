/** Forgets what a stage did, so that it runs anew (after an unfence, or a step back in the ramp). */
import type { Step } from '../../plan/model.ts';
import type { Run } from './state.ts';

export function forget(run: Run, steps: Step[]): void {
  for (const step of steps) run.receipts.delete(step.id);
}
