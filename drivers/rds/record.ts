/**
 * What each side remembers of the runs that touch it: the claim, a begun promotion and the journal, in the tags of its
 * instance. They survive a reboot, a promotion and a rename, and belong to the region that they are about.
 *
 * Tags have no compare-and-set. Within a process a lock keeps two steps apart; across processes every mutation looks at
 * the claim first, writes, and goes on only when it reads back what it wrote. Of two runs that write in the same instant
 * one reads back the other's claim, or meets it at its next step.
 */
import { inTurn } from '../aws/in-turn.ts';
import { recordFromTags, recordToTags, type Tags } from '../aws/tag-record.ts';
import { RampartError } from '../errors.ts';
import { poll } from '../poll.ts';
import type { Claim, Journal, Millis } from '../ports.ts';
import { checkToken, type Identity, tokenOf } from '../store-claims.ts';
import { addTags, describeAll, describeInstance } from './api.ts';
import type { Fleet, Side } from './config.ts';
import { type Instance, instanceFrom } from './instance.ts';

/** Written before the promotion is asked for, so that it can be known whether one may have begun. */
export interface PromoteIntent {
  epoch: number;
  runId: string;
  seq: number;
  at: Millis;
  /** Timeline before it. */
  timeline: number;
}

export interface SideRecord {
  claim: Claim | null;
  promote: PromoteIntent | null;
  journal: Journal | null;
  /** Multi-AZ: how often the primary has moved, and where it was then. Stands for the timeline, which does not change. */
  zones: { number: number; zone: string } | null;
}

export interface Held {
  instance: Instance;
  record: SideRecord;
  /** Replaces the parts given; read back when it returns. */
  save(change: Partial<SideRecord>): Promise<void>;
}

/** A promotion that RDS has accepted shows within this time, in milliseconds; else it was never begun. */
export const BEGUN_MS = 120_000;

/**
 * Whether what the note tells of may still begin. The claim's own run may have sent it at any time; what an earlier run
 * sent has shown by now, or was never taken.
 * @param withinMs how long RDS may take to show what it has taken
 */
export function mayBegin(
  note: PromoteIntent | null,
  epoch: number,
  now: Millis,
  withinMs = BEGUN_MS,
): note is PromoteIntent {
  return note !== null && (note.epoch === epoch || now - note.at < withinMs);
}

export const EMPTY: SideRecord = { claim: null, promote: null, journal: null, zones: null };
/** How long RDS may take to show tags that it has accepted, in milliseconds. */
const SHOWN_MS = 10_000;
/** Set on an instance that was renamed aside: the identifier it had. */
export const KEPT_FOR = 'rampart:kept-for';

/** @throws PreconditionFailed for tags that somebody changed by hand */
export function recordOf(instance: Instance): SideRecord {
  return { ...EMPTY, ...(recordFromTags(instance.tags) as Partial<SideRecord> | null) };
}

/**
 * The instance that the side's record is on: its own, or, in the middle of a rebuild, the one that was renamed aside.
 * @throws PreconditionFailed when there is neither
 */
export async function holderOf(fleet: Fleet, side: Side): Promise<Instance> {
  const own = await describeInstance(fleet, side);
  if (own !== null) return instanceFrom(own);
  const [newest] = await keptOf(fleet, side);
  if (newest !== undefined) return newest;
  throw new RampartError('PreconditionFailed', `there is no DB instance ${side.instance} in ${side.awsRegion}`, {
    remedy: 'Check `instance` and `awsRegion` of both sides: are they swapped?',
  });
}

/** Instances that a rebuild renamed aside, newest first. */
export async function keptOf(fleet: Fleet, side: Side): Promise<Instance[]> {
  const all = (await describeAll(fleet, side)).map(instanceFrom);
  return all
    .filter(({ id, tags }) => id !== side.instance && tags[KEPT_FOR] === side.instance)
    .sort((a, b) => (a.id < b.id ? 1 : -1));
}

/** Runs `work` with the side's record. */
export function withRecord<T>(fleet: Fleet, side: Side, work: (held: Held) => Promise<T>): Promise<T> {
  const key = `${side.awsRegion} ${side.endpoint ?? ''} ${side.instance}`;
  return inTurn(key, fleet.context.signal, async () => {
    const instance = await holderOf(fleet, side);
    const held: Held = {
      instance,
      record: recordOf(instance),
      save: async (change) => {
        const next = { ...held.record, ...change };
        await write(fleet, side, instance, next);
        held.record = next;
      },
    };
    return work(held);
  });
}

/**
 * Runs a mutation after the token was accepted and its `seq` stored.
 * @param also what to save in the same write as the `seq`
 * @throws Conflict
 */
export function withClaim<T>(
  fleet: Fleet,
  side: Side,
  identity: Identity,
  work: (held: Held) => Promise<T>,
  also: (held: Held) => Partial<SideRecord> = () => ({}),
): Promise<T> {
  const token = tokenOf(fleet.context);
  return withRecord(fleet, side, async (held) => {
    checkToken(side.name, held.record, token, identity);
    const claim = held.record.claim!;
    const change = also(held);
    if (token.seq > claim.seq) change.claim = { ...claim, seq: token.seq, at: fleet.context.now() };
    if (Object.keys(change).length > 0) await held.save(change);
    return work(held);
  });
}

/** The record as tags, with a line for people that is never read. */
export function tagsOf(record: SideRecord): Tags {
  const { claim } = record;
  const line = claim === null ? 'none' : `run ${claim.runId} epoch ${claim.epoch}`;
  return { ...recordToTags(record), 'rampart:claim': line.replaceAll(/[^\p{L}\p{N} _.:/=+@-]/gu, '_').slice(0, 256) };
}

async function write(fleet: Fleet, side: Side, instance: Instance, record: SideRecord): Promise<void> {
  const { signal } = fleet.context;
  const lost = await addTags(fleet, side, instance.arn, tagsOf(record)).then(
    () => null,
    (error: unknown) => {
      // Nobody knows whether it was written: the look below tells.
      if (error instanceof RampartError && error.details.maybeApplied === true) return error;
      throw error;
    },
  );
  const wanted = JSON.stringify(record);
  const interval = { intervalMs: fleet.config.poll / 10, maxIntervalMs: fleet.config.poll };
  const shown = await poll({ signal, deadlineMs: lost === null ? SHOWN_MS : 0, ...interval }, async () => {
    const found = await describeInstance(fleet, side, instance.id);
    if (found === null) return undefined;
    const present = recordOf(instanceFrom(found));
    if (JSON.stringify(present) === wanted) return true;
    const other = present.claim;
    if (
      other !== null &&
      record.claim !== null &&
      other.epoch >= record.claim.epoch &&
      other.runId !== record.claim.runId
    ) {
      throw new RampartError('Conflict', `${side.name} was claimed by run ${other.runId} in the same moment`, {
        remedy: 'Read the claims again; the newer run decides.',
        details: { claim: other },
      });
    }
    return undefined;
  });
  if (shown) return;
  throw (
    lost ??
    new RampartError('NotApplied', `RDS accepted the tags of ${instance.id} and does not show them`, {
      remedy: 'It is tried again by itself. See whether a policy or automation removes tags `rampart:*`.',
    })
  );
}
