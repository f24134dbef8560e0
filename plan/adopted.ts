/**
 * Settings that an earlier run read before it changed them and wrote into its journal. They are the originals: what is
 * read now is what that run left behind. Pure.
 */
import type { Json, Weights } from '../drivers/ports.ts';
import type { Component } from '../topology/model.ts';
import type { Undo } from './model.ts';
import { weightsOf } from './parts.ts';
import { isOpen, sideState } from './sides.ts';
import type { Situation } from './situation.ts';

/**
 * Where a journal says, beside the settings, from where to where the run that read them was to go, and as `traffic`
 * whether it moved traffic on the way there.
 */
export const MOVE = 'move';
/** Where the receipt of a router's save step has what it sent where, beside the settings that its driver read. */
export const WEIGHTS = 'weights';

/** The facts that the save step `id` found in the run whose journal is still open, or `null`. The newest claim counts. */
export function adopted(situation: Situation, id: string): Record<string, Json> | null {
  for (const saved of savedIn(situation)) {
    const move = saved[MOVE];
    // That move stands, this one leads away from where it led: what its sides were before it is nothing to go back to.
    if (id.includes('@') && isObject(move) && move.to === situation.from && !cameToNothing(situation, move)) continue;
    const receipt = saved[id];
    if (!isObject(receipt)) continue;
    // A journal keeps the whole receipt of the save step.
    return isObject(receipt.facts) ? receipt.facts : receipt;
  }
  return null;
}

/**
 * What a router sent where before a ramp that did not come to its end moved its traffic, with the settings it had then;
 * `null` where it sends that still. Of a move that promoted the weights are how it stands.
 */
export function movedBefore(
  situation: Situation,
  router: Component,
): { weights: Weights; saved: Record<string, Json> } | null {
  const { input, course, from, to } = situation;
  const present = weightsOf(input, router);
  const [newest] = savedIn(situation);
  const move = newest?.[MOVE];
  const receipt = newest?.[`save:${router.name}`];
  if (present === null || course.past || !isObject(move) || move.traffic !== true) return null;
  if (!isObject(receipt) || !isObject(receipt[WEIGHTS])) return null;
  if (!cameToNothing(situation, move) && !(move.from === from && move.to === to)) return null;
  const weights = receipt[WEIGHTS] as Weights;
  const moved = Object.keys(present).some((region) => present[region] !== (weights[region] ?? 0));
  return moved ? { weights, saved: isObject(receipt.facts) ? receipt.facts : {} } : null;
}

/**
 * The move of an open journal that never came about: the side it was to leave is still the one that accepts writes.
 * What its run changed on the way there is changed still, and nobody else puts it back.
 */
export function unmade(situation: Situation): Record<string, Json> | null {
  const [newest] = savedIn(situation);
  const move = newest?.[MOVE];
  return isObject(move) && cameToNothing(situation, move) ? move : null;
}

/** A side that is fenced was writable before: what was to come there had come. */
function cameToNothing({ parts }: Situation, { from, to }: Record<string, Json>): boolean {
  const one = (region: Json | undefined, states: readonly string[]) =>
    parts.stores.some((view) => states.includes(sideState(view, region as string)));
  return one(from, ['writable']) && !one(to, ['writable', 'fenced']);
}

/** What the open journals hold, the newest claim's first. */
function savedIn({ parts }: Situation): Array<Record<string, Json>> {
  return parts.stores
    .flatMap((view) => view.nodes.filter(isOpen).map((node) => node.seen!.journal!))
    .sort((a, b) => b.epoch - a.epoch)
    .map(({ saved }) => saved);
}

/** Where a step that puts settings back has them from: the open journal, else this run's own save step. */
export function savedBy(situation: Situation, id: string): Pick<Undo, 'input' | 'needs'> {
  const saved = adopted(situation, id);
  return saved === null ? { input: {}, needs: { saved: id } } : { input: { saved } };
}

/** The same for an undo, which takes over what that journal's run has changed. */
export function undoneBy(situation: Situation, id: string): Pick<Undo, 'input' | 'needs' | 'adopted'> {
  const by = savedBy(situation, id);
  return by.needs === undefined ? { ...by, adopted: true } : by;
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
