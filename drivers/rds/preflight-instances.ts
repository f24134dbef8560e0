/** What RDS says of the two instances that stands in a failover's way, or will after it. */
import type { Instance } from './instance.ts';
import type { Say } from './preflight.ts';
import { known, type SideReading } from './reading.ts';
import { estimateOf } from './rebuild.ts';
import { recordOf } from './record.ts';

/** States in which RDS promotes nothing, until they end by themselves. */
const BUSY = new Set(['backing-up', 'modifying', 'rebooting', 'maintenance', 'upgrading', 'creating', 'renaming']);

export function instanceRules(source: SideReading, target: SideReading, mode: string, say: Say): void {
  for (const { side, instance } of [source, target]) {
    const there = known(instance);
    if (there === null) continue;
    engine(there, side.region, say);
    storage(there, side.region, say);
    record(there, side.region, say);
    if (there.parameterStatus !== null && there.parameterStatus !== 'in-sync') {
      say(
        'warning',
        'rds.parametersPending',
        side.region,
        `parameter group ${there.parameterGroup} of ${there.id} is ${there.parameterStatus}: a promotion reboots it, and they take effect then`,
        'Reboot the instance in a quiet hour, and look at it, before the failover.',
      );
    }
  }
  const [a, b] = [known(source.instance), known(target.instance)];
  if (b !== null) targetState(b, target.side.region, mode, say);
  if (a !== null && b !== null) pair(a, b, target.side.region, say);
}

/** What promotion itself means, said every time: RDS has no way back from it. */
export function promotionRules(source: SideReading, target: SideReading, say: Say): void {
  const { minutes, text } = estimateOf(known(source.instance));
  say(
    'info',
    'rds.failbackNeedsReplica',
    source.side.region,
    `a promotion ends the replication for good: a failback needs a new replica in ${source.side.region} first; ${text}`,
    `\`rampart reprotect\` makes it after the failover and keeps the old instance; plan for ${minutes} min without protection.`,
  );
  const there = known(target.instance);
  if (there !== null && !there.multiAz) {
    say(
      'warning',
      'rds.noSecondWay',
      target.side.region,
      `${there.id} is single-AZ: once promoted, there is neither a standby nor a replica to promote until a new one is made`,
      'Make it Multi-AZ before the failover, or accept it.',
    );
  }
}

function engine({ id, engine: name, raw }: Instance, region: string, say: Say): void {
  if (raw.DBClusterIdentifier) {
    say(
      'blocker',
      'rds.inCluster',
      region,
      `${id} belongs to the cluster ${raw.DBClusterIdentifier}: PromoteReadReplica does not apply to it`,
      'Use the type aurora-global or aurora.',
    );
  } else if (name !== 'postgres') {
    say(
      'blocker',
      'rds.engine',
      region,
      `${id} runs ${name}: this driver moves PostgreSQL only, because it fences by SQL and compares positions of its log`,
      'Leave this component out of the service, or move it by hand.',
    );
  }
}

function storage({ id, status }: Instance, region: string, say: Say): void {
  if (status !== 'storage-full') return;
  say(
    'blocker',
    'rds.storageFull',
    region,
    `the storage of ${id} is full`,
    'Raise its allocated storage, and wait until it is available.',
  );
}

function record(there: Instance, region: string, say: Say): void {
  try {
    recordOf(there);
  } catch (error) {
    say(
      'blocker',
      'rds.tags',
      region,
      `${there.id}: ${(error as Error).message}`,
      'See that no run is under way, then remove the tags rampart:record*.',
    );
  }
}

function targetState(
  { id, status, backupRetention, deletionProtection, allocatedGb }: Instance,
  region: string,
  mode: string,
  say: Say,
): void {
  if (BUSY.has(status)) {
    say(
      // An unplanned promotion waits for it.
      mode === 'planned' ? 'blocker' : 'warning',
      'rds.busy',
      region,
      `${id} is ${status}: RDS promotes it only when that has ended${allocatedGb === null ? '' : ` (${allocatedGb} GB)`}`,
      'Wait until it is available; keep its backup window away from planned failovers.',
    );
  } else if (status !== 'available' && status !== 'storage-full') {
    say('blocker', 'rds.notAvailable', region, `${id} is ${status}`, 'Bring it to `available` first.');
  }
  if (backupRetention === 0) {
    say(
      'warning',
      'rds.noBackups',
      region,
      `${id} has no automated backups: promoted, it cannot be restored to a moment before, and the first backup comes later`,
      `aws rds modify-db-instance --db-instance-identifier ${id} --backup-retention-period 7 --apply-immediately`,
    );
  }
  if (!deletionProtection) {
    say(
      'info',
      'rds.noDeletionProtection',
      region,
      `${id} is not protected against deletion`,
      'Turn it on for what is to be the primary.',
    );
  }
}

function pair(a: Instance, b: Instance, region: string, say: Say): void {
  if (a.backupRetention === 0) {
    say(
      'warning',
      'rds.noBackups',
      null,
      `${a.id} has no automated backups: RDS makes replicas only of instances that have them, so a failback could not be prepared`,
      `aws rds modify-db-instance --db-instance-identifier ${a.id} --backup-retention-period 7 --apply-immediately`,
    );
  }
  if (a.engineVersion !== b.engineVersion) {
    say(
      'warning',
      'rds.engineVersion',
      region,
      `${a.id} runs ${a.engineVersion}, ${b.id} ${b.engineVersion}: a replica back may need the same or a newer version there`,
      'Upgrade both to the same version.',
    );
  }
  if (a.raw.DBInstanceClass !== b.raw.DBInstanceClass) {
    say(
      'warning',
      'rds.instanceClass',
      region,
      `${b.id} is ${b.raw.DBInstanceClass}, the primary ${a.raw.DBInstanceClass}`,
      'Make the target as large as the traffic needs, before the failover: a change of class restarts it.',
    );
  }
  if (a.parameterGroup !== b.parameterGroup) {
    say(
      'info',
      'rds.parameterGroup',
      region,
      `${b.id} uses the parameter group ${b.parameterGroup}, the primary ${a.parameterGroup}: groups belong to a region`,
      'See that both say the same; settings that differ are reported on their own.',
    );
  }
}
