/** Drills: what the file gives, brought into normal form, and what the schema cannot see of them. */
import { Cron } from 'croner';
import type { z } from 'zod';
import type { Drafts } from './drafts.ts';
import { ACTING, type Chaos, type Drill, type DrillKind } from './drill.ts';
import { drillSchema } from './drill-schema.ts';
import { INVALID, type Validator } from './issues.ts';
import type { Source } from './source.ts';
import { hint } from './suggest.ts';
import { windowProblem } from './triggers.ts';

const MINUTE = 60_000;
const DEFAULTS = {
  kind: 'full',
  timeZone: 'UTC',
  intervalMs: 10_000,
  percent: 25,
  rampDwellMs: 10 * MINUTE,
  checksFailing: 3,
  errorRateWithinMs: MINUTE,
  commandMs: 2 * MINUTE,
} as const;

/** Fields that only some kinds have. */
const ONLY: Partial<Record<string, readonly DrillKind[]>> = {
  dwell: ['full', 'rampOnly', 'checks'],
  interval: ['full', 'rampOnly', 'checks', 'chaos'],
  percent: ['rampOnly'],
  approvals: [...ACTING, 'chaos'],
  chaos: ['chaos'],
  abortWhen: ['full', 'rampOnly', 'checks'],
  assertions: ACTING,
};

/** @returns `undefined` when something is wrong with it, which is reported */
export function readDrill(name: string, raw: unknown, validator: Validator): Drill | undefined {
  const path = ['drills', name];
  const given = validator.fields(drillSchema, raw, path);
  if (given === INVALID) return undefined;
  const kind = given.kind ?? DEFAULTS.kind;
  const missing = (field: string, why?: string): void => {
    if (!validator.isBroken([...path, field])) validator.missing([...path, field], why);
  };
  if (given.service === undefined) missing('service');
  if (given.cron === undefined) missing('cron', 'is required: when it is due, for example 0 10 1-7 * 2');
  if (kind !== 'checks' && given.to === undefined) missing('to', 'is required: the region to go to');
  if (kind === 'full' && given.dwell === undefined)
    missing('dwell', 'is required: how long it stays on the other side');
  if (kind === 'chaos' && given.chaos === undefined) missing('chaos', 'is required: what breaks it, and what mends it');
  if ((ACTING.includes(kind) || kind === 'chaos') && given.approvals === undefined)
    missing('approvals', 'is required: people, or auto where nobody shall be asked');
  for (const [field, kinds] of Object.entries(ONLY))
    if (given[field as keyof typeof given] !== undefined && !kinds!.includes(kind))
      validator.report([...path, field], 'wrong_field', `a drill of kind ${kind} has no ${field}`, { at: 'key' });
  if (given.abortWhen !== undefined) {
    const { errorRate, lagAbove } = given.abortWhen;
    if (errorRate !== undefined && errorRate.above === undefined)
      validator.missing([...path, 'abortWhen', 'errorRate', 'above']);
    if (lagAbove !== undefined && kind === 'checks')
      validator.report(
        [...path, 'abortWhen', 'lagAbove'],
        'wrong_field',
        'checks move nothing: no side is left behind',
        {
          at: 'key',
        },
      );
  }
  const timeZone = given.timeZone ?? DEFAULTS.timeZone;
  for (const [i, cron] of (given.cron ?? []).entries()) {
    const problem = windowProblem(cron, timeZone) ?? dueProblem(cron, timeZone);
    if (problem === null) continue;
    const field = problem.field === 'timeZone' ? ['timeZone'] : given.cron!.length === 1 ? ['cron'] : ['cron', i];
    validator.report([...path, ...field], 'invalid_cron', problem.message);
    if (problem.field === 'timeZone') break;
  }
  for (const [i, { cron, timeZone: zone }] of (given.blackout ?? []).entries()) {
    const problem = windowProblem(cron, zone ?? DEFAULTS.timeZone) ?? eitherProblem(cron);
    if (problem !== null) validator.report([...path, 'blackout', i, problem.field], 'invalid_cron', problem.message);
  }
  if (validator.isBroken(path) || given.service === undefined || given.cron === undefined) return undefined;
  const { errorRate } = given.abortWhen ?? {};
  return {
    name,
    service: given.service,
    kind,
    to: given.to ?? null,
    crons: given.cron,
    timeZone,
    dwellMs: given.dwell ?? (kind === 'rampOnly' ? DEFAULTS.rampDwellMs : 0),
    intervalMs: given.interval ?? DEFAULTS.intervalMs,
    percent: given.percent ?? DEFAULTS.percent,
    approvals: given.approvals ?? 'people',
    blackout: (given.blackout ?? []).map(({ cron, duration, timeZone: zone }) => ({
      cron,
      durationMs: duration,
      timeZone: zone ?? DEFAULTS.timeZone,
    })),
    blockWhen: {
      incident: given.blockWhen?.incident ?? true,
      lastFailed: given.blockWhen?.lastFailed ?? true,
      maintenance: given.blockWhen?.maintenance ?? true,
      lagAboveMs: given.blockWhen?.lagAbove ?? null,
    },
    abortWhen: {
      checksFailing: given.abortWhen?.checksFailing ?? DEFAULTS.checksFailing,
      errorRate:
        errorRate?.above === undefined
          ? null
          : { percent: errorRate.above, withinMs: errorRate.within ?? DEFAULTS.errorRateWithinMs },
      lagAboveMs: given.abortWhen?.lagAbove ?? null,
    },
    overdueAfterMs: given.overdueAfter ?? null,
    group: given.group ?? null,
    assertions: given.assertions ?? [],
    chaos: given.chaos === undefined ? null : chaosOf(given.chaos),
  };
}

function chaosOf({ timeout, detectWithin, recoverWithin, ...commands }: ChaosGiven): Chaos {
  const within = { detectWithinMs: detectWithin, recoverWithinMs: recoverWithin };
  return { ...commands, timeoutMs: timeout ?? DEFAULTS.commandMs, ...within };
}

type ChaosGiven = NonNullable<z.output<typeof drillSchema>['chaos']>;

/** Characters that Temporal Schedules read as croner does; `L`, `W`, `#` and names differ or are unknown there. */
const PLAIN = /^[\d*,/\s-]+$/;

function dueProblem(cron: string, timeZone: string): { field: 'cron'; message: string } | null {
  if (!PLAIN.test(cron)) return { field: 'cron', message: `"${cron}": only numbers, *, lists, ranges and steps` };
  if (nextRuns([cron], timeZone, new Date(), 1).length === 0)
    return { field: 'cron', message: `"${cron}" never comes: no day fits both its day and its weekday` };
  return null;
}

/** Times of windows fit either field of a day, those of drills both: where it makes a difference it is not to be guessed. */
function eitherProblem(cron: string): { field: 'cron'; message: string } | null {
  const [, , day, , weekday] = cron.trim().split(/\s+/);
  if (day === '*' || weekday === '*') return null;
  return { field: 'cron', message: 'name the day of the month or the weekday, not both' };
}

/**
 * When it is due next, as the schedules of Temporal see it: a day must fit both of its fields.
 * @param count most times
 * @returns sorted, each once
 */
export function nextRuns(crons: readonly string[], timeZone: string, from: Date, count: number): Date[] {
  const all = crons.flatMap((cron) => new Cron(cron, { timezone: timeZone, domAndDow: true }).nextRuns(count, from));
  const times = [...new Set(all.map((at) => at.getTime()))].sort((a, b) => a - b);
  return times.slice(0, count).map((at) => new Date(at));
}

/** References of drills. */
export function checkDrills(drills: ReadonlyMap<string, Drill>, drafts: Drafts, source: Source): void {
  for (const { name, service: wanted, to, kind } of drills.values()) {
    const say = (field: string, code: string, message: string): void =>
      source.report(['drills', name, field], code, message);
    if (!drafts.serviceNames.has(wanted)) {
      say('service', 'unknown_service', `there is no service "${wanted}"${hint(wanted, drafts.serviceNames)}`);
      continue;
    }
    const service = drafts.services.get(wanted);
    if (service === undefined) continue;
    const regions = [service.home, ...service.standby].filter((region) => region !== undefined);
    if (to !== null && !regions.includes(to))
      say('to', 'unknown_region', `${wanted} cannot move to "${to}"; it has ${regions.join(', ')}`);
    if ((kind === 'checks' || kind === 'chaos') && service.checks.length === 0)
      say('kind', 'no_checks', `${wanted} has no checks: nothing could tell whether it works`);
    if (kind === 'rampOnly' && service.writes === 'local')
      say(
        'kind',
        'writes_local',
        `the app of ${wanted} writes in one region at a time: part of its traffic cannot move`,
      );
  }
}
