/**
 * What each node remembers of the runs that touch it, outside Temporal: the claim, the fence, a begun promotion and
 * the journal. It lives beside the data directory (`<dataDir>.rampart/`), where a lock keeps two workers apart and
 * a file replaced whole survives any crash; for a server reached by SQL only, in the table `rampart.control` of the
 * control database while it is writable, and in the worker's state directory while it is not.
 */
import { join } from 'node:path';
import { RampartError } from '../errors.ts';
import { withLock } from '../lock.ts';
import { poll } from '../poll.ts';
import type { Claim, Journal, Json, Millis, Position } from '../ports.ts';
import { query, type Session, withSession } from '../sql/session.ts';
import { ensureTables } from '../sql/tables.ts';
import type { Cluster, PgNode } from './config.ts';
import { makeFolder, readIfThere, writeDurably } from './files.ts';
import { local, stateDirOf } from './server.ts';

/** A fence that was put up here; gone again with `unfence` and `rejoin`. */
export interface FenceRecord {
  epoch: number;
  runId: string;
  at: Millis;
  how: 'stop' | 'command' | 'sql';
  systemId: string;
  timeline: number;
  /** stop: the shutdown checkpoint. sql: end of the log after the last session. `null` = not known. */
  final: Position | null;
  /** sql: databases that were closed and are to be opened again. */
  databases: string[];
  /** Whether it stopped a server that could write: a retry whose first answer was lost finds it stopped. */
  stopped?: boolean;
}

/** Written before the promotion is asked for, so that it can be known whether one may have begun. */
export interface PromoteIntent {
  epoch: number;
  runId: string;
  seq: number;
  at: Millis;
  /** Timeline before it. */
  timeline: number;
}

export interface NodeRecord {
  claim: Claim | null;
  fence: FenceRecord | null;
  promote: PromoteIntent | null;
  journal: Journal | null;
}

export interface Held {
  record: NodeRecord;
  /** Replaces the parts given; on disk when it returns. */
  save(change: Partial<NodeRecord>): Promise<void>;
}

const EMPTY: NodeRecord = { claim: null, fence: null, promote: null, journal: null };
/** How long another worker may keep the record, in milliseconds. Sections are short; a start or stop is only asked for. */
const LOCK_WAIT_MS = 15_000;

/** The node's record, or `null` when it cannot be read from here. Takes no lock: files are replaced whole. */
export async function readRecord(cluster: Cluster, node: PgNode): Promise<NodeRecord | null> {
  if (node.dataDir !== null) return node.here ? readFiles(stateDirOf(local(node))) : null;
  if (node.fence === 'command') return node.here ? readFiles(placeDirOf(cluster, node)) : null;
  const [table, files] = await Promise.all([
    readTable(cluster, node).catch((error: unknown) => {
      if (error instanceof RampartError) return null;
      throw error;
    }),
    readFiles(placeDirOf(cluster, node)),
  ]);
  return table === null ? files : newer(table, files);
}

/** Runs `work` while nobody else can change the node's record. */
export async function withRecord<T>(cluster: Cluster, node: PgNode, work: (held: Held) => Promise<T>): Promise<T> {
  if (node.dataDir !== null) return withFiles(cluster, stateDirOf(local(node)), work);
  // A node that is fenced by command may be gone; what is known of it stays with the worker that runs the command.
  if (node.fence === 'command') return withFiles(cluster, placeDirOf(cluster, node), work);
  const writable = await query(cluster, node, 'SELECT NOT pg_is_in_recovery() AS writable');
  if (writable[0]!.writable === true) return withTable(cluster, node, work);
  return withFiles(cluster, placeDirOf(cluster, node), async (held) => {
    // The primary's table is replicated here: a newer claim in it counts as well.
    const table = await readTable(cluster, node);
    return work({ ...held, record: newer(held.record, table) });
  });
}

const placeDirOf = (cluster: Cluster, node: PgNode): string =>
  join(cluster.context.stateDir, 'postgres', encodeURIComponent(cluster.component), encodeURIComponent(node.name));

function newer(a: NodeRecord, b: NodeRecord): NodeRecord {
  return (b.claim?.epoch ?? 0) > (a.claim?.epoch ?? 0) ? b : a;
}

async function readFiles(folder: string): Promise<NodeRecord> {
  const [claim, journal] = await Promise.all([
    readIfThere(join(folder, 'claim.json')),
    readIfThere(join(folder, 'journal.json')),
  ]);
  return {
    ...EMPTY,
    ...(claim === null ? {} : parse<Partial<NodeRecord>>(claim, folder)),
    journal: journal === null ? null : parse<Journal>(journal, folder),
  };
}

function parse<T>(text: string, folder: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new RampartError(
      'PreconditionFailed',
      `${folder} holds a file that Rampart did not write: ${(error as Error).message}`,
      {
        remedy: `Look at claim.json and journal.json in ${folder}; they are replaced whole, so somebody edited them.`,
      },
    );
  }
}

function withFiles<T>(cluster: Cluster, folder: string, work: (held: Held) => Promise<T>): Promise<T> {
  const { signal } = cluster.context;
  return makeFolder(folder).then(() =>
    withLock(join(folder, 'lock'), { signal, waitMs: LOCK_WAIT_MS }, async () => {
      const held: Held = {
        record: await readFiles(folder),
        save: async (change) => {
          const { journal, ...rest } = { ...held.record, ...change };
          const writes: Promise<void>[] = [];
          if (change.journal !== undefined) writes.push(writeDurably(join(folder, 'journal.json'), text(journal)));
          if (Object.keys(change).some((key) => key !== 'journal')) {
            writes.push(writeDurably(join(folder, 'claim.json'), text(rest)));
          }
          await Promise.all(writes);
          held.record = { ...rest, journal };
        },
      };
      return work(held);
    }),
  );
}

const text = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Creates the tables that Rampart keeps for itself, where they are missing. The server must be writable. */
export function ensureControlTables(cluster: Cluster, node: PgNode): Promise<void> {
  return ensureTables(cluster, node, cluster.config.controlDatabase, {
    control: 'component text PRIMARY KEY, record jsonb NOT NULL',
    suspended:
      'name text PRIMARY KEY, value text NOT NULL, run_id text NOT NULL, at timestamptz NOT NULL DEFAULT now()',
  });
}

async function readTable(cluster: Cluster, node: PgNode): Promise<NodeRecord> {
  return withSession(cluster, node, {}, (session) => selectRecord(cluster, session));
}

async function selectRecord(cluster: Cluster, session: Session): Promise<NodeRecord> {
  const [there] = await session.query(`SELECT to_regclass('rampart.control') IS NOT NULL AS there`);
  if (there!.there !== true) return EMPTY;
  const rows = await session.query('SELECT record FROM rampart.control WHERE component = $1', [cluster.component]);
  return { ...EMPTY, ...(rows[0]?.record as Partial<NodeRecord> | undefined) };
}

async function withTable<T>(cluster: Cluster, node: PgNode, work: (held: Held) => Promise<T>): Promise<T> {
  await ensureControlTables(cluster, node);
  const { signal } = cluster.context;
  const key = `rampart/${cluster.component}`;
  return withSession(cluster, node, {}, async (session) => {
    // A lock of the session, not of a transaction: what is saved must be committed at once, and death frees it.
    const locked = await poll({ signal, deadlineMs: LOCK_WAIT_MS, intervalMs: 5 }, async () => {
      const rows = await session.query('SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS got', [key]);
      return rows[0]!.got === true ? true : undefined;
    });
    if (locked === undefined) {
      throw new RampartError('Conflict', `another worker is at work on ${node.name}`, {
        remedy: 'Wait for it to end, then retry.',
      });
    }
    try {
      // A lost synchronous replica must not hold up the bookkeeping of the run that deals with it.
      await session.query(`SELECT set_config('synchronous_commit', 'local', false)`);
      const held: Held = {
        record: await selectRecord(cluster, session),
        save: async (change) => {
          held.record = { ...held.record, ...change };
          await session.query(
            `INSERT INTO rampart.control (component, record) VALUES ($1, $2)
             ON CONFLICT (component) DO UPDATE SET record = excluded.record`,
            [cluster.component, JSON.stringify(held.record)],
          );
        },
      };
      return await work(held);
    } finally {
      await session.query('SELECT pg_advisory_unlock(hashtextextended($1, 0))', [key]).catch(() => []);
      await session.query('RESET synchronous_commit').catch(() => []);
    }
  });
}

/** A record as plain JSON facts, for receipts. */
export function factsOf(record: NodeRecord): Record<string, Json> {
  return JSON.parse(JSON.stringify({ claim: record.claim, fence: record.fence, promote: record.promote })) as Record<
    string,
    Json
  >;
}
