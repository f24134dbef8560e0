/** Whom Rampart tells of what, and how. Types and constants only: workflows read them too. Durations in milliseconds. */

/** What people can be told, and how bad it is unless the moment says otherwise. */
export const EVENTS = {
  'run-started': 'info',
  'run-escalated': 'warning',
  'approval-required': 'warning',
  'approval-escalated': 'error',
  'approval-granted': 'info',
  'approval-denied': 'warning',
  'approval-expired': 'warning',
  'run-paused': 'warning',
  'run-resumed': 'info',
  'run-held': 'error',
  'step-failed': 'warning',
  'weight-changed': 'info',
  'analysis-failed': 'warning',
  'analysis-inconclusive': 'warning',
  'rollback-started': 'warning',
  'rollback-completed': 'info',
  'checklist-done': 'info',
  'contract-breached': 'warning',
  'run-withdrawn': 'info',
  'run-completed': 'info',
  'run-failed': 'warning',
  'drill-passed': 'info',
  'drill-failed': 'warning',
  'finding-opened': 'warning',
  'finding-cleared': 'info',
} as const satisfies Record<string, Severity>;

export type EventName = keyof typeof EVENTS;
export type Severity = 'info' | 'warning' | 'error';
export const SEVERITIES = ['info', 'warning', 'error'] as const;

export type ChannelType = 'slack' | 'pagerduty' | 'email' | 'webhook';

export interface ChannelFilter {
  /** Empty: every event. */
  events: EventName[];
  /** The least that is told. */
  severity: Severity;
  /** Whether drills are told of as well. */
  drills: boolean;
}

interface Named extends ChannelFilter {
  name: string;
  /** Empty: every service. */
  services: string[];
}

/** Secrets are references; only the activity that sends resolves them. */
export interface SlackChannel extends Named {
  type: 'slack';
  token: string;
  /** Id of the channel, `C…`. */
  channel: string;
  /** Base of the Web API. */
  url: string;
  /** Keys of what Slack sends; none: messages have no buttons. */
  signingSecrets: string[];
  /** Who may press buttons: Slack's user id → the name by which approvals know the person. */
  approvers: Record<string, string>;
}

export interface PagerDutyChannel extends Named {
  type: 'pagerduty';
  routingKey: string;
  /** Base of the Events API. */
  url: string;
}

export interface EmailChannel extends Named {
  type: 'email';
  host: string;
  port: number;
  /** `starttls`: required; `implicit`: TLS from the first byte. */
  tls: 'starttls' | 'implicit' | 'none';
  user?: string;
  password?: string;
  from: string;
  to: string[];
}

export interface WebhookChannel extends Named {
  type: 'webhook';
  url: string;
  /** Standard Webhooks secret, `whsec_…`. */
  secret: string;
  /** Networks in CIDR notation that may be sent to although they are not public. */
  allow: string[];
}

export type Channel = SlackChannel | PagerDutyChannel | EmailChannel | WebhookChannel;

export interface Notifications {
  channels: Record<string, Channel>;
  /** A gate nobody has answered for so long is told of again, to `channels` besides those that want the event. */
  escalation: { afterMs: number[]; channels: string[] };
  /** What must be said to whom, for every run; `{service}`, `{from}`, `{to}`, `{mode}` and `{action}` are filled in. */
  checklist: string[];
}

/** As much of a channel as a run needs to know: what it wants to hear. */
export interface ChannelView extends ChannelFilter {
  name: string;
  type: ChannelType;
}

/** What a run knows of the notifications of its service. */
export interface NotifyView {
  channels: ChannelView[];
  escalation: Notifications['escalation'];
  checklist: string[];
}

/**
 * What a run of a service needs to know of the topology's notifications.
 * @returns `null` when nobody is to be told of this service, and nothing is on its checklist
 */
export function notifyViewOf(notifications: Notifications | undefined, service: string): NotifyView | null {
  if (notifications === undefined) return null;
  const channels = Object.values(notifications.channels)
    .filter(({ services }) => services.length === 0 || services.includes(service))
    .map(({ name, type, events, severity, drills }) => ({ name, type, events, severity, drills }));
  if (channels.length === 0 && notifications.checklist.length === 0) return null;
  return { channels, escalation: notifications.escalation, checklist: notifications.checklist };
}

/** Whether a channel wants to hear of an event. */
export function wants(channel: ChannelFilter, event: EventName, severity: Severity): boolean {
  if (channel.events.length > 0 && !channel.events.includes(event)) return false;
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(channel.severity);
}
