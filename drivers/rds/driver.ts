import { lazyStore } from '../lazy-store.ts';
import type { Driver } from '../ports.ts';
import { CALLS, ZONE_CALLS } from './api.ts';
import { configSchema, nodeSchema, validateRds, validateZones, zoneConfigSchema, zoneNodeSchema } from './config.ts';

/** RDS for PostgreSQL: a primary, and a read replica of it in another region that is promoted. */
export const rds: Driver<'store'> = {
  type: 'rds',
  role: 'store',
  summary: 'Amazon RDS for PostgreSQL with a cross-region read replica',
  config: configSchema,
  node: nodeSchema,
  capabilities: () => ({
    role: 'store',
    lookEveryMs: 10_000,
    cutover: 'staged',
    fenceProofs: ['sessions'],
    rewind: false,
    unverifiable: [
      'a promotion ends the replication for good: a failback needs a new replica first, which `rampart reprotect` makes',
      "what the provider's own superuser rdsadmin does",
    ],
  }),
  local: () => false,
  secrets: ['password'],
  calls: [CALLS],
  validate: validateRds,
  open: (component, context) =>
    lazyStore(() => import('./store.ts').then(({ openStore }) => openStore(component, context))),
};

/** One Multi-AZ instance: its sides are the zones of the primary and of the standby. It protects against a lost zone. */
export const rdsMultiAz: Driver<'store'> = {
  type: 'rds-multi-az',
  role: 'store',
  summary: 'Amazon RDS for PostgreSQL within one region: failover to the Multi-AZ standby',
  config: zoneConfigSchema,
  node: zoneNodeSchema,
  capabilities: () => ({
    role: 'store',
    lookEveryMs: 10_000,
    cutover: 'atomic',
    fenceProofs: ['provider'],
    rewind: true,
    unverifiable: ['how far the standby is: RDS replicates it synchronously below the server, and nobody can ask it'],
  }),
  local: () => false,
  secrets: ['password'],
  calls: [ZONE_CALLS],
  validate: validateZones,
  open: (component, context) =>
    lazyStore(() => import('./zones-store.ts').then(({ openZones }) => openZones(component, context)), ['switchover']),
};
