/**
 * A drill: a planned failover, a time on the other side, and the way back, under the service's lock from beginning to
 * end, so that nothing can slip in between. Each leg is a run with its own plan, undos and point of no return. What
 * goes wrong is never undone blindly: a drill that cannot go back says so and leaves the decision to people.
 */
import { allHandlersFinished, CancellationScope, condition, defineQuery, setHandler } from '@temporalio/workflow';
import type { DrillRecord } from '../evidence/record.ts';
import { playFull } from './drill/full.ts';
import { tellEnd } from './drill/legs.ts';
import { playRampOnly } from './drill/ramp-only.ts';
import { begin, ended } from './drill/record.ts';
import { readDrill } from './drill/request.ts';
import { countDrill } from './run/counted.ts';

/** Plays a drill. Input: {"service":"checkout","to":"eu-central","dwellMs":1800000} */
export async function drill(input: unknown): Promise<DrillRecord> {
  const request = readDrill(input);
  const record = begin(request);
  setHandler(defineQuery<DrillRecord>('drill'), () => record, {
    description: 'The drill so far: its legs, the time on the other side, the verdict',
  });
  await (request.kind === 'full' ? playFull(request, record) : playRampOnly(request, record));
  record.endedAt = Date.now();
  countDrill(record);
  await tellEnd(record);
  await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  return ended(record);
}
