/**
 * Compares two sources without moving their rows: digests of key ranges, parted further where they differ, and rows
 * only of ranges that are small. What differs is looked at again after a while, because it may be on its way; what
 * stays as it is on both sides, and different, is a divergence. Bounded in rows, keys and queries. Reads only.
 */
import { RampartError } from '../errors.ts';
import type { ComparisonResult, Json, KeyVerdict } from '../ports.ts';
import { type Key, type KeyOrder, keyText, type Range, type Row, type RowSource } from './source.ts';

/** Parts that the whole is cut into at first: no query covers more than one of them. */
const PARTS = 64;
/** Parts of a range whose digests differ. */
const FAN_OUT = 16;
/** A range with no more rows on either side is read row by row. */
const LEAF_ROWS = 64;
/** Keys that are looked at again, and told: more are only counted. */
const MOST_KEYS = 500;
/** So often what is still changing is looked at again. */
const LOOKS = 3;

export interface CompareOptions {
  /** Percent of the key ranges to look at. */
  samplePercent: number;
  maxRows: number;
  concurrency: number;
  settleMs: number;
  signal: AbortSignal;
  now(): number;
  sleep(ms: number): Promise<void>;
  /** Which ranges a sample takes: at least 0, less than 1. */
  random(): number;
  /** Keys that differed in an earlier round: looked at whatever the sample takes. */
  again?: readonly Key[];
  progress(facts: Record<string, Json>): void;
}

interface Suspect {
  key: Key;
  left: Row | null;
  right: Row | null;
  /** When it was read, milliseconds since the epoch. */
  seenAt: number;
}

/**
 * @returns what was found; `complete: false` says that not everything was looked at, and why
 * @throws RampartError InvalidInput when the two cannot be compared, ProviderUnavailable when one does not answer
 */
export async function compare(left: RowSource, right: RowSource, options: CompareOptions): Promise<ComparisonResult> {
  const [a, b] = [left.region, right.region];
  await sharedOrders(left, right);
  await sameColumns(left, right);
  const look = new Look(left, right, options);
  await look.all();
  const again = await look.again(options.again ?? []);
  const verdicts = await settle(left, right, look, options);
  const { ranges, rows } = look;
  const limits = look.limits();
  const notes = [
    ...limits,
    ...(ranges.looked < ranges.of ? [`a sample of ${ranges.looked} of ${ranges.of} ranges`] : []),
    ...(verdicts.changing > 0 ? [`${verdicts.changing} keys changed at every look`] : []),
  ];
  const found = verdicts.keys;
  const count = (fits: (one: KeyVerdict) => boolean): number => found.filter(fits).length;
  return {
    regions: [a, b],
    complete: notes.length === 0,
    limited: limits.length > 0,
    again,
    notes,
    ranges,
    rows: { [a]: rows.left, [b]: rows.right, read: rows.read },
    counts: {
      missing: {
        [a]: count((one) => one.kind === 'missing' && one.region === a),
        [b]: count((one) => one.kind === 'missing' && one.region === b),
      },
      firstWriteWins: {
        [a]: count((one) => one.kind === 'firstWriteWins' && one.region === a),
        [b]: count((one) => one.kind === 'firstWriteWins' && one.region === b),
      },
      conflict: count(({ kind }) => kind === 'conflict'),
      changing: verdicts.changing,
      settled: verdicts.settled,
    },
    keys: found,
    lagAtLeastMs: verdicts.lagMs,
  };
}

async function sharedOrders(left: RowSource, right: RowSource): Promise<KeyOrder[]> {
  const [l, r] = await Promise.all([left.orders(), right.orders()]);
  return l.map((order, i) => {
    const other = r[i] ?? null;
    if (order !== null && other !== null && order !== other)
      throw new RampartError(
        'InvalidInput',
        `key column ${i + 1} is a ${order} in ${left.region} and a ${other} in ${right.region}: they are ordered differently`,
        { remedy: 'Make both sides give it as the same kind, for example with a cast in `query`.' },
      );
    return order ?? other ?? 'text';
  });
}

async function sameColumns(left: RowSource, right: RowSource): Promise<void> {
  const [l, r] = await Promise.all([left.columns(), right.columns()]);
  if (l === null || r === null) return;
  const only = (mine: string[], other: string[], region: string): string[] =>
    mine.filter((name) => !other.includes(name)).map((name) => `${name} (only in ${region})`);
  const different = [...only(l, r, left.region), ...only(r, l, right.region)];
  if (different.length > 0)
    throw new RampartError('InvalidInput', `the columns differ: ${different.join(', ')}`, {
      remedy: 'Name those that both sides have in `columns`.',
    });
}

/** One pass over the ranges. */
class Look {
  readonly ranges = { looked: 0, of: 0, different: 0 };
  readonly rows = { left: 0, right: 0, read: 0 };
  readonly suspects: Suspect[] = [];
  private unread = { ranges: 0, rows: 0 };
  private reserved = 0;
  private beyond = 0;
  private readonly left: RowSource;
  private readonly right: RowSource;
  private readonly options: CompareOptions;

  constructor(left: RowSource, right: RowSource, options: CompareOptions) {
    this.left = left;
    this.right = right;
    this.options = options;
  }

  async all(): Promise<void> {
    const whole: Range = { from: null, to: null };
    let bounds = await this.left.split(whole, PARTS);
    if (bounds.length === 0) bounds = await this.right.split(whole, PARTS);
    const every = partsOf(whole, bounds);
    this.ranges.of = every.length;
    await this.work(chosen(every, this.options).map((range) => ({ range, top: true })));
  }

  /**
   * Looks at keys of an earlier round that no range of this one has found to differ.
   * @returns how many of all these keys were looked at
   */
  async again(keys: readonly Key[]): Promise<number> {
    const known = new Set(this.suspects.map(({ key }) => keyText(key)));
    const asked = keys.filter((key) => !known.has(keyText(key)));
    if (asked.length === 0) return keys.length;
    const seenAt = this.options.now();
    const [l, r] = await Promise.all([this.left.find(asked), this.right.find(asked)]);
    this.differing(l, r, seenAt);
    return keys.length;
  }

  /** What differs and was not read, a sentence each. */
  limits(): string[] {
    const { ranges, rows } = this.unread;
    return [
      ...(ranges > 0
        ? [`${ranges} ranges that differ, with about ${rows} rows, were not read: maxRows is ${this.options.maxRows}`]
        : []),
      ...(this.beyond > 0 ? [`${this.beyond} keys more differ and were not looked at again: ${MOST_KEYS} are`] : []),
    ];
  }

  /** Depth first, so that the budget finds keys and does not only part ranges. */
  private async work(first: Array<{ range: Range; top: boolean }>): Promise<void> {
    const waiting = first.reverse();
    let busy = 0;
    const { signal, concurrency, progress } = this.options;
    await new Promise<void>((resolve, reject) => {
      let failed = false;
      const one = ({ range, top }: { range: Range; top: boolean }): void => {
        busy += 1;
        this.one(range, top).then(
          (parts) => {
            busy -= 1;
            waiting.push(...parts.reverse().map((part) => ({ range: part, top: false })));
            progress({ ranges: this.ranges.looked, rowsRead: this.rows.read, suspects: this.suspects.length });
            next();
          },
          (error: unknown) => {
            failed = true;
            reject(error);
          },
        );
      };
      const next = (): void => {
        if (failed) return;
        if (waiting.length === 0 && busy === 0) resolve();
        while (busy < concurrency && waiting.length > 0) one(waiting.pop()!);
      };
      if (signal.aborted) reject(signal.reason);
      else next();
    });
  }

  /** @returns the parts to look at next */
  private async one(range: Range, top: boolean): Promise<Range[]> {
    this.options.signal.throwIfAborted();
    const [l, r] = await Promise.all([this.left.digest(range), this.right.digest(range)]);
    if (top) {
      this.ranges.looked += 1;
      this.rows.left += l.rows;
      this.rows.right += r.rows;
    }
    if (l.rows === r.rows && l.hash === r.hash) return [];
    if (top) this.ranges.different += 1;
    if (Math.max(l.rows, r.rows) > LEAF_ROWS) {
      const parts = partsOf(range, await (l.rows >= r.rows ? this.left : this.right).split(range, FAN_OUT));
      if (parts.length > 1) return parts;
    }
    const cost = l.rows + r.rows;
    if (this.reserved + cost > this.options.maxRows) {
      this.unread.ranges += 1;
      this.unread.rows += cost;
      return [];
    }
    this.reserved += cost;
    await this.read(range, l.rows, r.rows);
    return [];
  }

  /** No more than was counted: what was written since may push a row out, which the second look or the next round finds. */
  private async read(range: Range, most: number, mostRight: number): Promise<void> {
    const seenAt = this.options.now();
    const [l, r] = await Promise.all([this.left.rows(range, most), this.right.rows(range, mostRight)]);
    this.differing(l, r, seenAt);
  }

  private differing(l: readonly Row[], r: readonly Row[], seenAt: number): void {
    this.rows.read += l.length + r.length;
    const rows = new Map<string, Suspect>();
    for (const row of l) rows.set(keyText(row.key), { key: row.key, left: row, right: null, seenAt });
    for (const row of r) {
      const known = rows.get(keyText(row.key));
      if (known === undefined) rows.set(keyText(row.key), { key: row.key, left: null, right: row, seenAt });
      else known.right = row;
    }
    for (const one of rows.values()) {
      if (one.left?.hash === one.right?.hash) continue;
      if (this.suspects.length < MOST_KEYS) this.suspects.push(one);
      else this.beyond += 1;
    }
  }
}

function partsOf({ from, to }: Range, bounds: readonly Key[]): Range[] {
  const edges = [from, ...bounds, to];
  return edges.slice(1).map((end, i) => ({ from: edges[i]!, to: end }));
}

/** At least one; others each time. */
function chosen(ranges: Range[], { samplePercent, random }: CompareOptions): Range[] {
  if (samplePercent >= 100) return ranges;
  const wanted = Math.max(Math.round((ranges.length * samplePercent) / 100), 1);
  const left = [...ranges];
  while (left.length > wanted) left.splice(Math.floor(random() * left.length), 1);
  return left;
}

interface Settled {
  keys: KeyVerdict[];
  /** Still changing at the last look: nothing is said about them. */
  changing: number;
  /** Were on their way. */
  settled: number;
  /** Age of the oldest change that one side had and the other had not, of those that were on their way. */
  lagMs: number | null;
}

/** Looks again at what differs: different, and unchanged on both sides since the look before, is a divergence. */
async function settle(left: RowSource, right: RowSource, look: Look, options: CompareOptions): Promise<Settled> {
  const result: Settled = { keys: [], changing: 0, settled: 0, lagMs: null };
  let pending = look.suspects;
  for (let looks = 0; pending.length > 0 && looks < LOOKS; looks += 1) {
    await options.sleep(options.settleMs);
    options.signal.throwIfAborted();
    const keys = pending.map(({ key }) => key);
    const [l, r] = await Promise.all([left.find(keys), right.find(keys)]);
    const [byLeft, byRight] = [l, r].map((rows) => new Map(rows.map((row) => [keyText(row.key), row])));
    const changing: Suspect[] = [];
    for (const before of pending) {
      const now = { left: byLeft!.get(keyText(before.key)) ?? null, right: byRight!.get(keyText(before.key)) ?? null };
      if (now.left?.hash === now.right?.hash) {
        result.settled += 1;
        const written = Math.max(before.left?.at ?? 0, before.right?.at ?? 0);
        if (written > 0) result.lagMs = Math.max(result.lagMs ?? 0, before.seenAt - written);
      } else if (now.left?.hash === before.left?.hash && now.right?.hash === before.right?.hash)
        result.keys.push(verdictOf(left.region, right.region, { ...before, ...now }));
      else changing.push({ ...before, ...now });
    }
    pending = changing;
  }
  result.changing = pending.length;
  return result;
}

/** Keys are names of rows, and go into a history. */
const shortened = (value: string): string => (value.length > 200 ? `${value.slice(0, 200)}…` : value);

function verdictOf(a: string, b: string, { key, left, right }: Suspect): KeyVerdict {
  const at = { [a]: left?.at ?? null, [b]: right?.at ?? null };
  if (left === null || right === null)
    return { key: key.map(shortened), kind: 'missing', region: left === null ? a : b, at };
  if (left.at === null || right.at === null || left.at === right.at)
    return { key: key.map(shortened), kind: 'conflict', region: null, at };
  return { key: key.map(shortened), kind: 'firstWriteWins', region: left.at < right.at ? a : b, at };
}
