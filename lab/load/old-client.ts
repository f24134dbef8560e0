/** A client that nobody told that the service has moved. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** Between two writes, in milliseconds. */
const PAUSE_MS = 5;

/** A client that was told the old address, and never asks again. It remembers when it was acknowledged. */
export class OldClient {
  readonly acknowledged: number[] = [];
  private stopped = false;
  private readonly done: Promise<void>;

  constructor(url: string) {
    this.done = this.write(url);
  }

  private async write(url: string): Promise<void> {
    while (!this.stopped) {
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
      client.on('error', () => {});
      try {
        await client.connect();
        await client.query('CREATE TABLE IF NOT EXISTS stray (at timestamptz)');
        while (!this.stopped) {
          await client.query('INSERT INTO stray VALUES (now())');
          this.acknowledged.push(Date.now());
          await sleep(PAUSE_MS);
        }
      } catch {
        await sleep(10);
      } finally {
        await client.end().catch(() => {});
      }
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.done;
  }
}
