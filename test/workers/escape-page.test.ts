/** The page on disk tells what acts by itself, for the day on which nobody can ask. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { ActivityDeps } from '../../activities/deps.ts';
import { writeEscapePage } from '../../activities/escape-page.ts';
import type { DriverContext } from '../../drivers/ports.ts';
import { compilePlan } from '../../plan/compile.ts';
import { A, B, input, WORLDS } from '../plan/world.ts';

const stateDir = mkdtempSync(join(tmpdir(), 'rampart-page-'));
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

test.each([
  { returningPrimary: 'fence', says: true },
  { returningPrimary: 'notify', says: false },
] as const)('the guard is on the page of a service with returningPrimary: $returningPrimary', async (given) => {
  const asked = input(WORLDS['steady(A)']!());
  const service = { ...asked.service, returningPrimary: given.returningPrimary };
  const guard = { ...asked.service.guard!, enabled: true };
  const plan = compilePlan(asked);
  const run = { workflowId: 'failover/checkout', runId: 'run-1', service: 'checkout', by: null };
  const { path } = await writeEscapePage(
    { stateDir, drivers: new Map() } as unknown as ActivityDeps,
    { plan: { ...plan, components: {} }, service: { ...service, guard }, phase: 'planning', run },
    { now: () => 0 } as DriverContext,
  );
  const text = readFileSync(path, 'utf8');
  expect(text).toContain('# checkout: by hand');
  expect(text.includes(`it fences ${A} by itself as soon as that takes writes again`)).toBe(given.says);
  expect(text.includes(`Once ${B} is promoted`)).toBe(given.says);
});
