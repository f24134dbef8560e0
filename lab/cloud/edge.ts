/** The load balancer of the fake of Cloudflare, in front of the real edge: weights, pools and their health are what it does. */
import { ACCOUNT, FakeCloudflare, TOKEN, ZONE } from '../../test/fakes/cloudflare/server.ts';
import { HOME_REGION, SERVICE, type WorldSpec } from '../world/spec.ts';
import { setEdge } from './routes.ts';
import { appServes } from './tasks.ts';

/** What the topology names. */
export const CLOUDFLARE = { accountId: ACCOUNT, zoneId: ZONE, loadBalancerId: 'b'.repeat(32), token: TOKEN } as const;
export const EDGE_NAME = 'checkout.example.com';
/** Where the monitors of the pools run. */
const DATA_CENTRES = ['Amsterdam, NL', 'Frankfurt, DE'];

export const poolOf = (spec: WorldSpec, region: string): string =>
  String(spec.regions.findIndex(({ name }) => name === region) + 1).repeat(32);
export const poolName = (region: string): string => `${SERVICE}-${region}`;

export interface Edge {
  baseURL: string;
  look(): Promise<boolean>;
}

/** Starts the fake with a load balancer whose pools are the regions of the world. */
export async function openEdge(spec: WorldSpec): Promise<Edge> {
  const fake = await FakeCloudflare.start();
  const { balancers, pools, health } = fake.balancing;
  const modified_on = new Date().toISOString();
  for (const { name, links } of spec.regions) {
    pools.set(poolOf(spec, name), {
      ...{ id: poolOf(spec, name), name: poolName(name), description: '', enabled: true, minimum_origins: 1 },
      ...{ monitor: 'e'.repeat(32), modified_on },
      origins: [{ name, address: `127.0.0.1:${links.app}`, enabled: true, weight: 1 }],
    });
  }
  const id = CLOUDFLARE.loadBalancerId;
  const pool_weights = Object.fromEntries(
    spec.regions.map(({ name }) => [poolOf(spec, name), name === HOME_REGION ? 1 : 0]),
  );
  balancers.set(id, {
    ...{ id, zone_id: CLOUDFLARE.zoneId, name: EDGE_NAME, description: 'The shop', enabled: true, proxied: true },
    ...{ fallback_pool: poolOf(spec, HOME_REGION), default_pools: [...pools.keys()], rules: [], modified_on },
    ...{ region_pools: {}, country_pools: {}, pop_pools: {}, session_affinity: 'none' },
    ...{ steering_policy: 'random', random_steering: { default_weight: 0, pool_weights } },
  });

  /** The share of each region, as Cloudflare picks a random healthy pool by weight. */
  function shares(): Record<string, number> {
    const { random_steering, fallback_pool, enabled } = balancers.get(id)!;
    const weightOf = (pool: string): number =>
      enabled && fake.balancing.usable(pool)
        ? (random_steering?.pool_weights?.[pool] ?? random_steering?.default_weight ?? 1)
        : 0;
    const weights = spec.regions.map(({ name }) => ({ name, weight: weightOf(poolOf(spec, name)) }));
    const nobody = weights.every(({ weight }) => weight === 0);
    // The fallback pool gets everything then, whatever its health.
    const shareOf = ({ name, weight }: { name: string; weight: number }): number =>
      nobody ? Number(poolOf(spec, name) === fallback_pool) * 100 : Math.round(weight * 100);
    return Object.fromEntries(weights.map((one) => [one.name, shareOf(one)]));
  }

  return {
    baseURL: fake.baseURL,
    async look() {
      await Promise.all(
        spec.regions.map(async ({ name, links }) => {
          const up = await appServes(links.app);
          const pops = Object.fromEntries(DATA_CENTRES.map((place) => [place, up]));
          const before = health.get(poolOf(spec, name));
          health.set(poolOf(spec, name), { pops, checksLeft: before?.checksLeft ?? 0 });
        }),
      );
      setEdge(spec, shares());
      return true;
    },
  };
}
