/** Which timeline a data directory is on, from the names in its log folder. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { greatestTimeline } from '../../../drivers/postgres/control-data.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'rampart-timeline-'));
  mkdirSync(join(dir, 'pg_wal'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const add = (name: string): void => writeFileSync(join(dir, 'pg_wal', name), '');

test('log segments count from the promotion on, a fetched history does not', async () => {
  add('000000030000000000000003');
  expect(await greatestTimeline(dir, { timeline: 2 })).toBe(3);
  // A standby that cannot follow: it has asked the other primary where it went, and stays where it is.
  add('00000004.history');
  expect(await greatestTimeline(dir, { timeline: 3 })).toBe(3);
  // Promoted, and its control file does not say so yet.
  add('000000040000000000000003');
  expect(await greatestTimeline(dir, { timeline: 3 })).toBe(4);
});
