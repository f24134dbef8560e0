/**
 * Two timelines of one number. A server that is promoted takes the next number that it knows of; two that do not know of
 * each other's promotion take the same one, and nothing but the place where each began tells the two histories apart.
 */
import { join } from 'node:path';
import { type Fork, formatLsn, parseHistory } from '../sql/lsn.ts';
import type { Cluster } from './config.ts';
import { greatestTimeline } from './control-data.ts';
import { readIfThere } from './files.ts';
import { known, type NodeReading } from './reading.ts';
import type { Primary } from './rejoin.ts';
import { local } from './server.ts';
import { historyFile, readHistory } from './timeline.ts';

/** Why the node's timeline is not the primary's of that number; `null` = it is, or nothing tells. */
export async function twinOf(cluster: Cluster, reading: NodeReading, primary: Primary): Promise<string | null> {
  const own = await ownForks(cluster, reading);
  if (own === null) return null;
  // From its file alone: where a server without that right says that it was promoted is not exact enough for this.
  const history = await readHistory(cluster, primary.node, primary.timeline);
  for (const fork of own.forks) {
    const theirs = history?.find((each) => each.timeline === fork.timeline);
    if (theirs === undefined || theirs.end === fork.end) continue;
    const [mine, other] = [formatLsn(fork.end), formatLsn(theirs.end)];
    return `${reading.node.name} has log of its own: it left timeline ${fork.timeline} at ${mine} for another timeline ${own.timeline} than that of ${primary.node.name}, which left it at ${other}`;
  }
  return null;
}

/** The ancestors of the timeline that the node itself is on. */
async function ownForks(
  cluster: Cluster,
  { node, files, server }: NodeReading,
): Promise<{ timeline: number; forks: Fork[] } | null> {
  const [found, status] = [known(files), known(server)];
  const timeline =
    status?.timeline ?? (found === null ? null : await greatestTimeline(local(node).dataDir, found.control));
  if (timeline === null || timeline === 1) return null;
  if (found === null) {
    const forks = await readHistory(cluster, node, timeline);
    return forks === null ? null : { timeline, forks };
  }
  // One that is there and cannot be read tells nothing: that is no reason to take the node for a follower.
  const text = await readIfThere(join(local(node).dataDir, historyFile(timeline)));
  return text === null ? null : { timeline, forks: parseHistory(text) };
}
