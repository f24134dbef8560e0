/** Each side as the provider and the databases themselves show it. Never throws for a side that does not answer. */
import { isSilence } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import type { At, FenceReceipt, Lag, Millis, NodeObservation, Position } from '../ports.ts';
import { asFailure } from './api.ts';
import { type Aurora, type AuroraNode, nodesAt, where } from './config.ts';
import { generationOf } from './generation.ts';
import { type Agreed, agreed, type Look, look } from './look.ts';
import { lagPublished } from './metric.ts';
import { ask, lagTold, placeOf, rowOf, serverOf, type Told } from './sql.ts';
import { type Kept, readTags } from './tags.ts';

export async function observe(aurora: Aurora, at: At): Promise<NodeObservation[]> {
  return describe(aurora, at, await look(aurora));
}

const looked = new Map<string, { at: Millis; seen: Promise<Look> }>();

/**
 * For the sampler, every second: the databases are asked each time, the APIs only now and then, because their limits
 * are shared by everybody in the account.
 */
export async function sample(aurora: Aurora, at: At): Promise<NodeObservation[]> {
  const key = JSON.stringify([
    aurora.name,
    aurora.globalCluster,
    aurora.nodes.map(({ place, cluster }) => [place, cluster]),
  ]);
  const now = aurora.context.now();
  let kept = looked.get(key);
  if (kept === undefined || now - kept.at >= aurora.config.sampleEvery) {
    kept = { at: now, seen: look(aurora) };
    looked.set(key, kept);
    kept.seen.catch(() => looked.delete(key));
  }
  // Somebody else's look ends with somebody else's call; one of its own does not.
  const seen = await kept.seen.catch(() => look(aurora));
  return describe(aurora, at, seen);
}

async function describe(aurora: Aurora, at: At, seen: Look): Promise<NodeObservation[]> {
  const nodes = nodesAt(aurora, at);
  const observedAt = aurora.context.now();
  const base = (node: AuroraNode): NodeObservation => ({
    ...{ node: node.name, region: node.region, state: 'unknown', via: 'network', observedAt },
    ...{ systemId: null, timeline: null, position: null, received: null, upstream: null, lag: null },
    ...{ replicas: [], fence: null, sync: null, claim: null, journal: null, detail: '' },
  });
  let said: Agreed;
  let kept: Kept | null;
  try {
    said = agreed(seen, aurora);
    kept = tagsAt(seen, at.region);
  } catch (error) {
    const failure = asFailure(error);
    const state = isSilence(failure) ? 'unreachable' : 'unknown';
    return nodes.map((node) => ({ ...base(node), state, detail: failure.message }));
  }
  const generation = said.writer === null ? null : generationOf(allTags(aurora, seen), said.writer).number;
  const writer = aurora.nodes.find(({ name }) => name === said.writerNode);
  const fromWriter = writer === undefined ? null : await tell(aurora, writer, seen, 'writer');
  return Promise.all(
    nodes.map(async (node): Promise<NodeObservation> => {
      const known: NodeObservation = {
        ...base(node),
        systemId: said.systemId,
        timeline: generation,
        claim: kept?.claim ?? null,
        journal: kept?.journal ?? null,
      };
      const isWriter = node === writer;
      const verdict = judge(aurora, node, seen, said, isWriter ? fromWriter : null);
      if (verdict.state === 'unreachable' || verdict.state === 'unknown') return { ...known, ...verdict };
      // Any instance tells of all sides; the writer's own word is the newest.
      const told =
        fromWriter instanceof RampartError || fromWriter === null
          ? await tell(aurora, node, seen, isWriter ? 'writer' : 'reader')
          : fromWriter;
      const heard = told instanceof RampartError ? null : told;
      const position = placeOf(rowOf(aurora, heard, node), generation);
      if (isWriter) return { ...known, ...verdict, position, sync: { enabled: false, cancelledWaiters: 'none' } };
      const lag = writer === undefined ? null : await lagOf(aurora, heard, node, writer);
      // The provider goes on calling it connected when the writer is gone: the writer's own word counts, or a fresh lag.
      const alive = (fromWriter !== null && !(fromWriter instanceof RampartError)) || lag?.fresh === true;
      const upstream = {
        address:
          writer === undefined ? (said.writer ?? '') : `${writer.place.region}:${writer.instance ?? writer.cluster}`,
        node: writer?.name ?? null,
        streaming: said.members[node.region] !== 'pending-resync' && alive,
      };
      return { ...known, ...verdict, position, received: position, upstream, lag };
    }),
  );
}

/** The state of one node, and why in a sentence. */
function judge(
  aurora: Aurora,
  node: AuroraNode,
  seen: Look,
  said: Agreed,
  told: Told | RampartError | null,
): Pick<NodeObservation, 'state' | 'detail'> {
  const cluster = seen.clusters[node.region]!;
  const isWriter = node.name === said.writerNode;
  const role = isWriter ? 'the writer' : 'a reader';
  if (said.operation !== null) {
    const { status, to } = said.operation;
    return { state: 'unknown', detail: `Aurora is switching${to === null ? '' : ` to ${to}`} (${status})` };
  }
  if (cluster instanceof RampartError) {
    const provider = `Aurora says in ${said.by.join(' and ')} that ${node.region} is ${role}`;
    if (isWriter && told !== null && !(told instanceof RampartError) && !told.recovering)
      return {
        state: 'writable',
        detail: `${provider}, and it accepts writes; its API does not answer: ${cluster.message}`,
      };
    return { state: isSilence(cluster) ? 'unreachable' : 'unknown', detail: `${cluster.message}; ${provider}` };
  }
  if (!(node.region in said.members)) {
    const whole = aurora.globalCluster === null ? `cluster ${node.cluster}` : `global cluster ${aurora.globalCluster}`;
    return {
      state: 'unknown',
      detail: `${where(aurora, node)} is no member of ${whole} any more: it may accept writes of its own`,
    };
  }
  const present = cluster.DBClusterMembers ?? [];
  if (node.instance !== null && !present.some(({ DBInstanceIdentifier }) => DBInstanceIdentifier === node.instance))
    return { state: 'unknown', detail: `cluster ${node.cluster} has no instance ${node.instance}` };
  if (present.length === 0)
    return {
      state: 'unknown',
      detail: `cluster ${node.cluster} has no instance (headless): nothing there could take writes`,
    };
  if (cluster.Status !== 'available')
    return { state: 'unknown', detail: `cluster ${node.cluster} is ${cluster.Status}` };
  if (!isWriter) {
    const sync = said.members[node.region];
    return {
      state: 'replica',
      detail: sync === 'pending-resync' ? 'Aurora is rebuilding it (pending-resync)' : 'follows the writer',
    };
  }
  if (told === null) return { state: 'unknown', detail: 'Aurora says that it is the writer; it has no address to ask' };
  if (told instanceof RampartError)
    return {
      state: 'unknown',
      detail: `Aurora says that it is the writer; its database does not say so: ${told.message}`,
    };
  if (told.recovering)
    return { state: 'unknown', detail: 'Aurora says that it is the writer; its database is read-only' };
  return { state: 'writable', detail: 'the writer, as Aurora and its database say' };
}

/** @returns `null` when there is no address */
async function tell(
  aurora: Aurora,
  node: AuroraNode,
  seen: Look,
  as: 'writer' | 'reader',
): Promise<Told | RampartError | null> {
  const cluster = seen.clusters[node.region]!;
  const server = serverOf(aurora, node, cluster instanceof RampartError ? null : cluster, as);
  return server === null ? null : ask(aurora, server).catch(asFailure);
}

/** By the databases; where they do not tell, or not freshly, by what the provider publishes outside the writer's region. */
async function lagOf(aurora: Aurora, told: Told | null, node: AuroraNode, writer: AuroraNode): Promise<Lag | null> {
  const lag = lagTold(aurora, told, node, writer);
  if (lag?.fresh) return lag;
  const published = await lagPublished(aurora, node).catch(asFailure);
  return published instanceof RampartError || published === null ? lag : published;
}

/** Tags of one side; `null` when its API does not answer. */
export function tagsAt(seen: Look, region: string): Kept | null {
  const cluster = seen.clusters[region];
  return cluster === undefined || cluster instanceof RampartError ? null : readTags(cluster.TagList, region);
}

export const allTags = (aurora: Aurora, seen: Look): Array<Kept | null> =>
  aurora.regions.map((region) => tagsAt(seen, region));

/** Position and role of the writer alone. */
export async function writerPlace(
  aurora: Aurora,
  seen: Look,
  node: AuroraNode,
  generation: number,
): Promise<Position | null> {
  const told = await tell(aurora, node, seen, 'writer');
  return told === null || told instanceof RampartError ? null : placeOf(rowOf(aurora, told, node), generation);
}

/** The provider's word, as its other regions give it: a region that is cut off would still call itself the writer. */
export async function prove(aurora: Aurora, at: At): Promise<FenceReceipt> {
  const seen = await look(aurora);
  const said = agreed(seen, aurora, at.region);
  const moved = said.operation === null && said.writer !== null && said.writer !== at.region;
  const provenAt = aurora.context.now();
  const tags = allTags(aurora, seen);
  return {
    already: true,
    at: provenAt,
    summary: moved
      ? `Aurora says in ${said.by.join(' and ')} that ${said.writer} is the writer; ${at.region} itself was not looked at`
      : `${at.region} may write: Aurora names ${said.operation === null ? (said.writer ?? 'nobody') : 'nobody yet'} as the writer`,
    facts: {},
    fence: {
      region: at.region,
      cannotWrite: moved ? 'provider' : 'none',
      finalPosition: null,
      durable: moved,
      systemId: said.systemId,
      timeline: said.writer === null ? null : generationOf(tags, said.writer).number,
      epoch: tagsAt(seen, at.region)?.claim?.epoch ?? Math.max(0, ...tags.map((kept) => kept?.claim?.epoch ?? 0)),
      needsRewind: false,
      provenAt,
    },
  };
}
