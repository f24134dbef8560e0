/** What is wrong with the request itself. Pure. */
import type { Finding } from '../../drivers/ports.ts';
import { rampProblem } from '../ramp.ts';
import type { Situation } from '../situation.ts';
import { beforeGate } from '../stages/own.ts';
import { jumps, movingEdges, sourceSilent } from '../stages/ramp.ts';
import { blocker, OVERRIDES, warning } from './finding.ts';

export function requestFindings(situation: Situation): Finding[] {
  const { input, from, to, toKnown, regions, reading, parts, course } = situation;
  const { request, service } = input;
  const found: Finding[] = [];
  const known = regions.join(', ');

  if (!toKnown) {
    found.push(
      blocker('toMissing', `${service.name} can go to more than one region.`, `Say which: --to one of ${known}.`),
    );
  } else if (!regions.includes(to)) {
    found.push(blocker('unknownRegion', `${service.name} has no region "${to}".`, `Choose one of ${known}.`));
  }
  if (request.from !== undefined && !regions.includes(request.from)) {
    found.push(blocker('unknownRegion', `${service.name} has no region "${request.from}".`, `Choose one of ${known}.`));
  }
  if (course.nothing === null && (from === to || (request.from !== undefined && request.from === request.to))) {
    found.push(blocker('sameRegion', `from and to are both ${to}.`, 'Name two different regions.'));
  } else if (request.from !== undefined && from !== request.from && course.nothing === null) {
    const observed = `the observation shows ${from ?? 'no source'}: ${reading.classified.text}`;
    found.push(
      blocker('fromDiffers', `The request leaves ${request.from}, but ${observed}`, 'Leave --from out, or correct it.'),
    );
  }
  if (from === null && toKnown && course.nothing === null) {
    found.push(
      blocker(
        'sourceNotKnown',
        'Which region was active cannot be told.',
        'Bring a side back so that it can be seen, or start with --from (a run under way: abort it first).',
      ),
    );
  }
  if (reading.fromSource !== 'observed' && from !== null) {
    const by = {
      primary_conninfo: 'what the replicas replicate from',
      sample: 'the last sample of a writable node',
      request: 'the request',
      none: 'the topology: it is the only other region',
    }[reading.fromSource];
    found.push(
      warning('sourceDeduced', `That ${from} was the source is taken from ${by}.`, 'Make sure that it is so.'),
    );
  }

  for (const code of request.override ?? []) {
    if (!OVERRIDES.includes(code)) {
      const message = `"${code}" is no override code.`;
      found.push(warning('unknownOverride', message, `Codes: ${OVERRIDES.join(', ')}.`));
    }
  }

  const steps = request.ramp ?? service.ramp.steps;
  const problem = rampProblem(steps);
  if (problem !== null) found.push(blocker('badRamp', `Bad ramp: ${problem}.`, 'For example 10, 25, 50, 100.'));
  if (
    request.percent !== undefined &&
    !(Number.isInteger(request.percent) && request.percent >= 1 && request.percent <= 100)
  ) {
    found.push(blocker('badRamp', `${request.percent} is no whole percent from 1 to 100.`, 'Correct --percent.'));
  }
  if (request.percent !== undefined && request.percent < 100 && request.action !== 'trafficRamp') {
    const remedy = 'Use `rampart start ramp` to move only part of the traffic.';
    found.push(blocker('badRamp', 'A failover moves all traffic; --percent belongs to a ramp.', remedy));
  }
  const whole = parts.edges.find(({ capabilities }) => capabilities.kind === 'onOff');
  if (whole !== undefined && (request.percent ?? 100) < 100 && request.action === 'trafficRamp') {
    const message = `${whole.name} sends all of its traffic to one region: it cannot move ${request.percent} % of it.`;
    found.push(blocker('badRamp', message, 'Leave --percent away, or ramp with a router that has weights.'));
  }
  if (problem === null && steps.length > 1 && jumps(situation) && movingEdges(situation).length > 0) {
    const why =
      service.writes === 'local' && request.action !== 'trafficRamp'
        ? 'its app writes in one region at a time'
        : parts.edges.some((router) => router.capabilities.kind === 'onOff')
          ? 'a router of it cannot split traffic'
          : sourceSilent(situation)
            ? `${from} answers no requests`
            : 'an unplanned run does not wait for a ramp';
    found.push(
      warning('rampBecomesJump', `The traffic of ${service.name} moves in one step: ${why}.`, 'Nothing to do.'),
    );
  }
  for (const own of service.steps.filter(beforeGate)) {
    const message = `The step "${own.name}" has an effect and is put before the gate.`;
    found.push(blocker('ownStepBeforeGate', message, 'Put it into the stage prepare.'));
  }
  return found;
}
