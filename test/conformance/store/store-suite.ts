/** What every store driver must do, whatever it drives. Run against the real system, two sides, `from` writable. */
import { setMaxListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FenceReceipt, Store } from '../../../drivers/ports.ts';
import type { RegionName } from '../../../topology/model.ts';
import { driverContext } from '../driver-context.ts';
import { LIMIT, Run, type StoreWorld } from './run.ts';

export interface SuiteOptions {
  /** Without the cells that only repeat others in another order. */
  short?: boolean;
}

const WAIT = { timeout: 10_000, interval: 20 };

/** Runs the suite; `makeWorld` starts the real system once for all of it. */
export function describeStore(name: string, makeWorld: () => Promise<StoreWorld>, options: SuiteOptions = {}): void {
  describe(`store: ${name}`, { timeout: 60_000 }, () => {
    let world: StoreWorld;
    let epoch = 100;
    beforeAll(async () => {
      world = await makeWorld();
    }, 120_000);
    afterAll(() => world?.close());
    const suite: Suite = {
      world: () => world,
      newRun: async () => {
        const run = new Run(world, ++epoch);
        await run.claim();
        return run;
      },
    };
    describe('looking', () => looking(suite));
    describe('claims and tokens', () => claims(suite));
    describe('moving', () => moving(suite));
    if (options.short !== true) describe('disturbed', () => disturbed(suite));
  });
}

interface Suite {
  world(): StoreWorld;
  /** A run with the next epoch that has claimed both sides. */
  newRun(): Promise<Run>;
}

const failsAs = (type: string) => expect.objectContaining({ type });

function looking({ world }: Suite): void {
  const look = (): Run => new Run(world(), 0);

  test('observes who is writable and how far the other is, twice the same', async () => {
    const { from, to } = world();
    await world().write(from);
    await expect
      .poll(async () => (await look().observe(to)).lag, WAIT)
      .toMatchObject({ fresh: true, bytes: 0, seconds: 0 });
    for (const _ of [1, 2]) {
      const source = await look().observe(from);
      const target = await look().observe(to);
      expect(source).toMatchObject({ state: 'writable', fence: null, claim: null, journal: null });
      expect(target).toMatchObject({ state: 'replica', upstream: { node: source.node, streaming: true } });
      expect(target.systemId).toBe(source.systemId);
      expect(source.position).not.toBeNull();
      expect(source.detail).not.toBe('');
    }
  });

  test('an idle pair never lags', async () => {
    const { to } = world();
    await expect.poll(async () => (await look().observe(to)).lag?.bytes, WAIT).toBe(0);
    const later = Date.now() + 700;
    while (Date.now() < later) expect((await look().observe(to)).lag).toMatchObject({ fresh: true, seconds: 0 });
  });

  test('a sample is cheap and says the same', async () => {
    const { from, to } = world();
    const [source] = await look().at(null).sample({ region: from });
    const [target] = await look().at(null).sample({ region: to });
    expect(source).toMatchObject({ state: 'writable' });
    expect(target).toMatchObject({ state: 'replica' });
    expect(source!.position!.order).toMatch(/^\d+$/);
  });

  test('preflight finds nothing in the way, and much when asked for the wrong direction', async () => {
    const { from, to } = world();
    const blockers = async (a: RegionName, b: RegionName) =>
      (await look().at(null).preflight('planned', a, b)).filter(({ severity }) => severity === 'blocker');
    expect(await blockers(from, to)).toEqual([]);
    const wrong = await blockers(to, from);
    expect(wrong.length).toBeGreaterThan(0);
    for (const finding of wrong)
      expect(finding).toMatchObject({
        component: world().component.name,
        message: expect.any(String),
        remedy: expect.stringMatching(/\S/),
      });
  });

  test('unreachable is its own answer', async () => {
    const component = world().unreachable();
    for (const region of [world().from, world().to]) {
      const [node] = await look().at(null, {}, component).observe({ region });
      expect(node).toMatchObject({ state: 'unreachable', position: null, lag: null });
      expect(node!.detail).not.toBe('');
      expect((await look().at(null, {}, component).sample({ region }))[0]).toMatchObject({ state: 'unreachable' });
    }
    const findings = await look().at(null, {}, component).preflight('planned', world().from, world().to);
    expect(findings.filter(({ severity }) => severity === 'blocker').length).toBeGreaterThan(0);
  });

  test('wrong credentials are neither healthy nor down, and no secret shows', async () => {
    const { component, secrets } = world().wrongCredentials();
    const store = look().at(null, { secrets }, component);
    const [node] = await store.observe({ region: world().to });
    expect(node!.state).toBe('unknown');
    const findings = await store.preflight('planned', world().from, world().to);
    expect(findings.some(({ severity, code }) => severity === 'blocker' && /denied/i.test(code))).toBe(true);
    const shown = JSON.stringify([node, findings]);
    for (const secret of [...Object.values(secrets), ...Object.values(world().secrets)])
      expect(shown).not.toContain(secret);
  });

  test('the way out by hand is there, without secrets', async () => {
    const { now, later } = await look().at(null).escape(world().from, world().to);
    const lines = [...now, ...later];
    expect(lines.length).toBeGreaterThan(3);
    // Run from top to bottom by somebody who does not read on, it must not make the old side writable again.
    const asPrinted = lines.filter((line) => !line.startsWith('#')).join('\n');
    expect(asPrinted).not.toMatch(/rm \S*standby\.signal/);
    for (const secret of Object.values(world().secrets)) expect(lines.join('\n')).not.toContain(secret);
  });
}

function claims({ world }: Suite): void {
  test('a claim is taken once; again it is there already; a lower one and an equal one of another run are refused', async () => {
    const { from } = world();
    const first = new Run(world(), 10);
    expect(await first.at(from).claim({ region: from }, first.journal({ saved: { ttl: 300 } }))).toMatchObject({
      already: false,
      claim: { previous: null, current: { epoch: 10, runId: 'run-10' } },
    });
    expect((await first.at(from).claim({ region: from }, first.journal())).already).toBe(true);
    const older = new Run(world(), 9);
    await expect(older.at(from).claim({ region: from }, older.journal())).rejects.toEqual(failsAs('Conflict'));
    const other = { ...first.token(), runId: 'somebody-else' };
    await expect(first.at(from, { token: other }).claim({ region: from }, first.journal())).rejects.toEqual(
      failsAs('Conflict'),
    );
    expect((await first.at(from).readClaim({ region: from })).claim.current).toMatchObject({
      epoch: 10,
      runId: 'run-10',
    });
  });

  test('a higher claim takes over, and what was saved first stays saved', async () => {
    const { from } = world();
    const next = new Run(world(), 11);
    await next.at(from).claim({ region: from }, next.journal({ saved: { ttl: 5, replicas: 2 } }));
    const { journal, claim } = await next.observe(from);
    expect(claim).toMatchObject({ epoch: 11, runId: 'run-11' });
    expect(journal).toMatchObject({ open: true, runId: 'run-11', saved: { ttl: 300, replicas: 2 } });
    await next.at(from).journal({ region: from }, { saved: { ttl: 7, weights: 1 } });
    expect((await next.observe(from)).journal?.saved).toEqual({ ttl: 300, replicas: 2, weights: 1 });
  });

  test('without a token, with a stranger’s, with an earlier one: nothing is changed', async () => {
    const { from, to, component } = world();
    const change = (store: Store): Promise<unknown> =>
      component.capabilities.cutover === 'atomic'
        ? store.switchover!(from, to, 'planned')
        : store.fence({ region: from });
    const run = new Run(world(), 12);
    await run.claim();
    const { token: _, ...without } = driverContext({ secrets: world().secrets, place: { region: from, place: null } });
    await expect(change(world().driver.open(component, without))).rejects.toEqual(failsAs('InvalidInput'));
    const early = run.token();
    await run.at(from).journal({ region: from }, {});
    await run.at(to).journal({ region: to }, {});
    for (const token of [early, { ...run.token(), runId: 'stranger' }, { ...run.token(), epoch: 11 }]) {
      await expect(change(run.at(from, { token }))).rejects.toEqual(failsAs('Conflict'));
    }
    await expect(change(run.at(from, { token: run.token({ systemId: 'another database' }) }))).rejects.toEqual(
      failsAs('Conflict'),
    );
    await expect(change(run.at(from, { token: run.token({ expectedTimeline: 77 }) }))).rejects.toEqual(
      failsAs('Conflict'),
    );
    expect(await run.observe(from)).toMatchObject({ state: 'writable', fence: null });
    await world().write(from);
  });

  test('claims by many at once: one wins each epoch', async () => {
    const { from } = world();
    const runs = Array.from({ length: 6 }, (_, i) => `rival-${i}`);
    const results = await Promise.allSettled(
      runs.map((runId) => {
        const run = new Run(world(), 20);
        return run.at(from, { token: run.token({ runId }) }).claim({ region: from }, run.journal({ runId }));
      }),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toEqual(failsAs('Conflict'));
  });

  test('the journal closes once', async () => {
    const run = new Run(world(), 30);
    const late = run.token();
    await run.claim();
    await run.close();
    const again = run.at(world().from, { token: late }).claim({ region: world().from }, run.journal());
    await expect(again).rejects.toEqual(failsAs('Conflict'));
    expect((await run.observe(world().from)).journal?.open).toBe(false);
    expect((await run.at(world().from).journal({ region: world().from }, { open: false })).already).toBe(true);
  });
}

function moving({ world, newRun }: Suite): void {
  const isAtomic = (): boolean => world().component.capabilities.cutover === 'atomic';

  test('fence: nobody writes, the proof holds, again it is there already; unfence: all as before', async ({ skip }) => {
    if (isAtomic()) return skip('one provider call, no fence of its own');
    const { from, to } = world();
    const run = await newRun();
    const timeline = (await run.observe(from)).timeline;
    await run.at(null).converge(from, to, LIMIT);
    await world().write(from);
    const proof = await run.at(from).fence({ region: from });
    expect(proof.already).toBe(false);
    expect(proof.fence).toMatchObject({ region: from, durable: true, epoch: run.epoch, timeline });
    await expect(world().write(from)).rejects.toThrow();
    const again = await run.at(from).fence({ region: from });
    expect(again).toMatchObject({
      already: true,
      fence: { cannotWrite: proof.fence.cannotWrite, finalPosition: proof.fence.finalPosition },
    });
    expect((await run.at(from).prove({ region: from })).fence).toMatchObject({ cannotWrite: proof.fence.cannotWrite });
    expect(await run.observe(from)).toMatchObject({ state: 'fenced', journal: { fencedAt: expect.any(Number) } });

    await run.at(from).unfence({ region: from }, { to, deadline: Date.now() + 30_000 });
    await world().write(from);
    expect(await run.observe(from)).toMatchObject({ state: 'writable', timeline, fence: null });
    expect((await run.at(from).unfence({ region: from }, { to, deadline: null })).already).toBe(true);
    expect((await run.at(from).prove({ region: from })).fence.cannotWrite).toBe('none');
    await expect.poll(async () => (await run.observe(to)).lag, WAIT).toMatchObject({ fresh: true, bytes: 0 });
  });

  test('an unfence that comes too late, or from before, changes nothing', async ({ skip }) => {
    if (isAtomic()) return skip('one provider call, no fence of its own');
    const { from, to } = world();
    const run = await newRun();
    const early = run.token();
    await run.at(from).fence({ region: from });
    await expect(run.at(from).unfence({ region: from }, { to, deadline: Date.now() - 1 })).rejects.toEqual(
      failsAs('Conflict'),
    );
    await expect(run.at(from, { token: early }).unfence({ region: from }, { to, deadline: null })).rejects.toEqual(
      failsAs('Conflict'),
    );
    expect(await run.observe(from)).toMatchObject({ state: 'fenced' });
    await run.at(from).unfence({ region: from }, { to, deadline: null });
    await run.close();
  });

  test('no promotion without a proof that is fresh, ours and about the source', async ({ skip }) => {
    if (isAtomic()) return skip('the provider promotes');
    const { from, to } = world();
    const run = await newRun();
    const { timeline } = await run.observe(from);
    const proof = await run.at(from).fence({ region: from });
    const promote = (change: Partial<FenceReceipt['fence']>): Promise<unknown> =>
      run.at(to).promote({ region: to }, from, { ...proof, fence: { ...proof.fence, ...change } }, { timeline });
    for (const change of [
      { cannotWrite: 'none' as const },
      { provenAt: Date.now() - 60_000 },
      { epoch: run.epoch - 1 },
      { region: to },
      { systemId: 'another' },
    ]) {
      await expect(promote(change)).rejects.toEqual(failsAs('NotFenced'));
    }
    await expect(run.at(to).promote({ region: to }, from, proof, { timeline: timeline! + 5 })).rejects.toEqual(
      failsAs('Conflict'),
    );
    expect(await run.observe(to)).toMatchObject({ state: 'replica', timeline });
    // Nothing has begun, so the promotion can be revoked by proof, and one from before it is refused for ever.
    const late = run.token();
    expect((await run.at(to).revokePromote({ region: to })).facts.revoked).toBe(true);
    await expect(run.at(to, { token: late }).promote({ region: to }, from, proof, { timeline })).rejects.toEqual(
      failsAs('Conflict'),
    );
    await run.at(from).unfence({ region: from }, { to, deadline: null });
    await run.close();
  });

  test('a switchover that has not begun can be revoked, and one from before that is refused for ever', async ({
    skip,
  }) => {
    if (!isAtomic()) return skip('its promotion is revoked above');
    const { from, to } = world();
    const run = await newRun();
    const { timeline } = await run.observe(from);
    const late = run.token();
    expect((await run.at(null).revokePromote({ region: to })).facts.revoked).toBe(true);
    await expect(run.at(null, { token: late }).switchover!(from, to, 'planned')).rejects.toEqual(failsAs('Conflict'));
    expect(await run.observe(from)).toMatchObject({ state: 'writable', timeline });
    await world().write(from);
    await run.close();
  });

  test('there, again, and back, without losing a write', async () => {
    const { from, to } = world();
    const run = await newRun();
    const { timeline } = await run.observe(from);
    await world().write(from);
    const written = await world().count(from);
    await run.move(from, to);
    await world().write(to);
    expect(await world().count(to)).toBe(written + 1);
    await expect(world().write(from)).rejects.toThrow();
    expect(await run.observe(to)).toMatchObject({ state: 'writable', timeline: timeline! + 1 });
    if (isAtomic()) {
      expect((await run.at(null).switchover!(from, to, 'planned')).already).toBe(true);
      expect((await run.at(null).revokePromote({ region: to })).facts.revoked).toBe(false);
    } else {
      const proof = await run.at(from).prove({ region: from });
      const again = await run.at(to).promote({ region: to }, from, proof, { timeline });
      expect(again).toMatchObject({ already: true, promote: { timeline: timeline! + 1 } });
      expect((await run.at(to).revokePromote({ region: to })).facts.revoked).toBe(false);
      await expect(run.at(from).unfence({ region: from }, { to, deadline: null })).rejects.toEqual(failsAs('Conflict'));
    }
    // `already` tells whether it came back by itself; either way it follows afterwards.
    await run.follow(from, to);
    expect((await run.at(from).rejoin({ region: from }, to)).already).toBe(true);
    await expect.poll(() => world().count(from), WAIT).toBe(written + 1);
    await expect.poll(async () => (await run.observe(from)).lag, WAIT).toMatchObject({ fresh: true, bytes: 0 });
    await run.close();

    const back = await newRun();
    await back.move(to, from);
    await back.follow(to, from);
    await world().write(from);
    await expect.poll(() => world().count(to), WAIT).toBe(written + 2);
    expect(await back.observe(from)).toMatchObject({ state: 'writable', timeline: timeline! + 2 });
    await back.close();
  });
}

function disturbed({ world, newRun }: Suite): void {
  /** An answer that is lost: the call is cut off after a while, wherever it is. */
  async function cutOff(ms: number, act: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    const signal = AbortSignal.timeout(ms);
    setMaxListeners(0, signal);
    await act(signal).catch(() => undefined);
  }

  test('aborted before it began: nothing is changed', async () => {
    const { from, to, component } = world();
    const run = await newRun();
    const signal = AbortSignal.abort(new Error('cancelled'));
    const store = run.at(from, { signal });
    const act =
      component.capabilities.cutover === 'atomic'
        ? store.switchover!(from, to, 'planned')
        : store.fence({ region: from });
    await expect(act).rejects.toThrow('cancelled');
    expect(await run.observe(from)).toMatchObject({ state: 'writable' });
    await run.close();
  });

  test('cut off at any moment and called again, it converges', async () => {
    const { component } = world();
    let { from, to } = world();
    for (const ms of [1, 4, 10, 20, 40]) {
      const run = await newRun();
      const { timeline } = await run.observe(from);
      await world().write(from);
      const written = await world().count(from);
      if (component.capabilities.cutover === 'atomic') {
        await cutOff(ms, (signal) => run.at(null, { signal }).switchover!(from, to, 'planned'));
        await run.at(null).switchover!(from, to, 'planned');
      } else {
        await run.at(null).converge(from, to, LIMIT);
        await cutOff(ms, (signal) => run.at(from, { signal }).fence({ region: from }));
        const proof = await run.at(from).fence({ region: from });
        await cutOff(ms, (signal) => run.at(to, { signal }).awaitCatchUp(proof, { region: to }, []));
        expect((await run.at(to).awaitCatchUp(proof, { region: to }, [])).catchUp.complete).toBe(true);
        await cutOff(ms, (signal) => run.at(to, { signal }).promote({ region: to }, from, proof, { timeline }));
        const fresh = await run.at(from).prove({ region: from });
        expect((await run.at(to).promote({ region: to }, from, fresh, { timeline })).promote.timeline).toBe(
          timeline! + 1,
        );
      }
      await cutOff(ms, (signal) => run.at(to, { signal }).verifyWritable({ region: to }, from));
      await run.at(to).verifyWritable({ region: to }, from);
      await cutOff(ms, (signal) => run.at(from, { signal }).rejoin({ region: from }, to));
      await run.follow(from, to);
      expect(await world().count(to)).toBe(written);
      await expect.poll(() => world().count(from), WAIT).toBe(written);
      await run.close();
      [from, to] = [to, from];
    }
  });

  test('two attempts at once do it once', async () => {
    const { component } = world();
    const first = new Run(world(), 0);
    const source = (await first.observe(world().from)).state === 'writable' ? world().from : world().to;
    const target = source === world().from ? world().to : world().from;
    const run = await newRun();
    const { timeline } = await run.observe(source);
    const twice = <T>(act: () => Promise<T>): Promise<[T, T]> => Promise.all([act(), act()]);
    const token = run.token();
    if (component.capabilities.cutover === 'atomic') {
      await twice(() => run.at(null, { token }).switchover!(source, target, 'planned'));
    } else {
      await run.at(null).converge(source, target, LIMIT);
      const [a, b] = await twice(() => run.at(source, { token }).fence({ region: source }));
      expect(a.fence.finalPosition).toEqual(b.fence.finalPosition);
      await run.at(target).awaitCatchUp(a, { region: target }, []);
      const next = run.token();
      const promoted = await twice(() =>
        run.at(target, { token: next }).promote({ region: target }, source, a, { timeline }),
      );
      expect(promoted.map(({ promote }) => promote.timeline)).toEqual([timeline! + 1, timeline! + 1]);
    }
    expect((await run.observe(target)).timeline).toBe(timeline! + 1);
    const last = run.token();
    await twice(() => run.follow(source, target, { token: last }));
    await expect.poll(async () => (await run.observe(source)).lag, WAIT).toMatchObject({ fresh: true, bytes: 0 });
    await run.close();
  });

  test('unreachable and wrong credentials: the act fails as what it is', async () => {
    const { from, to, component } = world();
    const run = await newRun();
    const act = (store: Store): Promise<unknown> =>
      component.capabilities.cutover === 'atomic'
        ? store.switchover!(from, to, 'planned')
        : store.promote({ region: to }, from, null, { timeline: null });
    await expect(act(run.at(to, {}, world().unreachable()))).rejects.toEqual(failsAs('ProviderUnavailable'));
    const wrong = world().wrongCredentials();
    await expect(act(run.at(to, { secrets: wrong.secrets }, wrong.component))).rejects.toEqual(failsAs('AccessDenied'));
    await run.close();
  });
}
