/** What keeps a drill whose legs both ended well from having passed. Pure. */
import type { DrillRecord } from '../../evidence/record.ts';

/**
 * @param dwellMs time that was asked for on the other side, in milliseconds
 * @returns a sentence each; empty when nothing does
 */
export function shortcomings({ legs, dwell, reasons }: DrillRecord, dwellMs: number): string[] {
  const found: string[] = [];
  const stayed = dwell === null || dwell.endedAt === null ? 0 : dwell.endedAt - dwell.startedAt;
  // Said already where a word or a check ended it.
  if (stayed < dwellMs && reasons.length === 0)
    found.push(`it stayed ${Math.round(stayed / 1000)} s on the other side, not ${Math.round(dwellMs / 1000)} s`);
  for (const leg of legs) {
    for (const { name, target, actual, met } of leg.objectives)
      if (met === false) found.push(`${leg.action}: ${name} was ${actual}, the objective is ${target}`);
    if (leg.loss !== null && leg.loss.kind !== 'none')
      found.push(`${leg.action}: writes may be lost (${leg.loss.note || leg.loss.kind})`);
  }
  for (const debt of legs.at(-1)?.debt ?? []) found.push(`left unprotected: ${debt.message}`);
  const failed = (dwell?.checks ?? []).filter(({ outcome }) => outcome !== 'pass').length;
  const all = dwell?.checks?.length ?? 0;
  // A round now and then is what the tolerance is for; more than one in twenty is no health.
  if (all > 0 && failed / all > 0.05) found.push(`${failed} of ${all} checks on the other side did not pass`);
  return found;
}
