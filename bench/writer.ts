/**
 * A client that writes one row every few milliseconds, one after the other, and notes every acknowledgement. It
 * follows the writable server by itself: through an endpoint that is switched, or by trying a list of servers.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { longestGap } from '../lab/load/ledger.ts';

/** Pause between two tries while nobody takes writes, milliseconds. */
const RETRY_MS = 3;
/** Longest wait for one connection or answer, milliseconds. */
const ANSWER_MS = 1_000;

export interface WriterOptions {
  /** Where a writable server may be; with more than one they are tried in turn. */
  urls: readonly string[];
  /** Milliseconds from one write to the next. */
  everyMs: number;
}

export class RowWriter {
  readonly #options: WriterOptions;
  readonly #acknowledged: Array<{ id: number; at: number }> = [];
  #client: pg.Client | null = null;
  #next = 0;
  #running = true;
  #work: Promise<void> | null = null;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Makes the table and begins. */
  async start(): Promise<void> {
    const client = await this.#connected();
    await client.query('CREATE TABLE IF NOT EXISTS bench_rows (id bigint PRIMARY KEY)');
    await client.query('TRUNCATE bench_rows');
    this.#work = this.#write();
  }

  /** Longest time between two acknowledgements between two moments, milliseconds; the window's ends count. */
  gap(from: number, to: number): number {
    return longestGap(this.#times(from, to), from, to).writeGapMs;
  }

  /** When the first row that was acknowledged after a moment was, or `null`. */
  firstAfter(moment: number): number | null {
    return this.#acknowledged.find(({ at }) => at > moment)?.at ?? null;
  }

  /** Milliseconds since the last acknowledgement; infinite before the first. */
  idleMs(): number {
    const last = this.#acknowledged.at(-1);
    return last === undefined ? Number.POSITIVE_INFINITY : performance.timeOrigin + performance.now() - last.at;
  }

  /** Ends it and looks for every acknowledged row in the database at `url`. */
  async stop(url: string): Promise<{ acknowledged: number; lost: number }> {
    this.#running = false;
    await this.#work;
    await this.#client?.end().catch(() => {});
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      const { rows } = await client.query('SELECT id::int AS id FROM bench_rows');
      const there = new Set(rows.map(({ id }) => id as number));
      const lost = this.#acknowledged.filter(({ id }) => !there.has(id)).length;
      return { acknowledged: this.#acknowledged.length, lost };
    } finally {
      await client.end();
    }
  }

  #times(from: number, to: number): number[] {
    return this.#acknowledged.map(({ at }) => at).filter((at) => at >= from && at <= to);
  }

  async #write(): Promise<void> {
    let due = performance.now();
    while (this.#running) {
      await this.#one(this.#next);
      this.#next += 1;
      due = Math.max(due + this.#options.everyMs, performance.now());
      await sleep(Math.max(0, due - performance.now()));
    }
  }

  /** Writes one row, again and again until it is acknowledged; a repeat changes nothing. */
  async #one(id: number): Promise<void> {
    while (this.#running) {
      try {
        this.#client ??= await this.#connected();
        await this.#client.query('INSERT INTO bench_rows VALUES ($1) ON CONFLICT DO NOTHING', [id]);
        this.#acknowledged.push({ id, at: performance.timeOrigin + performance.now() });
        return;
      } catch {
        void this.#client?.end().catch(() => {});
        this.#client = null;
        await sleep(RETRY_MS);
      }
    }
  }

  async #connected(): Promise<pg.Client> {
    let last: unknown;
    for (const connectionString of this.#options.urls) {
      const client = new pg.Client({
        connectionString,
        connectionTimeoutMillis: ANSWER_MS,
        query_timeout: ANSWER_MS,
        keepAlive: true,
      });
      client.on('error', () => {});
      try {
        await client.connect();
        const { rows } = await client.query('SELECT pg_is_in_recovery() AS replica');
        if (rows[0]?.replica === false) return client;
        last = new Error('in recovery');
      } catch (error) {
        last = error;
      }
      void client.end().catch(() => {});
    }
    throw last;
  }
}
