import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FenceReceipt, SampleReading } from '../../../drivers/ports.ts';
import { type Cluster, nodeSchema, type PgNode } from '../../../drivers/postgres/config.ts';
import { postgres } from '../../../drivers/postgres/driver.ts';
import type { NodeReading } from '../../../drivers/postgres/reading.ts';
import type { Primary } from '../../../drivers/postgres/rejoin.ts';
import { parseStandbyNames } from '../../../drivers/postgres/sync-settings.ts';
import { ancestryOf } from '../../../drivers/postgres/timeline.ts';
import { twinOf } from '../../../drivers/postgres/twin.ts';
import { stateLoss } from '../../../drivers/sql/loss.ts';
import { bytesBetween, formatLsn, isFurther, parseHistory, parseLsn, positionAt } from '../../../drivers/sql/lsn.ts';
import { isBeyond } from '../../../drivers/sql/progress.ts';
import { formatConninfo, parseConninfo } from '../../../drivers/sql/status.ts';
import type { Component } from '../../../topology/model.ts';

test('log locations read and write the same, and order as numbers', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (value) => {
      expect(parseLsn(formatLsn(value))).toBe(value);
    }),
  );
  expect(parseLsn('16/B374D848')).toBe(0x16b374d848n);
  expect(() => parseLsn('16-B3')).toThrow('not a WAL location');
  expect(positionAt('0/0', 1)).toBeNull();
  expect(bytesBetween(positionAt('1/0', 1)!, positionAt('0/FFFFFFFF', 1)!)).toBe(1);
});

test('the later timeline is further, whatever its position; what was parted from reaches nothing of it', () => {
  const [old, young] = [positionAt('0/9000000', 1), positionAt('0/5000000', 2)];
  expect(isFurther(young, old)).toBe(true);
  expect(isFurther(old, young)).toBe(false);
  expect(isFurther(positionAt('0/5000001', 2), young)).toBe(true);
  expect(isFurther(young, young)).toBe(false);
  expect(isFurther(old, null)).toBe(true);
  expect(isFurther(null, old)).toBe(false);
  for (const strength of ['stopped', 'sessions']) {
    expect(isBeyond(old, young!, strength)).toBe(false);
    // A place on the way it came is behind it.
    expect(isBeyond(positionAt('0/6000000', 2), positionAt('0/5000000', 1)!, strength)).toBe(true);
  }
});

test('connection strings survive quotes, blanks and backslashes', () => {
  const value = fc.string({ maxLength: 20 }).filter((text) => !/[\0\n\r]/.test(text));
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('host', 'user', 'password', 'application_name'), value), (values) => {
      expect(Object.fromEntries(parseConninfo(formatConninfo(Object.entries(values))))).toEqual({ ...values });
    }),
  );
  expect(Object.fromEntries(parseConninfo(`user = rep host='a b' password='it\\'s' port=5432`))).toEqual({
    user: 'rep',
    host: 'a b',
    password: "it's",
    port: '5432',
  });
});

test('synchronous_standby_names in all its forms', () => {
  expect(parseStandbyNames('')).toEqual({ needed: 0, names: [] });
  expect(parseStandbyNames('a, "B-1"')).toEqual({ needed: 1, names: ['a', 'b-1'] });
  expect(parseStandbyNames('FIRST 2 (a, b, c)')).toEqual({ needed: 2, names: ['a', 'b', 'c'] });
  expect(parseStandbyNames('any 1 (*)')).toEqual({ needed: 1, names: ['*'] });
  expect(parseStandbyNames('2 (a, b)')).toEqual({ needed: 2, names: ['a', 'b'] });
});

test('who has gone beyond the fork has a history of its own', () => {
  const forks = parseHistory(
    '1\t0/3000100\tno recovery target specified\n2\t0/5000000\tno recovery target specified\n',
  );
  const primary = { timeline: 3, forks };
  const at = (lsn: string, timeline: number) => positionAt(lsn, timeline)!;
  expect(ancestryOf(at('0/3000100', 1), primary, false).ancestry).toBe('ancestor');
  // The start of a record at the fork is a record that the primary does not have.
  expect(ancestryOf(at('0/3000100', 1), primary, true).ancestry).toBe('diverged');
  expect(ancestryOf(at('0/3000108', 1), primary, false).ancestry).toBe('diverged');
  expect(ancestryOf(at('0/4000000', 2), primary, false).ancestry).toBe('ancestor');
  expect(ancestryOf(at('0/9000000', 3), primary, false).ancestry).toBe('ancestor');
  expect(ancestryOf(at('0/1', 4), primary, false).ancestry).toBe('diverged');
  expect(ancestryOf(at('0/1', 2), { timeline: 3, forks: null }, false).ancestry).toBe('unknown');
});

const writable = (at: number, lsn: string, timeline = 1): SampleReading => ({
  node: 'a',
  region: 'a',
  state: 'writable',
  at,
  position: positionAt(lsn, timeline),
});
const proof = (change: Partial<FenceReceipt['fence']> = {}): FenceReceipt['fence'] => ({
  region: 'a',
  cannotWrite: 'stopped',
  finalPosition: null,
  durable: true,
  systemId: '1',
  timeline: 1,
  epoch: 1,
  needsRewind: true,
  provenAt: 9_000,
  ...change,
});

test('loss is a window of time: from the newest sample that arrived to the fence', () => {
  const samples = [writable(1_000, '0/100'), writable(2_000, '0/200'), writable(3_000, '0/300')];
  const input = { from: 'a', samples, fence: proof(), reached: positionAt('0/250', 1), asyncCommitMs: 0, note: '' };
  expect(stateLoss(input)).toEqual({
    kind: 'bounded',
    fromTime: new Date(2_000).toISOString(),
    toTime: new Date(9_000).toISOString(),
    seconds: 7,
    atLeastBytes: 0xb0,
    atMostBytes: null,
    note: '',
  });
  // With the end of the source's log, bytes have an upper bound.
  expect(stateLoss({ ...input, fence: proof({ finalPosition: positionAt('0/350', 1) }) })).toMatchObject({
    kind: 'measured',
    atLeastBytes: 0x100,
    atMostBytes: 0x100,
  });
  // A source that may still acknowledge leaves the window open.
  expect(stateLoss({ ...input, fence: null })).toMatchObject({
    kind: 'unknown',
    toTime: null,
    seconds: null,
    atLeastBytes: 0xb0,
  });
  // Nothing known to have arrived: no beginning.
  expect(stateLoss({ ...input, reached: positionAt('0/10', 1) })).toMatchObject({ kind: 'unknown', fromTime: null });
  expect(stateLoss({ ...input, asyncCommitMs: 600 }).fromTime).toBe(new Date(1_400).toISOString());
});

test('a target on the timeline that the source has left has nothing of what was written since', () => {
  // Further by position alone: it kept rows of its own when the source was promoted.
  const reached = positionAt('0/900', 1);
  const since = [writable(2_000, '0/300', 2), writable(3_000, '0/400', 2)];
  const input = { from: 'a', samples: since, fence: proof(), reached, asyncCommitMs: 0, note: '' };
  const unknown = { kind: 'unknown', fromTime: null, seconds: null, atLeastBytes: null, atMostBytes: null };
  expect(stateLoss(input)).toMatchObject(unknown);
  const fence = proof({ finalPosition: positionAt('0/450', 2), timeline: 2 });
  expect(stateLoss({ ...input, fence })).toMatchObject(unknown);
  // Known from before they parted: the window begins there.
  expect(stateLoss({ ...input, samples: [writable(1_000, '0/200'), ...since], fence })).toMatchObject({
    kind: 'bounded',
    fromTime: new Date(1_000).toISOString(),
    atLeastBytes: null,
    atMostBytes: null,
  });
});

test('what was acknowledged before the window is on the target, whatever the samples were', () => {
  const moments = fc.array(fc.tuple(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1, max: 1_000 })), {
    minLength: 1,
  });
  fc.assert(
    fc.property(moments, fc.integer({ min: 0, max: 1_000 }), (steps, reached) => {
      // A log that only grows: position at each sample's time.
      let at = 0;
      let order = 0n;
      const samples = steps.map(([ms, bytes]) => {
        at += ms;
        order += BigInt(bytes);
        return writable(at, formatLsn(order));
      });
      const loss = stateLoss({
        from: 'a',
        samples,
        fence: proof({ provenAt: at + 1 }),
        reached: positionAt(formatLsn(BigInt(reached)), 1),
        asyncCommitMs: 0,
        note: '',
      });
      for (const sample of samples) {
        if (BigInt(sample.position!.order) > BigInt(reached)) continue;
        expect(Date.parse(loss.fromTime!)).toBeGreaterThanOrEqual(sample.at);
      }
    }),
  );
});

test('a component is checked across its fields, with the place to mend', () => {
  const component = (
    config: Record<string, string>,
    ...nodes: Array<{ name: string; place?: string } & Record<string, unknown>>
  ): Component => ({
    name: 'db',
    type: 'postgres',
    role: 'store',
    queue: 'rampart',
    config,
    sides: {
      a: {
        region: 'a',
        nodes: nodes.map(({ name, place, ...node }) => ({
          ...{ name, queue: 'q', config: { host: 'h', ...node } as never },
          ...(place === undefined ? {} : { place }),
        })),
      },
    },
    capabilities: { role: 'store' },
  });
  const codes = (given: Component) => postgres.validate!(given).map(({ code, path }) => `${code} ${path.join('.')}`);
  expect(codes(component({ database: 'app' }, { name: 'a', dataDir: '/d' }))).toEqual([]);
  expect(codes(component({ database: 'postgres' }, { name: 'a' }))).toEqual([
    'postgres_fence_sql sides.a.fence',
    'postgres_claims_apart sides.a',
  ]);
  // Two workers on two machines would not know of each other's claims; a place has one machine.
  expect(postgres.validate!(component({ database: 'app' }, { name: 'a' }))).toMatchObject([{ severity: 'warning' }]);
  expect(codes(component({ database: 'app' }, { name: 'a', place: 'one' }))).toEqual([]);
  expect(codes(component({}, { name: 'a', fence: 'command', dataDir: '/d' }))).toEqual([
    'postgres_fence_command sides.a.fence',
  ]);
  expect(codes(component({}, { name: 'a', place: 'one', fence: 'stop' }))).toEqual([
    'postgres_fence_stop sides.a.fence',
  ]);
  expect(codes(component({}, { name: 'n-1', dataDir: '/d' }, { name: 'n_1', dataDir: '/e' }))).toEqual([
    'postgres_node_name sides.a.1.name',
  ]);
  expect(postgres.local({ host: 'h' })).toBe(false);
  expect(postgres.local({ host: 'h', dataDir: '/d' })).toBe(true);
  expect(nodeSchema.safeParse({ host: 'postgres://u:p@h/db' }).success).toBe(false);
});

test('a history that is there and cannot be read does not pass a node off as a follower', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'rampart-twin-'));
  mkdirSync(join(dataDir, 'pg_wal'));
  const node = { name: 'a', here: true, dataDir } as unknown as PgNode;
  const reading = { node, files: { control: { timeline: 2 } }, server: null } as unknown as NodeReading;
  const asked = () => twinOf({} as Cluster, reading, {} as Primary);
  expect(await asked()).toBeNull();
  mkdirSync(join(dataDir, 'pg_wal/00000002.history'));
  await expect(asked()).rejects.toMatchObject({ code: 'EISDIR' });
  rmSync(dataDir, { recursive: true });
});
