/** What the old side holds alone, as a run's steps listed it, made fit for a report. Pure. */
import type { LeftBehind } from '../drivers/ports.ts';
import { count, isoTime, plural, size } from './format.ts';
import type { RunRecord } from './record.ts';

export interface LeftBehindPart {
  where: string;
  /** In a sentence or two: how much, from when to when, and where it can be read. */
  text: string;
  tables: Array<{ table: string; inserted: string; updated: string; deleted: string; select: string }>;
}

/** What was listed, node by node; the last listing of a step counts. */
export function listedOf(record: RunRecord): Array<{ component: string; one: LeftBehind }> {
  const steps = record.steps.filter((step) => step.verb === 'leftBehind' && step.state === 'done');
  const last = new Map(steps.map((step) => [step.id, step]));
  return [...last.values()].flatMap((step) => {
    const found = step.facts.leftBehind;
    const listed = Array.isArray(found) ? (found as unknown as LeftBehind[]) : [];
    return listed.map((one) => ({ component: step.component ?? '', one }));
  });
}

/** One part per node that was listed. */
export function leftBehindOf(record: RunRecord): LeftBehindPart[] {
  return listedOf(record).map(({ component, one }) => partOf(component, one));
}

function partOf(component: string, one: LeftBehind): LeftBehindPart {
  const tables = (one.tables ?? []).map((t) => ({
    table: t.database ? `${t.database}: ${t.table}` : t.table,
    inserted: count(t.inserted),
    updated: count(t.updated),
    deleted: count(t.deleted),
    select: t.select ?? '',
  }));
  return { where: `${component} in ${one.region} (${one.node})`, text: textOf(one), tables };
}

function textOf(one: LeftBehind): string {
  if (one.kind === 'none') return 'Nothing was committed there that did not arrive.';
  if (one.kind === 'unreadable') return `What it holds alone is not known: ${one.note}`;
  const least = one.complete ? '' : 'At least ';
  const others = one.otherCommits > 0 ? `, and ${plural(one.otherCommits, 'commit')} without rows of a table` : '';
  const more = one.moreTables > 0 ? ` ${plural(one.moreTables, 'table')} more are not listed.` : '';
  const range = one.from && one.to ? `, ${one.from.text} to ${one.to.text} on timeline ${one.from.timeline}` : '';
  return `${least}${plural(one.transactions ?? 0, 'transaction')} did not arrive${others}: committed ${isoTime(one.firstCommit)} to ${isoTime(one.lastCommit)}, ${size(one.bytes)} of log${range}.${more} ${one.note}`;
}
