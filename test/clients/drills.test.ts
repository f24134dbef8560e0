/** When a drill is overdue. Schedules themselves are tested on a real server, in test/integration/requests.test.ts. */
import { expect, test } from 'vitest';
import { overdueAt } from '../../clients/drills/runs.ts';
import type { Drill } from '../../topology/drill.ts';

const DAY = 86_400_000;
const at = (text: string): number => Date.parse(text);
const drill = (more: Partial<Drill>) =>
  ({ crons: ['0 4 * * 1'], timeZone: 'UTC', overdueAfterMs: null, ...more }) as Drill;

test('as it says, else twice the time between its next two runs', () => {
  const monday = at('2026-11-23T04:30:00Z');
  expect(overdueAt(drill({ overdueAfterMs: 3 * DAY }), monday)).toBe(monday + 3 * DAY);
  expect(overdueAt(drill({}), monday)).toBe(monday + 14 * DAY);
  const quarterly = drill({ crons: ['0 10 1-7 1,4,7,10 2'] });
  const passed = at('2027-01-05T11:00:00Z');
  expect(overdueAt(quarterly, passed)).toBe(passed + 2 * (at('2027-07-06T10:00:00Z') - at('2027-04-06T10:00:00Z')));
});
