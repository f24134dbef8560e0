/** What the tests of this tier share besides the world. `RAMPART_TESTS=full` runs the long ones as well. */
import { expect, test } from 'vitest';
import type { Ended } from './world.ts';

/** Long tests: only with RAMPART_TESTS=full. */
export const fullOnly = test.skipIf(process.env.RAMPART_TESTS !== 'full');

/** Everything a completed planned run promises, besides what its test is about. */
export function expectPlanned(ended: Ended, from: string, to: string): void {
  expect(ended.status, ended.text).toBe('completed');
  const { record } = ended;
  expect([record.mode, record.from, record.to, record.outcome]).toEqual(['planned', from, to, 'completed']);
  expect(record.loss?.kind ?? 'none').toBe('none');
  expect(record.debt).toEqual([]);
  expect(record.freeze.exceeded).toBe(false);
}
