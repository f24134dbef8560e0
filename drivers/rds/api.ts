/** The calls this driver makes of RDS, each of one side's region only. */
import type { DBInstance, RDSClient } from '@aws-sdk/client-rds';
import { type ApiCalls, apiCalls } from '../aws/calls.ts';
import { type AwsApi, awsApi } from '../aws/client.ts';
import { AwsRefusal } from '../aws/errors.ts';
import { type Fleet, type Side, whereOf } from './config.ts';

const INSTANCE = 'arn:aws:rds:*:*:db:*';
const target = { plane: 'control' as const, where: "the target's region", resource: INSTANCE };
const each = { plane: 'control' as const, where: "each side's own region", resource: INSTANCE };
const old = { plane: 'control' as const, where: "the old side's region", resource: INSTANCE };

export const CALLS = apiCalls('rds', {
  DescribeDBInstances: {
    ...each,
    changes: false,
    right: 'rds:DescribeDBInstances',
    why: 'what an instance is, and its tags',
  },
  AddTagsToResource: {
    ...each,
    changes: true,
    right: 'rds:AddTagsToResource',
    why: 'claims and the journal, in tags of the instance',
  },
  PromoteReadReplica: {
    ...target,
    changes: true,
    right: 'rds:PromoteReadReplica',
    why: 'to make the replica writable',
  },
  ModifyDBInstance: {
    ...old,
    changes: true,
    right: 'rds:ModifyDBInstance',
    why: 'rebuild: to rename the old instance aside',
  },
  CreateDBInstanceReadReplica: {
    ...old,
    changes: true,
    right: 'rds:CreateDBInstanceReadReplica',
    resource: '*',
    why: 'rebuild: a new replica under the identifier of the side',
  },
  DeleteDBInstance: {
    ...old,
    changes: true,
    right: 'rds:DeleteDBInstance',
    why: 'release: the instance that was kept',
  },
  DescribeDBSnapshots: {
    ...old,
    changes: false,
    right: 'rds:DescribeDBSnapshots',
    resource: 'arn:aws:rds:*:*:snapshot:*',
    why: 'release: whether the final snapshot is there',
  },
});

/** Of the driver that fails over between two zones. */
export const ZONE_CALLS = apiCalls('rds', {
  DescribeDBInstances: { ...CALLS.calls.DescribeDBInstances, where: "the instance's region" },
  DescribeEvents: {
    changes: false,
    right: 'rds:DescribeEvents',
    resource: '*',
    plane: 'control',
    where: "the instance's region",
    why: 'milestones of a failover',
  },
  AddTagsToResource: { ...CALLS.calls.AddTagsToResource, where: "the instance's region" },
  RebootDBInstance: {
    changes: true,
    right: 'rds:RebootDBInstance',
    resource: INSTANCE,
    plane: 'control',
    where: "the instance's region",
    why: 'to fail over to the standby',
  },
});

export const rdsApi = (fleet: Fleet, side: Side) => apiOf(fleet, side, CALLS);

/** @throws RampartError MissingPackage */
export function apiOf<A extends string>(fleet: Fleet, side: Side, calls: ApiCalls<A>): Promise<AwsApi<RDSClient, A>> {
  return awsApi({
    load: () =>
      import('@aws-sdk/client-rds').then(
        ({ RDSClient }) =>
          (base) =>
            new RDSClient(base),
      ),
    package: '@aws-sdk/client-rds',
    calls,
    place: { region: side.awsRegion, endpoint: side.endpoint },
    context: fleet.context,
    component: whereOf(fleet, side),
  });
}

/** What the SDK is asked with: the commands are loaded with the first call. */
export const commands = () => import('@aws-sdk/client-rds');

/** One instance by identifier; `null` = RDS says that there is none in this region. */
export async function describeInstance(fleet: Fleet, side: Side, id = side.instance): Promise<DBInstance | null> {
  const api = await rdsApi(fleet, side);
  const { DescribeDBInstancesCommand } = await commands();
  try {
    const { DBInstances } = await api.call(
      'DescribeDBInstances',
      (client, options) => client.send(new DescribeDBInstancesCommand({ DBInstanceIdentifier: id }), options),
      { timeoutMs: fleet.config.apiTimeout },
    );
    return DBInstances?.find((found) => found.DBInstanceIdentifier === id) ?? null;
  } catch (error) {
    if (error instanceof AwsRefusal && error.code === 'DBInstanceNotFoundFault') return null;
    throw error;
  }
}

/** Every instance of the side's region. */
export async function describeAll(fleet: Fleet, side: Side): Promise<DBInstance[]> {
  const api = await rdsApi(fleet, side);
  const { DescribeDBInstancesCommand } = await commands();
  const all: DBInstance[] = [];
  let marker: string | undefined;
  do {
    const page = await api.call('DescribeDBInstances', (client, options) =>
      client.send(new DescribeDBInstancesCommand(marker === undefined ? {} : { Marker: marker }), options),
    );
    all.push(...(page.DBInstances ?? []));
    marker = page.Marker;
  } while (marker !== undefined && marker !== '');
  return all;
}

export async function addTags(fleet: Fleet, side: Side, arn: string, tags: Record<string, string>): Promise<void> {
  const api = await rdsApi(fleet, side);
  const { AddTagsToResourceCommand } = await commands();
  const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  await api.call('AddTagsToResource', (client, options) =>
    client.send(new AddTagsToResourceCommand({ ResourceName: arn, Tags }), options),
  );
}
