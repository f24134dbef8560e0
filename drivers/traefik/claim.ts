/** Who may write a component's file: the newest run, its newest attempt, and never over somebody's edit unseen. */
import { RampartError } from '../errors.ts';
import type { DriverContext } from '../ports.ts';
import { type FileState, readFileState } from './file.ts';

type Caller = Pick<DriverContext, 'token' | 'run' | 'now'>;

/**
 * Compare-and-set: between the look at the start of the call and the write, nobody else changed the file. An attempt
 * of the same run may have: it is weighed by its token instead.
 * @throws Conflict
 */
export function assertOurs(path: string, base: string | null, present: string | null, caller: Caller): void {
  if (present === base) return;
  const state = present === null ? null : readFileState(present);
  if (state !== null && !state.edited && isSameRun(state, caller)) return;
  throw new RampartError('Conflict', `${path} was changed by somebody else while it was about to be written`, {
    remedy: 'See who changed it, then retry.',
  });
}

/**
 * A token lower than the file's is a late attempt or another run. An edit by hand after this run's own write stays:
 * a person meant it, unless it says what is wanted anyway. A run that starts after the edit has seen it and takes it
 * as its base.
 * @param fits whether the file already says what is wanted
 * @throws Conflict
 */
export function assertCurrent(path: string, component: string, state: FileState, fits: boolean, caller: Caller): void {
  const { claim } = state;
  if (claim === null) return;
  const holder = `run ${claim.runId} (epoch ${claim.epoch}, step ${claim.seq})`;
  if (claim.component !== component) {
    throw new RampartError('Conflict', `${path} belongs to the component ${claim.component}`, {
      remedy: 'Give each component a file of its own.',
    });
  }
  const { token } = caller;
  if (token !== undefined) {
    const other = token.epoch === claim.epoch && token.runId !== claim.runId;
    const late = token.epoch === claim.epoch && token.runId === claim.runId && token.seq < claim.seq;
    if (token.epoch < claim.epoch || other || late) {
      const own = `run ${token.runId} (epoch ${token.epoch}, step ${token.seq})`;
      throw new RampartError('Conflict', `${path} is held by ${holder}; ${own} is stale`, {
        remedy: `Look at that run; a new run takes the file over with a higher epoch.`,
      });
    }
  }
  if (state.edited && !fits && isSameRun(state, caller)) {
    throw new RampartError('Conflict', `${path} was edited by hand after ${holder} wrote it`, {
      remedy: 'Put it back, or end this run; a new run takes the file as it finds it.',
    });
  }
}

/** The claim to leave behind. A caller without a token keeps the stored epoch, so that older tokens stay refused. */
export function claimToWrite(component: string, state: FileState, caller: Caller): NonNullable<FileState['claim']> {
  const stored = state.claim;
  const epoch = caller.token?.epoch ?? stored?.epoch ?? 0;
  const runId = caller.token?.runId ?? caller.run.runId;
  const same = stored !== null && stored.epoch === epoch && stored.runId === runId;
  const seq = caller.token?.seq ?? (same ? stored.seq : 0);
  return { component, epoch, runId, seq, at: same && stored.seq === seq ? stored.at : caller.now() };
}

function isSameRun(state: FileState, caller: Caller): boolean {
  const { claim } = state;
  if (claim === null) return false;
  if (caller.token === undefined) return claim.runId === caller.run.runId;
  return claim.epoch === caller.token.epoch && claim.runId === caller.token.runId;
}
