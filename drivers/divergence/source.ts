/**
 * Rows of one region as the comparer sees them, whatever system they are in: ranges of keys in an order that both
 * sides share, a digest of a range that costs no transfer of its rows, and the rows themselves. Everything reads only.
 */
import { createHash } from 'node:crypto';
import type { Millis } from '../ports.ts';

/** `number`: by value; `text`: by the bytes of its UTF-8, which no collation changes. */
export type KeyOrder = 'number' | 'text';
/** The values of the key columns, as text. */
export type Key = readonly string[];

/** From a key on, up to but without another; `null` = open. */
export interface Range {
  from: Key | null;
  to: Key | null;
}

/** Two ranges with the same digest hold the same rows, but for chance (128 bits). */
export interface Digest {
  rows: number;
  hash: string;
}

export interface Row {
  key: Key;
  hash: string;
  /** When it was written, by its own timestamp column; `null` without one. */
  at: Millis | null;
}

export interface RowSource {
  region: string;
  /** How each key column is ordered; `null` = not known, because there is no row. @throws InvalidInput, ProviderUnavailable */
  orders(): Promise<Array<KeyOrder | null>>;
  /** Names of the columns that are compared, sorted; `null` = not known, because there is no row. */
  columns(): Promise<string[] | null>;
  digest(range: Range): Promise<Digest>;
  /** Keys that part the range into about so many parts of equal size, in order; fewer where it holds fewer rows. */
  split(range: Range, parts: number): Promise<Key[]>;
  /** In the order of their keys; at most `limit`. */
  rows(range: Range, limit: number): Promise<Row[]>;
  /** Those of these keys that are there now. */
  find(keys: readonly Key[]): Promise<Row[]>;
  close(): Promise<void>;
}

/** One column's value as text; `null` is not the empty text. */
export type Value = string | null;

/**
 * The text that a row's hash is made of: each value with its length in bytes before it, so that no two rows share one.
 * SQL sources make the same text on the server.
 */
export const rowText = (values: readonly Value[]): string =>
  values.map((value) => (value === null ? '-' : `${Buffer.byteLength(value)}:${value}`)).join(',');

export const hashOf = (text: string): string => createHash('md5').update(text).digest('hex');

/** Order-independent: sums of both halves of the rows' hashes, as signed 64-bit integers. */
export function digestOf(hashes: readonly string[]): Digest {
  let high = 0n;
  let low = 0n;
  for (const hash of hashes) {
    high += BigInt.asIntN(64, BigInt(`0x${hash.slice(0, 16)}`));
    low += BigInt.asIntN(64, BigInt(`0x${hash.slice(16)}`));
  }
  return { rows: hashes.length, hash: `${high}/${low}` };
}

/** Orders two keys as both sides do. */
export function compareKeys(a: Key, b: Key, orders: readonly KeyOrder[]): number {
  for (const [i, order] of orders.entries()) {
    const found = order === 'number' ? compareNumbers(a[i]!, b[i]!) : compareTexts(a[i]!, b[i]!);
    if (found !== 0) return found;
  }
  return 0;
}

/** By code points, which is the order of the bytes of UTF-8; surrogates stand for the greatest of them. */
function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    const surrogates = [x, y].map((unit) => unit >= 0xd800 && unit <= 0xdfff);
    return surrogates[0] === surrogates[1] ? x - y : surrogates[0] ? 1 : -1;
  }
  return a.length - b.length;
}

/** Whole numbers of more digits than a double holds exactly. */
const EXACT_DIGITS = 15;

function compareNumbers(a: string, b: string): number {
  const whole = /^-?\d+$/;
  if (a.length <= EXACT_DIGITS && b.length <= EXACT_DIGITS) return Number(a) - Number(b);
  if (!whole.test(a) || !whole.test(b)) return Math.sign(Number(a) - Number(b));
  const [left, right] = [BigInt(a), BigInt(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** The same for equal keys only. */
export const keyText = (key: Key): string => JSON.stringify(key);
