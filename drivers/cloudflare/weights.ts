/** Weights in percent by region, and what may be asked. Pure. */
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Weights } from '../ports.ts';

/**
 * The weights to set, one for every region of the component.
 * @param whole true: all traffic goes to exactly one region
 * @throws InvalidInput when a region is unknown, a weight is no whole percent, the sum is not 100, or a whole is split
 */
export function checkedWeights(
  component: string,
  regions: readonly RegionName[],
  asked: Weights,
  whole: boolean,
): Weights {
  const refuse = (message: string): never => {
    const remedy = `Give percent for ${regions.join(', ')}, whole numbers that add up to 100.`;
    throw new RampartError('InvalidInput', `${component}: ${message}`, { remedy });
  };
  for (const [region, weight] of Object.entries(asked)) {
    if (!regions.includes(region)) refuse(`there is no region ${region}`);
    if (!Number.isInteger(weight) || weight < 0 || weight > 100) refuse(`${weight} is no weight for ${region}`);
  }
  const complete = Object.fromEntries(regions.map((region) => [region, asked[region] ?? 0]));
  const sum = Object.values(complete).reduce((total, weight) => total + weight, 0);
  if (sum !== 100) refuse(`${showWeights(complete)} add up to ${sum}, not to 100`);
  if (whole && !Object.values(complete).includes(100)) {
    refuse(`all of its traffic goes to exactly one region, not ${showWeights(complete)}`);
  }
  return complete;
}

/** All traffic to one region. */
export function wholeTo(regions: readonly RegionName[], one: RegionName): Weights {
  return Object.fromEntries(regions.map((region) => [region, region === one ? 100 : 0]));
}

/** Relative weights as whole percents that add up to 100, by largest remainder; all zero stays all zero. */
export function percents(relative: Record<RegionName, number>): Weights {
  const entries = Object.entries(relative);
  const sum = entries.reduce((total, [, value]) => total + value, 0);
  if (sum === 0) return Object.fromEntries(entries.map(([region]) => [region, 0]));
  const exact = entries.map(([, value]) => (value * 100) / sum);
  const whole = exact.map(Math.floor);
  const byRemainder = [...exact.keys()].sort((a, b) => exact[b]! - whole[b]! - (exact[a]! - whole[a]!));
  const missing = 100 - whole.reduce((total, value) => total + value, 0);
  for (const index of byRemainder.slice(0, missing)) whole[index]! += 1;
  return Object.fromEntries(entries.map(([region], index) => [region, whole[index]!]));
}

export function sameWeights(a: Weights | null, b: Weights | null): boolean {
  if (a === null || b === null) return false;
  const regions = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...regions].every((region) => (a[region] ?? 0) === (b[region] ?? 0));
}

/** `eu-west 90 %, eu-central 10 %`. */
export function showWeights(weights: Weights | null): string {
  if (weights === null) return 'unknown weights';
  return Object.entries(weights)
    .map(([region, weight]) => `${region} ${weight} %`)
    .join(', ');
}
