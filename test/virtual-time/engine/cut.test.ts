/** The data cut: the freeze and its budget (I2), the promotion whose answer is lost, revocation by proof. */
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, it } from 'vitest';
import type { FenceReceipt } from '../../../drivers/ports.ts';
import { strengthText } from '../../../plan/fence-words.ts';
import { checkout } from '../../plan/world.ts';
import { type EngineRun, type RunOptions, startRun } from './run.ts';
import { A, B, type Script } from './world/world.ts';

const FENCE = `fence:orders-db@${A}`;
const BUDGET_MS = 30_000;

let run: EngineRun;
afterEach(() => run?.dispose());

async function approved(before: RunOptions['before'], options: RunOptions = {}): Promise<EngineRun> {
  run = await startRun({ ...options, before });
  await run.approve();
  return run;
}

const lostAnswer: Script = async (act) => {
  await act();
  return 'never';
};
const refuse =
  (type: string): Script =>
  () => {
    throw ApplicationFailure.nonRetryable('the system said no', type);
  };
/** Works on, heartbeating, and never gets there. */
const stuck: Script = async (_act, call) => {
  for (;;) {
    call.heartbeat();
    await call.sleep(500);
  }
};

describe('the freeze budget', () => {
  it.each([FENCE, 'catchUp:orders-db', `prove:orders-db@${A}`])(
    'runs out in %s: people may write again, everything goes back',
    async (step) => {
      await approved((model) => model.on(step, stuck, 99));
      const record = await run.end();
      expect(record.outcome).toBe('rolledBack');
      expect(record.text).toMatch(/freeze budget|did not finish/);
      expect(run.model.database().writable).toEqual([A]);
      expect(run.invariants.longestFreezeMs).toBeLessThanOrEqual(BUDGET_MS + 5_000);
      const frozen = (record.freeze.endedAt as number) - (record.freeze.startedAt as number);
      expect(frozen).toBeLessThanOrEqual(BUDGET_MS + 5_000);
    },
  );

  it('runs out while a replica does not deliver', async () => {
    run = await startRun();
    await run.approve();
    await run.until(FENCE);
    run.model.database().stalled = true;
    const record = await run.end();
    expect(['rolledBack', 'needsHuman']).toContain(record.outcome);
    expect(run.model.database().writable).toHaveLength(1);
  });

  it('does not stop what comes after the point of no return', async () => {
    await approved((model) => {
      const slowly: Script = async (act, call) => {
        for (let i = 0; i < 64; i++) {
          call.heartbeat();
          await call.sleep(500);
        }
        return act();
      };
      model.on('verify:orders-db', slowly);
      model.on('route:writer', slowly);
    });
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.freeze.exceeded).toBe(true);
    expect(record.log.map(({ text }) => text).join('\n')).toContain('past the point of no return: the run goes on');
    expect(run.undone).toEqual([]);
  });

  it('is no concern of a pause: it takes effect after the freeze', async () => {
    run = await startRun();
    await run.approve();
    await run.until(FENCE);
    expect((await run.send('pause')).text).toBe('pausing as soon as the freeze is over');
    await run.harness.advance(10 * 60_000);
    const status = await run.status();
    expect(status.paused).toMatchObject({ by: 'bob' });
    expect(status.freeze.endedAt).not.toBeNull();
    expect(run.model.database().writable).toEqual([B]);
    await run.send('resume');
    expect((await run.end()).outcome).toBe('completed');
  });
});

describe('a fence that acts late', () => {
  it('is refused by its token, or undone: never left behind', async () => {
    await approved((model) =>
      model.on(FENCE, async (act, call) => {
        // Long after it was given up, the undo included.
        await call.sleep(120_000, { ignoreAbort: true });
        return act();
      }),
    );
    await run.workflow.runUntilClosed();
    await run.harness.advance(600_000);
    expect(run.model.database().writable).toHaveLength(1);
    expect(run.invariants.broken).toEqual([]);
  });
});

describe('a promotion', () => {
  it('whose answer is lost is looked at and scheduled anew, and happens once', async () => {
    await approved((model) => model.on('promote:orders-db', lostAnswer));
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.model.attempts.filter((id) => id === 'promote:orders-db')).toHaveLength(2);
    expect(run.model.log.filter(({ what }) => what === `orders-db-${B} promoted`)).toHaveLength(1);
    const promotions = run.workflow.trace.filter((e) => e.event === 'activityTaskScheduled' && e.name === 'promote');
    const tokens = promotions.map(({ detail }) => (detail as [{ token: { seq: number } }])[0].token.seq);
    expect(tokens[1] as number).toBeGreaterThan(tokens[0] as number);
  });

  it('is never retried by Temporal, and its proof is fresh each time', async () => {
    await approved((model) => model.on('promote:orders-db', refuse('ProviderUnavailable'), 2));
    expect((await run.end()).outcome).toBe('completed');
    const started = run.workflow.trace.filter((e) => e.event === 'activityTaskStarted' && e.name === 'promote');
    expect(started.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
    const calls = run.workflow.trace.filter((e) => e.event === 'activityTaskScheduled' && e.name === 'promote');
    for (const { at, detail } of calls) {
      const { proof } = (detail as [{ given: { proof: { fence: { provenAt: number } } } }])[0].given;
      expect(at - proof.fence.provenAt).toBeLessThanOrEqual(5_000);
    }
  });

  const PROVE = `prove:orders-db@${A}`;
  type Call = [{ given: { proof: { fence: { provenAt: number } } } }];
  const promotions = () =>
    run.workflow.trace.filter((e) => e.event === 'activityTaskScheduled' && e.name === 'promote');
  /** How old the proof was at each scheduling of the promotion, in milliseconds. */
  const ages = () => promotions().map(({ at, detail }) => at - (detail as Call)[0].given.proof.fence.provenAt);
  const slowly: Script = async (act, call) => {
    for (let i = 0; i < 24; i++) {
      call.heartbeat();
      await call.sleep(500);
    }
    return act();
  };

  it('has a fresh proof also when the catch-up beside it took its time', async () => {
    await approved((model) => model.on('catchUp:orders-db', slowly));
    expect((await run.end()).outcome).toBe('completed');
    expect(run.model.attempts.filter((id) => id === PROVE)).toHaveLength(2);
    expect(ages()).toEqual([expect.toSatisfy((ms: number) => ms >= 0 && ms <= 5_000)]);
  });

  it.each([
    ['an hour ahead', 3_600_000],
    ['an hour behind', -3_600_000],
  ])('does not take the word of a clock that is %s', async (_which, skew) => {
    const skewed: Script = async (act) => {
      const receipt = (await act()) as FenceReceipt;
      return { ...receipt, fence: { ...receipt.fence, provenAt: receipt.fence.provenAt + skew } };
    };
    await approved((model) => {
      model.on('catchUp:orders-db', slowly);
      model.on(PROVE, skewed, 99);
    });
    expect((await run.end()).outcome).toBe('completed');
    // Asked once more, as with right clocks: neither trusted for an hour nor asked about for ever.
    expect(run.model.attempts.filter((id) => id === PROVE)).toHaveLength(2);
    expect(ages()).toEqual([expect.toSatisfy((ms: number) => ms >= 0 && ms <= 5_000)]);
  });

  it('is not scheduled on a proof that is old and cannot be renewed', async () => {
    await approved((model) => {
      model.on('catchUp:orders-db', slowly);
      model.on(PROVE, (act) => act());
      model.on(PROVE, refuse('ProviderUnavailable'), 99);
    });
    const gate = await run.gate('promote');
    expect(gate.reason).toContain('is older than 5 s and could not be renewed');
    expect(promotions()).toEqual([]);
    await run.send('reject', { gate: gate.id, by: 'bob' });
    expect((await run.end()).outcome).toBe('rolledBack');
  });

  it('is not scheduled on a proof that has become old between its gate and its turn', async () => {
    let looks = 0;
    await approved((model) => {
      model.on('catchUp:orders-db', slowly);
      const once: Script = async (act, call) => {
        looks += 1;
        // The second renewal hangs: nobody beside the old primary answers any more.
        return looks <= 1 ? act() : stuck(act, call, {} as never);
      };
      model.on(PROVE, once, 99);
    });
    await run.gate('promote');
    expect(promotions()).toEqual([]);
  });

  const STRENGTHS = ['stopped', 'provider', 'sessions', 'lease', 'person', 'none'] as const;
  const POLICIES = ['stopped', 'provider', 'sessions', 'lease'] as const;
  it.each(POLICIES.flatMap((asked) => STRENGTHS.map((found) => [found, asked] as const)))(
    'on a proof "%s" where the tier asks for "%s" goes on only if that suffices, else asks in words',
    async (found, asked) => {
      const tier = { ...checkout.tier, fenceProof: asked };
      await approved(
        (model) =>
          model.on(
            PROVE,
            async (act) => {
              const receipt = (await act()) as FenceReceipt;
              return { ...receipt, fence: { ...receipt.fence, cannotWrite: found } };
            },
            99,
          ),
        { world: { service: { tier } } },
      );
      if (STRENGTHS.indexOf(found) <= STRENGTHS.indexOf(asked)) {
        expect((await run.end()).decisions.map(({ gate }) => gate)).toEqual(['cutover.1']);
        return;
      }
      const { reason, needsOverride } = await run.gate('promote');
      expect(needsOverride).toEqual(['weakFence']);
      expect(reason).toContain(`the fence proof of orders-db in eu-west is ${strengthText(found)}`);
      expect(reason).toContain(`the tier asks for ${strengthText(asked)}`);
      expect(promotions()).toEqual([]);
    },
  );

  it('that is refused for good is proven not to have begun, and everything goes back', async () => {
    await approved((model) => model.on('promote:orders-db', refuse('PreconditionFailed'), 99));
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(record.pointOfNoReturn.revokedAt).not.toBeNull();
    expect(run.model.attempts).toContain('revoke:orders-db');
    expect(run.undone).toEqual(record.undos.map(({ stepId }) => stepId).reverse());
    expect(run.model.database().writable).toEqual([A]);
  });

  it('that may have begun is never undone: the run holds', async () => {
    await approved((model) => {
      model.on('promote:orders-db', lostAnswer, 99);
      model.on('revoke:orders-db', refuse('ProviderUnavailable'), 99);
    });
    const holding = await run.holding();
    expect(holding.choices).not.toContain('skip');
    expect(run.undone).toEqual([]);
    expect((await run.record()).pointOfNoReturn.revokedAt).toBeNull();
  });

  it('that took effect although every answer was lost: retry finds it and goes on', async () => {
    await approved((model) => model.on('promote:orders-db', lostAnswer, 5));
    await run.holding();
    expect(run.model.database().writable).toEqual([B]);
    await run.send('retry');
    expect((await run.end()).outcome).toBe('completed');
  });

  it('whose worker dies before it acts: another takes it, or it is proven that none has begun', async () => {
    run = await startRun();
    await run.approve();
    run.model.on('promote:orders-db', () => 'never', 99);
    await run.until('promote:orders-db');
    run.harness.removeWorkers(`rampart.${B}`);
    await run.harness.advance(20 * 60_000);
    // The target's worker is gone: no proof, so nothing is undone, and the run waits for people or for the worker.
    expect(run.undone).toEqual([]);
    expect((await run.status()).phase).toBe('holding');
    run.harness.addWorkers(`rampart.${B}`);
    run.model.on('promote:orders-db', (act) => act());
    await run.send('abort');
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(run.model.database().writable).toEqual([A]);
  });

  it('is not scheduled when the fence is gone by then', async () => {
    await approved((model) =>
      model.on(FENCE, async (act) => {
        const receipt = await act();
        // Somebody starts the old primary again, writable.
        Object.assign(model.database().server(A), { role: 'primary', signal: false, since: model.now });
        return receipt;
      }),
    );
    const gate = await run.gate('promote');
    expect(gate.reason).toContain('the fence proof of orders-db in eu-west is "none"');
    await run.send('reject', { gate: gate.id, by: 'bob' });
    const record = await run.end();
    expect(record.outcome).toBe('rolledBack');
    expect(run.model.attempts).not.toContain('promote:orders-db');
  });
});
