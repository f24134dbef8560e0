/** ramp: the edge's weights move in steps; each is read back, counted, and watched before the next. */
import type { Weights } from '../../drivers/ports.ts';
import type { Component, RegionName } from '../../topology/model.ts';
import type { Step } from '../model.ts';
import { weightsOf } from '../parts.ts';
import { movedPercent, normalise, rampProblem, remainingSteps, weightsAt } from '../ramp.ts';
import { isOpen, queueOf } from '../sides.ts';
import { ahead, type Situation } from '../situation.ts';
import { TIMEOUT_MS } from '../timeouts.ts';
import { step } from './step.ts';

export interface Edge {
  router: Component;
  /** Weights before the ramp, as far as they can be told. */
  start: Weights;
  present: Weights;
}

/** Edges that still have something to move, with the weights their ramp is computed from. */
export function movingEdges(situation: Situation): Edge[] {
  const { from, to, input, parts, course } = situation;
  if (from === null) return [];
  return parts.edges
    .filter((router) => router.sides[to] !== undefined && router.sides[from] !== undefined)
    .map((router) => {
      const seen = weightsOf(input, router);
      const rest = Object.fromEntries(Object.keys(router.sides).map((region) => [region, 0]));
      // An edge that cannot be read is taken to send everything to the source: the findings say so.
      const read = seen !== null && Object.values(seen).some((weight) => weight > 0);
      const present = normalise({ ...rest, ...(read ? seen : { [from]: 100 }) });
      // A ramp begun earlier started with everything that the two regions share now at the source.
      const resumed = course.resumeAt === 'ramp' || (input.request.action === 'trafficRamp' && begun(situation));
      const shared = (present[from] ?? 0) + (present[to] ?? 0);
      const start = resumed ? { ...present, [from]: shared, [to]: 0 } : present;
      return { router, start, present };
    })
    .filter(({ present }) => (present[from] ?? 0) > 0);
}

/** A run before this one did not come to its end. */
function begun({ parts }: Situation): boolean {
  return parts.stores.some((view) => view.nodes.some(isOpen));
}

/** The shares, in percent, that this plan's ramp moves one after the other; empty when nothing is left to move. */
export function rampShares(situation: Situation): number[] {
  const { input, from, to } = situation;
  const { request, service } = input;
  const edges = movingEdges(situation);
  if (edges.length === 0 || from === null) return [];
  const last = request.percent ?? 100;
  const own = request.ramp ?? service.ramp.steps;
  if (rampProblem(own) !== null || !Number.isInteger(last) || last < 1 || last > 100) return [];
  if (jumps(situation)) return [last];
  const moved = Math.min(...edges.map(({ start, present }) => movedPercent(start, present, to, from)));
  return remainingSteps(own, last, moved);
}

/**
 * One step only: the app writes in one region at a time, a router cannot split, an unplanned run may not wait, or the
 * region it leaves answers nobody, so that every request that a ramp would leave there is lost.
 */
export function jumps(situation: Situation): boolean {
  const { input, mode, parts } = situation;
  const moves = input.request.action !== 'trafficRamp';
  return (
    (moves && input.service.writes === 'local') ||
    parts.edges.some((router) => router.capabilities.kind === 'onOff') ||
    (moves && mode === 'unplanned' && (input.service.ramp.unplanned === 'jump' || sourceSilent(situation)))
  );
}

/** A workload of the source does not answer at all. One that only is not ready may be so for want of its database. */
export function sourceSilent({ input, parts, from }: Situation): boolean {
  return parts.workloads.some((workload) => {
    if (from === null || workload.sides[from] === undefined) return false;
    const seen = (input.observations.workloads[workload.name] ?? []).find((one) => one.region === from);
    return seen === undefined || !seen.reachable;
  });
}

/** Checks at the target, then each share: set, counted, watched. All edges move together. */
export function rampSteps(situation: Situation): Step[] {
  if (!ahead(situation, 'ramp') || ['reprotect', 'refence'].includes(situation.input.request.action)) return [];
  const { from, to, input } = situation;
  const { ramp } = input.service;
  const checks = [...readySteps(situation), ...checkSteps(situation)];
  const edges = movingEdges(situation);
  const steps: Step[] = [...checks];
  const last = new Map(edges.map(({ router, present }) => [router.name, { weights: present, percent: 0 }]));
  let before = checks.map((check) => check.id);
  for (const percent of rampShares(situation)) {
    const observed: string[] = [];
    for (const { router, start, present } of edges) {
      const grain = router.capabilities.resolutionPercent;
      const weights = weightsAt({ start, from: from!, to, percent, present, resolution: grain });
      const previous = last.get(router.name)!;
      last.set(router.name, { weights, percent });
      const common = { component: router.name, region: to, place: router.queue, input: { weights, percent } };
      const set = step(situation, 'ramp', 'setWeights', {
        id: `weight:${router.name}@${percent}`,
        summary: words(router, to, weights[to]),
        ...common,
        after: before,
        effect: 'reversible',
        undo: {
          verb: 'setWeights',
          summary: `${words(router, to, previous.weights[to])} as before`,
          input: previous,
        },
        onFailure: ramp.onFailure,
      });
      const seen = step(situation, 'ramp', 'verifyWeights', {
        id: `observed:${router.name}@${percent}`,
        summary: router.capabilities.nominal
          ? `Read back the ${router.capabilities.nominal}s of ${router.name}`
          : `Count what reaches ${to} through ${router.name}`,
        ...common,
        after: [set.id],
        onFailure: ramp.onFailure,
      });
      steps.push(set, seen);
      observed.push(seen.id);
    }
    const bake = step(situation, 'ramp', 'analyse', {
      id: `bake@${percent}`,
      summary: `Watch ${to} with ${percent} % of the traffic moved`,
      region: to,
      place: 'rampart',
      input: {
        durationMs: ramp.bakeMs,
        intervalMs: ramp.intervalMs,
        checks: ramp.analysis,
        failureLimit: ramp.failureLimit,
        percent,
        region: to,
      },
      after: observed,
      timeoutMs: ramp.bakeMs + ramp.intervalMs + TIMEOUT_MS.analyse,
      onFailure: ramp.onFailure,
    });
    steps.push(bake);
    before = [bake.id];
  }
  return steps;
}

/** A weight that is no share of the traffic is not told as one. */
function words({ name, capabilities: { nominal } }: Component, to: RegionName, percent = 0): string {
  return nominal === undefined
    ? `Send ${percent} % of ${name} to ${to}`
    : `Turn the ${nominal} of ${to} at ${name} to ${percent} %`;
}

/** An unplanned run asked for capacity (and registered its undo) without waiting; with the data back it waits, before any traffic comes. */
function readySteps(situation: Situation): Step[] {
  const { to, parts, mode, input } = situation;
  if (mode === 'planned' || input.request.action === 'trafficRamp') return [];
  return parts.workloads
    .filter((workload) => workload.sides[to] !== undefined)
    .map((workload) =>
      step(situation, 'ramp', 'scaleWorkload', {
        id: `ready:${workload.name}@${to}`,
        summary: `Wait until ${workload.name} in ${to} can serve`,
        component: workload.name,
        region: to,
        place: queueOf(workload, to),
      }),
    );
}

/**
 * The checks at the target once its writer endpoint works, before traffic moves. Not inside the freeze: an app cannot
 * be asked whether it is well while nobody may write, and a red answer there could change nothing but prolong it.
 */
function checkSteps(situation: Situation): Step[] {
  const { to, parts, input } = situation;
  if (input.request.action === 'trafficRamp') return [];
  return parts.checks
    .filter((check) => check.sides[to] !== undefined)
    .map((check) =>
      step(situation, 'ramp', 'runCheck', {
        id: `verify-check:${check.name}@${to}`,
        summary: `Check ${check.name} in ${to} before traffic moves`,
        component: check.name,
        region: to,
        place: queueOf(check, to),
        // An app that has just got its database may need a moment.
        input: { must: true, waitMs: 20_000 },
      }),
    );
}
