/** What both drivers of Cloudflare must survive on the way to the API and back: the same cases for both. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Router, Weights } from '../../../drivers/ports.ts';
import { type ContextOptions, driverContext, token } from '../../conformance/driver-context.ts';
import type { RouterWorld } from '../../conformance/router/router-suite.ts';
import type { FakeCloudflare } from '../../fakes/cloudflare/server.ts';

export interface FaultyWorld extends RouterWorld {
  fake: FakeCloudflare;
}

/**
 * @param change method and path of the request that changes something
 * @param claimOf the claim's text as the fake holds it
 */
export function describeFaults(
  name: string,
  makeWorld: () => Promise<FaultyWorld>,
  change: { method: string; path: string },
  texts: { get(world: FaultyWorld): string; set(world: FaultyWorld, text: string): void },
): void {
  describe(`faults on the way: ${name}`, { timeout: 30_000 }, () => {
    let world: FaultyWorld;
    let a: Weights;
    let b: Weights;
    let epoch = 0;

    beforeAll(async () => {
      world = await makeWorld();
      const [first, second] = Object.keys(world.component.sides) as [string, string];
      a = { [first]: 100, [second]: 0 };
      b = { [first]: 0, [second]: 100 };
    }, 60_000);
    afterAll(() => world?.close());
    beforeEach(async () => {
      world.fake.faults.clear();
      await open({ token: token(++epoch, `run-${epoch}`, 1) }).setWeights(a);
      world.fake.calls.length = 0;
    });

    const open = (options: ContextOptions = {}, component = world.component): Router =>
      world.driver.open(component, driverContext({ secrets: world.secrets, ...options }));
    const newRun = () => token(++epoch, `run-${epoch}`, 1);
    const changes = () => world.fake.sent(change.method, change.path).length;

    test('repeat after success: one change in all', async () => {
      const router = open({ token: newRun() });
      await router.setWeights(b);
      expect((await router.setWeights(b)).already).toBe(true);
      expect(changes()).toBe(1);
    });

    test.each(['cut', 'reset', 'hang'] as const)(
      'applied and the answer lost (%s): found by a look, sent once',
      async (fault) => {
        world.fake.fault({ ...change, fault, applied: true, times: 1 });
        const receipt = await open({ token: newRun() }).setWeights(b);
        expect(receipt.facts).toMatchObject({ before: a, after: b });
        expect(changes()).toBe(1);
        expect(await world.measure()).toEqual(b);
      },
    );

    test.each(['reset', 'failed', 'unavailable'] as const)(
      '%s, and nothing was applied: not sent again by itself, said so',
      async (fault) => {
        world.fake.fault({ ...change, fault, times: 1 });
        const short = { ...world.component, config: { ...world.component.config, deadline: 200 } };
        const run = newRun();
        await expect(open({ token: run }, short).setWeights(b)).rejects.toMatchObject({
          type: 'ProviderUnavailable',
          details: { maybeApplied: true },
        });
        expect(changes()).toBe(1);
        expect(await world.measure()).toEqual(a);
        // What Temporal does then.
        await open({ token: run }).setWeights(b);
        expect(await world.measure()).toEqual(b);
      },
    );

    test('HTTP 200 that did nothing: NotApplied', async () => {
      world.fake.fault({ ...change, fault: 'nothing' });
      const short = { ...world.component, config: { ...world.component.config, deadline: 200 } };
      await expect(open({ token: newRun() }, short).setWeights(b)).rejects.toMatchObject({ type: 'NotApplied' });
      expect(changes()).toBe(1);
    });

    test('throttled: not applied, with the wait that Cloudflare asks for', async () => {
      world.fake.fault({ ...change, fault: 'throttled' });
      await expect(open({ token: newRun() }).setWeights(b)).rejects.toMatchObject({
        type: 'ProviderUnavailable',
        details: { retryAfterMs: 30_000, notApplied: true },
      });
      expect(changes()).toBe(1);
    });

    test.each(['denied', 'expired'] as const)(
      'credentials %s in the middle: said so, and the repeat finds nothing done',
      async (fault) => {
        const restore = world.fake.fault({ ...change, fault });
        const run = newRun();
        await expect(open({ token: run }).setWeights(b)).rejects.toMatchObject({ type: 'AccessDenied' });
        expect(await world.measure()).toEqual(a);
        restore();
        await open({ token: run }).setWeights(b);
        expect(await world.measure()).toEqual(b);
      },
    );

    test('a list or a thing without a result is no empty one', async () => {
      world.fake.fault({ method: 'GET', fault: 'failed' });
      const seen = await open().observe();
      expect(seen).toMatchObject({ reachable: false, weights: null });
      expect(seen.detail).toContain('"success": false');
    });

    test('somebody else changes it right after: Conflict, not overwritten', async () => {
      world.fake.fault({ ...change, fault: 'pass', times: 1, after: () => void world.changeByHand(a) });
      await expect(open({ token: newRun() }).setWeights(b)).rejects.toMatchObject({ type: 'Conflict' });
      expect(changes()).toBe(1);
      expect(await world.measure()).toEqual(a);
    });

    test('an older attempt whose request comes in last is found and overwritten, once', async () => {
      const old = texts.get(world);
      const stale = () => {
        void world.changeByHand(a);
        texts.set(world, old.replace(/\[rampart \d+\.\d+\./, '[rampart 0.7.'));
      };
      world.fake.fault({ ...change, fault: 'pass', times: 1, after: stale });
      await open({ token: newRun() }).setWeights(b);
      expect(changes()).toBe(2);
      expect(await world.measure()).toEqual(b);
    });

    test('a newer run that comes in right after: Conflict', async () => {
      const run = newRun();
      const newer = () => {
        void world.changeByHand(a);
        texts.set(world, texts.get(world).replace(/\[rampart \d+\./, `[rampart ${run.epoch + 5}.`));
      };
      world.fake.fault({ ...change, fault: 'pass', times: 1, after: newer });
      await expect(open({ token: run }).setWeights(b)).rejects.toMatchObject({ type: 'Conflict' });
      expect(await world.measure()).toEqual(a);
      epoch += 5;
    });

    test.each<[name: string, edited: (text: string) => string]>([
      ['without the claim', (text) => text.replace(/ ?\[rampart.*\]/, '')],
      ['with other words', (text) => `Moved by me. ${text}`],
      [
        'in a form that was open for long',
        (text) => text.replace(/\[rampart \d+\.\d+\./, '[rampart 0.7.').replace(/\.[0-9a-f]{8}\./, '.00000000.'),
      ],
    ])("a person's edit right after, %s: Conflict, not overwritten", async (_name, edited) => {
      const text = edited(texts.get(world));
      const byHand = () => {
        void world.changeByHand(a);
        texts.set(world, text);
      };
      world.fake.fault({ ...change, fault: 'pass', times: 1, after: byHand });
      await expect(open({ token: newRun() }).setWeights(b)).rejects.toMatchObject({
        type: 'Conflict',
        message: expect.stringContaining('changed by somebody else'),
      });
      expect(changes()).toBe(1);
      expect(texts.get(world)).toBe(text);
      expect(await world.measure()).toEqual(a);
    });

    test('an older attempt that comes in last again and again: Conflict', async () => {
      const old = texts.get(world).replace(/\[rampart \d+\.\d+\./, '[rampart 0.7.');
      const stale = () => {
        void world.changeByHand(a);
        texts.set(world, old);
      };
      world.fake.fault({ ...change, fault: 'pass', after: stale });
      const short = { ...world.component, config: { ...world.component.config, deadline: 300 } };
      await expect(open({ token: newRun() }, short).setWeights(b)).rejects.toMatchObject({
        type: 'Conflict',
        message: expect.stringContaining('epoch 0, step 7'),
      });
      expect(changes()).toBe(2);
    });

    test('an older attempt in between, and the answer to the second request lost: what nobody knows is said', async () => {
      const old = texts.get(world).replace(/\[rampart \d+\.\d+\./, '[rampart 0.7.');
      const stale = () => {
        void world.changeByHand(a);
        texts.set(world, old);
        world.fake.fault({ ...change, fault: 'reset', times: 1 });
      };
      world.fake.fault({ ...change, fault: 'pass', times: 1, after: stale });
      const short = { ...world.component, config: { ...world.component.config, deadline: 300 } };
      await expect(open({ token: newRun() }, short).setWeights(b)).rejects.toMatchObject({
        type: 'ProviderUnavailable',
        details: { maybeApplied: true },
      });
      expect(changes()).toBe(2);
    });

    test('a run that comes in while somebody acts by hand: Conflict, not overwritten', async () => {
      const text = texts.get(world).replace(/\[rampart \d+\./, `[rampart ${epoch + 5}.`);
      const newer = () => {
        void world.changeByHand(a);
        texts.set(world, text);
      };
      world.fake.fault({ ...change, fault: 'pass', times: 1, after: newer });
      await expect(open().setWeights(b)).rejects.toMatchObject({ type: 'Conflict' });
      expect(changes()).toBe(1);
      expect(texts.get(world)).toBe(text);
      epoch += 5;
    });

    test('what people wrote beside the claim stays', async () => {
      const before = texts.get(world).replace(/ ?\[rampart.*\]/, '');
      expect(before).not.toBe('');
      await open({ token: newRun() }).setWeights(b);
      expect(texts.get(world)).toMatch(/^.+ \[rampart \d+\.1\.[0-9a-z]+\.[0-9a-f]{8}\.run-\d+\]$/);
      expect(texts.get(world).startsWith(`${before} [`)).toBe(true);
    });

    test('no secret and no other credential of the environment on the wire or in an error', async () => {
      process.env.CLOUDFLARE_API_KEY = 'a-key-of-somebody';
      process.env.CLOUDFLARE_EMAIL = 'somebody@example.com';
      try {
        world.fake.fault({ ...change, fault: 'unavailable' });
        const error = await open(
          { token: newRun() },
          {
            ...world.component,
            config: { ...world.component.config, deadline: 200 },
          },
        )
          .setWeights(b)
          .catch((caught: unknown) => caught);
        const [secret] = Object.values(world.secrets);
        expect(`${String(error)} ${JSON.stringify(error)}`).not.toContain(secret);
        expect(world.fake.headers.some((headers) => 'x-auth-key' in headers || 'x-auth-email' in headers)).toBe(false);
      } finally {
        delete process.env.CLOUDFLARE_API_KEY;
        delete process.env.CLOUDFLARE_EMAIL;
      }
    });
  });
}
