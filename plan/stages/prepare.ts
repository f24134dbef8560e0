/** prepare: claims, saved settings, capacity at the target, and at last the convergence that keeps the freeze short. */
import type { RegionName } from '../../topology/model.ts';
import { movedBefore, undoneBy, unmade } from '../adopted.ts';
import type { Step } from '../model.ts';
import { weightsOf } from '../parts.ts';
import { nodesAt, placeGroups, queueOf, type StoreView } from '../sides.ts';
import { ahead, movesStores, type Situation } from '../situation.ts';
import { givenUp, step } from './step.ts';

/** Longest wait, in milliseconds, for a target that may not get ready before it has its data. */
const UNPLANNED_WAIT_MS = 20_000;

/**
 * Reads every claim first, then claims: the epoch is the highest found plus one. What the save steps read goes into
 * the journal that the claim opens, so that it survives every history.
 */
export function claimSteps(situation: Situation, saves: readonly Step[]): Step[] {
  const { parts, input, regions } = situation;
  const places = parts.stores.flatMap((view) =>
    regions
      .filter((region) => view.store.sides[region] !== undefined)
      .flatMap((region) => placeGroups(view.store, region).map((group) => ({ view, region, group }))),
  );
  const reads = places.map(({ view: { store }, region, group }) =>
    step(situation, 'prepare', 'readClaim', {
      id: `readClaim:${store.name}@${region}${group.suffix}`,
      summary: `Read who claimed ${store.name} in ${region}`,
      component: store.name,
      region,
      nodes: group.nodes,
      place: group.queue,
      ...givenUp(situation, region),
    }),
  );
  // Who does not leave that side in turn goes nowhere: what the journals hold stays the originals of that one's move.
  const move = unmade(situation);
  const about: Step['input'] = { freezeBudgetMs: input.service.tier.freezeBudgetMs };
  if (move !== null && !(movesStores(situation) && move.from === situation.from)) about.move = move;
  if (movesTraffic(situation)) about.traffic = true;
  const claims = places.map(({ view: { store }, region, group }) =>
    step(situation, 'prepare', 'claim', {
      id: `claim:${store.name}@${region}${group.suffix}`,
      summary: `Claim ${store.name} in ${region} for this run`,
      component: store.name,
      region,
      nodes: group.nodes,
      place: group.queue,
      input: about,
      needs: Object.fromEntries(saves.map((save) => [save.id, save.id])),
      after: [...reads, ...saves].map((earlier) => earlier.id),
      effect: 'reversible',
      undo: { verb: 'closeJournal', summary: `Close the journal of ${store.name} in ${region}`, input: {} },
      ...givenUp(situation, region),
    }),
  );
  return [...reads, ...claims];
}

/** Whether traffic moves before anything is promoted, by this run or by a lost one that it goes on from. */
function movesTraffic(situation: Situation): boolean {
  return (
    situation.input.request.action === 'trafficRamp' ||
    routersOf(situation).some((router) => movedBefore(situation, router) !== null)
  );
}

/** What routers and workloads are now: read first, since it is what undos and the end of the run put back. */
export function saveSteps(situation: Situation): Step[] {
  const { from, to, parts, mode } = situation;
  const optional: Partial<Step> = mode === 'unplanned' ? { onFailure: 'continue' } : {};
  const routers = routersOf(situation).map((router) =>
    step(situation, 'prepare', 'saveRouter', {
      id: `save:${router.name}`,
      summary: `Read the settings of ${router.name} that will change`,
      component: router.name,
      place: router.queue,
      ...optional,
    }),
  );
  // A side that is given up is neither waited for nor put back.
  const sides = [...(mode === 'planned' ? [from] : []), ...(ahead(situation, 'ramp') ? [to] : [])];
  const workloads = parts.workloads.flatMap((workload) =>
    sides
      .filter((region): region is RegionName => region !== null && workload.sides[region] !== undefined)
      .map((region) =>
        step(situation, 'prepare', 'saveWorkload', {
          id: `save:${workload.name}@${region}`,
          summary: `Read the present size and state of ${workload.name} in ${region}`,
          component: workload.name,
          region,
          place: queueOf(workload, region),
          ...optional,
          ...givenUp(situation, region),
        }),
      ),
  );
  return [...routers, ...workloads];
}

const routersOf = ({ parts }: Situation) => [...parts.endpoints, ...parts.edges];

/** Routers whose weights will change are made quick to change. */
export function routerSteps(situation: Situation, before: readonly string[]): Step[] {
  if (!ahead(situation, 'ramp')) return [];
  return routersOf(situation).map((router) =>
    step(situation, 'prepare', 'prepareRouter', {
      id: `prepare:${router.name}`,
      summary: `Prepare ${router.name} for quick changes`,
      component: router.name,
      place: router.queue,
      after: [...before],
      effect: 'reversible',
      undo: {
        verb: 'restoreRouter',
        summary: `Restore the settings of ${router.name}`,
        ...undoneBy(situation, `save:${router.name}`),
      },
      ...(situation.mode === 'unplanned' ? { onFailure: 'continue' as const } : {}),
      // Whoever has lost a region does not wait for old answers to run out before the data is saved.
      ...(situation.mode === 'unplanned' && router.capabilities.prepareMs ? { input: { wait: false } } : {}),
    }),
  );
}

/** Capacity at the target, before anything depends on it. */
export function workloadSteps(situation: Situation, before: readonly string[]): Step[] {
  const { to, mode, parts } = situation;
  if (!ahead(situation, 'ramp')) return [];
  return parts.workloads
    .filter((workload) => workload.sides[to] !== undefined)
    .map((workload) =>
      step(situation, 'prepare', 'scaleWorkload', {
        id: `scale:${workload.name}@${to}`,
        summary: `Bring ${workload.name} in ${to} to full capacity`,
        component: workload.name,
        region: to,
        place: queueOf(workload, to),
        after: [...before],
        effect: 'reversible',
        undo: {
          verb: 'restoreWorkload',
          summary: `Put ${workload.name} in ${to} back to its former size and state`,
          ...undoneBy(situation, `save:${workload.name}@${to}`),
        },
        // Without its database an app may not get ready; the data comes first, and the ramp waits for it.
        ...(mode === 'unplanned'
          ? { input: { wait: false }, onFailure: 'continue' as const, attempts: 1, timeoutMs: UNPLANNED_WAIT_MS }
          : {}),
      }),
    );
}

/**
 * Traffic that an earlier run has moved stays where it is; going back takes it back as well, before the apps there are
 * what they were. Only looked at: since the plan was made, people may have moved it themselves.
 */
export function keptWeightSteps(situation: Situation, before: readonly Step[]): Step[] {
  return routersOf(situation).flatMap((router) => {
    const moved = movedBefore(situation, router);
    if (moved === null) return [];
    return step(situation, 'prepare', 'saveRouter', {
      id: `keep:${router.name}`,
      summary: `Leave the traffic of ${router.name} where an earlier run has moved it`,
      component: router.name,
      place: router.queue,
      // For the undo: which regions it takes traffic from.
      input: { weights: weightsOf(situation.input, router)! },
      after: before.map((earlier) => earlier.id),
      undo: {
        verb: 'setWeights',
        summary: `Move the traffic of ${router.name} back to where it was before that run`,
        input: { ...moved },
        adopted: true,
      },
      ...(situation.mode === 'unplanned' ? { onFailure: 'continue' as const } : {}),
    });
  });
}

/** Waits until little is left to replicate and the source is checkpointed. Only while the source accepts writes. */
export function convergeSteps(situation: Situation, before: readonly Step[]): Step[] {
  const { mode, from, to, course, input } = situation;
  if (mode !== 'planned' || !movesStores(situation) || course.resumeAt !== null || from === null) return [];
  return situation.moving
    .filter((view) => writableAt(view, from))
    .map(({ store }) =>
      step(situation, 'prepare', 'converge', {
        id: `converge:${store.name}`,
        summary: `Wait until ${store.name} in ${to} is close behind, and checkpoint the source`,
        component: store.name,
        place: store.queue,
        input: { from, to, limit: { ms: input.service.cutoverLag.ms, bytes: input.service.cutoverLag.bytes } },
        after: before.map((earlier) => earlier.id),
      }),
    );
}

function writableAt(view: StoreView, region: RegionName): boolean {
  return nodesAt(view, region).some((node) => node.state === 'writable');
}
