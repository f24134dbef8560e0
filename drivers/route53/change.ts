/** One change of the name: look, see whether it may be made, send one batch, and look again before it is sent again. */
import type { ResourceRecordSet } from '@aws-sdk/client-route-53';
import type { RegionName } from '../../topology/model.ts';
import { AwsRefusal } from '../aws/errors.ts';
import { assertCurrent, assertUnedited, isOfRun } from '../claims.ts';
import { clock } from '../clock.ts';
import { RampartError } from '../errors.ts';
import { assertOwnName, CLAIM_TTL, claimValues, digestOf, nextClaim, type Route53Claim } from './claim.ts';
import { type Confirming, leftOf } from './confirm.ts';
import { type Look, readName, stateOf } from './health.ts';
import { assertUnderstood, batchOf, type Edit } from './records.ts';
import { claimName } from './zone.ts';

/** Batches that met another one of the same zone, or an edit, before people are told. */
const TRIES = 15;

export interface Intent {
  /** What of the records is not as wanted. */
  edits(state: Look): Edit[];
  /** Where health checks are the switch: which regions are to be on. They are not switched here. */
  isOn?: (region: RegionName) => boolean;
  /** Further fields of the claim. */
  claim?(state: Look, edits: readonly Edit[]): Partial<Pick<Route53Claim, 'was' | 'loweredAt'>>;
  /** Read together with the records, before the claim is written: what is read here is older than the claim. */
  meanwhile?(state: Look): Promise<void>;
  /** Without edits nothing is sent, the claim neither. */
  idle?: boolean;
  /** Whether health checks are being switched from now on; absent: as the claim says, or `isOn` asks for it. */
  busy?: boolean;
}

export interface Changed {
  /** The records as they were before. */
  before: Look;
  edits: Edit[];
  /** `null`: nothing was sent. */
  change: string | null;
  claim: Route53Claim | null;
  /** Once health checks are switched: says so in the claim. @returns the change to follow */
  settled(of: Confirming): Promise<string>;
}

/**
 * Makes the change. Its batch is a compare-and-set over the claim and every record it touches.
 * @throws Conflict for a stale token, another run, or somebody's edit meanwhile; PreconditionFailed when the records are
 *   not the topology's or Route 53 refuses the batch; ProviderUnavailable, AccessDenied
 */
export async function changeRecords(confirming: Confirming, intent: Intent): Promise<Changed> {
  const { config, component, zone, context } = confirming;
  const where = `${config.name} in ${config.hostedZone}`;
  let base: string | null = null;
  let before: Look | null = null;
  let refused = null as { seen: string; error: unknown } | null;
  for (let attempt = 1; ; attempt++) {
    const state = await readName(confirming);
    const seen = digestOf([
      ...state.managed.map(({ set }) => set),
      ...(state.claimSet === null ? [] : [state.claimSet]),
    ]);
    // Nobody was faster: what was refused is the batch itself.
    if (refused?.seen === seen) throw told(refused.error, where);
    // Who may not change anything is told so, whatever else is wrong.
    assertOwnName(where, component, state.claim);
    assertCurrent(where, state.claim, context);
    assertUnderstood(state);
    await intent.meanwhile?.(state);
    const edits = intent.edits(state);
    const digest = stateOf(state, state.health);
    const next = stateOf(state, state.health, edits, intent.isOn);
    const fits = next === digest;
    if (base !== null && digest !== base && !fits && !isOwnWork(state, confirming))
      throw new RampartError('Conflict', `${where} was changed by somebody else while it was about to be changed`, {
        remedy: 'See who changed it, then retry.',
      });
    base ??= digest;
    before ??= state;
    assertUnedited(where, state.claim, { edited: state.edited, fits }, context);
    if (intent.idle && fits) return { before, edits, change: null, claim: state.claim, settled: settle };
    const claim = nextClaim(component, state.claim, context, {
      ...intent.claim?.(state, edits),
      state: next,
      // What an attempt has begun may still come in late: it stays begun until somebody has settled it.
      busy:
        intent.busy ?? (state.claim?.busy === true || (state.health.length > 0 && intent.isOn !== undefined && !fits)),
    });
    const after: ResourceRecordSet = {
      Name: claimName(config.name),
      Type: 'TXT',
      TTL: CLAIM_TTL,
      ResourceRecords: [{ Value: claimValues(claim) }],
    };
    try {
      const comment = `rampart ${context.run.workflowId} ${component}`.slice(0, 256);
      const change = await zone.submit(batchOf(edits, { before: state.claimSet, after }), comment);
      // What the call as a whole changed, also when an attempt beside it was faster.
      const settled = claim.busy ? settle : async () => change;
      return { before, edits: attempt === 1 ? edits : intent.edits(before), change, claim, settled };
    } catch (error) {
      const wait = waitBefore(error, attempt);
      if (wait === null || attempt >= TRIES || wait > leftOf(confirming)) throw told(error, where);
      if (error instanceof AwsRefusal) refused = { seen, error };
      context.heartbeat({ component, waitingFor: 'another change of the zone', observed: (error as Error).message });
      await clock.sleep(wait, context.signal).catch(() => context.signal.throwIfAborted());
    }
  }
}

async function settle(of: Confirming): Promise<string> {
  return (await changeRecords(of, { edits: () => [], busy: false })).change!;
}

function isOwnWork(state: Look, { context }: Confirming): boolean {
  return !state.edited && isOfRun(state.claim, context);
}

/** How long to wait before the next look, in milliseconds; `null`: this is the end. */
function waitBefore(error: unknown, attempt: number): number | null {
  if (!(error instanceof RampartError)) return null;
  // Somebody was faster: the look says who.
  if (error instanceof AwsRefusal) return error.code === 'InvalidChangeBatch' ? 20 * attempt : null;
  if (error.type !== 'ProviderUnavailable' || error.details.notApplied !== true) return null;
  return Number(error.details.retryAfterMs ?? 1_000) * attempt;
}

function told(error: unknown, where: string): unknown {
  if (!(error instanceof AwsRefusal)) return error;
  const messages = (error.cause as { messages?: string[] } | undefined)?.messages ?? [];
  const why = messages.length > 0 ? messages.join(' ') : error.message;
  return new RampartError('PreconditionFailed', `Route 53 refuses to change ${where}: ${why}`, {
    remedy: 'See whether the records are protected, or of mixed policies; then retry.',
    cause: error,
    details: { code: error.code },
  });
}
