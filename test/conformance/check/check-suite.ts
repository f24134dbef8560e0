/** What every check driver must do, whatever it asks. Run against the real system. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CheckResult, Driver } from '../../../drivers/ports.ts';
import type { Component } from '../../../topology/model.ts';
import { type ContextOptions, driverContext } from '../driver-context.ts';

export interface CheckWorld {
  driver: Driver<'check'>;
  region: string;
  secrets: Record<string, string>;
  /** A question whose answer is as wanted. */
  good: Component;
  /** The same question with an answer that is not. */
  bad: Component;
  /** The same question asked where nobody is. */
  nobody: Component;
  /** The same question asked of something that takes it and never answers. */
  silent: Component;
  /** The same question with an answer that has no value to judge. */
  empty: Component;
  /** The good question with secrets that the system refuses. */
  refused: { component: Component; secrets: Record<string, string> };
  close(): Promise<void>;
}

/** Builds a component of a check driver from its configuration as a topology would. */
export function checkComponent(driver: Driver<'check'>, config: object, sides: Record<string, object[]>): Component {
  const side = (region: string, nodes: object[]) => ({
    region,
    nodes: nodes.map((node, index) => ({
      name: `${region}-${index + 1}`,
      queue: 'rampart',
      config: driver.node.parse(node) as Component['config'],
    })),
  });
  return {
    name: 'question',
    type: driver.type,
    role: 'check',
    queue: 'rampart',
    config: driver.config.parse(config) as Component['config'],
    sides: Object.fromEntries(Object.entries(sides).map(([region, nodes]) => [region, side(region, nodes)])),
    capabilities: driver.capabilities({}),
  };
}

/** Runs the suite; `makeWorld` starts the real system once for all of it. */
export function describeCheck(name: string, makeWorld: () => Promise<CheckWorld>): void {
  describe(`check: ${name}`, { timeout: 30_000 }, () => {
    let world: CheckWorld;
    beforeAll(async () => {
      world = await makeWorld();
    }, 120_000);
    afterAll(() => world?.close());

    const run = (component: Component, options: ContextOptions = {}): Promise<CheckResult> =>
      world.driver.open(component, driverContext({ secrets: world.secrets, ...options })).run(world.region);

    test('passes, fails and says by what', async () => {
      const [good, bad] = await Promise.all([run(world.good), run(world.bad)]);
      expect([good.outcome, bad.outcome]).toEqual(['pass', 'fail']);
      for (const { observed, threshold, at } of [good, bad]) {
        expect(observed).not.toBe('');
        expect(threshold).not.toBe('');
        expect(Math.abs(Date.now() - at)).toBeLessThan(10_000);
      }
    });

    test('asked again and at once by many: the same answer', async () => {
      const outcomes = await Promise.all(Array.from({ length: 6 }, () => run(world.good)));
      expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['pass']));
    });

    test('nobody there, no answer, no value: unknown, never pass, with a threshold and a reason', async () => {
      for (const component of [world.nobody, world.silent, world.empty]) {
        const result = await run(component);
        expect(result).toMatchObject({ outcome: 'unknown' });
        expect(result.threshold).not.toBe('');
        expect(result.detail).not.toBe('');
      }
    });

    test('one good and one silent node are not a pass', async () => {
      const nodes = [world.good, world.silent].flatMap(({ sides }) => sides[world.region]!.nodes);
      const renamed = nodes.map((node, index) => ({ ...node, name: `node-${index + 1}` }));
      const mixed = { ...world.silent, sides: { [world.region]: { region: world.region, nodes: renamed } } };
      expect(await run(mixed)).toMatchObject({ outcome: 'unknown' });
    });

    test('wrong credentials never pass, and no secret shows', async () => {
      const { component, secrets } = world.refused;
      const result = await run(component, { secrets });
      expect(result.outcome).not.toBe('pass');
      for (const secret of Object.values(secrets)) expect(JSON.stringify(result)).not.toContain(secret);
    });

    test('abort ends the wait with the reason of the signal', async () => {
      const stop = new AbortController();
      const asked = run(world.silent, { signal: stop.signal });
      const caught = expect(asked).rejects.toThrow('cancelled by a person');
      stop.abort(new Error('cancelled by a person'));
      await caught;
    });

    test('a region it knows nothing of is unknown or an answer, never an invented pass', async () => {
      const elsewhere = world.driver
        .open({ ...world.bad, sides: {} }, driverContext({ secrets: world.secrets }))
        .run('nowhere');
      expect((await elsewhere).outcome).not.toBe('pass');
    });
  });
}
