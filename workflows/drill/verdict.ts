/** What keeps a drill whose legs both ended well from having passed. Pure. */
import type { DrillRecord, DwellRecord } from '../../evidence/record.ts';

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
  return [...found, ...checkShortcomings(dwell)];
}

/** A round now and then is what the tolerance is for; more than one measurement in twenty that does not pass is no health. */
export function checkShortcomings(dwell: DwellRecord | null): string[] {
  const all = dwell?.checks ?? [];
  const failed = all.filter(({ outcome }) => outcome !== 'pass');
  if (failed.length * 20 <= all.length) return [];
  const names = [...new Set(failed.map(({ name }) => name))].join(', ');
  return [`${failed.length} of ${all.length} checks did not pass (${names})`];
}
