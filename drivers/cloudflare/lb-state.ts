/** A load balancer and its regions' pools as they are, and what its settings mean for regions. */
import type { Cloudflare } from 'cloudflare';
import type { RegionName } from '../../topology/model.ts';
import type { Weights } from '../ports.ts';
import type { LB_CALLS } from './calls.ts';
import { digestOf, type Marked, readMark } from './claim.ts';
import { type CloudflareApi, isMissing } from './client.ts';
import type { LbConfig, LbNode } from './lb-config.ts';
import { percents } from './weights.ts';

export type LbApi = CloudflareApi<keyof typeof LB_CALLS.calls>;
export type LoadBalancer = Awaited<ReturnType<Cloudflare['loadBalancers']['get']>>;
export type Pool = Awaited<ReturnType<Cloudflare['loadBalancers']['pools']['get']>>;

export interface PoolState {
  id: string;
  /** `null`: the account has no such pool. */
  pool: Pool | null;
  enabled: boolean;
  /** The mark of the run that disabled it, in its description. */
  mark: Marked;
}

export interface LbState {
  lb: LoadBalancer;
  pools: Record<RegionName, PoolState>;
  /** As written; `null` when the settings are no split over the component's regions. */
  configured: Weights | null;
  /** As configured, less what goes to disabled pools: they get nothing. */
  weights: Weights | null;
  /** Why what is configured is not what clients get; empty when it is. */
  problems: string[];
  /** Which of them a change of weights does not mend, and must not begin with; `null` = none. */
  obstacle: string | null;
  mark: Marked;
  digest: string;
}

/** The geographic lists, which the policy geo asks before the default pools. */
export const GEO_LISTS = ['region_pools', 'country_pools', 'pop_pools'] as const;

export async function readLb(api: LbApi, config: LbConfig, nodes: Record<RegionName, LbNode>): Promise<LbState> {
  const { zoneId: zone_id, accountId: account_id, loadBalancerId } = config;
  const reading = api.one('loadBalancers.get', (client, options) =>
    client.loadBalancers.get(loadBalancerId, { zone_id }, options),
  );
  const pools = Object.entries(nodes).map(async ([region, { pool: id }]): Promise<[RegionName, PoolState]> => {
    const pool = await readPool(api, account_id, id);
    return [region, { id, pool, enabled: pool !== null && pool.enabled !== false, mark: readMark(pool?.description) }];
  });
  const [lb, ...entries] = await Promise.all([reading, ...pools]);
  return judge(lb, Object.fromEntries(entries), config.kind);
}

export async function readPool(api: LbApi, account_id: string, id: string): Promise<Pool | null> {
  try {
    return await api.one('loadBalancers.pools.get', (client, options) =>
      client.loadBalancers.pools.get(id, { account_id }, options),
    );
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** What the settings mean. */
export function judge(lb: LoadBalancer, pools: Record<RegionName, PoolState>, kind: LbConfig['kind']): LbState {
  const base = { lb, pools, mark: readMark(lb.description), digest: settingsDigest(lb) };
  const problems = lb.enabled === false ? ['the load balancer is disabled: nothing it says is applied'] : [];
  const policy = policyOf(lb);
  const wanted = kind === 'weighted' ? ['random'] : ['off', 'geo'];
  if (!wanted.includes(policy)) {
    const obstacle = `its steering policy is ${policy}, and kind ${kind} needs ${wanted.join(' or ')}`;
    return { ...base, configured: null, weights: null, problems: [...problems, obstacle], obstacle };
  }
  const split = kind === 'weighted' ? readShares(lb, pools) : readOrder(lb, pools);
  return { ...base, ...split, problems: [...problems, ...split.problems] };
}

/** `''` stands for geo where there are geographic lists, and for off where there are none. */
export function policyOf(lb: LoadBalancer): string {
  if (lb.steering_policy) return lb.steering_policy;
  return GEO_LISTS.some((list) => Object.keys(lb[list] ?? {}).length > 0) ? 'geo' : 'off';
}

/** Every list of pools that decides where traffic goes, by a name for people. */
export function listsOf(lb: LoadBalancer): Array<[name: string, pools: string[]]> {
  const geo = policyOf(lb) === 'geo' ? GEO_LISTS.flatMap((list) => Object.entries(lb[list] ?? {})) : [];
  return [['everybody else', lb.default_pools ?? []], ...geo];
}

/** Relative weight of a default pool in hundredths; a pool that the map does not name has the default weight. */
export function shareOf(lb: LoadBalancer, pool: string): number {
  const { default_weight = 1, pool_weights = {} } = lb.random_steering ?? {};
  return Math.round((pool_weights[pool] ?? default_weight) * 100);
}

type Split = Pick<LbState, 'configured' | 'weights' | 'problems' | 'obstacle'>;

function readShares(lb: LoadBalancer, pools: LbState['pools']): Split {
  const order = lb.default_pools ?? [];
  const own = new Set(Object.values(pools).map(({ id }) => id));
  const strangers = order.filter((id) => !own.has(id) && shareOf(lb, id) > 0);
  if (strangers.length > 0) {
    const obstacle = `it also sends traffic to the pool ${strangers.join(', ')}, which is no region of it`;
    return { configured: null, weights: null, problems: [obstacle], obstacle };
  }
  const shares = Object.entries(pools).map(([region, { id }]) => [region, order.includes(id) ? shareOf(lb, id) : 0]);
  const configured = Object.fromEntries(shares) as Record<RegionName, number>;
  const counted = Object.fromEntries(
    Object.entries(configured).map(([region, share]) => [region, pools[region]!.enabled ? share : 0]),
  );
  const nobody = Object.values(counted).every((share) => share === 0);
  const problems = nobody ? ['no enabled pool has a weight: everything goes to its fallback pool'] : [];
  return { configured: percents(configured), weights: percents(counted), problems, obstacle: null };
}

function readOrder(lb: LoadBalancer, pools: LbState['pools']): Split {
  const regions = Object.keys(pools);
  const regionOf = (id: string | undefined) => regions.find((region) => pools[region]!.id === id);
  const disabled = new Set(Object.values(pools).flatMap(({ id, enabled }) => (enabled ? [] : [id])));
  const lists = listsOf(lb);
  const first = (keep: (id: string) => boolean) => {
    const found = lists.map(([name, ids]) => [name, regionOf(ids.find(keep))] as const);
    const [region] = new Set(found.map(([, region]) => region));
    const one = found.every(([, other]) => other === region) ? region : undefined;
    return {
      found,
      weights: one === undefined ? null : percents(Object.fromEntries(regions.map((r) => [r, r === one ? 1 : 0]))),
    };
  };
  const { weights, found } = first((id) => !disabled.has(id));
  const where = found.map(([name, region]) => `${name}: ${region ?? 'a pool of no region of it'}`).join(', ');
  const problems = weights === null ? [`its lists of pools begin with different regions (${where})`] : [];
  return { configured: first(() => true).weights, weights, problems, obstacle: null };
}

/** Of what Rampart sets: an edit by hand of anything else is none of its business. */
export function settingsDigest(lb: LoadBalancer): string {
  const policy = policyOf(lb);
  const order = lb.default_pools ?? [];
  if (policy === 'random') return digestOf([policy, order.map((id) => [id, shareOf(lb, id)])]);
  return digestOf([policy, ...listsOf(lb).sort(([a], [b]) => (a < b ? -1 : 1))]);
}
