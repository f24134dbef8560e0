/** Claims, tokens and the journal, kept in tags (see tags.ts for what that cannot do). */
import type { DBCluster } from '@aws-sdk/client-rds';
import type { RegionName } from '../../topology/model.ts';
import { inTurn } from '../aws/in-turn.ts';
import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import type { At, Claim, ClaimReceipt, Journal, Receipt } from '../ports.ts';
import { changedJournal, checkToken, type Identity, takeClaim, tokenOf } from '../store-claims.ts';
import { asFailure } from './api.ts';
import { type Aurora, type AuroraNode, nodesAt, where } from './config.ts';
import { generationOf } from './generation.ts';
import { describeCluster, describeGlobal, saidOfCluster, saidOfGlobal } from './look.ts';
import { type Change, type Kept, readTags, writeTags } from './tags.ts';

const turnOf = ({ place, cluster }: AuroraNode): string => `${place.region} ${place.endpoint ?? ''} ${cluster}`;

/**
 * Accepts the token, writes its number, and whatever else is to be remembered, in one call.
 * @param identity its timeline is the generation: how often the writer has moved
 * @param edit what to write besides; nothing when absent
 */
export function mutate(
  aurora: Aurora,
  region: RegionName,
  identity: Identity,
  edit: (kept: Kept, cluster: DBCluster) => Change = () => ({}),
): Promise<Kept> {
  const token = tokenOf(aurora.context);
  const node = nodesAt(aurora, { region })[0]!;
  return inTurn(turnOf(node), aurora.context.signal, async () => {
    const cluster = await describeCluster(aurora, node);
    const kept = readTags(cluster.TagList, region);
    checkToken(where(aurora, node), kept, token, identity);
    const change = edit(kept, cluster);
    const later = token.seq > kept.claim!.seq;
    if (later || Object.keys(change).length > 0) {
      const claim: Claim = { ...kept.claim!, seq: token.seq, at: aurora.context.now() };
      await writeTags(aurora, node, cluster, kept, { ...change, claim });
    }
    return { ...kept, ...change };
  });
}

export async function readClaim(aurora: Aurora, at: At): Promise<ClaimReceipt> {
  const node = nodesAt(aurora, at)[0]!;
  const { claim, journal } = readTags((await describeCluster(aurora, node)).TagList, at.region);
  return {
    already: true,
    at: aurora.context.now(),
    summary: claim === null ? 'no claim' : `claimed by run ${claim.runId}, epoch ${claim.epoch}`,
    facts: { journals: JSON.parse(JSON.stringify(journal?.open === true ? [journal] : [])) },
    claim: { region: at.region, previous: null, current: claim },
  };
}

/**
 * Takes the side for this run and opens its journal; that of an earlier run which is open is adopted: what it saved is
 * older and therefore the original. Written, and read back after a pause.
 * @throws Conflict when a run with the same or a higher epoch has it, or the same run has closed its journal since
 */
export async function claim(aurora: Aurora, at: At, opened: Journal): Promise<ClaimReceipt> {
  const token = tokenOf(aurora.context);
  const node = nodesAt(aurora, at)[0]!;
  const place = where(aurora, node);
  return inTurn(turnOf(node), aurora.context.signal, async () => {
    const cluster = await describeCluster(aurora, node);
    const kept = readTags(cluster.TagList, at.region);
    const { epoch, runId, seq } = token;
    const wanted: Claim = { epoch, runId, seq, at: aurora.context.now() };
    const { save, previous, already, adopted } = takeClaim(place, kept, wanted, opened, aurora.context.now());
    const current = save?.claim ?? previous!;
    if (already) {
      if (save !== null) await writeTags(aurora, node, cluster, kept, save);
    } else {
      const generation = await generationNow(aurora, node, cluster, kept);
      await writeTags(aurora, node, cluster, kept, { ...save, ...generation });
      await clock.sleep(aurora.config.claimSettle, aurora.context.signal).catch(() => undefined);
      aurora.context.signal.throwIfAborted();
      const back = readTags((await describeCluster(aurora, node)).TagList, at.region).claim;
      if (back?.epoch !== epoch || back.runId !== runId) {
        if (back?.epoch === previous?.epoch && back?.runId === previous?.runId)
          throw new RampartError('NotApplied', `${place}: the claim was accepted, and the tags do not show it`, {
            remedy: 'It is tried again by itself.',
          });
        throw new RampartError(
          'Conflict',
          `${place} was claimed by another at the same time: run ${back?.runId ?? 'none'}`,
          { remedy: 'Let that run go on, or start again: this run has changed nothing.', details: { claim: back } },
        );
      }
    }
    return {
      already,
      at: aurora.context.now(),
      summary:
        `${place} claimed with epoch ${current.epoch}` +
        (adopted === null ? '' : `; adopted the open journal of run ${adopted.runId}`),
      facts: { adopted: JSON.parse(JSON.stringify(adopted === null ? [] : [adopted])) },
      claim: { region: at.region, previous, current },
    };
  });
}

/** Where the writer is now, so that a move by somebody else is noticed later. Nothing when it cannot be told. */
async function generationNow(
  aurora: Aurora,
  node: AuroraNode,
  cluster: DBCluster,
  kept: Kept,
): Promise<Pick<Change, 'generation'>> {
  const said = await (aurora.globalCluster === null
    ? Promise.resolve(saidOfCluster(aurora, cluster))
    : describeGlobal(aurora, node).then((global) => saidOfGlobal(aurora, global))
  ).catch(asFailure);
  if (said instanceof RampartError || said.operation !== null || said.writer === null) return {};
  return { generation: generationOf([kept], said.writer) };
}

/** @throws Conflict when the claim is not ours */
export async function journal(
  aurora: Aurora,
  at: At,
  change: Partial<Pick<Journal, 'saved' | 'fencedAt' | 'open'>>,
): Promise<Receipt> {
  const token = tokenOf(aurora.context);
  const node = nodesAt(aurora, at)[0]!;
  const receipt = (already: boolean, what: string): Receipt => ({
    already,
    at: aurora.context.now(),
    summary: `${what} in ${at.region}`,
    facts: {},
  });
  if (change.open === false) {
    // A claim that was refused left no journal of ours, and what is there is another run's.
    const present = readTags((await describeCluster(aurora, node)).TagList, at.region).journal;
    if (present?.runId !== token.runId) return receipt(true, 'no journal of this run');
  }
  let wasOpen = true;
  const place = where(aurora, node);
  await mutate(aurora, at.region, { systemId: null, timeline: null }, (kept) => {
    const changed = changedJournal(place, kept, change, aurora.context.now());
    wasOpen = kept.journal!.open;
    return { journal: changed };
  });
  return receipt(!wasOpen && change.open === false, change.open === false ? 'journal closed' : 'journal touched');
}
