/** A load balancer at the fake of Cloudflare with two regions' pools, and the edge that clients reach it through. */
import { Agent, request } from 'node:http';
import { cloudflareLb } from '../../../drivers/cloudflare/lb.ts';
import { wholeTo } from '../../../drivers/cloudflare/weights.ts';
import type { Weights } from '../../../drivers/ports.ts';
import type { Component } from '../../../topology/model.ts';
import type { RouterWorld } from '../../conformance/router/router-suite.ts';
import { startEdge } from '../../fakes/cloudflare/edge.ts';
import type { FakeLoadBalancer, FakePool } from '../../fakes/cloudflare/load-balancers.ts';
import { ACCOUNT, FakeCloudflare, TOKEN, ZONE } from '../../fakes/cloudflare/server.ts';

export const REGIONS = ['eu-west', 'eu-central'] as const;
export const POOLS = { 'eu-west': '1'.repeat(32), 'eu-central': '2'.repeat(32) } as const;
export const BALANCER = 'b'.repeat(32);
export const DISABLED = 'd'.repeat(32);
const HOST = 'shop.example.com';

export interface LbWorld extends RouterWorld {
  fake: FakeCloudflare;
  edgeUrl: string;
  /** The load balancer as it is now. */
  balancer(): FakeLoadBalancer;
  pool(region: keyof typeof POOLS): FakePool;
  /** Component with parts of its configuration replaced. */
  with(config: Record<string, unknown>, nodes?: Record<string, Record<string, unknown>>): Component;
}

export async function makeLbWorld(kind: 'weighted' | 'onOff'): Promise<LbWorld> {
  const fake = await FakeCloudflare.start();
  const edge = await startEdge(fake.balancing);
  const { balancers, pools, health } = fake.balancing;
  const at = '2026-01-01T00:00:00.000000Z';
  for (const region of REGIONS) {
    const id = POOLS[region];
    pools.set(id, {
      ...{ id, name: `shop-${region}`, description: '', enabled: true, minimum_origins: 1, monitor: 'e'.repeat(32) },
      ...{ origins: [{ name: region, address: '192.0.2.1', enabled: true, weight: 1 }], modified_on: at },
    });
    health.set(id, { pops: { 'Amsterdam, NL': true, 'Paris, FR': true }, checksLeft: 0 });
  }
  const add = (id: string, enabled: boolean) =>
    balancers.set(id, {
      ...{ id, zone_id: ZONE, name: HOST, description: 'The shop', enabled, proxied: true },
      ...{ fallback_pool: POOLS['eu-central'], default_pools: Object.values(POOLS) },
      ...{ region_pools: {}, country_pools: {}, pop_pools: {}, rules: [], session_affinity: 'none', modified_on: at },
      steering_policy: kind === 'weighted' ? 'random' : 'off',
      ...(kind === 'weighted' ? { random_steering: random({ 'eu-west': 100, 'eu-central': 0 }) } : {}),
    });
  add(BALANCER, true);
  add(DISABLED, false);

  const config = {
    ...{ kind, apiToken: '${env:CF_TOKEN}', baseURL: fake.baseURL, accountId: ACCOUNT, zoneId: ZONE },
    ...{ loadBalancerId: BALANCER, timeout: '1500ms', deadline: '2s', healthDeadline: '2s' },
    requestsPer5Minutes: 1_000_000,
    sample: { url: edge.url, host: HOST, requests: 40 },
  };
  const component = (changes: Record<string, unknown> = {}, nodes: Record<string, Record<string, unknown>> = {}) => {
    const parsed = cloudflareLb.config.parse({ ...config, ...changes }) as Component['config'];
    const side = (region: keyof typeof POOLS) => {
      const node = cloudflareLb.node.parse({ pool: POOLS[region], ...nodes[region] }) as Component['config'];
      return [region, { region, nodes: [{ name: region, queue: 'rampart', config: node }] }];
    };
    return {
      ...{ name: 'shop-edge', type: 'cloudflare-lb', role: 'router', queue: 'rampart', config: parsed },
      sides: Object.fromEntries(REGIONS.map(side)),
      capabilities: cloudflareLb.capabilities(parsed),
    } as Component;
  };
  const balancer = () => balancers.get(BALANCER)!;

  return {
    driver: cloudflareLb,
    component: component(),
    with: component,
    fake,
    edgeUrl: edge.url,
    balancer,
    pool: (region) => pools.get(POOLS[region])!,
    secrets: { '${env:CF_TOKEN}': TOKEN },
    unreachable: () => component({ baseURL: 'http://127.0.0.1:1/client/v4' }),
    wrongCredentials: () => ({ component: component(), secrets: { '${env:CF_TOKEN}': 'an-old-token' } }),
    deaf: () => component({ loadBalancerId: DISABLED, deadline: '150ms' }),
    freeze: () => fake.freeze(),
    thaw: () => fake.thaw(),
    async changeByHand(weights) {
      if (kind === 'weighted') balancer().random_steering = random(weights);
      else balancer().default_pools = [...REGIONS].sort((a, b) => weights[b]! - weights[a]!).map((one) => POOLS[one]);
    },
    measure: () => ask(edge.url),
    async close() {
      await fake.stop();
      await edge.close();
    },
  };
}

export const whole = (region: string): Weights => wholeTo(REGIONS, region);

function random(weights: Weights) {
  const pool_weights = Object.fromEntries(REGIONS.map((region) => [POOLS[region], weights[region]! / 100]));
  return { default_weight: 0, pool_weights };
}

const connections = new Agent({ keepAlive: true, maxSockets: 1 });

/** Who answers clients, in percent. */
export async function ask(url: string, headers: Record<string, string> = {}): Promise<Weights> {
  const counts: Weights = Object.fromEntries(REGIONS.map((region) => [region, 0]));
  for (let i = 0; i < 20; i++) {
    const region = await new Promise<string>((resolve, reject) => {
      const call = request(url, { agent: connections, headers: { host: HOST, ...headers } }, (answer) => {
        answer.resume();
        resolve(String(answer.headers['x-region'] ?? 'nobody'));
      });
      call.on('error', reject).end();
    });
    counts[region] = (counts[region] ?? 0) + 5;
  }
  return counts;
}
