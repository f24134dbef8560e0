/** The topology as it was when it could last be read: a file that is being edited must keep no word from people. */
import type { Topology } from '../topology/model.ts';

export interface ReadTopology {
  /** Reads it. @throws when it cannot be read now */
  now(): Promise<Topology>;
  /** Reads it, or has what anybody here could last read. @throws only as long as nobody could */
  last(): Promise<Topology>;
}

export function rememberTopology(read: () => Promise<Topology>): ReadTopology {
  let last: Topology | null = null;
  const now = async (): Promise<Topology> => {
    last = await read();
    return last;
  };
  return {
    now,
    last: () =>
      now().catch((error: unknown) => {
        if (last === null) throw error;
        return last;
      }),
  };
}
