/**
 * Makes the replica writable: the point of no return. `PromoteReadReplica` is sent once, only after a look, and whether
 * it is done is told by looks alone. No waiter of the SDK: right after the call the status is still `available`, so a
 * waiter for that returns at once, and it takes every error for "not yet". `SwitchoverReadReplica` is Oracle's.
 */
import { openDoors } from '../aws/sql/doors.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, FenceReceipt, PromoteReceipt, Receipt } from '../ports.ts';
import { probe } from '../sql/probe.ts';
import type { SqlServer } from '../sql/server.ts';
import { readStatus, type ServerStatus } from '../sql/status.ts';
import { checkToken, tokenOf } from '../store-claims.ts';
import { commands, describeInstance, rdsApi } from './api.ts';
import { type Fleet, type Side, sideOf } from './config.ts';
import { type Instance, instanceFrom, serverOf } from './instance.ts';
import { asFailure, ask, clearFence, instanceOf, readSide } from './reading.ts';
import { BEGUN_MS, type Held, mayBegin, type PromoteIntent, recordOf, withClaim } from './record.ts';

/** Oldest proof that a promotion acts on, in milliseconds: 5 s when it is scheduled, and 5 s until a worker has it. */
const PROOF_MS = 10_000;

/**
 * @throws NotFenced without a fresh proof; Conflict for a stale token or another timeline; PreconditionFailed for an
 * instance that RDS does not promote; NotApplied when RDS shows nothing of it
 */
export async function promote(
  fleet: Fleet,
  to: At,
  from: string,
  proof: FenceReceipt | null,
  planned: { timeline: number | null },
): Promise<PromoteReceipt> {
  const token = tokenOf(fleet.context);
  const side = sideOf(fleet, to.region);
  const before = await ask(fleet, side);
  const { status, server } = before;
  const instance = instanceOf(before);
  const expected = planned.timeline ?? token.expectedTimeline;
  const intent = recordOf(instance).promote;
  const begun = intent !== null && intent.epoch === token.epoch && intent.runId === token.runId;

  if (!status.inRecovery && instance.source === null) return alreadyPromoted(fleet, to, side, server, status, expected);
  if (instance.source === null || !status.inRecovery) {
    // Half of it is done. Ours, or somebody else's: it cannot be stopped, and its end is waited for.
    checkToken(side.name, recordOf(instance), token, { systemId: status.systemId, timeline: null });
    return finish(fleet, to, side, expected ?? status.timeline, begun);
  }
  if (expected !== null && status.timeline !== expected) {
    throw new RampartError('Conflict', `${side.name} is on timeline ${status.timeline}, the plan expects ${expected}`, {
      remedy: 'Something was promoted meanwhile: observe and make a new plan.',
    });
  }
  assertProof(fleet, side, status, from, proof);
  await idle(fleet, side);
  const next: PromoteIntent = {
    epoch: token.epoch,
    runId: token.runId,
    seq: token.seq,
    at: fleet.context.now(),
    timeline: status.timeline,
  };
  const mayGo = (): void => assertProof(fleet, side, status, from, proof);
  let noted: { before: PromoteIntent | null } | null = null;
  const sent = await withClaim(
    fleet,
    side,
    { systemId: status.systemId, timeline: status.timeline },
    async (held) => {
      if (noted === null) return false;
      try {
        // Writing the note down and reading it back takes its time, too.
        mayGo();
        return await send(fleet, side, held.instance);
      } catch (error) {
        await forget(fleet, side, held, noted.before, error);
        throw error;
      }
    },
    ({ instance: now, record }) => {
      // An attempt beside this one may have sent it while this one waited.
      if (now.source === null || now.status !== 'available') return {};
      // Again, because a backup or the lock may have been waited for.
      mayGo();
      noted = { before: record.promote };
      return { promote: next };
    },
  );
  return finish(fleet, to, side, status.timeline, !sent);
}

/** RDS does not promote an instance that is being backed up or changed; both end by themselves. */
async function idle(fleet: Fleet, side: Side): Promise<void> {
  const { poll: intervalMs, promoteTimeout } = fleet.config;
  let last = '';
  const ready = await poll({ signal: fleet.context.signal, deadlineMs: promoteTimeout, intervalMs }, async () => {
    const raw = await describeInstance(fleet, side);
    last = raw?.DBInstanceStatus ?? 'gone';
    fleet.context.heartbeat({ node: side.name, doing: `waiting until RDS can promote it (${last})` });
    if (last === 'available' || (raw !== null && instanceFrom(raw).source === null)) return true;
    if (PASSING.has(last)) return undefined;
    throw new RampartError('PreconditionFailed', `RDS does not promote ${side.instance}: it is ${last}`, {
      remedy: 'Bring it to `available` first (storage, parameters, start); see its events in the console.',
    });
  });
  if (ready === undefined) {
    throw new RampartError('DeadlineExceeded', `${side.instance} is still ${last} after ${promoteTimeout} ms`, {
      remedy: 'Nothing was promoted. A backup of a large instance takes long: promote when it has ended.',
    });
  }
}

/** States that end by themselves. */
const PASSING = new Set([
  'backing-up',
  'modifying',
  'rebooting',
  'maintenance',
  'configuring-enhanced-monitoring',
  'configuring-log-exports',
  'configuring-iam-database-auth',
  'storage-optimization',
  'storage-config-upgrade',
  'renaming',
  'resetting-master-credentials',
]);

/**
 * For certain nothing was begun by this call: the note of it would keep the run from going back for ever. What an earlier
 * attempt sent stays noted.
 */
async function forget(
  fleet: Fleet,
  side: Side,
  { save }: Held,
  before: PromoteIntent | null,
  error: unknown,
): Promise<void> {
  // Cancelled in the middle: nobody knows.
  if (!(error instanceof RampartError)) return;
  await save({ promote: before }).catch((failure: unknown) => {
    const why = asFailure(failure).message;
    fleet.context.log.warn(`that no promotion of ${side.name} was begun could not be noted`, { why });
  });
}

/** @returns whether RDS may have taken it; not when it says that it is busy, perhaps with another attempt's */
async function send(fleet: Fleet, side: Side, seen: Instance): Promise<boolean> {
  const api = await rdsApi(fleet, side);
  const { PromoteReadReplicaCommand } = await commands();
  const kept = seen.backupRetention > 0 ? { BackupRetentionPeriod: seen.backupRetention } : {};
  try {
    await api.call('PromoteReadReplica', (client, options) =>
      client.send(new PromoteReadReplicaCommand({ DBInstanceIdentifier: side.instance, ...kept }), options),
    );
    return true;
  } catch (error) {
    const failure = asFailure(error);
    // Applied or not: the looks tell. RDS answers the same code for "promoted already" and for "busy".
    if (failure.details.maybeApplied === true) return true;
    if (failure.details.code === 'InvalidDBInstanceStateFault') return false;
    throw failure;
  }
}

/** Waits until the instance is no replica, RDS has finished, and its server takes a write. */
async function finish(fleet: Fleet, to: At, side: Side, timeline: number, already: boolean): Promise<PromoteReceipt> {
  const { context, config } = fleet;
  const began = context.now();
  const intervals = { intervalMs: config.poll, maxIntervalMs: config.poll * 5 };
  let last = '';
  const done = await poll({ signal: context.signal, deadlineMs: config.promoteTimeout, ...intervals }, async () => {
    const reading = await readSide(fleet, side);
    const { instance, status, server } = reading;
    if (instance instanceof RampartError) {
      if (instance.type !== 'ProviderUnavailable') throw instance;
      last = instance.message;
    } else if (instance !== null) {
      last = `${instance.status}${instance.source === null ? '' : ', still a replica'}`;
    }
    context.heartbeat({ node: side.name, doing: 'promoting', rds: last });
    if (instance === null || instance instanceof RampartError) return undefined;
    if (instance.source !== null) {
      if (instance.status === 'available' && context.now() - began > Math.min(BEGUN_MS, config.promoteTimeout / 2)) {
        throw new RampartError(
          'NotApplied',
          `RDS shows nothing of a promotion of ${side.instance}: it is available, and a replica`,
          {
            remedy: 'Nothing has changed. It is looked at and sent again by the next attempt.',
          },
        );
      }
      return undefined;
    }
    if (status instanceof RampartError) {
      if (status.type === 'AccessDenied') throw status;
      return undefined;
    }
    // While it backs up the new primary RDS lets it serve: waiting for that would only lengthen the outage.
    if (!['available', 'backing-up'].includes(instance.status) || status.inRecovery || server === null)
      return undefined;
    return { server, status };
  });
  if (done === undefined) {
    throw new RampartError('DeadlineExceeded', `the promotion of ${side.instance} has not ended (${last})`, {
      remedy: 'It cannot be stopped. Watch the events of the instance, and observe again when it is available.',
    });
  }
  return promoted(fleet, to, side, done.server, done.status, timeline, already);
}

/** The catalogue came from a fenced primary: who was kept out there is let in here. */
async function promoted(
  fleet: Fleet,
  to: At,
  side: Side,
  server: SqlServer,
  status: ServerStatus,
  before: number,
  already: boolean,
): Promise<PromoteReceipt> {
  if (status.timeline <= before) {
    throw new RampartError(
      'PreconditionFailed',
      `${side.name} is writable on timeline ${status.timeline} without having been promoted by this run`,
      {
        remedy: 'Observe both sides: it may be that this side has been the primary all along.',
      },
    );
  }
  const opened = await withClaim(fleet, side, { systemId: status.systemId, timeline: null }, async () => {
    const names = await openDoors(fleet, server);
    await clearFence(fleet, server);
    return names;
  });
  const probeMs = Math.round(await probe(fleet, server));
  return {
    already,
    at: fleet.context.now(),
    summary: `${side.name} is writable on timeline ${status.timeline}: no replica any more, RDS is done, a write came through`,
    facts: { opened, probeMs },
    promote: { region: to.region, node: side.name, timeline: status.timeline, forkPosition: status.fork },
  };
}

async function alreadyPromoted(
  fleet: Fleet,
  to: At,
  side: Side,
  server: SqlServer,
  status: ServerStatus,
  expected: number | null,
): Promise<PromoteReceipt> {
  const reading = await readSide(fleet, side);
  const record = recordOf(instanceOf(reading));
  checkToken(side.name, record, tokenOf(fleet.context), { systemId: status.systemId, timeline: null });
  const { epoch } = tokenOf(fleet.context);
  const noted = record.promote?.epoch === epoch ? record.promote.timeline : null;
  const before = expected ?? noted ?? status.timeline;
  if (['available', 'backing-up'].includes(instanceOf(reading).status)) {
    return promoted(fleet, to, side, server, status, before, true);
  }
  return finish(fleet, to, side, before, true);
}

/** Whether the fence lets a promotion go on. `null` = a recorded override; the workflow has checked that there is one. */
function assertProof(fleet: Fleet, side: Side, status: ServerStatus, from: string, proof: FenceReceipt | null): void {
  if (proof === null) return;
  const refuse = (why: string, remedy: string): never => {
    throw new RampartError('NotFenced', `${side.name} is not promoted: ${why}`, { remedy });
  };
  const { fence } = proof;
  const age = fleet.context.now() - fence.provenAt;
  if (fence.region !== from) refuse(`the proof is about ${fence.region}, the source is ${from}`, `Fence ${from}.`);
  if (fence.cannotWrite === 'none')
    refuse(`nothing proves that ${from} cannot write`, `Fence ${from}, or accept it by name.`);
  if (age > PROOF_MS) refuse(`the fence proof of ${from} is ${age} ms old`, 'Prove the fence again right before.');
  if (fence.epoch !== tokenOf(fleet.context).epoch) {
    refuse(
      `the proof was read under claim ${fence.epoch}, not under this run's`,
      `Claim ${from}, then prove the fence again.`,
    );
  }
  if (fence.systemId !== null && fence.systemId !== status.systemId) {
    refuse(`the fenced database is another one (${fence.systemId})`, 'Check `instance` of both sides.');
  }
}

/**
 * Writes this call's token, so that a promotion scheduled before it is refused from now on, and says whether one may
 * have begun.
 * @returns `facts.revoked`: none has begun, and the instance reads back as a replica in recovery
 */
export async function revokePromote(fleet: Fleet, to: At): Promise<Receipt> {
  const token = tokenOf(fleet.context);
  const side = sideOf(fleet, to.region);
  const reasons = await withClaim(fleet, side, { systemId: null, timeline: null }, async ({ record, instance }) => {
    const found: string[] = [];
    const server = serverOf(fleet, side, instance);
    const status = server === null ? null : await readStatus(fleet, server).catch(asFailure);
    if (mayBegin(record.promote, token.epoch, fleet.context.now())) {
      found.push(`a promotion of ${side.name} was begun at ${new Date(record.promote.at).toISOString()}`);
    }
    if (instance.source === null)
      found.push(`${side.instance} is no replica any more, as RDS says (${instance.status})`);
    if (status === null || status instanceof RampartError)
      found.push(`${side.name} cannot be read: ${status?.message ?? 'no address'}`);
    else if (!status.inRecovery) found.push(`${side.name} is writable on timeline ${status.timeline}`);
    // A lower one is no promotion: a timeline only grows.
    else if (token.expectedTimeline !== null && status.timeline > token.expectedTimeline) {
      found.push(`${side.name} is on timeline ${status.timeline}, not ${token.expectedTimeline}`);
    }
    return found;
  });
  const revoked = reasons.length === 0;
  return {
    already: false,
    at: fleet.context.now(),
    summary: revoked ? `no promotion has begun in ${to.region}, and none can any more` : reasons.join('; '),
    facts: { revoked, reasons },
  };
}
