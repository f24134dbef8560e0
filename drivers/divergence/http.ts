/**
 * Rows that an HTTP address returns: JSON, a list of objects or `{"rows": [...], "next": "..."}`. `next` is sent back
 * as the parameter `cursor` until there is none. Numbers in key columns are ordered by value, everything else as text.
 */
import { RampartError } from '../errors.ts';
import { httpCall, NoAnswer } from '../http-call.ts';
import type { Millis } from '../ports.ts';
import { type MemoryRow, memorySource, type Table } from './memory.ts';
import type { KeyOrder, RowSource, Value } from './source.ts';

/** One page, in bytes; and pages: a sender that always names a next one must end somewhere. */
const MOST_BYTES = 32 * 2 ** 20;
const MOST_PAGES = 10_000;

export interface HttpSourceOptions {
  region: string;
  url: string;
  /** Sent as a bearer token; resolved already. */
  token: string | null;
  key: string[];
  columns: string[] | null;
  timestamp: string | null;
  /** Most rows that are fetched: they are held in memory. */
  mostRows: number;
  timeoutMs: number;
  signal: AbortSignal;
}

type Json = Record<string, unknown>;

export function httpSource(options: HttpSourceOptions): RowSource {
  return memorySource(options.region, async () => tableOf(await fetchAll(options), options));
}

async function fetchAll({ region, url, token, mostRows, timeoutMs, signal }: HttpSourceOptions): Promise<Json[]> {
  const rows: Json[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const address = new URL(url);
    if (cursor !== null) address.searchParams.set('cursor', cursor);
    const headers = { accept: 'application/json', ...(token === null ? {} : { authorization: `Bearer ${token}` }) };
    const answer = await httpCall({ url: address.href, headers, timeoutMs, signal, maxBytes: MOST_BYTES }).catch(
      (error: unknown) => {
        if (error instanceof NoAnswer)
          throw new RampartError('ProviderUnavailable', `the rows of ${region} are not to be had: ${error.message}`, {
            cause: error,
          });
        throw error;
      },
    );
    if (answer.status === 401 || answer.status === 403)
      throw new RampartError('AccessDenied', `the rows of ${region} are refused (HTTP ${answer.status})`, {
        remedy: 'Check `token`.',
      });
    if (answer.status !== 200)
      throw new RampartError('ProviderUnavailable', `the rows of ${region}: HTTP ${answer.status}`);
    if (answer.cut) throw invalid(region, `a page is longer than ${MOST_BYTES} bytes: make pages smaller`);
    const { list, next } = pageOf(region, answer.body);
    rows.push(...list);
    if (rows.length > mostRows)
      throw invalid(
        region,
        `there are more than ${mostRows} rows (maxRows): let the address return fewer, or allow more`,
      );
    if (next === null) return rows;
    cursor = next;
  }
  throw invalid(region, `there is a next page after ${MOST_PAGES} pages`);
}

function pageOf(region: string, body: string): { list: Json[]; next: string | null } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    throw invalid(region, 'the answer is no JSON');
  }
  const { rows, next } = Array.isArray(parsed)
    ? { rows: parsed, next: null }
    : ((parsed ?? {}) as { rows?: unknown; next?: unknown });
  const object = (one: unknown): one is Json => typeof one === 'object' && one !== null && !Array.isArray(one);
  if (!Array.isArray(rows) || !rows.every(object))
    throw invalid(region, 'the answer is no list of objects, nor {"rows": [...]}');
  return { list: rows, next: typeof next === 'string' && next !== '' ? next : null };
}

function tableOf(rows: Json[], { region, key, columns, timestamp }: HttpSourceOptions): Table {
  if (rows.length === 0) return { columns: null, orders: key.map(() => null), rows: [] };
  const names = columns === null ? new Set(rows.flatMap((row) => Object.keys(row))) : new Set([...key, ...columns]);
  const sorted = [...names].sort();
  const orders = key.map((name): KeyOrder => (rows.every((row) => typeof row[name] === 'number') ? 'number' : 'text'));
  const made = rows.map((row): MemoryRow => {
    const values = key.map((name) => textOf(row[name]));
    if (values.includes(null)) throw invalid(region, `a row has no value for the key ${key.join(', ')}`);
    return {
      key: values as string[],
      values: sorted.map((name) => textOf(row[name])),
      at: momentOf(timestamp === null ? null : row[timestamp]),
    };
  });
  return { columns: sorted, orders, rows: made };
}

/** As PostgreSQL writes it, for plain values. */
function textOf(value: unknown): Value {
  if (value === undefined || value === null) return null;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** RFC 3339, or seconds or milliseconds since the epoch. */
function momentOf(value: unknown): Millis | null {
  if (typeof value === 'number') return value < 1e11 ? value * 1_000 : value;
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? null : at;
}

const invalid = (region: string, what: string): RampartError =>
  new RampartError('InvalidInput', `the rows of ${region}: ${what}`);
