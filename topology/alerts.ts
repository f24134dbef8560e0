/** Who may tell Rampart that something is wrong, and what follows from it. Types only. Durations in milliseconds. */

export type AlertSourceType =
  | 'alertmanager'
  | 'grafana'
  | 'pagerduty'
  | 'sns'
  | 'standardWebhooks'
  | 'cloudEvents'
  | 'generic';

/** How a source proves who it is. Secrets are references; several are accepted at once, so that they can be rotated. */
export type SourceAuth =
  /** `Authorization: Bearer …` */
  | { kind: 'bearer'; secrets: string[] }
  | { kind: 'basic'; user: string; secrets: string[] }
  /** A shared secret in a header of its own, for example `cf-webhook-auth`. */
  | { kind: 'header'; header: string; secrets: string[] }
  /**
   * HMAC-SHA256 over the raw body; with `timestampHeader` over `<timestamp>:<body>`, as Grafana does it. PagerDuty,
   * Grafana and Standard Webhooks have their own headers, which need no names here.
   */
  | { kind: 'hmac'; secrets: string[]; header: string | null; timestampHeader: string | null }
  /** The last part of the URL's path, for senders that can send no header. */
  | { kind: 'path'; secrets: string[] }
  /** The sender's own certificate (Amazon SNS), for these topics. */
  | { kind: 'sns'; topics: string[] }
  /** Nothing: only for a listener on loopback. */
  | { kind: 'none' };

/** CEL expressions over `body` (the parsed JSON) and `headers` (lower-case names); each gives one field of the alert. */
export interface AlertMapping {
  /** A list; each of its entries is then one alert, as `item`. Absent: the body is one alert. */
  each?: string;
  /** `"firing"`, `"resolved"` or anything else, which is unknown. */
  status: string;
  /** What is wrong: the same from firing to resolved. */
  key: string;
  /** The same for every attempt to deliver the same message; absent: the sender does not number its messages. */
  delivery?: string;
  /** RFC 3339, or seconds or milliseconds since the epoch. */
  startsAt?: string;
  severity?: string;
  url?: string;
  /** Label by label. */
  labels: Record<string, string>;
}

export interface AlertSource {
  name: string;
  type: AlertSourceType;
  auth: SourceAuth;
  /** Always for `generic`; possible for `standardWebhooks` and `cloudEvents`, whose events are each sender's own. */
  map?: AlertMapping;
  /** CloudWatch: what an alarm without data means; absent: `unknown`. */
  insufficientData?: AlertStatus;
}

export type AlertStatus = 'firing' | 'resolved' | 'unknown';

/** An alert as every source is brought to one form. */
export interface Alert {
  /** Name of the source in the topology. */
  source: string;
  /**
   * The same for every attempt to deliver the same alert of the same message; `null` when the sender does not number its messages
   * (Alertmanager, Grafana): they tell a state, word for word the same when it comes back. A repeat is then only what
   * says what was known last of the same key; an alert that fires again after it was resolved may have its old `startsAt`.
   */
  delivery: string | null;
  /** What is wrong, within its source: the same from firing to resolved. */
  key: string;
  status: AlertStatus;
  /** Since when, milliseconds since the epoch; `null` when it does not say. */
  startsAt: number | null;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  severity: string | null;
  /** Where people look. */
  url: string | null;
  /** When Rampart got it, milliseconds since the epoch. */
  receivedAt: number;
}

/** Alerts of one source with these labels. A value between slashes is a regular expression over the whole label. */
export interface AlertMatch {
  source: string;
  labels: Record<string, string>;
}

export type TriggerAction = 'failover' | 'trafficRamp' | 'halt' | 'page';

export interface MaintenanceWindow {
  /** Five fields, minute to weekday. */
  cron: string;
  timeZone: string;
  durationMs: number;
}

/** What follows when alerts say that something is wrong. */
export interface Trigger {
  name: string;
  service: string;
  action: TriggerAction;
  /** Region to go to; always there for what moves. */
  to?: string;
  /** Mode of the run; absent: `unplanned`, because an alert is about something that is broken. */
  runMode: 'planned' | 'unplanned';
  /** `propose`: somebody must approve, whatever the policy says; `execute`: the service's own approvals decide. */
  mode: 'propose' | 'execute';
  when: AlertMatch[];
  /** So many of the sources in `when` must be firing at the same time, within `withinMs` of each other. */
  quorum: { atLeast: number; withinMs: number };
  /** So often an alert must have been sent in a time (a check that sends each failure); 1: once. */
  times: { atLeast: number; withinMs: number };
  /** It must stay so for this long. */
  forMs: number;
  /** After a run, nothing follows for this long. */
  cooldownMs: number;
  /** Most runs in 24 hours. */
  maxPerDay: number;
  /** So many changes in a time hold the automation until it has been calm for that time. */
  flapping: { changes: number; withinMs: number };
  /** Alerts of one incident come within this time of the run; what comes later may be another, and people are told. */
  correlateMs: number;
  maintenance: MaintenanceWindow[];
}
