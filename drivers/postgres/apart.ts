/**
 * Whether a node has log of its own, beyond the place where the primary left its timeline. It must be known before the
 * node is started: once the new history has come to it, from the primary or out of an archive, what it applied on its
 * own looks like what it was sent.
 */
import { join } from 'node:path';
import { RampartError } from '../errors.ts';
import type { Position } from '../ports.ts';
import { type Fork, formatLsn } from '../sql/lsn.ts';
import type { Cluster } from './config.ts';
import { greatestTimeline, runTool, toolPath } from './control-data.ts';
import { ownerOf } from './files.ts';
import { asFailure, known, type NodeReading } from './reading.ts';
import type { Primary } from './rejoin.ts';
import { type LocalNode, local } from './server.ts';
import { ancestryOf } from './timeline.ts';
import { twinOf } from './twin.ts';

/** Why the node cannot follow as it is; `null` = nothing speaks against it. */
export async function apartFrom(cluster: Cluster, reading: NodeReading, primary: Primary): Promise<string | null> {
  const { node } = reading;
  for (const { at, isRecordStart } of placesOf(reading)) {
    const { ancestry, fork } = ancestryOf(at, primary, isRecordStart);
    if (ancestry !== 'diverged') continue;
    const left =
      fork === null ? 'which is not in its history' : `which ${primary.node.name} left at ${formatLsn(fork.end)}`;
    return `${node.name} has log of its own: it is at ${at.text} on timeline ${at.timeline}, ${left}`;
  }
  const twin = await twinOf(cluster, reading, primary);
  if (twin !== null) return twin;
  const fork = await forkBehind(cluster, reading, primary);
  if (fork === null) return null;
  return `${node.name} has log of its own: timeline ${fork.timeline} goes on there after ${formatLsn(fork.end)}, where ${primary.node.name} left it`;
}

/** Where the primary left a timeline that goes on in the node's own log; `null` = none is known. */
export async function forkBehind(cluster: Cluster, reading: NodeReading, primary: Primary): Promise<Fork | null> {
  for (const timeline of await ownTimelines(reading)) {
    const fork = primary.forks?.find((each) => each.timeline === timeline);
    if (fork !== undefined && (await goesOn(cluster, local(reading.node), fork))) return fork;
  }
  return null;
}

/** Places the node is known to have been at. The control file has them in every state, and a start fails on them. */
function placesOf({ files, server }: NodeReading): Array<{ at: Position; isRecordStart: boolean }> {
  const control = known(files)?.control ?? null;
  const places = [
    { at: known(server)?.position ?? null, isRecordStart: false },
    { at: control?.minRecovery ?? null, isRecordStart: false },
    { at: control?.checkpoint ?? null, isRecordStart: true },
  ];
  return places.flatMap(({ at, isRecordStart }) => (at === null ? [] : [{ at, isRecordStart }]));
}

/**
 * Timelines whose log the node has applied, or will when it starts, to the end. A replica that runs may hold log that
 * it will never apply; a former primary wrote all of its own.
 */
async function ownTimelines({ node, files, record }: NodeReading): Promise<number[]> {
  const found = known(files);
  if (found === null) return [];
  const fenced = known(record)?.fence?.timeline;
  if (found.postmaster !== null && fenced === undefined) return [];
  const newest = await greatestTimeline(local(node).dataDir, found.control);
  return fenced === undefined || fenced === newest ? [newest] : [fenced, newest];
}

/** Whether the node's log has a record at the place or after it. Without the tool this is not known here. */
async function goesOn(cluster: Cluster, node: LocalNode, { timeline, end }: Fork): Promise<boolean> {
  const program = await toolPath(node.dataDir, node.bin, 'pg_waldump').catch(asFailure);
  if (program instanceof RampartError) return false;
  const range = ['-p', join(node.dataDir, 'pg_wal'), '-t', String(timeline), '-s', formatLsn(end), '-n', '1'];
  const options = { owner: await ownerOf(node.dataDir), signal: cluster.context.signal };
  const dumped = await runTool(program, range, options).catch(asFailure);
  return !(dumped instanceof RampartError) && dumped.output.includes('rmgr: ');
}
