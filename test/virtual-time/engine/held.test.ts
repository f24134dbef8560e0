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

describe('one of two stores does not answer', () => {
  const silence = (region: string, reachable: boolean): void => {
    Object.assign(run.model.database('sessions-db').server(region), { reachable, since: run.model.now });
  };
  const writable = () => ['orders-db', 'sessions-db'].map((store) => run.model.database(store).writable);

  async function atPromoteGateOfTwo(): Promise<void> {
    mute = true;
    run = await startRun({
      request: FORCED,
      world: { stores: { 'sessions-db': 'staged' } },
      before: (model) => model.on('prove', silent, 99),
    });
    await run.approve();
    await run.gate('promote');
    expect(writable()).toEqual([[], []]);
    silence(A, false);
  }

  it('the other one is let go all the same, the one that is silent as soon as it answers, and the run goes on', async () => {
    await atPromoteGateOfTwo();
    await run.harness.advance(BUDGET_MS + 20_000);
    expect(writable()).toEqual([[A], []]);
    expect((await run.holding()).reason).toMatch(
      /the source accepts writes again, but for sessions-db in eu-west, which does not answer and is looked at again$/,
    );
    silence(A, true);
    await run.harness.advance(3 * BUDGET_MS);
    expect(writable()).toEqual([[A], [A]]);
    expect((await run.holding()).reason).toMatch(/looked at again; the source accepts writes again$/);
    mute = false;
    await run.send('retry');
    expect((await run.end()).outcome).toBe('completed');
    expect(writable()).toEqual([[B], [B]]);
  });

  it('a person who goes back at once gets the other one back within seconds', async () => {
    await atPromoteGateOfTwo();
    await run.send('abort');
    await run.harness.advance(20_000);
    expect(writable()).toEqual([[A], []]);
    silence(A, true);
    expect((await run.end()).text).toMatch(/as it was before the run/);
    expect(writable()).toEqual([[A], [A]]);
  });
});

it('a fence that did nothing is told as such, and looked at no more', async () => {
  mute = true;
  const refused: Script = () => {
    throw ApplicationFailure.nonRetryable('no run has claimed it', 'Conflict');
  };
  run = await startRun({
    request: FORCED,
    world: { stores: { 'sessions-db': 'staged' } },
    before: (model) => {
      model.on('prove', silent, 99);
      model.on(`fence:sessions-db@${A}`, refused, 99);
    },
  });
  await run.approve();
  await run.gate('promote');
  const sessions = run.model.database('sessions-db').server(A);
  Object.assign(sessions, { reachable: false, since: run.model.now });
  await run.harness.advance(BUDGET_MS + 20_000);
  expect(run.model.database('orders-db').writable).toEqual([A]);
  Object.assign(sessions, { reachable: true, since: run.model.now });
  await run.harness.advance(3 * BUDGET_MS);
  expect((await run.holding()).reason).toMatch(/the source accepts writes, as was seen later$/);
  await run.send('abort');
  await run.workflow.runUntilClosed();
  expect(run.model.database('sessions-db').writable).toEqual([A]);
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

it('a source that falls silent just when it is to be let go is said to be fenced still, and let go when it answers', async () => {
  const refused: Script = () => {
    const source = run.model.database().server(A);
    const look = run.model.database().observe.bind(run.model.database());
    let looks = 0;
    // From beside it and over the network: then it is gone.
    run.model.database().observe = (region, local) => {
      const seen = look(region, local);
      if (region === A) looks += 1;
      if (looks === 2) Object.assign(source, { reachable: false, since: run.model.now });
      return seen;
    };
    throw ApplicationFailure.nonRetryable('the target does not answer', 'PreconditionFailed');
  };
  run = await startRun({ request: FORCED, before: (model) => model.on('catchUp:orders-db', refused, 1) });
  await run.approve();
  expect((await run.holding()).reason).toMatch(
    /orders-db in eu-west does not answer any more and stays fenced; it is looked at again$/,
  );
  Object.assign(run.model.database().server(A), { reachable: true, since: run.model.now });
  await run.harness.advance(BUDGET_MS + 20_000);
  expect(run.model.database().writable).toEqual([A]);
  expect((await run.holding()).reason).toMatch(/the source accepts writes again$/);
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
