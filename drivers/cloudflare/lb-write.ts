/** One PATCH of a load balancer, and the looks that tell what came of it. */
import { isStale, named, sameClaim } from '../claims.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Claim, DriverContext } from '../ports.ts';
import { maybeApplied } from './errors.ts';
import type { LbChange } from './lb-change.ts';
import type { LbConfig } from './lb-config.ts';
import type { LbApi, LbState } from './lb-state.ts';
import { showWeights } from './weights.ts';

/** Pauses between looks, in milliseconds: every look is a part of the user's budget. */
const LOOK = { intervalMs: 50, maxIntervalMs: 2_000 };

export interface Write {
  api: LbApi;
  config: LbConfig;
  name: string;
  context: DriverContext;
  claim: Claim;
  before: LbState;
  change: LbChange;
  /** What the change is for, in words. */
  wanted: string;
  read(): Promise<LbState>;
  /** Whether a reading is what is wanted. */
  shows(now: LbState): boolean;
}

/**
 * Sends the change once and looks until it shows. Cloudflare has no conditional write: somebody may write between our
 * look and our change. The looks afterwards find it: a newer claim or a foreign setting is a `Conflict`, and a stale
 * attempt that came in last is overwritten, once.
 * @throws Conflict, NotApplied, and ProviderUnavailable when the answer was lost and the change does not show
 */
export async function writeLb(write: Write): Promise<void> {
  const { config, name, context, claim, before } = write;
  const lost = await send(write);
  let sentAgain = false;
  let last = before;
  const polling = {
    signal: context.signal,
    deadlineMs: lost ? Math.min(config.timeout, config.deadline) : config.deadline,
    ...LOOK,
  };
  const done = await poll(polling, async () => {
    last = await write.read();
    const found = last.mark.claim;
    if (sameClaim(found, claim)) {
      if (last.mark.digest !== last.digest) throw changed(name, claim);
      if (write.shows(last)) return true;
    } else if (found !== null && isStale(found, context)) {
      throw new RampartError('Conflict', `${name} is now held by ${named(found)}`, {
        remedy: 'Look at that run; this one must not go on against it.',
      });
    } else if (lost === null && last.lb.description !== before.lb.description && !sentAgain) {
      // Neither what was before nor ours: an older attempt whose request was under way when ours was read.
      sentAgain = true;
      await send(write);
    } else if (lost === null && last.digest !== before.digest && last.lb.description === before.lb.description) {
      throw changed(name, claim);
    }
    context.heartbeat({ component: name, observed: showWeights(last.weights) });
    return undefined;
  });
  if (done) return;
  if (lost !== null) throw lost;
  const observed = [showWeights(last.weights), ...last.problems].join('; ');
  throw new RampartError(
    'NotApplied',
    `${name}: wanted ${write.wanted}, observed after ${config.deadline} ms: ${observed}`,
    {
      remedy: 'Cloudflare took the change and does not show it. See its audit log.',
    },
  );
}

/** @returns the error of a call whose outcome nobody knows; `null` when it was answered */
async function send({ api, config, change }: Write): Promise<RampartError | null> {
  const { zoneId: zone_id, loadBalancerId } = config;
  try {
    await api.one('loadBalancers.edit', (client, options) =>
      client.loadBalancers.edit(loadBalancerId, { zone_id, ...change }, options),
    );
    return null;
  } catch (error) {
    if (maybeApplied(error)) return error as RampartError;
    throw error;
  }
}

function changed(name: string, claim: Claim): RampartError {
  return new RampartError('Conflict', `${name} was changed by somebody else right after ${named(claim)} set it`, {
    remedy: 'See who changed it (audit log), then start again.',
  });
}
