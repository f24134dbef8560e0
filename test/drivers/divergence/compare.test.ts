/** The comparer over sources in memory: it finds all there is to find, within its budget, and nothing that is on its way. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CompareOptions, compare } from '../../../drivers/divergence/compare.ts';
import { memorySource, type Table } from '../../../drivers/divergence/memory.ts';
import { compareKeys, type RowSource } from '../../../drivers/divergence/source.ts';
import type { KeyVerdict } from '../../../drivers/ports.ts';

type Rows = Map<string, { value: string; at: number | null }>;

class Side {
  rows: Rows;
  read = 0;
  constructor(rows: Rows) {
    this.rows = rows;
  }
  source(region: string, order: 'number' | 'text' = 'number'): RowSource {
    const load = async (): Promise<Table> => ({
      columns: ['id', 'value'],
      orders: [order],
      rows: [...this.rows].map(([id, { value, at }]) => ({ key: [id], values: [id, value], at })),
    });
    const made = memorySource(region, load);
    return {
      ...made,
      rows: async (range, limit) => {
        const rows = await made.rows(range, limit);
        this.read += rows.length;
        return rows;
      },
    };
  }
}

const options = (over: Partial<CompareOptions> = {}): CompareOptions => ({
  ...{ samplePercent: 100, maxRows: 1_000_000, concurrency: 3, settleMs: 10, signal: new AbortController().signal },
  ...{ now: () => 100_000, sleep: async () => undefined, random: () => 0.5, progress: () => undefined },
  ...over,
});

const rows = (n: number, from = 0): Rows =>
  new Map(Array.from({ length: n }, (_, i) => [String(from + i), { value: `v${i}`, at: 1_000 + i }]));
const ids = (found: KeyVerdict[]) => found.map(({ key }) => key[0]).sort();

describe('what differs', () => {
  const change = fc.record({
    id: fc.integer({ min: 0, max: 2_000 }),
    what: fc.constantFrom('lostLeft', 'lostRight', 'left', 'right', 'conflict'),
  });

  test('is found, all of it and nothing else, wherever it is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 1_500 }),
        fc.uniqueArray(change, { maxLength: 80, selector: ({ id }) => id }),
        fc.constantFrom<'number' | 'text'>('number', 'text'),
        async (n, changes, order) => {
          const [left, right] = [new Side(rows(n)), new Side(rows(n))];
          const wanted = new Map<string, string>();
          for (const { id, what } of changes) {
            const key = String(id);
            const base = left.rows.get(key) ?? { value: 'new', at: 5 };
            const [l, r] = {
              lostLeft: [null, base],
              lostRight: [base, null],
              left: [
                { value: 'l', at: 10 },
                { value: 'r', at: 20 },
              ],
              right: [
                { value: 'l', at: 20 },
                { value: 'r', at: 10 },
              ],
              conflict: [
                { value: 'l', at: 10 },
                { value: 'r', at: 10 },
              ],
            }[what] as Array<{ value: string; at: number } | null>;
            for (const [side, row] of [
              [left, l],
              [right, r],
            ] as const)
              if (row === null || row === undefined) side.rows.delete(key);
              else side.rows.set(key, row);
            wanted.set(key, what);
          }
          const found = await compare(left.source('a', order), right.source('b', order), options());
          expect(found).toMatchObject({ complete: true, notes: [], counts: { changing: 0, settled: 0 } });
          const said = new Map(
            found.keys.map(({ key, kind, region }) => [
              key[0]!,
              kind === 'missing'
                ? region === 'a'
                  ? 'lostLeft'
                  : 'lostRight'
                : kind === 'conflict'
                  ? kind
                  : region === 'a'
                    ? 'left'
                    : 'right',
            ]),
          );
          expect(said).toEqual(wanted);
          expect(found.rows).toMatchObject({ a: left.rows.size, b: right.rows.size });
        },
      ),
      { numRuns: 25 },
    );
  });

  test('in one row of many is found by reading few', async () => {
    const [left, right] = [new Side(rows(5_000)), new Side(rows(5_000))];
    right.rows.set('1777', { value: 'other', at: 1 });
    const found = await compare(left.source('a'), right.source('b'), options());
    expect(found.keys).toMatchObject([{ key: ['1777'], kind: 'firstWriteWins', region: 'b' }]);
    expect(found.rows.read).toBeLessThan(300);
  }, 60_000);

  test('is not looked for beyond the budget, and that is said', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 100, max: 1_500 }),
        fc.integer({ min: 100, max: 2_000 }),
        async (maxRows, n) => {
          const [left, right] = [
            new Side(rows(n)),
            new Side(new Map([...rows(n)].map(([id]) => [id, { value: 'x', at: 1 }]))),
          ];
          const found = await compare(left.source('a'), right.source('b'), options({ maxRows }));
          expect(left.read + right.read).toBeLessThanOrEqual(maxRows);
          expect(found.rows.read).toBe(left.read + right.read);
          if (2 * n > maxRows)
            expect(found).toMatchObject({
              complete: false,
              notes: expect.arrayContaining([expect.stringContaining('maxRows')]),
            });
        },
      ),
      { numRuns: 25 },
    );
  });

  test('in more keys than are told is counted', async () => {
    const found = await compare(new Side(rows(2_000)).source('a'), new Side(new Map()).source('b'), options());
    expect(found.keys).toHaveLength(500);
    expect(found.notes).toEqual([expect.stringMatching(/^1500 keys more differ/)]);
  });

  test('is looked at again by its key, whatever a sample takes, and no sample says that both hold the same', async () => {
    const [left, right] = [new Side(rows(5_000)), new Side(rows(5_000))];
    right.rows.delete('4711');
    // The first range only, which holds no such key.
    const sampled = (again: string[][]) =>
      compare(left.source('a'), right.source('b'), options({ samplePercent: 1, random: () => 0.99, again }));
    expect(await sampled([])).toMatchObject({ keys: [], complete: false, limited: false, again: 0 });
    const found = await sampled([['4711']]);
    expect(found).toMatchObject({ keys: [{ key: ['4711'], kind: 'missing', region: 'b' }], complete: false, again: 1 });
    expect(found.notes).toEqual(['a sample of 1 of 64 ranges']);
    right.rows.set('4711', left.rows.get('4711')!);
    expect(await sampled([['4711']])).toMatchObject({ keys: [], complete: false, again: 1 });
  });

  test('in a sample of the ranges is found in that sample; over rounds everything is looked at', async () => {
    const [left, right] = [new Side(rows(640)), new Side(rows(640))];
    for (let id = 0; id < 640; id += 10) right.rows.set(String(id), { value: 'other', at: 1 });
    const seen = new Set<string>();
    let last = 1;
    for (let round = 0; round < 50; round += 1) {
      const random = () => {
        last = (last * 48_271) % 2_147_483_647;
        return last / 2_147_483_647;
      };
      const found = await compare(left.source('a'), right.source('b'), options({ samplePercent: 10, random }));
      expect(found.ranges).toMatchObject({ looked: 6, of: 64 });
      for (const id of ids(found.keys)) seen.add(id!);
    }
    expect(seen.size).toBe(64);
  });
});

describe('what is on its way', () => {
  test('is no divergence, and says how far one side is behind', async () => {
    const [left, right] = [new Side(rows(500)), new Side(rows(500))];
    left.rows.set('7', { value: 'newer', at: 97_500 });
    left.rows.set('600', { value: 'new', at: 99_000 });
    const sleep = async () => {
      right.rows = new Map(left.rows);
    };
    const found = await compare(left.source('a'), right.source('b'), options({ sleep }));
    expect(found).toMatchObject({ keys: [], counts: { settled: 2, changing: 0 }, lagAtLeastMs: 2_500 });
  });

  test('that changes at every look is told apart from what stays different', async () => {
    const [left, right] = [new Side(rows(500)), new Side(rows(500))];
    right.rows.delete('9');
    left.rows.set('7', { value: 'hot', at: 1 });
    let n = 0;
    const sleep = async () => {
      n += 1;
      left.rows.set('7', { value: `hot${n}`, at: n });
    };
    const found = await compare(left.source('a'), right.source('b'), options({ sleep }));
    expect(found).toMatchObject({ keys: [{ key: ['9'], kind: 'missing', region: 'b' }], counts: { changing: 1 } });
  });
});

test('two sides that cannot be compared say why', async () => {
  const [left, right] = [new Side(rows(3)), new Side(rows(3))];
  await expect(compare(left.source('a', 'number'), right.source('b', 'text'), options())).rejects.toThrow(
    'key column 1 is a number in a and a text in b',
  );
  const wide = { ...right.source('b'), columns: async () => ['id', 'note', 'value'] };
  await expect(compare(left.source('a'), wide, options())).rejects.toThrow('the columns differ: note (only in b)');
  const twice = memorySource('a', async () => ({
    ...{ columns: ['id', 'value'], orders: ['text' as const] },
    rows: [
      { key: ['x'], values: ['x', ''], at: null },
      { key: ['x'], values: ['x', ''], at: null },
    ],
  }));
  await expect(compare(twice, right.source('b', 'text'), options())).rejects.toThrow(
    'more than one row with the key x',
  );
});

test('keys are ordered as the bytes of their UTF-8, and as numbers of any length', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 6 }), fc.string({ unit: 'binary', maxLength: 6 }), (a, b) => {
      expect(Math.sign(compareKeys([a], [b], ['text']))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
  );
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
      fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
      (a, b) => {
        expect(Math.sign(compareKeys([String(a)], [String(b)], ['number']))).toBe(a < b ? -1 : a > b ? 1 : 0);
      },
    ),
  );
});

test('an abort ends it', async () => {
  const stop = new AbortController();
  const sleep = async () => stop.abort(new Error('stopped'));
  const [left, right] = [new Side(rows(3)), new Side(new Map())];
  await expect(compare(left.source('a'), right.source('b'), options({ signal: stop.signal, sleep }))).rejects.toThrow(
    'stopped',
  );
});
