/** I5: weight only to places that are healthy with capacity; a writer endpoint only to a store proven writable. */
import { RampartError } from '../drivers/errors.ts';
import { poll } from '../drivers/poll.ts';
import type { DriverContext, Weights } from '../drivers/ports.ts';
import type { StepCall } from '../plan/model.ts';
import type { ActivityDeps } from './deps.ts';
import { open } from './perform.ts';

/** A place that becomes ready within this time is worth waiting for, in milliseconds. */
const READY_WAIT_MS = 5_000;

/** @throws RampartError PreconditionFailed naming the region that may not receive traffic, and why */
export async function assertMayReceive(
  deps: ActivityDeps,
  call: StepCall,
  weights: Weights,
  context: DriverContext,
): Promise<void> {
  const router = call.component!;
  const endpoint = router.capabilities.kind === 'endpoint';
  // A switch of the writer endpoint is part of the freeze: the store is looked at beside the router.
  const writable = new Map(
    Object.keys(weights)
      .filter((region) => endpoint && weights[region]! > 0)
      .map((region) => [region, notWritable(deps, call, region, context)] as const),
  );
  // Where nothing is gained the answer is not asked for, and may be an error.
  for (const answer of writable.values()) answer.catch(() => undefined);
  const seen = await open(deps, router, 'router', context).observe();
  // A change that is on its way counts as made: what a region loses by it, this one would give back.
  const present = (seen.applied ? seen.weights : null) ?? {};
  // Taking weight away is always allowed; only regions that gain must be able to serve.
  const gaining = Object.entries(weights).filter(([region, weight]) => weight > (present[region] ?? 0));
  for (const [region] of gaining) {
    const why = await (writable.get(region) ?? notReady(deps, call, region, context));
    if (why !== null)
      throw new RampartError('PreconditionFailed', `${router.name} must not send traffic to ${region}: ${why}`, {
        remedy: `Bring ${region} back to health, then retry.`,
      });
  }
}

async function notWritable(
  deps: ActivityDeps,
  call: StepCall,
  region: string,
  context: DriverContext,
): Promise<string | null> {
  for (const store of call.related.filter((c) => c.role === 'store' && c.sides[region] !== undefined)) {
    const nodes = await open(deps, store, 'store', context).observe({ region });
    if (!nodes.some((n) => n.state === 'writable'))
      return `${store.name} is not proven writable there (${nodes.map((n) => `${n.node}: ${n.state}`).join(', ')})`;
  }
  return null;
}

async function notReady(
  deps: ActivityDeps,
  call: StepCall,
  region: string,
  context: DriverContext,
): Promise<string | null> {
  let why: string | null = null;
  const ready = await poll(
    { signal: context.signal, deadlineMs: READY_WAIT_MS, intervalMs: 50, maxIntervalMs: 500 },
    async () => {
      why = null;
      for (const workload of call.related.filter((c) => c.role === 'workload' && c.sides[region] !== undefined)) {
        const seen = await open(deps, workload, 'workload', context).observe(region);
        if (!seen.reachable) why = `${workload.name} does not answer: ${seen.detail}`;
        else if (seen.ready === false) why = `${workload.name} is not ready: ${seen.detail}`;
        else if (seen.state === 'drained' || seen.state === 'unknown') why = `${workload.name} is ${seen.state}`;
        else if (seen.capacity !== null && seen.capacity.present < seen.capacity.wanted)
          why = `${workload.name} has ${seen.capacity.present} of ${seen.capacity.wanted} wanted capacity`;
      }
      return why === null ? true : undefined;
    },
  );
  return ready === true ? null : why;
}
