/**
 * The peer: Patroni 3.0.2 as Debian 12 ships it, with etcd and PostgreSQL 15, on this machine. Nothing is installed:
 * the packages are downloaded by apt and unpacked below `.lab/`.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { built, postgresHome, postgresIdentity } from '../lab/paths.ts';
import { freePorts } from '../lab/ports.ts';
import { withClient } from '../lab/postgres/pair.ts';
import { killPostgres } from '../lab/postgres/server.ts';
import { endRecorded, recordPostgres, startProcess } from '../lab/processes.ts';
import { until } from './world.ts';

const PACKAGES = [
  ...['patroni', 'etcd-server', 'libpq5'],
  ...'etcd psycopg2 click colorama dateutil six prettytable wcwidth psutil urllib3 yaml dnspython cdiff pkg-resources'
    .split(' ')
    .map((name) => `python3-${name}`),
];
/** Debian's own place for PostgreSQL 15; used as it is where the machine has it. */
const SYSTEM_POSTGRES = '/usr/lib/postgresql/15/bin';
const PASSWORD = 'bench';
const UP_MS = 60_000;

export const PATRONI = 'Patroni 3.0.2';

export interface Patroni {
  /** Addresses of both servers, either of which may take writes. */
  urls: string[];
  leader(): Promise<Member & { url: string }>;
  /** Asks the leader to hand over to the other member, as `patronictl switchover` does. */
  switchover(): Promise<void>;
  /** Kills everything of the leader with SIGKILL: Patroni and PostgreSQL. @returns what was killed, and when */
  crash(): Promise<{ name: string; at: number }>;
  /** Starts a killed member again. */
  restart(name: string): void;
  /** Waits for one leader and one replica that streams. */
  untilProtected(): Promise<void>;
  /** When the present leader wrote that it has the leader key, milliseconds since the epoch. */
  leaderSince(): Promise<number>;
  close(): Promise<void>;
}

interface Member {
  name: string;
  dir: string;
  port: number;
  api: number;
}

/** Brings up a cluster of two with Patroni's defaults (ttl 30, loop_wait 10). Linux with apt only. */
export async function openPatroni(name: string, say: (line: string) => void): Promise<Patroni> {
  const tree = unpack(say);
  const bin = existsSync(SYSTEM_POSTGRES) ? SYSTEM_POSTGRES : join(tree, SYSTEM_POSTGRES);
  const dir = join(postgresHome(), 'worlds', name);
  const identity = postgresIdentity();
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const own = (path: string): void => (identity ? chownSync(path, identity.uid, identity.gid) : undefined);
  own(dir);
  const record = join(dir, 'processes.jsonl');
  const log = join(dir, 'log');
  // Ends all of it when this process ends, in whatever way.
  const reaper = spawn(process.execPath, [built('lab/reaper.js'), record], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
  });
  reaper.unref();
  const [etcd, peer, ...ports] = (await freePorts(6)) as [number, number, ...number[]];
  const start = (title: string, command: string, args: string[]): number | undefined =>
    startProcess({
      name: title,
      command,
      args,
      cwd: dir,
      identity,
      record,
      log: `${log}.${title}`,
      env: {
        HOME: dir,
        PYTHONPATH: join(tree, 'usr/lib/python3/dist-packages'),
        LD_LIBRARY_PATH: libraries(tree),
        PATH: `${bin}:${process.env.PATH}`,
      },
    }).pid;
  start('etcd', join(tree, 'usr/bin/etcd'), [
    ...['--data-dir', join(dir, 'etcd'), '--log-level', 'error'],
    ...['--listen-client-urls', `http://127.0.0.1:${etcd}`, '--advertise-client-urls', `http://127.0.0.1:${etcd}`],
    ...['--listen-peer-urls', `http://127.0.0.1:${peer}`, '--initial-advertise-peer-urls', `http://127.0.0.1:${peer}`],
    ...['--initial-cluster', `default=http://127.0.0.1:${peer}`],
  ]);
  const members: Member[] = ['a', 'b'].map((member, i) => ({
    name: member,
    dir: join(dir, member),
    port: ports[2 * i]!,
    api: ports[2 * i + 1]!,
  }));
  const groups = new Map<string, number | undefined>();
  const run = (member: Member): void => {
    const config = join(dir, `${member.name}.yml`);
    writeFileSync(config, configOf(member, etcd, bin));
    own(config);
    groups.set(
      member.name,
      start(`patroni-${member.name}`, '/usr/bin/python3', [join(tree, 'usr/bin/patroni'), config]),
    );
  };
  for (const member of members) {
    mkdirSync(member.dir, { mode: 0o700 });
    own(member.dir);
    recordPostgres(record, `patroni ${member.name}`, join(member.dir, 'data'));
  }
  const close = async (): Promise<void> => {
    await endRecorded(record, 0);
    rmSync(dir, { recursive: true, force: true });
  };
  const cluster = async (): Promise<Array<{ name: string; role: string; state: string; lag?: number | string }>> => {
    for (const member of members) {
      const answer = await fetch(`http://127.0.0.1:${member.api}/cluster`, {
        signal: AbortSignal.timeout(2_000),
      }).catch(() => undefined);
      if (answer?.ok) return ((await answer.json()) as { members: never[] }).members;
    }
    return [];
  };
  const leader = async (): Promise<Member> => {
    const found = (await cluster()).find(({ role }) => role === 'leader');
    const member = members.find(({ name: each }) => each === found?.name);
    if (member === undefined) throw new Error('the Patroni cluster has no leader');
    return member;
  };
  // Asked of the server: Patroni's own list calls a replica running before it streams.
  const untilProtected = (): Promise<void> =>
    until('a Patroni leader with a streaming replica', UP_MS, async () => {
      const seen = await leader().catch(() => undefined);
      if (seen === undefined) return false;
      return withClient(urlOf(seen), async (client) => {
        const { rows } = await client.query(
          "SELECT FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()",
        );
        return rows.length > 0;
      }).catch(() => false);
    });
  try {
    run(members[0]!);
    await until('a Patroni leader', UP_MS, async () =>
      (await cluster()).some(({ role, state }) => role === 'leader' && state === 'running'),
    );
    run(members[1]!);
    await untilProtected();
  } catch (error) {
    const said = readdirSync(dir)
      .filter((file) => file.startsWith('log.'))
      .map((file) => `${file}: ${readFileSync(join(dir, file), 'utf8').slice(-800)}`);
    await close();
    throw new Error(`${(error as Error).message}\n${said.join('\n')}`);
  }
  say(`${PATRONI} with etcd and PostgreSQL 15: ${members.map(({ port }) => port).join(' and ')}`);
  return {
    urls: members.map(urlOf),
    leader: async () => {
      const member = await leader();
      return { ...member, url: urlOf(member) };
    },
    untilProtected,
    restart: (member) => run(members.find((each) => each.name === member)!),
    switchover: async () => {
      const from = await leader();
      const to = members.find((member) => member !== from)!;
      const answer = await fetch(`http://127.0.0.1:${from.api}/switchover`, {
        method: 'POST',
        body: JSON.stringify({ leader: from.name, candidate: to.name }),
      });
      if (!answer.ok) throw new Error(`Patroni refused the switchover: ${answer.status} ${await answer.text()}`);
    },
    crash: async () => {
      const from = await leader();
      const at = performance.timeOrigin + performance.now();
      // The whole host is gone at once.
      process.kill(-groups.get(from.name)!, 'SIGKILL');
      await killPostgres(join(from.dir, 'data'));
      return { name: from.name, at };
    },
    leaderSince: async () => {
      const { name: member } = await leader();
      const lines = readFileSync(`${log}.patroni-${member}`, 'utf8').split('\n');
      const line = lines.findLast((text) => text.includes('promoted self to leader'));
      if (line === undefined) throw new Error(`the log of ${member} does not say when it became the leader`);
      return Date.parse(`${line.slice(0, 23).replace(' ', 'T').replace(',', '.')}Z`);
    },
    close,
  };
}

const urlOf = ({ port }: Pick<Member, 'port'>): string => `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`;

function configOf({ name, dir, port, api }: Member, etcd: number, bin: string): string {
  return stringify({
    scope: 'bench',
    name,
    restapi: { listen: `127.0.0.1:${api}`, connect_address: `127.0.0.1:${api}` },
    etcd3: { host: `127.0.0.1:${etcd}` },
    bootstrap: {
      dcs: {
        postgresql: {
          use_pg_rewind: true,
          // As in the lab, where only processes are killed: nobody waits for the disk.
          parameters: { fsync: 'off' },
        },
      },
      initdb: [{ encoding: 'UTF8' }, 'data-checksums'],
    },
    postgresql: {
      listen: `127.0.0.1:${port}`,
      connect_address: `127.0.0.1:${port}`,
      data_dir: join(dir, 'data'),
      bin_dir: bin,
      pgpass: join(dir, 'pgpass'),
      authentication: {
        superuser: { username: 'postgres', password: PASSWORD },
        replication: { username: 'replicator', password: PASSWORD },
      },
      parameters: { unix_socket_directories: dir },
      pg_hba: [
        'local all all trust',
        'host all all 127.0.0.1/32 scram-sha-256',
        'host replication all 127.0.0.1/32 scram-sha-256',
      ],
    },
  });
}

/** Downloads the packages once. @returns the folder they are unpacked in */
function unpack(say: (line: string) => void): string {
  const parts = join(postgresHome(), 'parts');
  const folder = join(parts, 'patroni-3.0.2');
  if (existsSync(folder)) return folder;
  const wanted = [...PACKAGES, ...(existsSync(SYSTEM_POSTGRES) ? [] : ['postgresql-15', 'postgresql-client-15'])];
  say(`Downloading Patroni, etcd and what they need (${wanted.length} Debian packages, about 10 MB), once`);
  const draft = `${folder}.draft`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(join(draft, 'debs'), { recursive: true });
  chmodSync(join(draft, 'debs'), 0o777);
  tool('apt-get', ['download', '--quiet', ...wanted], join(draft, 'debs'));
  for (const file of readdirSync(join(draft, 'debs'))) tool('dpkg', ['-x', join(draft, 'debs', file), draft], draft);
  rmSync(join(draft, 'debs'), { recursive: true });
  renameSync(draft, folder);
  return folder;
}

function tool(command: string, args: string[], cwd: string): void {
  const { status, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 180_000 });
  if (status === 0) return;
  throw new Error(
    `${command} ${args[0]} failed: ${stderr ?? error}. Patroni is measured on Debian 12 only; leave it out with --alone`,
  );
}

function libraries(tree: string): string {
  const lib = join(tree, 'usr/lib');
  return readdirSync(lib)
    .filter((entry) => entry.endsWith('-linux-gnu'))
    .map((entry) => join(lib, entry))
    .join(':');
}
