/** The number that stands for a timeline: how often the writer has moved. Pure. */
import type { RegionName } from '../../topology/model.ts';
import type { Generation, Kept } from './tags.ts';

/**
 * Runs count in tags; the provider has no such number. A writer that is not where the newest count saw it has moved once
 * more, by somebody else. Two moves there and back that no run has seen are not noticed: the writer is the same again.
 */
export function generationOf(kept: ReadonlyArray<Kept | null>, writer: RegionName): Generation {
  const newest = kept.reduce<Generation | null>(
    (max, one) => (one?.generation && one.generation.number > (max?.number ?? 0) ? one.generation : max),
    null,
  );
  if (newest === null) return { number: 1, writer };
  return newest.writer === writer ? newest : { number: newest.number + 1, writer };
}
