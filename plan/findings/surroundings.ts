/** What is wrong around the stores: routers, workloads, checks, workers. Pure. */
import type { Finding } from '../../drivers/ports.ts';
import type { Stage } from '../model.ts';
import { FRESHNESS_MS } from '../sides.ts';
import type { Situation } from '../situation.ts';
import { neededQueues } from '../stages/preflight.ts';
import { blocker, stops, warning } from './finding.ts';

export function surroundingFindings(situation: Situation, stages: readonly Stage[]): Finding[] {
  if (situation.course.nothing !== null) return [];
  const { action } = situation.input.request;
  const traffic =
    action === 'reprotect' || action === 'refence'
      ? []
      : [...routerFindings(situation), ...targetFindings(situation), ...ownFindings(situation)];
  return [...traffic, ...placeFindings(situation, stages)];
}

function routerFindings({ input, parts, mode, to }: Situation): Finding[] {
  return [...parts.endpoints, ...parts.edges].flatMap((router) => {
    const seen = input.observations.routers[router.name];
    const rest = { component: router.name, region: to };
    const found: Finding[] = [];
    if (router.sides[to] === undefined) {
      found.push(
        blocker('noSide', `${router.name} has no side in ${to}.`, 'Add the side, or choose another region.', rest),
      );
    }
    if (seen === undefined || !seen.reachable || seen.weights === null || input.now - seen.observedAt > FRESHNESS_MS) {
      const why = seen === undefined ? 'no reading' : seen.detail || 'no fresh reading';
      const message = `${router.name} cannot be read: ${why}.`;
      found.push(
        stops(mode, 'routerUnreachable', message, 'Bring its API back; traffic cannot move without it.', rest),
      );
    } else if (!seen.applied) {
      const message = `${router.name} does not apply what is configured: ${seen.detail}.`;
      found.push(
        stops(mode, 'routerNotApplied', message, 'Look at its own log; it accepted a change and ignores it.', rest),
      );
    } else if (Object.values(seen.weights).every((weight) => weight === 0)) {
      found.push(
        warning('allWeightsZero', `${router.name} sends traffic nowhere.`, 'This run gives it a target.', rest),
      );
    }
    for (const gap of router.capabilities.unverifiable ?? []) {
      const message = `${router.name}: ${gap}`;
      found.push(warning('unverifiable', message, 'Look at it yourself.', { ...rest, severity: 'info' }));
    }
    return found;
  });
}

/** What the drivers of routers and workloads say themselves. */
function ownFindings({ input, parts, course }: Situation): Finding[] {
  return [...parts.endpoints, ...parts.edges, ...parts.workloads].flatMap(({ name }) => {
    const own = input.observations.preflight[name] ?? [];
    // A way begun earlier goes on: the steps themselves look at what they need.
    return course.resumeAt === null ? own : own.map((one) => ({ ...one, severity: lowered(one) }));
  });
}

const lowered = ({ severity }: Finding) => (severity === 'blocker' ? 'warning' : severity);

/** A target that is not well. After a loss it may not get well before the data is there: then it is only shown. */
function targetFindings({ input, parts, mode, to, course }: Situation): Finding[] {
  const strict = mode === 'planned' && course.resumeAt === null ? 'planned' : 'unplanned';
  const found: Finding[] = [];
  for (const workload of parts.workloads.filter((one) => one.sides[to] !== undefined)) {
    const seen = (input.observations.workloads[workload.name] ?? []).find((one) => one.region === to);
    const rest = { component: workload.name, region: to };
    if (seen === undefined || !seen.reachable || input.now - seen.observedAt > FRESHNESS_MS) {
      const message = `${workload.name} in ${to} does not answer: ${seen?.detail || 'no fresh reading'}.`;
      found.push(stops(strict, 'targetNotReady', message, 'Bring it up first.', rest));
      continue;
    }
    // Scaled to zero is no fault: prepare brings it up.
    if (seen.ready === true || seen.capacity?.present === 0) continue;
    const message = `${workload.name} in ${to} is not ready${seen.ready === null ? ' as far as it tells' : ''}: ${seen.detail || seen.state}.`;
    const remedy = 'Bring it up first, or accept it by name: prepare then waits for it.';
    found.push(stops(strict, 'targetNotReady', message, remedy, { ...rest, override: 'targetNotReady' }));
  }
  for (const check of parts.checks.filter((one) => one.sides[to] !== undefined)) {
    const seen = input.observations.checks[check.name]?.[to];
    const rest = { component: check.name, region: to };
    const stale = seen === undefined || input.now - seen.at > FRESHNESS_MS;
    if (!stale && seen.outcome === 'pass') continue;
    if (stale || seen.outcome === 'unknown') {
      const message = `Check ${check.name} in ${to} gives no answer: ${seen?.detail || 'no fresh reading'}.`;
      found.push(stops(strict, 'checkUnknown', message, 'Unknown is not good: mend the check.', rest));
      continue;
    }
    const message = `Check ${check.name} fails in ${to}: observed ${seen.observed}, threshold ${seen.threshold}.`;
    const remedy = 'Mend the target, or accept it by name.';
    found.push(stops(strict, 'checkFailing', message, remedy, { ...rest, override: 'targetCheck' }));
  }
  return found;
}

function placeFindings({ input }: Situation, stages: readonly Stage[]): Finding[] {
  const { places } = input.observations;
  const queues = neededQueues(stages.flatMap((stage) => stage.steps).filter((step) => step.verb !== 'ping'));
  const found: Finding[] = [];
  const builds = new Map<string, string>();
  for (const [queue, { must }] of queues) {
    const seen = places[queue];
    // A queue that nobody asked is asked by the preflight itself.
    if (seen === undefined) continue;
    if (seen.build !== null) {
      builds.set(seen.build, queue);
      continue;
    }
    const message = `No worker answers on the task queue ${queue}.`;
    const remedy = `Start one: ${workerCommand(queue)}`;
    const text = { region: regionOf(queue) };
    found.push(must ? blocker('workerAbsent', message, remedy, text) : warning('workerAbsent', message, remedy, text));
  }
  if (builds.size > 1) {
    const which = [...builds].map(([build, queue]) => `${build} on ${queue}`).join(', ');
    found.push(
      warning('buildsDiffer', `Workers run different builds: ${which}.`, 'Finish the rollout of the workers.'),
    );
  }
  return found;
}

const regionOf = (queue: string) => queue.split('.')[1] ?? null;

function workerCommand(queue: string): string {
  const [, region, place] = queue.split('.');
  if (region === undefined) return 'rampart worker';
  return `rampart worker --region ${region}${place === undefined ? '' : ` --place ${place}`}`;
}
