/**
 * A workload that is a number of equal units behind a load balancer: tasks of a service, machines of a group.
 * Its state is what the provider shows: without units it is drained; with units it is active, or standby where that was
 * asked for. No provider can say that running units write nothing: see `quiesce` in config.ts.
 */
import type { Component } from '../../../topology/model.ts';
import { clock } from '../../clock.ts';
import { RampartError } from '../../errors.ts';
import { poll } from '../../poll.ts';
import type { DriverContext, Receipt, Workload, WorkloadState } from '../../ports.ts';
import type { Backend, Reading, Size } from './backend.ts';
import type { CapacityConfig } from './config.ts';
import { capacityFindings } from './findings.ts';
import { emptied, type Goal, keptRunning, readSaved, restored, sameSize, scaled, stateOf } from './size.ts';
import { BEFORE_TAG, beforeText, CLAIM_TAG, claimText, readBefore, readClaim, refuseStale, STATE_TAG } from './tags.ts';
import { wantedUnits } from './wanted.ts';

/** A change that is not shown after this long, in milliseconds, was not made: reads lag behind by seconds. */
const CONFIRM_MS = 20_000;
const HEARTBEAT_EVERY_MS = 2_000;

export interface CapacityOptions {
  component: Component;
  context: DriverContext;
  config: CapacityConfig;
  /** @param timeoutMs longest wait for one answer */
  open(region: string, timeoutMs: number): Promise<Backend>;
  /** Units that the topology asks for, by region; `null` = as many as the other sides run. */
  wanted(region: string): number | null;
  /** Units that standby keeps at least, by region. */
  floor(region: string): number;
  /** Shell commands that give it the size (`null`: only look), without loading any SDK. */
  commands(region: string, size: Size | null): string[];
}

interface Wait {
  deadlineMs: number;
  /** What is still missing, for people; empty when it is there. */
  missing(reading: Reading): string | Promise<string>;
}

export function capacityWorkload(options: CapacityOptions): Workload {
  const { component, context, config } = options;
  const { signal } = context;

  const open = (region: string): Promise<Backend> => {
    if (component.sides[region] === undefined) {
      const remedy = `Its regions are ${Object.keys(component.sides).join(', ')}.`;
      throw new RampartError('InvalidInput', `${component.name} has nothing in ${region}`, { remedy });
    }
    return options.open(region, config.timeout);
  };
  const place = (region: string) => `${component.name} in ${region}`;

  async function bring(
    region: string,
    backend: Backend,
    goalOf: (reading: Reading) => Goal | Promise<Goal>,
    wait: (goal: Goal) => Wait,
  ): Promise<Receipt> {
    const before = await backend.read();
    refuseStale(before.tags, context, place(region));
    const goal = await goalOf(before);
    const { deadlineMs, missing } = wait(goal);
    const already =
      sameSize(before.size, goal.size) &&
      stateOf(before, config.quiesce) === goal.mark &&
      (await missing(before)) === '';
    let reading = before;
    const tags = changedTags(before, goal);
    if (Object.keys(tags).length > 0) {
      await backend.tag(tags);
      reading = await confirm(
        backend,
        (now) => Object.entries(tags).every(([key, value]) => now.tags[key] === (value ?? undefined)),
        'its tags',
        region,
      );
    }
    if (!sameSize(reading.size, goal.size)) {
      await refuseObstacle(backend, reading.size, goal.size, region);
      await backend.resize(reading.size, goal.size);
      reading = await confirm(
        backend,
        (now) => sameSize(now.size, goal.size),
        `the size ${show(goal.size, backend)}`,
        region,
      );
    }
    if (!already && (await missing(reading)) !== '') reading = await arrive(region, backend, goal, deadlineMs, missing);
    const state = stateOf(reading, config.quiesce);
    const words = `${place(region)} ${already ? 'was already' : 'is'} ${state}: ${describe(reading, backend)}`;
    return {
      already,
      at: context.now(),
      summary: goal.kept === '' ? words : `${words}. ${goal.kept}`,
      facts: { state, inflight: null, before: { ...before.size }, ...factsOf(reading), kept: goal.kept },
    };
  }

  /** Tags that are not as they shall be. */
  function changedTags({ tags, size }: Reading, goal: Goal): Record<string, string | null> {
    const { token } = context;
    const wanted: Record<string, string | null> = {
      ...(token === undefined ? {} : { [CLAIM_TAG]: claimText(token) }),
      // Active is what a service is without a word about it.
      [STATE_TAG]: goal.mark === 'active' ? null : goal.mark,
      [BEFORE_TAG]: goal.before === null ? null : beforeText(goal.before, size, goal.size),
    };
    return Object.fromEntries(Object.entries(wanted).filter(([key, value]) => (tags[key] ?? null) !== value));
  }

  /** Reads until the change shows, and that nobody else has claimed it meanwhile. */
  async function confirm(
    backend: Backend,
    shows: (reading: Reading) => boolean,
    what: string,
    region: string,
  ): Promise<Reading> {
    const deadlineMs = Math.min(CONFIRM_MS, config.deadline);
    const seen = await poll({ signal, deadlineMs, intervalMs: Math.min(config.poll, 1_000) }, async () => {
      const reading = await backend.read();
      refuseStale(reading.tags, context, place(region));
      return shows(reading) ? reading : undefined;
    });
    if (seen !== undefined) return seen;
    const message = `${place(region)}: ${backend.name} took ${what} and does not show it after ${deadlineMs} ms`;
    throw new RampartError('NotApplied', message, { remedy: 'It is sent again. See who else changes it.' });
  }

  async function refuseObstacle(backend: Backend, now: Size, to: Size, region: string): Promise<void> {
    if (now.desired === to.desired) return;
    const obstacle = await backend.obstacle(to.desired > now.desired ? 'up' : 'down');
    if (obstacle === '') return;
    throw new RampartError('PreconditionFailed', `${place(region)} stays as it is: ${obstacle}`, {
      remedy: 'Whoever did that had a reason: ask, take it back, and go on.',
    });
  }

  /** Waits until nothing is missing, and that nobody takes the size away meanwhile. */
  async function arrive(
    region: string,
    backend: Backend,
    goal: Goal,
    deadlineMs: number,
    missing: Wait['missing'],
  ): Promise<Reading> {
    let lack = '';
    let heartbeatAt = 0;
    const polling = { signal, deadlineMs, intervalMs: Math.min(config.poll, 1_000), maxIntervalMs: config.poll };
    const arrived = await poll(polling, async () => {
      const reading = await backend.read();
      refuseStale(reading.tags, context, place(region));
      const { desired } = reading.size;
      // An autoscaling that adds units is no conflict.
      if (goal.mark === 'active' ? desired < goal.size.desired : goal.size.desired === 0 && desired > 0) {
        const message = `${place(region)}: somebody changed ${backend.name} to ${desired} ${backend.unit}, and it was to be ${goal.size.desired}`;
        throw new RampartError('Conflict', message, { remedy: 'Find out who (or which automation) did, then retry.' });
      }
      lack = await missing(reading);
      if (lack === '') return reading;
      if (clock.monotonic() >= heartbeatAt) {
        heartbeatAt = clock.monotonic() + HEARTBEAT_EVERY_MS;
        const provider = await backend.progress();
        context.heartbeat({ component: component.name, region, observed: lack, provider });
      }
      return undefined;
    });
    if (arrived !== undefined) return arrived;
    const said = await backend.progress();
    const message = `${place(region)} is not ${goal.mark} after ${deadlineMs} ms: ${lack}${said === '' ? '' : `. The provider says: ${said}`}`;
    throw new RampartError('DeadlineExceeded', message, {
      remedy: 'See the events of the service; when it only needs longer, raise `deadline` or `drainDeadline`.',
    });
  }

  /** `null`: nobody says, and will not by being asked again. An undo goes on without it: nothing is taken away then. */
  async function cpuOf(backend: Backend, region: string): Promise<number | null> {
    try {
      return await backend.cpu();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof RampartError) || error.type === 'ProviderUnavailable') throw error;
      context.log.warn('the load of a region is not known', { region, error: error.message });
      return null;
    }
  }

  const nothingMissing = (): Wait => ({ deadlineMs: config.deadline, missing: () => '' });
  const untilEmpty = ({ unit }: Backend): Wait => ({
    deadlineMs: config.drainDeadline,
    missing: ({ left, size }) => (left > 0 || size.desired > 0 ? `${left} ${unit} still running or stopping` : ''),
  });

  return {
    async observe(region) {
      const observation = { region, inflight: null, observedAt: context.now() };
      try {
        const backend = await open(region);
        const reading = await backend.read();
        const { size, present, troubles, tags } = reading;
        return {
          ...observation,
          reachable: true,
          state: stateOf(reading, config.quiesce),
          ready: size.desired === 0 ? null : present >= size.desired,
          capacity: { present, wanted: size.desired },
          observedAt: context.now(),
          detail: [describe(reading, backend), ...troubles].join('; '),
          claim: readClaim(tags, context.now()),
        };
      } catch (error) {
        if (!(error instanceof RampartError) || error.type === 'InvalidInput') throw error;
        const reachable = error.type !== 'ProviderUnavailable';
        return { ...observation, reachable, state: 'unknown', ready: null, capacity: null, detail: error.message };
      }
    },

    preflight: (mode, from, to) => capacityFindings(options, { mode, from, to }),

    async save(region) {
      const backend = await open(region);
      const reading = await backend.read();
      const { size, tags } = reading;
      const before = readBefore(tags, size);
      const facts = { size: { ...size }, state: stateOf(reading, config.quiesce), before: before && { ...before } };
      return { already: true, at: context.now(), summary: `${place(region)}: ${describe(reading, backend)}`, facts };
    },

    async scale(region, { wait } = { wait: true }) {
      const backend = await open(region);
      const wanted = await wantedUnits(region, options);
      return bring(
        region,
        backend,
        (reading) => scaled(reading, wanted, wait, place(region)),
        (goal) =>
          wait
            ? { deadlineMs: config.deadline, missing: (reading) => tooFew(backend, reading, goal) }
            : nothingMissing(),
      );
    },

    async quiesce(region) {
      const backend = await open(region);
      if (config.quiesce === 'stop')
        return bring(
          region,
          backend,
          (reading) => emptied(reading, 'standby'),
          () => untilEmpty(backend),
        );
      return bring(region, backend, (reading) => keptRunning(reading, options.floor(region)), nothingMissing);
    },

    async drain(region) {
      const backend = await open(region);
      return bring(
        region,
        backend,
        (reading) => emptied(reading, 'drained'),
        () => untilEmpty(backend),
      );
    },

    async restore(region, saved) {
      const was = readSaved(saved, place(region));
      const backend = await open(region);
      const goalOf = async (reading: Reading) => {
        const smaller = was.size.desired < reading.size.desired && was.state !== 'drained';
        return restored(reading, was, smaller ? await cpuOf(backend, region) : null, config.cpu);
      };
      const empties = was.state === 'drained' || (was.state === 'standby' && config.quiesce === 'stop');
      return bring(region, backend, goalOf, () => (empties ? untilEmpty(backend) : nothingMissing()));
    },

    async escape(region, state: WorkloadState) {
      const wanted = Math.max(1, options.wanted(region) ?? 1, options.floor(region));
      const look = options.commands(region, null);
      if (state === 'unknown' || (state === 'standby' && config.quiesce === 'keep')) return look;
      const size = state === 'active' ? { min: wanted, max: null, desired: wanted } : { min: 0, max: 0, desired: 0 };
      return [...options.commands(region, size), ...look];
    },
  };

  async function tooFew(backend: Backend, { present, size, troubles }: Reading, goal: Goal): Promise<string> {
    const target = Math.max(goal.size.desired, size.desired);
    if (present >= target) return backend.notYet();
    return [`${present} of ${target} ${backend.unit} can serve`, ...troubles].join('; ');
  }
}

function describe({ size, present, left }: Reading, { unit }: Pick<Backend, 'unit'>): string {
  const bounds = size.min === null ? '' : ` (bounds ${size.min} to ${size.max})`;
  const stopping = left > Math.max(present, size.desired) ? `, ${left} not ended yet` : '';
  return `${present} of ${size.desired} ${unit}${bounds}${stopping}`;
}

function show(size: Size, { unit }: Backend): string {
  return `${size.desired} ${unit}${size.min === null ? '' : ` within ${size.min} to ${size.max}`}`;
}

function factsOf({ size, present }: Reading) {
  return { size: { ...size }, capacity: { present, wanted: size.desired } };
}
