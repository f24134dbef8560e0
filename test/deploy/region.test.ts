import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { installPart } from '../../lab/parts/install.ts';
import { postgresHome, postgresIdentity, repositoryRoot } from '../../lab/paths.ts';
import { freePorts } from '../../lab/ports.ts';
import { withClient } from '../../lab/postgres/pair.ts';
import { killPostgres, readPostmaster } from '../../lab/postgres/server.ts';

const root = repositoryRoot();
const identity = postgresIdentity();
const folder = join(postgresHome(), `region-${process.pid}`);
const PASSWORD = 'region-test';
/** PostgreSQL refuses root, and the user it runs as instead must be able to read the program it asks. */
const readable =
  identity === undefined ||
  spawnSync('/bin/sh', ['-c', 'test -r "$1"', 'sh', join(root, 'dist/clients/cli/main.js')], { ...identity, cwd: '/' })
    .status === 0;

const running: ChildProcess[] = [];
const folders: string[] = [];

afterEach(async () => {
  // The whole group: its keepers and workers too.
  for (const child of running.splice(0)) if (child.pid !== undefined) killGroup(child.pid);
  for (const node of folders.splice(0)) await killPostgres(join(node, 'data'));
  rmSync(folder, { recursive: true, force: true });
});

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended, and all of its group.
  }
}

interface Region {
  child: ChildProcess;
  said: () => string;
}

/** Starts the entry point of the region image, with a worker that only waits: there is no Temporal here. */
function start(bin: string, region: string, port: number, peerPort: number, more: Record<string, string> = {}): Region {
  const node = join(folder, region);
  if (!folders.includes(node)) folders.push(node);
  const child = spawn('/bin/sh', [join(root, 'deploy/region.sh')], {
    ...identity,
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
      REGION: region,
      HOME_REGION: 'eu-west',
      PEER: '127.0.0.1',
      PEER_PORT: String(peerPort),
      PGPORT: String(port),
      DB_PASSWORD: PASSWORD,
      PG_BIN: bin,
      NODE_DIR: node,
      WORKERS: '1',
      ...more,
    },
  });
  running.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      text += chunk;
    });
  return { child, said: () => text };
}

async function stop(region: Region): Promise<void> {
  const exited = once(region.child, 'exit');
  region.child.kill('SIGTERM');
  await exited;
}

const urlOf = (port: number): string => `postgres://rampart:${PASSWORD}@127.0.0.1:${port}/app`;
const ask = (port: number, sql: string): Promise<unknown> =>
  withClient(urlOf(port), async (client) => Object.values((await client.query(sql)).rows[0] ?? {})[0]);

it.skipIf(!readable)(
  'a region makes its database, copies it, stops it, and keeps an old primary down',
  { timeout: 60_000 },
  async () => {
    const { bin } = await installPart('postgres');
    const [west, central] = (await freePorts(2)) as [number, number];
    mkdirSync(join(folder, 'bin'), { recursive: true });
    const program = join(folder, 'bin/rampart');
    writeFileSync(
      program,
      `#!/bin/sh\n[ "$1" != worker ] || exec sleep 600\nexec ${process.execPath} ${join(root, 'dist/clients/cli/main.js')} "$@"\n`,
    );
    chmodSync(program, 0o755);
    if (identity) chownSync(folder, identity.uid, identity.gid);
    const patient = { timeout: 30_000, interval: 50 };

    // A silent peer does not say that there is no database: this may be a home that has lost its volume.
    const lost = start(bin, 'eu-west', west, central);
    await expect.poll(lost.said, patient).toContain('waiting for the database');
    expect(lost.said()).toContain('FIRST_START=1');
    await stop(lost);
    expect(existsSync(join(folder, 'eu-west/data'))).toBe(false);

    const home = start(bin, 'eu-west', west, central, { FIRST_START: '1' });
    const standby = start(bin, 'eu-central', central, west);
    await expect.poll(() => ask(central, 'SELECT pg_is_in_recovery()').catch(() => null), patient).toBe(true);
    expect(await ask(west, 'SELECT slot_name FROM pg_replication_slots WHERE active')).toBe('rampart_eu_central');
    expect(await ask(west, "SELECT tableowner FROM pg_tables WHERE tablename = 'orders'")).toBe('app');

    await stop(home);
    expect(readPostmaster(join(folder, 'eu-west/data'))).toBeUndefined();
    expect(execFileSync(join(bin, 'pg_controldata'), [join(folder, 'eu-west/data')], { encoding: 'utf8' })).toMatch(
      /cluster state:\s+shut down\n/,
    );
    await ask(central, 'SELECT pg_promote()');

    const back = start(bin, 'eu-west', west, central);
    await expect.poll(back.said, patient).toContain('the database stays down');
    expect(back.said()).toContain('refused: ');
    expect(readPostmaster(join(folder, 'eu-west/data'))).toBeUndefined();
    await stop(back);
    await stop(standby);
    expect(readPostmaster(join(folder, 'eu-central/data'))).toBeUndefined();
  },
);
