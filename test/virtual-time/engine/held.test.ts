/** An unplanned run and a source that could write if it were not fenced (I2). */
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, it } from 'vitest';
import { type EngineRun, startRun, UNPLANNED } from './run.ts';
import { A, B, type Script } from './world/world.ts';

const FENCE = `fence:orders-db@${A}`;

const FORCED = { ...UNPLANNED, override: ['healthySource'] };
const BUDGET_MS = 30_000;

let run: EngineRun;
afterEach(() => run.dispose());

let mute = true;
/** The proof is not answered, so that the gate before the promotion opens with the source fenced. */
const silent: Script = (act) => {
  if (!mute) return act();
  throw ApplicationFailure.nonRetryable('the worker that ran it stopped reporting', 'ProviderUnavailable');
};

async function atPromoteGate(): Promise<void> {
  mute = true;
  run = await startRun({ request: FORCED, before: (model) => model.on('prove', silent, 99) });
  await run.approve();
  await run.gate('promote');
  expect(run.model.database().writable).toEqual([]);
}

describe('nobody answers the gate before the promotion', () => {
  it('lets the source write again when the budget is over, holds, and on retry goes on', async () => {
    await atPromoteGate();
    await run.harness.advance(BUDGET_MS - 1_000);
    expect(run.model.database().writable).toEqual([]);
    await run.harness.advance(20_000);
    expect(run.model.database().writable).toEqual([A]);
    const { reason, choices } = await run.holding();
    expect(reason).toMatch(
      /gate promote\.1 was not answered within the freeze budget of 30 s.*the source accepts writes again/,
    );
    expect(choices).toEqual(['retry', 'abort', 'escalate']);
    mute = false;
    await run.send('retry');
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.model.database().writable).toEqual([B]);
  });

  it('leaves the gate open while the source cannot be asked, and lets go when it can', async () => {
    await atPromoteGate();
    run.model.lose(A);
    await run.harness.advance(5 * BUDGET_MS);
    expect((await run.status()).gate?.id).toBe('promote.1');
  });

  it('leaves a source alone that was lost before it was fenced', async () => {
    run = await startRun({ request: UNPLANNED, before: (model) => model.lose(A) });
    await run.approve();
    await run.gate('promote');
    await run.harness.advance(5 * BUDGET_MS);
    expect((await run.status()).gate?.id).toBe('promote.1');
    await run.approve();
    expect((await run.end()).outcome).toBe('completed');
  });
});

it('an unplanned run that holds before the promotion lets a living source write again', async () => {
  const refused: Script = () => {
    throw ApplicationFailure.nonRetryable('the target does not answer', 'PreconditionFailed');
  };
  run = await startRun({ request: FORCED, before: (model) => model.on('catchUp:orders-db', refused, 1) });
  await run.approve();
  expect((await run.holding()).reason).toMatch(/the target does not answer; the source accepts writes again/);
  expect(run.model.database().writable).toEqual([A]);
  await run.send('retry');
  expect((await run.end()).outcome).toBe('completed');
});

it('remembers that the source came back at a gate, also when the answer of its fence is lost and the plan is another', async () => {
  const answerLost: Script = async (act) => {
    await act();
    throw ApplicationFailure.nonRetryable('the worker that ran it stopped reporting', 'ProviderUnavailable');
  };
  run = await startRun({
    request: UNPLANNED,
    before: (model) => {
      model.lose(A);
      model.on(FENCE, answerLost, 1);
    },
  });
  await run.gate('cutover');
  Object.assign(run.model.database().server(A), { reachable: true, since: run.model.now });
  run.model.traffic.workload('shop', A).reachable = true;
  await run.harness.advance(20_000);
  expect((await run.gate('cutover')).id).toBe('cutover.2');
  await run.approve();
  await run.until(FENCE);
  await run.send('escalate', { by: 'eve', reason: 'it takes too long', to: B });
  await run.gate('cutover');
  expect(run.model.database().writable).toEqual([]);
  await run.harness.advance(2 * BUDGET_MS);
  expect(run.model.database().writable).toEqual([A]);
  expect((await run.holding()).reason).toMatch(/was not answered within the freeze budget of 30 s/);
});
