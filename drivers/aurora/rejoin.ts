/** How an old primary comes back: Aurora does that by itself, so it is watched, and what it kept aside is named. */
import type { DBClusterSnapshot } from '@aws-sdk/client-rds';
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { At, LeftBehind, LeftBehindReceipt, Receipt } from '../ports.ts';
import { tokenOf } from '../store-claims.ts';
import { asFailure, rdsApi, readLimit } from './api.ts';
import { type Aurora, type AuroraNode, nodesAt, where } from './config.ts';
import { escapeRejoin } from './escape.ts';
import { milestones } from './events.ts';
import { type Agreed, agreed, look } from './look.ts';

/** What Aurora calls the copy of what a side held when it was given up. */
const KEPT = 'rds:unplanned-global-failover-';

/**
 * Waits until the side is a connected reader of the new writer.
 * @throws PreconditionFailed when it is no member any more, so that nothing will bring it back by itself;
 * DeadlineExceeded while Aurora still works on it
 */
export async function rejoin(aurora: Aurora, at: At, primary: RegionName): Promise<Receipt> {
  tokenOf(aurora.context);
  const { context, config } = aurora;
  const node = nodesAt(aurora, at)[0]!;
  const begun = context.now();
  let state = await stateOf(aurora, at.region, primary);
  if (state.done) return receipt(aurora, true, `${at.region} follows ${primary} by itself`, await keptBy(aurora, node));
  const done = await poll(
    { signal: context.signal, deadlineMs: config.rejoinTimeout, intervalMs: config.poll },
    async () => {
      state = await stateOf(aurora, at.region, primary);
      const last = state.done ? undefined : (await milestones(aurora, [node], begun)).at(-1);
      context.heartbeat({ state: state.text, ...(last === undefined ? {} : { milestone: last.text }) });
      return state.done ? true : undefined;
    },
  );
  const kept = await keptBy(aurora, node);
  if (done) return receipt(aurora, false, `${at.region} follows ${primary}: Aurora has brought it back`, kept);
  throw new RampartError('DeadlineExceeded', [`${where(aurora, node)}: ${state.text}`, ...textOf(kept)].join('; '), {
    remedy: 'Aurora brings it back by itself, which takes minutes to hours: run the same again later, it only waits.',
  });
}

async function stateOf(
  aurora: Aurora,
  region: RegionName,
  primary: RegionName,
): Promise<{ done: boolean; text: string }> {
  const seen = await look(aurora);
  const said: Agreed = agreed(seen, aurora, region);
  if (said.operation !== null) return { done: false, text: `Aurora is still switching (${said.operation.status})` };
  if (said.writer !== primary)
    throw new RampartError(
      'PreconditionFailed',
      `the writer of ${aurora.name} is ${said.writer ?? 'in no side of the topology'}, not ${primary}`,
      {
        remedy: 'Start again: the new plan names the present writer.',
      },
    );
  const sync = said.members[region];
  if (sync === undefined) {
    throw new RampartError(
      'PreconditionFailed',
      `${aurora.name} in ${region} is no member any more: Aurora does not bring it back`,
      {
        remedy: `By hand: ${escapeRejoin(aurora, region).join(' ; ')}`,
      },
    );
  }
  const cluster = seen.clusters[region]!;
  if (cluster instanceof RampartError) return { done: false, text: cluster.message };
  if (sync === 'pending-resync') return { done: false, text: 'Aurora is rebuilding it (pending-resync)' };
  if (cluster.Status !== 'available') return { done: false, text: `its cluster is ${cluster.Status}` };
  return { done: true, text: sync };
}

interface Aside {
  id: string;
  text: string;
}

/** A region that does not answer says nothing of what it keeps. */
const textOf = (kept: Aside | RampartError | null): string[] => {
  if (kept === null) return [];
  return [kept instanceof RampartError ? `whether Aurora kept what it held is not known: ${kept.message}` : kept.text];
};

function receipt(aurora: Aurora, already: boolean, what: string, kept: Aside | RampartError | null): Receipt {
  return {
    already,
    at: aurora.context.now(),
    summary: [what, ...textOf(kept)].join('; '),
    facts: kept === null || kept instanceof RampartError ? {} : { snapshot: kept.id },
  };
}

/** The newest snapshot that Aurora made of this side when it was given up; `null`: none. */
async function keptBy(aurora: Aurora, node: AuroraNode): Promise<Aside | RampartError | null> {
  if (aurora.globalCluster === null) return null;
  const [api, { DescribeDBClusterSnapshotsCommand }] = await Promise.all([
    rdsApi(aurora, node),
    import('@aws-sdk/client-rds'),
  ]);
  const all: DBClusterSnapshot[] = [];
  let Marker: string | undefined;
  do {
    const command = new DescribeDBClusterSnapshotsCommand({ DBClusterIdentifier: node.cluster, Marker });
    const page = await api
      .call('DescribeDBClusterSnapshots', (rds, o) => rds.send(command, o), readLimit(aurora))
      .catch(asFailure);
    if (page instanceof RampartError) return page;
    all.push(...(page.DBClusterSnapshots ?? []));
    Marker = page.Marker;
  } while (Marker !== undefined && Marker !== '');
  const found = all
    .filter(({ DBClusterSnapshotIdentifier: id }) => id?.startsWith(KEPT))
    .sort((a, b) => (b.SnapshotCreateTime?.getTime() ?? 0) - (a.SnapshotCreateTime?.getTime() ?? 0))[0];
  if (found === undefined) return null;
  const id = found.DBClusterSnapshotIdentifier!;
  const days = found.BackupRetentionPeriod;
  return {
    id,
    text: `Aurora kept what it held in the snapshot ${id}: copy it to one of your own before its retention${days === undefined ? '' : ` of ${days} days`} ends (aws rds copy-db-cluster-snapshot --region ${node.place.region} --source-db-cluster-snapshot-identifier ${id} --target-db-cluster-snapshot-identifier ${node.cluster}-before-failover)`,
  };
}

/** Reads only: Aurora rewinds an old primary by building its volume anew, and snapshots the old one before, if it can. */
export async function leftBehind(aurora: Aurora, at: At): Promise<LeftBehindReceipt> {
  const node = nodesAt(aurora, at)[0]!;
  const kept = await keptBy(aurora, node);
  const base: LeftBehind = {
    ...{ node: node.name, region: at.region, kind: 'none', from: null, to: null, bytes: null, transactions: null },
    ...{ otherCommits: 0, firstCommit: null, lastCommit: null, tables: [], moreTables: 0, complete: true, note: '' },
  };
  const one = aurora.globalCluster === null;
  const note = one
    ? 'One volume under all instances: there is nothing that did not arrive.'
    : kept === null
      ? `No snapshot ${KEPT}* is there: Aurora could not keep the old volume, or has not yet, or was not asked for a failover.`
      : kept instanceof RampartError
        ? `Whether there is a snapshot ${KEPT}* is not known, look again when ${at.region} answers: ${kept.message}`
        : `${kept.text}. Restore it beside the database to read what did not arrive.`;
  // Without reading that snapshot nobody can tell what it holds alone.
  const left: LeftBehind = { ...base, kind: one ? 'none' : 'unreadable', complete: one, note };
  return {
    already: true,
    at: aurora.context.now(),
    summary: note,
    facts: { leftBehind: [JSON.parse(JSON.stringify(left))] },
  };
}
