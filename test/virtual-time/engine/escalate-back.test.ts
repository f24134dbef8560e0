/** Escalation to the side that the run was to leave, and that is still the active one: nothing is to be moved, only undone. */
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

describe('before anything was promoted', () => {
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
