/** The time on the other side: checks keep running, people's words are heard, and trouble ends it early. */
import { condition } from '@temporalio/workflow';
import type { CheckResult } from '../../drivers/ports.ts';
import type { DwellRecord } from '../../evidence/record.ts';
import type { Interrupt } from '../run/errors.ts';
import { observeCheckAt } from '../run/measure.ts';
import { showProgress } from '../run/progress.ts';
import { identityOf, type Run } from '../run/state.ts';
import type { DrillRequest } from './request.ts';

/** Rounds in a row in which a check does not pass that end the dwell: as many as a failed probe takes to be an outage. */
const MOST_FAILED = 3;

export interface Dwelt {
  record: DwellRecord;
  /** The word that ended it; `null` when its time was over, or checks ended it. */
  word: Interrupt | null;
  /** What the checks said that ended it early; `null` when they did not. */
  trouble: string | null;
}

/**
 * Stays until the time is over, a person says otherwise, or the checks do.
 * @param next the way back, which takes the words meanwhile
 */
export async function dwell(next: Run, first: Run, { dwellMs, intervalMs }: DrillRequest): Promise<Dwelt> {
  const record: DwellRecord = { startedAt: Date.now(), endedAt: null, checks: [] };
  first.record.dwell = record;
  const failed = new Map<string, number>();
  const heard = () => next.interrupt !== null;
  let over = record.startedAt + dwellMs;
  // Without it people would read for half an hour that the way back is being planned.
  next.record.text = `On the other side until ${new Date(over).toISOString()}, longer by every pause. abort: go back now; escalate: this is the real thing, stay.`;
  showProgress(next);
  let trouble: string | null = null;
  while (!heard() && trouble === null && Date.now() < over) {
    if (next.paused !== null) {
      const since = Date.now();
      await condition(() => next.paused === null || heard());
      // A pause is no time on the other side that anybody asked for.
      over += Date.now() - since;
      continue;
    }
    for (const [name, result] of await look(first)) {
      const { outcome, observed, threshold, at } = result;
      record.checks = [...(record.checks ?? []).slice(-MOST_KEPT), { name, at, outcome, observed, threshold }];
      const times = outcome === 'pass' ? 0 : (failed.get(name) ?? 0) + 1;
      failed.set(name, times);
      if (times >= MOST_FAILED)
        trouble = `check ${name} ${outcome === 'fail' ? 'failed' : 'gave no answer'} ${times} times in a row: ${observed} against ${threshold}`;
    }
    await condition(() => heard() || next.paused !== null, Math.max(Math.min(intervalMs, over - Date.now()), 1));
  }
  record.endedAt = Date.now();
  return { record, word: next.takeInterrupt(), trouble };
}

/** Measurements that stay in the record. */
const MOST_KEPT = 499;

async function look(run: Run): Promise<Array<[string, CheckResult]>> {
  const { service, components } = run.resolved!;
  const region = run.record.to!;
  const checks = service.checks.filter((name) => components[name] !== undefined);
  return Promise.all(
    checks.map(
      async (name): Promise<[string, CheckResult]> => [
        name,
        await observeCheckAt(components[name]!, region, identityOf(run)),
      ],
    ),
  );
}
