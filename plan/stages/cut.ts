/** The data cut: quiesce, switch or fence, catch up, promote, verify, route. What nobody can write in between. */
import type { RegionName } from '../../topology/model.ts';
import { adopted, undoneBy } from '../adopted.ts';
import type { Step } from '../model.ts';
import {
  isOpen,
  type NodeView,
  nodesAt,
  type PlaceGroup,
  placeGroups,
  queueOf,
  type StoreView,
  sideState,
} from '../sides.ts';
import { ahead, atomicMoving, movesStores, type Situation, stagedMoving, targetNode, toFence } from '../situation.ts';
import { crosses, givenUp, step } from './step.ts';

/**
 * Writers of services that write locally are stopped; the others go on through the writer endpoint. Where an earlier
 * run has done that and fenced, it is done again: only so the way back lets them write as well.
 */
export function quiesceSteps(situation: Situation): Step[] {
  const { from, input, parts, course, mode, reading } = situation;
  const again = course.entry === 'fence' && !course.past && reading.fromSource !== 'none';
  if (!movesStores(situation) || !(ahead(situation, 'quiesce') || again)) return [];
  if (from === null || input.service.writes !== 'local') return [];
  return parts.workloads
    .filter((workload) => workload.sides[from] !== undefined)
    .map((workload) =>
      step(situation, 'quiesce', 'quiesceWorkload', {
        id: `quiesce:${workload.name}@${from}`,
        summary: `Stop the writers of ${workload.name} in ${from}`,
        component: workload.name,
        region: from,
        place: queueOf(workload, from),
        effect: 'reversible',
        ...(course.past
          ? {}
          : {
              undo: {
                summary: `Let ${workload.name} in ${from} write again`,
                // An unplanned run does not wait to read what the source was: it was serving.
                ...(mode === 'unplanned' && adopted(situation, `save:${workload.name}@${from}`) === null
                  ? { verb: 'scaleWorkload' as const, input: {} }
                  : { verb: 'restoreWorkload' as const, ...undoneBy(situation, `save:${workload.name}@${from}`) }),
              },
            }),
        ...givenUp(situation, from),
      }),
    );
}

/**
 * Stores that switch in one call of their provider; it fences and catches up by itself. One attempt each, like a
 * promotion: a lost answer is looked at, never repeated blindly.
 */
export function switchoverSteps(situation: Situation): Step[] {
  const { from, to, mode } = situation;
  const how =
    mode === 'planned' ? 'in one call of its provider' : 'in one call of its provider, losing what has not arrived';
  return atomicMoving(situation).map(({ store }) =>
    step(situation, 'promote-atomic', 'switchover', {
      id: `switchover:${store.name}`,
      summary: `Switch ${store.name} from ${from} to ${to} ${how}`,
      component: store.name,
      region: to,
      place: store.queue,
      input: { from, to, mode },
      effect: 'irreversible',
      attempts: 1,
      onFailure: 'hold',
    }),
  );
}

const fenceId = (view: StoreView, from: RegionName, group: PlaceGroup) =>
  `fence:${view.store.name}@${from}${group.suffix}`;
const proveId = (view: StoreView, from: RegionName, group: PlaceGroup) =>
  `prove:${view.store.name}@${from}${group.suffix}`;

/** Receipts of a side's place-groups: `fence` where there is one, else `fence.0`, `fence.1`, … */
function listed(name: string, ids: readonly string[]): Record<string, string> {
  if (ids.length === 1) return { [name]: ids[0]! };
  return Object.fromEntries(ids.map((id, i) => [`${name}.${i}`, id]));
}

/** Every node of the source side, proven unable to write. */
export function fenceSteps(situation: Situation): Step[] {
  const { from, to, course } = situation;
  return toFence(situation).flatMap((view) =>
    placeGroups(view.store, from!).map((group) => {
      const again = sideState(view, from) === 'fenced';
      const { name } = view.store;
      return step(situation, 'fence', 'fence', {
        id: fenceId(view, from!, group),
        summary: again ? `Prove that ${name} in ${from} is still fenced` : `Fence ${name} in ${from}`,
        component: name,
        region: from,
        nodes: group.nodes,
        place: group.queue,
        effect: 'reversible',
        ...(course.past
          ? {}
          : {
              undo: {
                verb: 'unfence' as const,
                summary: `Let ${name} in ${from} accept writes again`,
                input: { to },
                ...(nodesAt(view, from).some(fencedByLost) ? { adopted: true } : {}),
              },
            }),
        ...givenUp(situation, from),
      });
    }),
  );
}

/** What only moved traffic has fenced nothing, and who stopped it then is not known. */
const fencedByLost = (node: NodeView): boolean => isOpen(node) && node.seen!.journal!.fencedAt !== null;

/** The target holds everything the source can have acknowledged; beside it the fences are proven once more. */
export function catchUpSteps(situation: Situation): Step[] {
  const { from, to, mode } = situation;
  return stagedMoving(situation).flatMap((view) => {
    const { store } = view;
    const groups = from === null || store.sides[from] === undefined ? [] : placeGroups(store, from);
    const target = targetPlace(situation, view);
    const catchUp = step(situation, 'catch-up', 'awaitCatchUp', {
      id: `catchUp:${store.name}`,
      summary:
        mode === 'planned'
          ? `Wait until ${store.name} in ${to} has applied everything`
          : `Record how far ${store.name} in ${to} got, and what is lost`,
      component: store.name,
      region: to,
      ...target,
      needs: listed(
        'fence',
        groups.map((group) => fenceId(view, from!, group)),
      ),
    });
    const proofs = groups.map((group) =>
      step(situation, 'catch-up', 'prove', {
        id: proveId(view, from!, group),
        summary: `Prove that the fence of ${store.name} in ${from} holds`,
        component: store.name,
        region: from,
        nodes: group.nodes,
        place: group.queue,
        ...givenUp(situation, from),
      }),
    );
    return [catchUp, ...proofs];
  });
}

/** The point of no return. One attempt each: a lost answer is looked at, never repeated blindly. */
export function promoteSteps(situation: Situation): Step[] {
  const { from, to } = situation;
  return stagedMoving(situation).map((view) => {
    const { store } = view;
    const groups = from === null || store.sides[from] === undefined ? [] : placeGroups(store, from);
    const target = targetPlace(situation, view);
    return step(situation, 'promote', 'promote', {
      id: `promote:${store.name}`,
      summary: `Promote ${store.name} in ${to}`,
      component: store.name,
      region: to,
      ...target,
      input: { from, to, node: target.nodes?.[0] ?? null },
      needs: {
        ...listed(
          'fence',
          groups.map((group) => fenceId(view, from!, group)),
        ),
        ...listed(
          'proof',
          groups.map((group) => proveId(view, from!, group)),
        ),
        catchUp: `catchUp:${store.name}`,
      },
      effect: 'irreversible',
      attempts: 1,
      onFailure: 'hold',
    });
  });
}

/** The node at the target that the store is promoted at, and the queue of its worker. */
export function targetPlace(situation: Situation, view: StoreView): { nodes?: string[]; place: string } {
  const { store } = view;
  const side = store.sides[situation.to];
  const chosen = targetNode(situation, view) ?? nodesAt(view, situation.to)[0];
  const declared = side?.nodes.find((node) => node.name === chosen?.name);
  if (declared === undefined) return { place: store.queue };
  return { nodes: [declared.name], place: declared.queue };
}

/** Exactly one writable side, with a write probe. */
export function verifySteps(situation: Situation): Step[] {
  const { from, to } = situation;
  if (!ahead(situation, 'verify') || !['failover', 'failback'].includes(situation.input.request.action)) return [];
  return situation.parts.stores.map((view) =>
    step(situation, 'verify', 'verifyWritable', {
      id: `verify:${view.store.name}`,
      summary: `Verify that ${view.store.name} is writable in ${to} and nowhere else`,
      component: view.store.name,
      region: to,
      ...targetPlace(situation, view),
      input: { from, to },
    }),
  );
}

/** Writer endpoints point at the target. Undone only in a plan that promotes nothing. */
export function routeSteps(situation: Situation): Step[] {
  const { to, input } = situation;
  if (!ahead(situation, 'route') || !['failover', 'failback'].includes(input.request.action)) return [];
  return situation.parts.endpoints.map((router) => {
    const weights = Object.fromEntries(Object.keys(router.sides).map((region) => [region, region === to ? 100 : 0]));
    const before = input.observations.routers[router.name]?.weights;
    return step(situation, 'route', 'setWeights', {
      id: `route:${router.name}`,
      summary: `Point ${router.name} at ${to}`,
      component: router.name,
      place: router.queue,
      input: { weights },
      effect: 'reversible',
      ...(crosses(situation) || !before
        ? {}
        : {
            undo: {
              verb: 'setWeights' as const,
              summary: `Point ${router.name} back where it was`,
              input: { weights: before },
            },
          }),
    });
  });
}
