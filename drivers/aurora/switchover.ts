/**
 * The one call that switches: look first, send once. Which call it is follows from the mode and from nothing else: a
 * planned switch never becomes one that loses data.
 */
import type { DBCluster } from '@aws-sdk/client-rds';
import type { RegionName } from '../../topology/model.ts';
import { AwsRefusal } from '../aws/errors.ts';
import { RampartError } from '../errors.ts';
import type { PromoteReceipt, Token } from '../ports.ts';
import { checkToken, tokenOf } from '../store-claims.ts';
import { asFailure } from './api.ts';
import { mutate } from './claim.ts';
import { type Aurora, type AuroraNode, where } from './config.ts';
import { finish, follow, heard, losesData, type Mode, type Sent } from './follow.ts';
import { generationOf } from './generation.ts';
import { assertNotGivenUp, end, note } from './intent.ts';
import { type Agreed, type Look, look, type Operation } from './look.ts';
import { allTags, tagsAt } from './observe.ts';
import { send } from './send.ts';
import { nodeOfSide } from './sql.ts';
import type { Intent } from './tags.ts';

export async function switchover(
  aurora: Aurora,
  from: RegionName,
  to: RegionName,
  mode: Mode,
): Promise<PromoteReceipt> {
  const token = tokenOf(aurora.context);
  aurora.context.signal.throwIfAborted();
  const [source, target] = [nodeOfSide(aurora, from), nodeOfSide(aurora, to)];
  const seen = await look(aurora);
  const said = heard(seen, aurora, mode === 'unplanned' ? from : null);
  checkClaims(aurora, seen, said, token, mode, [from, to]);
  const lost = aurora.globalCluster !== null && seen.clusters[from] instanceof RampartError ? from : null;
  if (said.operation !== null) {
    assertOurs(aurora, said.operation, to, mode);
    await remember(aurora, target, token);
    const since = aurora.context.now();
    return follow(aurora, source, target, { mode, since, sent: 'unknown', seen: true, lost });
  }
  const generation = said.writer === null ? null : generationOf(allTags(aurora, seen), said.writer);
  if (said.writer === to) {
    if (token.expectedTimeline !== null && generation!.number <= token.expectedTimeline)
      throw new RampartError('Conflict', `${to} has been the writer of ${aurora.name} all along`, {
        remedy: 'Make a new plan.',
      });
    return finish(aurora, source, target, true, lost);
  }
  assertCanMove(aurora, said, from, to);
  const identity = { systemId: said.systemId, timeline: generation!.number };
  const earlier = tagsAt(seen, to)?.intent ?? null;
  await assertNotGivenUp(aurora, [source, target], earlier, token, target);
  // Before anything is sent, on every side that answers: from now on an earlier attempt is refused. The target last,
  // because its note says that the call is on its way.
  if (lost === null) await touchSource(aurora, from, to, identity, mode);
  await note(aurora, to, identity, generation!);
  const since = aurora.context.now();
  const sent = await sendOnce(aurora, source, target, seen, mode, earlier);
  return follow(aurora, source, target, { mode, since, sent, seen: false, lost });
}

/** A switch under way is waited for only where it is the one that would be asked for. */
function assertOurs(aurora: Aurora, operation: Operation, to: RegionName, mode: Mode): void {
  const { to: other, status } = operation;
  if (other !== null && other !== to)
    throw new RampartError(
      'PreconditionFailed',
      `Aurora is switching ${aurora.name} to ${other} (${status}), not to ${to}`,
      {
        remedy: 'Wait until that has ended, then make a new plan.',
      },
    );
  const lossy = losesData(aurora, operation, mode);
  if (lossy !== undefined) throw lossy;
}

function assertCanMove(aurora: Aurora, said: Agreed, from: RegionName, to: RegionName): void {
  if (said.writer !== from)
    throw new RampartError(
      'PreconditionFailed',
      `the writer of ${aurora.name} is ${said.writer ?? 'in no side of the topology'}, not ${from}`,
      {
        remedy: 'Make a new plan: it will name the present writer.',
      },
    );
  if (said.members[to] === 'pending-resync')
    throw new RampartError(
      'PreconditionFailed',
      `${aurora.name} in ${to} is being rebuilt (pending-resync): it does not hold the data yet`,
      {
        remedy: 'Wait until it is connected: rampart reprotect waits for it.',
      },
    );
}

async function sendOnce(
  aurora: Aurora,
  source: AuroraNode,
  target: AuroraNode,
  seen: Look,
  mode: Mode,
  earlier: Intent | null,
): Promise<Sent> {
  try {
    await send(aurora, source, target, (seen.clusters[target.region] as DBCluster).DBClusterArn!, mode);
    return 'accepted';
  } catch (error) {
    aurora.context.signal.throwIfAborted();
    const failure = asFailure(error);
    // Nobody knows whether it was taken: only looking tells.
    if (failure.details.maybeApplied === true) return 'unknown';
    // "Not in a state for that" may be this very switch, sent by an attempt whose answer was lost.
    if (failure instanceof AwsRefusal && /^Invalid(Global|DB)ClusterState(Fault)?$/.test(failure.code)) {
      const said = heard(await look(aurora), aurora, mode === 'unplanned' ? source.region : null);
      if (said.writer === target.region || said.operation?.to === target.region) return 'unknown';
    }
    await end(aurora, target, earlier);
    throw failure;
  }
}

function checkClaims(
  aurora: Aurora,
  seen: Look,
  said: Agreed,
  token: Token,
  mode: Mode,
  [from, to]: [RegionName, RegionName],
): void {
  const moved = said.writer !== from;
  const generation = said.writer === null || moved ? null : generationOf(allTags(aurora, seen), said.writer).number;
  for (const region of [from, to]) {
    const kept = tagsAt(seen, region);
    if (kept !== null) {
      const place = where(aurora, nodeOfSide(aurora, region));
      checkToken(place, kept, token, { systemId: said.systemId, timeline: generation });
    } else if (region === to || mode === 'planned') {
      // Only a source that does not answer is what an unplanned switch is for.
      throw seen.clusters[region] as RampartError;
    }
  }
}

/** Planned: the source must take the token, too. Unplanned: where it answers. */
async function touchSource(
  aurora: Aurora,
  from: RegionName,
  to: RegionName,
  identity: { systemId: string | null; timeline: number | null },
  mode: Mode,
): Promise<void> {
  if (aurora.globalCluster === null || from === to) return;
  await mutate(aurora, from, identity).catch((error: unknown) => {
    if (mode === 'planned' || asFailure(error).type === 'Conflict') throw error;
  });
}

/** A waiting attempt takes over: the one before it is refused from now on. */
async function remember(aurora: Aurora, target: AuroraNode, token: Token): Promise<void> {
  const { seq } = token;
  await mutate(aurora, target.region, { systemId: null, timeline: null });
  aurora.context.log.debug('a switch is under way already; waiting for it', { seq });
}
