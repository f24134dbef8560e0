/** Alert sources and triggers: normal form, and what is wrong with them said where it stands. */
import { describe, expect, test } from 'vitest';
import { parseTopology } from '../../topology/parse.ts';
import { formatProblems } from '../../topology/problem.ts';
import { BASE } from './bad-inputs.ts';
import { fakeDrivers } from './fake-drivers.ts';
import { GOOD } from './good.ts';

const parse = (text: string) => parseTopology(text, { path: 'rampart.yaml', drivers: fakeDrivers });

describe('normal form', () => {
  const { alertSources, triggers, digest } = parse(GOOD).topology!;

  test('a sender proves itself in one way, with several secrets at once', () => {
    expect(alertSources.grafana!.auth).toEqual({
      kind: 'hmac',
      secrets: ['${env:GRAFANA_NEW}', '${env:GRAFANA_OLD}'],
      header: null,
      timestampHeader: 'X-Grafana-Alerting-Timestamp',
    });
    expect(alertSources.alertmanager!.auth).toEqual({ kind: 'bearer', secrets: ['${env:AM_TOKEN}'] });
    expect(alertSources.alarms!.auth).toEqual({ kind: 'sns', topics: ['arn:aws:sns:eu-west-1:123456789012:alarms'] });
    expect(alertSources.local!.auth).toEqual({ kind: 'none' });
  });

  test('a trigger proposes an unplanned failover unless it says otherwise', () => {
    const short = parse(`${BASE}${SOURCE}triggers:\n  t: {service: checkout, to: eu-central, when: [{source: am}]}\n`)
      .topology!;
    expect(short.triggers.t).toEqual({
      ...{
        name: 't',
        service: 'checkout',
        to: 'eu-central',
        action: 'failover',
        runMode: 'unplanned',
        mode: 'propose',
      },
      when: [{ source: 'am', labels: {} }],
      quorum: { atLeast: 1, withinMs: 300_000 },
      times: { atLeast: 1, withinMs: 300_000 },
      ...{ forMs: 0, cooldownMs: 3_600_000, maxPerDay: 3, correlateMs: 900_000, maintenance: [] },
      flapping: { changes: 6, withinMs: 1_800_000 },
    });
    expect(triggers['eu-west-down']).toMatchObject({
      ...{ mode: 'execute', runMode: 'planned', to: 'eu-central', forMs: 180_000 },
      maintenance: [{ cron: '0 2 * * 0', durationMs: 7_200_000, timeZone: 'Europe/Berlin' }],
    });
  });

  test('no plan depends on them: they do not change the digest', () => {
    const without = parse(GOOD.slice(0, GOOD.indexOf('alertSources:'))).topology!;
    expect(without.triggers).toEqual({});
    expect(without.digest).toBe(digest);
  });
});

const SOURCE = 'alertSources:\n  am: {type: alertmanager, auth: {bearer: "${env:AM}"}}\n';
const trigger = (fields: string): string =>
  `${SOURCE}triggers:\n  t: {service: checkout, ${fields}${/to:|page/.test(fields) ? '' : ', to: eu-central'}}\n`;
const source = (fields: string): string => `alertSources:\n  am: {${fields}}\n`;

describe('each mistake is named at its place', () => {
  test.each<[name: string, text: string, line: string]>([
    [
      'no way to prove who sends',
      source('type: grafana'),
      '37:3: error: alertSources.am.auth: is required: how the sender proves who it is [required]',
    ],
    [
      'two ways at once',
      source('type: grafana, auth: {bearer: "${env:A}", path: "${env:B}"}'),
      '37:23: error: alertSources.am.auth: name exactly one of bearer, basic, header, hmac, path [auth_ways]',
    ],
    [
      'a literal secret',
      source('type: grafana, auth: {bearer: hunter2}'),
      '37:38: error: alertSources.am.auth.bearer: a secret must not be written here: use ${env:NAME} or ${file:/path}, which workers resolve when they need it [secret_literal]',
    ],
    [
      'a topic list that is missing',
      source('type: sns'),
      '37:3: error: alertSources.am.topics: is required: the ARNs of the topics that may send [required]',
    ],
    [
      'a secret for a sender that signs by itself',
      source('type: sns, topics: ["arn:aws:sns:eu-west-1:123456789012:a"], auth: none'),
      '37:75: error: alertSources.am.auth: Amazon SNS signs with its own certificate: leave auth out, and name its topics [no_auth]',
    ],
    [
      'no mapping',
      source('type: generic, auth: none'),
      '37:3: error: alertSources.am.map: is required: what each field of an alert is in the body [required]',
    ],
    [
      'an expression that names nothing',
      source('type: generic, auth: none, map: {status: bdy.state, key: body.id}'),
      '37:49: error: alertSources.am.map.status: Unknown variable: bdy (at character 1) [invalid_expression]',
    ],
    [
      'a label by an expression that gives no text',
      source("type: generic, auth: none, map: {status: body.s, key: body.id, labels: {a: '[1]'}}"),
      '37:83: error: alertSources.am.map.labels.a: gives list<int>, and one text or number is needed [invalid_expression]',
    ],
    [
      'an entry of a list that is not named',
      source('type: generic, auth: none, map: {status: body.s, key: item.id}'),
      '37:62: error: alertSources.am.map.key: Unknown variable: item (at character 1) [invalid_expression]',
    ],
    [
      'a kind nobody knows',
      source('type: alertmanger, auth: none'),
      '37:14: error: alertSources.am.type: expected one of "alertmanager", "grafana", "pagerduty", "sns", "standardWebhooks", "cloudEvents", "generic", got "alertmanger"; did you mean "alertmanager"? [invalid_value]',
    ],
    [
      "Rampart's own name",
      'alertSources:\n  guard: {type: grafana, auth: none}\n',
      '37:3: error: alertSources.guard: "guard" is Rampart\'s own source [reserved_name]',
    ],
    [
      'a move to nowhere',
      trigger('when: [{source: am}]').replace(', to: eu-central', ''),
      '39:3: error: triggers.t.to: is required: the region to go to; an alert about one region must never move a service into it [required]',
    ],
    [
      'a service that is not there',
      trigger('when: [{source: am}]').replace('checkout', 'chekout'),
      '39:16: error: triggers.t.service: there is no service "chekout"; did you mean "checkout"? [unknown_service]',
    ],
    [
      'a source that is not there',
      trigger('when: [{source: an}]'),
      '39:42: error: triggers.t.when.0.source: there is no alert source "an"; did you mean "am"? [unknown_source]',
    ],
    [
      'a region it cannot move to',
      trigger('to: us-east, when: [{source: am}]'),
      '39:30: error: triggers.t.to: checkout cannot move to "us-east"; it has eu-west, eu-central [unknown_region]',
    ],
    [
      'a quorum that cannot come',
      trigger('quorum: {atLeast: 2, within: 1m}, when: [{source: am}, {source: am}]'),
      '39:44: error: triggers.t.quorum.atLeast: 2 different sources can never agree: `when` names 1 [quorum_unreachable]',
    ],
    [
      'a run nobody is asked about',
      trigger('mode: execute, when: [{source: am}]'),
      '39:32: warning: triggers.t.mode: one source alone starts a run that nobody is asked about: name a quorum of at least two, or propose [execute_without_quorum]',
    ],
    [
      'a page with somewhere to go',
      trigger('action: page, to: eu-central, when: [{source: am}]'),
      '39:40: error: triggers.t.to: page moves nothing: it has no to [wrong_field]',
    ],
    [
      'a window that is no time',
      trigger('when: [{source: am}], maintenance: [{cron: 0 2 * *, duration: 2h}]'),
      '39:69: error: triggers.t.maintenance.0.cron: expected five fields: minute hour day month weekday, for example 0 2 * * 0 [invalid_cron]',
    ],
    [
      'a zone that is not there',
      trigger('when: [{source: am}], maintenance: [{cron: 0 2 * * 0, duration: 2h, timeZone: Europe/Berln}]'),
      '39:104: error: triggers.t.maintenance.0.timeZone: there is no time zone "Europe/Berln"; write for example Europe/Berlin [invalid_cron]',
    ],
    [
      'a pattern that is none',
      trigger('when: [{source: am, labels: {a: "/(/"}}]'),
      '39:58: error: triggers.t.when.0.labels.a: no regular expression: Invalid regular expression: /(/: Unterminated group [invalid_pattern]',
    ],
  ])('%s', (_, text, line) => {
    expect(formatProblems(parse(BASE + text).problems).split('\n')).toEqual([`rampart.yaml:${line}`]);
  });
});
