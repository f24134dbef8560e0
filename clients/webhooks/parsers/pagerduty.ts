/** PagerDuty, version 3 of its webhooks: one event of one incident a message. */
import type { AlertStatus } from '../../../topology/alerts.ts';
import {
  alertOf,
  field,
  firstText,
  labelsOf,
  type Message,
  type Parsed,
  textOf,
  timeOf,
  unreadable,
  urlOf,
} from '../message.ts';

const OPEN = ['triggered', 'acknowledged', 'unacknowledged', 'reopened', 'escalated', 'delegated', 'reassigned'];

export function parsePagerDuty(message: Message): Parsed {
  const event = field(message.body, 'event');
  const type = textOf(field(event, 'event_type'));
  const delivery = textOf(field(event, 'id'));
  if (type === null || delivery === null) return unreadable('the body has no `event` with `id` and `event_type`');
  const data = field(event, 'data');
  // Notes, responders and tests belong to an incident or to none, but say nothing about whether it is open.
  const status = statusOfEvent(type, field(data, 'status'));
  if (status === null) return { alerts: [], problem: null };
  const id = textOf(field(data, 'id'));
  if (id === null) return unreadable('event.data has no `id` of an incident');
  return {
    alerts: [
      alertOf(message, {
        ...{ key: id, delivery, status },
        startsAt: timeOf(field(data, 'created_at')),
        labels: labelsOf({
          service: field(data, 'service', 'summary'),
          service_id: field(data, 'service', 'id'),
          incident_key: field(data, 'incident_key'),
          urgency: field(data, 'urgency'),
          priority: field(data, 'priority', 'summary'),
        }),
        annotations: labelsOf({ title: field(data, 'title'), event: type }),
        severity: firstText(field(data, 'priority', 'summary'), field(data, 'urgency')),
        url: urlOf(field(data, 'html_url')),
      }),
    ],
    problem: null,
  };
}

function statusOfEvent(type: string, status: unknown): AlertStatus | null {
  const [kind, what = ''] = type.split('.', 2);
  if (kind !== 'incident') return null;
  if (what === 'resolved') return 'resolved';
  if (OPEN.includes(what)) return 'firing';
  if (status === 'resolved') return 'resolved';
  return status === 'triggered' || status === 'acknowledged' ? 'firing' : null;
}
