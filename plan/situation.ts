/** Everything the stages and the findings are made from: the request, what it finds, and what it amounts to. Pure. */
import type { Component, RegionName } from '../topology/model.ts';
import { classify } from './classify.ts';
import { type Course, courseOf, modeOf } from './course.ts';
import { type CompileInput, type Mode, STAGES, type StageName } from './model.ts';
import { type Parts, partsOf, type Reading, regionsOf } from './parts.ts';
import { candidateOf, type NodeView, type StoreView, sideState } from './sides.ts';

export interface Situation {
  input: CompileInput;
  reading: Reading;
  parts: Parts;
  course: Course;
  mode: Mode;
  from: RegionName | null;
  /** Where it goes; a guess when `toKnown` is false, so that there is something to show beside the blocker. */
  to: RegionName;
  toKnown: boolean;
  regions: RegionName[];
  /** Stores that are not writable at the target yet. */
  moving: StoreView[];
}

export function situationOf(input: CompileInput): Situation {
  const parts = partsOf(input);
  const reading = classify(input);
  const regions = regionsOf(input);
  const to = reading.to ?? regions.find((region) => region !== reading.from) ?? input.service.home;
  const moving = parts.stores.filter((view) => !view.writable.some((node) => node.region === to));
  return {
    input,
    reading,
    parts,
    course: courseOf(input, reading, parts),
    mode: modeOf(input.request),
    from: reading.from,
    to,
    toKnown: reading.to !== null,
    regions,
    moving,
  };
}

/** Whether the course still has this stage before it. */
export function ahead({ course }: Situation, stage: StageName): boolean {
  return STAGES.indexOf(stage) >= STAGES.indexOf(course.entry);
}

/** Failover and failback move the writable side; a ramp and a reprotect leave it where it is. */
export function movesStores({ input, course }: Situation): boolean {
  const { action } = input.request;
  return (action === 'failover' || action === 'failback') && STAGES.indexOf(course.entry) <= STAGES.indexOf('promote');
}

export const isStaged = (component: Component) => component.capabilities.cutover !== 'atomic';

/** Stores whose promotion this plan does, one stage after the other. */
export function stagedMoving(situation: Situation): StoreView[] {
  return movesStores(situation) ? situation.moving.filter((view) => isStaged(view.store)) : [];
}

/** Stores that this plan switches in one call of their provider. */
export function atomicMoving(situation: Situation): StoreView[] {
  return movesStores(situation) ? situation.moving.filter((view) => !isStaged(view.store)) : [];
}

/** Stores whose source side is to be fenced: those that move, and those that still could accept writes there. */
export function toFence(situation: Situation): StoreView[] {
  if (!movesStores(situation) || situation.from === null) return [];
  const { from, moving, parts } = situation;
  return parts.stores.filter(
    (view) =>
      isStaged(view.store) &&
      view.store.sides[from] !== undefined &&
      (moving.includes(view) || !['replica', 'fenced'].includes(sideState(view, from))),
  );
}

/** The node that becomes, or is, the primary at the target. */
export function targetNode(situation: Situation, view: StoreView): NodeView | null {
  return candidateOf(view, situation.to, situation.mode);
}

/** True when the plan can be laid out at all: both regions are known and exist. */
export function laidOut({ reading, regions, from, toKnown, to, course }: Situation): boolean {
  return course.nothing === null && toKnown && regions.includes(to) && from !== null && reading.from !== to;
}
