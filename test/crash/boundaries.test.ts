/** The matrix has a cell for whatever the compiler plans, without a list of its own. */
import { expect, test } from 'vitest';
import { compilePlan } from '../../plan/compile.ts';
import { A, B, input, WORLDS } from '../plan/world.ts';
import { boundariesOf, bySide, cellsOf, FAULTS, ONCE_A_STAGE } from './boundaries.ts';

const there = compilePlan(input(WORLDS['steady(A)']!()));
const back = compilePlan(input(WORLDS['steady(B)']!(), { from: B, to: A }));

test('every step that runs has its scheduling, every one with an effect also its end', () => {
  const boundaries = boundariesOf(there);
  for (const { steps } of there.stages)
    for (const { id, effect, onlyIf } of steps) {
      const moments = boundaries.filter(({ step }) => step === bySide(id, there)).map(({ moment }) => moment);
      const expected = effect === 'none' ? ['scheduled'] : ['scheduled', 'closed'];
      expect([id, moments]).toEqual([id, onlyIf === undefined ? expected : []]);
    }
  const names = boundaries.map(({ step }) => step);
  expect(names).toEqual(
    expect.arrayContaining(['start', 'gate:cutover', 'promote:orders-db', 'fence:orders-db@source']),
  );
});

test('cells have the same names whichever way the run goes, and each is there once', () => {
  const ids = (plan: typeof there): string[] => cellsOf('failover', boundariesOf(plan)).map(({ id }) => id);
  expect(back.from).toBe(B);
  expect(new Set(ids(back))).toEqual(new Set(ids(there)));
  const boundaries = boundariesOf(there);
  const stages = new Set(boundaries.map(({ stage }) => stage)).size;
  const everywhere = FAULTS.length - ONCE_A_STAGE.length;
  expect(new Set(ids(there)).size).toBe(boundaries.length * everywhere + stages * ONCE_A_STAGE.length);
  expect(ids(there).filter((id) => id.includes(A) || id.includes(B))).toEqual([]);
});
