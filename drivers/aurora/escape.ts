/** The same work by hand, with the provider's own command line, for the day when nothing of Rampart runs. */
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { StoreEscape } from '../ports.ts';
import type { Aurora, AuroraNode } from './config.ts';
import { type Look, look } from './look.ts';
import { nodeOfSide } from './sql.ts';

/** What stands without `#` only looks; what switches or detaches stands behind it, because it depends on what people see. */
export async function escapeCommands(aurora: Aurora, from: RegionName, to: RegionName): Promise<StoreEscape> {
  const seen = await look(aurora);
  const [source, target] = [nodeOfSide(aurora, from), nodeOfSide(aurora, to)];
  return aurora.globalCluster === null ? regional(aurora, seen, target) : global(aurora, seen, source, target);
}

function global(aurora: Aurora, seen: Look, source: AuroraNode, target: AuroraNode): StoreEscape {
  const id = aurora.globalCluster!;
  const arn = arnOf(seen, target);
  const show = (node: AuroraNode): string =>
    `${aws(node)} describe-global-clusters --global-cluster-identifier ${id} --query 'GlobalClusters[].[Status,FailoverState,GlobalClusterMembers]'`;
  const call = `--global-cluster-identifier ${id} --target-db-cluster-identifier ${arn}`;
  return {
    now: [
      `# ${aurora.name}, Aurora Global Database ${id}, from ${source.region} to ${target.region}`,
      ...stateLines(aurora, seen),
      '',
      `# 1. Who the writer is, and whether something is under way (FailoverState is empty when nothing is)`,
      show(target),
      '',
      `# 2. If ${source.region} works: switch without loss. Sent to the primary's region.`,
      `#   ${aws(source)} switchover-global-cluster ${call}`,
      '',
      `# 3. Only if ${source.region} is lost, and what has not arrived may be lost: sent to the target's region.`,
      `#   ${aws(target)} failover-global-cluster ${call} --allow-data-loss`,
      '',
      `# 4. Done when FailoverState is empty, ${target.cluster} is the writer, and its Status is available:`,
      show(target),
      `${aws(target)} describe-db-clusters --db-cluster-identifier ${target.cluster} --query 'DBClusters[].[Status,Endpoint,ReaderEndpoint]'`,
      ...events(target),
      '',
      '# 5. Only if Aurora refuses both, for example because the versions differ: detach the target, which cannot be taken',
      '#    back. It becomes a database of its own; every other region has to be added to a new global database.',
      `#   First make sure that nothing writes in ${source.region} any more: two databases would accept writes.`,
      `#   ${aws(target)} remove-from-global-cluster --global-cluster-identifier ${id} --db-cluster-identifier ${arn}`,
      `# Then point the writer endpoint at the Endpoint of ${target.cluster}, unless clients use the global writer endpoint.`,
    ],
    later: [
      `# See that ${source.region} comes back by itself: SynchronizationStatus connected, not pending-resync.`,
      show(target),
      `# What ${source.region} held when it was given up; copy it before its retention ends.`,
      `${aws(source)} describe-db-cluster-snapshots --db-cluster-identifier ${source.cluster} --query "DBClusterSnapshots[?starts_with(DBClusterSnapshotIdentifier,'rds:unplanned-global-failover-')].[DBClusterSnapshotIdentifier,SnapshotCreateTime]"`,
      ...escapeRejoin(aurora, source.region),
    ],
  };
}

/** A side that was detached, or that Aurora could not bring back. */
export function escapeRejoin(aurora: Aurora, region: RegionName): string[] {
  const node = nodeOfSide(aurora, region);
  return [
    `# If ${region} is no member any more: its cluster is to be deleted after a snapshot, and made anew as a secondary:`,
    `#   ${aws(node)} create-db-cluster --db-cluster-identifier ${node.cluster} --engine aurora-postgresql --global-cluster-identifier ${aurora.globalCluster}`,
    `#   ${aws(node)} create-db-instance --db-cluster-identifier ${node.cluster} --db-instance-identifier ${node.cluster}-1 --engine aurora-postgresql --db-instance-class <as in the other region>`,
  ];
}

function regional(aurora: Aurora, seen: Look, target: AuroraNode): StoreEscape {
  const show = `${aws(target)} describe-db-clusters --db-cluster-identifier ${target.cluster} --query 'DBClusters[].[Status,DBClusterMembers[].[DBInstanceIdentifier,IsClusterWriter]]'`;
  return {
    now: [
      `# ${aurora.name}, Aurora cluster ${target.cluster} in ${target.place.region}, to ${target.instance}`,
      ...stateLines(aurora, seen),
      '',
      '# 1. Which instance is the writer',
      show,
      '',
      `# 2. Make ${target.instance} the writer. Nothing is lost: the instances share one volume.`,
      `#   ${aws(target)} failover-db-cluster --db-cluster-identifier ${target.cluster} --target-db-instance-identifier ${target.instance}`,
      '',
      '# 3. Done when the Status is available and it is the writer:',
      show,
      ...events(target),
    ],
    later: ['# Nothing: the old writer is a reader of the same volume as soon as it runs.'],
  };
}

const aws = (node: AuroraNode): string =>
  `aws rds --region ${node.place.region}${node.place.endpoint === undefined ? '' : ` --endpoint-url ${node.place.endpoint}`}`;

const events = (node: AuroraNode): string[] => [
  `${aws(node)} describe-events --source-type db-cluster --source-identifier ${node.cluster} --duration 120 --query 'Events[].[Date,Message]'`,
];

function arnOf(seen: Look, node: AuroraNode): string {
  const cluster = seen.clusters[node.region];
  if (cluster !== undefined && !(cluster instanceof RampartError) && cluster.DBClusterArn) return cluster.DBClusterArn;
  return `arn:aws:rds:${node.place.region}:<account>:cluster:${node.cluster}`;
}

function stateLines(aurora: Aurora, seen: Look): string[] {
  return aurora.regions.map((region) => {
    const said = seen.said[region]!;
    if (said instanceof RampartError) return `#   ${region}: ${said.message}`;
    const busy = said.operation === null ? '' : `, ${said.operation.status}`;
    return `#   ${region} says: the writer is ${said.writer ?? 'in no side of the topology'}${busy}`;
  });
}
