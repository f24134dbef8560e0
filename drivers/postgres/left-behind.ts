/**
 * What a former primary holds that never reached the new one: read from its log, beyond the place where the timelines
 * parted, before anything rewinds it. Reads only, works on a stopped server as on a running one, and knows nothing of
 * the team's schema but its names.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { At, LeftBehind, LeftBehindReceipt } from '../ports.ts';
import { formatLsn, positionAt } from '../sql/lsn.ts';
import { query } from '../sql/session.ts';
import { forkBehind } from './apart.ts';
import { addressOf, type Cluster, nodesAt, type PgNode } from './config.ts';
import { endGroup, greatestTimeline, toolPath } from './control-data.ts';
import { ownerOf } from './files.ts';
import { asFailure, known, readNode } from './reading.ts';
import { type Primary, primaryOf } from './rejoin.ts';
import { type LocalNode, local } from './server.ts';
import { twinOf } from './twin.ts';
import { type Changed, OTHERS, type RelationKey, WalSummary } from './wal-summary.ts';

/** Log that is read at most, in bytes: more than that is said to be more. */
const MOST_BYTES = 256n * 1024n * 1024n;
/** Tables that are listed one by one; the record of a run must stay small. */
const MOST_TABLES = 20;

/** @returns one listing per node of the side, the primary left out */
export async function leftBehind(cluster: Cluster, at: At, region: RegionName): Promise<LeftBehindReceipt> {
  const primary = await primaryOf(cluster, region);
  const nodes = nodesAt(cluster, at).filter((node) => node !== primary.node);
  const found: LeftBehind[] = [];
  for (const node of nodes) found.push(await ofNode(cluster, node, primary));
  return {
    already: true,
    at: cluster.context.now(),
    summary: found.map(sentence).join('; ') || `${at.region} has no node but the primary`,
    facts: { leftBehind: JSON.parse(JSON.stringify(found)) },
  };
}

function sentence(found: LeftBehind): string {
  const { node, kind, transactions, otherCommits, bytes, firstCommit, lastCommit, note, tables } = found;
  if (kind === 'unreadable') return `${node}: what it holds alone is not known: ${note}`;
  if (kind === 'none') return `${node}: nothing was committed there that did not arrive`;
  const more = found.complete ? '' : 'at least ';
  const which = tables.map((t) => `${t.table} (${t.inserted} inserted, ${t.updated} updated, ${t.deleted} deleted)`);
  const others = otherCommits > 0 ? `, and ${otherCommits} commits without rows of a table` : '';
  return `${node}: ${more}${transactions} transactions did not arrive${others} (${bytes} bytes of log, committed ${firstCommit} to ${lastCommit})${which.length > 0 ? `: ${which.join(', ')}` : ''}`;
}

async function ofNode(cluster: Cluster, node: PgNode, primary: Primary): Promise<LeftBehind> {
  const blank: LeftBehind = {
    ...{ node: node.name, region: node.region, kind: 'unreadable', from: null, to: null, bytes: null },
    ...{ transactions: null, otherCommits: 0, firstCommit: null, lastCommit: null, tables: [], moreTables: 0 },
    ...{ complete: false, note: '' },
  };
  const unreadable = (note: string): LeftBehind => ({ ...blank, note });
  const reading = await readNode(cluster, node);
  if (reading.files instanceof RampartError) return unreadable(reading.files.message);
  if (reading.files === null) return unreadable('its data directory is not beside a worker');
  const { control } = reading.files;
  if (control.systemId !== primary.status.systemId) return unreadable(`it is another database (${control.systemId})`);
  const twin = await twinOf(cluster, reading, primary);
  if (twin !== null) return unreadable(twin);
  // The newest of its timelines may be one that came to it, after it had gone on with its own.
  const timeline =
    (await forkBehind(cluster, reading, primary))?.timeline ??
    Math.max(await greatestTimeline(local(node).dataDir, control), known(reading.server)?.timeline ?? 0);
  if (timeline === primary.timeline) return { ...blank, kind: 'none', transactions: 0, complete: true };
  if (primary.forks === null)
    return unreadable(`${primary.node.name} does not tell where it left timeline ${timeline}`);
  const fork = primary.forks.find((each) => each.timeline === timeline);
  if (fork === undefined) return unreadable(`timeline ${timeline} is not in the history of ${primary.node.name}`);
  const summary = new WalSummary(await ownRelations(cluster, primary));
  const problem = await readLog(cluster, local(node), timeline, fork.end, summary);
  if (problem !== null) return unreadable(problem);
  const complete = summary.last === null || summary.last - fork.end < MOST_BYTES;
  const tables = await named(cluster, primary, summary.tables);
  const committed = summary.transactions + summary.otherCommits;
  return {
    ...blank,
    kind: committed === 0 ? 'none' : 'listed',
    from: positionAt(formatLsn(fork.end), timeline),
    to: summary.last === null ? null : positionAt(formatLsn(summary.last), timeline),
    bytes: summary.last === null ? 0 : Number(summary.last - fork.end),
    transactions: summary.transactions,
    otherCommits: summary.otherCommits,
    firstCommit: summary.firstCommit,
    lastCommit: summary.lastCommit,
    tables: tables.slice(0, MOST_TABLES),
    moreTables: Math.max(0, tables.length - MOST_TABLES),
    complete,
    note: [
      `The rows stay on ${node.name} (${addressOf(node)}), which serves reads until it is rebuilt; then they are in the directory that is kept aside.`,
      ...(complete ? [] : [`Only the first ${MOST_BYTES / 1024n / 1024n} MiB of the log were read.`]),
    ].join(' '),
  };
}

/**
 * Reads the log from `start` to its end, or to the most that is read.
 * @returns why it could not be read from there, `null` when it could
 */
async function readLog(
  cluster: Cluster,
  node: LocalNode,
  timeline: number,
  start: bigint,
  summary: WalSummary,
): Promise<string | null> {
  const { context } = cluster;
  const program = await toolPath(node.dataDir, node.bin, 'pg_waldump');
  const range = ['-s', formatLsn(start), '-e', formatLsn(start + MOST_BYTES)];
  const child = spawn(program, ['-p', join(node.dataDir, 'pg_wal'), '-t', String(timeline), ...range], {
    ...(await ownerOf(node.dataDir)),
    cwd: '/',
    env: { PATH: process.env.PATH, LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH, LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const abort = () => endGroup(child.pid);
  context.signal.addEventListener('abort', abort, { once: true });
  const beat = setInterval(() => {
    const at = summary.last === null ? null : formatLsn(summary.last);
    context.heartbeat({ node: node.name, doing: 'reading its log', at });
  }, 1_000);
  try {
    let said = '';
    child.stderr.on('data', (chunk) => {
      said = `${said}${chunk}`.slice(-2_000);
    });
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once('close', resolve);
      child.once('error', (error) => {
        const remedy = `pg_waldump comes with PostgreSQL's server package; see that it is beside the other tools.`;
        reject(new RampartError('PreconditionFailed', `${program} did not start: ${error.message}`, { remedy }));
      });
    });
    for await (const line of createInterface({ input: child.stdout })) summary.take(line);
    const code = await ended;
    context.signal.throwIfAborted();
    // It ends with an error at the end of every log that was cut off; whether it began is what matters.
    if (code === 0 || summary.last !== null || /could not find a valid record after/.test(said)) return null;
    return said.trim().replace(/^pg_waldump: (error: )?/, '') || `pg_waldump ended with ${code}`;
  } finally {
    clearInterval(beat);
    context.signal.removeEventListener('abort', abort);
  }
}

/** Rampart's own tables: what a run noted there is not missed by anybody. */
async function ownRelations(cluster: Cluster, primary: Primary): Promise<Set<RelationKey>> {
  const { database, controlDatabase } = cluster.config;
  const found = await Promise.all(
    [...new Set([database, controlDatabase])].map((name) =>
      query<{ key: string }>(
        cluster,
        primary.node,
        `SELECT coalesce(nullif(c.reltablespace, 0), d.dattablespace) || '/' || d.oid || '/' || pg_relation_filenode(c.oid) AS key
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_database d ON d.datname = current_database()
         WHERE n.nspname = 'rampart' AND c.relkind = 'r'`,
        [],
        { database: name },
      ).catch(asFailure),
    ),
  );
  return new Set(found.flatMap((rows) => (rows instanceof RampartError ? [] : rows.map((row) => row.key))));
}

/**
 * The relations by their names on the new primary, which shares the catalogue up to the fork; most changed first. One
 * that it does not know was made, rewritten or emptied on one of the sides since.
 */
async function named(
  cluster: Cluster,
  primary: Primary,
  changed: ReadonlyMap<RelationKey, Changed>,
): Promise<LeftBehind['tables']> {
  const byDatabase = new Map<number, RelationKey[]>();
  for (const key of changed.keys()) {
    if (key === OTHERS) continue;
    const oid = Number(key.split('/')[1]);
    byDatabase.set(oid, [...(byDatabase.get(oid) ?? []), key]);
  }
  const databases = await query<{ oid: number; name: string }>(
    cluster,
    primary.node,
    'SELECT oid::int8::float8 AS oid, datname::text AS name FROM pg_database',
  );
  const tables: LeftBehind['tables'] = [];
  for (const [oid, keys] of byDatabase) {
    const database = databases.find((each) => each.oid === oid)?.name ?? null;
    const names = database === null ? new Map() : await namesIn(cluster, primary, database, keys);
    for (const key of keys) {
      const name = names.get(key);
      // Values too long for their row: the row itself is counted.
      if (name?.startsWith('pg_toast.') || name?.startsWith('pg_catalog.')) continue;
      const { firstXid, lastXid, ...counts } = changed.get(key)!;
      tables.push({
        database: database ?? String(oid),
        table: name ?? `relation ${key}`,
        ...counts,
        // Rows that were deleted have no version that could be selected.
        select:
          name === undefined || counts.inserted + counts.updated === 0
            ? null
            : `SELECT * FROM ${name} WHERE xmin::text::bigint BETWEEN ${firstXid} AND ${lastXid}`,
      });
    }
  }
  const others = changed.get(OTHERS);
  if (others !== undefined) {
    const { inserted, updated, deleted } = others;
    tables.push({ database: '', table: 'further tables', inserted, updated, deleted, select: null });
  }
  const rows = (t: LeftBehind['tables'][number]): number => t.inserted + t.updated + t.deleted;
  return tables.sort((a, b) => rows(b) - rows(a));
}

async function namesIn(
  cluster: Cluster,
  primary: Primary,
  database: string,
  keys: RelationKey[],
): Promise<Map<RelationKey, string>> {
  const parts = keys.map((key) => key.split('/'));
  const rows = await query<{ key: string; name: string }>(
    cluster,
    primary.node,
    `SELECT r.key, format('%I.%I', n.nspname, c.relname) AS name
     FROM unnest($1::text[], $2::oid[], $3::oid[]) AS r(key, space, node)
     JOIN pg_class c ON c.oid = pg_filenode_relation(r.space, r.node) JOIN pg_namespace n ON n.oid = c.relnamespace`,
    [keys, parts.map((part) => part[0]), parts.map((part) => part[2])],
    { database },
  ).catch(asFailure);
  return new Map(rows instanceof RampartError ? [] : rows.map((row) => [row.key, row.name]));
}
