/** The step boundaries of a run, read off its compiled plan, and the cells that the matrix makes of them. Pure. */
import type { Action, Plan, Step } from '../../plan/model.ts';

/** What befalls a run. */
export const FAULTS = [
  'kill-control-worker',
  'kill-region-worker',
  'kill-temporal',
  'kill-old-primary',
  'kill-old-primary-behind',
  'kill-new-primary',
  'freeze-old-primary',
  'freeze-worker',
  'cancel',
  'abort',
  'duplicate-start',
  // Rampart's own disasters.
  'lose-temporal',
  'second-orchestrator',
  'escape-by-hand',
] as const;
export type Fault = (typeof FAULTS)[number];

/**
 * Faults whose outcome depends on how far a run has come, and not on the step it is at: once a stage, where one of its
 * steps ends (or begins, where none of them changes anything).
 */
export const ONCE_A_STAGE: readonly Fault[] = [
  'kill-old-primary-behind',
  'lose-temporal',
  'second-orchestrator',
  'escape-by-hand',
];

/** What a fault at the old primary says when the run has stopped that before. */
export const STOPPED = 'was stopped already: nothing was done';

/** A moment of a run, as its history shows it. */
export interface Boundary {
  stage: string;
  /** Step id with `source` and `target` for the regions; `start` and `gate:<name>` for what is no step. */
  step: string;
  /** `scheduled`: an attempt may be about to act, or acting. `closed`: it has acted, and nothing has followed yet. */
  moment: 'scheduled' | 'closed';
  /** Side whose worker runs the step; control steps have none. */
  side: 'source' | 'target' | null;
}

export interface Cell {
  /** `failover/fence:orders-db@source/scheduled/kill-temporal` */
  id: string;
  action: Action;
  boundary: Boundary;
  fault: Fault;
}

/** A text of a run with the two regions named by their part in it, so that cells are the same in both directions. */
export function bySide(text: string, { from, to }: { from: string | null; to: string }): string {
  const named = from === null ? text : text.replaceAll(from, 'source');
  return named.replaceAll(to, 'target');
}

/**
 * Every boundary of an undisturbed run of this plan: its start, its gates, each step's scheduling, and the end of each
 * step that changes something. Steps that wait for what others find (`onlyIf`) do not run in it.
 */
export function boundariesOf(plan: Plan): Boundary[] {
  const found: Boundary[] = [{ stage: 'start', step: 'start', moment: 'scheduled', side: null }];
  for (const { name: stage, gate, steps } of plan.stages) {
    if (gate?.kind === 'always') found.push({ stage, step: `gate:${gate.name}`, moment: 'scheduled', side: null });
    for (const step of steps.filter(({ onlyIf }) => onlyIf === undefined)) {
      const boundary = { stage, step: bySide(step.id, plan), side: sideOf(step, plan) };
      found.push({ ...boundary, moment: 'scheduled' });
      if (step.effect !== 'none') found.push({ ...boundary, moment: 'closed' });
    }
  }
  return found;
}

function sideOf({ place }: Step, { from, to }: Plan): Boundary['side'] {
  if (from !== null && place.startsWith(`rampart.${from}`)) return 'source';
  return place.startsWith(`rampart.${to}`) ? 'target' : null;
}

/** Each boundary with each fault; those of `ONCE_A_STAGE` at one boundary of each stage. */
export function cellsOf(action: Action, boundaries: readonly Boundary[]): Cell[] {
  const stages = new Map<string, Boundary>();
  // By name, because steps beside each other are planned in another order for the other direction.
  const name = ({ moment, step }: Boundary): string => `${moment} ${step}`;
  for (const boundary of [...boundaries].sort((a, b) => (name(a) < name(b) ? -1 : 1)))
    if (!stages.has(boundary.stage)) stages.set(boundary.stage, boundary);
  return boundaries.flatMap((boundary) =>
    FAULTS.filter((fault) => !ONCE_A_STAGE.includes(fault) || stages.get(boundary.stage) === boundary).map((fault) => ({
      id: cellId(action, boundary, fault),
      action,
      boundary,
      fault,
    })),
  );
}

export function cellId(action: Action, { step, moment }: Pick<Boundary, 'step' | 'moment'>, fault: Fault): string {
  return `${action}/${step}/${moment}/${fault}`;
}
