/** What each strength of a fence proof means, in the words that people decide on. Pure. */
import type { FenceStrength } from '../drivers/ports.ts';

/** Strongest first. */
export const STRENGTHS: readonly FenceStrength[] = ['stopped', 'provider', 'sessions', 'lease', 'person', 'none'];

const MEANS: Record<FenceStrength, string> = {
  stopped: 'it does not run as a primary, and whoever starts it gets it read-only',
  provider: 'its provider says that the writer has moved; the old one was not looked at',
  sessions: 'it runs, and no session can write, as it says itself; an administrator can end that with one statement',
  lease: 'its lease has run out by the clock; a process that stood still, or a wrong clock, may still write',
  person: 'a person says that it cannot write; nothing was measured',
  none: 'nothing shows that it cannot write; whatever it still accepts is lost or makes a second history',
};

/** `"sessions" (it runs, and no session can write, …)`. */
export const strengthText = (strength: FenceStrength): string => `"${strength}" (${MEANS[strength]})`;

/** Whether a proof is at least as strong as what a tier asks for. */
export function suffices(strength: FenceStrength, asked: FenceStrength): boolean {
  return STRENGTHS.indexOf(strength) <= STRENGTHS.indexOf(asked);
}

export function weakestOf(strengths: readonly FenceStrength[]): FenceStrength {
  if (strengths.length === 0) return 'none';
  return STRENGTHS[Math.max(...strengths.map((strength) => STRENGTHS.indexOf(strength)))]!;
}
