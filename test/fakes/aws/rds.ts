/**
 * RDS instances of one account, with the states in between that no emulator has. What an instance is changes only when
 * somebody looks: each lasting change is a list of stages, and every DescribeDBInstances is one look. So nothing depends
 * on time, and a call whose effects are undone (`nothing`) never reaches the server behind it.
 *
 * Clusters live in aurora.ts, over the same account: `service(...)` takes further operations.
 */
import { AwsError, type FakeService, list, type Operation, type XmlValue } from './protocol.ts';

export interface Stage {
  status: string;
  /** Looks that see it; 1 when absent. */
  looks?: number;
  /** Runs when the stage begins; the stage lasts until it is done. */
  enter?: () => Promise<void> | void;
}

export interface DbInstance {
  id: string;
  region: string;
  resourceId: string;
  status: string;
  engine: string;
  engineVersion: string;
  instanceClass: string;
  multiAz: boolean;
  az: string;
  secondaryAz: string | null;
  /** Identifier (same region) or ARN of what it replicates from. */
  source: string | null;
  backupRetention: number;
  parameterGroup: string;
  parameterStatus: string;
  subnetGroup: string | null;
  securityGroups: string[];
  kmsKeyId: string | null;
  deletionProtection: boolean;
  allocatedStorage: number;
  storageType: string;
  publiclyAccessible: boolean;
  clusterId: string | null;
  /** In the middle of a rename, known by no name. */
  hidden: boolean;
  /** `null` while it is being made. */
  endpoint: { address: string; port: number } | null;
  tags: Map<string, string>;
  stages: Stage[];
}

export interface DbEvent {
  region: string;
  source: string;
  sourceType: string;
  message: string;
  categories: string[];
  at: Date;
}

export interface DbSnapshot {
  id: string;
  region: string;
  instance: string;
  status: string;
}

/** The servers behind the instances. Without them an instance is only what the API says. */
export interface Servers {
  /** Makes a server that follows the source's. @returns where it listens */
  replicate(source: DbInstance, replica: DbInstance): Promise<{ address: string; port: number }>;
  promote(instance: DbInstance): Promise<void>;
  restart(instance: DbInstance): Promise<void>;
  remove(instance: DbInstance): Promise<void>;
}

const NAMESPACE = 'http://rds.amazonaws.com/doc/2014-10-31/';

export class FakeRds {
  readonly account: string;
  readonly instances: DbInstance[] = [];
  readonly snapshots: DbSnapshot[] = [];
  readonly events: DbEvent[] = [];
  servers: Servers | null = null;
  /** Looks at a region for which an instance that is renamed has no name at all. */
  renameGap = 0;
  /** Stages that the next promotions pass through, before the last one; tests lengthen and break them. */
  promotion: Stage[] = [{ status: 'available' }, { status: 'modifying' }, { status: 'rebooting' }];
  #made = 0;

  constructor(account = '111111111111') {
    this.account = account;
  }

  /** An instance that is there from the beginning. */
  add(given: Partial<DbInstance> & Pick<DbInstance, 'id' | 'region'>): DbInstance {
    const instance: DbInstance = {
      resourceId: `db-${String(++this.#made).padStart(8, '0')}`,
      status: 'available',
      engine: 'postgres',
      engineVersion: '18.1',
      instanceClass: 'db.r6g.large',
      multiAz: false,
      az: `${given.region}a`,
      secondaryAz: null,
      source: null,
      backupRetention: 7,
      parameterGroup: 'orders-pg18',
      parameterStatus: 'in-sync',
      subnetGroup: 'private',
      securityGroups: ['sg-orders'],
      kmsKeyId: `arn:aws:kms:${given.region}:${this.account}:key/11111111-2222-3333-4444-555555555555`,
      deletionProtection: false,
      allocatedStorage: 100,
      storageType: 'gp3',
      publiclyAccessible: false,
      clusterId: null,
      hidden: false,
      endpoint: null,
      tags: new Map(),
      stages: [],
      ...given,
    };
    this.instances.push(instance);
    return instance;
  }

  arnOf({ region, id }: { region: string; id: string }): string {
    return `arn:aws:rds:${region}:${this.account}:db:${id}`;
  }

  /** @throws AwsError DBInstanceNotFound, as the API does */
  get(region: string, name: string): DbInstance {
    const found = this.instances.find(
      (instance) =>
        instance.region === region && !instance.hidden && (instance.id === name || this.arnOf(instance) === name),
    );
    if (found !== undefined) return found;
    throw new AwsError('DBInstanceNotFound', `DBInstance ${name} not found.`, 404);
  }

  event(instance: DbInstance, message: string, categories: string[]): void {
    const { region, id } = instance;
    this.events.push({ region, source: id, sourceType: 'db-instance', message, categories, at: new Date() });
  }

  /** The service for a fake endpoint; `more` adds operations over the same account, and what their state snapshots. */
  service(
    more: { operations: Record<string, Operation>; snapshot?: () => () => void } = { operations: {} },
  ): FakeService {
    return {
      scope: 'rds',
      protocol: 'query',
      namespace: NAMESPACE,
      operations: { ...this.#operations(), ...more.operations },
      snapshot: () => {
        const undo = [this.#snapshot(), more.snapshot?.()];
        return () => {
          for (const each of undo) each?.();
        };
      },
    };
  }

  #operations(): Record<string, Operation> {
    return {
      DescribeDBInstances: (call) => this.#describe(call.region, call.input),
      PromoteReadReplica: ({ region, input }) => this.#promote(this.get(region, input.DBInstanceIdentifier), input),
      RebootDBInstance: ({ region, input }) => this.#reboot(this.get(region, input.DBInstanceIdentifier), input),
      ModifyDBInstance: ({ region, input }) => this.#modify(this.get(region, input.DBInstanceIdentifier), input),
      CreateDBInstance: ({ region, input }) => this.#create(region, input),
      CreateDBInstanceReadReplica: ({ region, input }) => this.#createReplica(region, input),
      DeleteDBInstance: ({ region, input }) => this.#delete(this.get(region, input.DBInstanceIdentifier), input),
      DescribeDBSnapshots: ({ region, input }) => this.#describeSnapshots(region, input),
      DescribeEvents: ({ region, input }) => this.#describeEvents(region, input),
      AddTagsToResource: ({ region, input }) => {
        const { tags } = this.get(region, input.ResourceName);
        for (const { Key, Value } of input.Tags) tags.set(Key, checkedTag(Value ?? ''));
        if (tags.size > 50) throw new AwsError('InvalidParameterValue', 'Too many tags have been specified.');
      },
      RemoveTagsFromResource: ({ region, input }) => {
        for (const key of input.TagKeys) this.get(region, input.ResourceName).tags.delete(key);
      },
      ListTagsForResource: ({ region, input }) => ({ TagList: tagList(this.get(region, input.ResourceName)) }),
    };
  }

  #snapshot(): () => void {
    const copies = this.instances.map((instance) => ({ instance, was: { ...instance, tags: new Map(instance.tags) } }));
    const [snapshots, events] = [[...this.snapshots], [...this.events]];
    return () => {
      this.instances.splice(
        0,
        this.instances.length,
        ...copies.map(({ instance, was }) => Object.assign(instance, was)),
      );
      this.snapshots.splice(0, this.snapshots.length, ...snapshots);
      this.events.splice(0, this.events.length, ...events);
    };
  }

  async #describe(region: string, input: { DBInstanceIdentifier?: string; Marker?: string; MaxRecords?: string }) {
    const wanted =
      input.DBInstanceIdentifier === undefined
        ? this.instances.filter((instance) => instance.region === region)
        : [this.get(region, input.DBInstanceIdentifier)];
    const from = Number(input.Marker ?? 0);
    const page = wanted.slice(from, from + Number(input.MaxRecords ?? 100));
    const seen: XmlValue[] = [];
    for (const instance of page) {
      await this.#look(instance);
      if (this.instances.includes(instance) && !instance.hidden) seen.push(this.describe(instance));
    }
    if (input.DBInstanceIdentifier !== undefined && seen.length === 0) this.get(region, input.DBInstanceIdentifier);
    const end = from + page.length;
    return { DBInstances: list('DBInstance', seen), ...(end < wanted.length ? { Marker: String(end) } : {}) };
  }

  /** One look at an instance: its stage goes on. */
  async #look(instance: DbInstance): Promise<void> {
    const [stage] = instance.stages;
    if (stage === undefined) return;
    const { enter } = stage;
    if (enter !== undefined) {
      delete stage.enter;
      // Until it is done every look sees the stage.
      stage.looks = Number.POSITIVE_INFINITY;
      void Promise.resolve(enter()).then(
        () => {
          stage.looks = 0;
        },
        (error: unknown) => {
          instance.stages = [];
          instance.status = 'failed';
          this.event(instance, String(error), ['failure']);
        },
      );
      // What is done at once is seen at once.
      await Promise.resolve();
    }
    instance.status = stage.status;
    stage.looks = (stage.looks ?? 1) - 1;
    if (stage.looks < 0 && instance.stages[0] === stage) {
      instance.stages.shift();
      await this.#look(instance);
    }
  }

  /** As DescribeDBInstances shows it. */
  describe(instance: DbInstance): XmlValue {
    const replicas = this.instances.filter(
      ({ source }) => source !== null && (source === this.arnOf(instance) || source === instance.id),
    );
    return {
      DBInstanceIdentifier: instance.id,
      DBInstanceArn: this.arnOf(instance),
      DbiResourceId: instance.resourceId,
      DBInstanceStatus: instance.status,
      Engine: instance.engine,
      EngineVersion: instance.engineVersion,
      DBInstanceClass: instance.instanceClass,
      MultiAZ: instance.multiAz,
      AvailabilityZone: instance.az,
      SecondaryAvailabilityZone: instance.secondaryAz,
      ReadReplicaSourceDBInstanceIdentifier: instance.source,
      ReadReplicaDBInstanceIdentifiers: list(
        'ReadReplicaDBInstanceIdentifier',
        replicas.map((replica) => (replica.region === instance.region ? replica.id : this.arnOf(replica))),
      ),
      BackupRetentionPeriod: instance.backupRetention,
      DBParameterGroups: list('DBParameterGroup', [
        { DBParameterGroupName: instance.parameterGroup, ParameterApplyStatus: instance.parameterStatus },
      ]),
      DBSubnetGroup: instance.subnetGroup === null ? null : { DBSubnetGroupName: instance.subnetGroup },
      VpcSecurityGroups: list(
        'VpcSecurityGroupMembership',
        instance.securityGroups.map((id) => ({ VpcSecurityGroupId: id, Status: 'active' })),
      ),
      StorageEncrypted: instance.kmsKeyId !== null,
      KmsKeyId: instance.kmsKeyId,
      DeletionProtection: instance.deletionProtection,
      AllocatedStorage: instance.allocatedStorage,
      StorageType: instance.storageType,
      PubliclyAccessible: instance.publiclyAccessible,
      DBClusterIdentifier: instance.clusterId,
      Endpoint:
        instance.endpoint === null ? null : { Address: instance.endpoint.address, Port: instance.endpoint.port },
      TagList: tagList(instance),
      StatusInfos:
        instance.source === null
          ? null
          : list('DBInstanceStatusInfo', [{ StatusType: 'read replication', Normal: true, Status: 'replicating' }]),
    };
  }

  #promote(instance: DbInstance, input: { BackupRetentionPeriod?: string }): XmlValue {
    if (instance.clusterId !== null || instance.source === null || instance.status !== 'available' || busy(instance)) {
      throw invalidState(`DB Instance is not a read replica or is not in available state: ${instance.status}`);
    }
    // One day when nothing is said, as documented.
    instance.backupRetention = Number(input.BackupRetentionPeriod ?? 1);
    const stages = this.promotion.map((stage) => ({ ...stage }));
    const last = stages.at(-1)!;
    const enter = last.enter;
    last.enter = async () => {
      await enter?.();
      await this.servers?.promote(instance);
      instance.source = null;
      this.event(instance, 'Promoted Read Replica instance to a stand-alone database instance.', ['read replica']);
    };
    instance.stages = [...stages, { status: 'available' }];
    return { DBInstance: this.describe(instance) };
  }

  #reboot(instance: DbInstance, input: { ForceFailover?: string }): XmlValue {
    if (instance.status !== 'available' || busy(instance)) throw invalidState(`Instance is ${instance.status}`);
    const failover = input.ForceFailover === 'true';
    if (failover && !instance.multiAz) {
      throw new AwsError(
        'InvalidParameterCombination',
        'Force failover cannot be specified since the instance is not configured for Multi-AZ.',
      );
    }
    instance.stages = [
      { status: 'rebooting' },
      {
        status: 'rebooting',
        enter: async () => {
          await this.servers?.restart(instance);
          if (!failover) return;
          [instance.az, instance.secondaryAz] = [instance.secondaryAz ?? instance.az, instance.az];
          this.event(instance, 'Multi-AZ instance failover completed', ['failover', 'notification']);
        },
      },
      { status: 'available' },
    ];
    // As on AWS: the first answer says so already.
    instance.status = 'rebooting';
    return { DBInstance: this.describe(instance) };
  }

  #modify(instance: DbInstance, input: Record<string, string>): XmlValue {
    if (busy(instance)) throw invalidState(`Instance is ${instance.status}`);
    const to = input.NewDBInstanceIdentifier;
    if (input.DeletionProtection !== undefined) instance.deletionProtection = input.DeletionProtection === 'true';
    if (input.BackupRetentionPeriod !== undefined) instance.backupRetention = Number(input.BackupRetentionPeriod);
    if (to !== undefined && to !== instance.id) {
      if (input.ApplyImmediately !== 'true') return { DBInstance: this.describe(instance) };
      this.#assertFree(instance.region, to);
      const hide = (): void => {
        instance.hidden = true;
      };
      instance.stages = [
        { status: 'renaming', looks: 1 },
        ...(this.renameGap === 0
          ? []
          : [
              { status: 'renaming', enter: hide },
              { status: 'renaming', looks: this.renameGap },
            ]),
        {
          status: 'renaming',
          enter: () => {
            instance.hidden = false;
            const from = instance.id;
            instance.id = to;
            this.event(instance, `Renamed instance from ${from} to ${to}`, ['configuration change']);
          },
        },
        { status: 'available' },
      ];
      instance.status = 'renaming';
    }
    return { DBInstance: this.describe(instance) };
  }

  #assertFree(region: string, id: string): void {
    if (!this.instances.some((other) => other.region === region && other.id === id)) return;
    throw new AwsError('DBInstanceAlreadyExists', 'DB instance already exists');
  }

  // biome-ignore lint/suspicious/noExplicitAny: as of the wire
  #create(region: string, input: any): XmlValue {
    const id = input.DBInstanceIdentifier as string;
    this.#assertFree(region, id);
    const instance = this.add({
      id,
      region,
      engine: input.Engine,
      engineVersion: input.EngineVersion ?? '16.9',
      instanceClass: input.DBInstanceClass,
      multiAz: input.MultiAZ === 'true',
      allocatedStorage: Number(input.AllocatedStorage ?? 20),
      backupRetention: Number(input.BackupRetentionPeriod ?? 1),
      status: 'creating',
      stages: [{ status: 'available' }],
    });
    for (const { Key, Value } of input.Tags ?? []) instance.tags.set(Key, checkedTag(Value));
    return { DBInstance: this.describe(instance) };
  }

  // biome-ignore lint/suspicious/noExplicitAny: as of the wire
  #createReplica(region: string, input: any): XmlValue {
    const id = input.DBInstanceIdentifier as string;
    const named = input.SourceDBInstanceIdentifier as string;
    const arn = /^arn:aws:rds:([^:]+):/.exec(named);
    const source = this.get(arn?.[1] ?? region, named);
    const crossRegion = source.region !== region;
    if (crossRegion && arn === null) throw new AwsError('DBInstanceNotFound', `DBInstance ${named} not found.`, 404);
    this.#assertFree(region, id);
    if (source.status !== 'available' || source.backupRetention === 0) {
      throw invalidState('Automated backups are not enabled for this database instance.');
    }
    if (crossRegion && source.kmsKeyId !== null) {
      if (!input.KmsKeyId)
        throw new AwsError('InvalidParameterCombination', 'KmsKeyId is required for an encrypted cross-region replica');
      if (!input.PreSignedUrl)
        throw new AwsError(
          'InvalidParameterCombination',
          'PreSignedUrl is required for an encrypted cross-region replica',
        );
    }
    const instance = this.add({
      id,
      region,
      engine: source.engine,
      engineVersion: source.engineVersion,
      instanceClass: input.DBInstanceClass ?? source.instanceClass,
      multiAz: input.MultiAZ === 'true',
      allocatedStorage: source.allocatedStorage,
      storageType: input.StorageType ?? source.storageType,
      backupRetention: 0,
      parameterGroup: input.DBParameterGroupName ?? 'default.postgres18',
      subnetGroup: input.DBSubnetGroupName ?? 'default',
      securityGroups: input.VpcSecurityGroupIds ?? ['sg-default'],
      kmsKeyId: input.KmsKeyId ?? null,
      deletionProtection: input.DeletionProtection === 'true',
      source: crossRegion ? this.arnOf(source) : source.id,
      status: 'creating',
    });
    for (const { Key, Value } of input.Tags ?? []) instance.tags.set(Key, checkedTag(Value));
    instance.stages = [
      { status: 'creating' },
      {
        status: 'creating',
        enter: async () => {
          instance.endpoint = (await this.servers?.replicate(source, instance)) ?? null;
        },
      },
      { status: 'available' },
    ];
    return { DBInstance: this.describe(instance) };
  }

  #delete(instance: DbInstance, input: { SkipFinalSnapshot?: string; FinalDBSnapshotIdentifier?: string }): XmlValue {
    if (instance.deletionProtection) {
      throw new AwsError(
        'InvalidParameterCombination',
        'Cannot delete protected DB Instance, please disable deletion protection and try again.',
      );
    }
    if (busy(instance)) throw invalidState(`Instance is ${instance.status}`);
    const skip = input.SkipFinalSnapshot === 'true';
    if (!skip && input.FinalDBSnapshotIdentifier === undefined) {
      throw new AwsError(
        'InvalidParameterCombination',
        'FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.',
      );
    }
    instance.stages = [
      { status: 'deleting' },
      {
        status: 'deleting',
        enter: async () => {
          if (!skip) {
            const { region, id } = instance;
            this.snapshots.push({ id: input.FinalDBSnapshotIdentifier!, region, instance: id, status: 'available' });
          }
          await this.servers?.remove(instance);
          this.instances.splice(this.instances.indexOf(instance), 1);
        },
      },
    ];
    instance.status = 'deleting';
    return { DBInstance: this.describe(instance) };
  }

  #describeSnapshots(region: string, input: { DBSnapshotIdentifier?: string }): XmlValue {
    const found = this.snapshots.filter(
      (snapshot) => snapshot.region === region && (input.DBSnapshotIdentifier ?? snapshot.id) === snapshot.id,
    );
    if (input.DBSnapshotIdentifier !== undefined && found.length === 0) {
      throw new AwsError('DBSnapshotNotFound', `DBSnapshot ${input.DBSnapshotIdentifier} not found.`, 404);
    }
    return {
      DBSnapshots: list(
        'DBSnapshot',
        found.map(({ id, instance, status }) => ({
          DBSnapshotIdentifier: id,
          DBInstanceIdentifier: instance,
          Status: status,
        })),
      ),
    };
  }

  #describeEvents(region: string, input: { SourceIdentifier?: string; SourceType?: string }): XmlValue {
    const found = this.events.filter(
      (event) =>
        event.region === region &&
        (input.SourceIdentifier ?? event.source) === event.source &&
        (input.SourceType ?? event.sourceType) === event.sourceType,
    );
    return {
      Events: list(
        'Event',
        found.map(({ source, sourceType, message, categories, at }) => ({
          SourceIdentifier: source,
          SourceType: sourceType,
          Message: message,
          EventCategories: list('EventCategory', categories),
          Date: at,
        })),
      ),
    };
  }
}

const busy = (instance: DbInstance): boolean => instance.stages.length > 0;

const invalidState = (message: string): AwsError => new AwsError('InvalidDBInstanceState', message);

function tagList({ tags }: DbInstance): XmlValue {
  return list(
    'Tag',
    [...tags].map(([Key, Value]) => ({ Key, Value })),
  );
}

function checkedTag(value: string): string {
  if (value.length <= 256 && /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(value)) return value;
  throw new AwsError('InvalidParameterValue', `Invalid tag value: ${value.slice(0, 40)}`);
}
