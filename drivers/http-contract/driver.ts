/**
 * Any service that answers `GET` with its state and takes `PUT {"desired": …}`, as docs/http-contract.md describes.
 * A region's instances are driven together; a region's state is known only when all of them show the same.
 */
import type { Component } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type {
  Claim,
  Driver,
  DriverContext,
  Json,
  Receipt,
  Workload,
  WorkloadObservation,
  WorkloadState,
} from '../ports.ts';
import { type ContractClient, contractClient, type DesiredState, type NodeReading } from './client.ts';
import { type ContractConfig, type ContractNode, configSchema, contractUrl, nodeSchema } from './config.ts';

const HEARTBEAT_EVERY_MS = 500;
const DESIRED: readonly string[] = ['active', 'standby', 'drained'];

export const httpContract: Driver<'workload'> = {
  type: 'http-contract',
  role: 'workload',
  summary: 'Any service with the small HTTP contract: active, standby, drained',
  config: configSchema,
  node: nodeSchema,
  secrets: ['token'],
  capabilities: () => ({ role: 'workload', verify: 'readback' }),
  local: () => false,
  open: openContract,
};

interface Instance {
  name: string;
  /** Units wanted, by the topology. */
  capacity: number | null;
  client: ContractClient;
}

type Reading = NodeReading | RampartError;

function openContract(component: Component, context: DriverContext): Workload {
  const config = component.config as unknown as ContractConfig;

  async function instancesOf(region: string): Promise<Instance[]> {
    const nodes = component.sides[region]?.nodes ?? [];
    if (nodes.length === 0) {
      const remedy = `Its regions are ${Object.keys(component.sides).join(', ')}.`;
      throw new RampartError('InvalidInput', `${component.name} has nothing in ${region}`, { remedy });
    }
    return Promise.all(
      nodes.map(async ({ name, config: raw }) => {
        const node = raw as unknown as ContractNode;
        return { name, capacity: node.capacity ?? null, client: await contractClient(config, node, context) };
      }),
    );
  }

  /** One reading of every instance; an error that is an answer (or the lack of one) is a reading, too. */
  async function read(instances: Instance[]): Promise<Reading[]> {
    return Promise.all(
      instances.map(({ client }) =>
        client.get().catch((error: unknown) => {
          if (error instanceof RampartError) return error;
          throw error;
        }),
      ),
    );
  }

  function summarise(region: string, instances: Instance[], readings: Reading[]): WorkloadObservation {
    const known = readings.filter((reading): reading is NodeReading => !(reading instanceof RampartError));
    const states = new Set(known.map(({ state }) => state));
    const complete = known.length === readings.length;
    const state = complete && states.size === 1 ? known[0]!.state : 'unknown';
    const capacities = known.map(({ capacity }) => capacity).filter((capacity) => capacity !== null);
    const inflights = known.map(({ inflight }) => inflight).filter((inflight) => inflight !== null);
    const ready = known.some((reading) => reading.ready === false)
      ? false
      : complete && known.every((reading) => reading.ready === true)
        ? true
        : null;
    return {
      region,
      reachable: !readings.some((reading) => reading instanceof RampartError && reading.type === 'ProviderUnavailable'),
      state,
      ready,
      inflight: inflights.length === readings.length ? sum(inflights) : null,
      capacity:
        capacities.length === readings.length
          ? { present: sum(capacities.map((c) => c.present)), wanted: sum(capacities.map((c) => c.wanted)) }
          : null,
      observedAt: context.now(),
      detail: describe(instances, readings),
      claim: greatestClaim(known, context.now()),
    };
  }

  /** Sends the state to every instance and looks until all of them show it and nothing is `missing`. */
  async function bring(
    region: string,
    targets: Array<{ instance: Instance; desired: DesiredState; capacity: number | null }>,
    deadlineMs: number,
    missing: (target: { desired: DesiredState; capacity: number | null }, reading: NodeReading) => string,
  ): Promise<Receipt> {
    const instances = targets.map(({ instance }) => instance);
    const unmet = (readings: Reading[]) =>
      targets.filter((target, index) => {
        const reading = readings[index]!;
        return reading instanceof RampartError || missing(target, reading) !== '';
      });
    const before = await read(instances);
    const open = unmet(before);
    // With a token also an instance that is there already is told, so that it can refuse an older attempt later.
    const told = context.token === undefined ? open : targets;
    await Promise.all(told.map(({ instance, desired, capacity }) => instance.client.put(desired, capacity)));

    let last = before;
    let heartbeatAt = 0;
    const polling = { signal: context.signal, deadlineMs, intervalMs: 5, maxIntervalMs: 250 };
    const done =
      open.length === 0 ||
      (await poll(polling, async () => {
        last = await read(instances);
        const denied = last.find(
          (reading) => reading instanceof RampartError && reading.type !== 'ProviderUnavailable',
        );
        if (denied) throw denied;
        if (unmet(last).length === 0) return true;
        if (performance.now() > heartbeatAt) {
          heartbeatAt = performance.now() + HEARTBEAT_EVERY_MS;
          context.heartbeat({ component: component.name, region, observed: describe(instances, last) });
        }
        return undefined;
      }));
    const observed = summarise(region, instances, last);
    const wanted = [...new Set(targets.map(({ desired }) => desired))].join(' and ');
    if (!done) {
      const lacking = targets.flatMap((target, index) => {
        const reading = last[index]!;
        const text = reading instanceof RampartError ? reading.message : missing(target, reading);
        return text === '' ? [] : [`${target.instance.name}: ${text}`];
      });
      const message = `${component.name} in ${region} is not ${wanted} after ${deadlineMs} ms: ${lacking.join('; ')}`;
      const remedy = "Look into the service's log; when it only needs longer, raise `deadline` or `drainDeadline`.";
      throw new RampartError('DeadlineExceeded', message, { remedy });
    }
    const already = open.length === 0;
    const summary = `${component.name} in ${region} ${already ? 'was already' : 'is'} ${wanted}`;
    return { already, at: context.now(), summary, facts: { before: states(instances, before), ...factsOf(observed) } };
  }

  async function bringAll(region: string, desired: DesiredState, deadlineMs: number, missing: typeof isMissing) {
    const targets = (await instancesOf(region)).map((instance) => ({
      instance,
      desired,
      capacity: desired === 'active' ? instance.capacity : null,
    }));
    return bring(region, targets, deadlineMs, missing);
  }

  return {
    async observe(region) {
      const instances = await instancesOf(region);
      return summarise(region, instances, await read(instances));
    },

    async save(region) {
      const instances = await instancesOf(region);
      const readings = await read(instances);
      const nodes: Record<string, Json> = {};
      for (const [index, reading] of readings.entries()) {
        if (reading instanceof RampartError) throw reading;
        const { name } = instances[index]!;
        if (reading.state === 'unknown') {
          throw new RampartError('PreconditionFailed', `${component.name}, ${name}: ${reading.detail}`, {
            remedy: 'Its state cannot be put back later when it cannot be read now.',
          });
        }
        nodes[name] = { state: reading.state, capacity: reading.capacity?.wanted ?? null };
      }
      const summary = `${component.name} in ${region}: ${describe(instances, readings)}`;
      return { already: true, at: context.now(), summary, facts: { nodes } };
    },

    scale: (region, options) =>
      bringAll(region, 'active', config.deadline, options?.wait === false ? isMissing : isNotServing),
    quiesce: (region) => bringAll(region, 'standby', config.deadline, isMissing),
    drain: (region) => bringAll(region, 'drained', config.drainDeadline, isNotDrained),

    async restore(region, saved) {
      const nodes = saved.nodes;
      if (!isObject(nodes)) {
        const message = `${component.name} in ${region}: nothing was saved that could be put back`;
        throw new RampartError('InvalidInput', message, { remedy: 'Put the service into the right state by hand.' });
      }
      const targets = (await instancesOf(region)).flatMap((instance) => {
        const was = nodes[instance.name];
        // An instance that was not there when its state was saved is left alone.
        if (!isObject(was) || !DESIRED.includes(String(was.state))) return [];
        const capacity = instance.capacity !== null && typeof was.capacity === 'number' ? was.capacity : null;
        return [{ instance, desired: was.state as DesiredState, capacity }];
      });
      if (targets.length === 0) {
        const summary = `${component.name} in ${region}: none of the saved instances is there any more`;
        return { already: true, at: context.now(), summary, facts: {} };
      }
      return bring(region, targets, config.deadline, isMissing);
    },

    async escape(region, state) {
      const nodes = (component.sides[region]?.nodes ?? []).map((node) => node.config as unknown as ContractNode);
      return nodes.flatMap((node) => escapeCommands(config, node, state));
    },
  };
}

/** What an instance still lacks, in words; empty when it has the state. */
function isMissing({ desired }: { desired: DesiredState; capacity: number | null }, reading: NodeReading): string {
  if (reading.state === desired) return '';
  return reading.state === 'unknown' ? reading.detail : `is ${reading.state}, wanted ${desired}`;
}

/** Active, not unready, and with the units that the topology asks for. */
function isNotServing(target: { desired: DesiredState; capacity: number | null }, reading: NodeReading): string {
  const missing = isMissing(target, reading);
  if (missing !== '') return missing;
  if (reading.ready === false) return 'is active and not ready';
  const { capacity } = reading;
  if (target.capacity !== null && capacity === null) return 'does not say its capacity';
  const wanted = Math.max(target.capacity ?? 0, capacity?.wanted ?? 0);
  return capacity !== null && capacity.present < wanted ? `has ${capacity.present} of ${wanted} units` : '';
}

function isNotDrained(target: { desired: DesiredState; capacity: number | null }, reading: NodeReading): string {
  const missing = isMissing(target, reading);
  if (missing !== '' || (reading.inflight ?? 0) === 0) return missing;
  return `${reading.inflight} requests still in flight`;
}

/** So that the next run takes an epoch that no instance refuses. */
function greatestClaim(readings: NodeReading[], at: number): Claim | null {
  const claims = readings.flatMap(({ token }) => (token === null ? [] : [{ ...token, at }]));
  return claims.sort((a, b) => b.epoch - a.epoch || b.seq - a.seq)[0] ?? null;
}

function describe(instances: Instance[], readings: Reading[]): string {
  const texts = readings.map((reading) => {
    if (reading instanceof RampartError) return reading.message;
    const parts = [
      reading.state === 'unknown' ? `unknown: ${reading.detail}` : reading.state,
      reading.ready === false ? 'not ready' : '',
      reading.inflight === null ? '' : `${reading.inflight} in flight`,
      reading.capacity === null ? '' : `${reading.capacity.present} of ${reading.capacity.wanted} units`,
    ];
    return parts.filter(Boolean).join(', ');
  });
  return texts.length === 1 ? texts[0]! : texts.map((text, index) => `${instances[index]!.name}: ${text}`).join('; ');
}

function states(instances: Instance[], readings: Reading[]): Record<string, WorkloadState> {
  return Object.fromEntries(
    readings.map((reading, index) => [
      instances[index]!.name,
      reading instanceof RampartError ? 'unknown' : reading.state,
    ]),
  );
}

function factsOf({ state, ready, inflight, capacity, detail }: WorkloadObservation): Record<string, Json> {
  return { state, ready, inflight, capacity: capacity === null ? null : { ...capacity }, detail };
}

function escapeCommands(config: ContractConfig, node: ContractNode, state: WorkloadState): string[] {
  const url = `'${contractUrl(config, node).replaceAll("'", '%27')}'`;
  const secret = config.token?.replace(/^\$\{env:(.*)\}$/, '$$$1').replace(/^\$\{file:(.*)\}$/, "$$(cat '$1')");
  const login = secret === undefined ? '' : ` -H "Authorization: Bearer ${secret}"`;
  const look = `curl -fsS${login} ${url}`;
  if (state === 'unknown') return [look];
  const body = JSON.stringify({ desired: state });
  return [`curl -fsS -X PUT${login} -H 'Content-Type: application/json' -d '${body}' ${url}`, look];
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
