import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical.ts';
import type { Topology } from './model.ts';

/** SHA-256, in hex, over the canonical JSON of a normalised topology; where it was read from does not count. */
export function topologyDigest(
  topology: Pick<Topology, 'version' | 'regions' | 'tiers' | 'components' | 'services'>,
): string {
  const { version, regions, tiers, components, services } = topology;
  return createHash('sha256').update(canonicalJson({ version, regions, tiers, components, services })).digest('hex');
}
