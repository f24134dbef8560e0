/** Whether a run is between the first stage that stops writes and the one that lets them go on. Pure. */
import { FROZEN, type StageName } from './model.ts';

interface Standing {
  phase: string;
  stages: ReadonlyArray<{ name: StageName; state: string }>;
}

/** A run that is paused or waits before its first such stage, or after its last one, is not inside. */
export function isInsideCut({ phase, stages }: Standing): boolean {
  const frozen = (name: string): boolean => (FROZEN as readonly string[]).includes(name);
  const current = stages.find(({ state }) => state === 'running' || state === 'failed');
  if (current === undefined || !frozen(current.name)) return false;
  if (phase === current.name || phase === 'holding') return true;
  return stages.some(({ name, state }) => frozen(name) && state === 'done');
}
