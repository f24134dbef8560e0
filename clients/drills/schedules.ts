/** Drills of the topology as Temporal Schedules: what they should be, what they are, and making the one the other. */
import { createHash } from 'node:crypto';
import { type ScheduleDescription, ScheduleNotFoundError, type ScheduleOptions } from '@temporalio/client';
import { canonicalJson } from '../../topology/canonical.ts';
import type { Drill } from '../../topology/drill.ts';
import type { Topology } from '../../topology/model.ts';
import { CONTROL_QUEUE, drillSchedule, scheduledDrillId } from '../../workflows/contract.ts';
import { inTime } from '../ask.ts';
import type { Temporal } from '../connection.ts';

/** A drill that could not begin in time is not made up for at another hour. */
const CATCH_UP = '10 minutes';
/** Longest wait for a list of schedules, in milliseconds. */
const LIST_MS = 10_000;
const PREFIX = drillSchedule('');

/**
 * `same`: as the topology has it. `missing`: not there. `changed`: the topology has changed since the last sync.
 * `edited`: somebody has changed the schedule itself. `deleted`: the topology has no such drill any more.
 */
export type Drift = 'same' | 'missing' | 'changed' | 'edited' | 'deleted';

export interface Schedule {
  name: string;
  drift: Drift;
  /** `null` when it is missing. */
  paused: boolean | null;
  /** Why it is paused, by whom; empty when nobody said. */
  note: string;
  /** When Temporal will start it, milliseconds since the epoch. */
  next: number[];
  createdAt: number | null;
}

interface Wanted extends Pick<ScheduleOptions, 'spec' | 'policies'> {
  args: [{ drill: string }];
  digest: string;
}

/** The schedule of a drill. How it is played is read from the topology when it is due, and is no part of it. */
function wanted({ name, crons, timeZone }: Drill): Wanted {
  const spec = { cronExpressions: crons, timezone: timeZone };
  const policies = { overlap: 'SKIP', catchupWindow: CATCH_UP, pauseOnFailure: false } as const;
  const args: Wanted['args'] = [{ drill: name }];
  return { spec, policies, args, digest: hash({ spec, policies, args }) };
}

/** Memo of every run that a schedule, or a person, starts for a drill: lists tell them apart by it. */
export const memoOf = ({ name, service, kind }: Drill) => ({ drill: name, service, kind });

function actionOf(drill: Drill, { args, digest }: Wanted, seen: string) {
  return {
    type: 'startWorkflow' as const,
    workflowType: 'scheduledDrill',
    workflowId: scheduledDrillId(drill.name),
    taskQueue: CONTROL_QUEUE,
    args,
    staticSummary: `drill ${drill.name} of ${drill.service}`.slice(0, 190),
    memo: { ...memoOf(drill), digest, seen },
  };
}

/** How every drill's schedule stands, those of drills that are gone last. */
export async function schedulesOf(temporal: Temporal, { drills }: Pick<Topology, 'drills'>): Promise<Schedule[]> {
  const there = await Promise.all(
    Object.values(drills).map(async (drill) => scheduleOf(drill, await describe(temporal, drill.name))),
  );
  const names = (await namesIn(temporal)).filter((name) => drills[name] === undefined);
  const gone = await Promise.all(
    names.map(async (name): Promise<Schedule[]> => {
      const found = await describe(temporal, name);
      return found === null ? [] : [{ name, drift: 'deleted', ...stateOf(found) }];
    }),
  );
  return [...there, ...gone.flat()];
}

function scheduleOf(drill: Drill, found: ScheduleDescription | null): Schedule {
  const { name } = drill;
  if (found === null) return { name, drift: 'missing', paused: null, note: '', next: [], createdAt: null };
  const { digest, seen } = (found.action.memo ?? {}) as { digest?: unknown; seen?: unknown };
  const drift = digest !== wanted(drill).digest ? 'changed' : seen !== fingerprint(found) ? 'edited' : 'same';
  return { name, drift, ...stateOf(found) };
}

const stateOf = ({ state, info }: ScheduleDescription) => ({
  paused: state.paused,
  note: state.note ?? '',
  next: info.nextActionTimes.map((at) => at.getTime()),
  createdAt: info.createdAt.getTime(),
});

/** What the server made of it, so that a change by hand is seen whatever was changed. */
function fingerprint({ spec, policies, action }: ScheduleDescription): string {
  const { workflowType, taskQueue, args, workflowId } = action;
  return hash({ spec, policies, action: { workflowType, taskQueue, args, workflowId } });
}

/** @param value dates and absent fields are told as JSON tells them */
const hash = (value: object): string =>
  createHash('sha256')
    .update(canonicalJson(JSON.parse(JSON.stringify(value))))
    .digest('hex');

async function namesIn(temporal: Temporal): Promise<string[]> {
  return inTime(
    temporal,
    async () => {
      const names: string[] = [];
      for await (const { scheduleId } of temporal.client.schedule.list())
        if (scheduleId.startsWith(PREFIX)) names.push(scheduleId.slice(PREFIX.length));
      return names.sort();
    },
    LIST_MS,
  );
}

async function describe(temporal: Temporal, name: string): Promise<ScheduleDescription | null> {
  try {
    return await inTime(temporal, () => temporal.client.schedule.getHandle(drillSchedule(name)).describe());
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return null;
    throw error;
  }
}

/**
 * Creates, changes or deletes one schedule; safe to repeat. One that is paused stays paused.
 * @param drill `undefined` where the topology has it no more
 */
export async function putRight(temporal: Temporal, { name, drift }: Schedule, drill: Drill | undefined): Promise<void> {
  const handle = temporal.client.schedule.getHandle(drillSchedule(name));
  if (drill === undefined) {
    await inTime(temporal, () => handle.delete());
    return;
  }
  const want = wanted(drill);
  const { spec, policies } = want;
  if (drift === 'missing') {
    const action = actionOf(drill, want, '');
    await inTime(temporal, () =>
      temporal.client.schedule.create({ scheduleId: drillSchedule(name), spec, policies: policies!, action }),
    );
  } else await write(temporal, drill, want, '');
  // What the server made of it is known only now.
  await write(temporal, drill, want, fingerprint(await inTime(temporal, () => handle.describe())));
}

function write(temporal: Temporal, drill: Drill, want: Wanted, seen: string): Promise<void> {
  const { spec, policies } = want;
  return inTime(temporal, () =>
    temporal.client.schedule
      .getHandle(drillSchedule(drill.name))
      .update(({ state }) => ({ spec, policies: policies!, action: actionOf(drill, want, seen), state })),
  );
}

/** Pauses or resumes; a note tells people why. @throws ScheduleNotFoundError when it was never synced */
export function setPaused(temporal: Temporal, name: string, paused: boolean, note: string): Promise<void> {
  const handle = temporal.client.schedule.getHandle(drillSchedule(name));
  return inTime(temporal, () => (paused ? handle.pause(note) : handle.unpause(note)));
}
