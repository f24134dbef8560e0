/** Notifications: what the file gives, brought into normal form, and what the schema cannot see of them. */
import { BlockList, isIP } from 'node:net';
import type { z } from 'zod';
import type { Channel, ChannelType, Notifications } from './channels.ts';
import type { Drafts } from './drafts.ts';
import { INVALID, isObject, type Validator } from './issues.ts';
import { channelSchemas, notificationsSchema } from './notification-schema.ts';
import type { Source } from './source.ts';
import { closest, hint } from './suggest.ts';

const MINUTE = 60_000;
const ESCALATE_AFTER_MS = [15 * MINUTE, 30 * MINUTE];
const PORTS = { starttls: 587, implicit: 465, none: 25 } as const;

/** @returns `undefined` when the file says nothing of them, or something is wrong, which is reported */
export function readNotifications(raw: unknown, validator: Validator): Notifications | undefined {
  if (raw === undefined) return undefined;
  const path = ['notifications'];
  const given = validator.fields(notificationsSchema, raw, path);
  if (given === INVALID) return undefined;
  const channels: Record<string, Channel> = {};
  for (const [name, one] of Object.entries(given.channels ?? {})) {
    const channel = readChannel(name, one, validator);
    if (channel !== undefined) channels[name] = channel;
  }
  const after = given.escalation?.after ?? ESCALATE_AFTER_MS;
  const late = after.findIndex((ms, i) => i > 0 && ms <= after[i - 1]!);
  if (late > 0) validator.report([...path, 'escalation', 'after', late], 'not_rising', 'these times must rise');
  return {
    channels,
    escalation: { afterMs: after, channels: given.escalation?.channels ?? [] },
    checklist: given.checklist ?? [],
  };
}

function readChannel(name: string, raw: unknown, validator: Validator): Channel | undefined {
  const path = ['notifications', 'channels', name];
  const type = isObject(raw) ? raw.type : undefined;
  const known = Object.keys(channelSchemas);
  if (!isObject(raw)) {
    validator.report(path, 'invalid_type', 'expected a map with type');
    return undefined;
  }
  if (type === undefined) {
    // It may be there, misspelt.
    const keys = Object.values(channelSchemas).flatMap(({ shape }) => Object.keys(shape));
    for (const key of Object.keys(raw)) if (!keys.includes(key)) validator.unknownKey(path, key, keys);
    validator.missing([...path, 'type'], `is required: one of ${known.join(', ')}`);
    return undefined;
  }
  if (typeof type !== 'string' || !known.includes(type)) {
    const near = closest(String(type), known);
    const meant = near === undefined ? '' : `; did you mean "${near}"?`;
    validator.report([...path, 'type'], 'unknown_type', `there is ${known.join(', ')}, not "${String(type)}"${meant}`);
    return undefined;
  }
  const schema = channelSchemas[type as ChannelType];
  const given = validator.fields(schema as z.ZodObject, raw, path);
  if (given === INVALID || validator.isBroken(path)) return undefined;
  const made = make(name, given as never);
  for (const [field, code, message] of problemsOf(made)) validator.report([...path, field], code, message);
  return validator.isBroken(path) ? undefined : made;
}

type Given = { [T in ChannelType]: z.output<(typeof channelSchemas)[T]> }[ChannelType];

function make(name: string, given: Given): Channel {
  const { events = [], severity = 'info', services = [], drills = false } = given;
  const common = { name, events, severity, services, drills };
  switch (given.type) {
    case 'slack': {
      const { token, channel, url = 'https://slack.com/api', signingSecret = [], approvers = {} } = given;
      const signingSecrets = typeof signingSecret === 'string' ? [signingSecret] : signingSecret;
      return { ...common, type: 'slack', token, channel, url: bare(url), signingSecrets, approvers };
    }
    case 'pagerduty': {
      const { routingKey, url = 'https://events.pagerduty.com' } = given;
      return { ...common, type: 'pagerduty', routingKey, url: bare(url) };
    }
    case 'email': {
      const { host, tls = 'starttls', port = PORTS[tls], user, password, from, to } = given;
      const login = {
        ...(user === undefined ? {} : { user }),
        ...(password === undefined ? {} : { password }),
      };
      return { ...common, type: 'email', host, port, tls, ...login, from, to: typeof to === 'string' ? [to] : to };
    }
    case 'webhook':
      return { ...common, type: 'webhook', url: given.url, secret: given.secret, allow: given.allow ?? [] };
  }
}

const bare = (url: string): string => url.replace(/\/+$/, '');

function problemsOf(channel: Channel): Array<[string, string, string]> {
  switch (channel.type) {
    case 'slack': {
      const buttons = Object.keys(channel.approvers).length > 0;
      if (buttons && channel.signingSecrets.length === 0)
        return [
          ['approvers', 'no_signing_secret', 'buttons need signingSecret: without it nobody knows who pressed them'],
        ];
      if (!buttons && channel.signingSecrets.length > 0)
        return [['signingSecret', 'no_approvers', 'buttons need approvers: who may press them, by Slack user id']];
      return [];
    }
    case 'email':
      if ((channel.user === undefined) !== (channel.password === undefined))
        return [['user' in channel ? 'user' : 'password', 'half_login', 'user and password belong together']];
      return channel.user !== undefined && channel.tls === 'none'
        ? [['tls', 'open_password', 'a password is not sent without TLS: leave tls out, or user and password']]
        : [];
    case 'webhook':
      return channel.allow
        .filter((network) => !isNetwork(network))
        .map((network) => ['allow', 'invalid_network', `"${network}" is no network; write for example 10.1.0.0/16`]);
    case 'pagerduty':
      return [];
  }
}

function isNetwork(network: string): boolean {
  const [address = '', bits = ''] = network.split('/');
  const family = isIP(address);
  try {
    new BlockList().addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4');
    return family !== 0;
  } catch {
    return false;
  }
}

/** References of notifications. */
export function checkNotifications(notifications: Notifications, drafts: Drafts, source: Source): void {
  const channels = new Set(Object.keys(notifications.channels));
  for (const channel of Object.values(notifications.channels))
    for (const [i, service] of channel.services.entries())
      if (!drafts.serviceNames.has(service))
        source.report(
          ['notifications', 'channels', channel.name, 'services', i],
          'unknown_service',
          `there is no service "${service}"${hint(service, drafts.serviceNames)}`,
        );
  for (const [i, name] of notifications.escalation.channels.entries())
    if (!channels.has(name))
      source.report(
        ['notifications', 'escalation', 'channels', i],
        'unknown_channel',
        `there is no channel "${name}"${hint(name, channels)}`,
      );
}
