/**
 * Keeps the service out of its primary, proves it, and takes it back. RDS gives no other way that is quick and can be
 * undone: an instance with a replica cannot be stopped, one that is stopped is started again after seven days, and a
 * security group does not cut connections that are tracked already.
 */
import { closeDoors, openDoors, readSaved, writeSuspended } from '../aws/sql/doors.ts';
import { endOfLog, endSessions } from '../aws/sql/sessions.ts';
import { RampartError } from '../errors.ts';
import type { At, FenceReceipt, Millis, Receipt } from '../ports.ts';
import type { SqlServer } from '../sql/server.ts';
import { fencedNow, tokenOf } from '../store-claims.ts';
import { type Fleet, othersOf, type Side, sideOf } from './config.ts';
import { ask, clearFence, FENCE, type FenceRecord, known, readFence, readSide, type SideReading } from './reading.ts';
import { type Held, mayBegin, recordOf, withClaim } from './record.ts';

/** In the freeze: a server that does not take a connection within this time (milliseconds) is not reachable. */
const CONNECT_MS = 1_000;

/** @throws AccessDenied when somebody could still log in; DeadlineExceeded when sessions do not end */
export async function fence(fleet: Fleet, at: At): Promise<FenceReceipt> {
  tokenOf(fleet.context);
  const side = sideOf(fleet, at.region);
  const before = await ask(fleet, side);
  const { status, server } = before;
  const identity = { systemId: status.systemId, timeline: status.timeline };
  const changed = await withClaim(
    fleet,
    side,
    identity,
    async () => {
      const now = await ask(fleet, side);
      // A replica cannot write; nothing is closed there, or its promotion would come up closed.
      if (now.status.inRecovery || now.fence.strength !== 'none') return false;
      await close(fleet, side, server, now);
      return true;
    },
    ({ record }) => fencedNow(record, fleet.context.now()),
  );
  const proof = await prove(fleet, at);
  if (proof.fence.cannotWrite === 'none') {
    throw new RampartError('NotApplied', `the fence of ${side.name} did not hold: ${proof.summary}`, {
      remedy: 'It is tried again by itself. Find who opens logins or connection limits meanwhile.',
    });
  }
  // The attempt that closed it may not have come to its answer.
  const kept = await readFence(fleet, server);
  const own = kept?.region === at.region && kept.runId === tokenOf(fleet.context).runId;
  return { ...proof, already: !changed, facts: { ...proof.facts, stoppedWrites: changed || own } };
}

async function close(fleet: Fleet, side: Side, server: SqlServer, { status }: SideReading): Promise<void> {
  const { context } = fleet;
  const { epoch, runId } = tokenOf(context);
  if (status instanceof RampartError) throw status;
  context.heartbeat({ node: side.name, doing: 'closing logins' });
  await closeDoors(fleet, server, runId);
  await endSessions(fleet, server);
  const record: FenceRecord = {
    component: fleet.component,
    region: side.region,
    epoch,
    runId,
    at: context.now(),
    systemId: status.systemId,
    timeline: status.timeline,
    final: await endOfLog(fleet, server),
  };
  await writeSuspended(fleet, server, FENCE, JSON.stringify(record), runId);
}

/** Whether the side is unable to write, now. Reads only. `facts.asked`: whether its server answered. */
export async function prove(fleet: Fleet, at: At): Promise<FenceReceipt> {
  const side = sideOf(fleet, at.region);
  const reading = await readSide(fleet, side, { connectTimeoutMs: CONNECT_MS });
  const { fence: state } = reading;
  const status = known(reading.status);
  const instance = known(reading.instance);
  const now = fleet.context.now();
  const final = state.strength === 'none' ? null : state.final;
  return {
    already: true,
    at: now,
    summary: `${side.name}: ${state.detail}`,
    facts: { asked: status !== null },
    fence: {
      region: at.region,
      cannotWrite: state.strength,
      finalPosition: final,
      durable: state.durable,
      systemId: status?.systemId ?? null,
      timeline: final?.timeline ?? status?.timeline ?? null,
      // Without the region's API nobody knows who claims the side: such a proof is nobody's.
      epoch: instance === null ? 0 : (recordOf(instance).claim?.epoch ?? 0),
      needsRewind: state.formerPrimary,
      provenAt: now,
    },
  };
}

/** @throws Conflict when the target is promoted or about to be, the claim is not ours, or the deadline has passed */
export async function unfence(fleet: Fleet, at: At, guard: { to: string; deadline: Millis | null }): Promise<Receipt> {
  tokenOf(fleet.context);
  const side = sideOf(fleet, at.region);
  const { server, status } = await ask(fleet, side);
  const identity = { systemId: status.systemId, timeline: status.timeline };
  const opened = status.inRecovery
    ? null
    : await withClaim(fleet, side, identity, async ({ record, save }: Held) => {
        const { fence: state } = await ask(fleet, side);
        const closed = state.formerPrimary || (await hasTraces(fleet, server));
        if (!closed && record.journal?.fencedAt == null) return null;
        await assertMayUnfence(fleet, side, guard, status.timeline);
        const names = await openDoors(fleet, server);
        await clearFence(fleet, server);
        // A later loss must not begin with a fence that was taken back.
        if (record.journal !== null) await save({ journal: { ...record.journal, fencedAt: null } });
        return names;
      });
  const summary =
    opened === null
      ? `${at.region} was not fenced`
      : `${side.name} lets the service in again: ${opened.join(', ') || 'nothing was closed'}`;
  return { already: opened === null, at: fleet.context.now(), summary, facts: {} };
}

/** A fence that was cut off before it was on record has closed something all the same. */
async function hasTraces(fleet: Fleet, server: SqlServer): Promise<boolean> {
  return (await readSaved(fleet, server)) !== null || (await readFence(fleet, server)) !== null;
}

/** The last look before it acts. Everybody else, not only the target: a second history must not begin here. */
async function assertMayUnfence(
  fleet: Fleet,
  side: Side,
  guard: { to: string; deadline: Millis | null },
  timeline: number,
): Promise<void> {
  for (const other of othersOf(fleet, side)) {
    const reading = await readSide(fleet, other, { connectTimeoutMs: CONNECT_MS });
    const why = wentOn(reading, timeline) ?? maySoon(fleet, reading);
    if (why === null) continue;
    throw new RampartError('Conflict', `${side.name} stays fenced: ${other.name} ${why}`, {
      remedy: 'Go on with the failover; a second writable side would fork the data.',
    });
  }
  // After the looks, which take their time where a region does not answer.
  const now = fleet.context.now();
  if (guard.deadline !== null && now > guard.deadline) {
    throw new RampartError('Conflict', `the unfence of ${side.name} came ${now - guard.deadline} ms too late`, {
      remedy: 'Nothing was changed. Observe both sides and decide anew.',
    });
  }
}

/** Right after the call RDS shows nothing of a promotion: only the note that was written before it tells. */
function maySoon(fleet: Fleet, { instance }: SideReading): string | null {
  const there = known(instance);
  const note = there === null ? null : recordOf(there).promote;
  if (!mayBegin(note, tokenOf(fleet.context).epoch, fleet.context.now())) return null;
  return `is about to be promoted: that was begun at ${new Date(note.at).toISOString()}`;
}

function wentOn({ status, instance }: SideReading, timeline: number): string | null {
  const server = known(status);
  const there = known(instance);
  if (server !== null && !server.inRecovery) return `is writable on timeline ${server.timeline}`;
  if (server !== null && server.timeline > timeline) return `is on timeline ${server.timeline}`;
  // RDS has begun: whatever the server says at this moment, it will be writable.
  if (there !== null && there.source === null) return `is no replica any more, as RDS says (${there.status})`;
  return null;
}
