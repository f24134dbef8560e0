/** What would keep the file from being changed: after the promotion, when it is written, is too late to hear of it. */
import { RampartError } from '../errors.ts';
import { findingsFor } from '../findings.ts';
import type { Finding } from '../ports.ts';
import { tryChange } from './atomic-file.ts';
import { assertOwnFile } from './claim.ts';
import { readFileState } from './file.ts';

/**
 * @param next makes the text to be written of the present one
 * @returns one finding at most: the first thing that a change would run into
 */
export async function preflight(
  { component, file }: { component: string; file: string },
  mode: 'planned' | 'unplanned',
  next: () => Promise<string>,
): Promise<Finding[]> {
  try {
    const text = await next();
    assertOwnFile(file, component, readFileState(text).claim);
    await tryChange(file, text);
    return [];
  } catch (error) {
    if (!(error instanceof RampartError)) throw error;
    const message = `${component}: ${error.message.replace(/\.$/, '')}.`;
    const { remedy } = error;
    return findingsFor(mode, [{ code: 'traefik.file', severity: 'blocker', component, region: null, message, remedy }]);
  }
}
