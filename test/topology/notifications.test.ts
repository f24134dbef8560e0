/** Notifications: normal form, and what is wrong with them said where it stands. */
import { describe, expect, test } from 'vitest';
import { notifyViewOf } from '../../topology/channels.ts';
import { parseTopology } from '../../topology/parse.ts';
import { formatProblems } from '../../topology/problem.ts';
import { BASE } from './bad-inputs.ts';
import { fakeDrivers } from './fake-drivers.ts';
import { GOOD } from './good.ts';

const parse = (text: string) => parseTopology(text, { path: 'rampart.yaml', drivers: fakeDrivers });

describe('normal form', () => {
  const { notifications, digest } = parse(GOOD).topology!;

  test('defaults are filled in, secrets stay references', () => {
    expect(notifications).toEqual({
      channels: {
        incidents: {
          ...{ name: 'incidents', type: 'slack', token: '${env:SLACK_TOKEN}', channel: 'C0123456789' },
          ...{ url: 'https://slack.com/api', signingSecrets: ['${env:SLACK_NEW}', '${env:SLACK_OLD}'] },
          approvers: { U024BE7LH: 'ana@example.com' },
          ...{ events: [], severity: 'info', services: ['checkout'], drills: true },
        },
        duty: {
          ...{ name: 'duty', type: 'pagerduty', routingKey: '${file:/run/secrets/pd}' },
          url: 'https://events.eu.pagerduty.com',
          ...{ events: ['approval-required', 'run-held', 'run-failed'], severity: 'warning' },
          ...{ services: [], drills: false },
        },
        mail: {
          ...{ name: 'mail', type: 'email', host: 'smtp.example.com', port: 587, tls: 'starttls' },
          ...{ user: 'rampart', password: '${env:SMTP_PASSWORD}', from: 'rampart@example.com' },
          to: ['ops@example.com', 'dev@example.com'],
          ...{ events: [], severity: 'info', services: [], drills: false },
        },
        hook: {
          ...{ name: 'hook', type: 'webhook', url: 'https://hooks.example.com/r', secret: '${env:HOOK}' },
          ...{ allow: ['10.1.0.0/16'], events: [], severity: 'info', services: [], drills: false },
        },
      },
      escalation: { afterMs: [600_000, 1_200_000], channels: ['duty'] },
      checklist: ['Tell support that {service} moves to {to}'],
    });
  });

  test('unanswered gates are told of again after 15 and 30 minutes; a drill tells nobody', () => {
    const short = parse(`${BASE}notifications: {channels: {hook: ${HOOK}}}\n`).topology!.notifications!;
    expect(short.escalation).toEqual({ afterMs: [900_000, 1_800_000], channels: [] });
    expect(short.channels.hook).toMatchObject({ drills: false });
  });

  test('no plan depends on them: they do not change the digest', () => {
    const without = parse(GOOD.slice(0, GOOD.indexOf('notifications:'))).topology!;
    expect(without).not.toHaveProperty('notifications');
    expect(without.digest).toBe(digest);
  });

  test('a run knows of its own channels what they want, and no reference to a secret', () => {
    const view = notifyViewOf(notifications, 'identity')!;
    expect(view.channels.map(({ name }) => name)).toEqual(['duty', 'mail', 'hook']);
    expect(JSON.stringify(view)).not.toContain('${');
    expect(notifyViewOf(undefined, 'identity')).toBeNull();
    expect(notifyViewOf({ ...notifications!, channels: {}, checklist: [] }, 'identity')).toBeNull();
  });
});

const HOOK = '{type: webhook, url: "https://h.example/", secret: "${env:H}"}';
const channel = (fields: string): string => `notifications:\n  channels:\n    a: {${fields}}\n`;
const SLACK = 'type: slack, token: "${env:T}", channel: C0123456789';
const MAIL = 'type: email, host: h, from: a@example.com, to: b@example.com';

describe('what is wrong is said where it stands', () => {
  test.each([
    ['no type', channel('url: "https://h.example/"'), 'notifications.channels.a.type: is required: one of slack, pagerduty, email, webhook [required]'],
    ['an unknown type', channel('type: slak'), 'notifications.channels.a.type: there is slack, pagerduty, email, webhook, not "slak"; did you mean "slack"? [unknown_type]'],
    ['a secret written down', channel('type: pagerduty, routingKey: R0123'), 'notifications.channels.a.routingKey: a secret must not be written here: use ${env:NAME} or ${file:/path}, which workers resolve when they need it [secret_literal]'],
    ['a key missing', channel('type: pagerduty'), 'notifications.channels.a.routingKey: is required'],
    ['an unknown key', channel(`${SLACK}, chanel: C1`), 'notifications.channels.a.chanel: unknown key "chanel"; did you mean "channel"? [unknown_key]'],
    ["a channel's name", channel('type: slack, token: "${env:T}", channel: "#incidents"'), 'notifications.channels.a.channel: expected the id of a channel, such as C0123456789: names can change'],
    ['an unknown event', channel(`${SLACK}, events: [run-hold]`), 'notifications.channels.a.events.0: expected one of'],
    ['buttons that nobody can check', channel(`${SLACK}, approvers: {U024BE7LH: ana}`), 'notifications.channels.a.approvers: buttons need signingSecret: without it nobody knows who pressed them [no_signing_secret]'],
    ['buttons that nobody may press', channel(`${SLACK}, signingSecret: "\${env:S}"`), 'notifications.channels.a.signingSecret: buttons need approvers: who may press them, by Slack user id [no_approvers]'],
    ['half a login', channel(`${MAIL}, user: x`), 'notifications.channels.a.user: user and password belong together [half_login]'],
    ['a password in the open', channel(`${MAIL}, tls: none, user: x, password: "\${env:P}"`), 'notifications.channels.a.tls: a password is not sent without TLS: leave tls out, or user and password [open_password]'],
    ['no TLS to another machine', channel('type: webhook, url: "http://h.example/", secret: "${env:H}"'), 'notifications.channels.a.url: without TLS only to this machine: expected an https:// address [invalid_url]'],
    ['a password in the address', channel('type: webhook, url: "https://u:p@h.example/", secret: "${env:H}"'), 'notifications.channels.a.url: an address holds no user or password: the secret has a field of its own [invalid_url]'],
    ['no network', channel('type: webhook, url: "https://h.example/", secret: "${env:H}", allow: [10.1.0.0/99]'), 'notifications.channels.a.allow: "10.1.0.0/99" is no network; write for example 10.1.0.0/16 [invalid_network]'],
    ['an unknown service', channel(`${SLACK}, services: [chekout]`), 'notifications.channels.a.services.0: there is no service "chekout"; did you mean "checkout"? [unknown_service]'],
    ['an unknown second group', `notifications: {channels: {hook: ${HOOK}}, escalation: {channels: [hok]}}\n`, 'notifications.escalation.channels.0: there is no channel "hok"; did you mean "hook"? [unknown_channel]'],
    ['times that do not rise', 'notifications: {escalation: {after: [30m, 15m]}}\n', 'notifications.escalation.after.1: these times must rise [not_rising]'],
    ['a name that is none', `notifications: {channels: {"A b": ${HOOK}}}\n`, 'notifications.channels.A b: "A b": a name is made of lower-case letters'],
    ['a list', 'notifications: [1]\n', 'notifications: expected a map of keys and values, got a list [invalid_type]'],
    ['a channel that is a text', 'notifications: {channels: {a: x}}\n', 'notifications.channels.a: expected a map with type [invalid_type]'],
  ])('%s', (_name, text, expected) => {
    const { topology, problems } = parse(`${BASE}${text}`);
    expect(topology).toBeUndefined();
    expect(formatProblems(problems)).toContain(expected);
    expect(problems).toHaveLength(1);
  });
}); // biome-ignore format: a table
