/** One change, and the looks that tell what came of it; the same for a load balancer and for a record. */
import { isDeepStrictEqual } from 'node:util';
import { isStale, named, sameClaim } from '../claims.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Claim, DriverContext } from '../ports.ts';
import { isEdited, type MarkedState } from './claim.ts';
import { maybeApplied } from './errors.ts';
import type { ApiConfig } from './schema.ts';

/** Pauses between looks, in milliseconds: every look is a part of the user's budget. */
const LOOK = { intervalMs: 50, maxIntervalMs: 2_000 };

export interface Change<State extends MarkedState> {
  /** The component, for messages. */
  name: string;
  config: Pick<ApiConfig, 'timeout' | 'deadline'>;
  context: Pick<DriverContext, 'signal' | 'heartbeat'>;
  claim: Claim;
  before: State;
  /** What the change is for, in words. */
  wanted: string;
  /** What to do when it is accepted and does not show. */
  remedy: string;
  /** Sends the change, with the claim in it. */
  send(): Promise<unknown>;
  read(): Promise<State>;
  /** Whether a reading is what is wanted. */
  shows(now: State): boolean;
  observed(now: State): string;
}

/**
 * Sends the change once and looks until it shows. Cloudflare has no conditional write: somebody may write between our
 * look and our change. The looks afterwards find it: a newer claim or a person's edit is a `Conflict`, and an older
 * attempt that came in last is overwritten, once.
 * @throws Conflict, NotApplied, ProviderUnavailable when the answer was lost and the change does not show, and what
 *   `send` throws
 */
export async function applyOnce<State extends MarkedState>(change: Change<State>): Promise<void> {
  const { config, name, context, claim, before } = change;
  const lost = await attempt(change.send);
  const again = { sent: false, lost: null as RampartError | null };
  let last = before;
  const polling = {
    signal: context.signal,
    deadlineMs: lost ? Math.min(config.timeout, config.deadline) : config.deadline,
    ...LOOK,
  };
  const done = await poll(polling, async () => {
    last = await change.read();
    const found = judge(last, change);
    if (found === 'ours' && change.shows(last)) return true;
    if (found === 'newer') {
      throw new RampartError('Conflict', `${name} is now held by ${named(last.mark.claim!)}`, {
        remedy: 'Look at that run; this one must not go on against it.',
      });
    }
    // With the answer lost, ours may still come in after what shows now: the next attempt decides.
    if (found === 'edited' || (found === 'foreign' && lost === null)) {
      throw new RampartError('Conflict', `${name} was changed by somebody else right after ${named(claim)} set it`, {
        remedy: 'See who changed it (audit log), then start again.',
      });
    }
    if (found === 'older' && lost === null && !again.sent) {
      again.sent = true;
      again.lost = await attempt(change.send);
    }
    context.heartbeat({ component: name, observed: change.observed(last) });
    return undefined;
  });
  if (done) return;
  const unanswered = lost ?? again.lost;
  if (unanswered !== null) throw unanswered;
  const observed = change.observed(last);
  if (again.sent && judge(last, change) === 'older') {
    const message = `${name} was overwritten twice by ${named(last.mark.claim!)}, which is older: ${observed}`;
    throw new RampartError('Conflict', message, {
      remedy: 'See where that run is still at work and end it, then start again.',
    });
  }
  const message = `${name}: wanted ${change.wanted}, observed after ${config.deadline} ms: ${observed}`;
  throw new RampartError('NotApplied', message, { remedy: change.remedy });
}

/**
 * What a reading after the change is: `ours`; `edited`, with our claim and other settings; `unchanged`, as it was
 * before; a `newer` claim, or an `older` attempt's whose request was under way when ours was read; or `foreign`: no
 * attempt left it like that.
 */
function judge<State extends MarkedState>(
  now: State,
  { claim, before }: Change<State>,
): 'ours' | 'edited' | 'unchanged' | 'newer' | 'older' | 'foreign' {
  const found = now.mark.claim;
  if (sameClaim(found, claim)) return isEdited(now) ? 'edited' : 'ours';
  if (now.digest === before.digest && isDeepStrictEqual(now.mark, before.mark)) return 'unchanged';
  if (found === null || sameClaim(found, before.mark.claim)) return 'foreign';
  if (isStale(found, { token: claim })) return 'newer';
  return isEdited(now) ? 'foreign' : 'older';
}

/** @returns the error of a call whose outcome nobody knows; `null` when it was answered */
async function attempt(send: () => Promise<unknown>): Promise<RampartError | null> {
  try {
    await send();
    return null;
  } catch (error) {
    if (maybeApplied(error)) return error as RampartError;
    throw error;
  }
}
