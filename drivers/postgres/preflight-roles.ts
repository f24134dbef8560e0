/** What every node's place in the component tells before a failover: who is there, who writes, who is furthest. Pure. */

import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { Finding, Position } from '../ports.ts';
import { greatest, isFurther } from '../sql/lsn.ts';
import type { ServerStatus } from '../sql/status.ts';
import { addressOf, type PgNode } from './config.ts';
import { known, type NodeReading } from './reading.ts';

export type Say = (
  severity: Finding['severity'],
  code: string,
  region: RegionName | null,
  message: string,
  remedy: string,
  override?: string,
) => void;

/** A node that answered. */
export interface Alive {
  node: PgNode;
  status: ServerStatus;
}

/** A node that cannot be read stops the run where nobody else can stand in for it. */
export function unreadable(
  readings: NodeReading[],
  alive: Alive[],
  mode: string,
  from: RegionName,
  to: RegionName,
  say: Say,
): void {
  for (const { node, server } of readings) {
    if (!(server instanceof RampartError)) continue;
    const { region } = node;
    const denied = server.type === 'AccessDenied';
    const code = denied ? 'postgres.accessDenied' : 'postgres.unreachable';
    // The source of an unplanned failover is expected to be gone.
    if (mode === 'unplanned' && region === from) {
      say('info', code, region, server.message, server.remedy);
      continue;
    }
    const present = alive.filter((other) => other.node.region === region);
    const replaced = region === to ? present.length > 0 : present.some(({ status }) => !status.inRecovery);
    const needed = (region === to || region === from) && !replaced;
    say(needed || denied ? 'blocker' : 'warning', code, region, server.message, server.remedy);
  }
}

/** Who is the primary, and whether the question makes sense. */
export function roles(
  alive: Alive[],
  source: Alive | undefined,
  target: Alive | undefined,
  mode: string,
  from: RegionName,
  to: RegionName,
  say: Say,
): void {
  const writable = alive.filter(({ status }) => !status.inRecovery);
  const names = writable.map(({ node }) => node.name).join(' and ');
  // An unplanned run may be what ends such a state: it fences first, and asks.
  const blocks = mode === 'planned' ? 'blocker' : 'warning';
  if (writable.length > 1) {
    say(
      blocks,
      'postgres.bothPrimary',
      null,
      `${names} are writable at the same time`,
      `Fence the one that is not meant to be: the lower timeline (${writable.map(({ node, status }) => `${node.name}: ${status.timeline}`).join(', ')}) is usually the old one.`,
    );
  } else if (target !== undefined && !target.status.inRecovery) {
    say(
      blocks,
      'postgres.targetIsPrimary',
      to,
      `${target.node.name} is the primary already`,
      `Nothing to promote: run a failover away from ${to}, or only move the traffic.`,
    );
  }
  if (writable.length === 0 && mode === 'planned' && alive.some(({ node }) => node.region === from)) {
    say(
      'blocker',
      'postgres.noPrimary',
      null,
      'no node is writable',
      'Find out which node was the primary last (the greatest timeline, then the greatest position), or run an unplanned failover.',
    );
  }
  if (writable.length > 0 && source === undefined && writable.every(({ node }) => node.region !== to)) {
    say(
      blocks,
      'postgres.sourceNotPrimary',
      from,
      `the primary is ${names}, not in ${from}`,
      `Use --from ${writable[0]!.node.region}.`,
    );
  }
}

export function sameDatabase(alive: Alive[], reference: Alive | undefined, say: Say): void {
  if (reference === undefined) return;
  for (const { node, status } of alive) {
    if (status.systemId === reference.status.systemId) continue;
    say(
      'blocker',
      'postgres.systemIdentifier',
      node.region,
      `${node.name} has system identifier ${status.systemId}, ${reference.node.name} has ${reference.status.systemId}: it is not a copy of the same database`,
      `Check that ${addressOf(node)} is the right server; build the replica anew from ${reference.node.name}.`,
    );
  }
}

/** A data directory that belongs to another server than the one that answers would make every fence proof worthless. */
export function localFiles(readings: NodeReading[], say: Say): void {
  for (const reading of readings) {
    const { node } = reading;
    const server = known(reading.server);
    if (reading.files instanceof RampartError) {
      say('blocker', 'postgres.dataDirectory', node.region, reading.files.message, reading.files.remedy);
      continue;
    }
    if (reading.files === null || server === null) continue;
    if (reading.files.postmaster === null || reading.files.control.systemId !== server.systemId) {
      say(
        'blocker',
        'postgres.dataDirectory',
        node.region,
        `${addressOf(node)} answers, and it is not the server of ${node.dataDir}`,
        'Correct host, port or dataDir of the node.',
      );
    }
    if (reading.files.signal && !server.inRecovery) {
      say(
        'warning',
        'postgres.signalOnPrimary',
        node.region,
        `${node.name} is writable and has a standby.signal: its next start will be read-only`,
        `Remove ${node.dataDir}/standby.signal if no run has put it there.`,
      );
    }
  }
}

const placeOf = ({ status }: Alive): Position | null => greatest(status.position, status.received);

/** The one that would be promoted: a writable one first, else the furthest. */
export function bestOf(candidates: Alive[]): Alive | undefined {
  const writable = candidates.find(({ status }) => !status.inRecovery);
  return (
    writable ??
    candidates.reduce<Alive | undefined>(
      (best, next) => (best === undefined || isFurther(placeOf(next), placeOf(best)) ? next : best),
      undefined,
    )
  );
}

/** Another region's replica that has more than the target. */
export function betterPlaced(alive: Alive[], target: Alive, say: Say): void {
  const better = alive.filter(
    (other) =>
      other.status.inRecovery &&
      other.node.region !== target.node.region &&
      other.status.systemId === target.status.systemId &&
      isFurther(placeOf(other), placeOf(target)),
  );
  const best = bestOf(better);
  if (best === undefined) return;
  say(
    'warning',
    'postgres.betterReplica',
    target.node.region,
    `${best.node.name} in ${best.node.region} is further (${placeOf(best)?.text}) than ${target.node.name} (${placeOf(target)?.text})`,
    `Consider --to ${best.node.region}.`,
  );
}
