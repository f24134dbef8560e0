/** Where timelines part, and whether a node has gone beyond that point on its own. */

import { RampartError } from '../errors.ts';
import type { Position } from '../ports.ts';
import { type Fork, parseHistory } from '../sql/lsn.ts';
import { query } from '../sql/session.ts';
import type { Cluster, PgNode } from './config.ts';
import { asFailure } from './reading.ts';

/** Below the data directory. */
export const historyFile = (timeline: number): string =>
  `pg_wal/${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`;

/** The ancestors of a timeline as a server's own file has them, oldest first; `null` when it cannot be read. */
export async function readHistory(cluster: Cluster, node: PgNode, timeline: number): Promise<Fork[] | null> {
  if (timeline === 1) return [];
  const rows = await query<{ text: string }>(cluster, node, 'SELECT pg_read_file($1) AS text', [
    historyFile(timeline),
  ]).catch(asFailure);
  return rows instanceof RampartError ? null : parseHistory(rows[0]!.text);
}

/** A primary's ancestors, oldest first; `null` when they cannot be read. */
export async function forksOf(cluster: Cluster, primary: PgNode, timeline: number): Promise<Fork[] | null> {
  if (timeline === 1) return [];
  const told = await readHistory(cluster, primary, timeline);
  if (told !== null) return told;
  // Without the right to read files: since its promotion, if it was not restarted, the server still knows its own.
  const [row] = await query<{ applied: string | null }>(
    cluster,
    primary,
    'SELECT pg_last_wal_replay_lsn()::text AS applied',
  );
  return row!.applied === null ? null : parseHistory(`${timeline - 1}\t${row!.applied}\tpromotion`);
}

export type Ancestry = 'ancestor' | 'diverged' | 'unknown';

/**
 * Whether a position belongs to the history of a primary.
 * @param at the greatest position of the node, on the node's timeline
 * @param isRecordStart the position is the start of the node's last record, not its end
 */
export function ancestryOf(
  at: Position,
  primary: { timeline: number; forks: Fork[] | null },
  isRecordStart: boolean,
): { ancestry: Ancestry; fork: Fork | null } {
  if (at.timeline === primary.timeline) return { ancestry: 'ancestor', fork: null };
  if (at.timeline > primary.timeline) return { ancestry: 'diverged', fork: null };
  if (primary.forks === null) return { ancestry: 'unknown', fork: null };
  const fork = primary.forks.find((each) => each.timeline === at.timeline) ?? null;
  // The primary may only know its newest fork: then an older timeline is not known to be foreign.
  if (fork === null) return { ancestry: primary.forks.length < primary.timeline - 1 ? 'unknown' : 'diverged', fork };
  const order = BigInt(at.order);
  const within = isRecordStart ? order < fork.end : order <= fork.end;
  return { ancestry: within ? 'ancestor' : 'diverged', fork };
}
