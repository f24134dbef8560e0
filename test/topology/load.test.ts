import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadTopology } from '../../topology/load.ts';
import { formatProblems } from '../../topology/problem.ts';
import { BASE } from './bad-inputs.ts';
import { fakeDrivers } from './fake-drivers.ts';

const cwd = mkdtempSync(join(tmpdir(), 'rampart-load-'));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));
for (const [name, owner] of [
  ['rampart.yaml', 'from-folder'],
  ['env.yaml', 'from-variable'],
  ['given.yaml', 'from-flag'],
]) {
  writeFileSync(join(cwd, name!), `\uFEFF${BASE.replace('team-checkout', owner!)}`);
}
const owner = async (path: string | undefined, env: Record<string, string>) =>
  (await loadTopology({ ...(path ? { path } : {}), env, cwd }, fakeDrivers)).topology?.services.checkout?.owner;

test('--config, then RAMPART_CONFIG, then rampart.yaml', async () => {
  const env = { RAMPART_CONFIG: 'env.yaml' };
  expect(await owner('given.yaml', env)).toBe('from-flag');
  expect(await owner(undefined, env)).toBe('from-variable');
  expect(await owner(undefined, {})).toBe('from-folder');
  expect(await owner(undefined, { RAMPART_CONFIG: '' })).toBe('from-folder');
});

test('a file that is not there says how to make one, or who named it', async () => {
  const said = async (options: { path?: string; env: Record<string, string>; cwd: string }) =>
    formatProblems((await loadTopology(options, fakeDrivers)).problems);
  expect(await said({ env: {}, cwd: join(cwd, 'elsewhere') })).toBe(
    'rampart.yaml:1:1: error: there is no such file; `rampart init` writes a first topology, --config or RAMPART_CONFIG names another place [no_file]',
  );
  expect(await said({ path: 'x.yaml', env: {}, cwd })).toBe(
    'x.yaml:1:1: error: there is no such file (named by --config) [no_file]',
  );
  expect(await said({ env: { RAMPART_CONFIG: 'y.yaml' }, cwd })).toContain('(named by RAMPART_CONFIG)');
  expect(await said({ path: '.', env: {}, cwd })).toContain('this is a directory, not a file');
});

test('the topology knows where it came from and the text comes along', async () => {
  const { topology, text, path } = await loadTopology({ path: 'given.yaml', env: {}, cwd }, fakeDrivers);
  expect([topology?.path, path]).toEqual(['given.yaml', 'given.yaml']);
  expect(text?.startsWith('version: 1')).toBe(true);
});
