/** Cloudflare's edge in front of the fake's load balancers: steers requests as the configuration says. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FakeLoadBalancer, LoadBalancers } from './load-balancers.ts';

export interface FakeEdge {
  url: string;
  close(): Promise<void>;
}

/**
 * Answers with the header `x-region`: the name of the pool's first endpoint. Takes turns exactly by weight, so that few
 * requests show a split. The host header names the load balancer, `x-client-region` the region a client is in.
 */
export async function startEdge(balancing: LoadBalancers): Promise<FakeEdge> {
  const turns = new Map<string, Map<string, number>>();

  function nextPool(balancer: FakeLoadBalancer, request: IncomingMessage): string | undefined {
    const region = String(request.headers['x-client-region'] ?? '');
    const geo = balancer.steering_policy === 'geo' ? balancer.region_pools[region] : undefined;
    const order = geo ?? balancer.default_pools;
    const usable = order.filter((id) => balancing.usable(id));
    const fallback = balancing.pools.get(balancer.fallback_pool)?.enabled ? balancer.fallback_pool : undefined;
    if (balancer.steering_policy !== 'random') return usable[0] ?? fallback;
    const { default_weight = 1, pool_weights = {} } = balancer.random_steering ?? {};
    const weights = usable.map((id) => [id, pool_weights[id] ?? default_weight] as const).filter(([, w]) => w > 0);
    return turn(balancer.id, weights) ?? fallback;
  }

  /** Smooth weighted round robin. */
  function turn(key: string, weights: ReadonlyArray<readonly [string, number]>): string | undefined {
    const credit = turns.get(key) ?? new Map<string, number>();
    turns.set(key, credit);
    const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [id, weight] of weights) credit.set(id, (credit.get(id) ?? 0) + weight);
    const first = [...weights].sort(([a], [b]) => credit.get(b)! - credit.get(a)!)[0]?.[0];
    if (first !== undefined) credit.set(first, credit.get(first)! - total);
    return first;
  }

  const server = createServer((request, response) => {
    const balancer = [...balancing.balancers.values()].find(({ name }) => name === request.headers.host);
    const session = /__cflb=([0-9a-f]+)/.exec(request.headers.cookie ?? '')?.[1];
    const sticky = balancer !== undefined && balancer.session_affinity !== 'none';
    const kept = sticky && session !== undefined && balancing.usable(session) ? session : undefined;
    const id = balancer?.enabled ? (kept ?? nextPool(balancer, request)) : undefined;
    const pool = id === undefined ? undefined : balancing.pools.get(id);
    if (pool === undefined) return void response.writeHead(530).end('error code: 1016');
    if (sticky) response.setHeader('set-cookie', `__cflb=${pool.id}; HttpOnly`);
    response.setHeader('x-region', pool.origins[0]!.name);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      return closed;
    },
  };
}
