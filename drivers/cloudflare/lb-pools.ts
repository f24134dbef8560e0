/** The regions' pools: enabled, disabled, and what their monitors say. */
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Claim, DriverContext } from '../ports.ts';
import { digestOf, withMark } from './claim.ts';
import { maybeApplied } from './errors.ts';
import type { LbConfig } from './lb-config.ts';
import { type HealthReading, readHealth } from './lb-health.ts';
import { type LbApi, type LbState, type Pool, readPool } from './lb-state.ts';

/** Pauses between looks, in milliseconds: every look is a part of the user's budget. */
const LOOK = { intervalMs: 100, maxIntervalMs: 5_000 };
const FENCED = digestOf('fenced');

/** A load balancer or another thing that uses the pool of a region, too. */
export interface Reference {
  region: RegionName;
  id: string;
  name: string;
}

export interface Pools {
  /** @throws NotApplied, ProviderUnavailable */
  disable(region: RegionName, state: LbState, claim: Claim): Promise<void>;
  /** @throws PreconditionFailed when somebody else disabled it */
  enable(region: RegionName, state: LbState): Promise<void>;
  /** Who uses the region's pool besides this load balancer; nobody where there is no such pool. */
  others(region: RegionName, state: LbState): Promise<Reference[]>;
  /** Health by region; a pool without a monitor counts as healthy, as it does for Cloudflare. */
  health(regions: RegionName[], state: LbState): Promise<Record<RegionName, HealthReading>>;
  /** @throws PreconditionFailed when the monitors still say no at the deadline, NotApplied when they say nothing */
  awaitHealthy(regions: RegionName[], state: LbState): Promise<void>;
}

export function poolsApi(api: LbApi, config: LbConfig, component: string, context: DriverContext): Pools {
  const account_id = config.accountId;

  /** One attempt; whatever it answers, what counts is what is read back. */
  async function change(id: string, enabled: boolean, description: string): Promise<void> {
    let failed: unknown;
    try {
      await api.one('loadBalancers.pools.edit', (client, options) =>
        client.loadBalancers.pools.edit(id, { account_id, enabled, ...{ description } }, options),
      );
    } catch (error) {
      if (!maybeApplied(error)) throw error;
      failed = error;
    }
    const polling = {
      signal: context.signal,
      deadlineMs: failed ? Math.min(config.timeout, config.deadline) : config.deadline,
      ...LOOK,
    };
    const shown = await poll(polling, async () => {
      const pool = await readPool(api, account_id, id);
      return (pool?.enabled !== false) === enabled ? true : undefined;
    });
    if (shown) return;
    if (failed !== undefined) throw failed;
    const wanted = enabled ? 'enabled' : 'disabled';
    throw new RampartError('NotApplied', `${component}: the pool ${id} is still not ${wanted}`, {
      remedy: 'Cloudflare took the change and does not show it. See its audit log.',
    });
  }

  async function healthOf({ id, monitor, monitor_group }: Pool): Promise<HealthReading> {
    if (!monitor && !monitor_group) return { health: 'healthy', detail: 'no monitor' };
    const { pop_health } = await api.one('loadBalancers.pools.health.get', (client, options) =>
      client.loadBalancers.pools.health.get(id!, { account_id }, options),
    );
    return readHealth(pop_health);
  }

  async function health(regions: RegionName[], state: LbState) {
    const found = regions.map(async (region): Promise<[RegionName, HealthReading]> => {
      const { pool, id } = state.pools[region]!;
      return [region, pool === null ? { health: 'unknown', detail: `no pool ${id}` } : await healthOf(pool)];
    });
    return Object.fromEntries(await Promise.all(found));
  }

  return {
    health,
    async others(region, state) {
      const { id, pool } = state.pools[region]!;
      if (pool === null) return [];
      const found = await api.list('loadBalancers.pools.references.get', (client, _page, options) =>
        client.loadBalancers.pools.references.get(id, { account_id }, options),
      );
      return found
        .filter(({ resource_id }) => resource_id !== config.loadBalancerId)
        .map(({ resource_id = '', resource_name = '' }) => ({ region, id: resource_id, name: resource_name }));
    },
    disable: (region, state, claim) => {
      const { id, mark } = state.pools[region]!;
      return change(id, false, withMark(mark.rest, claim, FENCED));
    },
    async enable(region, state) {
      const { id, mark, pool } = state.pools[region]!;
      if (mark.claim === null) {
        const since = pool?.disabled_at === undefined ? '' : ` at ${pool.disabled_at}`;
        throw new RampartError(
          'PreconditionFailed',
          `${component}: the pool ${id} of ${region} was disabled${since}, and not by Rampart`,
          { remedy: 'See why, and enable it at Cloudflare if it may get traffic.' },
        );
      }
      await change(id, true, mark.rest);
    },
    async awaitHealthy(regions, state) {
      let last: Record<RegionName, HealthReading> = {};
      const polling = { signal: context.signal, deadlineMs: config.healthDeadline, ...LOOK };
      const fine = await poll(polling, async () => {
        last = await health(regions, state);
        if (Object.values(last).every((one) => one.health === 'healthy')) return true;
        context.heartbeat({ component, observed: showHealth(last) });
        return undefined;
      });
      if (fine) return;
      const message = `${component}: not healthy after ${config.healthDeadline} ms, nothing was sent there: ${showHealth(last)}`;
      const down = Object.values(last).some((one) => one.health === 'unhealthy');
      // Nothing known yet: a pool that was just enabled is checked only after the interval of its monitor.
      throw new RampartError(down ? 'PreconditionFailed' : 'NotApplied', message, {
        remedy:
          "See what the pool's monitor asks for, and that the region answers it. Cloudflare sends a pool that is down nothing, whatever its weight.",
      });
    },
  };
}

export function showReference({ id, name }: Reference): string {
  return `${name} (${id})`;
}

export function showHealth(health: Record<RegionName, HealthReading>): string {
  return Object.entries(health)
    .map(([region, one]) => `${region} ${one.health}${one.detail === '' ? '' : ` (${one.detail})`}`)
    .join(', ');
}
