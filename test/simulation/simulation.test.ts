/**
 * The real workflows and activities on a model world under drawn faults, judged; and the judge judged by deliberate
 * bugs. More seeds: `npm run simulate -- --seeds 10000`. What a failing seed did: `npm run simulate -- --seed N`.
 */
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { useClock } from '../../drivers/clock.ts';
import { drawScenario } from './draw.ts';
import { bundleFor, MUTATIONS } from './mutations.ts';
import { optionsOf, play, playSeed } from './play.ts';
import { type Found, readJson, resultsFolder } from './results.ts';
import type { Scenario } from './scenario.ts';
import { A, B } from './service.ts';
import { shrink } from './shrink.ts';
import { simulate } from './simulate.ts';

const SEEDS = 120;
const IN_ONE_TEST = 40;
/** A mutation is given its occasion, so few seeds must do. */
const MUTATION_SEEDS = 15;

afterAll(() => useClock(null));

describe('the simulation', () => {
  it.each(Array.from({ length: SEEDS / IN_ONE_TEST }, (_, i) => i * IN_ONE_TEST))(
    'breaks no rule from seed %i',
    async (from) => {
      for (let seed = from; seed < from + IN_ONE_TEST; seed++) {
        const { failures } = await playSeed(seed, null, {});
        expect(failures, `npm run simulate -- --seed ${seed}`).toEqual([]);
      }
    },
  );

  it('gives the same trace for the same seed', async () => {
    for (const seed of [1, 2, 3, 5, 8, 13]) {
      const [first, again] = [await simulate(drawScenario(seed)), await simulate(drawScenario(seed))];
      expect(again.hash).toBe(first.hash);
    }
  });

  it('draws the same scenario from the same seed, and another one from another', () => {
    expect(drawScenario(7)).toEqual(drawScenario(7));
    expect(drawScenario(7)).not.toEqual(drawScenario(8));
  });

  it('counts what is missing at the side that clients are sent to, where both are on a timeline of one number', async () => {
    // There, back before the old side followed, and the side between cut off with a history of its own: two times 2.
    const faults: Scenario['faults'] = [
      { what: 'escalateBack', region: A, ms: 12_000, when: { step: 'settle:edge', nth: 1, op: 0 } },
      { what: 'cutRegion', region: B, ms: 90_001, when: { ms: 7_160 } },
    ];
    const { violations, ends } = await play({ ...drawScenario(46_018), faults }, null, {});
    expect(ends).toEqual([expect.stringMatching(/^failover unplanned: completed/)]);
    expect(violations).toEqual([]);
  });

  it('makes a failing scenario shorter', async () => {
    const long = { ...drawScenario(3), faults: Array.from({ length: 6 }, () => drawScenario(3).faults).flat() };
    const wanted = drawScenario(3).actions[0];
    const shorter = await shrink(long, async ({ actions }) => actions[0]?.type === wanted?.type);
    expect(shorter.faults).toEqual([]);
    expect(shorter.actions).toHaveLength(1);
  });
});

describe('the judge catches a deliberate bug', () => {
  it.each(MUTATIONS)('$name', async (mutation) => {
    const options = await optionsOf(mutation);
    for (let seed = 0; seed < MUTATION_SEEDS; seed++) {
      const { failures } = await playSeed(seed, mutation, options);
      const broken = failures.find(({ rule }) => rule !== 'crash');
      expect(failures.filter(({ rule }) => rule === 'crash')).toEqual([]);
      if (broken !== undefined) return;
    }
    expect.fail(`${mutation.what}: nothing was noticed in ${MUTATION_SEEDS} seeds`);
  });

  it('and refuses a bug that no longer fits the code', async () => {
    const gone = { name: 'gone', what: '', patch: [{ find: 'no such code', put: '' }] };
    await expect(bundleFor(gone)).rejects.toThrow('no longer applies');
  });

  it('has one for every violation that was found and fixed', () => {
    const names = MUTATIONS.map(({ name }) => `test/simulation: mutation ${name}`);
    const found = readJson<Found[]>(join(resultsFolder(), 'violations.json')) ?? [];
    for (const { test } of found) expect(names).toContain(test);
  });
});
