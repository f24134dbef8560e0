/** Which node a replica follows, and how far it is behind it. */
import type { Lag } from '../ports.ts';
import { lagBehind } from '../sql/lag.ts';
import type { ServerStatus } from '../sql/status.ts';
import type { Cluster, PgNode } from './config.ts';

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

/** @returns `null` when the node is no replica or follows nobody the topology knows */
export async function measureLag(cluster: Cluster, node: PgNode, status: ServerStatus): Promise<Lag | null> {
  const upstream = upstreamNode(cluster, node, status);
  if (!status.inRecovery || upstream === null) return null;
  return lagBehind(cluster, node, upstream, status);
}
