/** What the provider says: who the writer is, what it is doing, and how each side's cluster stands. */
import type { DBCluster, GlobalCluster } from '@aws-sdk/client-rds';
import type { RegionName } from '../../topology/model.ts';
import { AwsRefusal } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import { asFailure, rdsApi, readLimit } from './api.ts';
import { type Aurora, type AuroraNode, where } from './config.ts';

/** A switch under way, by whomever. */
export interface Operation {
  /** The provider's word: `switching-over`, `failing-over`, `cancelling`, `pending`. */
  status: string;
  /** Where to; `null`: it does not say, or to a cluster that the topology does not know. */
  to: RegionName | null;
  allowsLoss: boolean;
}

/** One answer of DescribeGlobalClusters, or what DescribeDBClusters says of a single cluster. */
export interface Said {
  systemId: string;
  /** The side with the writer; `null`: none of the topology's. */
  writer: RegionName | null;
  /** The node that is the writer; `null` like `writer`. */
  writerNode: string | null;
  operation: Operation | null;
  /** SynchronizationStatus of the sides that are members: `connected`, `pending-resync`, or empty where it is not told. */
  members: Record<RegionName, string>;
  /** ARNs of members that the topology does not name. */
  strangers: string[];
  /** Address that follows the writer. */
  endpoint: string | null;
  version: string | null;
}

/** One look. A region that did not answer is in it as its error. */
export interface Look {
  said: Record<RegionName, Said | RampartError>;
  clusters: Record<RegionName, DBCluster | RampartError>;
}

/**
 * Asks every side's own region at the same time. Never throws for a region that does not answer.
 * @param lost a region that is known not to answer: it is not waited for again
 */
export async function look(aurora: Aurora, lost: RegionName | null = null): Promise<Look> {
  const notAsked = new RampartError('ProviderUnavailable', `${lost} has not answered before, and is not asked`);
  const answers = await Promise.all(
    aurora.regions.map((region) =>
      region === lost ? { region, said: notAsked, cluster: notAsked } : ask(aurora, region),
    ),
  );
  return {
    said: Object.fromEntries(answers.map(({ region, said }) => [region, said])),
    clusters: Object.fromEntries(answers.map(({ region, cluster }) => [region, cluster])),
  };
}

async function ask(
  aurora: Aurora,
  region: RegionName,
): Promise<{ region: RegionName; said: Said | RampartError; cluster: DBCluster | RampartError }> {
  const node = aurora.nodes.find((one) => one.region === region)!;
  if (aurora.globalCluster === null) {
    const cluster = await describeCluster(aurora, node).catch(asFailure);
    return { region, cluster, said: cluster instanceof RampartError ? cluster : saidOfCluster(aurora, cluster) };
  }
  const [cluster, said] = await Promise.all([
    describeCluster(aurora, node).catch(asFailure),
    describeGlobal(aurora, node)
      .then((global) => saidOfGlobal(aurora, global))
      .catch(asFailure),
  ]);
  return { region, cluster, said };
}

/** @throws AwsRefusal DBClusterNotFoundFault, and what the API fails with */
export async function describeCluster(aurora: Aurora, node: AuroraNode): Promise<DBCluster> {
  const [api, { DescribeDBClustersCommand }] = await Promise.all([rdsApi(aurora, node), import('@aws-sdk/client-rds')]);
  const command = new DescribeDBClustersCommand({ DBClusterIdentifier: node.cluster });
  const { DBClusters } = await api.call('DescribeDBClusters', (rds, o) => rds.send(command, o), readLimit(aurora));
  const found = DBClusters?.find((one) => one.DBClusterIdentifier === node.cluster);
  if (found !== undefined) return found;
  throw new AwsRefusal(
    'DBClusterNotFoundFault',
    `${where(aurora, node)}: ${node.place.region} has no cluster ${node.cluster}`,
  );
}

export async function describeGlobal(aurora: Aurora, node: AuroraNode): Promise<GlobalCluster> {
  const id = aurora.globalCluster!;
  const [api, { DescribeGlobalClustersCommand }] = await Promise.all([
    rdsApi(aurora, node),
    import('@aws-sdk/client-rds'),
  ]);
  const command = new DescribeGlobalClustersCommand({ GlobalClusterIdentifier: id });
  const { GlobalClusters } = await api.call(
    'DescribeGlobalClusters',
    (rds, o) => rds.send(command, o),
    readLimit(aurora),
  );
  // Emulators ignore the filter.
  const found = GlobalClusters?.find((one) => one.GlobalClusterIdentifier === id);
  if (found !== undefined) return found;
  throw new AwsRefusal(
    'GlobalClusterNotFoundFault',
    `${where(aurora, node)}: ${node.place.region} knows no global cluster ${id}`,
  );
}

/** The side that a cluster is, by region and identifier of its ARN. */
export function sideOf(aurora: Aurora, arn: string | undefined): RegionName | null {
  const [, , , region, , kind, id] = (arn ?? '').split(':');
  const node = aurora.nodes.find((one) => kind === 'cluster' && one.place.region === region && one.cluster === id);
  return node?.region ?? null;
}

/** What DescribeGlobalClusters says, and the answer of the two calls that switch, which has the same form. */
export function saidOfGlobal(aurora: Aurora, global: GlobalCluster): Said {
  const members = global.GlobalClusterMembers ?? [];
  const state = global.FailoverState;
  const known = members.flatMap((member): Array<[RegionName, string]> => {
    const side = sideOf(aurora, member.DBClusterArn);
    return side === null ? [] : [[side, member.SynchronizationStatus ?? '']];
  });
  const writer = sideOf(aurora, members.find((member) => member.IsWriter)?.DBClusterArn);
  return {
    systemId: global.GlobalClusterResourceId ?? global.GlobalClusterArn ?? global.GlobalClusterIdentifier!,
    writer,
    writerNode: aurora.nodes.find(({ region }) => region === writer)?.name ?? null,
    // Empty when idle. The SDK's enumeration lacks `switching-over`: it is a text to this driver.
    operation:
      state?.Status === undefined
        ? null
        : {
            status: state.Status,
            to: sideOf(aurora, state.ToDbClusterArn),
            allowsLoss: state.IsDataLossAllowed === true,
          },
    members: Object.fromEntries(known),
    strangers: members.flatMap(({ DBClusterArn: arn }) =>
      arn === undefined || sideOf(aurora, arn) !== null ? [] : [arn],
    ),
    endpoint: global.Endpoint ?? null,
    version: global.EngineVersion ?? null,
  };
}

/** One cluster whose instances are the sides. */
export function saidOfCluster(aurora: Aurora, cluster: DBCluster): Said {
  const members = cluster.DBClusterMembers ?? [];
  const nodeOf = (id: string | undefined) => aurora.nodes.find(({ instance }) => instance === id);
  const writer = nodeOf(members.find((member) => member.IsClusterWriter)?.DBInstanceIdentifier);
  return {
    systemId: cluster.DbClusterResourceId ?? cluster.DBClusterArn ?? cluster.DBClusterIdentifier!,
    writer: writer?.region ?? null,
    writerNode: writer?.name ?? null,
    operation: cluster.Status === 'failing-over' ? { status: cluster.Status, to: null, allowsLoss: false } : null,
    members: Object.fromEntries(
      members.flatMap(({ DBInstanceIdentifier: id }) => {
        const node = nodeOf(id);
        return node === undefined ? [] : [[node.region, 'connected'] as const];
      }),
    ),
    strangers: members.flatMap(({ DBInstanceIdentifier: id }) =>
      id === undefined || nodeOf(id) !== undefined ? [] : [id],
    ),
    endpoint: cluster.Endpoint ?? null,
    version: cluster.EngineVersion ?? null,
  };
}

/** What the regions that answered agree on. */
export interface Agreed extends Said {
  /** Regions whose word it is. */
  by: RegionName[];
}

/**
 * @param without a region whose own word does not count
 * @throws the failure of the regions when none answered; NotApplied when they contradict each other
 */
export function agreed({ said }: Pick<Look, 'said'>, aurora: Aurora, without: RegionName | null = null): Agreed {
  const entries = Object.entries(said).filter(([region]) => region !== without || aurora.globalCluster === null);
  const heard = entries.flatMap(([region, one]) => (one instanceof RampartError ? [] : [[region, one] as const]));
  if (heard.length === 0) throw failureOf(entries.map(([, one]) => one as RampartError));
  const [first, ...rest] = heard.map(([, one]) => one) as [Said, ...Said[]];
  const operation = heard.map(([, one]) => one.operation).find((one) => one !== null) ?? null;
  const different = rest.find((one) => one.writer !== first.writer);
  if (different !== undefined && operation === null) {
    const words = heard.map(([region, one]) => `${region} says ${one.writer ?? 'nobody'}`);
    throw new RampartError(
      'NotApplied',
      `the regions do not agree who the writer of ${aurora.name} is: ${words.join(', ')}`,
      {
        remedy: 'Wait until the provider has told every region; it is looked at again by itself.',
      },
    );
  }
  return { ...first, operation, by: heard.map(([region]) => region) };
}

/** Denied weighs more than silent: a person can mend it. */
export function failureOf(errors: readonly RampartError[]): RampartError {
  return (
    errors.find(({ type }) => type === 'AccessDenied') ??
    errors.find(({ type }) => type === 'PreconditionFailed') ??
    errors[0]!
  );
}
