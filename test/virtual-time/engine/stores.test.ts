/** Several stores in one service: a barrier between the stages, a cut that is left half done, a store that switches in one call. */
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, it } from 'vitest';
import type { FenceReceipt } from '../../../drivers/ports.ts';
import { type EngineRun, LOCK, PLANNED, type RunOptions, startRun, UNPLANNED } from './run.ts';
import { A, B, type Script } from './world/world.ts';

let run: EngineRun;
afterEach(() => run?.dispose());

const TWO: RunOptions['world'] = { stores: { 'sessions-db': 'staged' } };
const MIXED: RunOptions['world'] = { stores: { 'sessions-db': 'atomic' } };

async function approved(world: RunOptions['world'], before?: RunOptions['before']): Promise<EngineRun> {
  run = await startRun({ world, before });
  await run.approve();
  return run;
}

const refuse: Script = () => {
  throw ApplicationFailure.nonRetryable('the system said no', 'PreconditionFailed');
};
const stuck: Script = async (_act, call) => {
  for (;;) {
    call.heartbeat();
    await call.sleep(500);
  }
};
const writable = () => ({
  orders: run.model.database('orders-db').writable,
  sessions: run.model.database('sessions-db').writable,
});
const first = (id: string) => run.model.attempts.indexOf(id);
const changes = () => run.model.log.map(({ what }) => what);
const unfenced = () => changes().filter((what) => what.endsWith('unfenced'));

describe('two staged stores', () => {
  it('are cut together: no promotion before every fence and every catch-up', async () => {
    await approved(TWO);
    expect((await run.end()).outcome).toBe('completed');
    expect(writable()).toEqual({ orders: [B], sessions: [B] });
    const firstPromotion = Math.min(first('promote:orders-db'), first('promote:sessions-db'));
    for (const store of ['orders-db', 'sessions-db']) {
      for (const id of [`fence:${store}@${A}`, `catchUp:${store}`, `prove:${store}@${A}`]) {
        expect(first(id), id).toBeGreaterThan(-1);
        expect(first(id), id).toBeLessThan(firstPromotion);
      }
    }
  });

  it.each([
    ['a fence', `fence:sessions-db@${A}`],
    ['a catch-up', 'catchUp:sessions-db'],
  ])('%s that fails: both go back, nothing is promoted', async (_what, step) => {
    await approved(TWO, (model) => model.on(step, refuse, 99));
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(writable()).toEqual({ orders: [A], sessions: [A] });
    expect(changes().filter((what) => what.endsWith('promoted'))).toEqual([]);
  });

  it('a catch-up that never ends: the budget ends the freeze of both', async () => {
    await approved(TWO, (model) => model.on('catchUp:sessions-db', stuck, 99));
    expect((await run.end()).outcome).toBe('rolledBack');
    expect(writable()).toEqual({ orders: [A], sessions: [A] });
    expect(run.invariants.longestFreezeMs).toBeLessThanOrEqual(35_000);
  });

  it('a weak proof of one alone asks, before either is promoted', async () => {
    await approved(TWO, (model) =>
      model.on(
        `prove:sessions-db@${A}`,
        async (act) => {
          const receipt = (await act()) as FenceReceipt;
          return { ...receipt, fence: { ...receipt.fence, cannotWrite: 'none' } };
        },
        99,
      ),
    );
    const gate = await run.gate('promote');
    expect(gate.reason).toContain('sessions-db in eu-west');
    expect(gate.reason).not.toContain('orders-db');
    expect(changes().filter((what) => what.endsWith('promoted'))).toEqual([]);
    await run.send('reject', { gate: gate.id, by: 'bob' });
    expect((await run.end()).outcome).toBe('rolledBack');
    expect(writable()).toEqual({ orders: [A], sessions: [A] });
  });

  describe('partly promoted: the first is, the second is refused', () => {
    const partly = async (): Promise<void> => {
      await approved(TWO, (model) => model.on('promote:sessions-db', refuse, 5));
      await run.holding();
      expect(writable()).toEqual({ orders: [B], sessions: [] });
    };

    it('holds, takes nothing back, and says what it waits for', async () => {
      await partly();
      const { reason, choices } = (await run.holding())!;
      expect(reason).toContain('the system said no');
      expect(choices).toContain('retry');
      expect(choices).not.toContain('skip');
      expect((await run.record()).pointOfNoReturn).toMatchObject({ crossedAt: expect.any(Number), revokedAt: null });
      expect(unfenced()).toEqual([]);
      expect(run.undone).toEqual([]);
    });

    it('retry promotes the second and not the first again', async () => {
      await partly();
      // What refused it is mended.
      while ((await run.record()).outcome === null && writable().sessions.length === 0) {
        await run.send('retry');
        await run.harness.advance(30_000);
      }
      expect((await run.end()).outcome).toBe('completed');
      expect(writable()).toEqual({ orders: [B], sessions: [B] });
      expect(changes().filter((what) => what === `orders-db-${B} promoted`)).toHaveLength(1);
      expect(unfenced()).toEqual([]);
    });

    it('abort leads nowhere; terminated, the same request resumes at the rest', async () => {
      await partly();
      await run.send('abort');
      await run.harness.advance(60_000);
      expect((await run.holding())!.reason).toContain('only retry (go on) or escalate leads out');
      expect(unfenced()).toEqual([]);
      await run.workflow.terminate();
      expect(writable()).toEqual({ orders: [B], sessions: [] });
      expect(unfenced()).toEqual([]);
      run.model.on('promote:sessions-db', (act) => act(), 99);
      await run.harness.start('failover', { workflowId: LOCK, args: [PLANNED] });
      const gate = await run.gate('cutover');
      expect(gate.facts.classified.state).toBe('partlyPromoted');
      await run.approve();
      expect((await run.end()).outcome).toBe('completed');
      expect(writable()).toEqual({ orders: [B], sessions: [B] });
      expect(unfenced()).toEqual([]);
    });
  });
});

describe('a store that switches in one call', () => {
  it('switches before anything of the others is frozen, and is not fenced itself', async () => {
    await approved(MIXED);
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(writable()).toEqual({ orders: [B], sessions: [B] });
    expect(first('switchover:sessions-db')).toBeLessThan(first(`fence:orders-db@${A}`));
    expect(run.model.attempts.filter((id) => /^(fence|prove|promote):sessions-db/.test(id))).toEqual([]);
    expect(record.pointOfNoReturn.stepId).toBe('switchover:sessions-db');
  });

  const SWITCH = 'switchover:sessions-db';
  /** The provider works on it for so long, whoever waits for it. */
  const lasting =
    (ms: number): Script =>
    async (act, call) => {
      for (let left = ms; left > 0; left -= 500) {
        call.heartbeat({ milestone: 'the target catches up' });
        await call.sleep(500);
      }
      return act();
    };
  const givenUp: Script = () => {
    throw ApplicationFailure.retryable('the provider gave the switchover up: the writer is where it was', 'NotApplied');
  };
  const switches = () => changes().filter((what) => what.startsWith('sessions-db switched'));

  it.each([
    ['that refuses to switch', refuse],
    ['whose provider gives the switch up', givenUp],
  ])('%s: by proof that nothing has begun, all goes back; it is not sent again', async (_what, script) => {
    await approved(MIXED, (model) => model.on(SWITCH, script, 99));
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(record.pointOfNoReturn).toMatchObject({ stepId: SWITCH, revokedAt: expect.any(Number) });
    expect(writable()).toEqual({ orders: [A], sessions: [A] });
    expect(run.model.attempts.filter((id) => id === SWITCH)).toHaveLength(1);
    expect(run.model.attempts).toContain('revoke:sessions-db');
  });

  it('whose provider gives up, and that cannot be proven: holds, never half undone, and retry asks anew', async () => {
    await approved(MIXED, (model) => {
      model.on(SWITCH, givenUp);
      model.on('revoke:sessions-db', refuse, 99);
    });
    const { reason, choices } = (await run.holding())!;
    expect(reason).toContain('gave the switchover up');
    expect(choices).not.toContain('skip');
    expect(writable()).toEqual({ orders: [A], sessions: [A] });
    expect(run.undone).toEqual([]);
    await run.send('retry');
    expect((await run.end()).outcome).toBe('completed');
    expect(switches()).toHaveLength(1);
  });

  it('that lasts for twenty minutes: waited for, never cut off by the freeze budget or a time-out', async () => {
    await approved(MIXED, (model) => model.on(SWITCH, lasting(20 * 60_000)));
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.freeze.exceeded).toBe(true);
    expect(record.log.map(({ text }) => text)).toContainEqual(
      expect.stringContaining('going on is what ends the freeze'),
    );
    expect(run.model.attempts.filter((id) => id === SWITCH)).toHaveLength(1);
    expect(switches()).toHaveLength(1);
  });

  it('whose worker dies in the middle: asked again with a later token, and only waited for', async () => {
    let sent = 0;
    const tokens: number[] = [];
    await approved(MIXED, (model) => {
      model.on(SWITCH, async (_act, call, step) => {
        tokens.push(step.token!.seq);
        sent += 1;
        for (let i = 0; i < 20; i += 1) {
          call.heartbeat();
          await call.sleep(500);
        }
        return 'never';
      });
      model.on(SWITCH, (act, call, step) => {
        tokens.push(step.token!.seq);
        return lasting(60_000)(act, call, step);
      });
    });
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(sent).toBe(1);
    expect(tokens[1]).toBeGreaterThan(tokens[0]!);
    expect(switches()).toHaveLength(1);
    expect(record.steps.filter(({ id }) => id === SWITCH)).toHaveLength(1);
  });

  it('whose answer is lost: it is looked at, found switched, and the run goes on without a person', async () => {
    await approved(MIXED, (model) =>
      model.on(SWITCH, async (act) => {
        await act();
        return 'never';
      }),
    );
    expect((await run.end()).outcome).toBe('completed');
    expect(writable()).toEqual({ orders: [B], sessions: [B] });
    expect(switches()).toHaveLength(1);
  });

  it('whose provider does not answer for long: five looks, then somebody decides', async () => {
    await approved(MIXED, (model) => {
      model.on(
        SWITCH,
        () => {
          throw ApplicationFailure.retryable('the API did not answer', 'ProviderUnavailable');
        },
        99,
      );
      model.on('revoke:sessions-db', refuse, 99);
    });
    expect((await run.holding())!.reason).toContain('did not answer');
    expect(run.model.attempts.filter((id) => id === SWITCH)).toHaveLength(5);
  });

  it('abort while the provider switches: nothing can be taken back, and retry sees it through', async () => {
    await approved(MIXED, (model) => {
      model.on(SWITCH, lasting(60_000));
      model.on('revoke:sessions-db', async (act) => ({ ...(await act()), facts: { revoked: false } }));
    });
    await run.until(SWITCH);
    await run.harness.advance(10_000);
    await run.send('abort');
    expect((await run.holding())!.reason).toContain('only retry (go on) or escalate leads out');
    expect(run.undone).toEqual([]);
    await run.send('retry');
    expect((await run.end()).outcome).toBe('completed');
    expect(writable()).toEqual({ orders: [B], sessions: [B] });
  });

  it('unplanned: what it may lose is stated before the approval and closed in the record, beside the others', async () => {
    run = await startRun({
      request: UNPLANNED,
      world: MIXED,
      before: (model) => model.lose(A),
    });
    const gate = await run.gate('cutover');
    expect(gate.facts.lossByProvider?.['sessions-db']).toMatchObject({ kind: 'bounded', toTime: null });
    expect(gate.facts.fence['sessions-db']).toContain('only tries to stop writes in eu-west');
    expect(gate.facts.asks).toContainEqual(expect.stringContaining('still open'));
    while ((await run.record()).outcome === null) {
      const open = (await run.status()).gate;
      if (open !== null) await run.approve();
      else await run.harness.advance(1_000);
    }
    const record = await run.end();
    expect(writable().sessions).toEqual([B]);
    expect(record.loss?.note).toContain('sessions-db');
    expect(record.loss?.note).toContain('best effort');
    expect(record.loss?.note).toContain('orders-db');
  });

  it('unplanned, and the loss grows past what was approved until the call can be made: asked again before it', async () => {
    run = await startRun({
      request: UNPLANNED,
      world: MIXED,
      before: (model) => {
        model.lose(A);
        model.on('prepare:edge', lasting(40_000));
      },
    });
    const { facts } = await run.gate('cutover');
    await run.approve({ maxLoss: { seconds: (facts.loss.seconds ?? 0) + 10 } });
    const gate = await run.gate('promote');
    expect(run.model.attempts).toContain('prepare:edge');
    expect(run.model.attempts).not.toContain(SWITCH);
    expect(gate.needsOverride).toEqual(['lossAccepted']);
    expect(gate.loss.seconds).toBeGreaterThan(facts.loss.seconds! + 10);
    expect(gate.title).toContain('although the loss grew');
    await run.approve();
    await run.until(SWITCH);
  });

  it('switched, and then escalated back: the window of the second switch is its own', async () => {
    const components = ['sessions-db', 'writer', 'edge', 'shop'];
    await approved({ ...MIXED, service: { components } }, (model) => model.on('route:writer', refuse, 99));
    await run.holding();
    expect(writable().sessions).toEqual([B]);
    run.model.on(SWITCH, stuck, 99);
    await run.send('escalate', { by: 'bob', reason: 'the new side is broken', to: A });
    for (let i = 0; i < 400 && run.model.attempts.filter((id) => id === SWITCH).length < 2; i++) {
      if ((await run.status()).gate !== null) await run.approve();
      else await run.harness.advance(500);
    }
    const { loss } = await run.status();
    // Not that of the first one, whose end is long before.
    expect(loss).toMatchObject({ toTime: null });
    expect(JSON.stringify(loss)).not.toContain('best effort');
  });

  it('whose provider throttles the call is left alone for as long as it says', async () => {
    const at: number[] = [];
    await approved(MIXED, (model) => {
      model.on(SWITCH, () => {
        at.push(model.now);
        const details = [{ retryAfterMs: 20_000, notApplied: true }];
        throw ApplicationFailure.create({ message: 'throttled', type: 'ProviderUnavailable', details });
      });
      model.on(SWITCH, (act) => {
        at.push(model.now);
        return act();
      });
    });
    expect((await run.end()).outcome).toBe('completed');
    expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(20_000);
    expect(at[1]! - at[0]!).toBeLessThan(25_000);
  });

  it('has switched, and the staged cut fails: it stays switched, and somebody decides', async () => {
    await approved(MIXED, (model) => model.on('catchUp:orders-db', refuse, 5));
    const { reason } = (await run.holding())!;
    expect(reason).toContain('the system said no');
    expect(writable().sessions).toEqual([B]);
    expect(changes().filter((what) => what === `sessions-db switched to ${A}`)).toEqual([]);
    while (writable().orders[0] !== B) {
      await run.send('retry');
      await run.harness.advance(60_000);
    }
    expect((await run.end()).outcome).toBe('completed');
    expect(writable()).toEqual({ orders: [B], sessions: [B] });
  });
});
