/**
 * Regions taken off and put on by the health checks of their records. Disabled alone counts as healthy, and inverted
 * alone becomes healthy when its endpoint dies: only both together are unhealthy whatever happens (UpdateHealthCheck,
 * API reference).
 */
import type { HealthCheck } from '@aws-sdk/client-route-53';
import type { RegionName } from '../../topology/model.ts';
import { AwsRefusal } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import { digestOf } from './claim.ts';
import type { Side } from './config.ts';
import { type Confirming, leftOf } from './confirm.ts';
import { afterEdits, type Edit, type NameState, readState } from './records.ts';
import type { Zone } from './zone.ts';

export interface RegionHealth {
  side: Side;
  checks: HealthCheck[];
  /** Every check of the region is unhealthy by its settings. */
  off: boolean;
  /** Every check is as the topology says it is in use. */
  on: boolean;
}

/** The name with everything that decides where its clients go. */
export interface Look extends NameState {
  /** Only where health checks are the switch. */
  health: RegionHealth[];
  /** It is not as the claim's writer left it. */
  edited: boolean;
}

export async function readName({ config, sides, zone }: Pick<Confirming, 'config' | 'sides' | 'zone'>): Promise<Look> {
  const state = readState(config, sides, await zone.read());
  const health = config.policy === 'latency' ? await readHealth(zone, state) : [];
  const { claim } = state;
  return { ...state, health, edited: claim !== null && !claim.busy && claim.state !== stateOf(state, health) };
}

/** Digest of the records and, where they are the switch, of the health checks as they are or will be. */
export function stateOf(
  state: NameState,
  health: readonly RegionHealth[],
  edits: readonly Edit[] = [],
  isOn?: (region: RegionName) => boolean,
): string {
  const settings = health.flatMap(({ side, checks }) =>
    checks.map((check) => {
      const present = {
        disabled: check.HealthCheckConfig?.Disabled === true,
        inverted: check.HealthCheckConfig?.Inverted === true,
      };
      const { disabled, inverted } = isOn === undefined ? present : settingsFor(side, isOn(side.region));
      return `${check.Id} ${disabled} ${inverted}`;
    }),
  );
  return digestOf(afterEdits(state, edits), settings);
}

function settingsFor(side: Side, on: boolean): { disabled: boolean; inverted: boolean } {
  return on ? { disabled: false, inverted: side.inverted } : { disabled: true, inverted: true };
}

/** The health checks of the records, by region; regions without one are not in it. */
export async function readHealth(
  zone: Zone,
  state: NameState,
  of: (region: RegionName) => boolean = () => true,
): Promise<RegionHealth[]> {
  const ids = new Map<Side, Set<string>>();
  for (const { side, set } of state.managed)
    if (side !== null && set.HealthCheckId && of(side.region))
      ids.set(side, (ids.get(side) ?? new Set()).add(set.HealthCheckId));
  return Promise.all(
    [...ids].map(async ([side, wanted]) => {
      const checks = await Promise.all([...wanted].map((id) => zone.healthCheck(id)));
      return { side, checks, off: checks.every(isForcedOff), on: checks.every((check) => isNormal(check, side)) };
    }),
  );
}

/** Regions that are unhealthy by their settings. */
export function offIn(health: readonly RegionHealth[]): RegionName[] {
  return health.filter((one) => one.off).map(({ side }) => side.region);
}

/**
 * Checks that a fence has switched, all of them or some.
 * @param late also those that one which was begun may still switch
 */
export function fencedIn(health: readonly RegionHealth[], late: boolean): RegionHealth[] {
  return health.flatMap((one) => {
    const checks = one.checks.filter((check) => isForcedOff(check) || (late && isNormal(check, one.side)));
    return checks.length === 0 ? [] : [{ ...one, checks }];
  });
}

export function isForcedOff({ HealthCheckConfig: config }: HealthCheck): boolean {
  return config?.Disabled === true && config.Inverted === true;
}

export function isNormal({ HealthCheckConfig: config }: HealthCheck, side: Side): boolean {
  return config?.Disabled !== true && (config?.Inverted ?? false) === side.inverted;
}

/**
 * Puts regions on, waits until checkers find them healthy, and only then takes others off: never all of them.
 * @param always send the settings also where they are right already: a new version of a check refuses older attempts
 * @throws Conflict when somebody changed a check since it was read; NotApplied when a region does not get healthy
 */
export async function switchHealth(
  confirming: Confirming,
  health: readonly RegionHealth[],
  isOn: (region: RegionName) => boolean,
  always: boolean,
): Promise<number> {
  const { zone, context } = confirming;
  let changed = 0;
  const set = async (one: RegionHealth, on: boolean) => {
    for (const check of one.checks) {
      const fits = on ? isNormal(check, one.side) : isForcedOff(check);
      if (fits && !always) continue;
      context.signal.throwIfAborted();
      await update(zone, check, settingsFor(one.side, on));
      if (!fits) changed += 1;
    }
  };
  const on = health.filter(({ side }) => isOn(side.region));
  const off = health.filter(({ side }) => !isOn(side.region));
  for (const one of on) await set(one, true);
  for (const one of on) await awaitHealthy(confirming, one);
  for (const one of off) await set(one, false);
  return changed;
}

async function update(zone: Zone, check: HealthCheck, to: { disabled: boolean; inverted: boolean }): Promise<void> {
  try {
    await zone.setHealthCheck(check, to);
  } catch (error) {
    if (!(error instanceof AwsRefusal) || error.code !== 'HealthCheckVersionMismatch') throw error;
    // An attempt of this step beside this one may have been faster.
    const { HealthCheckConfig: present } = await zone.healthCheck(check.Id!);
    if ((present?.Disabled === true) === to.disabled && (present?.Inverted === true) === to.inverted) return;
    throw new RampartError('Conflict', `the health check ${check.Id} was changed by somebody else meanwhile`, {
      remedy: 'See who changed it, then retry.',
      cause: error,
    });
  }
}

/** @throws NotApplied after the deadline */
async function awaitHealthy(of: Confirming, one: RegionHealth): Promise<void> {
  const { config, zone, context, component } = of;
  const polling = { signal: context.signal, deadlineMs: leftOf(of), intervalMs: config.pollEvery };
  const { region } = one.side;
  const healthy = await poll(polling, async () => {
    context.heartbeat({ component, waitingFor: `healthy ${region}` });
    // Their settings were read before they were put on: what counts is what checkers see. One that was off until now
    // has no word of theirs yet, and that is no good one.
    const well = await Promise.all(
      one.checks.map(async (check) => {
        const seen = await zone.seenHealthy(check.Id!);
        return seen === null ? !hasCheckers(check) : seen !== one.side.inverted;
      }),
    );
    return well.every(Boolean) || undefined;
  });
  if (healthy) return;
  const message = `${component}: wanted ${region} 100 % on, observed after ${config.deadline} ms: its health check is unhealthy, or nothing is known of it`;
  throw new RampartError('NotApplied', message, { remedy: `Look at ${region}; no other region was taken off.` });
}

/** Kinds that are computed from others' words: no checker ever tells of them. */
const COMPUTED: ReadonlySet<string> = new Set(['CALCULATED', 'CLOUDWATCH_METRIC', 'RECOVERY_CONTROL']);

function hasCheckers({ HealthCheckConfig: config }: HealthCheck): boolean {
  return !COMPUTED.has(config?.Type ?? '');
}

/** By settings and checkers; `null`: checkers say nothing. */
export async function isHealthy(zone: Zone, { checks }: Pick<RegionHealth, 'checks'>): Promise<boolean | null> {
  const answers = await Promise.all(
    checks.map(async (check) => {
      const inverted = check.HealthCheckConfig?.Inverted === true;
      if (check.HealthCheckConfig?.Disabled === true) return !inverted;
      const seen = await zone.seenHealthy(check.Id!);
      return seen === null ? null : seen !== inverted;
    }),
  );
  if (answers.includes(false)) return false;
  return answers.includes(null) ? null : true;
}
