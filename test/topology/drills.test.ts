/** Drills in a topology: normal form, when they are due, and what is wrong with them said where it stands. */
import { describe, expect, test } from 'vitest';
import { dependencyGroup, drillGroupOf } from '../../topology/drill.ts';
import { nextRuns } from '../../topology/drills.ts';
import type { Service } from '../../topology/model.ts';
import { parseTopology } from '../../topology/parse.ts';
import { formatProblems } from '../../topology/problem.ts';
import { BASE } from './bad-inputs.ts';
import { fakeDrivers } from './fake-drivers.ts';
import { GOOD } from './good.ts';

const parse = (text: string) => parseTopology(text, { path: 'rampart.yaml', drivers: fakeDrivers });
const iso = (dates: Date[]): string[] => dates.map((at) => at.toISOString().slice(0, 16));

describe('normal form', () => {
  const { drills, digest } = parse(GOOD).topology!;

  test('everything that is written', () => {
    expect(drills.quarterly).toEqual({
      ...{ name: 'quarterly', service: 'checkout', kind: 'full', to: 'eu-central', timeZone: 'Europe/Berlin' },
      ...{ crons: ['0 10 1-7 1,4,7,10 2'], dwellMs: 1_800_000, intervalMs: 20_000, percent: 25, approvals: 'people' },
      blackout: [{ cron: '0 0 20 12 *', durationMs: 384 * 3_600_000, timeZone: 'UTC' }],
      blockWhen: { incident: false, lastFailed: true, maintenance: true, lagAboveMs: 10_000 },
      abortWhen: { checksFailing: 2, errorRate: { percent: 20, withinMs: 120_000 }, lagAboveMs: 60_000 },
      ...{ overdueAfterMs: 2_400 * 3_600_000, group: 'shop', chaos: null },
      assertions: [{ name: 'short', expr: 'run.writeUnavailable <= duration("30s")', severity: 'warn' }],
    });
  });

  test('what is left out', () => {
    expect(drills.traffic).toEqual({
      ...{ name: 'traffic', service: 'checkout', kind: 'rampOnly', to: 'eu-central', timeZone: 'UTC' },
      ...{ crons: ['0 4 * * 1', '0 5 * * 4'], dwellMs: 600_000, intervalMs: 10_000, percent: 25, approvals: 'auto' },
      ...{ blackout: [], overdueAfterMs: null, group: null, assertions: [], chaos: null },
      blockWhen: { incident: true, lastFailed: true, maintenance: true, lagAboveMs: null },
      abortWhen: { checksFailing: 3, errorRate: null, lagAboveMs: null },
    });
    expect(drills.weekly).toMatchObject({ kind: 'checks', to: null, dwellMs: 0 });
    expect(drills.broken!.chaos).toEqual({
      ...{ break: ['/bin/break', 'eu-west'], restore: ['/bin/mend'], timeoutMs: 120_000 },
      ...{ detectWithinMs: 120_000, recoverWithinMs: 600_000 },
    });
  });

  test('no plan depends on them: they do not change the digest', () => {
    const without = parse(GOOD.slice(0, GOOD.indexOf('\ndrills:') + 1)).topology!;
    expect([without.drills, without.digest]).toEqual([{}, digest]);
  });
});

describe('when it is due', () => {
  test('a day fits both of its fields, several times are one list, in the time zone with its summer', () => {
    const from = new Date('2026-11-21T22:00:00Z');
    // The first Tuesdays of January, April and July.
    expect(iso(nextRuns(['0 10 1-7 1,4,7,10 2'], 'Europe/Berlin', from, 3))).toEqual([
      '2027-01-05T09:00',
      '2027-04-06T08:00',
      '2027-07-06T08:00',
    ]);
    expect(iso(nextRuns(['0 5 * * 4', '0 4 * * 1', '0 4 * * 1,4'], 'UTC', from, 4))).toEqual([
      '2026-11-23T04:00',
      '2026-11-26T04:00',
      '2026-11-26T05:00',
      '2026-11-30T04:00',
    ]);
  });
});

test('services that depend on each other, or move together, are drilled one at a time', () => {
  const service = (name: string, dependsOn: string[], group?: string) =>
    ({ name, dependsOn, ...(group === undefined ? {} : { group }) }) as Service;
  const all = [service('web', ['api']), service('api', []), service('db', [], 'g'), service('jobs', ['api'], 'g')];
  const services = Object.fromEntries([...all, service('alone', [])].map((one) => [one.name, one]));
  for (const { name } of all) expect(dependencyGroup(services, name)).toEqual(['api', 'db', 'jobs', 'web']);
  expect(dependencyGroup(services, 'alone')).toEqual(['alone']);
  const { drills } = parse(GOOD).topology!;
  expect(drillGroupOf({ services: { checkout: service('checkout', []) } }, drills.weekly!)).toBe('checkout');
  expect(drillGroupOf({ services }, drills.quarterly!)).toBe('shop');
});

const FULL = 'service: checkout, to: eu-central, cron: 0 4 * * 1, dwell: 1m, approvals: people';
const drill = (fields: string): string => `${BASE}drills:\n  d: {${fields}}\n`;

describe('each mistake is named at its place', () => {
  test.each<[name: string, fields: string, lines: string[]]>([
    ['nothing', FULL, ['']],
    [
      'what a full drill must say',
      'service: checkout, cron: 0 4 * * 1',
      [
        '37:3: error: drills.d.dwell: is required: how long it stays on the other side [required]',
        '37:3: error: drills.d.approvals: is required: people, or auto where nobody shall be asked [required]',
        '37:3: error: drills.d.to: is required: the region to go to [required]',
      ],
    ],
    [
      'a service that is not there',
      FULL.replace('checkout', 'chekout'),
      ['37:16: error: drills.d.service: there is no service "chekout"; did you mean "checkout"? [unknown_service]'],
    ],
    [
      'a region it cannot move to',
      FULL.replace('eu-central', 'us-east'),
      ['37:30: error: drills.d.to: checkout cannot move to "us-east"; it has eu-west, eu-central [unknown_region]'],
    ],
    [
      'a field of another kind',
      'service: checkout, kind: rehearsal, to: eu-central, cron: 0 4 * * 1, approvals: auto',
      ['37:76: error: drills.d.approvals: a drill of kind rehearsal has no approvals [wrong_field]'],
    ],
    [
      'chaos without what is broken, and without a way back',
      'service: checkout, kind: chaos, to: eu-central, cron: 0 4 * * 1, approvals: people',
      ['37:3: error: drills.d.chaos: is required: what breaks it, and what mends it [required]'],
    ],
    [
      'chaos by a text for a shell, and without a way back',
      'service: checkout, kind: chaos, to: eu-central, cron: 0 4 * * 1, approvals: people, chaos: {break: kill -9 1, detectWithin: 1m, recoverWithin: 1m}',
      [
        '37:91: error: drills.d.chaos.restore: is required [required]',
        '37:106: error: drills.d.chaos.break: expected a list, got a text [invalid_type]',
      ],
    ],
    [
      'a time with names',
      FULL.replace('0 4 * * 1', '0 4 * * MON'),
      ['37:48: error: drills.d.cron: "0 4 * * MON": only numbers, *, lists, ranges and steps [invalid_cron]'],
    ],
    [
      'a time that is none',
      FULL.replace('0 4 * * 1', '0 4 * *'),
      [
        '37:48: error: drills.d.cron: expected five fields: minute hour day month weekday, for example 0 2 * * 0 [invalid_cron]',
      ],
    ],
    [
      'a day that never comes',
      FULL.replace('0 4 * * 1', '0 4 30 2 *'),
      ['37:48: error: drills.d.cron: "0 4 30 2 *" never comes [invalid_cron]'],
    ],
    [
      'one wrong time of several',
      FULL.replace('0 4 * * 1', '[0 4 * * 1, 61 4 * * 1]'),
      ['37:60: error: drills.d.cron.1: "61 4 * * 1": CronPattern: Invalid value for minute: 61 [invalid_cron]'],
    ],
    [
      'a zone that is not there',
      `${FULL}, timeZone: Europe/Berln`,
      [
        '37:99: error: drills.d.timeZone: there is no time zone "Europe/Berln"; write for example Europe/Berlin [invalid_cron]',
      ],
    ],
    [
      'a blackout that can be read in two ways',
      `${FULL}, blackout: [{cron: 0 0 1-7 * 1, duration: 24h}]`,
      ['37:107: error: drills.d.blackout.0.cron: name the day of the month or the weekday, not both [invalid_cron]'],
    ],
    [
      'an error rate without a bound',
      `${FULL}, abortWhen: {errorRate: {within: 1m}}`,
      ['37:101: error: drills.d.abortWhen.errorRate.above: is required [required]'],
    ],
    [
      'a percent sign',
      `${FULL.replace(', dwell: 1m', '')}, kind: rampOnly, percent: 25%`,
      ['37:103: error: drills.d.percent: percent are whole numbers without a sign, for example 25 [invalid_type]'],
    ],
    [
      'a key nobody knows',
      `${FULL}, kindd: full`,
      ['37:89: error: drills.d.kindd: unknown key "kindd"; did you mean "kind"? [unknown_key]'],
    ],
  ])('%s', (_, fields, lines) => {
    expect(formatProblems(parse(drill(fields)).problems).split('\n')).toEqual(
      lines.map((line) => (line === '' ? '' : `rampart.yaml:${line}`)),
    );
  });

  test('checks of a service without checks, part of the traffic of one that writes in one place', () => {
    const base = BASE.replace('    checks: [ready]\n', '').replace('    tier:', '    writes: local\n    tier:');
    const text = `${base}drills:\n  c: {service: checkout, kind: checks, cron: 0 4 * * 1}\n  r: {service: checkout, kind: rampOnly, to: eu-central, cron: 0 4 * * 1, approvals: auto}\n`;
    expect(formatProblems(parse(text).problems)).toMatch(
      /c\.kind: checkout has no checks.*\[no_checks\]\n.*r\.kind: the app of checkout writes in one region at a time.*\[writes_local\]/,
    );
  });
});
