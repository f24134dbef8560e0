/**
 * The freeze (I2): from the first frozen stage to the end of `route` nobody can write, and that time has a budget.
 * Before the point of no return its expiry makes the run unfence by itself; after it, people are told.
 */
import { CancellationScope, isCancellation, sleep } from '@temporalio/workflow';
import type { RunRecord } from '../../evidence/record.ts';

export class Freeze {
  private readonly record: RunRecord['freeze'];
  private timer: CancellationScope | null = null;

  constructor(record: RunRecord['freeze']) {
    this.record = record;
  }

  get active(): boolean {
    return this.record.startedAt !== null && this.record.endedAt === null;
  }

  /** Absolute end of the budget; `null` outside the freeze, and once the budget binds nothing any more. */
  get deadline(): number | null {
    return this.active && this.timer !== null ? this.record.startedAt! + this.record.budgetMs : null;
  }

  /** @param onExpiry called once when the budget runs out while still frozen */
  begin(budgetMs: number, onExpiry: () => void): void {
    if (this.active) return;
    Object.assign(this.record, { startedAt: Date.now(), endedAt: null, budgetMs, exceeded: false });
    const timer = new CancellationScope();
    this.timer = timer;
    timer
      .run(async () => {
        await sleep(budgetMs, { summary: 'freeze budget' });
        this.record.exceeded = true;
        onExpiry();
      })
      .catch((error: unknown) => {
        if (!isCancellation(error)) throw error;
      });
  }

  /** The budget no longer cancels anything; the freeze itself lasts until `end`. */
  disarm(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  end(): void {
    if (this.record.startedAt !== null && this.record.endedAt === null) this.record.endedAt = Date.now();
    this.disarm();
  }
}
