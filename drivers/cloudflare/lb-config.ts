import { z } from 'zod';
import type { Component, RegionName } from '../../topology/model.ts';
import { durationBetween } from '../../topology/scalars.ts';
import type { Capabilities } from '../ports.ts';
import { sampleSchema } from '../sample.ts';
import { type ApiConfig, apiFields, cloudflareId, zoneId } from './schema.ts';

/** Configuration of a `cloudflare-lb` component. */
export const lbConfigSchema = z.strictObject({
  ...apiFields,
  accountId: cloudflareId('the account that has the pools', '01a7362d577a6c3019a474fd6f485823'),
  zoneId,
  loadBalancerId: cloudflareId('the load balancer', '699d98642c564d2e855e9661899b7252'),
  kind: z
    .enum(['weighted', 'onOff'])
    .default('weighted')
    .meta({
      description:
        'weighted: steering policy random, split by percent. onOff: steering policy off or geo, one region first in every list of pools',
      examples: ['weighted', 'onOff'],
    }),
  proxied: z
    .boolean()
    .default(true)
    .meta({
      description:
        'false: DNS-only, so that resolvers keep old answers for `ttl`. Preflight compares it with the load balancer',
      examples: [true],
    }),
  ttl: durationBetween(30_000, 86_400_000)
    .prefault('30s')
    .meta({ description: 'DNS-only: time to live of its answers', examples: ['30s'] }),
  healthDeadline: durationBetween(50, 600_000)
    .prefault('2m')
    .meta({
      description:
        'Longest wait until the monitors call a region healthy before it gets traffic. See the interval and consecutive_up of the monitor',
      examples: ['2m'],
    }),
  requireHealth: z
    .boolean()
    .default(true)
    .meta({
      description:
        'false: a region gets its weight whatever its monitor says, for a monitor that is broken itself. Cloudflare goes by it all the same',
      examples: [true],
    }),
  sample: sampleSchema.optional(),
});

/** Configuration of one node: the pool of a region. */
export const lbNodeSchema = z.strictObject({
  pool: cloudflareId('the pool of this region', '17b5962d775c646f3f9725cbc7a53df4'),
  poolName: z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/, 'a name of a pool: letters, digits, - and _')
    .optional()
    .meta({
      description: 'Name that this pool must have: preflight stops a topology with swapped ids',
      examples: ['checkout-eu-west'],
    }),
});

export type LbConfig = z.output<typeof lbConfigSchema> & ApiConfig;
export type LbNode = z.output<typeof lbNodeSchema>;

/** The pool of each region, in the topology's order. */
export function poolsOf(component: Component): Record<RegionName, LbNode> {
  return Object.fromEntries(
    Object.values(component.sides).map((side) => [side.region, side.nodes[0]!.config as unknown as LbNode]),
  );
}

/** What the schemas cannot say: one pool for a region, and not the same for two. */
export function validateLb(component: Component) {
  const problems: Array<{ path: (string | number)[]; message: string; code: string }> = [];
  const seen = new Map<unknown, RegionName>();
  for (const { region, nodes } of Object.values(component.sides)) {
    const path = ['sides', region];
    if (nodes.length !== 1) {
      const message = `one pool stands for a region; ${region} has ${nodes.length}. Put all its endpoints into one pool`;
      problems.push({ path, message, code: 'cloudflare_pool_count' });
    }
    for (const { config } of nodes) {
      const other = seen.get(config.pool);
      if (other !== undefined) {
        problems.push({ path, message: `${region} and ${other} have the same pool`, code: 'cloudflare_pool_twice' });
      }
      seen.set(config.pool, region);
    }
  }
  return problems;
}

export function lbCapabilities(config: LbConfig): Capabilities {
  const { kind, proxied, ttl, sample, healthDeadline, deadline } = config;
  return {
    role: 'router',
    kind,
    resolutionPercent: kind === 'weighted' ? 1 : 100,
    ttlMs: proxied ? 0 : ttl,
    preflight: true,
    lookEveryMs: 30_000,
    fences: true,
    applyMs: healthDeadline + deadline,
    verify: sample === undefined ? 'readback' : 'sampled',
    unverifiable: [
      proxied
        ? 'clients with a session (session affinity) keep their region until it ends: weights only apply to new sessions'
        : 'resolvers that keep an answer for longer than its TTL, and clients that never ask again',
      ...(sample === undefined ? ['the split as clients see it: no `sample` is configured'] : []),
    ],
  };
}
