/** The PostgreSQL servers behind a provider's databases: closed, opened and copied as its storage would do it. */
import { appendFileSync, chownSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownerOf, runTool } from '../postgres/node.ts';
import { createReplica, LAB_PASSWORDS, urlOf, withClient } from '../postgres/pair.ts';
import { killPostgres, readPostmaster, startPostgres, stopPostgres } from '../postgres/server.ts';
import { dataOf, nodeName, type RegionSpec, slotOf } from '../world/spec.ts';

export type Role = 'writer' | 'reader' | 'changing' | 'stopped';

/** By its files, so that a server that hangs is told as well. A promotion removes the mark of a reader. */
export function roleOf(region: RegionSpec): Role {
  const status = readPostmaster(dataOf(region))?.status;
  if (status === undefined) return 'stopped';
  if (status !== 'ready') return 'changing';
  return existsSync(join(dataOf(region), 'standby.signal')) ? 'reader' : 'writer';
}

/** Whether the server in `to` has all that the writer in `from` has sent so far and goes on receiving. */
export async function streams(from: RegionSpec, to: RegionSpec): Promise<boolean> {
  const { rows } = await asAdmin(
    from,
    `SELECT flush_lsn >= pg_current_wal_flush_lsn() AS there FROM pg_stat_replication
     WHERE state = 'streaming' AND application_name = '${nodeName(to.name)}'`,
  );
  return rows[0]?.there === true;
}

/**
 * Closes the writer so that the other server has everything that was acknowledged.
 * @returns false: it has not, and the writer is open again
 */
export async function closeWriter(from: RegionSpec, to: RegionSpec, bin: string): Promise<boolean> {
  if (!(await streams(from, to))) return false;
  // A fast stop ends sessions and sends the rest, its last checkpoint included, before it is done.
  await stopPostgres(dataOf(from));
  const last = field(await runTool(bin, 'pg_controldata', [dataOf(from)]), 'Latest checkpoint location');
  const { rows } = await asAdmin(to, `SELECT pg_last_wal_receive_lsn() > '${last}'::pg_lsn AS there`);
  if (rows[0]?.there === true) return true;
  await startPostgres({ data: dataOf(from), bin });
  return false;
}

/** What storage does that takes no more writes of its old writer: whatever it has not sent is lost. */
export async function cutWriter(from: RegionSpec): Promise<void> {
  await killPostgres(dataOf(from));
  // Whoever starts it again does not start a writer.
  markReader(from);
}

export async function openWriter(at: RegionSpec): Promise<void> {
  await asAdmin(at, 'SELECT pg_promote(true, 60)');
}

/** Starts a server that was closed cleanly as a reader of the writer. */
export async function rejoin(at: RegionSpec, writer: RegionSpec, bin: string): Promise<void> {
  await asAdmin(
    writer,
    `SELECT pg_create_physical_replication_slot('${slotOf(at.name)}', true)
     WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '${slotOf(at.name)}')`,
  );
  markReader(at);
  const conninfo = `host=127.0.0.1 port=${writer.links.replication} user=rampart password=${LAB_PASSWORDS.rampart} application_name=${nodeName(at.name)}`;
  const lines = [`primary_conninfo = '${conninfo}'`, `primary_slot_name = '${slotOf(at.name)}'`];
  const file = join(dataOf(at), 'postgresql.auto.conf');
  const kept = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => !/^primary_(conninfo|slot_name)\b/.test(line));
  writeFileSync(file, [...kept, ...lines, ''].join('\n'));
  await startPostgres({ data: dataOf(at), bin });
  // It held back the log for a reader that is the writer now.
  await asAdmin(
    at,
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND slot_type = 'physical'",
  );
}

/** A volume of its own, copied from the writer; what the old one held is given up, as by the provider. */
export async function copyAnew(at: RegionSpec, writer: RegionSpec, bin: string): Promise<void> {
  await killPostgres(dataOf(at));
  rmSync(dataOf(at), { recursive: true, force: true });
  await createReplica({
    from: { port: writer.databasePort, bin },
    via: { port: writer.links.replication },
    dir: at.node,
    port: at.databasePort,
    slot: slotOf(at.name),
    name: nodeName(at.name),
  });
}

function markReader(at: RegionSpec): void {
  const file = join(dataOf(at), 'standby.signal');
  appendFileSync(file, '');
  const owner = ownerOf(dataOf(at));
  if (owner) chownSync(file, owner.uid, owner.gid);
}

function asAdmin(at: RegionSpec, sql: string) {
  return withClient(urlOf({ port: at.databasePort }, 'rampart', 'postgres'), (client) => client.query(sql));
}

function field(text: string, name: string): string {
  return new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(text)?.[1] ?? '';
}
