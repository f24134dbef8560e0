/**
 * Real PostgreSQL behind the fakes of managed databases: a streaming pair whose roles are as on RDS. `rdsadmin` is the
 * provider's superuser; Rampart's role `rampart` is none, and may what a member of rds_superuser may.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { poll } from '../../../drivers/poll.ts';
import { installPart } from '../../../lab/parts/install.ts';
import { postgresIdentity } from '../../../lab/paths.ts';
import { freePort, freePorts } from '../../../lab/ports.ts';
import { createNodeFolder, dataDirectory, runTool, writeNodeSettings } from '../../../lab/postgres/node.ts';
import { LAB_DATABASE, LAB_PASSWORDS, withClient } from '../../../lab/postgres/pair.ts';
import { freezePostgres, killPostgres, startPostgres } from '../../../lab/postgres/server.ts';
import { copyPair, makeFolder } from '../../drivers/postgres/template.ts';
import type { DbInstance, Servers } from './rds.ts';

export interface ManagedServer {
  name: string;
  data: string;
  port: number;
}

/** Password of the provider's superuser, of Rampart's role and of the application's. */
export const MANAGED_PASSWORDS = {
  rdsadmin: LAB_PASSWORDS.rampart,
  rampart: 'managed-lab',
  app: LAB_PASSWORDS.app,
} as const;

export class ManagedServers implements Servers {
  readonly dir: string;
  readonly bin: string;
  readonly all: ManagedServer[] = [];
  #made = 0;

  private constructor(dir: string, bin: string) {
    this.dir = dir;
    this.bin = bin;
  }

  /** Starts a primary and a replica that streams from it; the table `orders` is there. */
  static async startPair(
    names: [string, string],
  ): Promise<{ servers: ManagedServers; primary: ManagedServer; replica: ManagedServer }> {
    const { bin } = await installPart('postgres');
    const servers = new ManagedServers(makeFolder(), bin);
    try {
      const ports = (await freePorts(2)) as [number, number];
      await copyPair(servers.dir, bin, names, ports, { port: ports[0] });
      const [primary, replica] = names.map((name, i) => {
        const server = { name, data: dataDirectory({ dir: join(servers.dir, name) }), port: ports[i]! };
        servers.all.push(server);
        return server;
      }) as [ManagedServer, ManagedServer];
      await makeRoles(primary, replica);
      return { servers, primary, replica };
    } catch (error) {
      await servers.close();
      throw error;
    }
  }

  at(port: number): ManagedServer {
    return this.all.find((server) => server.port === port)!;
  }

  async replicate(source: DbInstance): Promise<{ address: string; port: number }> {
    const name = `replica-${++this.#made}`;
    const dir = join(this.dir, name);
    const port = await freePort();
    const identity = postgresIdentity();
    createNodeFolder(dir, identity);
    const server = { name, data: dataDirectory({ dir }), port };
    const conninfo = `host=127.0.0.1 port=${source.endpoint!.port} user=rdsadmin password=${MANAGED_PASSWORDS.rdsadmin} application_name=${name}`;
    const backup = ['-D', server.data, '-d', conninfo, '-R', '-X', 'stream', '-c', 'fast', '--no-sync'];
    await runTool(this.bin, 'pg_basebackup', backup, { identity });
    writeNodeSettings(dir, { port, cluster_name: name }, identity);
    await startPostgres({ data: server.data, bin: this.bin });
    this.all.push(server);
    return { address: '127.0.0.1', port };
  }

  async promote(instance: DbInstance): Promise<void> {
    await asAdmin(instance.endpoint!.port, 'SELECT pg_promote(true, 30)');
  }

  /** What clients see of a Multi-AZ failover: sessions end, and the same data is there again. */
  async restart(instance: DbInstance): Promise<void> {
    const { data } = this.at(instance.endpoint!.port);
    await killPostgres(data);
    await startPostgres({ data, bin: this.bin });
  }

  async remove(instance: DbInstance): Promise<void> {
    if (instance.endpoint !== null) await killPostgres(this.at(instance.endpoint.port).data);
  }

  async close(): Promise<void> {
    for (const { data } of this.all) {
      freezePostgres(data, false);
      await killPostgres(data);
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export const managedUrl = (port: number, role: keyof typeof MANAGED_PASSWORDS, database = 'postgres'): string =>
  `postgres://${role}:${MANAGED_PASSWORDS[role]}@127.0.0.1:${port}/${database}`;

/** Runs SQL as the provider's superuser. */
export function asAdmin(port: number, sql: string, database = 'postgres'): Promise<Array<Record<string, unknown>>> {
  return withClient(managedUrl(port, 'rdsadmin', database), async (client) => (await client.query(sql)).rows);
}

/** Writes a row as the service. */
export function writeOrder(port: number): Promise<void> {
  return withClient(managedUrl(port, 'app', LAB_DATABASE), async (client) => {
    await client.query('INSERT INTO orders DEFAULT VALUES');
  });
}

export async function countOrders(port: number): Promise<number> {
  return Number((await asAdmin(port, 'SELECT count(*) AS n FROM orders', LAB_DATABASE))[0]!.n);
}

/** The lab's superuser becomes `rdsadmin`; who drives the servers from then on is none. */
async function makeRoles(primary: ManagedServer, replica: ManagedServer): Promise<void> {
  const lab = `postgres://rampart:${LAB_PASSWORDS.rampart}@127.0.0.1:${primary.port}/postgres`;
  // The replica gets in by the old name: once it streams it needs none until its settings name the new one.
  await until('a replica that streams', () =>
    withClient(lab, async (client) => {
      const { rows } = await client.query(`SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'`);
      return rows.length > 0;
    }),
  );
  await withClient(lab, (client) => client.query(`CREATE ROLE helper SUPERUSER LOGIN PASSWORD 'helper'`));
  const helper = `postgres://helper:helper@127.0.0.1:${primary.port}/postgres`;
  await withClient(helper, (client) => client.query('ALTER ROLE rampart RENAME TO rdsadmin'));
  await asAdmin(
    primary.port,
    `DROP ROLE helper;
     CREATE ROLE rampart LOGIN CREATEROLE CREATEDB PASSWORD '${MANAGED_PASSWORDS.rampart}';
     GRANT pg_monitor, pg_signal_backend TO rampart;
     GRANT app TO rampart WITH ADMIN OPTION;
     GRANT CREATE ON DATABASE postgres TO rampart`,
  );
  const [row] = await asAdmin(primary.port, 'SELECT pg_current_wal_lsn()::text AS lsn');
  // The replica knows the old name until it has replayed the new one, and streams by it.
  const replicaUrl = managedUrl(replica.port, 'rdsadmin');
  await until('the replica has the roles', () =>
    withClient(replicaUrl, async (client) => {
      const { rows } = await client.query('SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS there', [row!.lsn]);
      return rows[0].there as boolean;
    }).catch(() => false),
  );
  const conninfo = `host=127.0.0.1 port=${primary.port} user=rdsadmin password=${MANAGED_PASSWORDS.rdsadmin} application_name=${replica.name}`;
  await asAdmin(replica.port, `ALTER SYSTEM SET primary_conninfo = '${conninfo}'`);
  // RDS looks after its own slots. A copy of this server would look for this one on its own source.
  await asAdmin(replica.port, `ALTER SYSTEM SET primary_slot_name = ''`);
  await asAdmin(replica.port, 'SELECT pg_reload_conf()');
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const { signal } = new AbortController();
  const seen = await poll({ signal, deadlineMs: 20_000, intervalMs: 5 }, async () => (await look()) || undefined);
  if (!seen) throw new Error(`waited 20 s in vain: ${what}`);
}
