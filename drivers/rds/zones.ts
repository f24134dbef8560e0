/** A Multi-AZ instance as two sides: which zone its primary is in, by what RDS says. */
import { isSilence } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import type { At, FenceReceipt, Millis, NodeObservation, Position } from '../ports.ts';
import type { ServerStatus } from '../sql/status.ts';
import { type Fleet, othersOf, type Side, sideOf } from './config.ts';
import type { Instance } from './instance.ts';
import { asFailure, instanceOf, known, readSide, type SideReading } from './reading.ts';
import { recordOf, type SideRecord } from './record.ts';

export interface Zones {
  reading: SideReading;
  instance: Instance;
  record: SideRecord;
  primary: string;
  standby: string | null;
  /** Stands for the timeline: how often the primary has moved, as far as runs have seen. */
  number: number;
}

/** @throws what RDS failed with; PreconditionFailed when there is no such instance */
export function zonesOf(reading: SideReading): Zones {
  const instance = instanceOf(reading);
  return { reading, ...placesOf(instance), instance, record: recordOf(instance) };
}

/** A primary that is not where the count last saw it has moved once more, by itself or by somebody else. */
export function placesOf(instance: Instance): Pick<Zones, 'primary' | 'standby' | 'number'> {
  const primary = instance.raw.AvailabilityZone ?? '';
  const last = recordOf(instance).zones;
  const number = last === null ? 1 : last.zone === primary ? last.number : last.number + 1;
  return { primary, standby: instance.raw.SecondaryAvailabilityZone || null, number };
}

/** Between two looks for the sampler, in milliseconds: RDS limits the requests of an account, which everybody shares. */
const SAMPLE_EVERY_MS = 10_000;
const sampled = new Map<string, { at: Millis; seen: Promise<NodeObservation[]> }>();

/** A reading at most 10 s old, with its time. Only RDS knows where the primary is, so it is asked for each of them. */
export function sample(fleet: Fleet, at: At): Promise<NodeObservation[]> {
  const { awsRegion, instance, endpoint = '' } = sideOf(fleet, at.region);
  const key = [fleet.component, awsRegion, endpoint, instance, at.region].join(' ');
  const now = fleet.context.now();
  const last = sampled.get(key);
  if (last !== undefined && now - last.at < SAMPLE_EVERY_MS) return last.seen;
  const seen = observe(fleet, at);
  sampled.set(key, { at: now, seen });
  seen.catch(() => sampled.delete(key));
  return seen;
}

/** Reads one side; never throws for one that cannot be read. */
export async function observe(fleet: Fleet, at: At): Promise<NodeObservation[]> {
  const side = sideOf(fleet, at.region);
  const now = fleet.context.now();
  const reading = await readSide(fleet, side);
  const result: NodeObservation = {
    ...{ node: side.name, region: side.region, state: 'unknown', via: 'network', observedAt: now },
    ...{ systemId: null, timeline: null, position: null, received: null, upstream: null, lag: null, replicas: [] },
    ...{ fence: null, sync: null, claim: null, journal: null, detail: '' },
  };
  try {
    return [told(fleet, side, result, zonesOf(reading))];
  } catch (error) {
    const failure = asFailure(error);
    return [{ ...result, state: isSilence(failure) ? 'unreachable' : 'unknown', detail: failure.message }];
  }
}

function told(fleet: Fleet, side: Side, result: NodeObservation, zones: Zones): NodeObservation {
  const { reading, instance, record, primary, standby, number } = zones;
  const { status } = reading;
  const base = { ...result, claim: record.claim, journal: record.journal };
  const said = `RDS says ${instance.status}, primary in ${primary}, standby ${standby === null ? 'none' : `in ${standby}`}`;
  if (status instanceof RampartError) {
    const silent = status.type === 'ProviderUnavailable' && status.details.code !== '57P03';
    return { ...base, state: silent ? 'unreachable' : 'unknown', detail: `${status.message}; ${said}` };
  }
  const seen = {
    ...base,
    systemId: status.systemId,
    timeline: number,
    position: positionOf(status, number),
    detail: said,
  };
  if (status.inRecovery) return { ...seen, detail: `it is a read replica; ${said}` };
  const sync = { enabled: true, cancelledWaiters: 'none' as const };
  if (side.zone === primary) return { ...seen, state: 'writable', sync };
  if (side.zone !== standby) return { ...seen, position: null, detail: `nothing of it is in ${side.zone}; ${said}` };
  const now = fleet.context.now();
  const [other] = othersOf(fleet, side);
  return {
    ...seen,
    state: 'replica',
    received: seen.position,
    upstream: { address: primary, node: other?.name ?? null, streaming: true },
    // Below the server, and before a commit is acknowledged.
    lag: { bytes: 0, seconds: 0, measuredAt: now, freshnessMs: 0, fresh: true },
    detail: `the standby, which replicates synchronously and cannot be asked; ${said}`,
  };
}

const positionOf = ({ position }: ServerStatus, timeline: number): Position | null =>
  position === null ? null : { ...position, timeline };

/** Whether RDS says that the primary is elsewhere: an instance has one, whatever runs in the other zone. */
export async function prove(fleet: Fleet, at: At): Promise<FenceReceipt> {
  const side = sideOf(fleet, at.region);
  const reading = await readSide(fleet, side);
  const zones = zonesOf(reading);
  const now = fleet.context.now();
  const elsewhere = zones.primary !== side.zone && zones.instance.status === 'available';
  return {
    already: true,
    at: now,
    summary: `${side.name}: RDS says that the primary is in ${zones.primary}`,
    facts: { asked: true },
    fence: {
      region: at.region,
      cannotWrite: elsewhere ? 'provider' : 'none',
      finalPosition: null,
      durable: elsewhere,
      systemId: known(reading.status)?.systemId ?? null,
      timeline: zones.number,
      epoch: zones.record.claim?.epoch ?? 0,
      needsRewind: false,
      provenAt: now,
    },
  };
}
