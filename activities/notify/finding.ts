/**
 * What is found beside the runs, by a guard, a watch, a trigger, a halt, a comparison or a watchdog, on the channels
 * that want it: one message for the finding, and one when it is over.
 */
import { createHash } from 'node:crypto';
import {
  type Channel,
  type EmailChannel,
  type PagerDutyChannel,
  type Severity,
  type SlackChannel,
  type WebhookChannel,
  wants,
} from '../../topology/channels.ts';
import { sendMail } from './email.ts';
import { postToPagerDuty } from './pagerduty.ts';
import { callSlack } from './slack.ts';
import { deliver } from './webhook.ts';

export interface Finding {
  /** Who found it. */
  source: string;
  /** For example `twoWritable`. */
  kind: string;
  /** Empty: it is about no one service. */
  service: string;
  component: string | null;
  region: string | null;
  severity: 'critical' | 'warning' | 'info';
  state: 'opened' | 'cleared';
  message: string;
  /** The command to run first. */
  remedy: string;
  /** Milliseconds since the epoch. */
  at: number;
}

const SEVERITY: Record<Finding['severity'], Severity> = { critical: 'error', warning: 'warning', info: 'info' };

const eventOf = ({ state }: Finding): 'finding-opened' | 'finding-cleared' => `finding-${state}`;

/** The end of a finding is for whoever was told of its beginning, however harmless an end is. */
export function wantsFinding(channel: Channel, finding: Finding): boolean {
  if (channel.services.length > 0 && !channel.services.includes(finding.service)) return false;
  return wants(channel, eventOf(finding), SEVERITY[finding.severity]);
}

/** What a finding is about: the same as long as it lasts. */
export const subjectOf = ({ service, kind, component, region }: Finding): string =>
  ['rampart', service, kind, component, region].filter(Boolean).join('/');

/** What a trigger says is never taken back: each time is an alert of its own. */
const alertKey = (finding: Finding): string =>
  finding.source === 'trigger' ? `${subjectOf(finding)}/${finding.at}` : subjectOf(finding);

const titleOf = ({ service, kind, component, state }: Finding): string =>
  `${[service, component, kind].filter(Boolean).join(': ')}${state === 'cleared' ? ' is over' : ''}`;

const textOf = (finding: Finding): string =>
  [titleOf(finding), finding.message, ...(finding.state === 'opened' ? [`first: ${finding.remedy}`] : [])].join('\n');

/**
 * Tells one channel, in one attempt.
 * @param secret resolves a reference; the value leaves with the request only
 * @throws ApplicationFailure when the channel does not take it
 */
export async function tellFinding(
  channel: Channel,
  finding: Finding,
  secret: (reference: string) => Promise<string>,
  signal: AbortSignal,
): Promise<void> {
  switch (channel.type) {
    case 'slack':
      return slack(channel, finding, await secret(channel.token), signal);
    case 'pagerduty':
      return pagerDuty(channel, finding, await secret(channel.routingKey), signal);
    case 'email':
      return email(channel, finding, channel.password === undefined ? null : await secret(channel.password));
    case 'webhook':
      return webhook(channel, finding, await secret(channel.secret), signal);
  }
}

async function slack(channel: SlackChannel, finding: Finding, token: string, signal: AbortSignal): Promise<void> {
  const text = textOf(finding).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').slice(0, 3_000);
  await callSlack(channel, 'chat.postMessage', { channel: channel.channel, text, unfurl_links: false }, token, signal);
}

/** Only what is critical wakes people; its end resolves the alert. */
async function pagerDuty(
  channel: PagerDutyChannel,
  finding: Finding,
  routing_key: string,
  signal: AbortSignal,
): Promise<void> {
  const { source, kind, service, component, region, severity, state, message, remedy, at } = finding;
  const page = severity === 'critical';
  const dedup_key = alertKey(finding).slice(0, 255);
  const payload = {
    summary: `${titleOf(finding)}: ${message}`.slice(0, 1_024),
    source: service || 'rampart',
    timestamp: new Date(at).toISOString(),
    custom_details: { message, remedy, region, found_by: source },
  };
  if (!page) return postToPagerDuty(channel, '/v2/change/enqueue', { routing_key, payload }, signal);
  const what = { ...payload, severity, class: kind, component: component ?? service, group: service };
  const body = { routing_key, event_action: 'trigger', dedup_key, payload: what, client: 'Rampart' };
  const over = { routing_key, event_action: 'resolve', dedup_key };
  return postToPagerDuty(channel, '/v2/enqueue', state === 'opened' ? body : over, signal);
}

async function email(channel: EmailChannel, finding: Finding, password: string | null): Promise<void> {
  await sendMail(channel, password, {
    subject: `[Rampart] ${titleOf(finding)}`,
    text: textOf(finding),
    messageId: `<${idOf(finding)}@rampart.invalid>`,
    important: finding.severity === 'critical' && finding.state === 'opened',
  });
}

async function webhook(channel: WebhookChannel, finding: Finding, secret: string, signal: AbortSignal): Promise<void> {
  const { source, service, at, message, ...more } = finding;
  const event = {
    ...{ type: eventOf(finding), source: `/rampart/${source}`, subject: service, at },
    data: { severity: SEVERITY[finding.severity], text: message, finding: { source, service, ...more } },
  };
  await deliver(channel, idOf(finding), event, secret, Date.now(), signal);
}

/** A receiver can tell a repeat by it. */
const idOf = (finding: Finding): string =>
  createHash('sha256')
    .update(`${alertKey(finding)} ${finding.state} ${finding.at} ${finding.message}`)
    .digest('hex')
    .slice(0, 32);
