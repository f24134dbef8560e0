/** Whether a run is between the first stage that stops writes and the one that lets them go on. Pure. */
import { FROZEN, type StageName } from './model.ts';

interface Standing {
  phase: string;
  stages: ReadonlyArray<{ name: StageName; state: string }>;
}

/** A run that is paused, holds or waits before it has stopped writes, or after its last such stage, is not inside. */
export function isInsideCut({ phase, stages }: Standing): boolean {
  const frozen = (name: string): boolean => (FROZEN as readonly string[]).includes(name);
  const current = stages.find(({ state }) => state === 'running' || state === 'failed');
  if (current === undefined || !frozen(current.name)) return false;
  if (phase === current.name) return true;
  // One that holds has either stopped writes in a stage that is done, or has let them go on again.
  return stages.some(({ name, state }) => frozen(name) && state === 'done');
}
