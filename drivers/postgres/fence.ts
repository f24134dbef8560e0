/**
 * Makes a side unable to write and proves it.
 *
 * By stop: ask for a fast stop and, while the server shuts down, write `standby.signal` durably; then the pid file is
 * gone and the control file says `shut down` at checkpoint C. From the signal on, whoever starts the server (systemd,
 * an operator) gets it read-only. A server that was killed is fenced by the signal alone; its last position is unknown.
 */

import { RampartError } from '../errors.ts';
import { startOf } from '../lock.ts';
import { poll } from '../poll.ts';
import type { At, FenceReceipt, Position } from '../ports.ts';
import { readStatus } from '../sql/status.ts';
import { fencedNow, tokenOf } from '../store-claims.ts';
import { withClaim } from './claim.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { type ControlData, greatestTimeline } from './control-data.ts';
import { closeDatabases, databasesToClose, endSessions, rememberClosed } from './fence-sql.ts';
import type { FenceState } from './fence-state.ts';
import { shutdownCheckpoint } from './last-checkpoint.ts';
import { fenceOf, fenceReceipt, settledReading } from './prove.ts';
import { allOf, known, type NodeFiles, type NodeReading, readFiles, readNode } from './reading.ts';
import type { FenceRecord, NodeRecord } from './record.ts';
import {
  endOrphans,
  endWalSenders,
  type LocalNode,
  local,
  type Postmaster,
  postmasterOf,
  requestStop,
  runControl,
  stopViaControl,
  writeSignal,
} from './server.ts';

/** How long senders and archiver may take to deliver the rest once the shutdown checkpoint is written, milliseconds. */
const PATIENCE_MS = 3_000;
/** After an immediate stop that does not come either, milliseconds. */
const KILL_AFTER_MS = 5_000;
/** How often a stop that takes long is looked into, milliseconds. */
const LOOK_MS = 250;
const CONNECT_MS = 500;
/** An init system may start the server again between the stop and the proof; the proof shows it, and it is stopped again. */
const ROUNDS = 3;

/**
 * Fences every node given; replicas among them need nothing, they cannot write.
 * @throws Conflict for a stale token; NotFenced when the side could still write afterwards
 */
export async function fence(cluster: Cluster, at: At): Promise<FenceReceipt> {
  tokenOf(cluster.context);
  let already = true;
  // What an earlier round stopped, a later one finds down.
  let facts: FenceReceipt['facts'] = {};
  for (let round = 1; ; round += 1) {
    const receipt = await fenceAndProve(cluster, at);
    already &&= receipt.already;
    facts = { ...facts, ...receipt.facts };
    if (receipt.fence.cannotWrite !== 'none') return { ...receipt, already, facts };
    if (round < ROUNDS) continue;
    throw new RampartError('NotFenced', `${at.region} could still write: ${receipt.summary}`, {
      remedy: 'Retry the fence; `rampart escape` prints the commands for doing it by hand.',
    });
  }
}

/** Asks for the fence, then reads what has become of it. */
async function fenceAndProve(cluster: Cluster, at: At): Promise<FenceReceipt> {
  const nodes = nodesAt(cluster, at);
  const changed = await allOf(nodes.map((node) => fenceNode(cluster, node)));
  const readings = await Promise.all(nodes.map((node) => settledReading(cluster, node)));
  // Started again by now, it may have left the state that said so; that it is still at that checkpoint is looked at.
  for (const [i, stopped] of changed.entries()) {
    const fence = known(readings[i]!.record)?.fence;
    if (fence != null && stopped !== null) fence.final ??= stopped.final ?? (await restarted(cluster, readings[i]!));
  }
  const states = await Promise.all(readings.map((reading) => fenceOf(cluster, reading)));
  await Promise.all(nodes.map((node, i) => note(cluster, node, readings[i]!, states[i]!)));
  const receipt = fenceReceipt(
    cluster,
    at,
    readings,
    states,
    changed.every((stopped) => stopped === null),
  );
  for (const stopped of changed) Object.assign(receipt.facts, stopped?.facts);
  // The attempt that stopped it may not have come to its answer.
  const { runId } = tokenOf(cluster.context);
  const fences = readings.map(({ record }) => known(record)?.fence);
  if (fences.some((fence) => fence?.runId === runId && fence.stopped)) receipt.facts.stoppedWrites = true;
  return receipt;
}

/** Its shutdown checkpoint, when it was started again before anybody could look. */
async function restarted(cluster: Cluster, { node, files }: NodeReading): Promise<Position | null> {
  const found = known(files);
  if (found === null || found.postmaster === null || !found.signal) return null;
  return shutdownCheckpoint(cluster, local(node), found);
}

/** @returns what is worth knowing of how it was done; `null` = it was fenced, or a replica, already */
async function fenceNode(cluster: Cluster, node: PgNode): Promise<Stopped | null> {
  if (node.fence === 'sql') return fenceBySql(cluster, node);
  if (node.fence === 'command') return fenceByCommand(cluster, node);
  return fenceByStop(cluster, local(node));
}

/** @param ran it could write until just now, though it may be down already */
async function fenceByStop(cluster: Cluster, node: LocalNode, ran = false): Promise<Stopped | null> {
  const files = (await readFiles(cluster, node))!;
  if (isStandby(files)) {
    await awaitSettled(cluster, node);
    return null;
  }
  if (files.postmaster === null && files.signal && files.orphans === 0) {
    await withClaim(cluster, node, { systemId: files.control.systemId, timeline: null }, async () => {});
    return null;
  }
  const timeline = await greatestTimeline(node.dataDir, files.control);
  const stopping = await withClaim(
    cluster,
    node,
    { systemId: files.control.systemId, timeline },
    async () => {
      const running = await postmasterOf(node.dataDir);
      // The signal is written while the server shuts down. A restart that slips in before it is noticed below,
      // because the proof reads pid and control file after the signal is on disk.
      await Promise.all([running === null ? undefined : stopViaControl(cluster, node, running), writeSignal(node)]);
      return running;
    },
    // Who finds the server in recovery later must know that it was a primary.
    (record) => ({
      ...fencedNow(record, cluster.context.now()),
      fence: fenceRecord(
        cluster,
        node,
        { systemId: files.control.systemId, timeline },
        { final: null, stopped: ran || files.postmaster !== null || stoppedBefore(cluster, record) },
      ),
    }),
  );
  return awaitDown(cluster, node, stopping);
}

/** In recovery by its signal file: it cannot write. A running primary with that file in place is none: it acts at a start. */
function isStandby({ postmaster, signal, control }: NodeFiles): boolean {
  return postmaster !== null && signal && ['in archive recovery', 'in crash recovery'].includes(control.state);
}

/** A standby that is just starting says nothing yet; then its end, or the time being up, is an answer too. */
async function awaitSettled(cluster: Cluster, node: LocalNode): Promise<void> {
  const { signal } = cluster.context;
  await poll({ signal, deadlineMs: cluster.config.stopTimeout, intervalMs: 5 }, async () =>
    (await postmasterOf(node.dataDir))?.status === 'starting' ? undefined : true,
  );
}

/** Waits for the end of the server, and insists when it does not come. */
async function awaitDown(cluster: Cluster, node: LocalNode, postmaster: Postmaster | null): Promise<Stopped> {
  const { context } = cluster;
  const started = performance.now();
  const facts: Stopped['facts'] = { stop: postmaster === null ? 'was not running' : 'fast' };
  // What ran without the signal could write: whoever waits with this fence keeps people from writing.
  if (postmaster !== null) facts.stoppedWrites = true;
  let asked = postmaster?.pid;
  const start = postmaster === null ? '' : startOf(postmaster.pid);
  let lookedAt = started;
  let first = true;
  const insistence: Insistence = { facts, cleanSince: null };
  await poll({ signal: context.signal, deadlineMs: Number.POSITIVE_INFINITY, intervalMs: 1 }, async () => {
    const now = performance.now();
    const sinceSignal = !first;
    first = false;
    // While the process that was told to stop is there, one look at it is enough, and takes no time from its work.
    if (start !== '' && startOf(postmaster!.pid) === start && now - lookedAt < LOOK_MS) return undefined;
    const running = await postmasterOf(node.dataDir);
    if (running === null) return true;
    if (running.pid !== asked) {
      // Its pid file was not there when the signal was: it comes up read-only. To stop it would be a fight with
      // whoever starts it, an init system above all.
      if (sinceSignal) return true;
      // Started again between our look and the signal file: stop that one as well.
      asked = running.pid;
      await requestStop(node, running, 'fast');
    }
    context.heartbeat({ node: node.name, doing: 'stopping', ms: Math.round(now - started) });
    if (now - lookedAt < LOOK_MS) return undefined;
    lookedAt = now;
    await insist(cluster, node, running, now - started, insistence);
    return undefined;
  });
  facts.stopMs = Math.round(performance.now() - started);
  const { orphans, control } = (await readFiles(cluster, node))!;
  if (orphans > 0) facts.endedOrphans = await awaitNoOrphans(cluster, node);
  return { facts, final: control.state === 'shut down' ? control.checkpoint : null };
}

interface Stopped {
  facts: Record<string, string | number | boolean>;
  /** The shutdown checkpoint, read before anybody could start the server again; `null` = none, or it was too quick. */
  final: Position | null;
}

interface Insistence {
  facts: Stopped['facts'];
  /** When the shutdown checkpoint was first seen to be done. */
  cleanSince: number | null;
}

/**
 * A stop has three parts: sessions end and senders are told; the shutdown checkpoint is written; senders and archiver
 * deliver the rest. A replica that no longer answers holds up the first or the last for `wal_sender_timeout`, a slow
 * archiver the last. After the checkpoint nothing can be lost any more by insisting.
 */
async function insist(
  cluster: Cluster,
  node: LocalNode,
  running: Postmaster,
  elapsedMs: number,
  insistence: Insistence,
): Promise<void> {
  const { facts } = insistence;
  const { state } = (await readFiles(cluster, node))!.control;
  const now = performance.now();
  if (state === 'shut down') insistence.cleanSince ??= now;
  const cleanMs = insistence.cleanSince === null ? 0 : now - insistence.cleanSince;
  const stuck = cleanMs > PATIENCE_MS || (state === 'in production' && elapsedMs > 2 * PATIENCE_MS);
  if (stuck && facts.endedWalSenders === undefined) facts.endedWalSenders = await endWalSenders(node);
  const tooLong = cleanMs > 2 * PATIENCE_MS || elapsedMs > cluster.config.stopTimeout;
  if (tooLong && facts.stop === 'fast') {
    facts.stop = 'immediate';
    await requestStop(node, running, 'immediate');
  }
  if (elapsedMs > cluster.config.stopTimeout + KILL_AFTER_MS && facts.stop === 'immediate') {
    facts.stop = 'kill';
    await requestStop(node, running, 'kill');
  }
}

/** Backends of a killed postmaster finish and acknowledge what they are at: they must be gone before any proof. */
async function awaitNoOrphans(cluster: Cluster, node: LocalNode): Promise<number> {
  let most = 0;
  await poll({ signal: cluster.context.signal, deadlineMs: 10_000, intervalMs: 5 }, async () => {
    const left = await endOrphans(node);
    most = Math.max(most, left);
    return left === 0 ? true : undefined;
  });
  return most;
}

/** The team's own command; with a data directory the proof is then read, and made durable, like that of a stop. */
async function fenceByCommand(cluster: Cluster, node: PgNode): Promise<Stopped | null> {
  const argv = node.control.fence;
  if (argv === undefined) {
    throw new RampartError('InvalidInput', `${node.name} has fence: command and no control.fence`, {
      remedy: 'Add control.fence: the command, as an argument list, that makes the server unable to write.',
    });
  }
  const reading = await readNode(cluster, node, { connectTimeoutMs: CONNECT_MS });
  const before = await fenceOf(cluster, reading);
  if (before.strength !== 'none') return null;
  const systemId = known(reading.server)?.systemId ?? known(reading.files)?.control.systemId ?? null;
  const timeline = known(reading.server)?.timeline ?? null;
  const unknown = { systemId, timeline };
  await withClaim(
    cluster,
    node,
    unknown,
    async () => {},
    (record) => fencedNow(record, cluster.context.now()),
  );
  await runControl(cluster, node, argv);
  if (node.dataDir !== null) {
    const stopped = await fenceByStop(cluster, local(node), true);
    return { facts: { ...stopped?.facts, command: argv[0]!, stoppedWrites: true }, final: stopped?.final ?? null };
  }
  await withClaim(cluster, node, unknown, ({ save }) =>
    save({
      fence: fenceRecord(
        cluster,
        node,
        { systemId: systemId ?? '', timeline: timeline ?? 0 },
        { final: null, stopped: true },
      ),
    }),
  );
  // The command may only have asked for it.
  await poll({ signal: cluster.context.signal, deadlineMs: cluster.config.stopTimeout, intervalMs: 20 }, async () => {
    const now = await fenceOf(cluster, await readNode(cluster, node, { connectTimeoutMs: CONNECT_MS }));
    return now.strength === 'none' ? undefined : true;
  });
  return { facts: { command: argv[0]!, stoppedWrites: true }, final: null };
}

async function fenceBySql(cluster: Cluster, node: PgNode): Promise<Stopped | null> {
  const status = await readStatus(cluster, node);
  if (status.inRecovery) return null;
  const identity = { systemId: status.systemId, timeline: status.timeline };
  const todo = await withClaim(cluster, node, identity, async ({ record, save }) => {
    const token = tokenOf(cluster.context);
    if (record.fence?.how === 'sql' && record.fence.final !== null) {
      const reading = await readNode(cluster, node);
      if ((await fenceOf(cluster, reading)).strength === 'sessions') return null;
    }
    // Remembered before anything is closed, so that whatever comes next knows what to open again.
    const databases = [...new Set([...(record.fence?.databases ?? []), ...(await databasesToClose(cluster, node))])];
    const draft: FenceRecord = {
      epoch: token.epoch,
      runId: token.runId,
      at: cluster.context.now(),
      how: 'sql',
      systemId: status.systemId,
      timeline: status.timeline,
      final: null,
      databases,
      stopped: true,
    };
    await save({ fence: draft, ...fencedNow(record, cluster.context.now()) });
    // Replicated: the target must know which databases to open when it is promoted.
    await rememberClosed(cluster, node, databases);
    await closeDatabases(cluster, node, databases);
    return draft;
  });
  if (todo === null) return null;
  const ended = await endSessions(cluster, node, todo.databases);
  await withClaim(cluster, node, identity, async ({ record, save }) => {
    if (record.fence === null) throw takenBack(node);
    await save({ fence: { ...record.fence, final: ended.final } });
  });
  return {
    facts: { endedSessions: ended.ended, cancelledWaiters: ended.cancelledWaiters, stoppedWrites: true },
    final: null,
  };
}

function takenBack(node: PgNode): RampartError {
  return new RampartError('Conflict', `the fence of ${node.name} was taken back while it was being put up`, {
    remedy: 'Find out who unfenced it; then fence again.',
  });
}

/** Notes the fence, so that a later start in recovery is still known to be at the same checkpoint. */
async function note(cluster: Cluster, node: PgNode, reading: NodeReading, state: FenceState): Promise<void> {
  const files = known(reading.files);
  if (files === null || node.fence === 'sql' || state.strength === 'none' || !state.formerPrimary) return;
  await withClaim(cluster, node, { systemId: null, timeline: null }, async ({ record, save }) => {
    const token = tokenOf(cluster.context);
    const same = record.fence?.epoch === token.epoch && record.fence.final?.order === state.final?.order;
    if (same) return;
    // The control file may be behind the timeline that the fence found.
    const timeline = Math.max(files.control.timeline, record.fence?.timeline ?? 0);
    await save({
      fence: fenceRecord(
        cluster,
        node,
        { systemId: files.control.systemId, timeline },
        { final: state.final, stopped: stoppedBefore(cluster, record) },
      ),
    });
  });
}

function fenceRecord(
  cluster: Cluster,
  node: PgNode,
  { systemId, timeline }: Pick<ControlData, 'systemId' | 'timeline'>,
  { final, stopped }: { final: Position | null; stopped: boolean },
): FenceRecord {
  const { epoch, runId } = tokenOf(cluster.context);
  const at = cluster.context.now();
  return { epoch, runId, at, how: node.fence, systemId, timeline, final, databases: [], stopped };
}

/** Whether an earlier attempt of this run stopped it. */
function stoppedBefore(cluster: Cluster, { fence }: NodeRecord): boolean {
  return fence?.runId === tokenOf(cluster.context).runId && fence.stopped === true;
}
