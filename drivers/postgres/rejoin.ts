/**
 * Makes a node follow the new primary without destroying anything: the old primary after a clean fence, and replicas
 * (siblings of the target, other regions) that still point at the old one. A node with log of its own beyond the fork
 * is left as it is and reported: only `rebuild` may repair it.
 */

import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { At, Json, Receipt } from '../ports.ts';
import type { Fork } from '../sql/lsn.ts';
import { readStatus, type ServerStatus } from '../sql/status.ts';
import { type Identity, tokenOf } from '../store-claims.ts';
import { apartFrom } from './apart.ts';
import { withClaim } from './claim.ts';
import { type Cluster, nodesAt, type PgNode } from './config.ts';
import { greatestTimeline } from './control-data.ts';
import { writableNode } from './converge.ts';
import {
  awaitStreaming,
  conninfoFor,
  holdTimeline,
  isHeld,
  readAutoConf,
  repointRunning,
  repointStopped,
} from './follow.ts';
import { asFailure, known, type NodeReading, readNode } from './reading.ts';
import { endRepair, unfinished } from './repair-resume.ts';
import { awaitStarted, hasSignal, type LocalNode, local, requestStart, stopServer, writeSignal } from './server.ts';
import { changeSetting, readSetting } from './settings.ts';
import { dropLeftSlots, dropSlot, ensureSlot } from './slots.ts';
import { restoreSync } from './sync-settings.ts';
import { forksOf } from './timeline.ts';

/** Longest wait for the node to stream, milliseconds: it may have log to replay first. */
const FOLLOW_MS = 60_000;
const START_MS = 300_000;

export interface Primary {
  node: PgNode;
  status: ServerStatus;
  timeline: number;
  forks: Fork[] | null;
}

/** The primary that nodes are to follow. */
export async function primaryOf(cluster: Cluster, region: RegionName): Promise<Primary> {
  const node = await writableNode(cluster, region);
  const status = await readStatus(cluster, node);
  return { node, status, timeline: status.timeline, forks: await forksOf(cluster, node, status.timeline) };
}

/**
 * @returns `facts.needs: 'rebuild'` with the nodes in `facts.diverged` when a node cannot follow as it is
 * @throws SplitBrain when the node is writable
 */
export async function rejoin(cluster: Cluster, at: At, region: RegionName): Promise<Receipt> {
  tokenOf(cluster.context);
  const primary = await primaryOf(cluster, region);
  const results: NodeResult[] = [];
  for (const node of nodesAt(cluster, at)) {
    if (node !== primary.node) results.push(await rejoinNode(cluster, node, primary));
  }
  const droppedSlots = await dropLeftSlots(cluster, primary.node);
  const sync = await restoreSync(cluster, primary.node);
  const named = (outcome: NodeResult['outcome']): string[] =>
    results.filter((result) => result.outcome === outcome).map((result) => result.node);
  const [diverged, unable] = [named('diverged'), named('unable')];
  return {
    already: results.every((result) => result.outcome === 'already'),
    at: cluster.context.now(),
    summary: results.map((result) => result.summary).join('; ') || `${at.region} has no node that could follow`,
    facts: {
      ...(diverged.length + unable.length > 0 ? { needs: 'rebuild', diverged, unable } : {}),
      droppedSlots,
      syncRestored: sync.restored as Json,
      syncWaiting: sync.waiting as Json,
    },
  };
}

interface NodeResult {
  node: string;
  /** `diverged`: it has log of its own. `unable`: something else keeps it from ever following as it is. */
  outcome: 'already' | 'joined' | 'diverged' | 'unable';
  summary: string;
}

async function rejoinNode(cluster: Cluster, node: PgNode, primary: Primary): Promise<NodeResult> {
  const reading = await readNode(cluster, node);
  const server = known(reading.server);
  const files = known(reading.files);
  const systemId = server?.systemId ?? files?.control.systemId ?? null;
  if (systemId !== null && systemId !== primary.status.systemId) {
    throw new RampartError(
      'PreconditionFailed',
      `${node.name} has system identifier ${systemId}, the primary ${primary.status.systemId}`,
      {
        remedy: 'Check host, port and dataDir of the node: it is another database.',
      },
    );
  }
  const identity: Identity = { systemId, timeline: null };
  const cutOff =
    server === null && node.here && node.dataDir !== null ? await cutOffRepair(cluster, local(node)) : null;
  if (server === null && files === null && cutOff === null) throw unreadable(node, reading);
  // First of all: slots on the primary are changed before anything of the node itself.
  await withClaim(cluster, node, identity, async () => {});
  if (cutOff !== null) return { node: node.name, outcome: 'unable', summary: cutOff };
  if (server !== null && !server.inRecovery) return writable(node, reading);
  const before = await presentConninfo(cluster, node, reading);
  const conninfo = await conninfoFor(cluster, node, primary.node, before);
  const apart = await apartFrom(cluster, reading, primary);
  if (apart !== null) return leaveApart(cluster, node, primary, server === null ? conninfo : null, apart);
  // Before it starts and gets log of newer ones; the control file alone may be behind.
  const timeline = server?.timeline ?? (await greatestTimeline(local(node).dataDir, files!.control));
  const fork = primary.forks?.find((each) => each.timeline === timeline) ?? null;
  await ensureSlot(cluster, primary.node, node);
  const runs = server !== null && !(await lettingGo(cluster, node, server, primary, conninfo));
  const changed = await withClaim(cluster, node, identity, async () => {
    if (runs) return repointRunning(cluster, node, conninfo);
    return startAsReplica(cluster, local(node), conninfo);
  });
  const refused = runs ? null : await startRefused(cluster, local(node));
  if (refused !== null) {
    await dropSlot(cluster, primary.node, node);
    return { node: node.name, outcome: 'unable', summary: refused };
  }
  const followed = await awaitStreaming(cluster, node, { ...primary, fork }, FOLLOW_MS);
  if (!followed.streaming) {
    if (followed.cause === 'diverged') {
      return leaveApart(cluster, node, primary, null, `${node.name} has log of its own: ${followed.why}`);
    }
    if (followed.cause === 'logGone') {
      await letGoOfSlot(cluster, node, primary);
      return { node: node.name, outcome: 'unable', summary: `${node.name} cannot follow: ${followed.why}` };
    }
    throw new RampartError('NotApplied', `${node.name} does not stream from ${primary.node.name}: ${followed.why}`, {
      remedy: `Look at the log of ${node.name}: address, replication role and pg_hba.conf of ${primary.node.name}.`,
    });
  }
  await settle(cluster, node, identity);
  const what = changed ? 'follows' : 'followed already';
  return {
    node: node.name,
    outcome: changed ? 'joined' : 'already',
    summary: `${node.name} ${what} ${primary.node.name} on timeline ${primary.timeline}`,
  };
}

/** A node that streams is no fenced side any more, and no repair of it is under way. */
export async function settle(cluster: Cluster, node: PgNode, identity: Identity): Promise<void> {
  await withClaim(cluster, node, identity, async ({ record, save }) => {
    // It follows now: since when it was fenced is nobody's to take back any more.
    const stale = record.fence !== null || record.journal?.fencedAt != null;
    const journal = record.journal === null ? {} : { journal: { ...record.journal, fencedAt: null } };
    if (stale) await save({ fence: null, ...journal });
    if (node.here && node.dataDir !== null) await endRepair(local(node));
  });
}

/** Starts a stopped server read-only, pointed at the primary. Under the node's lock. */
export async function startAsReplica(cluster: Cluster, node: LocalNode, conninfo: string): Promise<boolean> {
  if (!(await hasSignal(node))) await writeSignal(node);
  await repointStopped(node, conninfo);
  await requestStart(cluster, node);
  return true;
}

/** Its directory is half rewound, missing, or has the primary's configuration: only the repair itself may start it. */
async function cutOffRepair(cluster: Cluster, node: LocalNode): Promise<string | null> {
  const repair = await unfinished(node, cluster.context.signal);
  if (repair === null || ['keep', 'start'].includes(repair.phase)) return null;
  return `the repair of ${node.name} that run ${repair.runId} began was cut off (${repair.phase})`;
}

/** Stops a server that is held on an older timeline; its settings say first what it comes up with, whoever starts it. */
async function lettingGo(
  cluster: Cluster,
  node: PgNode,
  server: ServerStatus,
  primary: Primary,
  conninfo: string,
): Promise<boolean> {
  const here = node.here && node.dataDir !== null ? local(node) : null;
  if (here === null || server.timeline === primary.timeline || !(await isHeld(cluster, node))) return false;
  await withClaim(cluster, node, { systemId: null, timeline: null }, async () => {
    if (!(await hasSignal(here))) await writeSignal(here);
    await repointStopped(here, conninfo);
  });
  await stopServer(cluster, here);
  return true;
}

/** A recovery that can never come to its end, in the words of PostgreSQL's log. */
const NO_RECOVERY =
  /requested timeline \d+ (does not contain minimum recovery point|is not a child of this server's history)|could not (locate (a valid|required) checkpoint record|find redo location)|WAL ends before (consistent recovery point|end of online backup)/;

/** Waits for the start. @returns why no start of this directory will ever succeed, `null` = it takes sessions */
async function startRefused(cluster: Cluster, node: LocalNode): Promise<string | null> {
  try {
    await awaitStarted(cluster, node, START_MS);
    return null;
  } catch (error) {
    if (!(error instanceof RampartError) || error.type !== 'PreconditionFailed') throw error;
    if (!NO_RECOVERY.test(error.message)) throw error;
    return error.message;
  }
}

/**
 * Leaves a node with log of its own as it is: read-only, and the same whenever it is started again, so that its rows
 * can be read until it is rebuilt.
 * @param conninfo for a stopped server, which is started; `null` = it runs
 */
async function leaveApart(
  cluster: Cluster,
  node: PgNode,
  primary: Primary,
  conninfo: string | null,
  why: string,
): Promise<NodeResult> {
  const result = { node: node.name, outcome: 'diverged' as const };
  const here = node.here && node.dataDir !== null ? local(node) : null;
  await withClaim(cluster, node, { systemId: null, timeline: null }, async () => {
    if (here === null) return;
    if (conninfo === null) return holdTimeline(here);
    if (!(await hasSignal(here))) await writeSignal(here);
    await holdTimeline(here, { primary_conninfo: conninfo, primary_slot_name: '' });
    await requestStart(cluster, here);
  });
  if (conninfo === null || here === null) await letGoOfSlot(cluster, node, primary);
  else {
    await dropSlot(cluster, primary.node, node);
    const failure = await awaitStarted(cluster, here, START_MS).catch(asFailure);
    if (failure instanceof RampartError) return { ...result, summary: `${why}; ${failure.message}` };
  }
  return { ...result, summary: why };
}

/**
 * Until the repair the slot would only hold log back on the primary; and the node, which goes on trying, would keep it
 * busy.
 */
async function letGoOfSlot(cluster: Cluster, node: PgNode, primary: Primary): Promise<void> {
  await changeSetting(cluster, node, 'primary_slot_name', '');
  await dropSlot(cluster, primary.node, node);
}

async function presentConninfo(cluster: Cluster, node: PgNode, reading: NodeReading): Promise<string> {
  if (known(reading.server) !== null) return (await readSetting(cluster, node, 'primary_conninfo')) ?? '';
  return readAutoConf(local(node), 'primary_conninfo');
}

/** A running server that takes writes, or would if its databases were not closed. */
function writable(node: PgNode, reading: NodeReading): NodeResult {
  const fence = known(reading.record)?.fence ?? null;
  if (fence?.how === 'sql') {
    const summary = `${node.name} was fenced by SQL and went on writing log of its own`;
    return { node: node.name, outcome: 'diverged', summary };
  }
  throw new RampartError('SplitBrain', `${node.name} is writable: it cannot follow anybody`, {
    remedy: `Fence ${node.name} first.`,
  });
}

function unreadable(node: PgNode, reading: NodeReading): RampartError {
  const { server } = reading;
  const why = server instanceof RampartError ? server.message : 'no answer';
  return new RampartError('ProviderUnavailable', `${node.name} cannot be read: ${why}`, {
    remedy: 'Start it, or bring back the worker beside it.',
  });
}
