/**
 * Brings dials or weights to what is wanted. Regions that gain are turned first and those that lose afterwards, so that
 * at no moment everything is 0. Each change is sent once per attempt and after a look: a change whose answer was lost is
 * there at the next look, or is sent again. It counts when it is read back and the accelerator says DEPLOYED.
 */
import { AwsRefusal } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { DriverContext } from '../ports.ts';
import type { Accelerator, Reading } from './api.ts';
import type { AcceleratorConfig, Unit } from './config.ts';
import type { TurnRecord } from './record.ts';
import { unhealthyIn, valuesIn } from './state.ts';
import { sameValues, showValues, type Values } from './values.ts';

/** Answers that only say that something else is under way. */
const BUSY = new Set(['TransactionInProgressException', 'ConflictException']);

export interface Turning {
  component: string;
  units: readonly Unit[];
  before: Values;
  wanted: Values;
  record: TurnRecord;
  /** The weights that are wanted, for people. */
  shown: string;
}

/** @throws Conflict, AccessDenied, PreconditionFailed, ProviderUnavailable, NotApplied */
export async function turn(
  accelerator: Accelerator,
  config: AcceleratorConfig,
  turning: Turning,
  context: DriverContext,
): Promise<void> {
  const { component, units, wanted, shown } = turning;
  const accepted = new Set<string>();
  let last = 'nothing yet';
  let trouble: RampartError | undefined;

  const done = await poll(polling(config, context, config.deadline), async () => {
    try {
      const reading = await accelerator.read();
      const values = assertOurs(turning, reading);
      last = showValues(config.by, units, values) + (reading.deployed ? '' : ', still being deployed');
      context.heartbeat({ component, wanted: shown, observed: last });
      if (sameValues(values, wanted)) return reading.deployed || undefined;
      const next = nextOf(units, values, wanted);
      if (accepted.has(next.key)) return undefined;
      await accelerator.turn(next, wanted, reading);
      // By weight one call changes all of them.
      for (const { key } of config.by === 'weight' ? units : [next]) accepted.add(key);
      trouble = undefined;
    } catch (error) {
      if (!(error instanceof RampartError)) throw error;
      const busy = error instanceof AwsRefusal && BUSY.has(error.code);
      if (error.type !== 'ProviderUnavailable' && !busy) throw error;
      trouble = error;
    }
    return undefined;
  });
  if (done) return;
  const message = `${component}: wanted ${shown} (${showValues(config.by, units, wanted)}), observed after ${config.deadline} ms: ${last}`;
  if (trouble !== undefined) {
    throw new RampartError('ProviderUnavailable', `${message}; ${trouble.message}`, {
      remedy: trouble.remedy,
      details: trouble.details,
      cause: trouble,
    });
  }
  throw new RampartError('NotApplied', message, {
    remedy: 'It is looked at again by itself. See the accelerator in the console, and its events.',
    details: { wanted: shown },
  });
}

/** Gains before losses, the greatest first. */
function nextOf(units: readonly Unit[], values: Values, wanted: Values): Unit {
  const gain = ({ key }: Unit) => wanted[key]! - values[key]!;
  return [...units].filter((unit) => gain(unit) !== 0).sort((a, b) => gain(b) - gain(a))[0]!;
}

/**
 * Looked at before every change, because tags have no compare-and-set: the claim is still this attempt's, and nothing
 * says anything but what it said before or what is wanted.
 * @throws Conflict
 */
function assertOurs({ component, units, before, wanted, record, shown }: Turning, reading: Reading): Values {
  const { claim } = record;
  const stored = reading.record?.claim;
  if (stored?.epoch !== claim.epoch || stored.runId !== claim.runId || stored.seq !== claim.seq) {
    const holder = stored === undefined ? 'nobody' : `run ${stored.runId} (epoch ${stored.epoch}, step ${stored.seq})`;
    const message = `${component}: run ${claim.runId} (epoch ${claim.epoch}, step ${claim.seq}) lost its claim; ${holder} holds it`;
    throw new RampartError('Conflict', message, { remedy: 'Look at that run before anything else is started.' });
  }
  const values = valuesIn(units, reading);
  const other = units.find(({ key }) => values !== null && values[key] !== before[key] && values[key] !== wanted[key]);
  if (values === null || other !== undefined) {
    const found = values === null ? 'an endpoint group or endpoint is gone' : showValues('dial', units, values);
    throw new RampartError('Conflict', `${component}: wanted ${shown}, but somebody else changes it: ${found}`, {
      remedy: 'See who, then start again.',
    });
  }
  return values;
}

interface Waiting {
  component: string;
  units: readonly Unit[];
  regions: readonly string[];
  /** See {@link unhealthyIn}. */
  strict: boolean;
}

/**
 * Waits until Global Accelerator itself finds the regions healthy: it sends nothing to a group without a healthy
 * endpoint, and what the dials say would not be so.
 * @returns the reading that says so
 * @throws PreconditionFailed naming the endpoints
 */
export async function awaitHealth(
  accelerator: Accelerator,
  config: AcceleratorConfig,
  { component, units, regions, strict }: Waiting,
  context: DriverContext,
): Promise<Reading> {
  let last = '';
  const healthy = await poll(polling(config, context, config.healthWait), async () => {
    const reading = await accelerator.read();
    const problems = regions.flatMap((region) => {
      const problem = unhealthyIn(region, units, reading, strict);
      return problem === null ? [] : [`${region}: ${problem}`];
    });
    last = problems.join('; ');
    if (problems.length === 0) return reading;
    context.heartbeat({ component, waitingFor: 'health', observed: last });
    return undefined;
  });
  if (healthy !== undefined) return healthy;
  throw new RampartError('PreconditionFailed', `${component}: Global Accelerator does not find ${last}`, {
    remedy: 'It sends nothing there, whatever is turned. Bring the endpoints to health, or correct its health check.',
  });
}

function polling(config: AcceleratorConfig, { signal }: DriverContext, deadlineMs: number) {
  return { signal, deadlineMs, intervalMs: config.lookEvery, maxIntervalMs: config.lookEvery * 4 };
}
