/** Claims, tokens and the journal, kept in tags (see tags.ts for what that cannot do). */
import type { DBCluster } from '@aws-sdk/client-rds';
import type { RegionName } from '../../topology/model.ts';
import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import type { At, Claim, ClaimReceipt, Journal, Receipt, Token } from '../ports.ts';
import { asFailure } from './api.ts';
import { type Aurora, type AuroraNode, nodesAt, where } from './config.ts';
import { generationOf } from './generation.ts';
import { describeCluster, describeGlobal, saidOfCluster, saidOfGlobal } from './look.ts';
import { type Change, inTurn, type Kept, readTags, writeTags } from './tags.ts';

/** The token that every mutation carries. @throws InvalidInput without one */
export function tokenOf({ context }: Aurora): Token {
  if (context.token !== undefined) return context.token;
  throw new RampartError('InvalidInput', 'a step that changes a store was called without a token', {
    remedy: 'Claim the store first; every later step carries the claim.',
  });
}

/** What the store is known to be at the moment of the check; `null` = not looked at. */
export interface Identity {
  systemId: string | null;
  generation: number | null;
}

/** @throws Conflict for a claim, a step, a store or a generation other than the token's */
export function checkToken(place: string, claim: Claim | null, token: Token, identity: Identity): void {
  const refuse = (why: string, remedy: string): never => {
    throw new RampartError('Conflict', `${place} refuses this step: ${why}`, { remedy, details: { claim, token } });
  };
  if (claim === null) refuse('no run has claimed it', 'Claim it first.');
  else if (claim.epoch !== token.epoch || claim.runId !== token.runId) {
    refuse(
      `it is claimed by run ${claim.runId} (epoch ${claim.epoch}), the step belongs to run ${token.runId} (epoch ${token.epoch})`,
      'Let the newer run decide; end the older one.',
    );
  } else if (token.seq < claim.seq) {
    refuse(
      `a later step (${claim.seq}) of the same run has acted, this one is ${token.seq}`,
      'Nothing: it comes too late.',
    );
  }
  if (token.systemId !== null && identity.systemId !== null && token.systemId !== identity.systemId) {
    refuse(
      `it is ${identity.systemId}, the plan was made for ${token.systemId}`,
      'Check the identifiers in the topology.',
    );
  }
  if (
    token.expectedTimeline !== null &&
    identity.generation !== null &&
    token.expectedTimeline !== identity.generation
  ) {
    refuse(
      `the writer has moved to generation ${identity.generation}, the plan was made for ${token.expectedTimeline}`,
      'Somebody has switched meanwhile: make a new plan.',
    );
  }
}

/**
 * Accepts the token, writes its number, and whatever else is to be remembered, in one call.
 * @param edit what to write besides; nothing when absent
 */
export function mutate(
  aurora: Aurora,
  region: RegionName,
  identity: Identity,
  edit: (kept: Kept, cluster: DBCluster) => Change = () => ({}),
): Promise<Kept> {
  const token = tokenOf(aurora);
  const node = nodesAt(aurora, { region })[0]!;
  return inTurn(node, async () => {
    const cluster = await describeCluster(aurora, node);
    const kept = readTags(cluster.TagList, region);
    checkToken(where(aurora, node), kept.claim, token, identity);
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
  const token = tokenOf(aurora);
  const node = nodesAt(aurora, at)[0]!;
  const place = where(aurora, node);
  return inTurn(node, async () => {
    const cluster = await describeCluster(aurora, node);
    const kept = readTags(cluster.TagList, at.region);
    const previous = kept.claim;
    const same = previous?.epoch === token.epoch && previous.runId === token.runId;
    if (previous !== null && !same && previous.epoch >= token.epoch) {
      throw new RampartError('Conflict', `${place} is claimed by run ${previous.runId} with epoch ${previous.epoch}`, {
        remedy: `Read the claims again and take epoch ${previous.epoch + 1}, or let that run go on.`,
        details: { claim: previous },
      });
    }
    const ours = kept.journal?.runId === opened.runId ? kept.journal : null;
    if (same && token.seq < previous.seq && ours?.open === false) {
      // The run has closed its journal: a late attempt would leave it open for ever.
      throw new RampartError('Conflict', `${place}: a later step (${previous.seq}) of the same run has acted`, {
        remedy: `Nothing: this claim (step ${token.seq}) comes too late.`,
        details: { claim: previous },
      });
    }
    const current: Claim = {
      epoch: token.epoch,
      runId: token.runId,
      seq: same ? Math.max(previous.seq, token.seq) : token.seq,
      at: aurora.context.now(),
    };
    const already = same && ours?.open === true;
    const adopted = already || kept.journal?.open !== true ? null : kept.journal;
    if (already) {
      if (token.seq > previous.seq) await writeTags(aurora, node, cluster, kept, { claim: current });
    } else {
      const journal: Journal = {
        ...opened,
        saved: { ...opened.saved, ...adopted?.saved },
        fencedAt: adopted?.fencedAt ?? opened.fencedAt,
        lastTouched: aurora.context.now(),
        open: true,
      };
      const generation = await generationNow(aurora, node, cluster, kept);
      await writeTags(aurora, node, cluster, kept, { claim: current, journal, ...generation });
      await clock.sleep(aurora.config.claimSettle, aurora.context.signal).catch(() => undefined);
      aurora.context.signal.throwIfAborted();
      const back = readTags((await describeCluster(aurora, node)).TagList, at.region).claim;
      if (back?.epoch !== current.epoch || back.runId !== current.runId) {
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
  const token = tokenOf(aurora);
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
  await mutate(aurora, at.region, { systemId: null, generation: null }, ({ journal: present }) => {
    if (present === null)
      throw new RampartError('Conflict', `${where(aurora, node)} has no journal`, { remedy: 'Claim it first.' });
    wasOpen = present.open;
    return {
      journal: {
        ...present,
        saved: { ...change.saved, ...present.saved },
        fencedAt: change.fencedAt === undefined ? present.fencedAt : change.fencedAt,
        open: change.open ?? present.open,
        lastTouched: aurora.context.now(),
      },
    };
  });
  return receipt(!wasOpen && change.open === false, change.open === false ? 'journal closed' : 'journal touched');
}
