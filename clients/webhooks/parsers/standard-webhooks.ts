/** Standard Webhooks: `{type, timestamp, data}`, and the message's ID in a header that is signed. */
import {
  alertOf,
  annotationsOf,
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
import { keyOf, readEvent } from './events.ts';

export function parseStandardWebhooks(message: Message): Parsed {
  const { body } = message;
  const type = textOf(field(body, 'type'));
  if (type === null) return unreadable('the body has no `type`');
  const data = field(body, 'data');
  const { status, subject } = readEvent(type, data);
  return {
    alerts: [
      alertOf(message, {
        key: keyOf(data) ?? firstText(field(data, 'id')) ?? subject,
        delivery: message.header('webhook-id'),
        status,
        startsAt: timeOf(field(data, 'startsAt')) ?? (status === 'firing' ? timeOf(field(body, 'timestamp')) : null),
        labels: { ...labelsOf(field(data, 'labels')), ...labelsOf({ type }) },
        annotations: annotationsOf(field(data, 'annotations')),
        severity: firstText(field(data, 'severity'), field(data, 'labels', 'severity')),
        url: urlOf(field(data, 'url')),
      }),
    ],
    problem: null,
  };
}
