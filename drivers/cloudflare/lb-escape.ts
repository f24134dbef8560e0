/** What people type when nothing of Rampart runs. */
import type { RegionName } from '../../topology/model.ts';
import { orderChange, weightsChange } from './lb-change.ts';
import type { LbConfig, LbNode } from './lb-config.ts';
import type { LbState } from './lb-state.ts';
import { wholeTo } from './weights.ts';

/** @param state the present one; `null` when the API did not answer, then from the topology alone */
export function escapeLb(
  config: LbConfig,
  nodes: Record<RegionName, LbNode>,
  to: RegionName,
  state: LbState | null,
): string[] {
  const { zoneId, accountId, loadBalancerId, kind } = config;
  const balancer = `/zones/${zoneId}/load_balancers/${loadBalancerId}`;
  const pool = `/accounts/${accountId}/load_balancers/pools/${nodes[to]!.pool}`;
  const known = state !== null && state.obstacle === null;
  const body = known
    ? kind === 'weighted'
      ? weightsChange(state, wholeTo(Object.keys(nodes), to))
      : orderChange(state, to)
    : fromTopology(kind, nodes, to);
  return [
    ...(known ? [] : ['# From the topology alone: look first whether the load balancer has other pools, too.']),
    curl(config, 'GET', balancer),
    ...(state?.pools[to]?.enabled === false
      ? [`# The pool of ${to} is disabled:`]
      : ['# Only if the pool is disabled:']),
    `${state?.pools[to]?.enabled === false ? '' : '# '}${curl(config, 'PATCH', pool, { enabled: true })}`,
    curl(config, 'PATCH', balancer, body),
    '# It must show the change, and the pool must be healthy:',
    curl(config, 'GET', balancer),
    curl(config, 'GET', `${pool}/health`),
  ];
}

function fromTopology(kind: LbConfig['kind'], nodes: Record<RegionName, LbNode>, to: RegionName) {
  const others = Object.keys(nodes).filter((region) => region !== to);
  if (kind === 'onOff') return { default_pools: [to, ...others].map((region) => nodes[region]!.pool) };
  const weights = Object.entries(nodes).map(([region, { pool }]) => [pool, region === to ? 1 : 0]);
  return { random_steering: { default_weight: 0, pool_weights: Object.fromEntries(weights) } };
}

/** A request by hand. The token comes from where the topology says that it is. */
export function curl(
  { apiToken, baseURL }: Pick<LbConfig, 'apiToken' | 'baseURL'>,
  method: string,
  path: string,
  body?: object,
): string {
  const secret = apiToken.replace(/^\$\{env:(.*)\}$/, '$$$1').replace(/^\$\{file:(.*)\}$/, "$$(cat '$1')");
  const url = `'${`${baseURL}${path}`.replaceAll("'", '%27')}'`;
  const login = `-H "Authorization: Bearer ${secret}"`;
  if (body === undefined) return `curl -fsS ${login} ${url}`;
  const json = JSON.stringify(body).replaceAll("'", `'\\''`);
  return `curl -fsS -X ${method} ${login} -H 'Content-Type: application/json' -d '${json}' ${url}`;
}
