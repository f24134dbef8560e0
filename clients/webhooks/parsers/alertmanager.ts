/** Alertmanager, version 4 of its webhook; Grafana's alerting sends the same with more. */
import type { Alert } from '../../../topology/alerts.ts';
import {
  alertOf,
  annotationsOf,
  digestOf,
  type Fields,
  field,
  firstText,
  isFields,
  labelsOf,
  type Message,
  MOST_ALERTS,
  type Parsed,
  statusOf,
  textOf,
  timeOf,
  unreadable,
  urlOf,
} from '../message.ts';

/** What a sender of this form does in its own way. */
export interface GroupDialect {
  key(alert: Fields, labels: Record<string, string>, body: Fields): string;
  url(alert: Fields, body: Fields): string | null;
}

const ALERTMANAGER: GroupDialect = {
  key: (alert, labels) => textOf(alert.fingerprint) ?? labelsKey(labels),
  url: (alert, body) => urlOf(alert.generatorURL, body.externalURL),
};

export function parseAlertmanager(message: Message): Parsed {
  return parseGroup(message, ALERTMANAGER);
}

/** The identity of an alert without a fingerprint: its labels, in any order. */
export function labelsKey(labels: Record<string, string>): string {
  return digestOf(
    ...Object.keys(labels)
      .sort()
      .flatMap((name) => [name, labels[name]!]),
  );
}

/**
 * One alert for each in the list, and one for the group when the list is not all of it or all of it is resolved: what is
 * left out of the list may be the one that fires.
 */
export function parseGroup(message: Message, dialect: GroupDialect): Parsed {
  const { body } = message;
  if (!isFields(body)) return unreadable('the body is no JSON object');
  const listed = body.alerts;
  if (!Array.isArray(listed)) return unreadable('the body has no list `alerts`');
  const alerts: Alert[] = [];
  let problem: string | null = null;
  for (const [i, entry] of listed.slice(0, MOST_ALERTS).entries()) {
    if (!isFields(entry) || !isFields(entry.labels)) {
      problem ??= `alerts[${i}] has no labels`;
      continue;
    }
    const labels = labelsOf(entry.labels);
    alerts.push(
      alertOf(message, {
        key: dialect.key(entry, labels, body),
        status: statusOf(entry.status ?? body.status),
        startsAt: timeOf(entry.startsAt),
        labels,
        annotations: annotationsOf(entry.annotations),
        severity: firstText(field(entry.labels, 'severity')),
        url: dialect.url(entry, body),
      }),
    );
  }
  if (hiddenBy(body) > 0 || listed.length > MOST_ALERTS || body.status === 'resolved')
    alerts.push(groupAlert(message, body));
  return { alerts, problem };
}

/** How many alerts the sender left out of its list. */
const hiddenBy = ({ truncatedAlerts }: Fields): number => (typeof truncatedAlerts === 'number' ? truncatedAlerts : 0);

function groupAlert(message: Message, body: Fields): Alert {
  const labels = { ...labelsOf(body.commonLabels), ...labelsOf(body.groupLabels) };
  const hidden = hiddenBy(body);
  return alertOf(message, {
    key: `group ${textOf(body.groupKey) ?? labelsKey(labelsOf(body.groupLabels))}`,
    status: statusOf(body.status),
    labels,
    annotations: {
      ...annotationsOf(body.commonAnnotations),
      ...(hidden > 0 ? { truncatedAlerts: String(hidden) } : {}),
    },
    severity: firstText(labels.severity),
    url: urlOf(body.externalURL),
  });
}
