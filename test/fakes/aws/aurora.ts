/**
 * Aurora as the RDS API shows it: clusters, global databases with the states that last, are cancelled or fail, and
 * their events. Its operations are mounted beside those of the instances on one service.
 *
 * Nothing happens by the clock: a switch goes on with every look at it (`DescribeGlobalClusters`, or
 * `DescribeDBClusters` for a single cluster).
 */
import { type AwsCall, AwsError, type FakeService, list, members, type Operation, type XmlValue } from './protocol.ts';

const ACCOUNT = '000000000000';

export interface FakeCluster {
  region: string;
  id: string;
  status: string;
  version: string;
  engine: string;
  host: string;
  port: number;
  parameterGroup: string;
  instances: Array<{ id: string; writer: boolean }>;
  tags: Record<string, string>;
  /** A switch of its instances under way. */
  operation: Switch | null;
}

interface Member {
  arn: string;
  writer: boolean;
  sync: 'connected' | 'pending-resync';
  /** Looks until it is connected. */
  resync: number;
}

interface Switch {
  status: string;
  from: string;
  to: string;
  allowsLoss: boolean;
  /** Looks that still show it. */
  left: number;
  outcome: Outcome;
  moving: 'no' | 'yes' | 'done';
}

interface FakeGlobal {
  id: string;
  members: Member[];
  operation: Switch | null;
}

/** How the next switch ends. `silent`: accepted, and nothing ever happens; `lasts`: for ever. */
export type Outcome = 'completes' | 'cancelled' | 'fails' | 'lasts' | 'silent';

interface State {
  clusters: FakeCluster[];
  globals: FakeGlobal[];
  events: Array<{ region: string; id: string; at: number; text: string }>;
  snapshots: Array<{ region: string; cluster: string; id: string; at: number }>;
  /** Settings of parameter groups that people have made. */
  parameters: Record<string, Record<string, string>>;
  proxies: Array<{ region: string; name: string; cluster: string }>;
  /** Addresses that follow the writer, by global database. */
  endpoints: Record<string, string>;
}

export class FakeAurora {
  state: State = { clusters: [], globals: [], events: [], snapshots: [], parameters: {}, proxies: [], endpoints: {} };
  /** How the switches that are asked for from now on go. */
  next: { outcome: Outcome; looks: number; resync: number } = { outcome: 'completes', looks: 1, resync: 1 };
  /** Moves what really takes writes; ARNs for global databases, identifiers of instances for a cluster. */
  move: (from: string, to: string, allowsLoss: boolean) => Promise<void> = async () => undefined;

  cluster(region: string, id: string): FakeCluster {
    const found = this.state.clusters.find((one) => one.region === region && one.id === id);
    if (found === undefined) throw new AwsError('DBClusterNotFoundFault', `DBCluster ${id} not found.`, 404);
    return found;
  }

  arnOf = ({ region, id }: { region: string; id: string }): string => `arn:aws:rds:${region}:${ACCOUNT}:cluster:${id}`;

  /** Makes a global database of clusters, the first of them the writer. */
  addGlobal(id: string, clusters: Array<Partial<FakeCluster> & { region: string; id: string }>): void {
    for (const given of clusters) this.addCluster(given);
    this.state.globals.push({
      id,
      operation: null,
      members: clusters.map((one, i) => ({ arn: this.arnOf(one), writer: i === 0, sync: 'connected', resync: 0 })),
    });
  }

  addCluster(given: Partial<FakeCluster> & { region: string; id: string }): FakeCluster {
    const cluster: FakeCluster = {
      ...{ status: 'available', version: '16.9', engine: 'aurora-postgresql', host: '127.0.0.1', port: 5432 },
      ...{ parameterGroup: 'default.aurora-postgresql16', instances: [{ id: `${given.id}-1`, writer: true }] },
      ...{ tags: {}, operation: null },
      ...given,
    };
    this.state.clusters.push(cluster);
    return cluster;
  }

  global(id: string): FakeGlobal {
    const found = this.state.globals.find((one) => one.id === id);
    if (found === undefined) throw new AwsError('GlobalClusterNotFoundFault', `Global cluster ${id} not found.`, 404);
    return found;
  }

  writerOf = (id: string): string | undefined => this.global(id).members.find(({ writer }) => writer)?.arn;

  event(arn: string, text: string): void {
    const cluster = this.byArn(arn);
    this.state.events.push({ region: cluster.region, id: cluster.id, at: Date.now(), text });
  }

  /** For the fault `nothing`: HTTP 200, and the state is put back. */
  snapshot(): () => void {
    const before = structuredClone(this.state);
    return () => {
      this.state = before;
    };
  }

  service(): FakeService {
    return {
      scope: 'rds',
      protocol: 'query',
      namespace: 'http://rds.amazonaws.com/doc/2014-10-31/',
      operations: this.operations(),
      snapshot: () => this.snapshot(),
    };
  }

  operations(): Record<string, Operation> {
    return {
      CreateGlobalCluster: ({ input }) => {
        this.state.globals.push({ id: input.GlobalClusterIdentifier, members: [], operation: null });
        return { GlobalCluster: this.#globalXml(this.global(input.GlobalClusterIdentifier)) };
      },
      CreateDBCluster: (call) => this.#create(call),
      CreateDBInstance: ({ region, input }) => {
        const cluster = this.cluster(region, input.DBClusterIdentifier);
        cluster.instances.push({ id: input.DBInstanceIdentifier, writer: cluster.instances.length === 0 });
        return { DBInstance: { DBInstanceIdentifier: input.DBInstanceIdentifier, DBInstanceStatus: 'available' } };
      },
      DescribeGlobalClusters: ({ input }) => {
        const wanted = input.GlobalClusterIdentifier as string | undefined;
        const found = wanted === undefined ? this.state.globals : [this.global(wanted)];
        const shown = found.map((global) => this.#globalXml(global));
        for (const global of found) this.#look(global);
        return { GlobalClusters: list('GlobalClusterMember', shown) };
      },
      DescribeDBClusters: ({ region, input }) => {
        const cluster = this.cluster(region, input.DBClusterIdentifier);
        const shown = this.#clusterXml(cluster);
        this.#lookAtCluster(cluster);
        return { DBClusters: list('DBCluster', [shown]) };
      },
      SwitchoverGlobalCluster: ({ input }) => this.#begin(input, 'switching-over', false),
      FailoverGlobalCluster: ({ input }) => {
        const loss = input.AllowDataLoss === 'true';
        if (loss && input.Switchover === 'true')
          throw new AwsError('InvalidParameterCombination', 'AllowDataLoss and Switchover exclude each other.');
        return this.#begin(input, loss ? 'failing-over' : 'switching-over', loss);
      },
      FailoverDBCluster: (call) => this.#failoverCluster(call),
      RemoveFromGlobalCluster: ({ input }) => this.#remove(input),
      AddTagsToResource: ({ input }) => {
        const { tags } = this.byArn(input.ResourceName);
        for (const { Key, Value } of input.Tags) {
          if (!/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u.test(Value ?? ''))
            throw new AwsError('InvalidParameterValue', `Tag value of ${Key} is not valid.`);
          tags[Key] = Value ?? '';
        }
        if (Object.keys(tags).length > 50) throw new AwsError('TagQuotaExceeded', 'More than 50 tags.');
        return undefined;
      },
      RemoveTagsFromResource: ({ input }) => {
        for (const key of input.TagKeys) delete this.byArn(input.ResourceName).tags[key];
        return undefined;
      },
      DescribeEvents: ({ region, input }) => ({
        Events: list(
          'Event',
          this.state.events
            .filter((one) => one.region === region && one.id === input.SourceIdentifier)
            // The API counts in whole milliseconds, and shows times in seconds.
            .filter(({ at }) => input.StartTime === undefined || at >= Date.parse(input.StartTime))
            .map(({ id, at, text }) => ({
              ...{ SourceIdentifier: id, SourceType: 'db-cluster', Message: text, Date: new Date(at) },
              EventCategories: list('EventCategory', ['global failover']),
            })),
        ),
      }),
      DescribeDBClusterParameters: ({ input }) => ({
        Parameters: list(
          'Parameter',
          Object.entries(this.state.parameters[input.DBClusterParameterGroupName] ?? {}).map(([name, value]) => ({
            ...{ ParameterName: name, ParameterValue: value, Source: 'user' },
          })),
        ),
      }),
      DescribeDBProxies: ({ region }) => ({
        DBProxies: members(
          this.state.proxies.filter((one) => one.region === region).map(({ name }) => ({ DBProxyName: name })),
        ),
      }),
      DescribeDBProxyTargets: ({ region, input }) => ({
        Targets: members(
          this.state.proxies
            .filter((one) => one.region === region && one.name === input.DBProxyName)
            .map(({ cluster }) => ({ TrackedClusterId: cluster, RdsResourceId: `${cluster}-1`, Type: 'RDS_INSTANCE' })),
        ),
      }),
      DescribeDBClusterSnapshots: ({ region, input }) => {
        const all = this.state.snapshots.filter(
          (one) => one.region === region && one.cluster === input.DBClusterIdentifier,
        );
        const from = Number(input.Marker ?? 0);
        const page = all.slice(from, from + 100).map(({ id, cluster, at }) => ({
          ...{ DBClusterSnapshotIdentifier: id, DBClusterIdentifier: cluster, SnapshotType: 'automated' },
          ...{ SnapshotCreateTime: new Date(at), BackupRetentionPeriod: 7, Status: 'available' },
        }));
        const Marker = from + page.length < all.length ? String(from + page.length) : undefined;
        return { DBClusterSnapshots: list('DBClusterSnapshot', page), Marker };
      },
    };
  }

  byArn(arn: string): FakeCluster {
    const found = this.state.clusters.find((one) => this.arnOf(one) === arn);
    if (found === undefined) throw new AwsError('DBClusterNotFoundFault', `DBCluster ${arn} not found.`, 404);
    return found;
  }

  #create({ region, input }: AwsCall): XmlValue {
    const cluster = this.addCluster({ region, id: input.DBClusterIdentifier, instances: [] });
    const arn = this.arnOf(cluster);
    if (input.GlobalClusterIdentifier !== undefined) {
      const global = this.global(input.GlobalClusterIdentifier);
      global.members.push({ arn, writer: global.members.length === 0, sync: 'connected', resync: 0 });
    }
    return { DBCluster: this.#clusterXml(cluster) };
  }

  #begin(input: Record<string, string>, status: string, allowsLoss: boolean): XmlValue {
    const global = this.global(input.GlobalClusterIdentifier!);
    const target = global.members.find(({ arn }) => arn === input.TargetDbClusterIdentifier);
    if (target === undefined)
      throw new AwsError('DBClusterNotFoundFault', `DBCluster ${input.TargetDbClusterIdentifier} not found.`, 404);
    if (global.operation !== null)
      throw new AwsError('InvalidGlobalClusterStateFault', 'A switchover or failover is in progress.');
    if (target.writer) throw new AwsError('InvalidGlobalClusterStateFault', 'The target is the primary already.');
    const from = this.writerOf(global.id)!;
    const shown = this.#globalXml({
      ...global,
      operation: this.#operation('pending', from, target.arn, allowsLoss),
    });
    if (this.next.outcome !== 'silent') {
      global.operation = this.#operation(status, from, target.arn, allowsLoss);
      this.event(target.arn, `Global ${allowsLoss ? 'failover' : 'switchover'} to ${this.#name(target.arn)} started.`);
    }
    return { GlobalCluster: shown };
  }

  #operation(status: string, from: string, to: string, allowsLoss: boolean): Switch {
    return { status, from, to, allowsLoss, left: this.next.looks, outcome: this.next.outcome, moving: 'no' };
  }

  #name(arn: string): string {
    const { id, region } = this.byArn(arn);
    return `DB cluster ${id} in Region ${region}`;
  }

  /** Goes on, now that somebody has looked. */
  #look(global: FakeGlobal): void {
    for (const member of global.members) {
      if (member.sync === 'connected') continue;
      member.resync -= 1;
      if (member.resync > 0) continue;
      member.sync = 'connected';
      this.event(member.arn, `Finished resynchronizing members of ${this.#name(member.arn)} after global failover.`);
    }
    const { operation } = global;
    if (operation === null || operation.outcome === 'lasts') return;
    operation.left -= 1;
    if (operation.left > 0) return;
    const what = operation.allowsLoss ? 'failover' : 'switchover';
    if (operation.outcome === 'cancelled' && operation.status !== 'cancelling') {
      operation.status = 'cancelling';
      return;
    }
    if (operation.outcome === 'completes') {
      void this.#complete(global, operation);
      return;
    }
    global.operation = null;
    const end = operation.outcome === 'fails' ? 'failed.' : 'is cancelled.';
    this.event(operation.to, `Global ${what} to ${this.#name(operation.to)} ${end}`);
  }

  async #complete(global: FakeGlobal, operation: Switch): Promise<void> {
    if (operation.moving !== 'no') return;
    operation.moving = 'yes';
    await this.move(operation.from, operation.to, operation.allowsLoss);
    for (const member of global.members) member.writer = member.arn === operation.to;
    const old = global.members.find(({ arn }) => arn === operation.from);
    if (operation.allowsLoss && old !== undefined) {
      const { region, id } = this.byArn(old.arn);
      Object.assign(old, { sync: 'pending-resync', resync: this.next.resync });
      const at = Date.now();
      this.state.snapshots.push({ region, cluster: id, id: `rds:unplanned-global-failover-${id}-${at}`, at });
      this.event(operation.to, `Global failover to ${this.#name(operation.to)} completed.`);
    } else {
      this.event(operation.to, `Global switchover to ${this.#name(operation.to)} finished.`);
    }
    global.operation = null;
  }

  #failoverCluster({ region, input }: AwsCall): XmlValue {
    const cluster = this.cluster(region, input.DBClusterIdentifier);
    const target = cluster.instances.find(({ id }) => id === input.TargetDBInstanceIdentifier);
    if (target === undefined)
      throw new AwsError('DBInstanceNotFound', `DBInstance ${input.TargetDBInstanceIdentifier} not found.`, 404);
    if (cluster.operation !== null) throw new AwsError('InvalidDBClusterStateFault', 'The cluster is failing over.');
    const from = cluster.instances.find(({ writer }) => writer)!;
    if (from === target) throw new AwsError('InvalidDBClusterStateFault', 'The target is the writer already.');
    if (this.next.outcome !== 'silent') cluster.operation = this.#operation('failing-over', from.id, target.id, false);
    return { DBCluster: this.#clusterXml(cluster) };
  }

  #lookAtCluster(cluster: FakeCluster): void {
    const { operation } = cluster;
    if (operation === null || operation.outcome === 'lasts') return;
    operation.left -= 1;
    if (operation.left > 0 || operation.moving !== 'no') return;
    operation.moving = 'yes';
    const arn = this.arnOf(cluster);
    const settle = async (): Promise<void> => {
      if (operation.outcome === 'completes') {
        await this.move(operation.from, operation.to, false);
        for (const instance of cluster.instances) instance.writer = instance.id === operation.to;
        this.event(arn, `Completed failover to DB instance: ${operation.to}`);
      } else {
        this.event(arn, 'Cluster failover failed, check the health of your cluster instances and try again');
      }
      cluster.operation = null;
    };
    void settle();
  }

  #remove(input: Record<string, string>): XmlValue {
    const global = this.global(input.GlobalClusterIdentifier!);
    const member = global.members.find(({ arn }) => arn === input.DbClusterIdentifier);
    if (member === undefined)
      throw new AwsError('DBClusterNotFoundFault', `DBCluster ${input.DbClusterIdentifier} not found.`, 404);
    if (member.writer && global.members.length > 1)
      throw new AwsError('InvalidGlobalClusterStateFault', 'The writer cannot be removed while it has readers.');
    global.members = global.members.filter((one) => one !== member);
    return { GlobalCluster: this.#globalXml(global) };
  }

  #globalXml({ id, members: all, operation }: FakeGlobal): XmlValue {
    const state =
      operation === null
        ? undefined
        : {
            ...{ Status: operation.status, FromDbClusterArn: operation.from, ToDbClusterArn: operation.to },
            IsDataLossAllowed: operation.allowsLoss,
          };
    return {
      ...{ GlobalClusterIdentifier: id, GlobalClusterResourceId: `cluster-${id}` },
      GlobalClusterArn: `arn:aws:rds::${ACCOUNT}:global-cluster:${id}`,
      ...{ Status: operation?.status ?? 'available', Engine: 'aurora-postgresql', EngineVersion: '16.9' },
      Endpoint: this.state.endpoints[id],
      FailoverState: state,
      GlobalClusterMembers: list(
        'GlobalClusterMember',
        all.map(({ arn, writer, sync }) => ({
          ...{ DBClusterArn: arn, IsWriter: writer, SynchronizationStatus: sync },
          Readers: members(writer ? all.filter((one) => !one.writer).map((one) => one.arn) : []),
        })),
      ),
    };
  }

  /** Its writer endpoint leads nowhere as long as another cluster is the writer. */
  #isReader(cluster: FakeCluster): boolean {
    const arn = this.arnOf(cluster);
    return this.state.globals.some((global) => global.members.some((one) => one.arn === arn && !one.writer));
  }

  #clusterXml(cluster: FakeCluster): XmlValue {
    const { id, region, status, version, engine, host, port, parameterGroup, instances, tags, operation } = cluster;
    return {
      ...{ DBClusterIdentifier: id, DBClusterArn: this.arnOf(cluster), DbClusterResourceId: `cluster-${region}-${id}` },
      ...{ Status: operation?.status ?? status, Engine: engine, EngineVersion: version },
      ...(instances.length === 0
        ? {}
        : { Endpoint: this.#isReader(cluster) ? 'inactive.invalid' : host, ReaderEndpoint: host }),
      ...{ Port: port, DBClusterParameterGroup: parameterGroup },
      DBClusterMembers: list(
        'DBClusterMember',
        instances.map(({ id: name, writer }) => ({ DBInstanceIdentifier: name, IsClusterWriter: writer })),
      ),
      TagList: list(
        'Tag',
        Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
      ),
    };
  }
}

/** CloudWatch with the one metric that matters here. */
export class FakeLag {
  /** Newest values in milliseconds, by cluster; `ageMs`: how old; `source`: region of the writer. */
  values: Record<string, { ms: number; ageMs: number; source?: string }> = {};

  service(): FakeService {
    return {
      scope: 'monitoring',
      protocol: 'json1.0',
      snapshot: () => () => undefined,
      operations: {
        ListMetrics: ({ input }) => ({
          Metrics: Object.entries(this.values)
            .filter(([id]) => input.Dimensions?.[0]?.Value === id)
            .map(([id, { source = 'eu-west-1' }]) => ({
              ...{ Namespace: 'AWS/RDS', MetricName: input.MetricName },
              Dimensions: [
                { Name: 'DBClusterIdentifier', Value: id },
                { Name: 'SourceRegion', Value: source },
              ],
            })),
        }),
        GetMetricData: ({ input }) => ({
          MetricDataResults: input.MetricDataQueries.map((query: { Id: string; MetricStat: { Metric: Metric } }) => {
            const [cluster, source] = query.MetricStat.Metric.Dimensions;
            const found = this.values[cluster!.Value];
            const value = (found?.source ?? 'eu-west-1') === source!.Value ? found : undefined;
            const at = new Date(Date.now() - (value?.ageMs ?? 0));
            const within = value !== undefined && at.getTime() / 1000 >= Number(input.StartTime);
            const shown = within ? { Timestamps: [at], Values: [value.ms] } : { Timestamps: [], Values: [] };
            return { Id: query.Id, StatusCode: 'Complete', ...shown };
          }),
        }),
      },
    };
  }
}

interface Metric {
  Dimensions: Array<{ Name: string; Value: string }>;
}
