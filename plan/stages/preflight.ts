/** preflight: nothing with an effect; run before the gate and again after the approval. */

import type { Component } from '../../topology/model.ts';
import type { Step } from '../model.ts';
import { queueOf } from '../sides.ts';
import { movesStores, type Situation } from '../situation.ts';
import { LOST_SIDE_WAIT_MS } from '../timeouts.ts';
import { TEAM_VERBS } from './own.ts';
import { step } from './step.ts';

/** Task queues that the plan's steps need, and whether the run can do without them. */
export function neededQueues(steps: readonly Step[]): Map<string, { must: boolean }> {
  const queues = new Map<string, { must: boolean }>();
  for (const one of steps.filter((s) => !TEAM_VERBS.includes(s.verb))) {
    const must = one.onFailure !== 'continue' || (queues.get(one.place)?.must ?? false);
    queues.set(one.place, { must });
  }
  return queues;
}

/** Routers and workloads that the plan changes and whose drivers have findings of their own. */
function surroundings({ parts, input }: Situation, steps: readonly Step[]): Component[] {
  // No traffic moves there: a router that cannot be asked, or that no move could use, must not stop a fence.
  if (['reprotect', 'refence'].includes(input.request.action)) return [];
  const changed = new Set(steps.filter((one) => one.effect !== 'none').map((one) => one.component));
  return [...parts.endpoints, ...parts.edges, ...parts.workloads].filter(
    ({ name, capabilities }) => capabilities.preflight === true && changed.has(name),
  );
}

/** Asks the workers, the stores and the checks at the target. `steps`: all the others of the plan. */
export function preflightSteps(situation: Situation, steps: readonly Step[]): Step[] {
  const { mode, from, to, parts, course, moving, input } = situation;
  const whole = mode === 'planned' && course.resumeAt === null;
  const checks = parts.checks
    .filter((check) => check.sides[to] !== undefined && !['reprotect', 'refence'].includes(input.request.action))
    .map((check) =>
      step(situation, 'preflight', 'runCheck', {
        id: `check:${check.name}@${to}`,
        summary: `Check ${check.name} in ${to}`,
        component: check.name,
        region: to,
        place: queueOf(check, to),
        // While nothing is writable an app at the target may not be well; then it is shown and does not stop the run.
        input: whole ? { must: true } : { must: false, waitMs: 0 },
        ...(whole ? {} : { onFailure: 'continue' as const }),
      }),
    );
  // A way begun earlier has no healthy source any more, and a planned preflight would ask for one.
  const asked = movesStores(situation) && (whole || mode === 'unplanned');
  const stores = (asked ? moving : []).map(({ store }) =>
    step(situation, 'preflight', 'preflightStore', {
      id: `preflight:${store.name}`,
      summary: `Check that ${store.name} can move from ${from} to ${to}`,
      component: store.name,
      place: store.queue,
      input: { mode, from, to },
    }),
  );
  const others = surroundings(situation, steps).map((component) =>
    step(situation, 'preflight', 'preflightStore', {
      id: `preflight:${component.name}`,
      summary: `Check that ${component.name} can be changed`,
      component: component.name,
      place: component.queue,
      input: { mode, from, to },
      // Its data is lost from sight already: what a router or workload says must not stop the rescue.
      ...(whole ? {} : { onFailure: 'continue' as const }),
    }),
  );
  const pings = [...neededQueues([...steps, ...checks, ...stores, ...others])].map(([queue, { must }]) =>
    step(situation, 'preflight', 'ping', {
      id: `ping:${queue}`,
      summary: `Ask for a worker on ${queue}`,
      place: queue,
      // A lost region's workers are not waited for: that they are away is the finding.
      ...(must ? {} : { onFailure: 'continue' as const, attempts: 1, scheduleToStartMs: LOST_SIDE_WAIT_MS }),
    }),
  );
  return [...pings, ...stores, ...others, ...checks];
}
