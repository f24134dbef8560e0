/** What people decide on: measured, with ages, and with everything that speaks against it. */
import type { Finding, Lag, LossStatement, NodeObservation, Position, SampleReading } from '../drivers/ports.ts';
import { factsDigest } from './digest.ts';
import { estimateOf } from './estimate.ts';
import { strengthText } from './fence-words.ts';
import { warning } from './findings/finding.ts';
import { haltFindings } from './findings/halt.ts';
import { requestFindings } from './findings/request.ts';
import { stateFindings } from './findings/state.ts';
import { lagOf, storeFindings } from './findings/stores.ts';
import { surroundingFindings } from './findings/surroundings.ts';
import { type ByStore, combineLoss, lossOf, noLoss } from './loss.ts';
import type { CompileInput, Facts, Stage } from './model.ts';
import { weightsOf } from './parts.ts';
import { furtherOf } from './positions.ts';
import { mayWrite } from './returned.ts';
import { type NodeView, nodesAt, reached, type StoreView, sideState } from './sides.ts';
import { isStaged, type Situation, situationOf, targetNode } from './situation.ts';
import { stagesOf } from './stages/index.ts';

/**
 * Measures what a decision at a gate needs: state, lag, loss, positions, fences, blockers and warnings.
 * Blockers whose code the request accepts become warnings. Never throws.
 */
export function assess(input: CompileInput): Facts {
  const situation = situationOf(input);
  return factsOf(situation, stagesOf(situation));
}

/** {@link assess} for a situation whose stages are known already. */
export function factsOf(situation: Situation, stages: readonly Stage[]): Facts {
  const { input, reading, parts } = situation;
  const lag = lags(situation);
  const losses = lossesOf(situation);
  const loss = combineLoss(losses);
  const parted = new Set(parts.stores.filter((view) => view.writable.length > 1).map((view) => view.store.name));
  const left = losses.filter(([store]) => parted.has(store));
  const provided = losses.filter(([store]) => switchedByProvider(situation, store) && !parted.has(store));
  const accepted = new Set(input.request.override ?? []);
  const all = [
    ...haltFindings(situation),
    ...requestFindings(situation),
    ...stateFindings(situation),
    ...storeFindings(situation),
    ...surroundingFindings(situation, stages),
    ...waitFindings(situation, stages, lag),
    ...lossFindings(situation, loss),
  ];
  const taken = (one: Finding) => one.override !== undefined && accepted.has(one.override);
  const blockers = all.filter((one) => one.severity === 'blocker' && !taken(one));
  const overridden = all
    .filter((one) => one.severity === 'blocker' && taken(one))
    .map((one) => ({ ...one, severity: 'warning' as const, message: `Accepted (${one.override}): ${one.message}` }));
  const byStore = <T>(read: (view: StoreView) => T) =>
    Object.fromEntries(parts.stores.map((view) => [view.store.name, read(view)]));
  const facts: Omit<Facts, 'digest'> = {
    measuredAt: input.now,
    classified: reading.classified,
    lag,
    loss,
    // Of a store that its provider switches no step states the loss before it is switched: it stands here alone.
    ...(provided.length > 0 && situation.mode === 'unplanned' ? { lossByProvider: Object.fromEntries(provided) } : {}),
    // Nor of one that is writable at both sides, of which one is left behind.
    ...(left.length > 0 ? { lossLeftBehind: Object.fromEntries(left) } : {}),
    positions: byStore((view) => positionsOf(situation, view)),
    fence: byStore((view) => fenceSentence(situation, view)),
    stores: byStore((view) => identityOf(situation, view)),
    weights: Object.fromEntries([...parts.endpoints, ...parts.edges].map((one) => [one.name, weightsOf(input, one)])),
    asks: asksOf(situation, loss, [...all], overridden),
    blockers,
    warnings: [...overridden, ...all.filter((one) => one.severity !== 'blocker')],
  };
  return { ...facts, digest: factsDigest(facts) };
}

function lags(situation: Situation): Record<string, Lag | null> {
  return Object.fromEntries(
    situation.parts.stores.map((view) => {
      const target = targetNode(situation, view);
      return [view.store.name, target === null ? null : lagOf(view, target)];
    }),
  );
}

/** Of the whole service (`''`), or by store. */
function lossesOf(situation: Situation): ByStore {
  const { input, parts, moving, mode, course, reading } = situation;
  const { action } = input.request;
  const all = (loss: LossStatement): ByStore => [['', loss]];
  if (course.nothing !== null || parts.stores.length === 0) return all(noLoss('No data is moved.'));
  if (action === 'trafficRamp') return all(noLoss('Traffic moves, the writable side stays where it is.'));
  if (action === 'reprotect')
    return all(noLoss('The writable side stays; data of a side that is rebuilt is kept aside.'));
  if (action === 'refence')
    return all(noLoss('The active side stays as it is; what the fenced one holds stays readable there.'));
  if (reading.classified.state === 'twoWritable') {
    const single = moving.filter((view) => view.writable.length < 2);
    return [...leftBehind(situation), ...single.map((view) => lostOf(situation, view))];
  }
  if (moving.length === 0) {
    return all(noLoss('The promotion has happened; what it lost is in the record of the run that made it.'));
  }
  // A planned run is refused where the source is lost; people then want to know what an unplanned one would lose. And
  // where nothing is writable nobody knows yet which side holds what the other lacks.
  if (mode === 'planned' && !['sourceLost', 'noneWritable'].includes(reading.classified.state)) {
    const kinds = [...new Set(moving.map((view) => isStaged(view.store)))];
    return kinds.map((staged) => [
      '',
      noLoss(
        staged
          ? 'The source is fenced, and the target must have applied its final position before it is promoted.'
          : 'The provider stops writes at the source and waits until the target has everything, or gives up.',
      ),
    ]);
  }
  return moving.map((view) => lostOf(situation, view));
}

/** What a store would lose if its target were taken now. */
function lostOf(situation: Situation, view: StoreView): ByStore[number] {
  const { input, from } = situation;
  const source = nodesAt(view, from);
  const target = targetNode(situation, view);
  const fenced = source.filter((node) => node.state === 'fenced');
  const closed = source.length > 0 && fenced.length === source.length;
  const final = source.map((node) => node.seen?.fence?.finalPosition ?? null).reduce(furtherOf, null);
  const at = fenced.map((node) => node.seen?.journal?.fencedAt ?? node.seen!.observedAt);
  const samples = input.observations.samples[view.store.name] ?? [];
  const loss = lossOf({
    samples,
    reached: (target === null ? null : reached(target)) ?? sampledAt(samples, target),
    holdsUntil: isStaged(view.store) ? null : holdsUntil(target?.seen?.lag ?? null),
    finalPosition: final,
    closedAt: closed ? Math.max(...at) : null,
    // Never the target's own: its setting says nothing about what the source has acknowledged.
    sync: source.map((node) => node.seen?.sync ?? null).find((sync) => sync !== null) ?? sampledSync(samples),
    now: input.now,
  });
  return [view.store.name, loss];
}

const switchedByProvider = ({ parts }: Situation, name: string): boolean =>
  parts.stores.some(({ store }) => store.name === name && !isStaged(store));

/** A replica only goes forward: what a sampler has seen on it, it still has. For one whose position cannot be read now. */
function sampledAt(samples: readonly SampleReading[], target: NodeView | null): Position | null {
  return samples
    .filter((one) => target !== null && one.node === target.name && one.region === target.region)
    .filter((one) => one.state === 'replica')
    .reduce<Position | null>((furthest, one) => furtherOf(furthest, one.position), null);
}

/** A provider tells how far behind a side is as a time: what is older than that has arrived. */
function holdsUntil(lag: Lag | null): number | null {
  if (lag === null || lag.seconds === null || !lag.fresh) return null;
  return lag.measuredAt - lag.freshnessMs - lag.seconds * 1000;
}

/** Whether the source replicated synchronously when a sampler last read it. */
function sampledSync(samples: readonly SampleReading[]): NodeObservation['sync'] {
  const told = samples.filter((sample) => sample.state === 'writable' && sample.sync);
  return (
    told.reduce<SampleReading | null>((last, s) => (last === null || s.at >= last.at ? s : last), null)?.sync ?? null
  );
}

/**
 * Two sides accept writes: what the one that is fenced has acknowledged since they parted stays behind on it. They
 * parted after the last sample in which the target was a replica; what it held then is all that is surely common.
 */
function leftBehind({ input, parts, from, to }: Situation): ByStore {
  return parts.stores
    .filter((view) => view.writable.length > 1)
    .map((view) => {
      const samples = input.observations.samples[view.store.name] ?? [];
      const source = view.writable.find((node) => node.region === from);
      const loss = lossOf({
        samples: samples.filter((sample) => sample.region === from),
        reached: samples
          .filter((sample) => sample.region === to && sample.state === 'replica')
          .reduce<Position | null>((furthest, sample) => furtherOf(furthest, sample.position), null),
        finalPosition: null,
        closedAt: null,
        sync: source?.seen?.sync ?? null,
        now: input.now,
      });
      return [view.store.name, loss] as const;
    });
}

/** The target's candidates first, then every other replica. */
function positionsOf({ to }: Situation, view: StoreView): Facts['positions'][string] {
  const rows = view.nodes.map((node) => ({
    node: node.name,
    region: node.region,
    state: node.state as string,
    applied: node.seen?.position ?? null,
    received: node.seen?.received ?? null,
  }));
  return [...rows.filter((row) => row.region === to), ...rows.filter((row) => row.region !== to)];
}

function fenceSentence({ from, mode, input }: Situation, view: StoreView): string {
  const suffices = input.service.tier.fenceProof;
  if (from === null) return 'Which side would have to be fenced is not known.';
  const side = nodesAt(view, from);
  if (side.length === 0) return `${view.store.name} has no side in ${from}: nothing to fence.`;
  if (!isStaged(view.store)) {
    return mode === 'planned'
      ? `Its provider stops writes in ${from} in the same call that switches, and says when the writer has moved: ${strengthText('provider')}.`
      : `Its provider switches in one call and only tries to stop writes in ${from}: what is still accepted there is lost.`;
  }
  switch (sideState(view, from)) {
    case 'writable':
      return `${from} accepts writes; it is fenced before anything is promoted (${suffices} suffices).`;
    case 'fenced': {
      const fence = side.find((node) => node.seen?.fence)?.seen?.fence;
      const final = fence?.finalPosition ? `final position ${fence.finalPosition.text}` : 'final position unknown';
      return `${from} is fenced: ${strengthText(fence?.strength ?? 'none')}, ${final}; it is proven again under this run's claim.`;
    }
    case 'stopped':
      return `${from} is stopped, but nothing keeps it from starting writable yet.`;
    case 'unreachable':
      return mode === 'planned'
        ? `${from} does not answer: it cannot be fenced.`
        : `${from} does not answer: without proof from elsewhere a person must accept the risk before the promotion.`;
    case 'replica':
      return `${from} is in recovery.`;
    default:
      return `It is not known whether ${from} accepts writes.`;
  }
}

/** What tokens carry: the timeline of the writable side, else of the target before it is promoted. */
function identityOf(situation: Situation, view: StoreView): Facts['stores'][string] {
  const target = targetNode(situation, view);
  // With two writable sides the token is for the one that is to be fenced.
  const fenced =
    situation.input.request.action === 'refence' ? nodesAt(view, situation.from).find(mayWrite) : undefined;
  const source = fenced ?? view.writable.find((node) => node.region === situation.from) ?? view.writable[0];
  const seen = (source ?? target)?.seen ?? null;
  const known = view.nodes.find((node) => node.seen?.systemId)?.seen ?? null;
  const identity = { systemId: seen?.systemId ?? known?.systemId ?? null, timeline: seen?.timeline ?? null };
  const own = source === undefined ? timelineOfDown(view, situation.from) : null;
  if (situation.from === null || own === null || own === identity.timeline) return identity;
  return { ...identity, source: { region: situation.from, timeline: own } };
}

/** A side that is down may have been promoted when the target was left behind: it is fenced on its own timeline. */
function timelineOfDown(view: StoreView, region: string | null): number | null {
  const down = nodesAt(view, region).filter((node) => node.state === 'stopped' || node.state === 'fenced');
  const known = down.flatMap((node) => node.seen?.timeline ?? []);
  return known.length === 0 ? null : Math.max(...known);
}

function waitFindings(situation: Situation, stages: readonly Stage[], lag: Record<string, Lag | null>): Finding[] {
  const { tier } = situation.input.service;
  const { seconds, freezeSeconds } = estimateOf(stages, lag);
  const found: Finding[] = [];
  if (seconds * 1000 > tier.rtoMs) {
    const message = `The plan takes about ${Math.round(seconds)} s, the recovery time objective is ${tier.rtoMs / 1000} s.`;
    found.push(warning('rtoExceeded', message, 'Shorten the ramp and its bakes, or widen the objective.'));
  }
  if (freezeSeconds * 1000 > tier.freezeBudgetMs) {
    const message = `Nobody can write for about ${freezeSeconds} s, the budget is ${tier.freezeBudgetMs / 1000} s.`;
    found.push(warning('freezeBudgetShort', message, 'Widen freezeBudget of the tier.'));
  }
  return found;
}

function lossFindings({ input, mode }: Situation, loss: LossStatement): Finding[] {
  if (mode !== 'unplanned' || loss.seconds === null || loss.seconds * 1000 <= input.service.tier.rpoMs) return [];
  const message = `Up to ${loss.seconds.toFixed(1)} s of writes may be lost, the objective is ${input.service.tier.rpoMs / 1000} s.`;
  return [
    warning('lossAboveObjective', message, 'Look for a replica that is further, or accept the loss at the gate.'),
  ];
}

/** Why a person must decide, whatever the policy: an unknown or open window, a deduced source, an accepted risk. */
function asksOf(
  situation: Situation,
  loss: LossStatement,
  all: readonly Finding[],
  overridden: readonly Finding[],
): string[] {
  const { reading, course, mode, input } = situation;
  const { action } = input.request;
  if (course.nothing !== null || (action !== 'failover' && action !== 'failback')) return [];
  const asks: string[] = [];
  if (['partlyPromoted', 'noneWritable', 'twoWritable', 'unknown', 'sourceLost'].includes(reading.classified.state)) {
    asks.push(reading.classified.text);
  }
  if (mode === 'unplanned' && loss.kind === 'unknown') asks.push('How much is lost is not known.');
  if (mode === 'unplanned' && loss.kind !== 'none' && loss.toTime === null) {
    asks.push('The loss window is still open: the source is not fenced.');
  }
  const pressing = [
    'betterCandidate',
    'lossAboveObjective',
    'sourceMayLive',
    'promotesFenced',
    'siblingSilent',
    'oldTimeline',
  ];
  if (['sample', 'request', 'none'].includes(reading.fromSource)) pressing.push('sourceDeduced');
  asks.push(...all.filter((one) => pressing.includes(one.code)).map((one) => one.message));
  asks.push(...overridden.map((one) => one.message));
  return asks;
}
