/** Claims and tokens of the model systems: the rules of the real drivers, and a line in the trace for every use. */
import { RampartError } from '../../../drivers/errors.ts';
import type { Claim, DriverContext, Token } from '../../../drivers/ports.ts';
import type { Server } from '../world/server.ts';
import { type SimWorld, SYSTEM_ID } from '../world/world.ts';
import { RULES } from './rules.ts';

export function tokenOf(context: DriverContext): Token {
  if (context.token !== undefined) return context.token;
  throw new RampartError('InvalidInput', 'a step that changes something was called without a token');
}

/** Runs a change on a server under its lock: accepted only with the claim's token. @returns whether it changed anything */
export function mutate(
  world: SimWorld,
  server: Server,
  context: DriverContext,
  verb: string,
  timeline: number | null,
  work: () => boolean,
): boolean {
  const token = tokenOf(context);
  const { claim } = server.record;
  const why = RULES.checkTokens ? refusal(claim, token, timeline) : null;
  if (why !== null) {
    world.say(entry(server.name, verb, token, false, false, why));
    throw new RampartError('Conflict', `${server.name} refuses this step: ${why}`);
  }
  const changed = work();
  if (server.record.claim !== null && token.seq > server.record.claim.seq)
    server.record.claim = { ...server.record.claim, seq: token.seq, at: world.now };
  world.say(entry(server.name, verb, token, true, changed));
  return changed;
}

function refusal(claim: Claim | null, token: Token, timeline: number | null): string | null {
  if (claim === null) return 'no run has claimed it';
  if (claim.epoch !== token.epoch || claim.runId !== token.runId)
    return `it is claimed by run ${claim.runId} (epoch ${claim.epoch})`;
  if (token.seq < claim.seq) return `a later step (${claim.seq}) of the same run has acted, this one is ${token.seq}`;
  if (token.systemId !== null && token.systemId !== SYSTEM_ID) return 'it is another database';
  if (token.expectedTimeline !== null && timeline !== null && token.expectedTimeline !== timeline)
    return `it is on timeline ${timeline}, the plan was made for ${token.expectedTimeline}`;
  return null;
}

/** Routers and workloads keep the newest token; there is no claim step for them. @throws Conflict for an older one */
export function keepNewest(
  world: SimWorld,
  place: string,
  held: { claim: Claim | null },
  context: DriverContext,
  verb: string,
  work: () => boolean,
): boolean {
  const { token } = context;
  if (token === undefined) {
    // As the real ones: a call without a token is taken, and no later one can tell that it is stale.
    const changed = work();
    world.say({ kind: 'mutation', place, verb, token: null, accepted: true, changed });
    return changed;
  }
  const { claim } = held;
  const stale =
    claim !== null &&
    (token.epoch < claim.epoch ||
      (token.epoch === claim.epoch && (token.runId !== claim.runId || token.seq < claim.seq)));
  if (stale && RULES.checkTokens) {
    world.say(entry(place, verb, token, false, false, 'stale'));
    throw new RampartError('Conflict', `${place} is held by run ${claim.runId} (epoch ${claim.epoch}, ${claim.seq})`);
  }
  const changed = work();
  held.claim = { epoch: token.epoch, runId: token.runId, seq: token.seq, at: world.now };
  world.say(entry(place, verb, token, true, changed));
  return changed;
}

function entry(place: string, verb: string, token: Token, accepted: boolean, changed: boolean, why?: string) {
  const { epoch, runId, seq } = token;
  return {
    ...{ kind: 'mutation' as const, place, verb, token: { epoch, runId, seq }, accepted, changed },
    ...(why === undefined ? {} : { why }),
  };
}
