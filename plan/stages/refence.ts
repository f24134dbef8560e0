/** refence: claims, fences what could write on the side that is not the active one, looks again. Nothing else. */
import type { Stage, Step } from '../model.ts';
import { mayWrite } from '../returned.ts';
import { nodesAt, placeGroups } from '../sides.ts';
import { isStaged, type Situation } from '../situation.ts';
import { leftBehindSteps } from './after.ts';
import { step } from './step.ts';

/**
 * One fence per place of the returned side; its receipt is the proof. No undo: letting the old side write again would
 * make two primaries.
 */
export function refenceStages(situation: Situation, claims: Step[], settle: (earlier: Step[]) => Step[]): Stage[] {
  const { from, to, parts } = situation;
  const concerned = parts.stores.filter((view) => isStaged(view.store) && nodesAt(view, from).some(mayWrite));
  const fences = concerned.flatMap(({ store }) =>
    placeGroups(store, from!).map((group) =>
      step(situation, 'fence', 'fence', {
        id: `fence:${store.name}@${from}${group.suffix}`,
        summary: `Fence the returned ${store.name} in ${from}`,
        component: store.name,
        region: from,
        nodes: group.nodes,
        place: group.queue,
        effect: 'reversible',
        onFailure: 'rollback',
      }),
    ),
  );
  const looks = concerned.map(({ store }) =>
    step(situation, 'verify', 'observeStore', {
      id: `observe:${store.name}`,
      summary: `Observe that ${store.name} accepts writes in ${to} and nowhere else`,
      component: store.name,
      place: store.queue,
      onFailure: 'rollback',
    }),
  );
  const stages: Stage[] = [
    { name: 'prepare', steps: claims },
    { name: 'fence', steps: fences },
    // Clients that still knew its address may have written to it: that is where it can be read best.
    { name: 'verify', steps: [...looks, ...leftBehindSteps(situation, fences)] },
  ];
  return [...stages, { name: 'settle', steps: settle(stages.flatMap((one) => one.steps)) }];
}
