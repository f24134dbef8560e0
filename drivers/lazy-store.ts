import type { Store } from './ports.ts';

const METHODS = [
  ...['observe', 'sample', 'preflight', 'readClaim', 'claim', 'journal', 'converge', 'fence', 'unfence'],
  ...['awaitCatchUp', 'prove', 'promote', 'revokePromote', 'verifyWritable', 'rejoin', 'rebuild', 'release', 'escape'],
] as Array<keyof Store>;

/**
 * A store whose parts, and the packages they need, are loaded at the first call.
 * @param optional the methods it has beyond those that every store has
 */
export function lazyStore(load: () => Promise<Store>, optional: Array<keyof Store> = []): Store {
  let loaded: Promise<Store> | undefined;
  const call =
    (name: keyof Store) =>
    async (...args: never[]): Promise<never> => {
      loaded ??= load();
      const method = (await loaded)[name] as unknown as (...given: never[]) => Promise<never>;
      return method(...args);
    };
  return Object.fromEntries([...METHODS, ...optional].map((name) => [name, call(name)])) as unknown as Store;
}
