/**
 * Whose claim stands, wherever a router or workload keeps it: the newest epoch, of it the run that made it, of that its
 * newest attempt. And what becomes of an edit by hand. Pure; where a claim lives is the driver's. (Stores, which also
 * keep a journal and know a timeline: store-claims.ts.)
 */
import { RampartError } from './errors.ts';
import type { Claim, DriverContext } from './ports.ts';

export type Caller = Pick<DriverContext, 'token' | 'run' | 'now'>;

/** One attempt of one run: what claims and tokens have in common. */
type Attempt = Pick<Claim, 'runId' | 'epoch' | 'seq'>;

/** For messages. */
export function named({ runId, epoch, seq }: Attempt): string {
  return `run ${runId} (epoch ${epoch}, step ${seq})`;
}

/**
 * Whether the caller is an older attempt, an older run, or another run of the same epoch. A caller without a token only
 * repeats what is asked by hand, and may.
 */
export function isStale(claim: Attempt, { token }: { token?: Attempt | undefined }): boolean {
  if (token === undefined || token.epoch > claim.epoch) return false;
  // In this form a claim with numbers that cannot be read refuses everybody.
  return !(token.epoch === claim.epoch && token.runId === claim.runId && token.seq >= claim.seq);
}

/**
 * @param where what is claimed, for people
 * @throws Conflict for a stale caller
 */
export function assertCurrent(where: string, stored: Claim | null, caller: Pick<Caller, 'token'>): void {
  if (stored === null || !isStale(stored, caller)) return;
  throw new RampartError('Conflict', `${where} is held by ${named(stored)}; ${named(caller.token!)} is stale`, {
    remedy: 'Look at that run; a new run takes it over with a higher epoch.',
  });
}

/**
 * An edit by hand after this run's own change stays: a person meant it, unless it says what is wanted anyway. A run that
 * starts after the edit has seen it and takes it as its base.
 * @param edited whether it is not what the claim's writer left
 * @param fits whether it already is what is wanted
 * @throws Conflict
 */
export function assertUnedited(
  where: string,
  stored: Claim | null,
  { edited, fits }: { edited: boolean; fits: boolean },
  caller: Caller,
): void {
  if (stored === null || !edited || fits || !isOfRun(stored, caller)) return;
  throw new RampartError('Conflict', `${where} was changed by somebody else after ${named(stored)} set it`, {
    remedy: 'Put it back, or end this run; a new run takes it as it finds it.',
  });
}

/** The claim to leave behind. A caller without a token keeps the stored epoch, so that older tokens stay refused. */
export function claimToWrite(stored: Claim | null, caller: Caller): Claim {
  const epoch = caller.token?.epoch ?? stored?.epoch ?? 0;
  const runId = caller.token?.runId ?? caller.run.runId;
  const same = stored !== null && stored.epoch === epoch && stored.runId === runId;
  const seq = caller.token?.seq ?? (same ? stored.seq : 0);
  return { epoch, runId, seq, at: same && stored.seq === seq ? stored.at : caller.now() };
}

/** Whether the claim is that of the caller's own run. */
export function isOfRun(stored: Claim | null, { token, run }: Pick<Caller, 'token' | 'run'>): boolean {
  if (stored === null) return false;
  if (token === undefined) return stored.runId === run.runId;
  return stored.epoch === token.epoch && stored.runId === token.runId;
}

/** Whether it is the same attempt's. */
export function sameClaim(a: Attempt | null, b: Attempt | null): boolean {
  return a !== null && b !== null && a.epoch === b.epoch && a.runId === b.runId && a.seq === b.seq;
}
