/** What routing controls say, as weights, and which of them a set of weights asks for. Pure. */
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Weights } from '../ports.ts';
import type { Control } from './config.ts';

export type State = 'On' | 'Off';
/** By ARN. */
export type States = Record<string, State>;

/** Regions that are on; `null` when the controls of one region say different things. */
export function regionsOn(controls: readonly Control[], states: States): RegionName[] | null {
  const said = new Map<RegionName, State>();
  for (const { region, arn } of controls) {
    const state = states[arn]!;
    if ((said.get(region) ?? state) !== state) return null;
    said.set(region, state);
  }
  return [...said].filter(([, state]) => state === 'On').map(([region]) => region);
}

/**
 * All of the traffic for the one region that is on. Several share it in parts that the records beneath decide; they
 * are shown as equal ones.
 */
export function weightsFor(controls: readonly Control[], on: readonly RegionName[]): Weights {
  const regions = [...new Set(controls.map(({ region }) => region))];
  const share = Math.floor(100 / Math.max(on.length, 1));
  const rest = 100 - share * on.length;
  return Object.fromEntries(
    regions.map((region) => {
      const place = on.indexOf(region);
      return [region, place === -1 ? 0 : share + (place < rest ? 1 : 0)];
    }),
  );
}

/**
 * The states that weights ask for: on above 0, else off.
 * @param present regions that are on now
 * @throws InvalidInput when a region is unknown, a weight is no whole percent, the sum is not 100, or a region is to
 *   get a part of the traffic that no switch can give it
 */
export function statesFor(
  name: string,
  controls: readonly Control[],
  asked: Weights,
  present: readonly RegionName[],
): States {
  const regions = [...new Set(controls.map(({ region }) => region))];
  const refuse = (message: string, remedy = `Give percent for ${regions.join(', ')} that add up to 100.`) => {
    throw new RampartError('InvalidInput', `${name}: ${message}`, { remedy });
  };
  for (const [region, weight] of Object.entries(asked)) {
    if (!regions.includes(region)) refuse(`there is no region ${region}`);
    if (!Number.isInteger(weight) || weight < 0 || weight > 100) refuse(`${weight} is no weight for ${region}`);
  }
  const sum = Object.values(asked).reduce((total, weight) => total + weight, 0);
  if (sum !== 100) refuse(`${showWeights(asked)} add up to ${sum}, not to 100`);
  const on = regions.filter((region) => (asked[region] ?? 0) > 0);
  // Turning regions off leaves the others whatever the records give them; turning one on cannot give it 10 %.
  const fewer = on.every((region) => present.includes(region));
  const even = on.every((region) => Math.abs(asked[region]! - 100 / on.length) < 1);
  if (!fewer && !even) {
    const remedy = 'Put a router with weights beneath it, and let that one ramp.';
    refuse(`a routing control is on or off, it cannot send ${showWeights(asked)}`, remedy);
  }
  return Object.fromEntries(controls.map(({ region, arn }) => [arn, on.includes(region) ? 'On' : 'Off']));
}

export function sameStates(a: States | null, b: States | null): boolean {
  if (a === null || b === null) return a === b;
  const arns = Object.keys(a);
  return arns.length === Object.keys(b).length && arns.every((arn) => a[arn] === b[arn]);
}

/** `eu-west On, eu-central Off`. */
export function showStates(controls: readonly Control[], states: States | null): string {
  if (states === null) return 'nothing';
  return controls
    .map(
      ({ region, name, arn }) =>
        `${region} ${states[arn] ?? 'unknown'}${several(controls, region) ? ` (${name})` : ''}`,
    )
    .join(', ');
}

const several = (controls: readonly Control[], region: RegionName) =>
  controls.filter((control) => control.region === region).length > 1;

/** `eu-west 100 %, eu-central 0 %`. */
export function showWeights(weights: Weights): string {
  return Object.entries(weights)
    .map(([region, weight]) => `${region} ${weight} %`)
    .join(', ');
}
