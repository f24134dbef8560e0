/** Escalation: a person turns a run into a rescue, from wherever it is. The lock never blocks it. */
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, it } from 'vitest';
import { type EngineRun, type RunOptions, startRun, UNPLANNED } from './run.ts';
import { A, B, type Script } from './world/world.ts';

const FENCE = `fence:orders-db@${A}`;
const escalate = { by: 'bob', reason: 'eu-west is on fire' };

let run: EngineRun;
afterEach(() => run?.dispose());

const refuse: Script = () => {
  throw ApplicationFailure.nonRetryable('the system said no', 'PreconditionFailed');
};

async function approved(options: RunOptions = {}): Promise<EngineRun> {
  run = await startRun(options);
  await run.approve();
  return run;
}

/** The whole of the source region dies. */
function lose(region: string): void {
  run.model.lose(region);
  run.harness.removeWorkers(`rampart.${region}`);
}

/** Approves every gate of the rescue and ends on the other side. */
async function rescued(): Promise<Awaited<ReturnType<EngineRun['end']>>> {
  await run.approve({ maxLoss: { seconds: 3_600 } });
  if ((await openGateSoon()) !== null) await run.approve({ maxLoss: { seconds: 3_600 } });
  return run.end();
}

async function openGateSoon(): Promise<string | null> {
  for (let i = 0; i < 60; i++) {
    await run.harness.advance(1_000);
    if (run.workflow.outcome) return null;
    const { gate } = await run.status();
    if (gate) return gate.id;
  }
  return null;
}

describe('the source dies in a planned run', () => {
  it.each([
    ['before the gate is decided', 'ping:rampart'],
    ['while it prepares', 'converge:orders-db'],
    ['in the freeze, while it is fenced', FENCE],
    ['in the freeze, after the fence', 'catchUp:orders-db'],
  ])('%s: escalated, it ends on the other side', async (_when, step) => {
    run = await startRun({ world: { pace: 5 } });
    if (step !== 'ping:rampart') await run.approve();
    await run.until(step);
    lose(A);
    await run.send('escalate', escalate);
    const record = await rescued();
    expect(record.outcome).toBe('completed');
    expect(record.mode).toBe('unplanned');
    expect(record.plans.map(({ why }) => why)).toEqual(['start', 'escalated by bob: eu-west is on fire']);
    expect(run.model.database().server(B).role).toBe('primary');
    expect(run.model.traffic.routers.edge?.weights).toEqual({ [A]: 0, [B]: 100 });
    expect(record.debt.map(({ code }) => code)).toContain('replicaMissing');
  });

  it('said again every second while the rescue is planned: the plan is made all the same', async () => {
    await approved();
    await run.until('converge:orders-db');
    lose(A);
    await run.send('escalate', escalate);
    const answers: string[] = [];
    for (let i = 0; i < 40 && (await run.status()).gate === null; i++) {
      await run.harness.advance(1_000);
      if ((await run.status()).phase !== 'planning') continue;
      await run.send('escalate', escalate).catch((error: Error) => answers.push(String(error.cause ?? error)));
    }
    expect(answers.join('\n')).toContain('the unplanned plan is being made already');
    const record = await rescued();
    expect(record.outcome).toBe('completed');
    expect(record.plans).toHaveLength(2);
  });

  it('in the last second of the freeze: the budget does not cut short what the rescue does after it', async () => {
    await approved();
    run.model.on('catchUp:orders-db', () => 'never');
    await run.until('catchUp:orders-db');
    lose(A);
    await run.harness.advance(29_000);
    await run.send('escalate', escalate);
    // A source that hangs takes its time to be found unreachable.
    run.model.on(
      'preflight:orders-db',
      async (act, call) => {
        for (let i = 0; i < 10; i++) {
          call.heartbeat({});
          await call.sleep(500);
        }
        return act();
      },
      5,
    );
    expect((await rescued()).outcome).toBe('completed');
    expect(run.model.attempts.filter((id) => id === 'preflight:orders-db')).toHaveLength(2);
  });

  it('while it compensates: the undo that waits for the dead side is left, as debt', async () => {
    await approved();
    run.model.on('catchUp:orders-db', async () => {
      lose(A);
      throw ApplicationFailure.nonRetryable('the replica said no', 'PreconditionFailed');
    });
    await run.until('catchUp:orders-db');
    await run.harness.advance(60_000);
    expect((await run.status()).phase).toBe('compensating');
    await run.send('escalate', escalate);
    const record = await rescued();
    expect(record.outcome).toBe('completed');
    expect(run.model.database().server(B).role).toBe('primary');
    expect(record.undos.filter(({ state }) => state === 'running')).toEqual([]);
  });

  it('while it holds', async () => {
    run = await startRun({
      world: { service: { onFailure: { planned: 'hold', unplanned: 'hold' } } },
      before: (model) => model.on('converge:orders-db', refuse),
    });
    await run.approve();
    await run.holding();
    lose(A);
    await run.send('escalate', escalate);
    const record = await rescued();
    expect(record.outcome).toBe('completed');
    expect(run.model.database().server(B).role).toBe('primary');
  });
});

describe('an unfence that was sent and has not answered', () => {
  const UNDO = `undo:${FENCE}`;
  const SENT = /an unfence of orders-db was sent to eu-west at \d\d:\d\d:\d\d UTC and may still act/;

  /** Fails after the fence; the undo of the fence hangs, and acts long after it was given up. */
  async function sent(late: Script): Promise<void> {
    await approved({ before: (model) => model.on('catchUp:orders-db', refuse) });
    run.model.on(UNDO, late, 99);
    await run.until(UNDO);
    await run.harness.advance(1_000);
    expect((await run.status()).phase).toBe('compensating');
  }
  const wakesUp: Script = async (act, call) => {
    await call.sleep(300_000, { ignoreAbort: true });
    return act();
  };

  it('is named at the gate of the rescue, and refused by the claim that the rescue takes', async () => {
    await sent(wakesUp);
    await run.send('escalate', escalate);
    expect((await run.gate('cutover')).reason).toMatch(SENT);
    const record = await rescued();
    expect(record.outcome).toBe('completed');
    await run.harness.advance(900_000);
    expect(run.model.database().writable).toEqual([B]);
    expect(run.invariants.weakFenceAccepted).toBe(false);
  });

  it('makes the fence count for nothing where the side cannot be claimed: a person must accept it', async () => {
    await sent(() => 'never');
    lose(A);
    await run.send('escalate', escalate);
    await run.approve({ maxLoss: { seconds: 3_600 } });
    const gate = await run.gate('promote');
    expect(gate.needsOverride).toContain('weakFence');
    expect(gate.reason).toMatch(SENT);
    await run.approve({ maxLoss: { seconds: 3_600 } });
    expect((await run.end()).outcome).toBe('completed');
  });
});

describe('after the point of no return', () => {
  it('escalate from a hold resumes the way that was begun', async () => {
    await approved({ before: (model) => model.on('route:writer', refuse) });
    await run.holding();
    await run.send('escalate', { by: 'bob', reason: 'the router is broken, go on' });
    const record = await rescued();
    expect(record.outcome).toBe('completed');
    expect(run.model.traffic.routers.writer?.weights).toEqual({ [A]: 0, [B]: 100 });
    expect(run.model.database().writable).toEqual([B]);
    expect(run.undone.filter((id) => id.startsWith('fence'))).toEqual([]);
  });

  it('the target dies and the old source is the rescue', async () => {
    await approved();
    await run.until('bake@10');
    lose(B);
    await run.harness.advance(5 * 60_000);
    await run.send('escalate', { ...escalate, reason: 'eu-central is on fire', to: A });
    const record = await rescued();
    expect(record.plans.at(-1)).toMatchObject({ to: A, from: B, mode: 'unplanned' });
    expect(record.outcome).toBe('completed');
    expect(run.model.database().server(A).role).toBe('primary');
    expect(run.model.traffic.routers.writer?.weights).toEqual({ [A]: 100, [B]: 0 });
  });
});

describe('settings that a run has changed', () => {
  it('are carried into the rescue and put back at its end', async () => {
    await approved();
    await run.until('converge:orders-db');
    lose(A);
    await run.send('escalate', escalate);
    await rescued();
    const { writer, edge } = run.model.traffic.routers;
    expect([writer?.ttl, edge?.ttl]).toEqual([30, 60]);
  });
});

describe('an escalation that cannot be', () => {
  it.each([
    [{ by: 'bob', to: 'mars' }, /unknown region mars; this service has eu-west, eu-central/],
    [{ reason: 'no name' }, /"by" must say who you are/],
    [{ by: 'bob', where: B }, /unknown field "where"/],
  ])('%j is refused', async (input, text) => {
    run = await startRun();
    await run.gate();
    await expect(run.send('escalate', input)).rejects.toThrow(text);
    expect((await run.status()).gate?.id).toBe('cutover.1');
  });

  it('of a traffic ramp is refused, with what to do instead', async () => {
    run = await startRun({ type: 'trafficRamp' });
    await run.gate();
    await expect(run.send('escalate', escalate)).rejects.toThrow(/a traffic ramp moves no data: abort it/);
  });
});

describe('a healthy source', () => {
  it('can be left in a hurry: it is fenced first, and nothing is lost', async () => {
    await approved();
    await run.until('converge:orders-db');
    await run.send('escalate', escalate);
    const record = await rescued();
    expect(record.outcome).toBe('completed');
    expect(run.model.database().writable).toEqual([B]);
    expect(run.invariants.weakFenceAccepted).toBe(false);
  });
});

describe('no worker beside the source', () => {
  it('refuses a planned run before it begins', async () => {
    run = await startRun({ before: (_model, harness) => harness.removeWorkers(`rampart.${A}`) });
    const record = await run.end();
    expect(record.outcome).toBe('refused');
    expect(record.text).toContain(`rampart.${A}`);
    expect(run.model.log).toEqual([]);
  });

  it('does not stop an unplanned one', async () => {
    run = await startRun({
      request: UNPLANNED,
      before: (model, harness) => {
        model.lose(A);
        harness.removeWorkers(`rampart.${A}`);
      },
    });
    expect((await rescued()).outcome).toBe('completed');
  });

  it('that appears in the freeze lets a planned run go back', async () => {
    await approved();
    run.model.on(FENCE, async () => {
      run.harness.removeWorkers(`rampart.${A}`);
      return 'never';
    });
    await run.until(FENCE);
    await run.harness.advance(120_000);
    run.harness.addWorkers(`rampart.${A}`);
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(run.model.database().writable).toEqual([A]);
  });
});
