/** Alert sources and triggers: what the file gives, brought into normal form, and what the schema cannot see of them. */
import { Cron } from 'croner';
import type { z } from 'zod';
import { alertSourceSchema, triggerSchema } from './alert-schema.ts';
import type { AlertSource, SourceAuth, Trigger } from './alerts.ts';
import type { Drafts } from './drafts.ts';
import { INVALID, type Validator } from './issues.ts';
import { mappingProblems } from './mapping.ts';
import type { Source } from './source.ts';
import { hint } from './suggest.ts';
import { OWN_SOURCES } from './watches.ts';

/** Types whose messages may be each sender's own. */
const MAPPED = ['generic', 'standardWebhooks', 'cloudEvents'];

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DEFAULTS = {
  action: 'failover',
  runMode: 'unplanned',
  mode: 'propose',
  quorum: { atLeast: 1, withinMs: 5 * MINUTE },
  times: { atLeast: 1, withinMs: 5 * MINUTE },
  forMs: 0,
  cooldownMs: HOUR,
  maxPerDay: 3,
  correlateMs: 15 * MINUTE,
  flapping: { changes: 6, withinMs: 30 * MINUTE },
} as const;

/** @returns `undefined` when something is wrong with it, which is reported */
export function readAlertSource(name: string, raw: unknown, validator: Validator): AlertSource | undefined {
  const path = ['alertSources', name];
  const given = validator.fields(alertSourceSchema, raw, path);
  if (given === INVALID) return undefined;
  const say = (field: string, code: string, message: string): undefined => {
    if (!validator.isBroken([...path, field])) validator.report([...path, field], code, message);
  };
  if (OWN_SOURCES.includes(name))
    validator.report(path, 'reserved_name', `"${name}" is Rampart's own source`, { at: 'key' });
  const { type, topics, map } = given;
  if (type === undefined) {
    if (!validator.isBroken([...path, 'type'])) validator.missing([...path, 'type']);
    return undefined;
  }
  if (type === 'sns') {
    if (given.auth !== undefined)
      say('auth', 'no_auth', 'Amazon SNS signs with its own certificate: leave auth out, and name its topics');
    if (topics === undefined && !validator.isBroken([...path, 'topics']))
      validator.missing([...path, 'topics'], 'is required: the ARNs of the topics that may send');
  } else if (given.auth === undefined && !validator.isBroken([...path, 'auth']))
    validator.missing([...path, 'auth'], 'is required: how the sender proves who it is');
  if (type !== 'sns' && topics !== undefined) say('topics', 'wrong_field', `only sns has topics, not ${type}`);
  if (type !== 'sns' && given.insufficientData !== undefined)
    say('insufficientData', 'wrong_field', `only sns carries CloudWatch alarms, not ${type}`);
  if (type === 'generic' && map === undefined && !validator.isBroken([...path, 'map']))
    validator.missing([...path, 'map'], 'is required: what each field of an alert is in the body');
  if (!MAPPED.includes(type) && map !== undefined)
    say('map', 'wrong_field', `${type} has a form of its own: use generic to map fields`);
  for (const problem of mappingProblems(map ?? {}))
    validator.report([...path, 'map', ...problem.path], 'invalid_expression', problem.message);
  if (validator.isBroken(path)) return undefined;
  return {
    name,
    type,
    auth: type === 'sns' ? { kind: 'sns', topics: topics ?? [] } : authOf(given.auth ?? 'none'),
    ...(map === undefined ? {} : { map: { ...map, labels: map.labels ?? {} } as AlertSource['map'] & object }),
    ...(given.insufficientData === undefined ? {} : { insufficientData: given.insufficientData }),
  };
}

function authOf(given: NonNullable<z.output<typeof alertSourceSchema>['auth']>): SourceAuth {
  if (given === 'none') return { kind: 'none' };
  const { bearer, basic, header, hmac, path } = given;
  if (bearer !== undefined) return { kind: 'bearer', secrets: bearer };
  if (basic !== undefined) return { kind: 'basic', user: basic.user, secrets: basic.password };
  if (header !== undefined) return { kind: 'header', header: header.name, secrets: header.value };
  if (hmac !== undefined)
    return {
      ...{ kind: 'hmac', secrets: hmac.secret },
      ...{ header: hmac.header ?? null, timestampHeader: hmac.timestampHeader ?? null },
    };
  return { kind: 'path', secrets: path ?? [] };
}

/** @returns `undefined` when something is wrong with it, which is reported */
export function readTrigger(name: string, raw: unknown, validator: Validator): Trigger | undefined {
  const path = ['triggers', name];
  const given = validator.fields(triggerSchema, raw, path);
  if (given === INVALID) return undefined;
  for (const field of ['service', 'when'] as const)
    if (given[field] === undefined && !validator.isBroken([...path, field])) validator.missing([...path, field]);
  const moves = ['failover', 'trafficRamp'].includes(given.action ?? 'failover');
  if (moves && given.to === undefined && !validator.isBroken([...path, 'to']))
    validator.missing(
      [...path, 'to'],
      'is required: the region to go to; an alert about one region must never move a service into it',
    );
  for (const [i, one] of (given.maintenance ?? []).entries()) {
    const problem = windowProblem(one.cron, one.timeZone ?? 'UTC');
    if (problem !== null) validator.report([...path, 'maintenance', i, problem.field], 'invalid_cron', problem.message);
  }
  for (const [i, { labels }] of (given.when ?? []).entries())
    for (const [label, value] of Object.entries(labels ?? {})) {
      const problem = patternProblem(value);
      if (problem !== null) validator.report([...path, 'when', i, 'labels', label], 'invalid_pattern', problem);
    }
  for (const field of ['to', 'runMode', 'mode'] as const)
    if (!moves && given[field] !== undefined)
      validator.report([...path, field], 'wrong_field', `${given.action} moves nothing: it has no ${field}`, {
        at: 'key',
      });
  if (validator.isBroken(path) || given.service === undefined || given.when === undefined) return undefined;
  const counted = (of: { atLeast: number; within: number } | undefined, base: Trigger['quorum']): Trigger['quorum'] =>
    of === undefined ? base : { atLeast: of.atLeast, withinMs: of.within };
  return {
    name,
    service: given.service,
    action: given.action ?? DEFAULTS.action,
    ...(given.to === undefined ? {} : { to: given.to }),
    runMode: given.runMode ?? DEFAULTS.runMode,
    mode: given.mode ?? DEFAULTS.mode,
    when: given.when.map(({ source, labels }) => ({ source, labels: labels ?? {} })),
    quorum: counted(given.quorum, DEFAULTS.quorum),
    times: counted(given.times, DEFAULTS.times),
    forMs: given.for ?? DEFAULTS.forMs,
    cooldownMs: given.cooldown ?? DEFAULTS.cooldownMs,
    maxPerDay: given.maxPerDay ?? DEFAULTS.maxPerDay,
    flapping:
      given.flapping === undefined
        ? DEFAULTS.flapping
        : { changes: given.flapping.changes, withinMs: given.flapping.within },
    correlateMs: given.correlate ?? DEFAULTS.correlateMs,
    maintenance: (given.maintenance ?? []).map(({ cron, duration, timeZone }) => ({
      cron,
      durationMs: duration,
      timeZone: timeZone ?? 'UTC',
    })),
  };
}

/** What is wrong with a time that comes again and again; `null`: nothing. */
export function windowProblem(cron: string, timeZone: string): { field: 'cron' | 'timeZone'; message: string } | null {
  if (cron.trim().split(/\s+/).length !== 5)
    return { field: 'cron', message: 'expected five fields: minute hour day month weekday, for example 0 2 * * 0' };
  try {
    new Intl.DateTimeFormat('en', { timeZone });
  } catch {
    return { field: 'timeZone', message: `there is no time zone "${timeZone}"; write for example Europe/Berlin` };
  }
  try {
    if (new Cron(cron, { timezone: timeZone }).nextRun() === null)
      return { field: 'cron', message: `"${cron}" never comes` };
  } catch (error) {
    return { field: 'cron', message: `"${cron}": ${error instanceof Error ? error.message : String(error)}` };
  }
  return null;
}

function patternProblem(value: string): string | null {
  if (!/^\/.*\/$/s.test(value)) return null;
  try {
    new RegExp(value.slice(1, -1));
    return null;
  } catch (error) {
    return `no regular expression: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** References of triggers, and whether what they ask for can come. */
export function checkTriggers(
  triggers: ReadonlyMap<string, Trigger>,
  sources: ReadonlySet<string>,
  drafts: Drafts,
  source: Source,
): void {
  for (const trigger of triggers.values()) {
    const path = ['triggers', trigger.name];
    const say = (field: Array<string | number>, code: string, message: string, severity?: 'warning'): void =>
      source.report([...path, ...field], code, message, severity === undefined ? {} : { severity });
    if (!drafts.serviceNames.has(trigger.service))
      say(
        ['service'],
        'unknown_service',
        `there is no service "${trigger.service}"${hint(trigger.service, drafts.serviceNames)}`,
      );
    const service = drafts.services.get(trigger.service);
    if (trigger.to !== undefined && service !== undefined && ![service.home, ...service.standby].includes(trigger.to)) {
      const regions = [service.home, ...service.standby].filter((region) => region !== undefined);
      say(['to'], 'unknown_region', `${trigger.service} cannot move to "${trigger.to}"; it has ${regions.join(', ')}`);
    }
    for (const [i, { source: name }] of trigger.when.entries())
      if (!OWN_SOURCES.includes(name) && !sources.has(name))
        say(['when', i, 'source'], 'unknown_source', `there is no alert source "${name}"${hint(name, sources)}`);
    const different = new Set(trigger.when.map((one) => one.source)).size;
    if (trigger.quorum.atLeast > different)
      say(
        ['quorum', 'atLeast'],
        'quorum_unreachable',
        `${trigger.quorum.atLeast} different sources can never agree: \`when\` names ${different}`,
      );
    if (trigger.mode === 'execute' && trigger.quorum.atLeast < 2)
      say(
        ['mode'],
        'execute_without_quorum',
        'one source alone starts a run that nobody is asked about: name a quorum of at least two, or propose',
        'warning',
      );
  }
}
