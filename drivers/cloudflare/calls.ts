/** Every call of Cloudflare's API that these drivers make, and the permission of an API token that it needs. */
import { apiCalls } from '../aws/calls.ts';
import type { ProviderCall } from '../ports.ts';

const API = { plane: 'control', where: 'api.cloudflare.com' } as const;
const reads = { ...API, changes: false } satisfies Partial<ProviderCall>;
const changes = { ...API, changes: true } satisfies Partial<ProviderCall>;

const ZONE = 'the zone';
const ACCOUNT = 'the account';

export const LB_CALLS = apiCalls('cloudflare', {
  'loadBalancers.get': {
    ...reads,
    right: 'Zone: Load Balancers Read',
    resource: ZONE,
    why: 'weights, order, steering policy, fallback pool, and the claim in the description',
  },
  'loadBalancers.edit': {
    ...changes,
    right: 'Zone: Load Balancers Edit',
    resource: ZONE,
    why: 'sets weights or order, the fallback pool and the claim in one request',
  },
  'loadBalancers.pools.get': {
    ...reads,
    right: 'Account: Load Balancing: Monitors and Pools Read',
    resource: ACCOUNT,
    why: 'whether a region is enabled; asked by id, because a list holds only its first page',
  },
  'loadBalancers.pools.edit': {
    ...changes,
    right: 'Account: Load Balancing: Monitors and Pools Edit',
    resource: ACCOUNT,
    why: 'disables the pool of a fenced region, and enables it again',
  },
  'loadBalancers.pools.health.get': {
    ...reads,
    right: 'Account: Load Balancing: Monitors and Pools Read',
    resource: ACCOUNT,
    why: 'what the monitors say of a region before it gets traffic',
  },
  'loadBalancers.pools.references.get': {
    ...reads,
    right: 'Account: Load Balancing: Monitors and Pools Read',
    resource: ACCOUNT,
    why: 'whether other load balancers use the pool that a fence would disable',
  },
});

export const DNS_CALLS = apiCalls('cloudflare', {
  'dns.records.list': {
    ...reads,
    right: 'Zone: DNS Read',
    resource: ZONE,
    why: 'every record under the name, with its TTL, and the claim in its comment',
  },
  'dns.records.batch': {
    ...changes,
    right: 'Zone: DNS Edit',
    resource: ZONE,
    why: 'patches content or TTL, and the claim, in one transaction',
  },
});
