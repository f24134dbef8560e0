/** The end of a log, for a server that somebody has started again before its control file could be read. */
import { join } from 'node:path';
import { RampartError } from '../errors.ts';
import type { Position } from '../ports.ts';
import type { Cluster } from './config.ts';
import { runTool, toolPath } from './control-data.ts';
import { ownerOf } from './files.ts';
import { asFailure, type NodeFiles } from './reading.ts';
import type { LocalNode } from './server.ts';

/**
 * The latest checkpoint, if it is that of a shutdown and the last record of the log: then nothing was acknowledged after
 * it, whatever has been done to the server since. `null` = it is not, or the log cannot be read.
 */
export async function shutdownCheckpoint(
  cluster: Cluster,
  node: LocalNode,
  { control }: NodeFiles,
): Promise<Position | null> {
  const { checkpoint, timeline } = control;
  const range = ['-p', join(node.dataDir, 'pg_wal'), '-t', String(timeline), '-s', checkpoint.text, '-n', '2'];
  const program = await toolPath(node.dataDir, node.bin, 'pg_waldump').catch(asFailure);
  if (program instanceof RampartError) return null;
  const options = { owner: await ownerOf(node.dataDir), signal: cluster.context.signal };
  const dumped = await runTool(program, range, options).catch(asFailure);
  if (dumped instanceof RampartError) return null;
  const records = dumped.output.split('\n').filter((line) => line.startsWith('rmgr: '));
  const isLast = records.length === 1 && records[0]!.includes('CHECKPOINT_SHUTDOWN');
  return isLast ? checkpoint : null;
}
