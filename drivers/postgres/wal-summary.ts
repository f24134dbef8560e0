/**
 * What a stretch of write-ahead log did, from the text of pg_waldump: committed transactions, and the rows they changed
 * by relation. Bounded in memory: only transactions that are still open are kept. Pure. PostgreSQL 15 to 18.
 */
import { parseLsn } from '../sql/lsn.ts';

/** `tablespace/database/filenode`, as the log names a relation. */
export type RelationKey = string;

export interface Changed {
  inserted: number;
  updated: number;
  deleted: number;
  /** Least and greatest transaction that changed it: `xmin` of the rows that are there now. */
  firstXid: number;
  lastXid: number;
}

/** Catalogues of a new database have lower numbers; they change by DDL, which is not counted by rows. */
const FIRST_USER_NODE = 16_384;
/** Relations that are told apart; what is changed beyond them is counted together. */
const MOST_RELATIONS = 2_000;
export const OTHERS: RelationKey = 'others';

const RECORD =
  /^rmgr: (\w+)\s+len \(rec\/tot\):\s*\d+\/\s*(\d+), tx:\s*(\d+), lsn: ([0-9A-F]+\/[0-9A-F]+),.* desc: (.*)$/;
const RELATION = /blkref #0: rel (\d+\/\d+\/(\d+))/;

export class WalSummary {
  /** Committed transactions that changed rows of tables. */
  transactions = 0;
  /** Other commits: DDL, sequences, tables that are passed over, or rows changed before the stretch begins. */
  otherCommits = 0;
  /** Times of the first and the last commit, ISO 8601. */
  firstCommit: string | null = null;
  lastCommit: string | null = null;
  /** Start of the last record read, `null` = none. */
  last: bigint | null = null;
  readonly tables = new Map<RelationKey, Changed>();
  readonly #open = new Map<number, Map<RelationKey, [inserted: number, updated: number, deleted: number]>>();
  readonly #ignored: ReadonlySet<RelationKey>;

  /** @param ignored relations whose changes nobody misses */
  constructor(ignored: ReadonlySet<RelationKey> = new Set()) {
    this.#ignored = ignored;
  }

  /** Takes one line of the output. What is no record is passed over. */
  take(line: string): void {
    const match = RECORD.exec(line);
    if (match === null) return;
    const [, manager, , tx, lsn, description] = match as unknown as [string, string, string, string, string, string];
    this.last = parseLsn(lsn);
    const xid = Number(tx);
    if (manager === 'Heap' || manager === 'Heap2') this.#change(xid, description);
    else if (manager === 'Transaction') this.#end(xid, description);
  }

  #change(xid: number, description: string): void {
    const kind = kindOf(description);
    const relation = RELATION.exec(description);
    if (kind === null || relation === null || Number(relation[2]) < FIRST_USER_NODE) return;
    const key = relation[1]!;
    if (this.#ignored.has(key)) return;
    const open = this.#open.get(xid) ?? new Map();
    this.#open.set(xid, open);
    const counts = open.get(key) ?? [0, 0, 0];
    counts[kind.index] += kind.rows;
    open.set(key, counts);
  }

  #end(xid: number, description: string): void {
    const commit = /^COMMIT(?:_PREPARED (\d+):)? (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC/.exec(description);
    const abort = /^ABORT(?:_PREPARED (\d+):)?/.exec(description);
    if (commit === null && abort === null) return;
    const top = Number((commit ?? abort)![1] ?? xid);
    const children = /subxacts: ([\d ]+)/.exec(description)?.[1] ?? '';
    const all = [top, ...children.split(' ').filter(Boolean).map(Number)];
    if (commit !== null) this.#committed(all, isoOf(commit[2]!));
    for (const each of all) this.#open.delete(each);
  }

  #committed(xids: number[], at: string): void {
    this.firstCommit ??= at;
    this.lastCommit = at;
    let changed = false;
    for (const xid of xids) {
      for (const [key, [inserted, updated, deleted]] of this.#open.get(xid) ?? []) {
        changed = true;
        const into = this.tables.size < MOST_RELATIONS || this.tables.has(key) ? key : OTHERS;
        const sum = this.tables.get(into) ?? { inserted: 0, updated: 0, deleted: 0, firstXid: xid, lastXid: xid };
        this.tables.set(into, {
          inserted: sum.inserted + inserted,
          updated: sum.updated + updated,
          deleted: sum.deleted + deleted,
          firstXid: Math.min(sum.firstXid, xid),
          lastXid: Math.max(sum.lastXid, xid),
        });
      }
    }
    if (changed) this.transactions += 1;
    else this.otherCommits += 1;
  }
}

function kindOf(description: string): { index: 0 | 1 | 2; rows: number } | null {
  const verb = /^[A-Z_]+/.exec(description)?.[0];
  switch (verb) {
    case 'INSERT':
      return { index: 0, rows: 1 };
    case 'MULTI_INSERT':
      // `ntuples: 5` from 16 on, `5 tuples` before.
      return {
        index: 0,
        rows: Number(/ntuples: (\d+)/.exec(description)?.[1] ?? /(\d+) tuples/.exec(description)?.[1] ?? 1),
      };
    case 'UPDATE':
    case 'HOT_UPDATE':
      return { index: 1, rows: 1 };
    case 'DELETE':
      return { index: 2, rows: 1 };
    default:
      return null;
  }
}

const isoOf = (text: string): string => new Date(`${text.replace(' ', 'T')}Z`).toISOString();
