/** What every router driver must do, whatever it drives. Run against the real system. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Driver, Receipt, Router, Weights } from '../../../drivers/ports.ts';
import type { Component } from '../../../topology/model.ts';
import { type ContextOptions, driverContext, token } from '../driver-context.ts';

export interface RouterWorld {
  driver: Driver<'router'>;
  /** A component with at least two regions whose workloads answer. */
  component: Component;
  /** The worker's state directory, for drivers that keep claims there. */
  stateDir?: string;
  /** What the component's secrets resolve to. */
  secrets: Record<string, string>;
  /** The same component with an address where nobody listens. */
  unreachable(): Component;
  /** The same component with credentials that the system refuses. */
  wrongCredentials(): { component: Component; secrets: Record<string, string> };
  /** The same component wired so that changes are accepted and never applied. */
  deaf(): Component;
  /** Stops the system without closing its connections, and lets it go on. */
  freeze(): void;
  thaw(): void;
  /** Changes the weights behind Rampart's back, as a person with an editor would. */
  changeByHand(weights: Weights): Promise<void>;
  /** Who answers clients, measured without the driver; percent by region. */
  measure(): Promise<Weights>;
  close(): Promise<void>;
}

/** Runs the suite; `makeWorld` starts the real system once for all of it. */
export function describeRouter(name: string, makeWorld: () => Promise<RouterWorld>): void {
  describe(`router: ${name}`, { timeout: 30_000 }, () => {
    let world: RouterWorld;
    let all: { a: Weights; b: Weights };
    let epoch = 0;

    beforeAll(async () => {
      world = await makeWorld();
      const [a, b, ...others] = Object.keys(world.component.sides) as [string, string, ...string[]];
      const none = Object.fromEntries(others.map((region) => [region, 0]));
      all = { a: { [a]: 100, [b]: 0, ...none }, b: { [a]: 0, [b]: 100, ...none } };
    }, 120_000);
    afterAll(() => world?.close());

    const open = (options: ContextOptions = {}, component = world.component): Router =>
      world.driver.open(
        component,
        driverContext({
          secrets: world.secrets,
          ...(world.stateDir === undefined ? {} : { stateDir: world.stateDir }),
          ...options,
        }),
      );
    const newRun = () => token(++epoch, `run-${epoch}`, 1);
    const set = (weights: Weights) => open({ token: newRun() }).setWeights(weights);

    test('observes what the system applies, and changes nothing', async () => {
      await set(all.a);
      const observed = await open().observe();
      expect(observed).toMatchObject({ reachable: true, applied: true, weights: all.a });
      expect(await world.measure()).toEqual(all.a);
    });

    test('says whether it can fence a region', () => {
      const { fences = false } = world.driver.capabilities(world.component.config);
      expect(open().fence !== undefined).toBe(fences);
    });

    test('acts, and clients see it', async () => {
      await set(all.a);
      const receipt = await set(all.b);
      expect(receipt.already).toBe(false);
      expect(receipt.facts).toMatchObject({ before: all.a, after: all.b });
      expect(await world.measure()).toEqual(all.b);
      expect((await open().verifyWeights(all.b)).already).toBe(true);
    });

    test('acting again changes nothing and says so', async () => {
      const router = open({ token: newRun() });
      await router.setWeights(all.a);
      expect((await router.setWeights(all.a)).already).toBe(true);
      expect(await open().observe()).toMatchObject({ applied: true, weights: all.a });
    });

    test('already in the other state: goes back the same way', async () => {
      const router = open({ token: newRun() });
      await router.setWeights(all.b);
      await router.setWeights(all.a);
      expect((await open().observe()).weights).toEqual(all.a);
    });

    test('a lost answer: the change is there, and the repeat finds it', async () => {
      await set(all.a);
      const run = newRun();
      const lost = new AbortController();
      let acted = false;
      // The clock is read while the claim is written: the call is cut off before it could read back.
      const now = () => {
        acted = true;
        lost.abort(new Error('connection to the worker lost'));
        return Date.now();
      };
      await expect(open({ token: run, signal: lost.signal, now }).setWeights(all.b)).rejects.toThrow(/lost/);
      expect(acted).toBe(true);
      await open({ token: run }).setWeights(all.b);
      expect(await world.measure()).toEqual(all.b);
    });

    test('two attempts of one step at once: both end well, once done', async () => {
      await set(all.a);
      const run = newRun();
      const receipts = await Promise.all([1, 2, 3, 4].map(() => open({ token: run }).setWeights(all.b)));
      expect(receipts).toHaveLength(4);
      expect(await world.measure()).toEqual(all.b);
    });

    test('a stale attempt and an older run are refused', async () => {
      await set(all.a);
      const older = newRun();
      const run = newRun();
      await open({ token: { ...run, seq: 5 } }).setWeights(all.b);
      for (const stale of [older, { ...run, seq: 4 }, { ...run, runId: 'another server' }]) {
        await expect(open({ token: stale }).setWeights(all.a)).rejects.toMatchObject({ type: 'Conflict' });
      }
      const { weights, claim } = await open().observe();
      expect(weights).toEqual(all.b);
      expect(claim).toMatchObject({ epoch: run.epoch, runId: run.runId, seq: 5 });
    });

    // Exhaustive by its type: a verb that the port gains needs a line here.
    const verbs: Record<keyof Router, 'reads' | ((router: Router) => Promise<Receipt>)> = {
      observe: 'reads',
      preflight: 'reads',
      verifyWeights: 'reads',
      save: 'reads',
      escape: 'reads',
      setWeights: (router) => router.setWeights(all.a),
      prepare: (router) => router.prepare(),
      restore: (router) => router.restore({}),
      fence: (router) => router.fence?.(Object.keys(all.a)[0]!) ?? router.prepare(),
    };

    test('a stale attempt of every verb is refused, or has nothing to change', async () => {
      const older = newRun();
      const run = newRun();
      await open({ token: { ...run, seq: 5 } }).setWeights(all.b);
      for (const [verb, send] of Object.entries(verbs)) {
        if (send === 'reads') continue;
        for (const stale of [older, { ...run, seq: 4 }, { ...run, runId: 'another server', seq: 9 }]) {
          const outcome = await send(open({ token: stale })).then(
            (receipt) => (receipt.already ? 'nothing to change' : 'changed'),
            (error: { type: string }) => error.type,
          );
          expect(['Conflict', 'nothing to change'], verb).toContain(outcome);
          expect((await open().observe()).claim, verb).toMatchObject({ epoch: run.epoch, runId: run.runId, seq: 5 });
        }
      }
      expect(await world.measure()).toEqual(all.b);
    });

    test('a newer attempt that finds everything done still locks out the older one', async () => {
      await set(all.a);
      const run = newRun();
      expect((await open({ token: { ...run, seq: 6 } }).setWeights(all.a)).already).toBe(true);
      await expect(open({ token: { ...run, seq: 5 } }).setWeights(all.b)).rejects.toMatchObject({ type: 'Conflict' });
      expect(await world.measure()).toEqual(all.a);
    });

    test('a change by hand during a run is not trampled; the next run takes it as it is', async () => {
      const run = newRun();
      await open({ token: run }).setWeights(all.a);
      await world.changeByHand(all.b);
      await expect(open({ token: { ...run, seq: 2 } }).setWeights({ ...all.a })).rejects.toMatchObject({
        type: 'Conflict',
      });
      expect((await open().observe()).weights).toEqual(all.b);
      await open({ token: newRun() }).setWeights(all.a);
      expect(await world.measure()).toEqual(all.a);
    });

    test('abort: ends with the reason of the signal', async () => {
      const signal = AbortSignal.abort(new Error('cancelled by a person'));
      await expect(open({ token: newRun(), signal }).setWeights(all.b)).rejects.toThrow('cancelled by a person');
      await expect(open({ signal }).observe()).rejects.toThrow('cancelled by a person');
    });

    test('unreachable: observed as such, and nothing is begun', async () => {
      await set(all.a);
      const router = open({ token: newRun() }, world.unreachable());
      expect(await router.observe()).toMatchObject({ reachable: false, weights: null, applied: false });
      await expect(router.setWeights(all.b)).rejects.toMatchObject({ type: 'ProviderUnavailable' });
      expect(await world.measure()).toEqual(all.a);
    });

    test('wrong credentials: said so, no secret in the text, and nothing is begun', async () => {
      await set(all.a);
      const { component, secrets } = world.wrongCredentials();
      const router = open({ token: newRun(), secrets }, component);
      const error = await router.setWeights(all.b).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ type: 'AccessDenied' });
      for (const secret of Object.values(secrets)) expect(JSON.stringify(error) + String(error)).not.toContain(secret);
      expect(await router.observe()).toMatchObject({ reachable: false, weights: null });
      expect(await world.measure()).toEqual(all.a);
    });

    test('a system that hangs is unreachable, not fine', async () => {
      await set(all.a);
      world.freeze();
      try {
        expect(await open().observe()).toMatchObject({ reachable: false, weights: null });
        await expect(open({ token: newRun() }).setWeights(all.b)).rejects.toMatchObject({
          type: 'ProviderUnavailable',
        });
      } finally {
        world.thaw();
      }
      expect(await world.measure()).toEqual(all.a);
    });

    test('a system that takes a change and does not apply it: NotApplied, with wanted and observed', async () => {
      const router = open({ token: newRun() }, world.deaf());
      await expect(router.setWeights(all.b)).rejects.toMatchObject({
        type: 'NotApplied',
        message: expect.stringMatching(/wanted .* 100 %.*observed/),
      });
      expect(await router.observe()).toMatchObject({ applied: false });
      await expect(router.verifyWeights(all.b)).rejects.toMatchObject({ type: 'NotApplied' });
    });

    test('wrong weights are refused before anything is touched', async () => {
      await set(all.a);
      const router = open({ token: newRun() });
      const [a, b] = Object.keys(all.a) as [string, string];
      const wrong: Weights[] = [
        { [a]: 0, [b]: 0 },
        { [a]: 60, [b]: 30 },
        { [a]: 100, nowhere: 0 },
        { [a]: -10, [b]: 110 },
        { [a]: 99.5, [b]: 0.5 },
        { [a]: Number.NaN, [b]: 100 },
      ];
      for (const weights of wrong) {
        await expect(router.setWeights(weights)).rejects.toMatchObject({ type: 'InvalidInput' });
      }
      expect(await world.measure()).toEqual(all.a);
    });

    test('save, prepare and restore may be repeated and leave the traffic alone', async () => {
      await set(all.b);
      const router = open({ token: newRun() });
      const saved = await router.save();
      await router.prepare();
      await router.prepare();
      await router.restore(saved.facts);
      expect(await world.measure()).toEqual(all.b);
    });

    test('says that it has a preflight exactly when it has one', () => {
      expect(open().preflight !== undefined).toBe(world.component.capabilities.preflight === true);
    });

    test('escape gives commands for people', async () => {
      const commands = await open().escape(Object.keys(all.a)[0]!);
      expect(commands.length).toBeGreaterThan(0);
      for (const secret of Object.values(world.secrets)) expect(commands.join('\n')).not.toContain(secret);
    });
  });
}
