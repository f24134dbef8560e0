/** Everything that can be learnt of one side: what RDS says of the instance, and what the server says of itself. */
import { type Doors, readDoors, readSuspended } from '../aws/sql/doors.ts';
import { RampartError } from '../errors.ts';
import type { FenceStrength, Position } from '../ports.ts';
import type { SqlServer } from '../sql/server.ts';
import { type QueryOptions, query } from '../sql/session.ts';
import { readStatus, type ServerStatus } from '../sql/status.ts';
import { describeInstance } from './api.ts';
import type { Fleet, Side } from './config.ts';
import { type Instance, instanceFrom, serverOf } from './instance.ts';

/** A fence by SQL, written into the control database of the server that it closed. */
export interface FenceRecord {
  component: string;
  /** The side it is about: the table is replicated. */
  region: string;
  epoch: number;
  runId: string;
  at: number;
  systemId: string;
  timeline: number;
  /** End of the log after the last session. */
  final: Position;
}

/** The row in `rampart.suspended` that holds a {@link FenceRecord}. */
export const FENCE = 'fence';

export interface SideReading {
  side: Side;
  /** `null` = RDS says that there is none of this name in the region. */
  instance: Instance | RampartError | null;
  /** `null` = nobody has told its address yet. */
  server: SqlServer | null;
  status: ServerStatus | RampartError;
  fence: FenceState;
}

export interface FenceState {
  strength: FenceStrength;
  /** False: its server did not tell, so that `none` proves nothing either way. */
  told: boolean;
  /** Last position it can ever have acknowledged; `null` = unknown. */
  final: Position | null;
  durable: boolean;
  /** A fence is on record and in force: it is the fenced side, not a replica of somebody. */
  formerPrimary: boolean;
  detail: string;
}

export interface ReadOptions extends QueryOptions {
  /** In the freeze, where only the server's word counts: RDS is asked only when nobody has told the address yet. */
  serverOnly?: boolean;
}

const NOT_ASKED = new RampartError('ProviderUnavailable', 'RDS was not asked');

/** Never throws for a side that cannot be read. The region's API and the server are asked beside each other. */
export async function readSide(fleet: Fleet, side: Side, options: ReadOptions = {}): Promise<SideReading> {
  const known = serverOf(fleet, side, null);
  const [instance, early] = await Promise.all([
    known !== null && options.serverOnly === true
      ? NOT_ASKED
      : describeInstance(fleet, side).then((raw) => (raw === null ? null : instanceFrom(raw)), asFailure),
    known === null ? null : readStatus(fleet, known, options).catch(asFailure),
  ]);
  const server = serverOf(fleet, side, instance instanceof RampartError ? null : instance);
  const same = server !== null && known !== null && server.host === known.host && server.port === known.port;
  const status =
    server === null
      ? noAddress(side, instance)
      : same && early !== null
        ? early
        : await readStatus(fleet, server, options).catch(asFailure);
  return { side, instance, server, status, fence: await fenceOf(fleet, side, server, status) };
}

function noAddress(side: Side, instance: Instance | RampartError | null): RampartError {
  if (instance instanceof RampartError) return instance;
  const why =
    instance === null ? `RDS knows no instance ${side.instance} in ${side.awsRegion}` : `it is ${instance.status}`;
  return new RampartError(
    instance === null ? 'PreconditionFailed' : 'ProviderUnavailable',
    `${side.name} has no address: ${why}`,
    {
      remedy:
        'Check `instance` and `awsRegion` of both sides: are they swapped? State `host` to reach the server without RDS.',
    },
  );
}

/** Whether the side is fenced, by what its server says. Unknown is not fenced. */
export async function fenceOf(
  fleet: Fleet,
  side: Side,
  server: SqlServer | null,
  status: ServerStatus | RampartError,
): Promise<FenceState> {
  if (server === null || status instanceof RampartError) return none('its server cannot be asked', false);
  if (status.inRecovery) {
    const detail = 'in recovery, as its own server says';
    return { strength: 'sessions', told: true, final: null, durable: false, formerPrimary: false, detail };
  }
  const record = await readFence(fleet, server).catch(asFailure);
  if (record instanceof RampartError) return none(record.message, false);
  if (record === null || !isAbout(record, fleet, side, status)) return none('writable');
  const doors = await readDoors(fleet, server).catch(asFailure);
  return doors instanceof RampartError ? none(doors.message, false) : judged(record, doors);
}

/** A record of another side came with the data, one of an older timeline is of the past. */
export function isAbout(record: FenceRecord, fleet: Fleet, side: Side, status: ServerStatus): boolean {
  return (
    record.component === fleet.component &&
    record.region === side.region &&
    record.systemId === status.systemId &&
    record.timeline === status.timeline
  );
}

function judged(record: FenceRecord, doors: Doors): FenceState {
  if (doors.open.length > 0) return none(`writable: ${doors.open[0]} can log in again`);
  if (doors.sessions > 0) return none(`writable: ${doors.sessions} sessions are open`);
  const detail = `fenced: nobody can log in to the service's databases and no session is left; last position ${record.final.text}`;
  return { strength: 'sessions', told: true, final: record.final, durable: true, formerPrimary: true, detail };
}

const none = (detail: string, told = true): FenceState => ({
  strength: 'none',
  told,
  final: null,
  durable: false,
  formerPrimary: false,
  detail,
});

export async function readFence(fleet: Fleet, server: SqlServer): Promise<FenceRecord | null> {
  const value = await readSuspended(fleet, server, FENCE);
  return value === null ? null : (JSON.parse(value) as FenceRecord);
}

/** The error itself where a failure is an answer; anything unexpected is thrown on. */
export function asFailure(error: unknown): RampartError {
  if (error instanceof RampartError) return error;
  throw error;
}

export const known = <T>(value: T | RampartError | null): T | null => (value instanceof RampartError ? null : value);

/** The side's server and its word on itself. @throws the reading's failure */
export async function ask(
  fleet: Fleet,
  side: Side,
  options: QueryOptions = {},
): Promise<SideReading & { server: SqlServer; status: ServerStatus }> {
  const reading = await readSide(fleet, side, options);
  const { server, status } = reading;
  if (status instanceof RampartError) throw status;
  if (server === null) throw noAddress(side, reading.instance);
  return { ...reading, server, status };
}

/** Forgets a fence that is over. */
export async function clearFence(fleet: Fleet, server: SqlServer): Promise<void> {
  if ((await readSuspended(fleet, server, FENCE)) === null) return;
  await query(fleet, server, 'DELETE FROM rampart.suspended WHERE name = $1', [FENCE]);
}

/** The side's instance. @throws ProviderUnavailable, AccessDenied; PreconditionFailed when there is none */
export function instanceOf({ side, instance }: SideReading): Instance {
  if (instance instanceof RampartError) throw instance;
  if (instance === null) throw noAddress(side, null);
  return instance;
}
