/** How a step is written down, with what its verb and its stage say about limits and failure. Pure. */
import { FROZEN, type StageName, type Step, type Undo, type Verb } from '../model.ts';
import type { Situation } from '../situation.ts';
import { LOST_SIDE_WAIT_MS, limitOf } from '../timeouts.ts';

export interface Draft extends Partial<Step> {
  id: string;
  summary: string;
  place: string;
  undo?: Undo;
}

/** Stages before the first promotion. The others run when going back means a failback. */
const BEFORE: readonly StageName[] = ['preflight', 'prepare', 'quiesce', 'fence', 'catch-up'];

/** A step with the defaults of its verb, stage and plan; the draft has the last word. */
export function step(situation: Situation, stage: StageName, verb: Verb, draft: Draft): Step {
  const { input, mode, course } = situation;
  const before = !course.past && (BEFORE.includes(stage) || !crosses(situation));
  // Inside the freeze nothing may outlast the budget while there is still a way back.
  const frozen = before && mode === 'planned' && FROZEN.includes(stage);
  const own = limitOf(verb, input.components[draft.component ?? '']?.capabilities);
  const limit = frozen ? Math.min(own, input.service.tier.freezeBudgetMs) : own;
  return {
    verb,
    component: null,
    region: null,
    input: {},
    effect: 'none',
    timeoutMs: limit,
    onFailure: before ? input.service.onFailure[mode] : 'hold',
    ...draft,
  };
}

/** Whether the plan has, or had, a point of no return. */
export function crosses(situation: Situation): boolean {
  const { action } = situation.input.request;
  return situation.course.past || ((action === 'failover' || action === 'failback') && situation.moving.length > 0);
}

/** What an unplanned run adds to a step on the side it gives up: one short try, and on with the run. */
export function givenUp(situation: Situation, region: string | null): Partial<Step> {
  const { mode, from, to, input } = situation;
  const source = region === from && mode === 'unplanned' && !['reprotect', 'refence'].includes(input.request.action);
  // Regions that take no part are claimed where they answer; the run does not depend on them.
  const bystander = region !== from && region !== to;
  if (!source && !bystander) return {};
  return { onFailure: 'continue', attempts: 1, scheduleToStartMs: LOST_SIDE_WAIT_MS };
}
