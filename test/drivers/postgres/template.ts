/**
 * A stopped primary with its replica, made once for each version of PostgreSQL and of the code that makes it, and copied
 * for every test: a copy takes a tenth of the time of initdb and a base backup.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { withLock } from '../../../lab/parts/lock.ts';
import { postgresHome, postgresIdentity, repositoryRoot } from '../../../lab/paths.ts';
import { freePorts } from '../../../lab/ports.ts';
import { writeNodeSettings } from '../../../lab/postgres/node.ts';
import { createPrimary, createReplica, urlOf, withClient } from '../../../lab/postgres/pair.ts';
import { killPostgres, startPostgres, stopPostgres } from '../../../lab/postgres/server.ts';

const ORDERS = 'CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT clock_timestamp())';

/** A new folder that PostgreSQL's user can enter. */
export function makeFolder(): string {
  const home = join(postgresHome(), 'test');
  mkdirSync(home, { recursive: true, mode: 0o755 });
  const dir = mkdtempSync(join(home, 'pair-'));
  const identity = postgresIdentity();
  if (identity) chownSync(dir, identity.uid, identity.gid);
  return dir;
}

/** Makes and starts a primary and a replica of it from nothing; the service's table is there. */
export async function makePair(
  dir: string,
  bin: string,
  names: [string, string],
  ports: [number, number],
  via: { port: number },
): Promise<void> {
  const [first, second] = names;
  // Small segments: most of a fresh data directory is log.
  const initdb = ['--wal-segsize=1'];
  const primary = await createPrimary({ dir: join(dir, first), port: ports[0], bin, name: first, initdb });
  await createReplica({
    from: primary,
    via,
    dir: join(dir, second),
    port: ports[1],
    slot: slotOf(second),
    name: second,
  });
  await withClient(urlOf(primary, 'app'), (client) => client.query(ORDERS));
}

export const slotOf = (name: string): string => `rampart_${name.replaceAll('-', '_')}`;

/** The same from the template: copied, given its ports, started. */
export async function copyPair(
  dir: string,
  bin: string,
  names: [string, string],
  ports: [number, number],
  via: { port: number },
): Promise<void> {
  const template = await templateOf(bin, names);
  for (const [i, name] of names.entries()) {
    const clone = process.platform === 'linux' ? ['--reflink=auto'] : [];
    const copied = spawnSync('cp', ['-a', ...clone, join(template, name), join(dir, name)]);
    if (copied.status !== 0) throw new Error(`the template could not be copied: ${copied.stderr}`);
    writeNodeSettings(join(dir, name), { port: ports[i]!, cluster_name: name }, postgresIdentity());
  }
  const settings = join(dir, names[1], 'data', 'postgresql.auto.conf');
  writeFileSync(settings, readFileSync(settings, 'utf8').replace(/ port=\d+/, ` port=${via.port}`));
  await Promise.all(names.map((name) => startPostgres({ data: join(dir, name, 'data'), bin })));
}

async function templateOf(bin: string, names: [string, string]): Promise<string> {
  const sources = ['lab/postgres/pair.ts', 'lab/postgres/node.ts', 'test/drivers/postgres/template.ts'];
  const hash = createHash('sha256').update(`${bin} ${names}`);
  for (const source of sources) hash.update(readFileSync(join(repositoryRoot(), source)));
  const home = join(postgresHome(), 'test');
  const folder = join(home, `template-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(home, { recursive: true, mode: 0o755 });
  await withLock(join(home, 'template.lock'), async () => {
    if (existsSync(folder)) return;
    const draft = makeFolder();
    try {
      const ports = (await freePorts(2)) as [number, number];
      await makePair(draft, bin, names, ports, { port: ports[0] });
      // The primary first: its last record reaches the replica, and both end at the same place.
      for (const name of names) await stopPostgres(join(draft, name, 'data'));
      renameSync(draft, folder);
    } finally {
      for (const name of names) await killPostgres(join(draft, name, 'data'));
      rmSync(draft, { recursive: true, force: true });
    }
  });
  return folder;
}
