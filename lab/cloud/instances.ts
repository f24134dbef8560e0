/**
 * The PostgreSQL servers behind the instances of RDS. Who drives them is no superuser, as with RDS: that is `rdsadmin`,
 * the provider itself.
 */
import { renameSync } from 'node:fs';
import { poll } from '../../drivers/poll.ts';
import type { DbInstance, FakeRds, Servers } from '../../test/fakes/aws/rds.ts';
import { postgresIdentity } from '../paths.ts';
import { freePort } from '../ports.ts';
import { createNodeFolder, dataDirectory, runTool, writeNodeSettings } from '../postgres/node.ts';
import { LAB_PASSWORDS, urlOf, withClient } from '../postgres/pair.ts';
import { killPostgres, readPostmaster, startPostgres, stopPostgres } from '../postgres/server.ts';
import { recordPostgres } from '../processes.ts';
import {
  dataOf,
  HOME_REGION,
  nodeName,
  type RegionSpec,
  recordOf,
  regionOf,
  slotOf,
  type WorldSpec,
} from '../world/spec.ts';
import { AWS_REGIONS } from './clients.ts';

const ADMIN_PASSWORD = LAB_PASSWORDS.rampart;

export class InstanceServers implements Servers {
  readonly #spec: WorldSpec;
  readonly #bin: string;
  readonly #rds: FakeRds;
  /** Folder of the node behind an instance's endpoint, by its port. */
  readonly #nodes = new Map<number, string>();
  #kept = 0;

  constructor(spec: WorldSpec, bin: string, rds: FakeRds) {
    this.#spec = spec;
    this.#bin = bin;
    this.#rds = rds;
    for (const { links, node } of spec.regions) this.#nodes.set(links.database, node);
  }

  /** The lab's superuser becomes the provider's; `rampart` is made anew with what a master user of RDS may do. */
  async takeOver(): Promise<void> {
    const home = regionOf(this.#spec, HOME_REGION);
    const helper = `postgres://helper:helper@127.0.0.1:${home.databasePort}/postgres`;
    await withClient(urlOf({ port: home.databasePort }, 'rampart', 'postgres'), (client) =>
      client.query("CREATE ROLE helper SUPERUSER LOGIN PASSWORD 'helper'"),
    );
    await withClient(helper, (client) => client.query('ALTER ROLE rampart RENAME TO rdsadmin'));
    await asAdmin(
      home.databasePort,
      `DROP ROLE helper;
       CREATE ROLE rampart LOGIN CREATEROLE CREATEDB PASSWORD '${LAB_PASSWORDS.rampart}';
       GRANT pg_monitor, pg_signal_backend TO rampart;
       GRANT app TO rampart WITH ADMIN OPTION;
       GRANT CREATE ON DATABASE postgres TO rampart`,
    );
    const [row] = await asAdmin(home.databasePort, 'SELECT pg_current_wal_flush_lsn()::text AS lsn');
    for (const region of this.#spec.regions.filter(({ name }) => name !== HOME_REGION)) {
      // It knows the old name until it has replayed the new one, and streams by it.
      const there = await poll({ signal: AbortSignal.timeout(20_000), deadlineMs: 20_000, intervalMs: 10 }, () =>
        asAdmin(region.databasePort, `SELECT pg_last_wal_replay_lsn() >= '${row!.lsn}'::pg_lsn AS there`).then(
          ([found]) => (found!.there === true ? true : undefined),
          () => undefined,
        ),
      );
      if (!there) throw new Error(`the replica in ${region.name} does not follow`);
      await asAdmin(region.databasePort, `ALTER SYSTEM SET primary_conninfo = '${conninfo(home, region.name)}'`);
      await asAdmin(region.databasePort, 'SELECT pg_reload_conf()');
    }
  }

  async replicate(source: DbInstance, replica: DbInstance): Promise<{ address: string; port: number }> {
    const [from, at] = [this.#regionOf(source), this.#regionOf(replica)];
    await this.#setAside(at, replica);
    const identity = postgresIdentity();
    createNodeFolder(at.node, identity);
    const slot = slotOf(at.name);
    await asAdmin(
      from.databasePort,
      `SELECT pg_create_physical_replication_slot('${slot}', true)
       WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '${slot}')`,
    );
    const backup = ['-D', dataOf(at), '-d', conninfo(from, at.name), '-R', '-S', slot, '-X', 'stream', '-c', 'fast'];
    await runTool(this.#bin, 'pg_basebackup', [...backup, '--no-sync'], { identity });
    writeNodeSettings(at.node, { port: at.databasePort, cluster_name: nodeName(at.name) }, identity);
    await startPostgres({ data: dataOf(at), bin: this.#bin });
    this.#nodes.set(at.links.database, at.node);
    return { address: '127.0.0.1', port: at.links.database };
  }

  async promote(instance: DbInstance): Promise<void> {
    await asAdmin(this.#regionOf(instance).databasePort, 'SELECT pg_promote(true, 60)');
  }

  async restart(instance: DbInstance): Promise<void> {
    const data = this.#dataOf(instance);
    await killPostgres(data);
    await startPostgres({ data, bin: this.#bin });
  }

  async remove(instance: DbInstance): Promise<void> {
    if (instance.endpoint !== null) await killPostgres(this.#dataOf(instance));
  }

  /** An instance that was renamed has another address; the one that gets its name gets the address, too. */
  async #setAside(at: RegionSpec, replica: DbInstance): Promise<void> {
    const old = this.#rds.instances.find(
      (one) => one !== replica && one.region === replica.region && one.endpoint?.port === at.links.database,
    );
    if (old === undefined) return;
    const runs = readPostmaster(dataOf(at)) !== undefined;
    await stopPostgres(dataOf(at));
    const dir = `${at.node}-kept-${++this.#kept}`;
    renameSync(at.node, dir);
    const port = await freePort();
    writeNodeSettings(dir, { port, cluster_name: `${nodeName(at.name)}-kept` }, postgresIdentity());
    recordPostgres(recordOf(this.#spec.dir), `database ${at.name}, kept`, dataDirectory({ dir }));
    this.#nodes.set(port, dir);
    old.endpoint = { address: '127.0.0.1', port };
    if (runs) await startPostgres({ data: dataDirectory({ dir }), bin: this.#bin });
  }

  #dataOf(instance: DbInstance): string {
    const dir = this.#nodes.get(instance.endpoint!.port);
    if (dir === undefined) throw new Error(`no server is behind ${instance.id}`);
    return dataDirectory({ dir });
  }

  #regionOf(instance: DbInstance): RegionSpec {
    const found = this.#spec.regions.find(({ name }) => AWS_REGIONS[name] === instance.region);
    if (found === undefined) throw new Error(`the lab has nothing in ${instance.region}`);
    return found;
  }
}

function conninfo(from: RegionSpec, to: string): string {
  return `host=127.0.0.1 port=${from.links.replication} user=rdsadmin password=${ADMIN_PASSWORD} application_name=${nodeName(to)}`;
}

function asAdmin(port: number, sql: string): Promise<Array<Record<string, unknown>>> {
  const url = `postgres://rdsadmin:${ADMIN_PASSWORD}@127.0.0.1:${port}/postgres`;
  return withClient(url, async (client) => (await client.query(sql)).rows);
}
