/** Escalation and the way back: what an earlier plan did stays to be undone until a promotion is scheduled. */
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, it } from 'vitest';
import type { OwnStep } from '../../../topology/model.ts';
import { type EngineRun, type RunOptions, startRun } from './run.ts';
import { A, B, type Script } from './world/world.ts';

const back = { by: 'bob', reason: 'eu-central is on fire', to: A };

let run: EngineRun;
afterEach(() => run?.dispose());

const refuse: Script = () => {
  throw ApplicationFailure.nonRetryable('the system said no', 'PreconditionFailed');
};

/** A team's own step in the preparation, with its own way back. */
const WARM: OwnStep = {
  name: 'warm',
  summary: 'Warm the caches',
  kind: 'command',
  config: { command: ['warm'] },
  stage: 'prepare',
  at: 'to',
  effect: 'reversible',
  onFailure: 'rollback',
  deadlineMs: 10_000,
  actions: [],
  undo: { kind: 'command', config: { command: ['cool'] } },
};

async function approved(options: RunOptions = {}): Promise<void> {
  run = await startRun(options);
  await run.approve();
}

/** Ends as it was before, and says so. */
async function wentBack(): Promise<void> {
  const record = await run.end();
  expect(record.outcome).toBe('rolledBack');
  expect(record.text).toMatch(/eu-central is on fire; eu-west is the active side, .*Everything is as it was before/);
  expect(record.pointOfNoReturn.crossedAt).toBeNull();
  expect(record.debt).toEqual([]);
  expect(record.undos.map(({ state }) => state)).toEqual(record.undos.map(() => 'done'));
  expect(record.undos).not.toEqual([]);
}

describe('to the side that the run was to leave, before anything was promoted', () => {
  it.each([
    ['while it claims', `claim:orders-db@${A}`, {}],
    ['while it prepares', 'converge:orders-db', {}],
    ["after a team's own step", 'converge:orders-db', { steps: [WARM] }],
    ['when its writers are stopped', `quiesce:shop@${A}`, { writes: 'local' }],
  ] as const)('%s: everything is put back', async (_when, step, service) => {
    await approved({
      world: { service: { ...service, steps: 'steps' in service ? [...service.steps] : [] }, pace: 5 },
    });
    await run.until(step);
    await run.send('escalate', back);
    await wentBack();
  });

  it('while it holds and the target is lost: what is there is put back, the rest when it answers', async () => {
    await approved({
      world: { service: { onFailure: { planned: 'hold', unplanned: 'hold' } } },
      before: (model) => model.on('converge:orders-db', refuse),
    });
    await run.holding();
    run.harness.removeWorkers(`rampart.${B}`);
    await run.send('escalate', back);
    await run.harness.advance(120_000);
    expect((await run.status()).phase).toBe('compensating');
    expect((await run.status()).debt.map(({ code }) => code)).toEqual(['undoWaiting']);
    run.harness.addWorkers(`rampart.${B}`);
    await wentBack();
  });

  it('escalated once more while it goes back: the rescue leads to the other side', async () => {
    await approved();
    await run.until('converge:orders-db');
    run.harness.removeWorkers(`rampart.${B}`);
    await run.send('escalate', back);
    await run.harness.advance(60_000);
    expect((await run.status()).phase).toBe('compensating');
    await run.send('escalate', { by: 'bob', reason: 'no, it is eu-west', to: B });
    run.harness.addWorkers(`rampart.${B}`);
    await run.approve({ maxLoss: { seconds: 3_600 } });
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.model.database().writable).toEqual([B]);
  });
});

describe('a rescue whose steps beside the source no worker takes', () => {
  /** Fenced by the first plan; its way back waits for a worker, and so does all that the second plan wants of it. */
  async function fencedAndAway(): Promise<void> {
    await approved();
    run.model.on('catchUp:orders-db', async () => {
      run.harness.removeWorkers(`rampart.${A}`);
      throw ApplicationFailure.nonRetryable('the replica said no', 'PreconditionFailed');
    });
    await run.until('catchUp:orders-db');
    await run.harness.advance(60_000);
    expect((await run.status()).phase).toBe('compensating');
    await run.send('escalate', { by: 'bob', reason: 'eu-west is on fire' });
    await run.approve({ maxLoss: { seconds: 3_600 } });
    expect((await run.gate('promote')).needsOverride).toContain('weakFence');
    run.harness.addWorkers(`rampart.${A}`);
  }

  it('rejected before the promotion: what the first plan did is undone', async () => {
    await fencedAndAway();
    await run.send('decide', { gate: 'promote.1', decision: 'reject', by: 'bob' });
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(run.model.database().writable).toEqual([A]);
    expect(record.undos.filter(({ state }) => state === 'discarded')).toEqual([]);
  });

  it('unanswered before the promotion: the source that is back may write again', async () => {
    await fencedAndAway();
    const { reason } = await run.holding();
    expect(reason).toContain('the source accepts writes again');
    expect(run.model.database().writable).toEqual([A]);
    await run.send('abort', { by: 'bob', reason: 'it is back' });
    expect((await run.end()).outcome).toBe('rolledBack');
  });
});

describe('a word that comes late', () => {
  it('escalated to the active side while the last undo is under way: nothing is left to do there', async () => {
    await approved();
    await run.until('converge:orders-db');
    await run.send('abort', { by: 'bob', reason: 'not today' });
    await run.until(`undo:claim:orders-db@${A}`);
    // The journal is still open when the sides are looked at, and closed before there is a plan.
    await run.harness.advance(50);
    await run.send('escalate', back);
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(record.text).toContain('Everything is as it was before the run.');
    expect(record.pointOfNoReturn.crossedAt).toBeNull();
    expect(record.debt).toEqual([]);
  });

  it('aborted while the escalation waits for what was under way: the rescue is not begun', async () => {
    await approved({ world: { pace: 5 } });
    await run.until('converge:orders-db');
    await run.send('escalate', { by: 'bob', reason: 'eu-west is on fire' });
    await run.send('abort', { by: 'carol', reason: 'false alarm' });
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(record.text).toContain('abort by carol: false alarm');
  });
});

it('rejected after an escalation: what its own open journal holds is not called what an earlier run had left', async () => {
  await approved();
  await run.until('converge:orders-db');
  await run.send('escalate', { by: 'bob', reason: 'eu-west is on fire', to: B });
  const { id } = await run.gate();
  await run.send('decide', { gate: id, decision: 'reject', by: 'carol', comment: 'it is not' });
  const record = await run.end();
  expect(record.outcome).toBe('rolledBack');
  expect(record.text).toMatch(/Everything is as it was before the run\.$/);
});

describe('no plan can be made', () => {
  it('a source that does not answer when the run holds may write again when it does', async () => {
    await approved({
      before: (model) =>
        model.on(`fence:orders-db@${A}`, async (act) => {
          const fenced = await act();
          model.database().server(A).reachable = false;
          return fenced;
        }),
    });
    await run.until('catchUp:orders-db');
    await run.send('escalate', back);
    expect((await run.holding()).reason).toContain('cannot be read');
    await run.harness.advance(40_000);
    run.model.database().server(A).reachable = true;
    await run.harness.advance(60_000);
    expect((await run.holding()).reason).toContain('the source accepts writes again');
    expect(run.model.database().writable).toEqual([A]);
    await run.send('retry');
    expect((await run.end()).outcome).toBe('rolledBack');
  });
});

describe('an undo that hangs when its compensation is escalated', () => {
  it('is tried again when the rescue is rejected', async () => {
    await approved({ before: (model) => model.on('catchUp:orders-db', refuse) });
    run.model.on(`undo:fence:orders-db@${A}`, () => 'never');
    await run.until(`undo:fence:orders-db@${A}`);
    await run.harness.advance(1_000);
    await run.send('escalate', { by: 'bob', reason: 'eu-west is on fire', to: B });
    await run.gate('cutover');
    await run.harness.advance(20_000);
    expect((await run.status()).debt).toEqual([]);
    const { id } = await run.gate('cutover');
    await run.send('decide', { gate: id, decision: 'reject', by: 'bob' });
    expect((await run.end()).outcome).toBe('rolledBack');
    expect(run.model.database().writable).toEqual([A]);
  });

  it('does not end the run where its worker is gone for good', async () => {
    await approved();
    await run.until('converge:orders-db');
    run.harness.removeWorkers(`rampart.${B}`);
    await run.send('escalate', back);
    await run.harness.advance(60_000);
    run.model.on(`undo:claim:orders-db@${B}`, () => 'never');
    run.harness.addWorkers(`rampart.${B}`);
    await run.harness.advance(1_000);
    await run.send('escalate', { by: 'bob', reason: 'no, it is eu-west', to: B });
    await run.approve({ maxLoss: { seconds: 3_600 } });
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.undos.filter(({ state }) => state === 'failed')).toEqual([]);
  });
});

describe('a switch that the provider gave up', () => {
  const world = {
    service: { writes: 'local', onFailure: { planned: 'hold', unplanned: 'hold' } },
    stores: { ledger: 'atomic' },
  } as const;

  it('is shown not to have begun, and everything is put back', async () => {
    await approved({ world, before: (model) => model.on('switchover:ledger', refuse, 99) });
    await run.holding();
    await run.send('escalate', back);
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(record.pointOfNoReturn.revokedAt).not.toBeNull();
    expect(run.undone).toContain(`quiesce:shop@${A}`);
  });

  it('and cannot be shown not to have begun: the way to the active side is gone to its end', async () => {
    await approved({
      world,
      before: (model) => {
        model.on('switchover:ledger', refuse, 99);
        model.on('revokePromote', refuse, 99);
      },
    });
    await run.holding();
    await run.send('escalate', back);
    await run.approve();
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.model.database('ledger').writable).toEqual([A]);
  });
});

describe('a service without data', () => {
  const service = { components: ['edge', 'shop'] };

  it('goes back when no traffic has moved yet', async () => {
    await approved({ world: { service, pace: 5 } });
    await run.until(`scale:shop@${B}`);
    await run.send('escalate', back);
    await wentBack();
  });

  it('gets its settings back when the rescue goes on', async () => {
    await approved({ world: { service, pace: 5 } });
    await run.until('bake@25');
    await run.send('escalate', { by: 'bob', reason: 'go on' });
    await run.approve();
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.model.traffic.routers.edge).toMatchObject({ ttl: 60, weights: { [A]: 0, [B]: 100 } });
  });
});
