/** Reading pg_waldump's text, as PostgreSQL 15 to 18 print it. */
import { expect, test } from 'vitest';
import { OTHERS, WalSummary } from '../../../drivers/postgres/wal-summary.ts';

const record = (manager: string, tx: number, desc: string, lsn = '0/15B8A60') =>
  `rmgr: ${manager.padEnd(11)} len (rec/tot):     59/   235, tx: ${String(tx).padStart(10)}, lsn: ${lsn}, prev 0/015B8A28, desc: ${desc}`;
const ref = (node: number) => `, blkref #0: rel 1663/16384/${node} blk 0`;
const AT = '2026-11-21 03:12:01.250000 UTC';

function summaryOf(lines: string[], ignored: string[] = []): WalSummary {
  const summary = new WalSummary(new Set(ignored));
  for (const line of lines) summary.take(line);
  return summary;
}

test('rows count when their transaction commits, by relation', () => {
  const summary = summaryOf([
    record('Heap', 700, `INSERT off: 3, flags: 0x00${ref(16391)}`),
    record('Btree', 700, `INSERT_LEAF off: 3${ref(16393)}`),
    record('Heap', 700, `HOT_UPDATE old_xmax: 700, old_off: 3, new_off: 4${ref(16391)}`),
    record('Heap', 701, `INSERT+INIT off 1 flags 0x00${ref(16391)}`),
    record('Heap2', 702, `MULTI_INSERT+INIT ntuples: 5, flags: 0x02${ref(16400)}`),
    record('Heap2', 702, `MULTI_INSERT 7 tuples flags 0x00${ref(16400)}`),
    record('Heap2', 0, `PRUNE_ON_ACCESS snapshotConflictHorizon: 0${ref(16391)}`),
    record('Heap', 703, `DELETE xmax: 703, off: 1${ref(16391)}`),
    record('Transaction', 700, `COMMIT ${AT}`),
    record('Transaction', 701, `ABORT ${AT}`),
    record('Transaction', 702, `COMMIT 2026-11-21 03:12:02.000000 UTC; inval msgs: catcache 80`, '0/15B9000'),
    record('Heap', 704, `INSERT off: 9, flags: 0x00${ref(16391)}`, '0/15BA000'),
    'pg_waldump: error: error in WAL record at 0/15BA000: invalid record length',
  ]);
  expect(summary).toMatchObject({ transactions: 2, otherCommits: 0, last: 0x15ba000n });
  expect(summary.firstCommit).toBe('2026-11-21T03:12:01.250Z');
  expect(summary.lastCommit).toBe('2026-11-21T03:12:02.000Z');
  expect([...summary.tables]).toEqual([
    ['1663/16384/16391', { inserted: 1, updated: 1, deleted: 0, firstXid: 700, lastXid: 700 }],
    ['1663/16384/16400', { inserted: 12, updated: 0, deleted: 0, firstXid: 702, lastXid: 702 }],
  ]);
});

test('subtransactions and prepared transactions count with the one that ends them', () => {
  const summary = summaryOf([
    record('Heap', 711, `INSERT off: 1, flags: 0x00${ref(16391)}`),
    record('Heap', 712, `INSERT off: 2, flags: 0x00${ref(16391)}`),
    record('Transaction', 710, `COMMIT ${AT}; subxacts: 711 712`),
    record('Heap', 720, `INSERT off: 3, flags: 0x00${ref(16391)}`),
    record('Transaction', 720, `PREPARE gid p: ${AT}`),
    record('Transaction', 0, `COMMIT_PREPARED 720: ${AT}`),
    record('Heap', 730, `INSERT off: 4, flags: 0x00${ref(16391)}`),
    record('Transaction', 0, `ABORT_PREPARED 730: ${AT}`),
  ]);
  expect(summary).toMatchObject({ transactions: 2, otherCommits: 0 });
  expect([...summary.tables.values()]).toEqual([{ inserted: 3, updated: 0, deleted: 0, firstXid: 711, lastXid: 720 }]);
});

test('catalogues and own tables are no rows that anybody misses; a commit without rows is told apart', () => {
  const summary = summaryOf(
    [
      record('Heap', 740, `INSERT off: 1, flags: 0x00, blkref #0: rel 1663/16384/1249 blk 0`),
      record('Heap', 740, `INSERT off: 1, flags: 0x00${ref(16500)}`),
      record('Transaction', 740, `COMMIT ${AT}`),
    ],
    ['1663/16384/16500'],
  );
  expect(summary).toMatchObject({ transactions: 0, otherCommits: 1 });
  expect(summary.tables.size).toBe(0);
});

test('very many relations are counted together', () => {
  const lines = Array.from({ length: 2_100 }, (_, i) => [
    record('Heap', 800 + i, `INSERT off: 1, flags: 0x00${ref(20_000 + i)}`),
    record('Transaction', 800 + i, `COMMIT ${AT}`),
  ]).flat();
  const { tables } = summaryOf(lines);
  expect(tables.size).toBe(2_001);
  expect(tables.get(OTHERS)).toMatchObject({ inserted: 100 });
});
