/** What stands in the way of moving a load balancer, and what its plan should know. */
import type { RegionName } from '../../topology/model.ts';
import { findingsFor } from '../findings.ts';
import type { Finding } from '../ports.ts';
import type { LbConfig, LbNode } from './lb-config.ts';
import type { HealthReading } from './lb-health.ts';
import { type Reference, showHealth, showReference } from './lb-pools.ts';
import { GEO_LISTS, type LbState, type LoadBalancer, policyOf } from './lb-state.ts';

export interface Direction {
  mode: 'planned' | 'unplanned';
  from: RegionName;
  to: RegionName;
}

/** Sessions by cookie, when no TTL is set, in seconds; by header, in seconds. */
const COOKIE_TTL_S = 82_800;
const HEADER_TTL_S = 1_800;

export function lbFindings(
  name: string,
  config: LbConfig,
  nodes: Record<RegionName, LbNode>,
  state: LbState,
  health: Record<RegionName, HealthReading>,
  references: Reference[],
  direction: Direction,
): Finding[] {
  const found: Finding[] = [];
  const say = (
    severity: Finding['severity'],
    code: string,
    region: RegionName | null,
    message: string,
    remedy: string,
  ) =>
    found.push({
      code: `cloudflare.${code}`,
      severity,
      component: name,
      region,
      message: `${name}: ${message}`,
      remedy,
    });
  const { lb } = state;
  const { from, to, mode } = direction;

  if (state.obstacle !== null) {
    const remedy = 'Change the steering policy or the pools at Cloudflare, or `kind` and `sides` in the topology.';
    say('blocker', 'steering', null, state.obstacle, remedy);
  }
  if (lb.enabled === false) {
    say('blocker', 'disabled', null, 'the load balancer is disabled', 'Enable it at Cloudflare: it steers nobody.');
  }
  for (const [region, { pool, id, enabled, mark }] of Object.entries(state.pools)) {
    const { poolName } = nodes[region]!;
    if (pool === null) {
      say('blocker', 'poolMissing', region, `the account has no pool ${id}`, 'Correct `pool`, or `accountId`.');
      continue;
    }
    const swapped =
      poolName === undefined ? looksSwapped(region, Object.keys(nodes), pool.name) : pool.name !== poolName;
    if (swapped) {
      const message = `the pool of ${region} is called ${pool.name}${poolName === undefined ? '' : `, not ${poolName}`}: are regions swapped in the topology?`;
      say(
        'blocker',
        'poolSwapped',
        region,
        message,
        'Compare `pool` of every region with Cloudflare. `poolName` settles it.',
      );
    }
    if (!enabled && mark.claim === null && region === to) {
      const message = `the pool of ${region} is disabled, and not by Rampart`;
      say('blocker', 'poolDisabled', region, message, 'See why, and enable it at Cloudflare.');
    }
    if (!pool.monitor && !pool.monitor_group) {
      const message = `the pool of ${region} has no monitor: Cloudflare sends it traffic even when it is down`;
      say('warning', 'noMonitor', region, message, 'Attach a monitor to the pool.');
    }
  }
  const target = health[to];
  if (target !== undefined && target.health !== 'healthy' && state.pools[to]!.enabled) {
    // Unplanned, the target may get healthy only with its data.
    const severity = config.requireHealth ? 'blocker' : 'warning';
    const message = `the monitors do not call ${to} healthy: ${showHealth({ [to]: target })}`;
    say(severity, 'unhealthy', to, message, 'Bring the region up, or correct the monitor: what is down gets nothing.');
  }
  if (lb.fallback_pool === state.pools[from]?.id) {
    const message = `its fallback pool is the one of ${from}, which gets everything when nothing else is healthy, whatever its own health`;
    say('warning', 'fallback', from, message, `Make the pool of ${to} the fallback. A fence of ${from} does that.`);
  }
  overrideFindings(state, config.kind, from, say);
  const shared = references.some(({ region }) => region === from);
  sessionFindings(lb, shared, say);
  modeFindings(lb, config, say);
  for (const other of references) {
    const { region } = other;
    const message = `the pool of ${region} also serves ${showReference(other)}: a fence of ${region} leaves it enabled and only moves the fallback pool`;
    const remedy = 'Give each load balancer pools of its own, which a fence can disable.';
    say('warning', 'poolShared', region, message, remedy);
  }
  return findingsFor(mode, found, ['cloudflare.poolSwapped']);
}

type Say = (
  severity: Finding['severity'],
  code: string,
  region: RegionName | null,
  message: string,
  remedy: string,
) => void;

/** A name that speaks of another region of the component and not of its own. */
function looksSwapped(region: RegionName, regions: RegionName[], name: string | undefined): boolean {
  const says = (one: string) => (name ?? '').toLowerCase().includes(one.toLowerCase());
  return !says(region) && regions.some((other) => other !== region && says(other));
}

/** Rules and pool sets come before the weights, for the requests that they match. */
function overrideFindings({ lb, pools }: LbState, kind: LbConfig['kind'], from: RegionName, say: Say): void {
  const leaving = pools[from]?.id;
  const sets = (lb.pool_sets ?? []).map(({ name, disabled, ...rest }) => ({
    what: `pool set ${name ?? ''}`,
    disabled,
    rest,
  }));
  const rules = (lb.rules ?? []).map(({ name, disabled, ...rest }) => ({ what: `rule ${name ?? ''}`, disabled, rest }));
  for (const { what, disabled, rest } of [...sets, ...rules]) {
    if (disabled) continue;
    const text = JSON.stringify({ ...rest.overrides, ...rest.fixed_response });
    const keeps = leaving !== undefined && text.includes(leaving);
    const effect = keeps ? `sends what it matches to the pool of ${from}` : 'decides about what it matches';
    const remedy = 'Disable it for the move, or change it by hand: Rampart does not change rules and pool sets.';
    say(
      keeps ? 'blocker' : 'warning',
      'override',
      keeps ? from : null,
      `its ${what.trim()} ${effect}, whatever the weights`,
      remedy,
    );
  }
  const geo = GEO_LISTS.filter((list) => Object.keys(lb[list] ?? {}).length > 0);
  if (kind === 'weighted' && geo.length > 0) {
    const message = `${geo.join(', ')} are set and do nothing with the policy random; with another policy they would decide`;
    say('info', 'geoUnused', null, message, 'Remove them, or use kind onOff with the policy geo.');
  }
}

/**
 * Weights are for new sessions: the ramp is not what clients get.
 * @param shared whether others use the pool that clients are to leave: then a fence does not disable it
 */
function sessionFindings(lb: LoadBalancer, shared: boolean, say: Say): void {
  const { session_affinity = 'none', session_affinity_ttl, session_affinity_attributes } = lb;
  if (session_affinity === 'none' || (session_affinity as string) === '') return;
  const header = session_affinity === 'header';
  const seconds = session_affinity_ttl || (header ? HEADER_TTL_S : COOKIE_TTL_S);
  const until = header ? `until they have been idle for ${showSeconds(seconds)}` : `for up to ${showSeconds(seconds)}`;
  const message = `session affinity (${session_affinity}): clients keep their region ${until} after their session began; weights only count for new sessions`;
  const fence = shared ? 'a fence does not end them, as others use its pool' : 'a fence (pool disabled) ends it';
  say('warning', 'sessions', null, message, `Expect the old region to serve them until then; ${fence}.`);
  const drain = session_affinity_attributes?.drain_duration ?? 0;
  if (drain > 0 && drain < seconds) {
    const text = `endpoints that are disabled drain for ${showSeconds(drain)}, sessions last ${showSeconds(seconds)}: longer ones are cut`;
    say('info', 'drain', null, text, 'Raise drain_duration if sessions must survive.');
  }
}

/** What the topology says of the kind of load balancer decides how long old answers are waited for. */
function modeFindings(lb: LoadBalancer, config: LbConfig, say: Say): void {
  const proxied = lb.proxied === true;
  if (proxied !== config.proxied) {
    const is = proxied ? 'proxied' : 'DNS-only';
    const message = `the load balancer is ${is}, the topology says \`proxied: ${config.proxied}\``;
    say(
      'blocker',
      'proxied',
      null,
      message,
      `Set \`proxied: ${proxied}\`: it decides how long clients keep old answers.`,
    );
  }
  const ttl = (lb.ttl ?? 30) * 1000;
  if (!proxied && ttl > config.ttl) {
    const message = `its answers live ${showSeconds(ttl / 1000)}, longer than the ${showSeconds(config.ttl / 1000)} of the topology`;
    say('warning', 'ttl', null, message, 'Set `ttl` to what the load balancer has, or lower it there.');
  }
  if (config.kind === 'onOff' && policyOf(lb) === 'geo' && !proxied) {
    const message = 'DNS-only and geo: the region of a client is that of its resolver';
    say('info', 'geoResolver', null, message, 'Expect clients of far resolvers in other lists.');
  }
}

function showSeconds(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 360) / 10} h`;
}
