/**
 * Claims, tokens and the journal, as every store keeps them: what makes a stale or second actor harmless. Pure but for
 * what it is given; where the record lives is the driver's.
 */
import { RampartError } from './errors.ts';
import type { Claim, DriverContext, Journal, Json, Millis, Token } from './ports.ts';

/** What a place remembers of the runs that touch it. */
export interface ClaimedRecord {
  claim: Claim | null;
  journal: Journal | null;
}

/** What the node is known to be at the moment of the check; `null` = not known. */
export interface Identity {
  systemId: string | null;
  timeline: number | null;
}

/** The token that every mutation carries. @throws InvalidInput without one */
export function tokenOf(context: DriverContext): Token {
  if (context.token !== undefined) return context.token;
  throw new RampartError('InvalidInput', 'a step that changes a store was called without a token', {
    remedy: 'Claim the store first; every later step carries the claim.',
  });
}

/**
 * Accepts a token or refuses it: the claim's epoch and run, a `seq` not lower than the last one, and the database
 * that the plan was made for.
 * @throws Conflict
 */
export function checkToken(name: string, record: Pick<ClaimedRecord, 'claim'>, token: Token, identity: Identity): void {
  const { claim } = record;
  const refuse = (why: string, remedy: string): never => {
    throw new RampartError('Conflict', `${name} refuses this step: ${why}`, { remedy, details: { claim, token } });
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
      `its system identifier is ${identity.systemId}, the plan was made for ${token.systemId}`,
      'Check the addresses in the topology: this is another database.',
    );
  }
  if (token.expectedTimeline !== null && identity.timeline !== null && token.expectedTimeline !== identity.timeline) {
    refuse(
      `it is on timeline ${identity.timeline}, the plan was made for timeline ${token.expectedTimeline}`,
      'Something was promoted meanwhile: make a new plan.',
    );
  }
}

export interface TakenClaim {
  /** What to save; `null` = nothing changes. */
  save: Partial<ClaimedRecord> | null;
  previous: Claim | null;
  already: boolean;
  /** Another run had it before. */
  anew: boolean;
  /** The open journal that is gone on with; what it saved is older and therefore the original. */
  adopted: Journal | null;
  /** Since when the place is fenced, as its journal says now: by this run, or by the one it goes on from. */
  fencedAt: Millis | null;
}

/**
 * Decides whether a run may take a place, and what is written for it.
 * @param name of the place, for messages
 * @throws Conflict when a run with the same or a higher epoch has it, or the same run has closed its journal since
 */
export function takeClaim(
  name: string,
  record: ClaimedRecord,
  wanted: Claim,
  journal: Journal,
  now: Millis,
): TakenClaim {
  const previous = record.claim;
  const same = previous?.epoch === wanted.epoch && previous.runId === wanted.runId;
  if (previous !== null && !same && previous.epoch >= wanted.epoch) {
    throw new RampartError('Conflict', `${name} is claimed by run ${previous.runId} with epoch ${previous.epoch}`, {
      remedy: `Read the claims again and take epoch ${previous.epoch + 1}, or let that run go on.`,
      details: { claim: previous },
    });
  }
  if (same && wanted.seq < previous.seq && record.journal?.runId === journal.runId && !record.journal.open) {
    // The run has closed its journal: a late attempt would leave it open for ever.
    throw new RampartError('Conflict', `${name}: a later step (${previous.seq}) of the same run has acted`, {
      remedy: `Nothing: this claim (step ${wanted.seq}) comes too late.`,
      details: { claim: previous },
    });
  }
  if (same && record.journal?.runId === journal.runId && record.journal.open) {
    const save = wanted.seq > previous.seq ? { claim: { ...previous, seq: wanted.seq } } : null;
    return { save, previous, already: true, anew: false, adopted: null, fencedAt: record.journal.fencedAt };
  }
  // Also one of the same run: an escalated plan reads what the first one left, not the originals.
  const adopted = record.journal?.open === true ? record.journal : null;
  const save = {
    claim: same ? { ...wanted, seq: Math.max(previous.seq, wanted.seq) } : wanted,
    journal: {
      ...journal,
      saved: originals(journal.saved, adopted?.saved),
      fencedAt: adopted?.fencedAt ?? journal.fencedAt,
      lastTouched: now,
      open: true,
    },
  };
  return { save, previous, already: false, anew: !same, adopted, fencedAt: save.journal.fencedAt };
}

/**
 * What a journal keeps of the open one that it goes on with: values saved earlier are older and therefore the originals,
 * but for what the sides (ids with `@`) were, and the routers sent there, before a move that this run leads away from
 * again. The move is this run's.
 */
export function originals(own: Journal['saved'], adopted: Journal['saved'] = {}): Journal['saved'] {
  const away = placeIn(adopted, 'to') !== undefined && placeIn(adopted, 'to') === placeIn(own, 'from');
  const older = Object.entries(adopted).filter(([id]) => id !== 'move' && !(away && id.includes('@')));
  return { ...own, ...Object.fromEntries(older.map(([id, saved]) => [id, away ? sending(saved, own[id]) : saved])) };
}

/** The settings of one receipt of a router, with the weights of the other. */
function sending(settings: Json, weights: Json | undefined): Json {
  if (!isObject(settings) || settings.weights === undefined) return settings;
  const { weights: _, ...rest } = settings;
  return isObject(weights) && weights.weights !== undefined ? { ...rest, weights: weights.weights } : rest;
}

function placeIn({ move }: Journal['saved'], end: 'from' | 'to'): Json | undefined {
  return isObject(move) ? move[end] : undefined;
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The journal with what a step saves into it. Values already saved are kept: they are the originals.
 * @throws Conflict when there is none
 */
export function changedJournal(
  name: string,
  { journal }: Pick<ClaimedRecord, 'journal'>,
  change: Partial<Pick<Journal, 'saved' | 'fencedAt' | 'open'>>,
  now: Millis,
): Journal {
  if (journal === null) throw new RampartError('Conflict', `${name} has no journal`, { remedy: 'Claim it first.' });
  return {
    ...journal,
    saved: { ...change.saved, ...journal.saved },
    fencedAt: change.fencedAt === undefined ? journal.fencedAt : change.fencedAt,
    open: change.open ?? journal.open,
    lastTouched: now,
  };
}

/** The journal's beginning of the freeze, once. */
export function fencedNow({ journal }: Pick<ClaimedRecord, 'journal'>, now: Millis): { journal?: Journal } {
  if (journal === null || !journal.open || journal.fencedAt !== null) return {};
  return { journal: { ...journal, fencedAt: now, lastTouched: now } };
}

export function newestClaim(claims: Array<Claim | null>): Claim | null {
  return claims.reduce((best, next) => (next !== null && next.epoch > (best?.epoch ?? 0) ? next : best), null);
}
