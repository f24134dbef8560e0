import type { Component } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Driver, DriverContext, Store } from '../ports.ts';
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
  open: lazily,
};

/** A store whose parts, and the packages they need, are loaded at the first call. */
function lazily(component: Component, context: DriverContext): Store {
  let loaded: Promise<Store> | undefined;
  const call =
    <Name extends keyof Store>(name: Name) =>
    async (...args: never[]): Promise<never> => {
      loaded ??= import('./store.ts').then(({ openStore }) => openStore(component, context), missing);
      const method = (await loaded)[name] as unknown as (...given: never[]) => Promise<never>;
      return method(...args);
    };
  return {
    observe: call('observe'),
    sample: call('sample'),
    preflight: call('preflight'),
    readClaim: call('readClaim'),
    claim: call('claim'),
    journal: call('journal'),
    converge: call('converge'),
    fence: call('fence'),
    unfence: call('unfence'),
    awaitCatchUp: call('awaitCatchUp'),
    prove: call('prove'),
    promote: call('promote'),
    revokePromote: call('revokePromote'),
    verifyWritable: call('verifyWritable'),
    rejoin: call('rejoin'),
    rebuild: call('rebuild'),
    release: call('release'),
    escape: call('escape'),
  };
}

function missing(error: unknown): never {
  if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
  throw new RampartError('MissingPackage', 'the rds driver needs the packages `pg` and `@aws-sdk/client-rds`', {
    remedy: 'npm install pg @aws-sdk/client-rds',
    cause: error,
  });
}
