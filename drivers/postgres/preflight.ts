/** Everything that can be known to stand in a failover's way before anything is changed. Reads only. */

import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Finding, Lag } from '../ports.ts';
import { addressOf, type Cluster, nodesAt, type PgNode } from './config.ts';
import { measureLag, upstreamNode } from './lag.ts';
import {
  type Alive,
  bestOf,
  betterPlaced,
  localFiles,
  roles,
  type Say,
  sameDatabase,
  unreadable,
} from './preflight-roles.ts';
import { pairFindings, sourceFindings, targetFindings } from './preflight-rules.ts';
import { readReadiness } from './readiness.ts';
import { asFailure, known, readNode } from './reading.ts';
import { recoveryTargets } from './recovery-target.ts';

/** @returns findings, blockers first; none of them is thrown */
export async function preflight(
  cluster: Cluster,
  mode: 'planned' | 'unplanned',
  from: RegionName,
  to: RegionName,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const say: Say = (severity, code, region, message, remedy, override) =>
    void findings.push({
      code,
      severity,
      component: cluster.component,
      region,
      message,
      remedy,
      ...(override === undefined ? {} : { override }),
    });
  const readings = await Promise.all(cluster.nodes.map((node) => readNode(cluster, node)));
  const alive = readings.flatMap(({ node, server }): Alive[] =>
    server instanceof RampartError ? [] : [{ node, status: server }],
  );
  unreadable(readings, alive, mode, from, to, say);
  const source = alive.find(({ node, status }) => node.region === from && !status.inRecovery);
  const target = bestOf(alive.filter(({ node }) => nodesAt(cluster, { region: to }).includes(node)));
  roles(alive, source, target, mode, from, to, say);
  sameDatabase(alive, source ?? target, say);
  localFiles(readings, say);
  if (target?.status.inRecovery === true) {
    betterPlaced(alive, target, say);
    await replication(cluster, source, target, mode, say);
    await lagging(cluster, target, mode, say);
  }
  await readiness(cluster, source, target, mode, say);
  await recoveryTargets(cluster, alive, target, mode, say);
  const order = { blocker: 0, warning: 1, info: 2 };
  return findings.sort((a, b) => order[a.severity] - order[b.severity]);
}

async function replication(
  cluster: Cluster,
  source: Alive | undefined,
  target: Alive,
  mode: string,
  say: Say,
): Promise<void> {
  const { node, status } = target;
  const region = node.region;
  const blocks = mode === 'planned' ? 'blocker' : 'warning';
  const upstream = upstreamNode(cluster, node, status);
  if (status.paused) {
    say(
      blocks,
      'postgres.replayPaused',
      region,
      `replay on ${node.name} is paused`,
      `Run SELECT pg_wal_replay_resume() on ${node.name}.`,
    );
  }
  if (status.applyDelayMs > 0) {
    say(
      blocks,
      'postgres.replayDelayed',
      region,
      `${node.name} delays replay by ${status.applyDelayMs} ms on purpose (recovery_min_apply_delay)`,
      `Set recovery_min_apply_delay = 0 on ${node.name} and reload, or choose another target.`,
    );
  }
  if (mode === 'unplanned') return;
  if (status.upstream === null) {
    say(
      'blocker',
      'postgres.noUpstream',
      region,
      `${node.name} is in recovery and primary_conninfo names no host`,
      'Point it at the primary; `rejoin` does that.',
    );
  } else if (
    source !== undefined &&
    upstream !== null &&
    upstream !== source.node &&
    !streamsThrough(cluster, upstream, source.node)
  ) {
    say(
      'blocker',
      'postgres.otherUpstream',
      region,
      `${node.name} streams from ${upstream.name}, not from ${source.node.name}`,
      `Point it at ${source.node.name}, or choose another target.`,
    );
  } else if (status.receiver?.status !== 'streaming') {
    say(
      'blocker',
      'postgres.notStreaming',
      region,
      `${node.name} does not stream from ${addressOf(status.upstream)}`,
      `Look at the log of ${node.name}: its primary may be down, refuse the replication role, or lack the log it needs.`,
    );
  }
  if (source === undefined) return;
  if (status.timeline !== source.status.timeline) {
    say(
      'blocker',
      'postgres.timeline',
      region,
      `${node.name} is on timeline ${status.timeline}, ${source.node.name} on ${source.status.timeline}`,
      `${node.name} has not followed the last promotion: rebuild it from ${source.node.name}.`,
    );
  }
  const seen = source.status.standbys.find(
    (standby) => standby.slot !== null && standby.slot === status.upstream?.slot,
  );
  if (seen !== undefined && seen.state !== null && seen.state !== 'streaming') {
    say(
      'blocker',
      'postgres.notStreaming',
      region,
      `${source.node.name} sees ${node.name} in state ${seen.state}`,
      'Wait until it streams.',
    );
  }
  if (node.slot !== null && status.upstream !== null && status.upstream.slot === null) {
    say(
      'warning',
      'postgres.noSlot',
      region,
      `${node.name} streams without a replication slot`,
      `Its primary may recycle log that it still needs: set primary_slot_name = '${node.slot}' (rejoin does).`,
    );
  }
  const broken = source.status.slots.find((slot) => slot.walStatus === 'lost');
  if (broken !== undefined) {
    say(
      'warning',
      'postgres.slotLost',
      source.node.region,
      `slot ${broken.name} on ${source.node.name} has lost its log`,
      `Rebuild the replica that uses it, then drop the slot.`,
    );
  }
}

/** Cascading: the upstream is a node of the component that is itself a replica. */
function streamsThrough(cluster: Cluster, upstream: PgNode, source: PgNode): boolean {
  return upstream !== source && cluster.nodes.includes(upstream);
}

/** Whether the lag can be told at all; how much of it is too much the plan says, which knows the objective. */
async function lagging(cluster: Cluster, target: Alive, mode: string, say: Say): Promise<void> {
  const lag: Lag | null = await measureLag(cluster, target.node, target.status);
  const region = target.node.region;
  if (lag === null || mode === 'unplanned') return;
  if (!lag.fresh) {
    say(
      'blocker',
      'postgres.lagUnknown',
      region,
      `the lag of ${target.node.name} is not known: the source's position could not be read`,
      'Bring the source back within reach, or run an unplanned failover.',
    );
    return;
  }
  const text = `${target.node.name} is ${lag.bytes} bytes and ${lag.seconds?.toFixed(3) ?? '?'} s behind`;
  say('info', 'postgres.lag', region, text, '');
}

async function readiness(
  cluster: Cluster,
  source: Alive | undefined,
  target: Alive | undefined,
  mode: 'planned' | 'unplanned',
  say: Say,
): Promise<void> {
  const read = async (alive: Alive | undefined) =>
    alive === undefined ? null : readReadiness(cluster, alive.node, alive.status.version).catch(asFailure);
  const [ofSource, ofTarget] = await Promise.all([read(source), read(target)]);
  for (const [failure, alive] of [
    [ofSource, source],
    [ofTarget, target],
  ] as const) {
    if (failure instanceof RampartError) {
      say('warning', 'postgres.unreadable', alive!.node.region, failure.message, failure.remedy);
    }
  }
  const [readySource, readyTarget] = [known(ofSource), known(ofTarget)];
  if (source !== undefined && readySource !== null) sourceFindings(cluster, source, readySource, mode, say);
  if (target !== undefined && readyTarget !== null) targetFindings(cluster, target, readyTarget, say);
  if (source !== undefined && target !== undefined && readySource !== null && readyTarget !== null) {
    pairFindings(source, target, readySource, readyTarget, say);
  }
}
