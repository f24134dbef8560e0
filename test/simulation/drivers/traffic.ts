/** The model router, workload and check behind their ports: set, then read back. */
import { clock } from '../../../drivers/clock.ts';
import { RampartError } from '../../../drivers/errors.ts';
import { poll } from '../../../drivers/poll.ts';
import type { Check, DriverContext, Receipt, Router, Weights, Workload } from '../../../drivers/ports.ts';
import { type RouterState, WANTED, type WorkloadState } from '../world/traffic.ts';
import type { SimWorld } from '../world/world.ts';
import { keepNewest } from './claims.ts';
import { RULES } from './rules.ts';
import type { Op } from './store.ts';

const READ_BACK_MS = 5_000;
const WARM_MS = 30_000;
const DRAIN_MS = 400;
const PREPARED_TTL = 1;

const says = (weights: Weights): string =>
  Object.entries(weights)
    .map(([region, weight]) => `${weight} % to ${region}`)
    .join(', ');

export function openRouter(world: SimWorld, name: string, context: DriverContext, op: Op): Router {
  const receipt = (summary: string, facts: Receipt['facts'], already: boolean): Receipt => ({
    ...{ already, at: context.now(), summary, facts },
  });
  const place = `router ${name}`;
  async function asked(): Promise<RouterState> {
    await op();
    const router = world.traffic.router(name);
    if (!router.reachable) throw new RampartError('ProviderUnavailable', `${name} does not answer`);
    return router;
  }
  const same = (a: Weights, b: Weights): boolean =>
    Object.keys({ ...a, ...b }).every((region) => (a[region] ?? 0) === (b[region] ?? 0));
  async function setTtl(verb: string, ttl: number): Promise<Receipt> {
    const router = await asked();
    const changed = keepNewest(world, place, router, context, verb, () => {
      const before = router.ttl;
      router.ttl = ttl;
      return before !== ttl;
    });
    return receipt(`clients keep answers of ${name} for ${ttl} s`, {}, !changed);
  }

  return {
    observe: async () => {
      await op();
      const seen = world.traffic.observeRouter(name, context.now());
      return RULES.tellsOnTheWay ? seen : { ...seen, applied: seen.reachable };
    },
    async setWeights(wanted) {
      const base = (await asked()).weights;
      const router = await asked();
      const full = { ...router.weights, ...wanted };
      const changed = keepNewest(world, place, router, context, 'setWeights', () => {
        const ours = router.claim?.runId === context.token?.runId;
        if (!same(base, router.weights) && !ours)
          throw new RampartError('Conflict', `${name} was changed by somebody else meanwhile`);
        if (same(router.weights, full) && RULES.lookFirst) return false;
        if (router.deaf > 0) {
          router.deaf -= 1;
          return false;
        }
        world.traffic.setWeights(name, wanted, 'rampart');
        return true;
      });
      const polling = { signal: context.signal, deadlineMs: READ_BACK_MS, intervalMs: 50, maxIntervalMs: 500 };
      const applied = await poll(polling, async () => {
        const now = await asked();
        context.heartbeat({ router: name });
        return same(now.applied, full) || !RULES.readBack || undefined;
      });
      if (!applied) throw new RampartError('NotApplied', `${name}: wanted ${says(wanted)}, it shows something else`);
      world.say({
        ...{ kind: 'counted', router: name, run: context.run.runId, claimed: wanted, actual: router.applied },
      });
      return receipt(`${name} sends ${says(wanted)}`, { weights: wanted }, !changed);
    },
    async verifyWeights(wanted) {
      const { applied } = await asked();
      if (!same(applied, { ...applied, ...wanted }))
        throw new RampartError('NotApplied', `${name} shows something else`);
      return receipt(`counted ${says(wanted)}`, { observed: { ...applied } }, true);
    },
    async fence(region) {
      const router = await asked();
      const changed = keepNewest(world, place, router, context, 'fence', () => {
        const { weights } = router;
        if (!Object.entries(weights).some(([other, weight]) => other !== region && weight > 0) && RULES.fenceLeavesOne)
          throw new RampartError('PreconditionFailed', `${name}: nobody would serve clients without ${region}`);
        if (router.fenced.includes(region)) return false;
        router.fenced.push(region);
        world.say({ kind: 'cutOff', router: name, region, weights: { ...weights } });
        return true;
      });
      return receipt(`${name} does not answer with ${region}`, { region }, !changed);
    },
    save: async () => receipt('read', { ttl: (await asked()).ttl }, true),
    prepare: () => setTtl('prepare', PREPARED_TTL),
    restore: (saved) => setTtl('restore', Number(saved.ttl)),
    escape: async () => [],
  };
}

export function openWorkload(world: SimWorld, context: DriverContext, op: Op): Workload {
  const receipt = (summary: string, facts: Receipt['facts'], already: boolean): Receipt => ({
    ...{ already, at: context.now(), summary, facts },
  });
  async function asked(region: string): Promise<WorkloadState> {
    await op();
    if (!world.reaches(context.place.region, region))
      throw new RampartError('ProviderUnavailable', `the app in ${region} does not answer`);
    return world.traffic.workload[region] as WorkloadState;
  }
  async function set(
    verb: string,
    region: string,
    wanted: Partial<Pick<WorkloadState, 'state' | 'size'>>,
  ): Promise<Receipt> {
    const workload = await asked(region);
    const changed = keepNewest(world, `app in ${region}`, workload, context, verb, () => {
      const { state, size } = workload;
      if (wanted.state !== undefined) workload.state = wanted.state;
      if (wanted.size !== undefined) world.traffic.resize(region, wanted.size);
      return state !== workload.state || size !== workload.size;
    });
    return receipt(`the app in ${region} is ${workload.state} with ${workload.size}`, {}, !changed);
  }

  return {
    observe: async (region) => {
      await op();
      return world.traffic.observeWorkload(region, context.place.region, context.now());
    },
    async save(region) {
      const { state, size } = await asked(region);
      return receipt('read', { state, size }, true);
    },
    async scale(region, options) {
      const done = await set('scale', region, { state: 'active', size: WANTED });
      if (options?.wait === false) return done;
      const polling = { signal: context.signal, deadlineMs: WARM_MS, intervalMs: 200, maxIntervalMs: 1_000 };
      const ready = await poll(polling, async () => {
        const { present } = await asked(region);
        context.heartbeat({ present });
        return (present >= WANTED && world.traffic.healthy(region)) || undefined;
      });
      if (!ready) throw new RampartError('DeadlineExceeded', `the app in ${region} does not get ready`);
      return done;
    },
    quiesce: (region) => set('quiesce', region, { state: 'standby' }),
    async drain(region) {
      const done = await set('drain', region, { state: 'drained' });
      await clock.sleep(DRAIN_MS, context.signal);
      return done;
    },
    restore(region, saved) {
      const state = (saved.state ?? saved.desired) as WorkloadState['state'] | undefined;
      const size = saved.size === undefined ? undefined : Number(saved.size);
      return set('restore', region, { ...(state && { state }), ...(size !== undefined && { size }) });
    },
    escape: async () => [],
  };
}

export function openCheck(world: SimWorld, context: DriverContext, op: Op): Check {
  return {
    run: async (region) => {
      await op();
      return world.traffic.check(region, context.place.region, context.now());
    },
  };
}
