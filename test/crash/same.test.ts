/** One cell stands for another only where nothing can tell them apart. */
import { expect, test } from 'vitest';
import { type Boundary, type Cell, cellsOf, type Fault, STOPPED } from './boundaries.ts';
import { sameAs } from './same.ts';
import type { Mark } from './watch.ts';

const at = (step: string, moment: Boundary['moment'] = 'scheduled', side: Boundary['side'] = null): Boundary => ({
  stage: 'prepare',
  step,
  moment,
  side,
});
const CELLS = cellsOf('failover', [
  at('save:edge'),
  at('save:writer'),
  at('readClaim:orders-db@source', 'scheduled', 'source'),
  at('claim:orders-db@source', 'scheduled', 'source'),
  at('claim:orders-db@source', 'closed', 'source'),
]);
const MARKS: Mark[] = [
  { kind: 'scheduled', step: 'save:edge', at: 1, task: '4' },
  { kind: 'scheduled', step: 'save:writer', at: 1, task: '4' },
  { kind: 'scheduled', step: 'readClaim:orders-db@eu-west', at: 1, task: '4' },
  { kind: 'scheduled', step: 'claim:orders-db@eu-west', at: 2, task: '9' },
  { kind: 'closed', step: 'claim:orders-db@eu-west', at: 3, how: 'completed' },
];
const cell = (step: string, fault: Fault, moment = 'scheduled'): Cell =>
  CELLS.find((c) => c.boundary.step === step && c.fault === fault && c.boundary.moment === moment)!;
const same = (ran: Cell, did = 'killed', marks = MARKS, struckAt = 0): string[] =>
  sameAs(ran, did, struckAt, marks, { from: 'eu-west', to: 'eu-central' }, CELLS).map(({ id }) => id);

test('steps of one workflow task enter the history at once: no fault falls between them', () => {
  expect(same(cell('save:edge', 'kill-temporal'))).toEqual([
    'failover/save:writer/scheduled/kill-temporal',
    'failover/readClaim:orders-db@source/scheduled/kill-temporal',
  ]);
  expect(same(cell('claim:orders-db@source', 'kill-temporal'))).toEqual([]);
});

test('a fault at the worker of the step is the same only at the same place', () => {
  expect(same(cell('save:edge', 'freeze-worker'))).toEqual(['failover/save:writer/scheduled/freeze-worker']);
});

test('a fault that fell when the next step had begun stands for that one too, until something has closed again', () => {
  const marks: Mark[] = [...MARKS, { kind: 'scheduled', step: 'save:edge', at: 4, task: '12' }];
  const ran = cell('claim:orders-db@source', 'kill-temporal', 'closed');
  expect(same(ran, 'killed', marks, 3.5)).toEqual([]);
  expect(same(ran, 'killed', marks, 4.5)).toEqual(['failover/save:edge/scheduled/kill-temporal']);
  const over: Mark[] = [...marks, { kind: 'closed', step: 'save:edge', at: 5, how: 'completed' }];
  expect(same(ran, 'killed', over, 5.5)).toEqual([]);
  const elsewhere = cell('claim:orders-db@source', 'kill-region-worker', 'closed');
  expect(same(elsewhere, 'killed', marks, 4.5)).toEqual([]);
});

test('the end of a step is a moment of its own, and without a history nothing is the same', () => {
  expect(same(cell('claim:orders-db@source', 'abort', 'closed'))).toEqual([]);
  expect(same(cell('save:edge', 'kill-temporal'), 'killed', [])).toEqual([]);
});

test('what cannot be killed because it is down cannot be frozen either', () => {
  const ran = cell('claim:orders-db@source', 'kill-old-primary', 'closed');
  expect(same(ran, `the database of source ${STOPPED}`)).toEqual([
    'failover/claim:orders-db@source/closed/kill-old-primary-behind',
    'failover/claim:orders-db@source/closed/freeze-old-primary',
  ]);
  expect(same(ran, 'the database of source killed')).toEqual([]);
});
