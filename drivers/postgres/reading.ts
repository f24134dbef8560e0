/** Everything that can be learnt of one node from here: its files, its record and the server's own word. */
import { RampartError } from '../errors.ts';
import type { QueryOptions } from '../sql/session.ts';
import { readStatus, type ServerStatus } from '../sql/status.ts';
import type { Cluster, PgNode } from './config.ts';
import { type ControlData, readControlData, runTool } from './control-data.ts';
import { type NodeRecord, readRecord } from './record.ts';
import { commandOf, hasSignal, type LocalNode, local, type Postmaster, postmasterOf, processesOf } from './server.ts';

export interface NodeFiles {
  postmaster: Postmaster | null;
  control: ControlData;
  /** `standby.signal` is there. */
  signal: boolean;
  /** Processes that outlived their postmaster and may still commit. */
  orphans: number;
}

export interface NodeReading {
  node: PgNode;
  /** `null` = not beside this worker. */
  files: NodeFiles | RampartError | null;
  record: NodeRecord | RampartError | null;
  server: ServerStatus | RampartError;
  /** What the node's own status command says; `null` = it has none, or its files tell. */
  command: 'running' | 'stopped' | 'unknown' | null;
}

/** Never throws for a node that cannot be read. */
export async function readNode(cluster: Cluster, node: PgNode, options: QueryOptions = {}): Promise<NodeReading> {
  const [files, record, server, command] = await Promise.all([
    readFiles(cluster, node).catch(asFailure),
    readRecord(cluster, node).catch(asFailure),
    readStatus(cluster, node, options).catch(asFailure),
    askCommand(cluster, node),
  ]);
  return { node, files, record, server, command };
}

/** Exit codes as of init scripts: 0 = running, 3 = stopped. */
async function askCommand(cluster: Cluster, node: PgNode): Promise<NodeReading['command']> {
  const argv = node.control.status;
  if (argv === undefined || !node.here || node.dataDir !== null) return null;
  const { code } = await runTool(...commandOf(node, argv), { signal: cluster.context.signal });
  return code === 0 ? 'running' : code === 3 ? 'stopped' : 'unknown';
}

export async function readFiles(cluster: Cluster, node: PgNode): Promise<NodeFiles | null> {
  if (!node.here || node.dataDir === null) return null;
  const here = local(node);
  // The pid file first: what the control file says of a server that was gone by then is final.
  const postmaster = await postmasterOf(here.dataDir);
  const [control, signal] = await Promise.all([
    readControlData(here.dataDir, here.bin, cluster.context.signal),
    hasSignal(here),
  ]);
  return { postmaster, control, signal, orphans: await orphansOf(here, postmaster, control.state) };
}

/** A clean shutdown is written after the last backend ended; otherwise some may have been left behind. */
async function orphansOf(node: LocalNode, postmaster: Postmaster | null, state: string): Promise<number> {
  if (postmaster !== null || state === 'shut down' || state === 'shut down in recovery') return 0;
  return ((await processesOf(node.dataDir)) ?? []).length;
}

/** The error itself where a failure is an answer; anything unexpected is thrown on. */
export function asFailure(error: unknown): RampartError {
  if (error instanceof RampartError) return error;
  throw error;
}

/** The value, or `null` where reading it failed or was not possible. */
export function known<T>(value: T | RampartError | null): T | null {
  return value instanceof RampartError ? null : value;
}

/** Like `Promise.all`, but nothing is left running when it throws: the first failure comes after the last has ended. */
export async function allOf<T>(running: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(running);
  return Promise.all(running);
}
