/** When a maintenance window is on, across midnights, months and changes of the clock. */
import { expect, test } from 'vitest';
import { quietUntilOf } from '../../topology/maintenance.ts';

const HOUR = 3_600_000;
const at = (text: string): number => Date.parse(text);
const until = (now: string, ...windows: Array<[cron: string, hours: number, timeZone?: string]>): string | null => {
  const list = windows.map(([cron, hours, timeZone = 'UTC']) => ({ cron, timeZone, durationMs: hours * HOUR }));
  const end = quietUntilOf(list, at(now));
  return end === null ? null : new Date(end).toISOString();
};

test('from its beginning, not before, to its end, not after', () => {
  const sundays = ['0 2 * * 0', 2] as [string, number];
  expect(until('2026-03-22T01:59:59Z', sundays)).toBeNull();
  expect(until('2026-03-22T02:00:00Z', sundays)).toBe('2026-03-22T04:00:00.000Z');
  expect(until('2026-03-22T03:59:59Z', sundays)).toBe('2026-03-22T04:00:00.000Z');
  expect(until('2026-03-22T04:00:00Z', sundays)).toBeNull();
});

test('over midnight, and longer than it is to the next one: the latest beginning counts', () => {
  expect(until('2026-01-01T01:00:00Z', ['0 23 * * *', 3])).toBe('2026-01-01T02:00:00.000Z');
  expect(until('2026-01-01T05:00:00Z', ['0 */4 * * *', 6])).toBe('2026-01-01T10:00:00.000Z');
});

test('in the zone that people live in, also in the night in which the clock changes', () => {
  const berlin = ['0 2 * * 0', 2, 'Europe/Berlin'] as [string, number, string];
  expect(until('2026-03-22T01:30:00Z', berlin)).toBe('2026-03-22T03:00:00.000Z');
  // 29 March: there is no two o'clock; the window begins when the clock has jumped.
  expect(until('2026-03-29T01:30:00Z', berlin)).toBe('2026-03-29T03:00:00.000Z');
});

test('of several that are on, the longest; of none, none', () => {
  expect(until('2026-01-01T02:30:00Z', ['0 2 * * *', 1], ['0 1 * * *', 4])).toBe('2026-01-01T05:00:00.000Z');
  expect(until('2026-01-01T02:30:00Z')).toBeNull();
});
