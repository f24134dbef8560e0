/** Letting go of old data: how it ends tells whether a person must look. */
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, expect, it } from 'vitest';
import { type EngineRun, startRun } from './run.ts';
import { A, B } from './world/world.ts';

const refuse = (): never => {
  throw ApplicationFailure.nonRetryable('the system said no', 'PreconditionFailed');
};
const RELEASED = [A, B].map((region) => `the old data of orders-db in ${region} is let go of`);

const runs: EngineRun[] = [];
afterAll(() => Promise.all(runs.map((run) => run.dispose())));

const letGo = (run: EngineRun): string[] =>
  run.model.log.map(({ what }) => what).filter((what) => what.endsWith('let go of'));

async function released(failing?: string): Promise<EngineRun> {
  const run = await startRun({
    type: 'release',
    request: { service: 'checkout', waive: true, reason: 'the copies are checked', by: 'ann' },
    before: (model) => {
      if (failing !== undefined) model.on(failing, refuse);
    },
  });
  runs.push(run);
  await run.workflow.runUntilClosed();
  expect(run.model.openJournals).toEqual([]);
  return run;
}

it('place by place, and says of each what was let go of', async () => {
  const run = await released();
  expect(run.workflow.outcome).toMatchObject({ status: 'completed', result: { outcome: 'completed' } });
  expect(letGo(run)).toEqual(RELEASED);
  expect((await run.record()).text).toBe(`deleted what was kept in ${A}; deleted what was kept in ${B}`);
});

it('that fails half way: a person must look', async () => {
  const run = await released(`release:orders-db@${B}`);
  expect(run.workflow.outcome).toMatchObject({ status: 'failed', failure: { type: 'NeedsHuman' } });
  expect(letGo(run)).toEqual(RELEASED.slice(0, 1));
  expect(await run.record()).toMatchObject({ outcome: 'needsHuman', text: expect.stringContaining('said no') });
});

it('that fails before it has changed anything: refused', async () => {
  const run = await released('compilePlan');
  expect(run.workflow.outcome).toMatchObject({ status: 'failed', failure: { type: 'PreconditionFailed' } });
  expect(run.model.log).toEqual([]);
  expect((await run.record()).outcome).toBe('refused');
});
