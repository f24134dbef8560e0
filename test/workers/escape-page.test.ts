/** The page on disk tells what acts by itself, for the day on which nobody can ask. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { ActivityDeps } from '../../activities/deps.ts';
import { writeEscapePage } from '../../activities/escape-page.ts';
import type { Driver, DriverContext } from '../../drivers/ports.ts';
import { compilePlan } from '../../plan/compile.ts';
import type { Plan } from '../../plan/model.ts';
import { A, B, input, WORLDS } from '../plan/world.ts';

const stateDir = mkdtempSync(join(tmpdir(), 'rampart-page-'));
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));
const run = { workflowId: 'failover/checkout', runId: 'run-1', service: 'checkout', by: null };

test.each([
  { returningPrimary: 'fence', says: true },
  { returningPrimary: 'notify', says: false },
] as const)('the guard is on the page of a service with returningPrimary: $returningPrimary', async (given) => {
  const asked = input(WORLDS['steady(A)']!());
  const service = { ...asked.service, returningPrimary: given.returningPrimary };
  const guard = { ...asked.service.guard!, enabled: true };
  const plan = compilePlan(asked);
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

/** Writes the page of a service whose components' drivers answer as given, by name. */
function writePage(answers: Record<string, () => Promise<unknown>>, signal: AbortSignal): Promise<{ path: string }> {
  const asked = input(WORLDS['steady(A)']!());
  const components: Plan['components'] = {};
  const drivers = new Map<string, Driver>();
  for (const [name, answer] of Object.entries(answers)) {
    const component = { ...asked.components[name]!, type: name };
    components[name] = component;
    drivers.set(name, { role: component.role, open: () => ({ escape: answer }) } as unknown as Driver);
  }
  return writeEscapePage(
    { stateDir, drivers } as unknown as ActivityDeps,
    { plan: { ...compilePlan(asked), components }, service: asked.service, phase: 'planning', run },
    { now: () => 0, signal } as DriverContext,
  );
}

test('a component whose commands cannot be made says why in its place; the page has those of the others', async () => {
  const { path } = await writePage(
    {
      'orders-db': async () => ({ now: ['pg_ctl promote'], later: [] }),
      writer: () => Promise.reject(new Error('there is no file\nrm -rf /')),
      edge: async () => ['mv draft edge.yml'],
    },
    AbortSignal.timeout(60_000),
  );
  const text = readFileSync(path, 'utf8');
  expect(text).toContain('## orders-db (orders-db)\n\npg_ctl promote');
  expect(text).toContain('## writer (writer)\n\n# The commands could not be made: there is no file\n# rm -rf /');
  expect(text).toContain('## edge (edge)\n\nmv draft edge.yml');
});

test('a page that was given up is not written', async () => {
  const stop = new AbortController();
  const edge = async (): Promise<never> => {
    stop.abort();
    throw new Error('the worker stops');
  };
  await expect(writePage({ edge }, stop.signal)).rejects.toThrow('the worker stops');
});
