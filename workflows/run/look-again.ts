/**
 * The last look before a promotion that goes on over a weak fence by people's word: they accepted a source that could
 * not be reached. One that answers again is claimed, fenced and proven first, and people are asked anew only about
 * what has become worse: that it accepts writes and could not be fenced.
 */
import type { NodeObservation } from '../../drivers/ports.ts';
import type { Stage, Step } from '../../plan/model.ts';
import type { Component } from '../../topology/model.ts';
import { SourceReturned } from './errors.ts';
import { lookAtSide } from './measure.ts';
import { fencingSteps, freshenProofs, weakness } from './proof.ts';
import { identityOf, type Run } from './state.ts';
import { runStep } from './step.ts';

/**
 * That a side did not answer is known from the moment at which it was asked. When the answer comes later than this, in
 * milliseconds, for instance because the Temporal server was away meanwhile, it tells nothing of now.
 */
const LATE_MS = 15_000;
/** Looks at a side of which every answer comes late: then that it takes so long is how it is. */
const LOOKS = 3;

/** Stores that a stage promotes. */
export function storesOf(stage: Stage): Set<string> {
  return new Set(stage.steps.filter((s) => s.verb === 'promote').map((s) => s.component!));
}

/**
 * Looks at the source of every store that would be promoted over a weak fence.
 * @returns false when people must be asked again about one of them
 * @throws {SourceReturned} when one answers again and is claimed: the run goes back to its fence
 */
export async function approvalStands(run: Run, stage: Stage): Promise<boolean> {
  const weak = [...storesOf(stage)].filter((store) => !promoted(run, stage, store) && weakness(run, store) !== null);
  const seen = await run.interruptible(() => Promise.all(weak.map((store) => look(run, stage, store))));
  const returned = weak.filter((_store, i) => seen[i] === 'fence');
  if (returned.length > 0) {
    const from = Math.min(...returned.map((store) => fenceStage(run, store)));
    for (const step of returned.flatMap((store) => fencingSteps(run, store)))
      if (['fence', 'prove', 'awaitCatchUp'].includes(step.verb)) run.receipts.delete(step.id);
    throw new SourceReturned(from);
  }
  return !seen.includes('ask');
}

const promoted = (run: Run, stage: Stage, store: string): boolean =>
  stage.steps.some((s) => s.verb === 'promote' && s.component === store && run.receipts.has(s.id));

/** `fence`: it answers, is claimed, and is to be fenced. `ask`: it accepts writes, which nobody has accepted. */
async function look(run: Run, stage: Stage, store: string): Promise<'stands' | 'fence' | 'ask'> {
  const { from, components } = run.plan!;
  const component = components[store];
  if (from === null || component?.sides[from] === undefined) return 'stands';
  const nodes = await lookNow(run, component, from);
  if (!nodes.some(answers)) return 'stands';
  const writes = nodes.some((node) => node.state === 'writable');
  const steps = fencingSteps(run, store);
  const complete = steps.every((step) => step.verb === 'awaitCatchUp' || run.receipts.has(step.id));
  // Tried once for each approval: a side that comes and goes must not keep the run from its promotion for ever. Past
  // the point of no return nothing before it is done anew; a person who wants that escalates.
  const untried = !run.fencedAgain.has(store) && !run.pastPointOfNoReturn && fenceStage(run, store) >= 0;
  run.fencedAgain.add(store);
  if (untried && (writes || !complete)) {
    run.note(`${store} in ${from} answers again${writes ? ' and accepts writes' : ''}: it is fenced and proven first`);
    // It may have answered for a moment only.
    return (await claimAgain(run, steps)) ? 'fence' : look(run, stage, store);
  }
  if (writes && !knowingly(run, store)) {
    run.note(`${store} in ${from} accepts writes and is not fenced: that was not what was approved`);
    takeBack(run, stage, store);
    return 'ask';
  }
  for (const promotion of stage.steps.filter((s) => s.component === store)) await freshenProofs(run, promotion);
  return 'stands';
}

async function lookNow(run: Run, component: Component, region: string): Promise<NodeObservation[]> {
  for (let looks = 1; ; looks += 1) {
    const askedAt = Date.now();
    const nodes = await lookAtSide(component, region, identityOf(run));
    const age = Date.now() - askedAt;
    if (nodes.some(answers) || age <= LATE_MS || looks === LOOKS) return nodes;
    run.note(`${component.name} in ${region}: the look at it took ${Math.round(age / 1000)} s, looking again`);
  }
}

/** People were told that it accepts writes and could not be fenced, and approved that. */
const knowingly = (run: Run, store: string): boolean => run.sourceWrites.has(store) && run.weakFenceAccepted.has(store);

const answers = (node: NodeObservation): boolean => node.state !== 'unreachable';

/** Index of the stage that fences the store's source; -1 when the plan has none. */
function fenceStage(run: Run, store: string): number {
  return run.plan!.stages.findIndex((s) => s.steps.some((x) => x.verb === 'fence' && x.component === store));
}

/** Claims what could not be claimed before: a fence counts only under this plan's own claim. */
async function claimAgain(run: Run, steps: Step[]): Promise<boolean> {
  for (const verb of ['readClaim', 'claim']) {
    const missing = steps.filter((step) => step.verb === verb && !run.receipts.has(step.id));
    // Its workers may be back as well: it is waited for them as at first.
    for (const step of missing) run.absentPlaces.delete(step.place);
    await Promise.all(missing.map((step) => runStep(run, 'prepare', step)));
  }
  return steps.every((step) => step.verb !== 'claim' || run.receipts.has(step.id));
}

/** The approval of a weak fence was for another state of this store; for the others it stays. */
function takeBack(run: Run, stage: Stage, store: string): void {
  if (run.overrides.delete('weakFence')) for (const other of storesOf(stage)) run.weakFenceAccepted.add(other);
  run.weakFenceAccepted.delete(store);
  run.sourceWrites.add(store);
}
