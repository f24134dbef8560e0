/** What stands in the way of a switch, as far as reading all endpoints tells. Pure. */
import type { Finding } from '../ports.ts';
import { misnamedIn, nobody, type Survey, short } from './cluster.ts';
import type { ArcConfig, Control } from './config.ts';
import { regionsOn, sameStates } from './states.ts';
import { describe } from './switch.ts';

/** "ARC ensures that at least three out of the five Regional cluster endpoints are always accessible." */
const ALWAYS_UP = 3;

export function findingsOf(
  component: string,
  mode: 'planned' | 'unplanned',
  config: ArcConfig,
  controls: readonly Control[],
  survey: Survey,
): Finding[] {
  const finding = (code: string, severity: Finding['severity'], message: string, remedy: string): Finding => ({
    code,
    severity,
    component,
    region: null,
    message,
    remedy,
  });
  /** Unknown is not good; but data does not wait for a router, whose own steps refuse what is wrong. */
  const strict = mode === 'planned' ? 'blocker' : 'warning';
  const { answers, silent } = survey;
  const [first] = answers;
  if (first === undefined) {
    const { message, remedy, type } = nobody(component, silent);
    return [finding(type === 'AccessDenied' ? 'arcDenied' : 'arcUnreachable', strict, `${message}.`, remedy)];
  }
  const found = misnamedIn(survey).map((text) =>
    finding(
      'arcControlName',
      strict,
      `${component}: ${text}.`,
      'Are regions swapped in the topology? Correct `routingControl` or `control`.',
    ),
  );
  if (silent.length > 0) {
    const each = silent.map(({ at, error }) => `${at} (${short(error)})`).join(', ');
    const message = `${component}: ${silent.length} of ${config.endpoints.length} endpoints did not answer: ${each}.`;
    const few = answers.length < ALWAYS_UP;
    const remedy = few
      ? 'AWS keeps three up: see the addresses and regions in the topology, and the network of this worker.'
      : 'The others are used. If it stays so, correct the address or the region of the endpoint.';
    found.push(finding('arcEndpointSilent', few ? strict : 'warning', message, remedy));
  }
  if (!answers.every(({ states }) => sameStates(states, first.states))) {
    const message = `${component}: the endpoints do not agree: ${describe(survey, { controls })}.`;
    found.push(finding('arcEndpointsDiffer', strict, message, 'Somebody switches just now: see who, then look again.'));
  }
  if (regionsOn(controls, first.states) === null) {
    const message = `${component}: routing controls of one region differ: ${describe(survey, { controls })}.`;
    found.push(
      finding('arcControlsDiffer', strict, message, 'Bring the controls of each region into one state first.'),
    );
  }
  return found;
}
