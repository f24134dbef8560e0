/** What is true of each side, from RDS and from its server. */
import { isSilence } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import type { At, Lag, NodeObservation, ReplicaFact } from '../ports.ts';
import { lagBehind, rememberPosition } from '../sql/lag.ts';
import { bytesBetween } from '../sql/lsn.ts';
import { addressOf, type SqlServer } from '../sql/server.ts';
import { readStatus, type ServerStatus } from '../sql/status.ts';
import { describeInstance } from './api.ts';
import { type Fleet, othersOf, type Side, sideOf } from './config.ts';
import { type Instance, instanceFrom, serverOf } from './instance.ts';
import { asFailure, known, readSide, type SideReading } from './reading.ts';
import { recordOf } from './record.ts';

/** Reads the side; never throws for one that cannot be read. */
export async function observe(fleet: Fleet, at: At): Promise<NodeObservation[]> {
  const side = sideOf(fleet, at.region);
  const asked = fleet.context.now();
  const reading = await readSide(fleet, side);
  const { fence } = reading;
  const result = withRecord(blank(side, asked), known(reading.instance));
  if (reading.status instanceof RampartError) withoutServer(result, reading, reading.status);
  else await withServer(fleet, side, result, reading.status, known(reading.instance));
  if (fence.strength === 'none' || !fence.formerPrimary) return [result];
  const { strength, final, durable, detail } = fence;
  return [
    {
      ...result,
      state: 'fenced',
      fence: { strength, finalPosition: final, durable },
      position: final ?? result.position,
      detail,
    },
  ];
}

/** One cheap reading for the sampler: no call to RDS once the address is known. */
export async function sample(fleet: Fleet, at: At): Promise<NodeObservation[]> {
  const side = sideOf(fleet, at.region);
  const result = blank(side, fleet.context.now());
  try {
    const server = await reachable(fleet, side);
    const status = await readStatus(fleet, server);
    if (!status.inRecovery) rememberPosition(fleet, status.systemId, status.position, result.observedAt);
    const { systemId, timeline, position, received } = status;
    const state = status.inRecovery ? ('replica' as const) : ('writable' as const);
    return [{ ...result, state, systemId, timeline, position, received, sync: status.inRecovery ? null : SYNC }];
  } catch (error) {
    const failure = asFailure(error);
    return [{ ...result, state: silentState(failure), detail: failure.message }];
  }
}

async function reachable(fleet: Fleet, side: Side): Promise<SqlServer> {
  const there = serverOf(fleet, side, null);
  if (there !== null) return there;
  const raw = await describeInstance(fleet, side);
  const server = raw === null ? null : serverOf(fleet, side, instanceFrom(raw));
  if (server !== null) return server;
  throw new RampartError('PreconditionFailed', `RDS knows no address of ${side.instance} in ${side.awsRegion}`, {
    remedy: 'Check `instance` and `awsRegion` of both sides: are they swapped?',
  });
}

/** Read replicas of RDS are asynchronous. Multi-AZ is synchronous below the server, and does not cross regions. */
const SYNC = { enabled: false, cancelledWaiters: 'none' as const };

function blank(side: Side, observedAt: number): NodeObservation {
  return {
    node: side.name,
    region: side.region,
    state: 'unknown',
    via: 'network',
    observedAt,
    systemId: null,
    timeline: null,
    position: null,
    received: null,
    upstream: null,
    lag: null,
    replicas: [],
    fence: null,
    sync: null,
    claim: null,
    journal: null,
    detail: '',
  };
}

function withRecord(result: NodeObservation, instance: Instance | null): NodeObservation {
  if (instance === null) return result;
  try {
    const { claim, journal } = recordOf(instance);
    return { ...result, claim, journal };
  } catch (error) {
    return { ...result, detail: `${asFailure(error).message}; ` };
  }
}

async function withServer(
  fleet: Fleet,
  side: Side,
  result: NodeObservation,
  status: ServerStatus,
  instance: Instance | null,
): Promise<void> {
  Object.assign(result, {
    systemId: status.systemId,
    timeline: status.timeline,
    position: status.position,
    received: status.received,
  });
  const said = instance === null ? 'RDS does not say' : `RDS says ${instance.status}`;
  if (!status.inRecovery) {
    rememberPosition(fleet, status.systemId, status.position, result.observedAt);
    result.state = 'writable';
    result.sync = SYNC;
    result.replicas = status.standbys.map((standby) => replicaFact(fleet, status, standby));
    const streaming = result.replicas.filter(({ state }) => state === 'streaming').length;
    result.detail += `writable on timeline ${status.timeline}, ${streaming} replicas streaming; ${said}`;
    return;
  }
  result.state = 'replica';
  const source = await sourceSide(fleet, side, status, instance);
  const streaming = status.receiver?.status === 'streaming';
  result.upstream = {
    address: source?.address ?? instance?.source ?? 'unknown',
    node: source?.side.name ?? null,
    streaming,
  };
  if (source?.server) result.lag = await lagBehind(fleet, serverOf(fleet, side, instance)!, source.server, status);
  result.detail += `in recovery, ${streaming ? 'streaming' : 'not streaming'} from ${result.upstream.address}; ${said}`;
}

interface Source {
  side: Side;
  server: SqlServer | null;
  address: string;
}

/** The side that a replica follows: as RDS says, or, while it does not answer, as the server's own settings say. */
export async function sourceSide(
  fleet: Fleet,
  side: Side,
  status: ServerStatus,
  instance: Instance | null,
): Promise<Source | null> {
  for (const other of othersOf(fleet, side)) {
    const server = await reachable(fleet, other).catch((error: unknown) => {
      asFailure(error);
      return null;
    });
    const { upstream } = status;
    const follows =
      instance === null
        ? server !== null && upstream?.host === server.host && upstream.port === server.port
        : names(instance.source, side, other);
    if (follows) return { side: other, server, address: server === null ? other.instance : addressOf(server) };
  }
  return null;
}

/** RDS names a source of the same region by identifier, and one of another region by ARN. */
function names(source: string | null, side: Side, other: Side): boolean {
  if (source === null) return false;
  if (side.awsRegion === other.awsRegion && source === other.instance) return true;
  return source.includes(`:rds:${other.awsRegion}:`) && source.endsWith(`:db:${other.instance}`);
}

function replicaFact(fleet: Fleet, status: ServerStatus, standby: ServerStatus['standbys'][number]): ReplicaFact {
  const now = fleet.context.now();
  const bytes =
    status.position === null || standby.replay === null
      ? null
      : Math.max(0, bytesBetween(status.position, standby.replay));
  const age = standby.replyAgeMs;
  const lag: Lag = {
    bytes,
    seconds: bytes === 0 ? 0 : null,
    measuredAt: now,
    freshnessMs: age ?? now,
    // A replica reports at least every ten seconds.
    fresh: age !== null && bytes !== null && age <= fleet.config.lagFreshness + 10_000,
  };
  return {
    node: standby.applicationName,
    state: standby.state ?? 'unknown',
    applied: standby.replay,
    lag,
    sync: 'async',
  };
}

function withoutServer(result: NodeObservation, { instance, server }: SideReading, failure: RampartError): void {
  const there = known(instance);
  if (there !== null && there.status === 'stopped') {
    result.state = 'stopped';
    result.detail += 'RDS says it is stopped; it is started again by itself after seven days, writable';
    return;
  }
  result.state = silentState(failure);
  const said =
    instance instanceof RampartError
      ? instance.message
      : there === null
        ? 'RDS knows no such instance'
        : `RDS says ${there.status}`;
  result.detail += server === null ? failure.message : `${failure.message}; ${said}`;
}

function silentState(failure: RampartError): 'unreachable' | 'unknown' {
  // 57P03: it is starting up or shutting down.
  return isSilence(failure) && failure.details.code !== '57P03' ? 'unreachable' : 'unknown';
}
