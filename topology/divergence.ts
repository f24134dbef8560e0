/** Comparisons of what two regions hold, for stores that more than one region writes to. Types only. */
import type { Millis } from '../drivers/ports.ts';

/** Where the rows of one region come from. Secrets are references. */
export type RowSourceSpec =
  | {
      kind: 'sql';
      /** Connection string, or the parts of a postgres component's node. */
      url: string | null;
      host: string | null;
      port: number;
      user: string;
      password: string | null;
      database: string;
      ssl: 'disable' | 'require' | 'verify-full';
    }
  | { kind: 'http'; url: string; token: string | null };

export interface Comparison {
  name: string;
  service: string;
  /** The two regions and their sources, in the order of the file. */
  sides: [{ region: string; source: RowSourceSpec }, { region: string; source: RowSourceSpec }];
  /** SQL sources: what is compared. HTTP sources return their rows. */
  table: string | null;
  query: string | null;
  /** Columns that name a row; together unique. */
  key: string[];
  /** Columns that are compared besides; `null` = all. */
  columns: string[] | null;
  /** Column that says when a row was written; with it the side that wrote first is told. */
  timestamp: string | null;
  /** Share of the key ranges that a round looks at, in percent. */
  samplePercent: number;
  everyMs: Millis;
  /** What differs is looked at again after this time, in milliseconds: it may be on its way. */
  settleMs: Millis;
  /** Most rows that are read one by one in a round, both sides together. */
  maxRows: number;
  /** Queries under way at one time, on each side. */
  concurrency: number;
  /** Longest time for one query or page, in milliseconds. */
  timeoutMs: Millis;
  /** How far one side may be behind the other. */
  lagSloMs: Millis;
}
