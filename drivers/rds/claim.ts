/** Claims and the journal of a side. */

import type { At, Claim, ClaimReceipt, Journal, Receipt } from '../ports.ts';
import { changedJournal, newestClaim, takeClaim, tokenOf } from '../store-claims.ts';
import { type Fleet, sideOf } from './config.ts';
import { holderOf, recordOf, withClaim, withRecord } from './record.ts';

export async function readClaim(fleet: Fleet, at: At): Promise<ClaimReceipt> {
  const { claim, journal } = recordOf(await holderOf(fleet, sideOf(fleet, at.region)));
  return {
    already: true,
    at: fleet.context.now(),
    summary: claim === null ? 'no claim' : `claimed by run ${claim.runId}, epoch ${claim.epoch}`,
    facts: { unread: [], journals: journal?.open === true ? JSON.parse(JSON.stringify([journal])) : [] },
    claim: { region: at.region, previous: null, current: claim },
  };
}

/**
 * Takes the side for this run and opens its journal. An open journal of an earlier run is adopted.
 * @throws Conflict when a run with the same or a higher epoch has it, or the same run has closed its journal since
 */
export async function claim(fleet: Fleet, at: At, journal: Journal): Promise<ClaimReceipt> {
  const { context } = fleet;
  const side = sideOf(fleet, at.region);
  const { epoch, runId, seq } = tokenOf(context);
  const wanted: Claim = { epoch, runId, seq, at: context.now() };
  const taken = await withRecord(fleet, side, async ({ record, save }) => {
    const decided = takeClaim(side.name, record, wanted, journal, context.now());
    // The note of a promotion that an earlier run asked for stays: nobody else knows of it until RDS shows it.
    if (decided.save !== null) await save(decided.save);
    return decided;
  });
  const { adopted } = taken;
  return {
    already: taken.already,
    at: context.now(),
    summary: `${side.name} claimed with epoch ${epoch}${adopted === null ? '' : `; adopted the open journal of run ${adopted.runId}`}`,
    facts: {
      adopted: adopted === null ? [] : JSON.parse(JSON.stringify([adopted])),
      fencedAt: taken.fencedAt,
    },
    claim: { region: at.region, previous: newestClaim([taken.previous]), current: wanted },
  };
}

/**
 * Saves into the open journal of this claim and touches it.
 * @throws Conflict when the claim is not ours
 */
export async function journal(
  fleet: Fleet,
  at: At,
  change: Partial<Pick<Journal, 'saved' | 'fencedAt' | 'open'>>,
): Promise<Receipt> {
  const { context } = fleet;
  const side = sideOf(fleet, at.region);
  const summary = `${change.open === false ? 'journal closed' : 'journal touched'} in ${at.region}`;
  // A claim that was refused left no journal of ours: there is nothing to close, and what is there is another run's.
  if (change.open === false && recordOf(await holderOf(fleet, side)).journal?.runId !== tokenOf(context).runId) {
    return { already: true, at: context.now(), summary, facts: {} };
  }
  const already = await withClaim(fleet, side, { systemId: null, timeline: null }, async ({ record, save }) => {
    await save({ journal: changedJournal(side.name, record, change, context.now()) });
    return record.journal?.open === false && change.open === false;
  });
  return { already, at: context.now(), summary, facts: {} };
}
