import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { CreateClusterCommand, DescribeClustersCommand, ECSClient } from '@aws-sdk/client-ecs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { emulatorCommand } from '../../lab/parts/emulators.ts';
import { freePort } from '../../lab/ports.ts';
import { fullOnly } from '../integration/expectations.ts';
import { type Emulator, startMicroburst, startMinistack } from './emulators.ts';

const running: Emulator[] = [];
const kept = <E extends Emulator>(emulator: E): E => {
  running.push(emulator);
  return emulator;
};
afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(running.splice(0).map((emulator) => emulator.stop()));
});

const client = (endpoint: string) =>
  new ECSClient({
    endpoint,
    region: 'eu-west-1',
    maxAttempts: 1,
    credentials: { accessKeyId: '111111111111', secretAccessKey: 'x' },
  });

describe('emulators of AWS', () => {
  // The proxy's own start costs ten seconds; what it does to a driver, the fakes do in every CI.
  fullOnly('serves, and loses an answer behind the proxy that was told to', async () => {
    const emulator = kept(await startMinistack());
    const proxy = kept(await startMicroburst(emulator.url));
    const rules = [{ service: 'ecs', operation: 'CreateCluster', times: 1, response: { abort_frac: 0.3 } }];
    const told = await fetch(`${proxy.url}/_microburst/rules`, { method: 'POST', body: JSON.stringify(rules) });
    expect(told.status).toBeLessThan(300);
    const create = new CreateClusterCommand({ clusterName: 'shop' });
    await expect(client(proxy.url).send(create)).rejects.toThrow('aborted');
    const { clusters } = await client(emulator.url).send(new DescribeClustersCommand({ clusters: ['shop'] }));
    expect(clusters).toMatchObject([{ clusterName: 'shop', status: 'ACTIVE' }]);
  });

  it('ends with the process that started it', async () => {
    const { command, args, env } = await emulatorCommand('moto', { port: await freePort(), endWithInput: true });
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'ignore', 'ignore'] });
    child.stdin.end();
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
  });
});

describe('emulators that cannot be installed', () => {
  const install = async (python: string): Promise<unknown> => {
    const folder = await mkdtemp(join(tmpdir(), 'rampart-emulators-'));
    await writeFile(join(folder, 'python3'), `#!/bin/sh\n${python}\n`);
    await chmod(join(folder, 'python3'), 0o755);
    vi.stubEnv('PATH', [folder, process.env.PATH].join(delimiter));
    vi.stubEnv('RAMPART_LAB_PARTS', join(folder, 'parts'));
    const error = await emulatorCommand('moto', { port: 1, log: () => undefined }).catch((reason: unknown) => reason);
    await rm(folder, { recursive: true });
    return error;
  };

  it.each([
    ['no pip', 'case "$*" in *pip*) echo "No module named pip" >&2; exit 1;; *) echo 3.11;; esac', /python3-pip/],
    ['an old Python', 'echo 3.9', /needs Python 3\.11 or newer, and python3 is 3\.9/],
    [
      'a file that is not the one locked',
      'case "$*" in *pip*) echo HASHES >&2; exit 1;; *) echo 3.12;; esac',
      /HASHES/,
    ],
  ])('%s is told, with the way out', async (_name, python, expected) => {
    const error = await install(python);
    expect(error).toMatchObject({ message: expect.stringMatching(expected) });
    expect(error).toMatchObject({ message: expect.stringContaining('RAMPART_EMULATORS') });
  });

  it('an own folder without them is told', async () => {
    vi.stubEnv('RAMPART_EMULATORS', '/nonexistent');
    await expect(emulatorCommand('moto', { port: 1 })).rejects.toThrow('there is no /nonexistent/moto');
    await expect(emulatorCommand('microburst', { port: 1 })).rejects.toThrow('RAMPART_EMULATORS');
  });
});
