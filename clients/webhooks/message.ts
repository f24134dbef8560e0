/** One verified message of a source, and how anything of it is read: never by trust in its form, never by throwing. */
import { createHash } from 'node:crypto';
import type { Alert, AlertSource, AlertStatus } from '../../topology/alerts.ts';
import type { HeaderReader } from './auth.ts';

export interface Message {
  source: AlertSource;
  /** The parsed JSON. */
  body: unknown;
  header: HeaderReader;
  /** Milliseconds since the epoch. */
  receivedAt: number;
}

export interface Parsed {
  /** What could be read. It is delivered even when something else could not. */
  alerts: Alert[];
  /** What could not be read, in one sentence; `null`: nothing was lost. */
  problem: string | null;
}

export type Parser = (message: Message) => Parsed;

export const unreadable = (problem: string): Parsed => ({ alerts: [], problem });

/** More alerts than this in one message are told of as a group, or refused. */
export const MOST_ALERTS = 1_000;
/** Kept in histories: what is longer is cut, in characters. */
const MOST = { key: 256, labels: 64, label: 1_024, annotations: 32, annotation: 2_048, url: 2_048 };

export type Fields = Record<string, unknown>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field of the message itself; nothing of JavaScript's behind it. */
export function field(of: unknown, ...path: string[]): unknown {
  let value = of;
  for (const name of path) {
    if (!isFields(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** Texts, numbers and truth values as text; `null` for anything else and for nothing. */
export function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value === '' ? null : value;
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : null;
}

/** The first that is there, as text. */
export function firstText(...values: unknown[]): string | null {
  for (const value of values) {
    const text = textOf(value);
    if (text !== null) return text;
  }
  return null;
}

/** A map of texts; entries that are none are left out. */
export function textsOf(value: unknown, most: number, longest: number): Record<string, string> {
  if (!isFields(value)) return {};
  const texts: Array<[string, string]> = [];
  for (const name of Object.keys(value)) {
    if (texts.length === most) break;
    const text = textOf(value[name]);
    if (text !== null && name !== '' && name !== '__proto__') texts.push([cut(name, 256), cut(text, longest)]);
  }
  return Object.fromEntries(texts);
}

export const labelsOf = (value: unknown): Record<string, string> => textsOf(value, MOST.labels, MOST.label);
export const annotationsOf = (value: unknown): Record<string, string> =>
  textsOf(value, MOST.annotations, MOST.annotation);

const cut = (text: string, most: number): string => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

/** A web address that people may follow; `null` for anything else. */
export function urlOf(...values: unknown[]): string | null {
  for (const value of values) {
    if (typeof value === 'string' && /^https?:\/\/[^\s<>"]+$/i.test(value) && value.length <= MOST.url) return value;
  }
  return null;
}

const RFC3339 = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d+)?)(?:([Zz])|([+-]\d\d):?(\d\d))$/;
/** Numbers below are seconds, in the year 5138; above milliseconds, in 1973. */
const SECONDS_BELOW = 1e11;

/** Milliseconds since the epoch of RFC 3339, seconds or milliseconds; `null` for anything else and for Go's year 1. */
export function timeOf(value: unknown): number | null {
  if (value instanceof Date) return plausible(value.getTime());
  if (typeof value === 'bigint') return timeOf(Number(value));
  if (typeof value === 'number') return plausible(value < SECONDS_BELOW ? value * 1000 : value);
  if (typeof value !== 'string') return null;
  if (/^\d{9,13}(\.\d{1,9})?$/.test(value)) return timeOf(Number(value));
  const match = RFC3339.exec(value);
  if (match === null) return null;
  const [, day, time, zulu, hours, minutes] = match;
  return plausible(Date.parse(`${day}T${time}${zulu === undefined ? `${hours}:${minutes}` : 'Z'}`));
}

const LATEST = Date.parse('9999-12-31T23:59:59Z');
const plausible = (ms: number): number | null => (ms >= 1 && ms <= LATEST ? Math.round(ms) : null);

/** A text that is the same whenever the parts are, whatever they hold. */
export function digestOf(...parts: Array<string | null>): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

/** Identities as they are, or a digest of longer ones. */
export const identity = (text: string): string =>
  text.length <= MOST.key ? text : `${text.slice(0, 64)}…${digestOf(text)}`;

export function statusOf(value: unknown): AlertStatus {
  return value === 'firing' || value === 'resolved' ? value : 'unknown';
}

/** An alert in the one form. */
export function alertOf(
  { source, receivedAt }: Message,
  given: Pick<Alert, 'key' | 'status' | 'labels'> & Partial<Alert>,
): Alert {
  const {
    key,
    delivery = null,
    status,
    startsAt = null,
    labels,
    annotations = {},
    severity = null,
    url = null,
  } = given;
  return {
    ...{ source: source.name, delivery: delivery === null ? null : identity(delivery), key: identity(key) },
    ...{
      status,
      startsAt,
      labels,
      annotations,
      severity: severity === null ? null : cut(severity, 64),
      url,
      receivedAt,
    },
  };
}
