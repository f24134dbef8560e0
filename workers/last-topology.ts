/** The topology as it was when it could last be read: a file that is being edited must keep no word from people. */
import type { Topology } from '../topology/model.ts';

/** @returns a reading of its own each time, or the last one that succeeded; it throws only as long as none has */
export function lastReadable(read: () => Promise<Topology>): () => Promise<Topology> {
  let last: Topology | null = null;
  return async () => {
    try {
      last = await read();
    } catch (error) {
      if (last === null) throw error;
    }
    return last;
  };
}
