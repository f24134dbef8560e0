/** Load balancers and pools of the fake: validated as documented, PATCH as the API does it. */
import { ApiError, type Call, onlyFields, type Page } from './wire.ts';

export interface FakePool {
  id: string;
  name: string;
  description: string;
  enabled: boolean;
  disabled_at?: string;
  minimum_origins: number;
  monitor?: string;
  origins: Array<{ name: string; address: string; enabled: boolean; weight: number }>;
  modified_on: string;
}

export interface FakeLoadBalancer {
  id: string;
  zone_id: string;
  name: string;
  description: string;
  enabled: boolean;
  proxied: boolean;
  ttl?: number;
  fallback_pool: string;
  default_pools: string[];
  region_pools: Record<string, string[]>;
  country_pools: Record<string, string[]>;
  pop_pools: Record<string, string[]>;
  steering_policy: string;
  random_steering?: { default_weight?: number; pool_weights?: Record<string, number> };
  session_affinity: string;
  session_affinity_ttl?: number;
  session_affinity_attributes?: Record<string, unknown>;
  rules: Array<Record<string, unknown>>;
  pool_sets?: Array<Record<string, unknown>>;
  modified_on: string;
}

/** What the monitors see, beside the pool itself. */
export interface PoolHealth {
  /** By data centre, when its checks have run. */
  pops: Record<string, boolean>;
  /** How often health is asked for before a newly enabled pool's checks have run. */
  checksLeft: number;
}

const LB_FIELDS = [
  ...['adaptive_routing', 'country_pools', 'default_pools', 'description', 'enabled', 'fallback_pool'],
  ...['location_strategy', 'name', 'pop_pools', 'pool_sets', 'proxied', 'random_steering', 'region_pools', 'rules'],
  ...['session_affinity', 'session_affinity_attributes', 'session_affinity_ttl', 'steering_policy', 'ttl'],
];
const POOL_FIELDS = [
  ...['check_regions', 'description', 'enabled', 'latitude', 'longitude', 'load_shedding', 'minimum_origins'],
  ...['monitor', 'monitor_group', 'name', 'notification_filter', 'origin_steering', 'origins'],
];
const POLICIES = ['off', 'geo', 'random', 'dynamic_latency', 'proximity', 'least_outstanding_requests', ''];

export class LoadBalancers {
  readonly balancers = new Map<string, FakeLoadBalancer>();
  readonly pools = new Map<string, FakePool>();
  readonly health = new Map<string, PoolHealth>();
  /** Which of the two documented shapes of `pop_health` is answered. */
  healthShape: 'map' | 'flat' = 'map';
  /** How often health is asked for before a pool that was enabled again has any. */
  checksAfterEnabling = 2;
  readonly #account: string;

  constructor(account: string) {
    this.#account = account;
  }

  answer({ method, path, body }: Call): Page | undefined {
    const balancer = /^\/zones\/([^/]+)\/load_balancers\/([^/]+)$/.exec(path);
    if (balancer !== null) {
      const found = this.balancers.get(balancer[2]!);
      if (found === undefined || found.zone_id !== balancer[1]) throw missing('load balancer');
      if (method === 'PATCH') this.#patch(found, body);
      const { zone_id: _, ...result } = found;
      return { result };
    }
    const pool = /^\/accounts\/([^/]+)\/load_balancers\/pools\/([^/]+)(\/health|\/references)?$/.exec(path);
    if (pool === null) return undefined;
    const found = this.pools.get(pool[2]!);
    if (found === undefined || pool[1] !== this.#account) throw missing('pool');
    if (pool[3] === '/health') return { result: { pool_id: found.id, pop_health: this.#popHealth(found) } };
    if (pool[3] === '/references') return { result: this.#references(found.id) };
    if (method === 'PATCH') this.#patchPool(found, body);
    return { result: found };
  }

  /** Whether traffic may be steered to it: without a monitor always, with one only when its checks have passed. */
  usable(id: string): boolean {
    const pool = this.pools.get(id);
    if (pool === undefined || !pool.enabled) return false;
    if (pool.monitor === undefined) return true;
    const { pops, checksLeft } = this.health.get(id)!;
    const seen = Object.values(pops);
    return checksLeft === 0 && seen.filter(Boolean).length * 2 > seen.length;
  }

  #patch(balancer: FakeLoadBalancer, body: Record<string, unknown>): void {
    onlyFields(body, LB_FIELDS);
    const next = { ...balancer, ...structuredClone(body) } as FakeLoadBalancer;
    if (!POLICIES.includes(next.steering_policy)) throw invalid('steering_policy');
    if (next.default_pools.length === 0) throw invalid('default_pools');
    const lists = [next.region_pools, next.country_pools, next.pop_pools].flatMap((map) => Object.values(map).flat());
    for (const id of [...next.default_pools, ...lists, next.fallback_pool]) {
      if (!this.pools.has(id)) throw new ApiError(400, 1002, `could not find pool ${id}`);
    }
    const { default_weight = 1, pool_weights = {} } = next.random_steering ?? {};
    if (!isStep(default_weight, 10)) throw invalid('random_steering.default_weight');
    if (!Object.values(pool_weights).every((weight) => isStep(weight, 100))) throw invalid('pool_weights');
    if (next.session_affinity !== 'none' && !next.proxied) throw invalid('session_affinity');
    Object.assign(balancer, next, { modified_on: new Date().toISOString() });
  }

  #patchPool(pool: FakePool, body: Record<string, unknown>): void {
    onlyFields(body, POOL_FIELDS);
    if (body.enabled !== undefined && typeof body.enabled !== 'boolean') throw invalid('enabled');
    if (body.enabled === true && !pool.enabled) {
      const health = this.health.get(pool.id)!;
      this.health.set(pool.id, { ...health, checksLeft: this.checksAfterEnabling });
      delete pool.disabled_at;
    }
    if (body.enabled === false && pool.enabled) pool.disabled_at = new Date().toISOString();
    Object.assign(pool, structuredClone(body), { modified_on: new Date().toISOString() });
  }

  #popHealth(pool: FakePool): unknown {
    const health = this.health.get(pool.id)!;
    const known = pool.enabled && pool.monitor !== undefined && health.checksLeft === 0;
    if (health.checksLeft > 0) health.checksLeft--;
    const origin = (healthy: boolean) => [
      { [pool.origins[0]!.address]: { healthy, failure_reason: 'No failures', response_code: 200, rtt: '12.1ms' } },
    ];
    if (!known) return this.healthShape === 'map' ? {} : null;
    const pops = Object.entries(health.pops);
    if (this.healthShape === 'flat') {
      const healthy = pops.every(([, up]) => up);
      return { healthy, origins: origin(healthy) };
    }
    return Object.fromEntries(pops.map(([pop, healthy]) => [pop, { healthy, origins: origin(healthy) }]));
  }

  #references(pool: string): unknown[] {
    const users = [...this.balancers.values()].filter(
      (one) => one.default_pools.includes(pool) || one.fallback_pool === pool,
    );
    return users.map(({ id, name }) => ({
      reference_type: 'referrer',
      resource_type: 'load_balancer',
      resource_id: id,
      resource_name: name,
    }));
  }
}

function isStep(value: unknown, steps: number): boolean {
  if (typeof value !== 'number' || value < 0 || value > 1) return false;
  return Math.abs(value * steps - Math.round(value * steps)) < 1e-9;
}

const missing = (what: string) => new ApiError(404, 1001, `${what} not found`);
const invalid = (field: string) => new ApiError(400, 1002, `${field}: validation failed`);
