/**
 * Brings a former primary back. RDS cannot attach an instance to another one: the way back is a new replica, which RDS
 * makes from a snapshot that it copies across the regions. The old instance is renamed aside and kept, and the new
 * replica gets its identifier, and with it its address. Every stage is read from RDS, so a repeated call goes on where
 * the last one stopped.
 */
import type { CreateDBInstanceReadReplicaCommandInput } from '@aws-sdk/client-rds';
import type { Tags } from '../aws/tag-record.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, Receipt } from '../ports.ts';
import { readStatus, type ServerStatus } from '../sql/status.ts';
import { tokenOf } from '../store-claims.ts';
import { addTags, commands, describeInstance, rdsApi } from './api.ts';
import { type Fleet, type Side, sideOf } from './config.ts';
import { type Instance, instanceFrom, isSource, serverOf } from './instance.ts';
import { asFailure, ask, instanceOf, known, readSide } from './reading.ts';
import { KEPT_FOR, keptOf, recordOf, tagsOf, withClaim } from './record.ts';

/** Name that the old instance is given, decided before it is renamed. */
const KEPT_AS = 'rampart:kept-as';
const ANYTHING = { systemId: null, timeline: null };

/** A guess for people, not a promise: a snapshot that is taken, copied at 100 MB/s and restored, and RDS's own time. */
export function estimateOf(instance: Instance | null): { minutes: number; text: string } {
  const minutes = Math.ceil(20 + ((instance?.allocatedGb ?? 100) * 1024) / 100 / 60);
  return {
    minutes,
    text: `a new replica takes about ${minutes} min as a rough guess (20 min and 100 MB/s for its storage)`,
  };
}

/**
 * A replica that follows is there already. Anything else needs a rebuild, and is left as it is.
 * @throws SplitBrain when the side is writable
 */
export async function rejoin(fleet: Fleet, at: At, primary: string): Promise<Receipt> {
  tokenOf(fleet.context);
  const side = sideOf(fleet, at.region);
  const found = await writable(fleet, primary);
  const source = instanceOf(found);
  const reading = await readSide(fleet, side);
  const instance = instanceOf(reading);
  const status = known(reading.status);
  const base = { at: fleet.context.now() };
  if (isSource(instance.source, source) && status !== null && streams(found.status, status)) {
    return {
      ...base,
      already: true,
      summary: `${side.name} follows ${source.id} on timeline ${status.timeline}`,
      facts: {},
    };
  }
  if (isSource(instance.source, source)) {
    throw new RampartError(
      'NotApplied',
      `${side.name} is a replica of ${source.id} and does not stream (RDS says ${instance.status})`,
      {
        remedy:
          'A new replica catches up first. If it stays so, see its events; RDS ends replication after 30 days of errors.',
      },
    );
  }
  assertNoSecondPrimary(side, reading.fence.strength, status);
  const { minutes, text } = estimateOf(instance);
  return {
    ...base,
    already: false,
    summary: `${side.name} cannot follow ${source.id} as it is: RDS attaches no instance to another one. ${text}`,
    facts: { needs: 'rebuild', diverged: [side.name], estimateMinutes: minutes },
  };
}

/**
 * @throws SplitBrain when the side is writable; PreconditionFailed when RDS cannot make a replica; DeadlineExceeded when
 * it takes longer than `rebuildTimeout`
 */
export async function rebuild(fleet: Fleet, at: At, primary: string): Promise<Receipt> {
  tokenOf(fleet.context);
  const { context, config } = fleet;
  const side = sideOf(fleet, at.region);
  const source = instanceOf(await writable(fleet, primary));
  if (source.backupRetention === 0) {
    throw new RampartError('PreconditionFailed', `${source.id} has no automated backups: RDS makes no replica of it`, {
      remedy: `Turn them on: aws rds modify-db-instance --db-instance-identifier ${source.id} --backup-retention-period 7 --apply-immediately`,
    });
  }
  let already = true;
  const intervals = { intervalMs: config.poll, maxIntervalMs: config.poll * 5 };
  let doing = '';
  const done = await poll({ signal: context.signal, deadlineMs: config.rebuildTimeout, ...intervals }, async () => {
    const raw = await describeInstance(fleet, side);
    const own = raw === null ? null : instanceFrom(raw);
    doing = own === null ? 'making a new replica' : `${own.id} is ${own.status}`;
    context.heartbeat({ node: side.name, doing: `rebuild: ${doing}` });
    if (own === null) {
      already = false;
      await create(fleet, side, source);
      return undefined;
    }
    if (isSource(own.source, source)) return (await follows(fleet, side, own, primary)) ? own : undefined;
    if (own.status === 'renaming') return undefined;
    already = false;
    await renameAside(fleet, side);
    return undefined;
  });
  if (done === undefined) {
    throw new RampartError(
      'DeadlineExceeded',
      `the new replica of ${side.name} is not there after ${config.rebuildTimeout} ms: ${doing}`,
      {
        remedy: 'RDS goes on by itself. See the events of the instance; the same step goes on from there.',
      },
    );
  }
  const kept = (await keptOf(fleet, side)).map(({ id }) => id);
  return {
    already,
    at: context.now(),
    summary: `${side.name} follows ${source.id}${kept.length > 0 ? `; kept until \`rampart release\`: ${kept.join(', ')}` : ''}`,
    facts: { kept, how: ['new replica'] },
  };
}

async function writable(fleet: Fleet, region: string) {
  const found = await ask(fleet, sideOf(fleet, region));
  if (!found.status.inRecovery) return found;
  throw new RampartError('PreconditionFailed', `${found.side.name} is in recovery: it cannot be followed yet`, {
    remedy: 'Observe both sides: the primary may be elsewhere.',
  });
}

function assertNoSecondPrimary(side: Side, fenced: string, status: { inRecovery: boolean } | null): void {
  if (status !== null && !status.inRecovery && fenced === 'none') {
    throw new RampartError('SplitBrain', `${side.name} is writable: it cannot follow anybody`, {
      remedy: `Fence ${side.name} first.`,
    });
  }
}

async function follows(fleet: Fleet, side: Side, own: Instance, primary: string): Promise<boolean> {
  const server = serverOf(fleet, side, own);
  if (own.status !== 'available' || server === null) return false;
  // Asked first: what it has now must have arrived when the replica is asked.
  const source = await writable(fleet, primary);
  const status = await readStatus(fleet, server).catch(asFailure);
  if (status instanceof RampartError) {
    if (status.type === 'ProviderUnavailable') return false;
    throw status;
  }
  return streams(source.status, status);
}

/**
 * Whether the replica gets what the source writes. A receiver calls itself `streaming` as soon as it has a connection,
 * also for the moment until it is refused (measured with a slot that is missing): so the source must send to somebody,
 * and what it had written before the replica was asked must have arrived.
 */
function streams(source: ServerStatus, replica: ServerStatus): boolean {
  const sends = source.standbys.some(({ state }) => state === 'streaming' || state === null);
  const arrived =
    source.position !== null &&
    replica.received !== null &&
    BigInt(replica.received.order) >= BigInt(source.position.order);
  return replica.inRecovery && replica.receiver?.status === 'streaming' && sends && arrived;
}

/** Under the claim: nobody's primary may be renamed away. */
async function renameAside(fleet: Fleet, side: Side): Promise<void> {
  await withClaim(fleet, side, ANYTHING, async ({ instance }) => {
    if (instance.id !== side.instance) return;
    const { fence, status } = await readSide(fleet, side);
    assertNoSecondPrimary(side, fence.strength, known(status));
    if (status instanceof RampartError && instance.status !== 'stopped') throw status;
    if (instance.status !== 'available' && instance.status !== 'stopped') return;
    const stamp = new Date(fleet.context.now()).toISOString().replaceAll(/[-:T]|\..*/g, '');
    const keptAs = instance.tags[KEPT_AS] ?? `${side.instance.slice(0, 43).replace(/-$/, '')}-kept-${stamp}`;
    await addTags(fleet, side, instance.arn, { [KEPT_FOR]: side.instance, [KEPT_AS]: keptAs });
    const api = await rdsApi(fleet, side);
    const { ModifyDBInstanceCommand } = await commands();
    await tolerate(
      api.call('ModifyDBInstance', (client, options) =>
        client.send(
          new ModifyDBInstanceCommand({
            DBInstanceIdentifier: side.instance,
            NewDBInstanceIdentifier: keptAs,
            ApplyImmediately: true,
          }),
          options,
        ),
      ),
    );
  });
}

/** Under the claim, which the instance that was kept carries. */
async function create(fleet: Fleet, side: Side, source: Instance): Promise<void> {
  const [kept] = await keptOf(fleet, side);
  // In the middle of a rename neither name may be known, and the newest that is known is one of an earlier rebuild.
  const claim = kept === undefined ? null : recordOf(kept).claim;
  if (claim === null || claim.epoch < tokenOf(fleet.context).epoch) return;
  await withClaim(fleet, side, ANYTHING, async ({ instance }) => {
    if (instance.id === side.instance) return;
    const api = await rdsApi(fleet, side);
    const { CreateDBInstanceReadReplicaCommand } = await commands();
    const input = replicaLike(side, instance, source);
    await tolerate(
      api.call('CreateDBInstanceReadReplica', (client, options) =>
        client.send(new CreateDBInstanceReadReplicaCommand(input), options),
      ),
    );
  });
}

/** A replica with everything that the old instance had in its region, the run's record included. */
function replicaLike(side: Side, old: Instance, source: Instance): CreateDBInstanceReadReplicaCommandInput {
  const { raw } = old;
  const own = Object.entries(old.tags).filter(([key]) => !key.startsWith('aws:') && !key.startsWith('rampart:'));
  const tags: Tags = { ...Object.fromEntries(own), ...tagsOf(recordOf(old)) };
  const groups = (raw.VpcSecurityGroups ?? []).flatMap(({ VpcSecurityGroupId: id }) => (id === undefined ? [] : [id]));
  const logs = raw.EnabledCloudwatchLogsExports ?? [];
  return defined({
    DBInstanceIdentifier: side.instance,
    SourceDBInstanceIdentifier: source.arn,
    DBInstanceClass: raw.DBInstanceClass,
    DBParameterGroupName: old.parameterGroup ?? undefined,
    DBSubnetGroupName: raw.DBSubnetGroup?.DBSubnetGroupName,
    VpcSecurityGroupIds: groups.length > 0 ? groups : undefined,
    // Keys belong to a region: the old instance's own one.
    KmsKeyId: raw.StorageEncrypted === true ? raw.KmsKeyId : undefined,
    MultiAZ: raw.MultiAZ,
    StorageType: raw.StorageType,
    Port: old.address?.port,
    PubliclyAccessible: raw.PubliclyAccessible,
    CopyTagsToSnapshot: raw.CopyTagsToSnapshot,
    AutoMinorVersionUpgrade: raw.AutoMinorVersionUpgrade,
    EnableIAMDatabaseAuthentication: raw.IAMDatabaseAuthenticationEnabled,
    CACertificateIdentifier: raw.CACertificateIdentifier,
    EnableCloudwatchLogsExports: logs.length > 0 ? logs : undefined,
    MonitoringInterval: raw.MonitoringInterval,
    MonitoringRoleArn: raw.MonitoringRoleArn,
    EnablePerformanceInsights: raw.PerformanceInsightsEnabled,
    MaxAllocatedStorage: raw.MaxAllocatedStorage,
    DeletionProtection: old.deletionProtection,
    Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
  });
}

function defined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T;
}

/** Whether it was applied, and whether another attempt was quicker, the next look tells. */
async function tolerate(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    const failure = asFailure(error);
    const { code, maybeApplied } = failure.details;
    if (maybeApplied === true || code === 'DBInstanceAlreadyExistsFault' || code === 'InvalidDBInstanceStateFault')
      return;
    throw failure;
  }
}
