/** A worker process whose Temporal says nothing: it is well, not ready, and stops when it is told to. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../../lab/paths.ts';
import { freePorts } from '../../lab/ports.ts';

test('it does not wait for a server that takes connections and answers nothing', async () => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const [port] = (await freePorts(1)) as [number];
  const state = mkdtempSync(join(tmpdir(), 'rampart-connect-'));
  const root = repositoryRoot();
  const child = spawn(
    process.execPath,
    [join(root, 'dist/clients/cli/main.js'), 'worker', '--health-address', `127.0.0.1:${port}`],
    {
      env: {
        ...process.env,
        RAMPART_CONFIG: join(root, 'examples/minimal.yaml'),
        RAMPART_STATE_DIR: state,
        TEMPORAL_ADDRESS: `127.0.0.1:${(silent.address() as AddressInfo).port}`,
      },
      stdio: 'ignore',
    },
  );
  const exited = once(child, 'exit');
  try {
    const status = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`).catch(() => null))?.status;
    await expect.poll(() => status('/healthz'), { timeout: 20_000, interval: 50 }).toBe(200);
    expect(await status('/readyz')).toBe(503);
    // The connection itself is given half a minute, which is longer than this test has.
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  } finally {
    child.kill('SIGKILL');
    silent.close();
    rmSync(state, { recursive: true, force: true });
  }
}, 25_000);
