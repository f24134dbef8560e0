/**
 * Repairs a node that has log of its own: pg_rewind, or a fresh base backup where that cannot work. Destructive for
 * the node's own rows, so the old directory is kept aside until `release`. Each phase is on disk before it begins; a
 * repeated call goes on where the last one stopped.
 *
 * pg_rewind refuses a target that was killed and has `standby.signal` ("standby mode is not supported by single-user
 * servers"). So the node is first started with the signal: it comes up read-only, replays its own log to the end, and
 * is stopped fast; `shut down in recovery` is what pg_rewind takes.
 */
import { join } from 'node:path';
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import { orphanOf, withLock } from '../lock.ts';
import { poll } from '../poll.ts';
import type { At, Json, Receipt } from '../ports.ts';
import { query } from '../sql/session.ts';
import { tokenOf } from '../store-claims.ts';
import { apartFrom } from './apart.ts';
import { withClaim } from './claim.ts';
import { type Cluster, nodesAt } from './config.ts';
import { endGroup, readControlData } from './control-data.ts';
import { awaitStreaming, conninfoFor, holdTimeline, NOTHING_LEFT, readAutoConf } from './follow.ts';
import { known, readFiles, readNode } from './reading.ts';
import { type Primary, primaryOf, settle, startAsReplica } from './rejoin.ts';
import { basebackup, copyAside, restoreConfiguration, rewind, swapIn } from './repair.ts';
import { goOnWith } from './repair-resume.ts';
import { chooseKeptDir, keptDirs, type Repair, readRepair, saveRepair } from './repair-state.ts';
import {
  awaitStarted,
  endOrphans,
  hasSignal,
  type LocalNode,
  local,
  requestStart,
  stateDirOf,
  stopServer,
  writeSignal,
} from './server.ts';
import { dropLeftSlots, ensureSlot } from './slots.ts';
import { restoreSync } from './sync-settings.ts';
import { twinOf } from './twin.ts';

/** Replay of the node's own log, and of what the primary wrote meanwhile, may take long on a large database. */
const START_MS = 3_600_000;
const FOLLOW_MS = 60_000;

/** @throws SplitBrain when the node is writable; PreconditionFailed where only a person can repair it */
export async function rebuild(cluster: Cluster, at: At, region: RegionName): Promise<Receipt> {
  tokenOf(cluster.context);
  const primary = await primaryOf(cluster, region);
  const nodes = nodesAt(cluster, at).filter((node) => node !== primary.node);
  const results: Repaired[] = [];
  for (const node of nodes) results.push(await rebuildNode(cluster, local(node), primary));
  const droppedSlots = await dropLeftSlots(cluster, primary.node);
  const sync = await restoreSync(cluster, primary.node);
  return {
    already: results.every((result) => result.already),
    at: cluster.context.now(),
    summary: results.map((result) => result.summary).join('; ') || `${at.region} has no node to repair`,
    facts: {
      kept: results.flatMap((result) => result.kept),
      how: results.map((result) => result.how),
      droppedSlots,
      syncRestored: sync.restored as Json,
      syncWaiting: sync.waiting as Json,
    },
  };
}

interface Repaired {
  already: boolean;
  summary: string;
  how: string;
  kept: string[];
}

async function rebuildNode(cluster: Cluster, node: LocalNode, primary: Primary): Promise<Repaired> {
  const { context } = cluster;
  const folder = join(stateDirOf(node), 'repair-lock');
  await withClaim(cluster, node, { systemId: null, timeline: null }, async () => {});
  // A worker that was killed leaves its pg_rewind or pg_basebackup behind; two at once would ruin the directory.
  endGroup(await orphanOf(folder).catch(() => undefined));
  return withLock(folder, { signal: context.signal, waitMs: 30_000 }, async (lock) => {
    const { runId } = tokenOf(context);
    if (await alreadyFollows(cluster, node, primary)) {
      const ours = await readRepair(node);
      return done(cluster, node, primary, ours?.runId === runId && ours.phase === 'start' ? ours : null);
    }
    const repair = (await goOnWith(node, runId, context.signal)) ?? (await begin(cluster, node, primary));
    return done(cluster, node, primary, await repaired(cluster, node, primary, repair, lock.extendTo));
  });
}

/** Goes through the phases that are left. Falls back to a base backup where pg_rewind cannot do it. */
async function repaired(
  cluster: Cluster,
  node: LocalNode,
  primary: Primary,
  from: Repair,
  child: (pid: number) => Promise<void>,
): Promise<Repair> {
  let repair = from;
  const enter = async (phase: Repair['phase'], change: Partial<Repair> = {}): Promise<void> => {
    // Every phase begins with the claim: a run that was taken over stops between two of them.
    await withClaim(cluster, node, { systemId: null, timeline: null }, async () => {});
    cluster.context.heartbeat({ node: node.name, doing: `repair: ${phase}` });
    repair = await saveRepair(node, { ...repair, ...change, phase });
  };
  // Cut off in the middle, pg_rewind leaves a directory that is neither old nor new.
  if (repair.phase === 'rewind') await enter('backup', { how: 'basebackup' });
  if (repair.phase === 'keep') {
    await comeToRest(cluster, node);
    if (repair.how === 'rewind') {
      await copyAside(cluster, node, repair.kept, child);
      await enter('recover');
    } else await enter('backup');
  }
  if (repair.phase === 'recover') {
    let failure = await recoverOwnLog(cluster, node).then(() => null, ownFailure);
    if (failure === null) {
      await checkpointed(cluster, primary);
      await enter('rewind');
      failure = await rewind(cluster, node, primary.node, child).catch(async (error: unknown) => {
        if (error instanceof RampartError && error.type === 'ProviderUnavailable') await enter('recover');
        throw error;
      });
    }
    if (failure === null) await enter('configure');
    else if (cluster.config.repair === 'rewind') throw failure;
    else {
      cluster.context.log.warn('pg_rewind did not work, taking a base backup', {
        node: node.name,
        why: failure.message,
      });
      await enter('backup', { how: 'basebackup' });
    }
  }
  if (repair.phase === 'backup') {
    await comeToRest(cluster, node);
    await ensureSlot(cluster, primary.node, node);
    await basebackup(
      cluster,
      node,
      primary.node,
      await conninfoFor(cluster, node, primary.node, repair.conninfo),
      child,
    );
    await enter('swap');
  }
  if (repair.phase === 'swap') {
    await swapIn(node, repair);
    await enter('configure');
  }
  if (repair.phase === 'configure') {
    await restoreConfiguration(cluster, node, repair.kept);
    await writeSignal(node);
    await enter('start');
  }
  if (repair.phase !== 'start') return repair;
  const why = await startFollowing(cluster, node, primary, repair);
  if (why === null) return repair;
  if (repair.how === 'basebackup' || cluster.config.repair === 'rewind') throw notStreaming(node, primary, why);
  // The log between the rewind and now may be gone from the primary: then only a copy helps.
  await enter('backup', { how: 'basebackup' });
  return repaired(cluster, node, primary, repair, child);
}

async function begin(cluster: Cluster, node: LocalNode, primary: Primary): Promise<Repair> {
  const { context, config } = cluster;
  const { runId } = tokenOf(context);
  const control = await readControlData(node.dataDir, node.bin, context.signal);
  if (control.systemId !== primary.status.systemId) {
    throw new RampartError(
      'PreconditionFailed',
      `${node.name} has system identifier ${control.systemId}, the primary ${primary.status.systemId}`,
      {
        remedy: `Check dataDir of ${node.name}: it holds another database, which a repair would replace.`,
      },
    );
  }
  // Without log of its own there is nothing to rewind: what it needs is gone from the primary.
  const reading = await readNode(cluster, node);
  const behind = known(reading.server)?.inRecovery === true && (await apartFrom(cluster, reading, primary)) === null;
  // Nor does pg_rewind see a difference between two timelines of one number.
  const twin = await twinOf(cluster, reading, primary);
  const rewindable = (control.checksums || control.walLogHints) && !behind && twin === null;
  return saveRepair(node, {
    runId,
    at: context.now(),
    how: config.repair === 'basebackup' || (config.repair === 'auto' && !rewindable) ? 'basebackup' : 'rewind',
    phase: 'keep',
    kept: await chooseKeptDir(node, runId),
    conninfo: await readAutoConf(node, 'primary_conninfo'),
  });
}

/** @throws SplitBrain when it is writable and nobody has fenced it */
async function alreadyFollows(cluster: Cluster, node: LocalNode, primary: Primary): Promise<boolean> {
  const reading = await readNode(cluster, node);
  if (reading.server instanceof RampartError) return false;
  const fence = reading.record instanceof RampartError ? null : reading.record?.fence;
  if (!reading.server.inRecovery && fence?.how !== 'sql') {
    throw new RampartError(
      'SplitBrain',
      `${node.name} is writable: a repair would take it away from whoever writes there`,
      {
        remedy: `Fence ${node.name} first.`,
      },
    );
  }
  // With the new history in its hands it may seem to stream, from a place that the primary never was at.
  if (!reading.server.inRecovery || (await apartFrom(cluster, reading, primary)) !== null) return false;
  return (await awaitStreaming(cluster, node, { ...primary, fork: null }, 0)).streaming;
}

/** Stops the server and sees to it that nothing of it can start writable again. */
async function comeToRest(cluster: Cluster, node: LocalNode): Promise<void> {
  if (!(await hasSignal(node))) await writeSignal(node);
  await stopServer(cluster, node);
  await endOrphans(node);
}

/** A server that does not start, or a directory that cannot be read: nothing that another attempt would mend. */
function ownFailure(error: unknown): RampartError {
  if (error instanceof RampartError && error.type === 'PreconditionFailed') return error;
  throw error;
}

/** Brings a killed server to a clean stop in recovery, with all of its own log replayed. */
async function recoverOwnLog(cluster: Cluster, node: LocalNode): Promise<void> {
  const { context } = cluster;
  const files = (await readFiles(cluster, node))!;
  if (files.postmaster === null && files.control.state.startsWith('shut down')) return;
  await writeSignal(node);
  // It must look neither for a primary nor into an archive: it would find a timeline that it cannot follow. Its own
  // settings come back from the copy.
  await holdTimeline(node, { primary_conninfo: '', primary_slot_name: '', restore_command: '' });
  await requestStart(cluster, node);
  await awaitStarted(cluster, node, START_MS);
  const replayed = await poll({ signal: context.signal, deadlineMs: START_MS, intervalMs: 20 }, async () => {
    context.heartbeat({ node: node.name, doing: 'repair: replaying its own log' });
    const rows = await query<{ waiting: boolean }>(
      cluster,
      node,
      `SELECT wait_event IN (${NOTHING_LEFT}) AS waiting
       FROM pg_stat_activity WHERE backend_type = 'startup'`,
    );
    return rows[0]?.waiting === true ? true : undefined;
  });
  if (!replayed) {
    throw new RampartError('DeadlineExceeded', `${node.name} still replays its own log`, {
      remedy: 'Wait, then retry.',
    });
  }
  await stopServer(cluster, node);
}

/** pg_rewind reads the source's control file, which knows of the new timeline only after a checkpoint. */
async function checkpointed(cluster: Cluster, primary: Primary): Promise<void> {
  const timelineOf = async (): Promise<number> => {
    const [row] = await query<{ timeline: number }>(
      cluster,
      primary.node,
      'SELECT timeline_id AS timeline FROM pg_control_checkpoint()',
    );
    return row!.timeline;
  };
  if ((await timelineOf()) === primary.timeline) return;
  await query(cluster, primary.node, 'CHECKPOINT', [], { timeoutMs: START_MS });
  if ((await timelineOf()) === primary.timeline) return;
  throw new RampartError('NotApplied', `${primary.node.name} shows no checkpoint on timeline ${primary.timeline}`, {
    remedy: `Run CHECKPOINT on ${primary.node.name}, then retry.`,
  });
}

/** @returns why it does not stream, `null` when it does */
async function startFollowing(
  cluster: Cluster,
  node: LocalNode,
  primary: Primary,
  repair: Repair,
): Promise<string | null> {
  await ensureSlot(cluster, primary.node, node);
  const conninfo = await conninfoFor(cluster, node, primary.node, repair.conninfo);
  await withClaim(cluster, node, { systemId: null, timeline: null }, () => startAsReplica(cluster, node, conninfo));
  await awaitStarted(cluster, node, START_MS);
  const followed = await awaitStreaming(cluster, node, { ...primary, fork: null }, FOLLOW_MS);
  return followed.streaming ? null : followed.why;
}

function notStreaming(node: LocalNode, primary: Primary, why: string): RampartError {
  return new RampartError('NotApplied', `${node.name} was repaired and does not stream: ${why}`, {
    remedy: `Look at the log of ${node.name}: address, replication role and pg_hba.conf of ${primary.node.name}.`,
  });
}

async function done(cluster: Cluster, node: LocalNode, primary: Primary, repair: Repair | null): Promise<Repaired> {
  await settle(cluster, node, { systemId: null, timeline: null });
  const kept = await keptDirs(node);
  const how = repair === null ? 'follows already' : repair.how === 'rewind' ? 'was rewound' : 'was copied anew';
  return {
    already: repair === null,
    summary: `${node.name} ${how} and streams from ${primary.node.name}${kept.length > 0 ? `; its old data is in ${kept.join(', ')}` : ''}`,
    how: repair?.how ?? 'none',
    kept,
  };
}
