/** What is rehearsed, and when. Types, and what follows from them. Durations in milliseconds. */
import type { MaintenanceWindow } from './alerts.ts';
import type { Assertion, Service, Topology } from './model.ts';

/**
 * `full`: there, a time on the other side, and back. `rampOnly`: part of the traffic, the data stays. `rehearsal`: a
 * plan on the live state. `checks`: the service's checks. These two change nothing. `chaos`: the team's own command
 * breaks something, and it must be noticed and mended.
 */
export type DrillKind = 'full' | 'rampOnly' | 'rehearsal' | 'checks' | 'chaos';

/** What a chaos drill breaks, and what must follow. */
export interface Chaos {
  /** Programs with their arguments, run on a control worker without a shell. */
  break: string[];
  /** May run again, and where nothing is broken (any more). */
  restore: string[];
  /** Longest time of each command. */
  timeoutMs: number;
  /** From the end of `break` until a trigger, a run or the guard shows it, and until the service works again. */
  detectWithinMs: number;
  recoverWithinMs: number;
}

/** Kinds that act, under the service's lock. */
export const ACTING: readonly DrillKind[] = ['full', 'rampOnly'];

/** Trouble on the other side that ends a dwell early. */
export interface AbortWhen {
  /** So many rounds in a row in which one check does not pass. */
  checksFailing: number;
  /** So many percent of all measurements within a time do not pass; `null`: not looked at. */
  errorRate: { percent: number; withinMs: number } | null;
  /** A replica is further behind, or its lag is not known, in as many rounds in a row; `null`: not looked at. */
  lagAboveMs: number | null;
}

/** What keeps a scheduled drill from beginning, besides the plan's own blockers. */
export interface BlockWhen {
  /** A trigger of the group fires, or another run is on. */
  incident: boolean;
  /** The last drill of the service has failed. */
  lastFailed: boolean;
  /** A maintenance window of the service's triggers is on. */
  maintenance: boolean;
  /** Replication lag above which it does not begin; `null`: as any planned run. */
  lagAboveMs: number | null;
}

export interface Drill {
  name: string;
  service: string;
  kind: DrillKind;
  /** Region to go to; `null` for checks: every region. */
  to: string | null;
  /** Five fields each, minute to weekday; a day must fit both of its fields. */
  crons: string[];
  timeZone: string;
  /** Time on the other side; for checks: how long they are watched. */
  dwellMs: number;
  /** Between two rounds of checks. */
  intervalMs: number;
  /** rampOnly: share of the traffic that moves, in percent. */
  percent: number;
  /** As it is written; `people` counts all the same until the service has one passed drill. */
  approvals: 'auto' | 'people';
  blackout: MaintenanceWindow[];
  blockWhen: BlockWhen;
  abortWhen: AbortWhen;
  /** Age of the last pass from which it is overdue; `null`: twice the time between its next two runs. */
  overdueAfterMs: number | null;
  /** Never two drills of one group at once; `null`: the services that depend on each other. */
  group: string | null;
  assertions: Assertion[];
  /** Always for chaos, else `null`. */
  chaos: Chaos | null;
}

type Services = Topology['services'];

/** Services that depend on each other, directly or through others, or move together; sorted, the given one among them. */
export function dependencyGroup(services: Services, name: string): string[] {
  const near = ({ name: own, group, dependsOn }: Service): string[] => [
    ...dependsOn,
    ...Object.values(services)
      .filter((other) => other.dependsOn.includes(own) || (group !== undefined && other.group === group))
      .map((other) => other.name),
  ];
  const found = new Set([name]);
  for (const one of found) for (const next of near(services[one]!)) found.add(next);
  return [...found].sort();
}

/** The name under which no two drills are on at the same time. */
export function drillGroupOf({ services }: Pick<Topology, 'services'>, { group, service }: Drill): string {
  return group ?? dependencyGroup(services, service)[0]!;
}
