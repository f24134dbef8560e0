/** Dials or weights of an accelerator, and what they are in percent by region. Pure. */
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Weights } from '../ports.ts';
import type { Unit } from './config.ts';

/** By {@link Unit.key}. */
export type Values = Record<string, number>;

/**
 * Percent that add up to 100, by largest remainder. Dials of 100 and 100 are 50 and 50: each region keeps what is
 * nearest to it.
 * @returns `null` when a region's endpoint groups are turned differently; all 0 when everything is
 */
export function percentOf(units: readonly Unit[], values: Values): Weights | null {
  const byRegion = new Map<RegionName, number>();
  for (const { region, key } of units) {
    const value = values[key]!;
    if ((byRegion.get(region) ?? value) !== value) return null;
    byRegion.set(region, value);
  }
  const regions = [...byRegion.keys()];
  const sum = [...byRegion.values()].reduce((total, value) => total + value, 0);
  if (sum === 0) return Object.fromEntries(regions.map((region) => [region, 0]));
  const exact = regions.map((region) => (byRegion.get(region)! * 100) / sum);
  const whole = exact.map(Math.floor);
  const missing = 100 - whole.reduce((total, value) => total + value, 0);
  const byRemainder = [...exact.keys()].sort((a, b) => exact[b]! - whole[b]! - (exact[a]! - whole[a]!));
  for (const index of byRemainder.slice(0, missing)) whole[index]! += 1;
  return Object.fromEntries(regions.map((region, index) => [region, whole[index]!]));
}

/**
 * What to turn to. Weights that are those which the run found mean what it found: dials of 100 and 100 come back as
 * such, not as 50 and 50.
 */
export function valuesFor(units: readonly Unit[], weights: Weights, began: Values | null): Values {
  if (began !== null && sameWeights(percentOf(units, began), weights)) return began;
  return Object.fromEntries(units.map(({ region, key }) => [key, weights[region] ?? 0]));
}

/** @throws InvalidInput when a region is unknown, a weight is no whole percent, or they do not add up to 100 */
export function checkedWeights(name: string, units: readonly Unit[], asked: Weights): Weights {
  const regions = [...new Set(units.map(({ region }) => region))];
  const refuse = (message: string) => {
    const remedy = `Give percent for ${regions.join(', ')}, whole numbers that add up to 100.`;
    throw new RampartError('InvalidInput', `${name}: ${message}`, { remedy });
  };
  for (const [region, weight] of Object.entries(asked)) {
    if (!regions.includes(region)) refuse(`there is no region ${region}`);
    if (!Number.isInteger(weight) || weight < 0 || weight > 100) refuse(`${weight} is no weight for ${region}`);
  }
  const complete = Object.fromEntries(regions.map((region) => [region, asked[region] ?? 0]));
  const sum = Object.values(complete).reduce((total, weight) => total + weight, 0);
  if (sum !== 100) refuse(`${showWeights(complete)} add up to ${sum}, not to 100`);
  return complete;
}

export function sameWeights(a: Weights | null, b: Weights | null): boolean {
  if (a === null || b === null) return false;
  const regions = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...regions].every((region) => (a[region] ?? 0) === (b[region] ?? 0));
}

export function sameValues(a: Values, b: Values): boolean {
  return Object.keys(a).length === Object.keys(b).length && Object.keys(a).every((key) => a[key] === b[key]);
}

/** `eu-west 90 %, eu-central 10 %`. */
export function showWeights(weights: Weights | null): string {
  if (weights === null) return 'unknown';
  return Object.entries(weights)
    .map(([region, weight]) => `${region} ${weight} %`)
    .join(', ');
}

/** `dials eu-west 100, eu-central 0`. */
export function showValues(by: 'dial' | 'weight', units: readonly Unit[], values: Values): string {
  return `${by}s ${units.map(({ region, node, key }) => `${region}${node === region ? '' : ` (${node})`} ${values[key]}`).join(', ')}`;
}
