/**
 * Cells that are the same experiment, so that one of them stands for all: the same fault at the same moment of the same
 * history, or a fault that finds nothing to hurt. What is the same is read off the run that just ended, never assumed.
 */
import { bySide, type Cell, type Fault, STOPPED } from './boundaries.ts';
import type { Mark } from './watch.ts';

/** They strike at the worker of the step, so that steps of one moment differ by their place. */
const AT_THE_PLACE: Fault[] = ['kill-region-worker', 'freeze-worker'];
const AT_THE_OLD_PRIMARY: Fault[] = ['kill-old-primary', 'kill-old-primary-behind', 'freeze-old-primary'];

/**
 * @param did what the fault did in `ran`
 * @param struckAt when it fell, milliseconds since the epoch
 * @param marks of the run that it struck
 * @param others cells of the same action
 * @returns those of `others` that `ran` stands for
 */
export function sameAs(
  ran: Cell,
  did: string,
  struckAt: number,
  marks: readonly Mark[],
  direction: { from: string; to: string },
  others: readonly Cell[],
): Cell[] {
  const { boundary, fault } = ran;
  const task = marks.find((mark) => bySide(mark.step, direction) === boundary.step && mark.kind === 'scheduled')?.task;
  const beside = new Set(
    marks.filter((mark) => mark.kind === 'scheduled' && mark.task === task).map(({ step }) => bySide(step, direction)),
  );
  /** Steps of one workflow task enter the history in one write: there is no moment between them. */
  const atOnce = (other: Cell): boolean =>
    other.fault === fault &&
    task !== undefined &&
    boundary.moment === 'scheduled' &&
    other.boundary.moment === 'scheduled' &&
    beside.has(other.boundary.step) &&
    (!AT_THE_PLACE.includes(fault) || other.boundary.side === boundary.side);
  /** The newest steps of the run when the fault fell, which had not closed then: it fell at their beginning as well. */
  const newest = newestOpen(marks, struckAt).map((step) => bySide(step, direction));
  const fellBeside = (other: Cell): boolean =>
    other.fault === fault &&
    other.boundary.moment === 'scheduled' &&
    newest.includes(other.boundary.step) &&
    (!AT_THE_PLACE.includes(fault) || other.boundary.side === boundary.side);
  const found = did.endsWith(STOPPED);
  const idle = (other: Cell): boolean =>
    found &&
    other.boundary.step === boundary.step &&
    other.boundary.moment === boundary.moment &&
    AT_THE_OLD_PRIMARY.includes(other.fault);
  return others.filter((other) => other.id !== ran.id && (atOnce(other) || fellBeside(other) || idle(other)));
}

/** Steps of the newest workflow task that scheduled any before `at`, as far as they were open at `at`. */
function newestOpen(marks: readonly Mark[], at: number): string[] {
  const before = marks.filter((mark) => mark.at <= at);
  const newest = before.findLast(({ kind }) => kind === 'scheduled')?.task;
  if (newest === undefined) return [];
  const first = before.findIndex(({ task }) => task === newest);
  // A step that closed after it began a new moment, of which these are no longer the newest.
  if (before.slice(first).some(({ kind }) => kind === 'closed')) return [];
  return before.filter(({ task }) => task === newest).map(({ step }) => step);
}
