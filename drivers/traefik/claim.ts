/** Who may write a component's file: the newest run, its newest attempt, and never over somebody's edit unseen. */
import { assertCurrent, assertUnedited, type Caller, claimToWrite, isOfRun } from '../claims.ts';
import { RampartError } from '../errors.ts';
import { type FileState, readFileState } from './file.ts';

/**
 * Compare-and-set: between the look at the start of the call and the write, nobody else changed the file. An attempt
 * of the same run may have: it is weighed by its token instead.
 * @throws Conflict
 */
export function assertOurs(path: string, base: string | null, present: string | null, caller: Caller): void {
  if (present === base) return;
  const state = present === null ? null : readFileState(present);
  if (state !== null && !state.edited && isOfRun(state.claim, caller)) return;
  throw new RampartError('Conflict', `${path} was changed by somebody else while it was about to be written`, {
    remedy: 'See who changed it, then retry.',
  });
}

/** A file belongs to one component. @throws Conflict */
export function assertOwnFile(path: string, component: string, claim: FileState['claim']): void {
  if (claim === null || claim.component === component) return;
  throw new RampartError('Conflict', `${path} belongs to the component ${claim.component}`, {
    remedy: 'Give each component a file of its own.',
  });
}

/**
 * By the rules of claims.ts; and a file belongs to one component.
 * @param fits whether the file already says what is wanted
 * @throws Conflict
 */
export function assertMayWrite(path: string, component: string, state: FileState, fits: boolean, caller: Caller): void {
  const { claim, edited } = state;
  assertOwnFile(path, component, claim);
  assertCurrent(path, claim, caller);
  assertUnedited(path, claim, { edited, fits }, caller);
}

/** The claim to leave behind. */
export function nextClaim(component: string, { claim }: FileState, caller: Caller): NonNullable<FileState['claim']> {
  return { component, ...claimToWrite(claim, caller) };
}
