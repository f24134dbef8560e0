/** Which node a replica follows, and how far it is behind it. */
import { RampartError } from '../errors.ts';
import type { Lag } from '../ports.ts';
import { lagBehind, staleLag } from '../sql/lag.ts';
import { readStatus, type ServerStatus } from '../sql/status.ts';
import type { Cluster, PgNode } from './config.ts';
import { asFailure } from './reading.ts';

/** The node that a replica streams from, where the topology knows it. */
export function upstreamNode(cluster: Cluster, node: PgNode, status: ServerStatus): PgNode | null {
  const upstream = status.upstream;
  if (upstream === null) return null;
  const others = cluster.nodes.filter((other) => other !== node);
  const at = (address: { host: string; port: number }): boolean =>
    address.port === upstream.port && sameHost(address.host, upstream.host);
  return others.find((other) => at(other.replication)) ?? others.find((other) => at(other)) ?? null;
}

const sameHost = (a: string, b: string): boolean => loopback(a) === loopback(b);
const loopback = (host: string): string => (['localhost', '::1'].includes(host) ? '127.0.0.1' : host);

export interface Origin {
  node: PgNode;
  /** A failure: it could not be asked, and may itself be a replica. */
  status: ServerStatus | RampartError;
  /** Whether the node streams, and every replica that it streams through. */
  streaming: boolean;
}

/**
 * Where a replica's log comes from in the end: level with another replica that is behind, it is just as far behind.
 * @returns `null` when that is nobody the topology knows, or replicas follow each other in a ring
 */
export async function originOf(cluster: Cluster, node: PgNode, status: ServerStatus): Promise<Origin | null> {
  const passed = new Set<PgNode>();
  let streaming = true;
  let [at, its] = [node, status];
  while (its.inRecovery && !passed.has(at)) {
    passed.add(at);
    streaming &&= its.receiver?.status === 'streaming';
    const upstream = upstreamNode(cluster, at, its);
    if (upstream === null) return null;
    const read = await readStatus(cluster, upstream).catch(asFailure);
    if (read instanceof RampartError) return { node: upstream, status: read, streaming };
    [at, its] = [upstream, read];
  }
  return its.inRecovery ? null : { node: at, status: its, streaming };
}

/**
 * How far a replica is behind the primary that its log comes from.
 * @returns `null` when the node is no replica or follows nobody the topology knows
 */
export async function measureLag(cluster: Cluster, node: PgNode, status: ServerStatus): Promise<Lag | null> {
  if (!status.inRecovery) return null;
  const origin = await originOf(cluster, node, status);
  if (origin === null) return null;
  if (origin.status instanceof RampartError) return staleLag(cluster, status.systemId);
  return lagBehind(cluster, node, origin.node, status);
}
