import { lazyStore } from '../lazy-store.ts';
import type { Driver } from '../ports.ts';
import { CALLS } from './api.ts';
import { configSchema, nodeSchema, validateRds } from './config.ts';

/** RDS for PostgreSQL: a primary, and a read replica of it in another region that is promoted. */
export const rds: Driver<'store'> = {
  type: 'rds',
  role: 'store',
  summary: 'Amazon RDS for PostgreSQL with a cross-region read replica',
  config: configSchema,
  node: nodeSchema,
  capabilities: () => ({
    role: 'store',
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
