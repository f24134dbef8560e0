/**
 * The failover to the standby: `RebootDBInstance` with ForceFailover. Sent twice it would go there and back, so it is
 * sent only when RDS shows the primary where it was, the instance at rest, and no call of any run that may still
 * show. Done when RDS names the other zone, the instance is available and its server takes a write.
 */
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, PromoteReceipt, Receipt } from '../ports.ts';
import { probe } from '../sql/probe.ts';
import type { SqlServer } from '../sql/server.ts';
import { tokenOf } from '../store-claims.ts';
import { apiOf, commands, ZONE_CALLS } from './api.ts';
import { type Fleet, type Side, sideOf } from './config.ts';
import { asFailure, known, readSide } from './reading.ts';
import { type Held, mayBegin, withClaim } from './record.ts';
import { placesOf, type Zones, zonesOf } from './zones.ts';

/**
 * @throws NotApplied: RDS shows nothing of it, and the primary is where it was; DeadlineExceeded: it is still under way;
 * PreconditionFailed without a standby; Conflict for a stale token, or a primary in neither zone
 */
export async function switchover(fleet: Fleet, from: string, to: string): Promise<PromoteReceipt> {
  tokenOf(fleet.context);
  const [old, side] = [sideOf(fleet, from), sideOf(fleet, to)];
  const before = zonesOf(await readSide(fleet, side));
  const { status } = before.reading;
  // Whether it serves afterwards could not be told.
  if (status instanceof RampartError && status.type === 'AccessDenied') throw status;
  const moved = before.primary === side.zone;
  const identity = { systemId: known(status)?.systemId ?? null, timeline: moved ? null : before.number };
  const attempt = () => withClaim(fleet, side, identity, (held) => act(fleet, old, side, held));
  let begun = await attempt();
  const { server } = await finish(fleet, side, begun.at).catch(async (error: unknown) => {
    // An attempt before this one died between its note and the call, or RDS dropped it: now it is known.
    if (begun.sent || asFailure(error).type !== 'NotApplied') throw error;
    begun = await attempt();
    return finish(fleet, side, begun.at);
  });
  const number = await withClaim(
    fleet,
    side,
    { systemId: null, timeline: null },
    async ({ instance, record, save }) => {
      const places = placesOf(instance);
      const zones = { number: places.number, zone: places.primary };
      if (record.promote !== null || record.zones?.number !== zones.number) await save({ promote: null, zones });
      return places.number;
    },
  );
  const probeMs = Math.round(await probe(fleet, server));
  return {
    already: !begun.sent,
    at: fleet.context.now(),
    summary: `the primary of ${side.instance} is in ${side.zone}, and took a write in ${probeMs} ms`,
    facts: { probeMs },
    promote: { region: to, node: side.name, timeline: number, forkPosition: null },
  };
}

/** Under the claim, and the record's lock. @returns since when RDS may be at it */
async function act(
  fleet: Fleet,
  old: Side,
  side: Side,
  { instance, record, save }: Held,
): Promise<{ sent: boolean; at: number }> {
  const token = tokenOf(fleet.context);
  const now = fleet.context.now();
  const { primary, standby, number } = placesOf(instance);
  if (primary === side.zone) return { sent: false, at: now };
  if (primary !== old.zone) {
    throw new RampartError(
      'Conflict',
      `the primary of ${instance.id} is in ${primary}, in neither ${old.zone} nor ${side.zone}`,
      {
        remedy: 'Correct the zones in the topology; RDS moves a standby when its zone is lost.',
      },
    );
  }
  // Whoever asked for it: on the way, or perhaps, and a second call would lead back.
  const { promote: note } = record;
  const { showsWithin } = fleet.config;
  const since = mayBegin(note, token.epoch, now, showsWithin) ? note.at : now;
  if (instance.status !== 'available') return { sent: false, at: since };
  if (note !== null && now - note.at < showsWithin) return { sent: false, at: since };
  if (!instance.multiAz || standby !== side.zone) {
    throw new RampartError(
      'PreconditionFailed',
      `the standby of ${instance.id} is ${standby === null ? 'nowhere' : `in ${standby}`}, not in ${side.zone}`,
      {
        remedy: 'Make the instance Multi-AZ, or correct the zones in the topology.',
      },
    );
  }
  const { epoch, runId, seq } = token;
  await save({ promote: { epoch, runId, seq, at: now, timeline: number }, zones: { number, zone: primary } });
  try {
    await send(fleet, side);
  } catch (error) {
    // Refused for certain: the note would keep the run from going back. What an earlier call may do stays noted.
    if (error instanceof RampartError)
      await save({ promote: note }).catch((failure: unknown) => {
        const why = asFailure(failure).message;
        fleet.context.log.warn(`that no failover of ${instance.id} was begun could not be noted`, { why });
      });
    throw error;
  }
  return { sent: true, at: now };
}

async function send(fleet: Fleet, side: Side): Promise<void> {
  const api = await apiOf(fleet, side, ZONE_CALLS);
  const { RebootDBInstanceCommand } = await commands();
  try {
    await api.call('RebootDBInstance', (client, options) =>
      client.send(new RebootDBInstanceCommand({ DBInstanceIdentifier: side.instance, ForceFailover: true }), options),
    );
  } catch (error) {
    const failure = asFailure(error);
    // Applied or not, or busy with one that came before: the looks tell.
    if (failure.details.maybeApplied !== true && failure.details.code !== 'InvalidDBInstanceStateFault') throw failure;
  }
}

async function finish(fleet: Fleet, side: Side, since: number): Promise<{ server: SqlServer }> {
  const { context, config } = fleet;
  let last = '';
  let event: string | null = null;
  const intervals = { intervalMs: config.poll, maxIntervalMs: config.poll * 5 };
  const done = await poll({ signal: context.signal, deadlineMs: config.promoteTimeout, ...intervals }, async () => {
    const reading = await readSide(fleet, side);
    if (reading.instance instanceof RampartError && reading.instance.type !== 'ProviderUnavailable')
      throw reading.instance;
    const zones: Zones | null = known(reading.instance) === null ? null : zonesOf(reading);
    const seen = zones === null ? 'RDS does not answer' : `${zones.instance.status}, primary in ${zones.primary}`;
    if (seen !== last) event = await milestone(fleet, side, since);
    last = seen;
    context.heartbeat({ node: side.name, doing: 'failing over', rds: last, event });
    const serves = known(reading.status)?.inRecovery === false && reading.server !== null;
    if (zones === null || zones.instance.status !== 'available' || !serves) return undefined;
    if (zones.primary === side.zone) return { server: reading.server! };
    if (context.now() - since <= config.showsWithin) return undefined;
    throw new RampartError(
      'NotApplied',
      `RDS shows nothing of a failover of ${side.instance}: it is available, with its primary in ${zones.primary}`,
      {
        remedy: 'The primary is where it was. Look at the events of the instance before another attempt.',
      },
    );
  });
  if (done !== undefined) return done;
  throw new RampartError('DeadlineExceeded', `the failover of ${side.instance} has not ended (${last})`, {
    remedy: 'Watch the events of the instance, and observe again when it is available.',
  });
}

/** What RDS says last of the failover; nothing depends on it. */
async function milestone(fleet: Fleet, side: Side, since: number): Promise<string | null> {
  const api = await apiOf(fleet, side, ZONE_CALLS);
  const { DescribeEventsCommand } = await commands();
  const input = { SourceIdentifier: side.instance, SourceType: 'db-instance' as const, StartTime: new Date(since) };
  const found = await api
    .call('DescribeEvents', (client, options) => client.send(new DescribeEventsCommand(input), options))
    .catch((error: unknown) => {
      fleet.context.log.warn('the events of the failover cannot be read', { why: asFailure(error).message });
      return { Events: [] };
    });
  return found.Events?.at(-1)?.Message ?? null;
}

/** Writes this call's token, so that a failover scheduled before it is refused, and says whether one may have begun. */
export async function revokePromote(fleet: Fleet, to: At): Promise<Receipt> {
  const token = tokenOf(fleet.context);
  const side = sideOf(fleet, to.region);
  const reasons = await withClaim(fleet, side, { systemId: null, timeline: null }, async ({ instance, record }) => {
    const { primary } = placesOf(instance);
    const note = record.promote;
    return [
      ...(mayBegin(note, token.epoch, fleet.context.now(), fleet.config.showsWithin)
        ? [`a failover was begun at ${new Date(note.at).toISOString()}`]
        : []),
      ...(primary === side.zone ? [`the primary is in ${primary} already`] : []),
      ...(instance.status === 'available' ? [] : [`${instance.id} is ${instance.status}`]),
    ];
  });
  const revoked = reasons.length === 0;
  const summary = revoked ? `no failover to ${to.region} has begun, and none can any more` : reasons.join('; ');
  return { already: false, at: fleet.context.now(), summary, facts: { revoked, reasons } };
}
