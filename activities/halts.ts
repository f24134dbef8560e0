/** What a halt asks of the control place: whom it concerns, who holds the lock, the replicas, and word to people. */
import { z } from 'zod';
import { RampartError } from '../drivers/errors.ts';
import type { RecoveryFact, Store } from '../drivers/ports.ts';
import { withGroup } from '../topology/group.ts';
import { haltOf, lockOf, type Topology } from '../topology/model.ts';
import { hint } from '../topology/suggest.ts';
import type { HaltActivities, HaltTarget, LockSeen, ObserveCall, RawRequest } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { open, perform } from './perform.ts';

export interface HaltDeps {
  /** Who holds a lock, and the runs before. @throws when Temporal does not say who holds it */
  look(lock: string): Promise<LockSeen>;
  /** Tells people. @throws Error when that failed and is worth another try */
  tell(notice: { service: string; state: 'opened' | 'cleared'; text: string; remedy: string }): Promise<void>;
}

const EXAMPLE = '{"service":"checkout","by":"you@example.com","reason":"orders show wrong amounts"}';
const text = z.string().trim().min(1);
const shape = z.strictObject({ service: text, by: text, reason: text, replication: z.boolean().optional() });

export function createHaltActivities(deps: ActivityDeps, halts: HaltDeps): HaltActivities {
  const nobody = (service: string) => ({ workflowId: '', runId: '', service, by: null });
  const replay = (verb: 'readReplay' | 'pauseReplay' | 'resumeReplay', call: ObserveCall) =>
    perform(deps, call.run, null, async (context) => {
      const store = open(deps, call.component, 'store', context);
      const work = able(store, verb, call);
      return work({ region: call.region!, ...(call.nodes === null ? {} : { nodes: call.nodes }) });
    });
  return {
    resolveHalt: (raw) =>
      perform(deps, nobody(''), null, async () => ({
        ...readHalt(raw, await deps.topology()),
        searchAttributes: await deps.searchAttributes(),
      })),
    lookAtLock: ({ lock }) => perform(deps, nobody(''), null, () => halts.look(lock)),
    readReplay: (call) => replay('readReplay', call),
    pauseReplay: async (call) => {
      const halt = await deps.halt(call.service);
      if (halt === null || halt.ending)
        throw new RampartError('Conflict', `the halt of ${call.service.name} is over: nothing is paused any more`);
      return replay('pauseReplay', call);
    },
    resumeReplay: (call) => replay('resumeReplay', call),
    recoveryPoints: (call) =>
      perform(deps, call.run, null, async (context) => {
        const store = open(deps, call.component, 'store', context);
        const { type, sides } = call.component;
        if (store.recoveryPoints === undefined)
          return [unsaid(`the driver ${type} cannot say from what an earlier moment could be had again`)];
        const facts = await Promise.all(Object.keys(sides).map((region) => store.recoveryPoints!({ region })));
        const seen = new Set<string>();
        return facts.flat().filter((fact) => !seen.has(fact.text) && seen.add(fact.text));
      }),
    tellOfHalt: (notice) => perform(deps, nobody(notice.service), null, () => halts.tell(notice)),
  };
}

function able(store: Store, verb: 'readReplay' | 'pauseReplay' | 'resumeReplay', { component }: ObserveCall) {
  const method = store[verb];
  if (method !== undefined) return method.bind(store);
  throw new RampartError('InvalidInput', `the driver ${component.type} cannot pause replication (${component.name})`);
}

const unsaid = (said: string): RecoveryFact => ({
  kind: 'backup',
  node: null,
  region: null,
  reaches: null,
  text: said,
});

/** @throws RampartError InvalidInput, in one sentence, with a right example */
export function readHalt(raw: RawRequest, topology: Topology): Omit<HaltTarget, 'searchAttributes'> {
  const parsed = shape.safeParse(raw.input);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `${path.length === 0 ? 'input' : `"${path.join('.')}"`}: ${message}`,
    );
    throw new RampartError('InvalidInput', `${problems.join('; ')}. Example: ${EXAMPLE}`);
  }
  const { by, reason, replication = true } = parsed.data;
  const asked = topology.services[parsed.data.service];
  if (asked === undefined)
    throw new RampartError(
      'InvalidInput',
      `there is no service "${parsed.data.service}"${hint(parsed.data.service, Object.keys(topology.services))}`,
    );
  const service = withGroup(topology, asked);
  const wanted = haltOf(service);
  if (raw.workflowId !== wanted)
    throw new RampartError(
      'InvalidInput',
      `the workflow ID must be "${wanted}", not "${raw.workflowId}": by it everything that is stopped finds the halt`,
    );
  const components = Object.fromEntries(
    [...service.components, ...service.checks].map((name) => [name, topology.components[name]!]),
  );
  return { service, components, lock: lockOf(service), topologyDigest: topology.digest, by, reason, replication };
}
