/**
 * The note that a switch was asked for, in the target's tags: after an answer was lost it tells "never sent" from "given
 * up", and from "may still begin".
 */
import type { RegionName } from '../../topology/model.ts';
import { RampartError } from '../errors.ts';
import type { At, Receipt, Token } from '../ports.ts';
import { tokenOf } from '../store-claims.ts';
import { asFailure } from './api.ts';
import { mutate } from './claim.ts';
import type { Aurora, AuroraNode } from './config.ts';
import { badEnd, milestones } from './events.ts';
import { agreed, look } from './look.ts';
import { nodeOfSide } from './sql.ts';
import type { Generation, Intent } from './tags.ts';

/** Writes the note, under the token: the last thing before the call. */
export async function note(
  aurora: Aurora,
  to: RegionName,
  identity: { systemId: string; timeline: number },
  generation: Generation,
): Promise<void> {
  const { epoch } = tokenOf(aurora.context);
  const intent: Intent = { state: 'begun', to, epoch, at: aurora.context.now() };
  await mutate(aurora, to, identity, () => ({ intent, generation }));
}

/**
 * The call is over, without a switch.
 * @param earlier the note of an attempt before this one: what that one sent may still begin, whatever became of this call
 */
export async function end(aurora: Aurora, target: AuroraNode, earlier: Intent | null = null): Promise<void> {
  await mutate(aurora, target.region, { systemId: null, timeline: null }, ({ intent }) =>
    intent?.state === 'begun' ? { intent: earlier?.state === 'begun' ? earlier : { ...intent, state: 'ended' } } : {},
  ).catch((error: unknown) => {
    aurora.context.log.warn('the end of a switch could not be noted', { why: asFailure(error).message });
  });
}

/** What the claim's own run sent may begin at any time; what an earlier run sent has shown within the grace, or was not taken. */
function mayBegin({ config, context }: Aurora, intent: Intent | null): intent is Intent {
  if (intent?.state !== 'begun') return false;
  return intent.epoch === tokenOf(context).epoch || context.now() - intent.at < config.startGrace;
}

export function givenUp(aurora: Aurora, target: AuroraNode, how: string): RampartError {
  return new RampartError(
    'NotApplied',
    `Aurora gave the switch of ${aurora.name} to ${target.region} up: ${how}. The writer is where it was.`,
    {
      remedy: 'Look at the events of both clusters; retry asks Aurora again.',
      details: { retryAfterMs: null },
    },
  );
}

/** An attempt before this one has sent the call, and the provider has said since that it gave up: nothing is sent again. */
export async function assertNotGivenUp(
  aurora: Aurora,
  nodes: AuroraNode[],
  earlier: Intent | null,
  token: Token,
  target: AuroraNode,
): Promise<void> {
  if (earlier?.state !== 'begun' || earlier.epoch !== token.epoch || earlier.to !== target.region) return;
  const bad = badEnd((await milestones(aurora, nodes, earlier.at)).filter(({ at }) => at >= earlier.at));
  if (bad === undefined) return;
  await end(aurora, target);
  throw givenUp(aurora, target, bad.text);
}

/** Writes the later token; revoked only when nothing is under way and nothing that was sent can still begin. */
export async function revokePromote(aurora: Aurora, to: At): Promise<Receipt> {
  const target = nodeOfSide(aurora, to.region);
  const { intent } = await mutate(aurora, to.region, { systemId: null, timeline: null });
  const said = agreed(await look(aurora), aurora);
  const idle = said.operation === null && said.writer !== null && said.writer !== to.region;
  const nodes = aurora.nodes.filter(({ region }) => region === to.region || region === said.writer);
  const open = mayBegin(aurora, intent);
  const bad =
    open && idle ? badEnd((await milestones(aurora, nodes, intent.at)).filter(({ at }) => at >= intent.at)) : undefined;
  const revoked = idle && (!open || bad !== undefined);
  if (revoked && open) await end(aurora, target);
  return {
    already: false,
    at: aurora.context.now(),
    summary: revoked
      ? `no switch of ${aurora.name} is under way, and none that was asked for can begin: ${said.writer} is the writer`
      : `a switch of ${aurora.name} was begun, and Aurora has not said that it is over`,
    facts: { revoked },
  };
}
