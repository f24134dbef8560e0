/**
 * The lag that `/metrics` shows, from the sampler's cheap readings alone. Pure. Runs do not decide by it: they measure
 * their own.
 */
import type { Millis, NodeObservation, Position, SampleReading } from '../drivers/ports.ts';

export interface SampledLag {
  bytes: number;
  /** Age of the newest reading of the writable side that the replica has applied; `null` = none is remembered. */
  seconds: number | null;
}

/** Readings of the two sides that are further apart than this say nothing, in milliseconds. */
const APART_MS = 5_000;

/**
 * @param node a replica's reading of this moment
 * @param nodes every node's reading of this moment
 * @param readings what the sampler remembers of the component
 * @returns `null` when exactly one writable side of the same database and timeline cannot be read now
 */
export function lagOf(
  node: NodeObservation,
  nodes: readonly NodeObservation[],
  readings: readonly SampleReading[],
  now: Millis,
): SampledLag | null {
  const writable = nodes.filter((n) => n.state === 'writable' && n.position !== null);
  const source = writable.length === 1 ? writable[0]! : null;
  if (node.state !== 'replica' || node.position === null || source === null) return null;
  if (source.systemId !== node.systemId || source.position!.timeline !== node.position.timeline) return null;
  if (Math.abs(source.observedAt - node.observedAt) > APART_MS) return null;
  const behind = BigInt(source.position!.order) - BigInt(node.position.order);
  if (behind <= 0n) return { bytes: 0, seconds: 0 };
  const held = readings.filter(
    (r) => r.state === 'writable' && r.position !== null && isHeld(r.position, node.position!),
  );
  const newest = held.reduce<Millis | null>((max, r) => (max === null || r.at > max ? r.at : max), null);
  return { bytes: Number(behind), seconds: newest === null ? null : Math.max(0, now - newest) / 1000 };
}

const isHeld = (position: Position, by: Position): boolean =>
  position.timeline === by.timeline && BigInt(position.order) <= BigInt(by.order);
