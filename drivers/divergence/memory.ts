/** Rows that are all in memory: what an HTTP source has fetched. */
import { RampartError } from '../errors.ts';
import type { Millis } from '../ports.ts';
import { compareKeys, type Digest, digestOf, hashOf, type Key, type KeyOrder, keyText, type Range, type Row, type RowSource, rowText } from './source.ts'; // biome-ignore format: one import

export interface MemoryRow {
  key: Key;
  values: Array<string | null>;
  at: Millis | null;
}

export interface Table {
  /** Sorted names of the columns that `values` follow; `null` without rows. */
  columns: string[] | null;
  /** By key column; `null` without rows. */
  orders: Array<KeyOrder | null>;
  rows: MemoryRow[];
}

/**
 * @param load reads everything anew; `find` does so, because what it is asked for may have changed
 */
export function memorySource(region: string, load: () => Promise<Table>): RowSource {
  let table: Promise<Table> | null = null;
  let sorted: Promise<Row[]> | null = null;
  const read = (): Promise<Table> => {
    table ??= load();
    return table;
  };
  const all = (): Promise<Row[]> => {
    sorted ??= read().then((found) => sort(region, found));
    return sorted;
  };
  const orders = async (): Promise<KeyOrder[]> => (await read()).orders.map((order) => order ?? 'text');
  const inside = async ({ from, to }: Range): Promise<Row[]> => {
    const by = await orders();
    const rows = await all();
    const begin = from === null ? 0 : firstFrom(rows, from, by);
    return rows.slice(begin, to === null ? rows.length : Math.max(firstFrom(rows, to, by), begin));
  };
  return {
    region,
    orders: async () => (await read()).orders,
    columns: async () => (await read()).columns,
    digest: async (range): Promise<Digest> => digestOf((await inside(range)).map(({ hash }) => hash)),
    split: async (range, parts) => {
      const rows = await inside(range);
      const step = Math.max(Math.ceil(rows.length / parts), 1);
      return rows.filter((_, i) => i > 0 && i % step === 0).map(({ key }) => key);
    },
    rows: async (range, limit) => (await inside(range)).slice(0, limit),
    find: async (keys) => {
      table = load();
      sorted = null;
      const wanted = new Set(keys.map(keyText));
      return (await all()).filter(({ key }) => wanted.has(keyText(key)));
    },
    close: async () => undefined,
  };
}

/** Index of the first row with this key or a later one. */
function firstFrom(rows: readonly Row[], key: Key, orders: readonly KeyOrder[]): number {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKeys(rows[middle]!.key, key, orders) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function sort(region: string, { rows, orders }: Table): Row[] {
  const by = orders.map((order) => order ?? 'text');
  const made = rows.map(({ key, values, at }) => ({ key, hash: hashOf(rowText(values)), at }));
  made.sort((a, b) => compareKeys(a.key, b.key, by));
  const twice = made.find((row, i) => i > 0 && keyText(row.key) === keyText(made[i - 1]!.key));
  if (twice !== undefined)
    throw new RampartError('InvalidInput', `${region} has more than one row with the key ${twice.key.join(', ')}`, {
      remedy: 'Name as `key` the columns that are unique together.',
    });
  return made;
}
