/** From what the data of an earlier moment could be had again, as far as the servers themselves know it. */
import { RampartError } from '../errors.ts';
import type { At, RecoveryFact } from '../ports.ts';
import { query } from '../sql/session.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { asFailure } from './reading.ts';
import { readReplay } from './replay.ts';

interface ArchiveRow {
  recovering: boolean;
  mode: string;
  /** Whether there is a command or library; `null` when the role may not see it. Their text may hold credentials. */
  how: 'command' | 'library' | 'nothing' | null;
  last_segment: string | null;
  last_at: number | null;
  failures: string;
  failed_segment: string | null;
  failed_at: number | null;
}

const ARCHIVE = `
SELECT pg_is_in_recovery() AS recovering, current_setting('archive_mode') AS mode,
  (SELECT CASE WHEN bool_or(name = 'archive_library' AND setting <> '') THEN 'library'
      WHEN bool_or(name = 'archive_command' AND setting NOT IN ('', '(disabled)')) THEN 'command'
      WHEN count(*) = 2 THEN 'nothing' END
    FROM pg_settings WHERE name IN ('archive_command', 'archive_library')) AS how,
  last_archived_wal AS last_segment, (extract(epoch FROM last_archived_time) * 1000)::float8 AS last_at,
  failed_count::text AS failures, last_failed_wal AS failed_segment,
  (extract(epoch FROM last_failed_time) * 1000)::float8 AS failed_at
FROM pg_stat_archiver`;

/** A server does not know what was copied from it. */
const BACKUPS: RecoveryFact = {
  ...{ kind: 'backup', node: null, region: null, reaches: null },
  text: 'Base backups are not visible from the servers: the backup tool knows them (pgbackrest info, barman list-backups, wal-g backup-list)',
};

/** Reads every node of the side; one that cannot be read is a fact of its own. */
export async function recoveryPoints(cluster: Cluster, at: At): Promise<RecoveryFact[]> {
  const nodes = nodesAt(cluster, at);
  const [archives, replicas] = await Promise.all([
    Promise.all(nodes.map((node) => archiveOf(cluster, node))),
    replicasOf(cluster, at),
  ]);
  return [...replicas, ...archives.flat(), BACKUPS];
}

async function replicasOf(cluster: Cluster, at: At): Promise<RecoveryFact[]> {
  return (await readReplay(cluster, at))
    .filter(({ state }) => state !== 'none' && state !== 'unknown')
    .map(({ node, region, state, applied, received, lastCommitAt }) => {
      const until = `to ${applied?.text ?? 'an unknown position'}${lastCommitAt === null ? '' : `, last commit ${iso(lastCommitAt)}`}`;
      const more =
        received === null ? '' : `; it has received up to ${received.text}, and a promotion applies all of that`;
      const text =
        state === 'paused'
          ? `${node} is paused and has applied ${until}${more}. If that is before the corruption, its tables can be read and copied as they were`
          : `${node} goes on applying, ${until}${more}`;
      return { kind: 'replica', node, region, reaches: lastCommitAt, text };
    });
}

async function archiveOf(cluster: Cluster, node: PgNode): Promise<RecoveryFact[]> {
  const { name, region } = node;
  const rows = await query<ArchiveRow>(cluster, node, ARCHIVE).catch(asFailure);
  if (rows instanceof RampartError)
    return [
      { kind: 'archive', node: name, region, reaches: null, text: `${name} could not be asked: ${rows.message}` },
    ];
  const row = rows[0]!;
  // A replica archives only with `always`; what it says otherwise is of the time when it was a primary.
  if (row.recovering && row.mode !== 'always') return [];
  return [
    {
      kind: 'archive',
      node: name,
      region,
      reaches: row.last_at === null ? null : Math.round(row.last_at),
      text: archiveText(name, row),
    },
  ];
}

function archiveText(name: string, row: ArchiveRow): string {
  if (row.mode === 'off')
    return `${name} archives no WAL (archive_mode = off): a restore reaches no further than a base backup itself`;
  if (row.how === 'nothing')
    return `${name} has archive_mode = ${row.mode} and neither archive_command nor archive_library: nothing is archived`;
  const by = row.how === null ? "a way that Rampart's role may not see" : `archive_${row.how}`;
  const last =
    row.last_segment === null
      ? 'has archived no segment since its statistics were reset'
      : `last archived ${row.last_segment}${row.last_at === null ? '' : ` at ${iso(row.last_at)}`}`;
  const failed =
    row.failed_at === null
      ? ''
      : `; ${row.failures} failures, the last one ${row.failed_segment ?? ''} at ${iso(row.failed_at)}`;
  return `${name} archives its WAL (archive_mode = ${row.mode}, by ${by}): ${last}${failed}. With a base backup from before the corruption, recovery_target_time or recovery_target_lsn stops a restore short of it`;
}

const iso = (at: number): string => new Date(at).toISOString();
