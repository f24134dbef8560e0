/**
 * A fixed list of cells of the crash matrix, one of each kind of fault that no other test has, on one world. The rest:
 * `npm run crash-matrix`.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { boundariesOf, type Cell, cellId, type Fault } from './boundaries.ts';
import { runCell } from './cell.ts';
import { type Ground, openGround } from './ground.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await openGround('cells');
}, 300_000);
afterAll(() => ground?.close(), 60_000);

/** Step and moment, and what befalls the run there. */
const CELLS: Array<[step: string, moment: Cell['boundary']['moment'], fault: Fault]> = [
  ['fence:orders-db@source', 'closed', 'kill-control-worker'],
  ['promote:orders-db', 'scheduled', 'kill-temporal'],
  ['catchUp:orders-db', 'scheduled', 'abort'],
  ['converge:orders-db', 'scheduled', 'cancel'],
  ['fence:orders-db@source', 'scheduled', 'kill-old-primary'],
  ['catchUp:orders-db', 'scheduled', 'freeze-old-primary'],
  ['route:writer', 'closed', 'kill-new-primary'],
];

test.each(CELLS)(
  '%s %s: %s',
  async (step, moment, fault) => {
    const { other } = await ground.hands.world.sides();
    const plan = await ground.plan('failover', { service: 'checkout', to: other });
    const boundary = boundariesOf(plan).find((one) => one.step === step && one.moment === moment);
    expect(boundary, `the plan has no step ${step} any more`).toBeDefined();
    const cell = { id: cellId('failover', boundary!, fault), action: 'failover' as const, boundary: boundary!, fault };
    const { result } = await runCell(ground, cell);
    expect([result.verdict, result.violations], JSON.stringify(result)).toEqual(['green', []]);
    expect(result.acknowledged).toBeGreaterThan(10);
  },
  180_000,
);
