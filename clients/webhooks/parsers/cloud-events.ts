/** CloudEvents 1.0 over HTTP: structured, batched and binary mode. */
import type { Alert } from '../../../topology/alerts.ts';
import {
  alertOf,
  annotationsOf,
  field,
  firstText,
  isFields,
  labelsOf,
  type Message,
  MOST_ALERTS,
  type Parsed,
  textOf,
  timeOf,
  unreadable,
  urlOf,
} from '../message.ts';
import { keyOf, readEvent } from './events.ts';

export function parseCloudEvents(message: Message): Parsed {
  const { body, header, source } = message;
  if (Array.isArray(body)) return parseBatch(message, body);
  if (header('ce-specversion') === null) return one(message, body);
  if (source.auth.kind === 'hmac') {
    return unreadable('in binary mode the signature does not cover the headers ce-…: send it in structured mode');
  }
  const attributes = Object.fromEntries(
    ['specversion', 'id', 'source', 'type', 'subject', 'time'].map((name) => [name, decoded(header(`ce-${name}`))]),
  );
  return one(message, { ...attributes, data: body });
}

function parseBatch(message: Message, events: unknown[]): Parsed {
  const alerts: Alert[] = [];
  let problem = events.length > MOST_ALERTS ? `there are more than ${MOST_ALERTS} events` : null;
  for (const [i, event] of events.slice(0, MOST_ALERTS).entries()) {
    const parsed = one(message, event);
    alerts.push(...parsed.alerts);
    if (parsed.problem !== null) problem ??= `event ${i + 1}: ${parsed.problem}`;
  }
  return { alerts, problem };
}

function one(message: Message, event: unknown): Parsed {
  if (!isFields(event)) return unreadable('the event is no JSON object');
  const [id, origin, type] = [textOf(event.id), textOf(event.source), textOf(event.type)];
  if (textOf(event.specversion) === null || id === null || origin === null || type === null) {
    return unreadable('the event lacks one of specversion, id, source and type');
  }
  const data = field(event, 'data');
  const subject = textOf(event.subject);
  const read = readEvent(type, data);
  return {
    alerts: [
      alertOf(message, {
        key: keyOf(data) ?? `${origin} ${subject ?? read.subject}`,
        // An ID is unique within its source only.
        delivery: `${origin} ${id}`,
        status: read.status,
        startsAt: timeOf(field(data, 'startsAt')) ?? (read.status === 'firing' ? timeOf(event.time) : null),
        labels: {
          ...labelsOf(field(data, 'labels')),
          ...labelsOf({ type, source: origin, ...(subject === null ? {} : { subject }) }),
        },
        annotations: annotationsOf(field(data, 'annotations')),
        severity: firstText(field(data, 'severity'), field(data, 'labels', 'severity')),
        url: urlOf(field(data, 'url')),
      }),
    ],
    problem: null,
  };
}

/** Attributes in headers are percent-encoded. */
function decoded(value: string | null): string | undefined {
  if (value === null) return undefined;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
