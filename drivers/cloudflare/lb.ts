/**
 * Cloudflare's load balancer as a router: a split by pool weights (steering policy random), or one region first in
 * every list of pools (off, geo). Weights and claim change in one PATCH, and count when they are read back.
 */
import type { Component, RegionName } from '../../topology/model.ts';
import { claimToWrite, sameClaim } from '../claims.ts';
import { RampartError } from '../errors.ts';
import type { Driver, DriverContext, Json, Receipt, Router, Weights } from '../ports.ts';
import { contradictions, takeSample } from '../sample.ts';
import { LB_CALLS } from './calls.ts';
import { assertMayChange } from './claim.ts';
import { cloudflareApi } from './client.ts';
import {
  assertSplit,
  claimed,
  type LbChange,
  orderChange,
  othersServing,
  regionsWith,
  weightsChange,
} from './lb-change.ts';
import { type LbConfig, lbCapabilities, lbConfigSchema, lbNodeSchema, poolsOf, validateLb } from './lb-config.ts';
import { escapeLb } from './lb-escape.ts';
import { lbFindings } from './lb-findings.ts';
import { poolsApi, showHealth, showReference } from './lb-pools.ts';
import { type LbApi, type LbState, readLb } from './lb-state.ts';
import { checkedWeights, sameWeights, showWeights } from './weights.ts';
import { applyOnce } from './write.ts';

export const cloudflareLb: Driver<'router'> = {
  type: 'cloudflare-lb',
  role: 'router',
  summary: 'Cloudflare Load Balancing: weights of pools, one pool for each region',
  config: lbConfigSchema,
  node: lbNodeSchema,
  secrets: ['apiToken'],
  calls: [LB_CALLS],
  capabilities: (config) => lbCapabilities(config as unknown as LbConfig),
  local: () => false,
  validate: validateLb,
  open: openLb,
};

function openLb(component: Component, context: DriverContext): Router {
  const config = component.config as unknown as LbConfig;
  const { name } = component;
  const nodes = poolsOf(component);
  const regions = Object.keys(nodes);
  const open = () => cloudflareApi(LB_CALLS, config, context, name);
  const read = async (api?: LbApi) => readLb(api ?? (await open()), config, nodes);
  const receipt = (already: boolean, summary: string, facts: Receipt['facts']): Receipt => ({
    already,
    at: context.now(),
    summary: `${name}: ${summary}`,
    facts,
  });

  /** Looks, refuses what may not be done, and writes what is missing. `settled`: nothing but the claim may be. */
  async function change(api: LbApi, state: LbState, settled: boolean, goal: Goal): Promise<void> {
    const claim = claimToWrite(state.mark.claim, context);
    const next = claimed(state, goal.change, claim);
    if (settled && sameClaim(state.mark.claim, claim) && next.description === state.lb.description) return;
    const { wanted, shows } = goal;
    const { zoneId: zone_id, loadBalancerId } = config;
    await applyOnce({
      ...{ name, config, context, claim, before: state, wanted, shows },
      send: () =>
        api.one('loadBalancers.edit', (client, options) =>
          client.loadBalancers.edit(loadBalancerId, { zone_id, ...next }, options),
        ),
      read: () => read(api),
      observed: ({ weights, problems }) => [showWeights(weights), ...problems].join('; '),
      remedy: 'Cloudflare took the change and does not show it. See its audit log.',
    });
  }

  /** @throws PreconditionFailed, and Conflict for who is stale */
  async function mayChange(api: LbApi, wanted: Weights): Promise<LbState> {
    const state = await read(api);
    assertSplit(name, state);
    assertMayChange(name, state, sameWeights(state.configured, wanted), context);
    return state;
  }

  async function setWeights(asked: Weights): Promise<Receipt> {
    const wanted = checkedWeights(name, regions, asked, config.kind === 'onOff');
    const api = await open();
    const before = await mayChange(api, wanted);
    const already =
      sameWeights(before.configured, wanted) && sameWeights(before.weights, wanted) && before.problems.length === 0;
    const rising = regionsWith(wanted).filter((region) => (before.weights?.[region] ?? 0) < wanted[region]!);
    const pools = poolsApi(api, config, name, context);
    for (const region of regionsWith(wanted)) {
      if (!before.pools[region]!.enabled) await pools.enable(region, before);
    }
    if (before.lb.enabled !== false && config.requireHealth) await pools.awaitHealthy(rising, before);
    // That may have taken minutes, and the PATCH asks nobody.
    const now = rising.length === 0 ? before : await mayChange(api, wanted);
    const target = config.kind === 'onOff' ? orderChange(now, regionsWith(wanted)[0]!) : weightsChange(now, wanted);
    await change(api, now, already, {
      change: target,
      wanted: showWeights(wanted),
      shows: (now) => sameWeights(now.configured, wanted) && now.problems.length === 0,
    });
    const summary = `Cloudflare ${already ? 'already showed' : 'shows'} ${showWeights(wanted)}`;
    return receipt(already, summary, { before: before.weights, after: wanted });
  }

  async function verifyWeights(asked: Weights): Promise<Receipt> {
    const wanted = checkedWeights(name, regions, asked, config.kind === 'onOff');
    const api = await open();
    const state = await read(api);
    const serving = regionsWith(wanted);
    const health = await poolsApi(api, config, name, context).health(serving, state);
    const down = config.requireHealth ? serving.filter((region) => health[region]!.health !== 'healthy') : [];
    if (!sameWeights(state.weights, wanted) || state.problems.length > 0 || down.length > 0) {
      const told = [showWeights(state.weights), ...state.problems, ...(down.length > 0 ? [showHealth(health)] : [])];
      throw new RampartError('NotApplied', `${name}: wanted ${showWeights(wanted)}, observed ${told.join('; ')}`, {
        remedy: 'See the load balancer at Cloudflare. A pool that is down gets nothing, whatever its weight.',
      });
    }
    if (config.sample === undefined) {
      const summary = `Cloudflare shows ${showWeights(wanted)} (not sampled); sessions that began before keep their region`;
      return receipt(true, summary, { by: 'readback', observed: wanted, health: showHealth(health) });
    }
    const sample = await takeSample(config.sample, context.signal);
    const problems = contradictions(sample, wanted);
    if (problems.length > 0) {
      throw new RampartError('NotApplied', `${name}: clients get ${problems.join('; ')}`, {
        remedy: `See that every region answers at ${config.sample.url} with the header ${config.sample.header}.`,
        details: { ...sample },
      });
    }
    const summary = `${sample.requests} requests without a session gave ${showWeights(sample.observed)}`;
    return receipt(true, summary, { by: 'sampled', ...sample });
  }

  async function fence(region: RegionName): Promise<Receipt> {
    const api = await open();
    const before = await read(api);
    const own = before.pools[region];
    if (own === undefined) throw new RampartError('InvalidInput', `${name}: there is no region ${region}`);
    assertSplit(name, before);
    const moves = before.lb.fallback_pool === own.id;
    assertMayChange(name, before, !own.enabled && !moves, context);
    const [next] = othersServing(before, region);
    if (next === undefined) {
      throw new RampartError('PreconditionFailed', `${name}: nobody would serve clients without ${region}`, {
        remedy: 'Give another region a weight first. A fence only cuts what is left.',
      });
    }
    const pools = poolsApi(api, config, name, context);
    // Services that this run has nothing to do with keep what they have.
    const others = own.enabled ? await pools.others(region, before) : [];
    const disables = own.enabled && others.length === 0;
    const already = !disables && !moves;
    // Before the pool is disabled: the fallback gets everything when nothing else is healthy, whatever its own health.
    const fallback = moves ? before.pools[next]!.id : before.lb.fallback_pool!;
    await change(api, before, !moves, fallbackAt(fallback));
    if (disables) await pools.disable(region, before, claimToWrite(before.mark.claim, context));
    const facts = { region, pool: own.id, fallbackPool: fallback, before: before.weights };
    if (others.length > 0) throw halfFenced(name, region, others.map(showReference), before.weights?.[region] ?? 0);
    const done = already ? 'was already' : 'is';
    return receipt(already, `the pool of ${region} ${done} disabled for every load balancer`, facts);
  }

  async function save(): Promise<Receipt> {
    const { lb, weights } = await read();
    const facts = { fallbackPool: lb.fallback_pool ?? null, ttl: lb.ttl ?? null, weights };
    return receipt(true, `its fallback pool is ${lb.fallback_pool}`, facts);
  }

  /** A fence moves the fallback pool; it goes back where it may get traffic. */
  async function restore(saved: Record<string, Json>): Promise<Receipt> {
    const api = await open();
    const before = await read(api);
    const { fallbackPool } = saved;
    if (typeof fallbackPool !== 'string' || fallbackPool === before.lb.fallback_pool) {
      return receipt(true, 'nothing to put back', { fallbackPool: before.lb.fallback_pool ?? null });
    }
    assertMayChange(name, before, true, context);
    const region = regions.find((one) => nodes[one]!.pool === fallbackPool);
    const idle = region !== undefined && (before.weights?.[region] ?? 0) === 0;
    if (idle) {
      const summary = `its fallback pool stays ${before.lb.fallback_pool}: ${region}, where it was, gets no traffic`;
      return receipt(true, summary, { fallbackPool: before.lb.fallback_pool ?? null });
    }
    await change(api, before, false, fallbackAt(fallbackPool));
    return receipt(false, `its fallback pool is ${fallbackPool} again`, { fallbackPool });
  }

  return {
    async observe() {
      const state = await read().catch((error: unknown) => {
        if (error instanceof RampartError) return error;
        throw error;
      });
      const observedAt = context.now();
      if (state instanceof RampartError) {
        return { reachable: false, weights: null, applied: false, observedAt, detail: state.message, claim: null };
      }
      const fenced = regions.filter((region) => !state.pools[region]!.enabled);
      const detail = [...state.problems, ...(fenced.length > 0 ? [`disabled: ${fenced.join(', ')}`] : [])].join('; ');
      const { weights, problems, mark } = state;
      return { reachable: true, weights, applied: problems.length === 0, observedAt, detail, claim: mark.claim };
    },
    setWeights,
    verifyWeights,
    fence,
    save,
    restore,
    async preflight(mode, from, to) {
      const api = await open();
      const state = await read(api);
      const pools = poolsApi(api, config, name, context);
      const [health, ...references] = await Promise.all([
        pools.health([to], state),
        ...regions.map((region) => pools.others(region, state)),
      ]);
      return lbFindings(name, config, nodes, state, health, references.flat(), { mode, from, to });
    },
    async prepare() {
      const { weights } = await read();
      return receipt(true, 'nothing to prepare: weights count at once for new sessions', { weights });
    },
    async escape(to) {
      checkedWeights(name, regions, { [to]: 100 }, true);
      // What people need most when nothing answers: then from the topology alone.
      const state = await read().catch((error: unknown) => {
        if (error instanceof RampartError) return null;
        throw error;
      });
      return escapeLb(config, nodes, to, state);
    },
  };
}

interface Goal {
  change: LbChange;
  /** For people. */
  wanted: string;
  shows(now: LbState): boolean;
}

function fallbackAt(pool: string): Goal {
  return {
    change: { fallback_pool: pool },
    wanted: `the fallback pool ${pool}`,
    shows: ({ lb }) => lb.fallback_pool === pool,
  };
}

/** The fallback pool has left; the pool is not Rampart's alone to disable. */
function halfFenced(name: string, region: RegionName, sharedWith: string[], percent: number): RampartError {
  const uses = sharedWith.length > 1 ? 'use' : 'uses';
  const still = percent > 0 ? `${region} still has ${percent} %` : `clients with a session may stay in ${region}`;
  return new RampartError(
    'PreconditionFailed',
    `${name}: its fallback pool is no longer in ${region}; the pool of ${region} was left enabled, because ${sharedWith.join(', ')} ${uses} it, too: ${still}, and it may get more when nothing else is healthy`,
    { remedy: 'Give each load balancer pools of its own.', details: { sharedWith } },
  );
}
