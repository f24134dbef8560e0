/** What Traefik's file and Traefik's API both say about a service, in percent by region; and what may be asked. Pure. */
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Weights } from '../ports.ts';
import type { Servers, TraefikConfig } from './config.ts';

/** The part of a component's configuration that decides how its file looks. */
export interface Layout {
  kind: TraefikConfig['kind'];
  service: string;
  servers: Servers;
}

/** Name of a region's own service below the weighted one. */
export function childName(layout: Pick<Layout, 'service'>, region: RegionName): string {
  return `${layout.service}-${region}`;
}

/**
 * The weights to set, one for every region of the component.
 * @throws InvalidInput when a region is unknown or has no server, a weight is no whole percent, the sum is not 100,
 *   or an endpoint is to point at more than one region
 */
export function checkedWeights(layout: Layout, weights: Weights): Weights {
  const regions = Object.keys(layout.servers);
  const refuse = (message: string) => {
    const remedy = `Give percent for ${regions.join(', ')}, whole numbers that add up to 100.`;
    throw new RampartError('InvalidInput', `${layout.service}: ${message}`, { remedy });
  };
  for (const [region, weight] of Object.entries(weights)) {
    const servers = Object.hasOwn(layout.servers, region) ? layout.servers[region] : undefined;
    if (servers === undefined) refuse(`there is no region ${region}`);
    if (!Number.isInteger(weight) || weight < 0 || weight > 100) refuse(`${weight} is no weight for ${region}`);
    if (weight > 0 && servers!.length === 0) refuse(`${region} has no server to send traffic to`);
  }
  const complete = Object.fromEntries(regions.map((region) => [region, weights[region] ?? 0]));
  const sum = Object.values(complete).reduce((total, weight) => total + weight, 0);
  if (sum !== 100) refuse(`${showWeights(complete)} add up to ${sum}, not to 100`);
  if (layout.kind === 'endpoint' && !Object.values(complete).includes(100)) {
    refuse(`an endpoint points at exactly one region, not ${showWeights(complete)}`);
  }
  return complete;
}

export interface Reading {
  /** `null` when the definition cannot be understood as a split over the component's regions. */
  weights: Weights | null;
  /** Why not, or what is special; empty when there is nothing to say. */
  detail: string;
}

/**
 * Reads a service's definition, which has the same shape in a file and in the API's answer. Traefik's weights are
 * relative; here they are percent.
 */
export function readWeights(layout: Layout, definition: unknown): Reading {
  if (!isRecord(definition)) return { weights: null, detail: `there is no service ${layout.service}` };
  return layout.kind === 'weighted' ? readSplit(layout, definition) : readEndpoint(layout, definition);
}

function readSplit(layout: Layout, definition: Record<string, unknown>): Reading {
  const weighted = definition.weighted;
  const entries = isRecord(weighted) ? weighted.services : undefined;
  if (!Array.isArray(entries)) return { weights: null, detail: `${layout.service} is no weighted service` };
  const regions = Object.keys(layout.servers);
  const relative = new Map(regions.map((region) => [childName(layout, region), 0]));
  for (const entry of entries.filter(isRecord)) {
    const name = String(entry.name).replace(/@file$/, '');
    // Traefik takes a missing weight as 1.
    const weight = Number(entry.weight ?? 1);
    if (!relative.has(name)) {
      if (weight === 0) continue;
      return { weights: null, detail: `${layout.service} also sends traffic to ${name}, which is no region of it` };
    }
    relative.set(name, relative.get(name)! + weight);
  }
  const values = [...relative.values()];
  const sum = values.reduce((total, weight) => total + weight, 0);
  const percents = sum === 0 ? values : percent(values, sum);
  const weights = Object.fromEntries(regions.map((region, index) => [region, percents[index]!]));
  return { weights, detail: sum === 0 ? `all weights of ${layout.service} are 0: nobody is served` : '' };
}

function readEndpoint(layout: Layout, definition: Record<string, unknown>): Reading {
  const balancer = definition.loadBalancer;
  const entries = isRecord(balancer) ? balancer.servers : undefined;
  const addresses = Array.isArray(entries) ? entries.filter(isRecord).map((entry) => String(entry.address)) : [];
  const regions = Object.keys(layout.servers);
  const region = regions.find((name) => layout.servers[name]!.includes(addresses[0] ?? ''));
  if (addresses.length !== 1 || region === undefined) {
    const where = addresses.length === 0 ? 'nowhere' : `at ${addresses.join(', ')}`;
    return { weights: null, detail: `${layout.service} points ${where}, which is not one region of it` };
  }
  return { weights: Object.fromEntries(regions.map((name) => [name, name === region ? 100 : 0])), detail: '' };
}

/** Largest remainder: whole percents that add up to 100. */
function percent(values: number[], sum: number): number[] {
  const exact = values.map((value) => (value * 100) / sum);
  const whole = exact.map(Math.floor);
  const byRemainder = [...exact.keys()].sort((a, b) => exact[b]! - whole[b]! - (exact[a]! - whole[a]!));
  const missing = 100 - whole.reduce((total, value) => total + value, 0);
  for (const index of byRemainder.slice(0, missing)) whole[index]! += 1;
  return whole;
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

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
