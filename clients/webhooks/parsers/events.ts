/** What Standard Webhooks and CloudEvents have in common: a type that says what happened, and data that are the sender's own. */
import type { AlertStatus } from '../../../topology/alerts.ts';
import { field, firstText, textOf } from '../message.ts';

const FIRING = 'firing|triggered|alerting|alarm|down|failed|failing|unhealthy|critical|opened|reopened';
const RESOLVED = 'resolved|recovered|ok|up|passing|healthy|closed|cleared|restored';
const LAST_WORD = new RegExp(`^(.+)[./:_-](?:(${FIRING})|(${RESOLVED}))$`, 'i');
const WORD = new RegExp(`^(?:(${FIRING})|(${RESOLVED}))$`, 'i');

export interface Event {
  status: AlertStatus;
  /** The type without the word that says the status: the same from firing to resolved. */
  subject: string;
}

/** By `data.status` or `data.state`, else by the last word of the type (`region.probe.down`). */
export function readEvent(type: string, data: unknown): Event {
  const byType = LAST_WORD.exec(type);
  const word = firstText(field(data, 'status'), field(data, 'state'));
  const byData = word === null ? null : WORD.exec(word);
  const [firing, resolved] =
    byData !== null ? [byData[1], byData[2]] : word === null ? [byType?.[2], byType?.[3]] : [undefined, undefined];
  const status = firing !== undefined ? 'firing' : resolved !== undefined ? 'resolved' : 'unknown';
  return { status, subject: byType?.[1] ?? type };
}

/** What the sender says itself that its event is about. */
export const keyOf = (data: unknown): string | null => textOf(field(data, 'key'));
