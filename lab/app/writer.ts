/**
 * Sessions to the database behind the writer endpoint, for a service that must not fail a request because
 * the writer moves to another region in the middle of it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** Sessions at most. Requests beyond that wait for one, and waiting is no sign of a lost writer. */
const SESSIONS = 16;
/** Longest time to open a session, milliseconds. */
const CONNECT_MS = 1_000;
/** Longest time one statement may take before its session is given up, milliseconds. */
const STATEMENT_MS = 1_500;
/**
 * Pause between two looks at the writer endpoint while nobody can write, milliseconds: short at first, since a
 * switchover takes a moment, longer in an outage.
 */
const probePause = (awayMs: number): number => (awayMs < 2_000 ? 3 : 50);

/** No writer was reachable within the request's time. */
export class WriterUnavailable extends Error {}

export class Writer {
  readonly #url: string;
  #pool: pg.Pool;
  /** Set while the writer is away: settles when a writable session is there again. */
  #return: Promise<void> | undefined;
  #closed = false;
  #busy = 0;
  readonly #waiting: Array<() => void> = [];

  constructor(url: string) {
    this.#url = url;
    this.#pool = this.#newPool();
  }

  /** Whether the last thing known of the writer is good. */
  get reachable(): boolean {
    return this.#return === undefined;
  }

  /**
   * Runs one statement, again and again if need be until `deadline`. The statement must be harmless to
   * repeat: when a session breaks, nobody knows whether it was committed.
   * @param deadline milliseconds since the epoch
   * @throws WriterUnavailable after the deadline; any other error of the database at once
   */
  async run(text: string, values: unknown[], deadline: number): Promise<pg.QueryResult> {
    for (;;) {
      await this.#untilWritable(deadline);
      // Taken before the wait: a pool made meanwhile is the prober's, until it has found a writer.
      const pool = this.#pool;
      await this.#slot();
      try {
        return await query(pool, text, values);
      } catch (error) {
        if (!isLostWriter(error)) throw error;
        this.#lost(pool);
      } finally {
        this.#freeSlot();
      }
    }
  }

  /** Waits until fewer than {@link SESSIONS} statements are under way, first come first served. */
  async #slot(): Promise<void> {
    if (this.#busy < SESSIONS) this.#busy += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #freeSlot(): void {
    const next = this.#waiting.shift();
    // A slot goes straight to whoever waits longest.
    if (next) next();
    else this.#busy -= 1;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#pool.end();
  }

  async #untilWritable(deadline: number): Promise<void> {
    while (this.#return !== undefined) {
      const left = deadline - Date.now();
      if (left <= 0) throw new WriterUnavailable('no writable database behind the writer endpoint');
      const waiting = new AbortController();
      await Promise.race([this.#return, sleep(left, undefined, { signal: waiting.signal }).catch(() => {})]);
      waiting.abort();
    }
    if (Date.now() > deadline) throw new WriterUnavailable('the writer endpoint did not answer in time');
  }

  /** The first request that meets a lost writer makes one prober look for it; all others wait for that. */
  #lost(pool: pg.Pool): void {
    if (pool !== this.#pool || this.#closed) return;
    // A fresh pool: sessions that still hang on the old writer are left to end by themselves.
    this.#pool = this.#newPool();
    pool.end().catch(() => {});
    this.#return = this.#probe(this.#pool).finally(() => {
      this.#return = undefined;
    });
  }

  async #probe(pool: pg.Pool): Promise<void> {
    const since = Date.now();
    while (!this.#closed) {
      try {
        const { rows } = await query(pool, 'SELECT pg_is_in_recovery() AS replica', []);
        if (rows[0]?.replica === false) return;
      } catch {
        // Still away.
      }
      await sleep(probePause(Date.now() - since));
    }
  }

  #newPool(): pg.Pool {
    const pool = new pg.Pool({
      connectionString: this.#url,
      max: SESSIONS,
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: STATEMENT_MS,
      keepAlive: true,
      idleTimeoutMillis: 30_000,
    });
    pool.on('error', () => {});
    // The pool listens only while a session is idle; one that breaks in use would end the process.
    pool.on('connect', (client) => client.on('error', () => {}));
    return pool;
  }
}

/** One statement on one session; a session that failed is not used again. */
async function query(pool: pg.Pool, text: string, values: unknown[]): Promise<pg.QueryResult> {
  const client = await pool.connect();
  try {
    const result = await client.query(text, values);
    client.release();
    return result;
  } catch (error) {
    client.release(true);
    throw error;
  }
}

/** True when the session or the server's role is the problem, not the statement. */
function isLostWriter(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  // 08*: connection; 57P01-03: shutting down, crashed, starting; 25006: a replica; 53300: too many sessions.
  if (code && /^(08|57P0|25006|53300)/.test(code)) return true;
  if (code && /^[0-9A-Z]{5}$/.test(code)) return false;
  return /ECONN|EPIPE|ETIMEDOUT|terminated|timeout|Connection|after calling end/i.test(
    `${code ?? ''} ${message ?? ''}`,
  );
}
