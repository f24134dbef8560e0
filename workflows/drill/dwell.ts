/** The time on the other side: checks keep running, people's words are heard, and trouble ends it early. */
import { condition } from '@temporalio/workflow';
import type { Resolved } from '../../activities/contract.ts';
import type { CheckResult } from '../../drivers/ports.ts';
import type { DwellRecord } from '../../evidence/record.ts';
import { lagOf } from '../../plan/findings/stores.ts';
import { nodesAt, viewStore } from '../../plan/sides.ts';
import type { Interrupt } from '../run/errors.ts';
import { observeCheckAt, observeStore, type RunIdentity } from '../run/measure.ts';
import { showProgress } from '../run/progress.ts';
import { identityOf, type Run } from '../run/state.ts';
import { type Behind, everyMs, Limits, type Round } from './limits.ts';
import type { DrillRequest } from './request.ts';

export interface Dwelt {
  record: DwellRecord;
  /** The word that ended it; `null` when its time was over, or trouble ended it. */
  word: Interrupt | null;
  /** What ended it early without anybody's word; `null` when nothing did. */
  trouble: string | null;
}

/**
 * Stays until the time is over, a person says otherwise, or a limit is passed.
 * @param next the way back, which takes the words meanwhile
 * @param behind region whose stores must keep up
 */
export async function dwell(next: Run, first: Run, request: DrillRequest, behind: string): Promise<Dwelt> {
  const { dwellMs, intervalMs, abortWhen } = request;
  const record: DwellRecord = { startedAt: Date.now(), endedAt: null, checks: [] };
  first.record.dwell = record;
  const limits = new Limits(abortWhen, record.startedAt);
  const every = everyMs(intervalMs, dwellMs);
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
    const [round, late] = await Promise.all([
      lookAtChecks(first.resolved!, [first.record.to!], identityOf(first)),
      abortWhen.lagAboveMs === null ? [] : lookBehind(first.resolved!, behind, identityOf(first)),
    ]);
    note(record, round);
    trouble = limits.take(round, late, Date.now());
    if (trouble === null)
      await condition(() => heard() || next.paused !== null, Math.max(Math.min(every, over - Date.now()), 1));
  }
  record.endedAt = Date.now();
  return { record, word: next.takeInterrupt(), trouble };
}

/** Measurements that stay in the record. */
const MOST_KEPT = 500;

export function note(record: DwellRecord, round: Round): void {
  const told = round.map(([name, { outcome, observed, threshold, at }]) => ({
    ...{ name, at, outcome, observed, threshold },
  }));
  record.checks = [...(record.checks ?? []), ...told].slice(-MOST_KEPT);
}

/** Every check of the service once, in these regions; where they are several, their names say which. */
export async function lookAtChecks(
  { service, components }: Resolved,
  regions: readonly string[],
  identity: RunIdentity,
): Promise<Round> {
  const wanted = service.checks.flatMap((name) => {
    const component = components[name]!;
    // A check without sides asks the same wherever it is asked from.
    const anywhere = Object.keys(component.sides).length === 0;
    const there = anywhere ? regions.slice(0, 1) : regions.filter((region) => component.sides[region] !== undefined);
    return there.map((region) => ({ component, region }));
  });
  return Promise.all(
    wanted.map(
      async ({ component, region }): Promise<[string, CheckResult]> => [
        regions.length === 1 || Object.keys(component.sides).length === 0
          ? component.name
          : `${component.name}@${region}`,
        await observeCheckAt(component, region, identity),
      ],
    ),
  );
}

/** How far the stores of a region are behind; one that follows nobody, or says nothing fresh, is not known to keep up. */
async function lookBehind({ service, components }: Resolved, region: string, run: RunIdentity): Promise<Behind[]> {
  const stores = service.components.map((name) => components[name]!).filter(({ role }) => role === 'store');
  return Promise.all(
    stores.map(async (store) => {
      const view = viewStore(store, await observeStore(store, run), Date.now());
      const lags = nodesAt(view, region).map((node) => (node.state === 'replica' ? lagOf(view, node) : null));
      const known = lags.every((lag) => lag?.fresh === true && lag.seconds !== null);
      return { store: store.name, seconds: known ? Math.max(...lags.map((lag) => lag!.seconds!)) : null };
    }),
  );
}
