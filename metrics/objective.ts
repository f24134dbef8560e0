/** Objectives as labels: a closed set, whatever their names say to people. */

export type ObjectiveLabel = 'rto' | 'rpo' | 'freeze' | 'ramp' | 'protection' | 'writes' | 'other';

const LABELS: ReadonlyArray<readonly [RegExp, ObjectiveLabel]> = [
  [/\(RTO\)|^RTO$/, 'rto'],
  [/\(RPO\)|^RPO$/, 'rpo'],
  [/\(freeze\)/, 'freeze'],
  [/^Traffic ramp/, 'ramp'],
  [/^Protection/, 'protection'],
  [/writes/i, 'writes'],
];

/** @param name as the record has it, such as `Recovery time (RTO)` */
export function objectiveLabel(name: string): ObjectiveLabel {
  return LABELS.find(([pattern]) => pattern.test(name))?.[1] ?? 'other';
}
