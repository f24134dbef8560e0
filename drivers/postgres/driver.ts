import { RampartError } from '../errors.ts';
import type { Driver, Store } from '../ports.ts';
import { configSchema, isLocal, nodeSchema } from './config.ts';
import { validatePostgres } from './validate.ts';

/**
 * PostgreSQL 15 to 18 with physical streaming replication: one primary, any number of replicas in any number of
 * regions.
 */
export const postgres: Driver<'store'> = {
  type: 'postgres',
  role: 'store',
  summary: 'PostgreSQL with physical streaming replication',
  config: configSchema,
  node: nodeSchema,
  capabilities: () => ({
    role: 'store',
    cutover: 'staged',
    fenceProofs: ['stopped', 'sessions'],
    rewind: true,
    pausesReplay: true,
  }),
  local: isLocal,
  secrets: ['password', 'replication.password'],
  validate: validatePostgres,
  open: (component, context) =>
    lazily(() => import('./store.ts').then(({ openStore }) => openStore(component, context))),
};

/** A store whose parts, and the packages they need, are loaded at the first call. */
function lazily(load: () => Promise<Store>): Store {
  let loaded: Promise<Store> | undefined;
  const call =
    <Name extends keyof Store>(name: Name) =>
    async (...args: never[]): Promise<never> => {
      loaded ??= load().catch(missing);
      const store = await loaded;
      const method = store[name] as unknown as (...given: never[]) => Promise<never>;
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
    leftBehind: call('leftBehind'),
    rejoin: call('rejoin'),
    rebuild: call('rebuild'),
    release: call('release'),
    readReplay: call('readReplay'),
    pauseReplay: call('pauseReplay'),
    resumeReplay: call('resumeReplay'),
    recoveryPoints: call('recoveryPoints'),
    escape: call('escape'),
  };
}

function missing(error: unknown): never {
  if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
  throw new RampartError('MissingPackage', 'the postgres driver needs the package `pg`', {
    remedy: 'npm install pg',
    cause: error,
  });
}
