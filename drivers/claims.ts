/**
 * Whose claim stands, wherever a system keeps it: the newest epoch, of it the run that made it, of that its newest
 * attempt. For drivers whose claims are no file of their own kind.
 */
import { RampartError } from './errors.ts';
import type { Claim, DriverContext } from './ports.ts';

type Caller = Pick<DriverContext, 'token' | 'run' | 'now'>;

/**
 * A token lower than the stored claim is a late attempt or another run. A caller without a token only repeats what is
 * asked by hand, and may.
 * @param where what is claimed, for people
 * @throws Conflict
 */
export function assertCurrent(where: string, stored: Claim | null, { token }: Caller): void {
  if (stored === null || token === undefined || token.epoch > stored.epoch) return;
  const same = token.epoch === stored.epoch && token.runId === stored.runId;
  if (same && token.seq >= stored.seq) return;
  const holder = `run ${stored.runId} (epoch ${stored.epoch}, step ${stored.seq})`;
  const own = `run ${token.runId} (epoch ${token.epoch}, step ${token.seq})`;
  throw new RampartError('Conflict', `${where} is held by ${holder}; ${own} is stale`, {
    remedy: 'Look at that run; a new run takes it over with a higher epoch.',
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
export function isOfRun(stored: Claim | null, { token, run }: Caller): boolean {
  if (stored === null) return false;
  if (token === undefined) return stored.runId === run.runId;
  return stored.epoch === token.epoch && stored.runId === token.runId;
}
