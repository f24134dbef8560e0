/** Takes a fence back before anything was promoted: the old primary continues on its own timeline. */

import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, Millis, Receipt } from '../ports.ts';
import { readStatus } from '../sql/status.ts';
import { type Identity, tokenOf } from '../store-claims.ts';
import { withClaim } from './claim.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { greatestTimeline } from './control-data.ts';
import { openRemembered } from './fence-sql.ts';
import { fenceOf } from './prove.ts';
import { allOf, asFailure, known, type NodeFiles, readFiles, readNode } from './reading.ts';
import { type NodeRecord, readRecord } from './record.ts';
import {
  awaitStopped,
  hasSignal,
  type LocalNode,
  local,
  postmasterOf,
  removeSignal,
  requestStart,
  runControl,
  stopServer,
} from './server.ts';
import { permitStart } from './start-permit.ts';

export interface UnfenceGuard {
  /** Region that was to be promoted. */
  to: RegionName;
  /** No unfence after this moment. */
  deadline: Millis | null;
}

/** Longest wait for crash recovery after a stop that was not clean, in milliseconds. */
const START_MS = 120_000;
const CONNECT_MS = 500;

/**
 * Removes the fence of every node given and waits until the former primary takes writes again.
 * @throws Conflict when the target is promoted, the claim is not ours or the deadline has passed
 */
export async function unfence(cluster: Cluster, at: At, guard: UnfenceGuard): Promise<Receipt> {
  const { context } = cluster;
  const results = await allOf(nodesAt(cluster, at).map((node) => unfenceNode(cluster, node, guard)));
  const changed = results.filter((result) => result !== null);
  return {
    already: changed.length === 0,
    at: context.now(),
    summary: changed.length === 0 ? `${at.region} was not fenced` : changed.join('; '),
    facts: {},
  };
}

async function unfenceNode(cluster: Cluster, node: PgNode, guard: UnfenceGuard): Promise<string | null> {
  if (node.fence === 'sql') return unfenceBySql(cluster, node, guard);
  if (node.dataDir === null) return unfenceByCommand(cluster, node, guard);
  return unfenceByStart(cluster, local(node), guard);
}

async function unfenceByStart(cluster: Cluster, node: LocalNode, guard: UnfenceGuard): Promise<string | null> {
  const { context, config } = cluster;
  const before = (await readFiles(cluster, node))!;
  const identity = {
    systemId: before.control.systemId,
    timeline: await greatestTimeline(node.dataDir, before.control),
  };
  if (before.postmaster?.status === 'stopping') {
    // A stop that was asked for cannot be called off: wait for its end.
    await awaitStopped(node, context, config.stopTimeout * 2, before.postmaster.pid);
  }
  const running = before.postmaster?.status === 'stopping' ? await postmasterOf(node.dataDir) : before.postmaster;
  // Recovery cannot be left without a new timeline: a server that was started with the signal must go down once more.
  const readOnly = running !== null && (before.signal ? isNotProduction(before) : isInRecovery(before));
  if (!before.signal && running !== null && !readOnly) {
    await withClaim(cluster, node, identity, ({ record, save }) => save(forgotten(record)));
    // An earlier attempt may have asked for the start and not lived to see its end.
    const status = await readStatus(cluster, node).catch(asFailure);
    if (!(status instanceof RampartError) && !status.inRecovery) return null;
    return awaitWritable(cluster, node, identity.timeline);
  }
  if (!(await isFormerPrimary(cluster, node))) return null;
  await withClaim(cluster, node, identity, async ({ record, save }) => {
    await assertMayUnfence(cluster, node, guard, identity.timeline);
    // A guard before its start asks the other side too; that it may be silent was looked at just now.
    await permitStart(node, tokenOf(context).runId, identity.timeline, context.now());
    // Before anything is stopped: an init system may start it again faster than we would.
    await removeSignal(node);
    if (!readOnly) await requestStart(cluster, node);
    await save(forgotten(record));
  });
  if (readOnly) await stopServer(cluster, node, running!.pid);
  if (node.control.unfence !== undefined) await runControl(cluster, node, node.control.unfence);
  return awaitWritable(cluster, node, identity.timeline, () => startAgain(cluster, node, identity));
}

const isNotProduction = ({ control }: NodeFiles): boolean => control.state !== 'in production';
const isInRecovery = ({ control }: NodeFiles): boolean => control.state === 'in archive recovery';

/** A stop that was asked for before the fence was taken back may still have ended the server. */
async function startAgain(cluster: Cluster, node: LocalNode, identity: Identity): Promise<void> {
  if ((await postmasterOf(node.dataDir)) !== null) return;
  await withClaim(cluster, node, identity, async () => {
    if (!(await hasSignal(node))) return requestStart(cluster, node);
    throw new RampartError('Conflict', `${node.name} was fenced again while its fence was being taken back`, {
      remedy: 'Let the step that fenced it decide; observe before the next one.',
    });
  });
}

/** Replicas of the fenced side were never fenced and stay what they are. */
async function isFormerPrimary(cluster: Cluster, node: LocalNode): Promise<boolean> {
  const [record, files] = await Promise.all([readRecord(cluster, node), readFiles(cluster, node)]);
  return record?.fence != null || !(await hasSignal(node)) || !files!.control.state.includes('recovery');
}

/** Nothing is fenced any more: also the journal must not say since when, or a later loss would begin too early. */
const forgotten = ({ journal }: NodeRecord): Partial<NodeRecord> => ({
  fence: null,
  ...(journal === null ? {} : { journal: { ...journal, fencedAt: null } }),
});

/** The last look before it acts, under the node's lock. */
async function assertMayUnfence(cluster: Cluster, node: PgNode, guard: UnfenceGuard, timeline: number): Promise<void> {
  const now = cluster.context.now();
  if (guard.deadline !== null && now > guard.deadline) {
    throw new RampartError('Conflict', `the unfence of ${node.name} came ${now - guard.deadline} ms too late`, {
      remedy: 'Nothing was changed. Observe both sides and decide anew.',
    });
  }
  // Everybody else, not only the target: whoever went on, a second history must not begin here.
  const others = cluster.nodes.filter((other) => other !== node);
  const read = await Promise.all(
    others.map((other) => readStatus(cluster, other, { connectTimeoutMs: CONNECT_MS }).catch(asFailure)),
  );
  for (const [i, other] of others.entries()) {
    const status = read[i]!;
    if (status instanceof RampartError) {
      const facts = { node: other.name, target: other.region === guard.to, why: status.message };
      cluster.context.log.warn('a node could not be asked before the unfence', facts);
    } else if (!status.inRecovery || status.timeline > timeline) {
      throw new RampartError(
        'Conflict',
        `${node.name} stays fenced: ${other.name} is ${status.inRecovery ? 'in recovery' : 'writable'} on timeline ${status.timeline}`,
        { remedy: 'Go on with the failover; a second writable side would fork the data.' },
      );
    }
  }
}

async function awaitWritable(
  cluster: Cluster,
  node: PgNode,
  timeline: number,
  nudge: () => Promise<void> = async () => {},
): Promise<string> {
  const { context } = cluster;
  const found = await poll({ signal: context.signal, deadlineMs: START_MS, intervalMs: 5 }, async () => {
    context.heartbeat({ node: node.name, doing: 'starting' });
    await nudge();
    const status = await readStatus(cluster, node).catch(asFailure);
    if (status instanceof RampartError) {
      if (status.type === 'ProviderUnavailable') return undefined;
      throw status;
    }
    // A command of the team's own may only have asked for the restart.
    if (status.inRecovery && node.control.unfence === undefined) throw startedTooEarly(node);
    return status.inRecovery ? undefined : status;
  });
  if (found === undefined) {
    throw new RampartError('NotApplied', `${node.name} runs and is not writable after ${START_MS} ms`, {
      remedy: 'Look at its log; standby.signal must be absent.',
    });
  }
  const same = found.timeline === timeline ? `timeline ${timeline}` : `timeline ${found.timeline}, was ${timeline}`;
  return `${node.name} is writable again on ${same}`;
}

/**
 * Whoever starts servers here did so while the signal was still there. Recovery is not left without a new timeline, so
 * waiting leads nowhere: the next try stops it first.
 */
function startedTooEarly(node: PgNode): RampartError {
  return new RampartError(
    'NotApplied',
    `${node.name} was started before its fence was taken back, and is in recovery`,
    {
      remedy: 'It is tried again at once, with a stop first. If this repeats, look whether standby.signal comes back.',
    },
  );
}

async function unfenceByCommand(cluster: Cluster, node: PgNode, guard: UnfenceGuard): Promise<string | null> {
  const { control } = node;
  const reading = await readNode(cluster, node, { connectTimeoutMs: CONNECT_MS });
  const status = known(reading.server);
  const record = known(reading.record);
  // Since when it is fenced is noted before the command is run, which may only have asked for it.
  const asked = record?.fence != null || record?.journal?.fencedAt != null;
  const open = (await fenceOf(cluster, reading)).strength === 'none' && status !== null && !status.inRecovery;
  if (open && !asked) return null;
  if (control.unfence === undefined) {
    throw new RampartError('PreconditionFailed', `${node.name} has no control.unfence`, {
      remedy: 'Bring it back by hand, then run the step again; add control.unfence for the next time.',
    });
  }
  const unknown = { systemId: null, timeline: null };
  const timeline = cluster.context.token?.expectedTimeline ?? Number.POSITIVE_INFINITY;
  await withClaim(cluster, node, unknown, async ({ record, save }) => {
    await assertMayUnfence(cluster, node, guard, timeline);
    await runControl(cluster, node, control.unfence!);
    await save(forgotten(record));
  });
  return awaitWritable(cluster, node, timeline);
}

async function unfenceBySql(cluster: Cluster, node: PgNode, guard: UnfenceGuard): Promise<string | null> {
  const status = await readStatus(cluster, node);
  if (status.inRecovery) return null;
  const identity = { systemId: status.systemId, timeline: status.timeline };
  return withClaim(cluster, node, identity, async ({ record, save }) => {
    if (record.fence === null) return null;
    await assertMayUnfence(cluster, node, guard, status.timeline);
    const opened = await openRemembered(cluster, node);
    await save(forgotten(record));
    return `${node.name} accepts connections to ${opened.join(', ') || 'all its databases'} again`;
  });
}
