/** What one PATCH of a load balancer says to get what is wanted. Pure. */
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Claim, Weights } from '../ports.ts';
import { withMark } from './claim.ts';
import { GEO_LISTS, type LbState, type LoadBalancer, settingsDigest, shareOf } from './lb-state.ts';

export type LbChange = Pick<
  LoadBalancer,
  'default_pools' | 'fallback_pool' | 'random_steering' | 'description' | (typeof GEO_LISTS)[number]
>;

/**
 * All pools with their weights: the API replaces the whole object, and a pool that it does not name would get the
 * default weight. Percent are hundredths, exactly.
 */
export function weightsChange(state: LbState, wanted: Weights): LbChange {
  const order = state.lb.default_pools ?? [];
  const missing = regionsWith(wanted).flatMap((region) =>
    order.includes(state.pools[region]!.id) ? [] : [state.pools[region]!.id],
  );
  const regionOf = new Map(Object.entries(state.pools).map(([region, { id }]) => [id, region]));
  const pools = [...order, ...missing];
  const weights = pools.map((id): [string, number] => [id, (wanted[regionOf.get(id) ?? ''] ?? 0) / 100]);
  return {
    ...(missing.length === 0 ? {} : { default_pools: pools }),
    random_steering: { default_weight: 0, pool_weights: Object.fromEntries(weights) },
  };
}

/** The region's pool first in every list that decides; the others stay behind it in their order. */
export function orderChange(state: LbState, to: RegionName): LbChange {
  const { lb, pools } = state;
  const { id } = pools[to]!;
  const first = (list: string[]) => [id, ...list.filter((other) => other !== id)];
  const change: LbChange = { default_pools: first(lb.default_pools ?? []) };
  for (const name of GEO_LISTS) {
    const map = Object.entries(lb[name] ?? {});
    if (map.length > 0) change[name] = Object.fromEntries(map.map(([place, list]) => [place, first(list)]));
  }
  return change;
}

/** The same change with the claim of its writer, and the digest of what the settings will be. */
export function claimed(state: LbState, change: LbChange, claim: Claim): LbChange {
  const digest = settingsDigest({ ...state.lb, ...change });
  return { ...change, description: withMark(state.mark.rest, claim, digest) };
}

/** @throws PreconditionFailed when the settings are no split over the component's regions */
export function assertSplit(where: string, { obstacle, pools }: LbState): void {
  for (const [region, { pool, id }] of Object.entries(pools)) {
    if (pool !== null) continue;
    throw new RampartError('PreconditionFailed', `${where}: the account has no pool ${id} (${region})`, {
      remedy: 'Correct `pool` of this region, or `accountId`.',
    });
  }
  if (obstacle === null) return;
  throw new RampartError('PreconditionFailed', `${where}: ${obstacle}`, {
    remedy: 'Change the steering policy or the pools at Cloudflare, or `kind` and `sides` in the topology.',
  });
}

export function regionsWith(weights: Weights): RegionName[] {
  return Object.keys(weights).filter((region) => weights[region]! > 0);
}

/** Another region that gets traffic now, the one with most first: where a fallback may point. */
export function othersServing({ lb, pools, configured }: LbState, region: RegionName): RegionName[] {
  const order = lb.default_pools ?? [];
  return Object.keys(pools)
    .filter((other) => other !== region && pools[other]!.enabled && order.includes(pools[other]!.id))
    .filter((other) => lb.steering_policy !== 'random' || shareOf(lb, pools[other]!.id) > 0)
    .sort((a, b) => (configured?.[b] ?? 0) - (configured?.[a] ?? 0));
}
