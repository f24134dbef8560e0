/** What RDS says of an instance, in the driver's words. */
import type { DBInstance } from '@aws-sdk/client-rds';
import type { Tags } from '../aws/tag-record.ts';
import type { SqlServer } from '../sql/server.ts';
import type { Fleet, Side } from './config.ts';

export interface Instance {
  id: string;
  arn: string;
  /** `available`, `backing-up`, `modifying`, …: as RDS writes it. */
  status: string;
  engine: string;
  engineVersion: string;
  /** Identifier or ARN of what it replicates from; `null` = it is no replica. */
  source: string | null;
  /** Identifiers or ARNs of what replicates from it. */
  replicas: string[];
  multiAz: boolean;
  /** Days that automated backups are kept; 0 = off. */
  backupRetention: number;
  parameterGroup: string | null;
  /** `in-sync`, `pending-reboot`, … */
  parameterStatus: string | null;
  deletionProtection: boolean;
  allocatedGb: number | null;
  address: { host: string; port: number } | null;
  tags: Tags;
  /** Everything else, for a replica that is made like it. */
  raw: DBInstance;
}

export function instanceFrom(raw: DBInstance): Instance {
  const [group] = raw.DBParameterGroups ?? [];
  const { Address, Port } = raw.Endpoint ?? {};
  return {
    id: raw.DBInstanceIdentifier ?? '',
    arn: raw.DBInstanceArn ?? '',
    status: raw.DBInstanceStatus ?? 'unknown',
    engine: raw.Engine ?? 'unknown',
    engineVersion: raw.EngineVersion ?? 'unknown',
    source: raw.ReadReplicaSourceDBInstanceIdentifier || null,
    replicas: raw.ReadReplicaDBInstanceIdentifiers ?? [],
    multiAz: raw.MultiAZ === true,
    backupRetention: raw.BackupRetentionPeriod ?? 0,
    parameterGroup: group?.DBParameterGroupName ?? null,
    parameterStatus: group?.ParameterApplyStatus ?? null,
    deletionProtection: raw.DeletionProtection === true,
    allocatedGb: raw.AllocatedStorage ?? null,
    address: Address === undefined || Address === '' ? null : { host: Address, port: Port ?? 5432 },
    tags: Object.fromEntries((raw.TagList ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? ''])),
    raw,
  };
}

/** Whether `source` names this instance: by identifier within a region, by ARN from another one. */
export const isSource = (source: string | null, instance: Instance): boolean =>
  source !== null && (source === instance.arn || source === instance.id);

/** Last addresses that RDS told, so that a server can be asked while its region's API is dead. */
const addresses = new Map<string, { host: string; port: number }>();
const keyOf = (side: Side): string => `${side.awsRegion} ${side.endpoint ?? ''} ${side.instance}`;

/** The side's server, where its address is known: from the topology, from RDS now, or from RDS before. */
export function serverOf(fleet: Fleet, side: Side, instance: Instance | null): SqlServer | null {
  if (instance?.address) addresses.set(keyOf(side), instance.address);
  const told = instance?.address ?? addresses.get(keyOf(side)) ?? null;
  const host = side.host ?? told?.host;
  if (host === undefined) return null;
  const { user, password } = fleet.config;
  return {
    name: side.name,
    region: side.region,
    host,
    port: side.port ?? told?.port ?? 5432,
    user,
    password,
  } as SqlServer;
}
