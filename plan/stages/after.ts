/** drain, reprotect and settle: the source is emptied, protected again as far as it can be, and the run cleans up. */
import type { Weights } from '../../drivers/ports.ts';
import type { RegionName } from '../../topology/model.ts';
import { adopted, movedBefore, savedBy, undoneBy, unmade } from '../adopted.ts';
import type { Step, StepId, Undo, Verb } from '../model.ts';
import { weightsOf } from '../parts.ts';
import { nodesAt, placeGroups, queueOf, type StoreView } from '../sides.ts';
import { isStaged, type Situation, targetNode } from '../situation.ts';
import { targetPlace } from './cut.ts';
import { type Draft, givenUp, step } from './step.ts';

const moves = (situation: Situation) => ['failover', 'failback'].includes(situation.input.request.action);

/** Requests and connections at the source come to their end. A source that cannot be reached is passed over. */
export function drainSteps(situation: Situation): Step[] {
  const { from, parts, mode, course } = situation;
  if (from === null || !moves(situation)) return [];
  return parts.workloads
    .filter((workload) => workload.sides[from] !== undefined)
    .map((workload) =>
      step(situation, 'drain', 'drainWorkload', {
        id: `drain:${workload.name}@${from}`,
        summary: `Drain ${workload.name} in ${from}`,
        component: workload.name,
        region: from,
        place: queueOf(workload, from),
        input: { mode },
        effect: 'reversible',
        ...(parts.stores.length > 0 || course.past
          ? {}
          : {
              undo: {
                summary: `Let ${workload.name} in ${from} take requests again`,
                ...(mode === 'unplanned'
                  ? { verb: 'scaleWorkload' as const, input: {} }
                  : { verb: 'restoreWorkload' as const, ...undoneBy(situation, `save:${workload.name}@${from}`) }),
              },
            }),
        ...givenUp(situation, from),
      }),
    );
}

/** Old primary, siblings and other regions follow the new primary where that destroys nothing; else it stays debt. */
export function reprotectSteps(situation: Situation): Step[] {
  if (situation.mode === 'unplanned' || !moves(situation)) return [];
  return rejoinSteps(situation, situation.regions);
}

/**
 * One rejoin per place-group of every side that should follow the primary at the target. Sides of a store that its
 * provider switches come back by themselves: that is waited for, and what became of it is told.
 */
export function rejoinSteps(situation: Situation, regions: readonly RegionName[]): Step[] {
  const { to, parts } = situation;
  return parts.stores.flatMap((view) => {
    const { store } = view;
    const staged = isStaged(store);
    const primary = targetNode(situation, view)?.name;
    const wanted = regions.filter((region) => store.sides[region] !== undefined && (staged || region !== to));
    return wanted.flatMap((region) => {
      const groups =
        region === to ? placeGroups(store, region, (node) => node.name !== primary) : placeGroups(store, region);
      return groups.map((group) =>
        step(situation, 'reprotect', 'rejoin', {
          id: `rejoin:${store.name}@${region}${group.suffix}`,
          summary: rejoinText(store.name, region, situation, staged),
          component: store.name,
          region,
          nodes: group.nodes,
          place: group.queue,
          input: { primary: to },
          effect: 'reversible',
          onFailure: 'continue',
        }),
      );
    });
  });
}

function rejoinText(store: string, region: RegionName, { to, from }: Situation, staged: boolean): string {
  if (!staged) return `Wait until the provider of ${store} lets ${region} follow ${to}`;
  return region === from
    ? `Let ${store} in ${region} follow ${to}`
    : `Point the replicas of ${store} in ${region} at the primary in ${to}`;
}

/**
 * What never arrived is read from the old side before anything is started there, let alone rewound.
 * @param of the steps on the old side, one listing for each
 */
export function leftBehindSteps(situation: Situation, of: readonly Step[]): Step[] {
  return of.map(({ id, component, region, nodes, place }) =>
    step(situation, 'reprotect', 'leftBehind', {
      id: id.replace(/^[a-z]+:/, 'leftBehind:'),
      summary: `List what ${component} in ${region} holds that ${situation.to} does not`,
      component,
      region,
      nodes,
      place,
      input: { primary: situation.to },
      // Not to know it is no reason to stay without a replica; the old data is kept whole in any case.
      onFailure: 'continue',
      attempts: 2,
    }),
  );
}

/** Destructive repair, behind its own gate, of what a rejoin could not bring back. The old data is kept aside. */
export function rebuildSteps(situation: Situation, rejoins: readonly Step[]): Step[] {
  return rejoins.map((rejoin) =>
    step(situation, 'reprotect', 'rebuild', {
      id: rejoin.id.replace(/^rejoin:/, 'rebuild:'),
      summary: `Rebuild ${rejoin.component} in ${rejoin.region} from ${situation.to}, keeping the old data aside`,
      component: rejoin.component,
      region: rejoin.region,
      nodes: rejoin.nodes,
      place: rejoin.place,
      input: { primary: situation.to },
      needs: { rejoin: rejoin.id },
      onlyIf: { step: rejoin.id, fact: 'needs', equals: 'rebuild' },
      effect: 'irreversible',
      onFailure: 'hold',
    }),
  );
}

/** Settings go back, the end is observed, and the journals close last. */
export function settleSteps(situation: Situation, earlier: readonly Step[]): Step[] {
  const { from, to, parts } = situation;
  const had = (id: string) => earlier.some((one) => one.id === id);
  const fences = routerFences(situation);
  const restored: Step[] = [...fences];
  // Also what only an earlier run has changed: with the journals that close here its originals are gone.
  const changed = (id: string) => had(id) || adopted(situation, id) !== null;
  for (const router of [...parts.endpoints, ...parts.edges].filter((one) => changed(`save:${one.name}`))) {
    const fence = fences.find((one) => one.component === router.name);
    restored.push(
      settling(situation, 'restoreRouter', `save:${router.name}`, {
        id: `settle:${router.name}`,
        summary: `Restore the settings of ${router.name}`,
        component: router.name,
        place: router.queue,
        // One after the other: both change the router.
        ...(fence === undefined ? {} : { after: [fence.id] }),
        effect: 'reversible',
      }),
    );
  }
  for (const workload of parts.workloads.filter((one) => had(`drain:${one.name}@${from}`))) {
    restored.push(
      // Not what it was: it was active, and the active side is another one now.
      step(situation, 'settle', 'quiesceWorkload', {
        id: `settle:${workload.name}@${from}`,
        summary: `Leave ${workload.name} in ${from} as standby`,
        component: workload.name,
        region: from,
        place: queueOf(workload, from),
        effect: 'reversible',
        ...givenUp(situation, from),
      }),
    );
  }
  restored.push(...workloadsAsBefore(situation, earlier));
  const seen = parts.stores.flatMap((view) => finalReadings(situation, view));
  const before = [...restored, ...seen].map((one) => one.id);
  const closes = earlier
    .filter((one) => one.verb === 'claim')
    .map((claim) =>
      step(situation, 'settle', 'closeJournal', {
        id: claim.id.replace(/^claim:/, 'close:'),
        summary: `Close the journal of ${claim.component} in ${claim.region}`,
        component: claim.component,
        region: claim.region,
        nodes: claim.nodes,
        place: claim.place,
        after: before,
        effect: 'reversible',
        // Whoever serves now and does not answer is no failover that is complete.
        ...(claim.region === to ? {} : { onFailure: 'continue' as const }),
        ...givenUp(situation, claim.region),
      }),
    );
  return [...restored, ...seen, ...closes];
}

/**
 * Apps that a run changed for a move that never came about; those that this run sets otherwise are its own. Where more
 * traffic stays than before that run, the app stays as large as it is.
 */
function workloadsAsBefore(situation: Situation, earlier: readonly Step[]): Step[] {
  const { parts, regions, input } = situation;
  if (unmade(situation) === null) return [];
  const had = (id: string) => earlier.some((one) => one.id === id);
  const crowded = (region: RegionName) =>
    [...parts.endpoints, ...parts.edges].some((router) => {
      const before = movedBefore(situation, router)?.weights;
      const last = earlier.findLast((one) => one.verb === 'setWeights' && one.component === router.name);
      const end = (last?.input.weights as Weights | undefined) ?? weightsOf(input, router);
      return before !== undefined && end !== null && (end[region] ?? 0) > (before[region] ?? 0);
    });
  return parts.workloads.flatMap((workload) =>
    regions
      .filter((region) => workload.sides[region] !== undefined && !crowded(region))
      .filter((region) => !had(`scale:${workload.name}@${region}`) && !had(`drain:${workload.name}@${region}`))
      .filter((region) => adopted(situation, `save:${workload.name}@${region}`) !== null)
      .map((region) =>
        settling(situation, 'restoreWorkload', `save:${workload.name}@${region}`, {
          id: `settle:${workload.name}@${region}`,
          summary: `Put ${workload.name} in ${region} back to its former size and state`,
          component: workload.name,
          region,
          place: queueOf(workload, region),
          effect: 'reversible',
          ...givenUp(situation, region),
        }),
      ),
  );
}

/** Runs that move nothing themselves: what a lost one has changed is theirs to end. */
const movesNothing = ({ input }: Situation) => ['reprotect', 'refence'].includes(input.request.action);

/**
 * Puts back what the save step `saved` read. A run that moves nothing does so as well when it goes back: with its claims
 * the journals close.
 */
function settling(situation: Situation, verb: Verb, saved: StepId, draft: Draft): Step {
  const back: Undo = { verb, summary: draft.summary, ...undoneBy(situation, saved) };
  const undo = movesNothing(situation) ? { undo: back } : {};
  return step(situation, 'settle', verb, { ...draft, ...savedBy(situation, saved), ...undo });
}

/**
 * The side that an unplanned run gave up has the old data. Weight 0 does not keep every router from it: with nobody else
 * healthy it would answer with that side again. The next move to it lifts the fence.
 */
function routerFences(situation: Situation): Step[] {
  const { from, mode, parts } = situation;
  if (from === null || mode !== 'unplanned' || !moves(situation) || parts.stores.length === 0) return [];
  return [...parts.endpoints, ...parts.edges]
    .filter((router) => router.capabilities.fences === true && router.sides[from] !== undefined)
    .map((router) =>
      step(situation, 'settle', 'fenceRouter', {
        id: `fence:${router.name}@${from}`,
        summary: `Keep ${router.name} from answering with ${from}, whose data is old`,
        component: router.name,
        region: from,
        place: router.queue,
        effect: 'reversible',
        // The service is moved, and its router may have nothing to fence by: people are told.
        onFailure: 'continue',
      }),
    );
}

/** What the run leaves behind: every side's state, and one writable side. */
function finalReadings(situation: Situation, view: StoreView): Step[] {
  const { from, to, input } = situation;
  const { store } = view;
  const observe = step(situation, 'settle', 'observeStore', {
    id: `observe:${store.name}`,
    summary: `Observe every side of ${store.name}`,
    component: store.name,
    place: store.queue,
    onFailure: 'continue',
  });
  // A refence has looked in its stage `verify`, and touches nothing but the side it fences.
  if (input.request.action === 'refence') return [];
  // A ramp leaves the writable side where it was; there is nothing of the target to probe.
  if (input.request.action === 'trafficRamp' && !nodesAt(view, to).some((node) => node.state === 'writable')) {
    return [observe];
  }
  const writable = step(situation, 'settle', 'verifyWritable', {
    id: `writable:${store.name}`,
    summary: `Verify once more that ${store.name} is writable in ${to} and nowhere else`,
    component: store.name,
    region: to,
    ...targetPlace(situation, view),
    input: { from, to },
    onFailure: 'hold',
  });
  return [observe, writable];
}
