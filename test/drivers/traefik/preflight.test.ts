/** What would fail at the first write, after the promotion, said before anything is changed. No Traefik is asked. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { traefik } from '../../../drivers/traefik/driver.ts';
import { renderTraefikFile, withClaim } from '../../../drivers/traefik/file.ts';
import type { Component } from '../../../topology/model.ts';
import { driverContext } from '../../conformance/driver-context.ts';

const servers = { 'eu-west': ['http://10.1.0.5:8080'], 'eu-central': ['http://10.2.0.5:8080'] };
const good = renderTraefikFile({
  kind: 'weighted',
  service: 'shop',
  servers,
  entryPoint: 'web',
  weights: { 'eu-west': 100, 'eu-central': 0 },
});

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rampart-preflight-'));
  file = join(folder, 'shop.yml');
  writeFileSync(file, good);
});
afterEach(() => rmSync(folder, { recursive: true }));

function component(changes: Record<string, unknown> = {}): Component {
  const config = { kind: 'weighted', file, api: 'http://127.0.0.1:1', service: 'shop', ...changes };
  const sides = Object.entries(servers).map(([region, [url]]) => [
    region,
    { region, nodes: [{ name: region, queue: 'rampart', config: { url } }] },
  ]);
  return {
    name: 'edge',
    type: 'traefik',
    role: 'router',
    queue: 'rampart',
    config: traefik.config.parse(config) as Component['config'],
    sides: Object.fromEntries(sides),
    capabilities: { role: 'router' },
  };
}

const preflight = (mode: 'planned' | 'unplanned' = 'planned', changes?: Record<string, unknown>) =>
  traefik.open(component(changes), driverContext({})).preflight!(mode, 'eu-west', 'eu-central');

test('nothing in the way: no finding, and nothing is left in the folder, whether Rampart has written there or not', async () => {
  expect(await preflight()).toEqual([]);
  expect(readdirSync(folder)).toEqual(['shop.yml']);
  mkdirSync(join(folder, '.rampart'));
  expect(await preflight()).toEqual([]);
  expect(readdirSync(join(folder, '.rampart'))).toEqual([]);
  expect(readFileSync(file, 'utf8')).toBe(good);
});

test.each<[name: string, spoil: () => void, message: RegExp]>([
  ['a file that is not YAML', () => writeFileSync(file, 'http: ['), /not valid YAML/],
  ['something else in the place of the service', () => writeFileSync(file, 'http: { services: 7 }'), /something else/],
  ['no file, and no entry point for a new one', () => rmSync(file), /there is no file/],
  ['a folder that is not there', () => rmSync(folder, { recursive: true }), /no such file or directory/],
  ['a folder for drafts that is none', () => writeFileSync(join(folder, '.rampart'), ''), /cannot be changed|ENOTDIR/],
  [
    'a file of another component',
    () => writeFileSync(file, withClaim(good, { component: 'other', epoch: 1, runId: 'run-1', seq: 1, at: 0 })),
    /belongs to the component other/,
  ],
])('%s stops a planned move, and is told before an unplanned one', async (_name, spoil, message) => {
  spoil();
  for (const [mode, severity] of [
    ['planned', 'blocker'],
    ['unplanned', 'warning'],
  ] as const) {
    const found = await preflight(mode, { entryPoint: message.source.includes('directory') ? 'web' : undefined });
    expect(found).toMatchObject([{ code: 'traefik.file', severity, component: 'edge', region: null }]);
    expect(found[0]!.message).toMatch(message);
    expect(found[0]!.remedy).not.toBe('');
  }
  mkdirSync(folder, { recursive: true });
});

test('a first file is written where the entry point is known', async () => {
  rmSync(file);
  expect(await preflight('planned', { entryPoint: 'web' })).toEqual([]);
  expect(readdirSync(folder)).toEqual([]);
});

test('a folder in which this worker may not write', async () => {
  chmodSync(folder, 0o555);
  // A mode forbids nothing to root; the settings of the kernel are a folder in which root can make no file either.
  const forbidden = process.getuid!() === 0 ? '/proc/sys/kernel' : folder;
  try {
    const found = await preflight('planned', { file: join(forbidden, 'new.yml'), entryPoint: 'web' });
    expect(found).toMatchObject([{ code: 'traefik.file', severity: 'blocker' }]);
    expect(found[0]!.message).toContain('cannot be changed');
    expect(found[0]!.remedy).toContain('Give the worker');
  } finally {
    chmodSync(folder, 0o755);
  }
});
