/** What may be asked of a router by Route 53, in percent by region. Pure. */
import { RampartError } from '../errors.ts';
import type { Weights } from '../ports.ts';
import type { Route53Config, Side } from './config.ts';
import { evenly } from './records.ts';

/**
 * The weights to set, one for every region of the component.
 * @throws InvalidInput when a region is unknown, a weight is no whole percent, the sum is not 100, or the policy cannot
 *   split like that
 */
export function checkedWeights(config: Route53Config, sides: readonly Side[], weights: Weights): Weights {
  const regions = sides.map((side) => side.region);
  const refuse = (message: string) => {
    const remedy = `Give percent for ${regions.join(', ')}, whole numbers that add up to 100.`;
    throw new RampartError('InvalidInput', `${config.name}: ${message}`, { remedy });
  };
  for (const [region, weight] of Object.entries(weights)) {
    if (!regions.includes(region)) refuse(`there is no region ${region}`);
    if (!Number.isInteger(weight) || weight < 0 || weight > 100) refuse(`${weight} is no weight for ${region}`);
  }
  const complete = Object.fromEntries(regions.map((region) => [region, weights[region] ?? 0]));
  const sum = Object.values(complete).reduce((total, weight) => total + weight, 0);
  if (sum !== 100) refuse(`${showWeights(complete)} add up to ${sum}, not to 100`);
  const one = config.policy === 'failover' || config.policy === 'simple';
  if (one && !Object.values(complete).includes(100))
    refuse(`${config.policy} records point at exactly one region, not ${showWeights(complete)}`);
  if (
    config.policy === 'latency' &&
    !sameWeights(
      complete,
      evenly(sides, (region) => complete[region]! > 0),
    )
  )
    refuse(`latency records are on or off, in equal shares; they cannot give ${showWeights(complete)}`);
  return complete;
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
