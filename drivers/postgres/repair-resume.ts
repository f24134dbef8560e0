/**
 * A repair that its run has left unfinished. The record is all that its run has left, and the node may have lived on
 * since: been brought back by people, promoted, lost rows of its own again. Then neither the phase nor the copy kept
 * aside is about the directory that is there now, and to go on would delete what only that one holds.
 */
import { join } from 'node:path';
import { greatestTimeline, readControlData } from './control-data.ts';
import { exists } from './files.ts';
import { chooseKeptDir, newDirOf, type Phase, type Repair, readRepair, saveRepair } from './repair-state.ts';
import type { LocalNode } from './server.ts';

/** What is there now. Pure facts, so that the judgement can be tested without a server. */
export interface Found {
  /** The data directory; between the two renames of a swap there is none. */
  data: boolean;
  kept: boolean;
  /** A base backup beside it. */
  fresh: boolean;
  /** Made by pg_rewind or pg_basebackup and never started since: the first start takes its `backup_label` away. */
  unstarted: boolean;
  /**
   * Still at the checkpoint of the kept copy: pg_rewind writes the control file last, and a server that becomes
   * writable after a recovery writes a checkpoint before it takes sessions.
   */
  sameCheckpoint: boolean;
  /** No log of another timeline than the copy has. */
  sameTimeline: boolean;
}

/** @returns the phase to go on with; `null` = the record is not about what is there */
export function phaseLeft(phase: Phase, found: Found): Phase | null {
  const { data, kept, fresh, unstarted, sameCheckpoint, sameTimeline } = found;
  // Only a swap takes the directory away.
  if (!data) return phase === 'swap' ? phase : null;
  const spoiled = unstarted || sameCheckpoint;
  switch (phase) {
    case 'keep':
      return !kept || (sameCheckpoint && sameTimeline) ? phase : null;
    case 'recover':
      return kept && sameCheckpoint && sameTimeline ? phase : null;
    // Without a copy the directory is the old one, and is kept by its new name.
    case 'rewind':
    case 'backup':
      return !kept || spoiled ? 'backup' : null;
    case 'swap':
      // What lies beside it may be months old: a new one is taken.
      if (fresh) return !kept || spoiled ? 'backup' : null;
      return kept && unstarted ? phase : null;
    case 'configure':
    case 'start':
      return kept && unstarted ? phase : null;
    case 'done':
      return null;
  }
}

async function findOut(node: LocalNode, repair: Repair, signal: AbortSignal): Promise<Found> {
  const [data, kept, fresh, unstarted] = await Promise.all(
    [node.dataDir, repair.kept, newDirOf(node), join(node.dataDir, 'backup_label')].map(exists),
  );
  const found = { data: data!, kept: kept!, fresh: fresh!, unstarted: unstarted! };
  if (!found.data || !found.kept) return { ...found, sameCheckpoint: false, sameTimeline: false };
  const [now, then] = await Promise.all(
    [node.dataDir, repair.kept].map(async (folder) => {
      const control = await readControlData(folder, node.bin, signal);
      return { ...control, newest: await greatestTimeline(folder, control) };
    }),
  );
  // From a clean stop a server becomes writable without a checkpoint.
  const couldWrite = then!.state === 'shut down' && now!.state !== then!.state;
  const sameCheckpoint =
    now!.checkpoint.order === then!.checkpoint.order && now!.timeline === then!.timeline && !couldWrite;
  return { ...found, sameCheckpoint, sameTimeline: now!.newest === then!.newest };
}

/** The unfinished repair of this node that is about what is there now, with the phase to go on with; `null` = none. */
export async function unfinished(node: LocalNode, signal: AbortSignal): Promise<Repair | null> {
  const repair = await readRepair(node);
  if (repair === null || repair.phase === 'done') return null;
  const phase = phaseLeft(repair.phase, await findOut(node, repair, signal));
  if (phase === null) return null;
  return { ...repair, phase, how: phase === 'backup' ? 'basebackup' : repair.how };
}

/** A run goes on with its own repair as it is, and takes over another's where that is about what is there. */
export async function goOnWith(node: LocalNode, runId: string, signal: AbortSignal): Promise<Repair | null> {
  const repair = await readRepair(node);
  if (repair === null || repair.phase === 'done') return null;
  if (repair.runId === runId) return repair;
  const left = await unfinished(node, signal);
  if (left === null) return null;
  // What its run would have thrown away as half rewound is kept as well: nobody saw what became of it since.
  const spoiled = left.phase === 'backup' && (await exists(left.kept));
  return saveRepair(node, { ...left, runId, ...(spoiled ? { aside: await chooseKeptDir(node, runId) } : {}) });
}

/** The node was seen without need of it: what a later incident finds must not be gone on with. */
export async function endRepair(node: LocalNode): Promise<void> {
  const repair = await readRepair(node);
  if (repair !== null && repair.phase !== 'done') await saveRepair(node, { ...repair, phase: 'done', conninfo: '' });
}
