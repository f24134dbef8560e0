/** This machine: Node, and the folders where workers keep their state. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Env } from '../connection.ts';
import { stateDirectory } from '../local-context.ts';
import { type Check, finding, ok } from './check.ts';

/** Oldest Node that the packages support. */
const OLDEST = [20, 19] as const;

export function checkNode(version = process.versions.node): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) {
    return ok('node', 'Node', 'nodeVersion', `${version}, ${process.platform} ${process.arch}`);
  }
  const remedy = 'Get Node 20.19 or newer: https://nodejs.org/en/download';
  return finding('error', 'node', 'Node', 'nodeVersion', `${version} is too old`, remedy);
}

/** Whether workers of this machine can write their state. The folder itself need not be there yet. */
export async function checkState(env: Env): Promise<Check> {
  const wanted = stateDirectory(env);
  const present = await nearestPresent(wanted);
  const subject = 'state directory';
  try {
    if (!(await stat(present)).isDirectory()) throw new Error(`${present} is not a directory`);
    await access(present, constants.W_OK | constants.X_OK);
    const note = present === wanted ? '' : ', made at the first use';
    return ok('state', subject, 'stateDirectory', `${wanted}${note}`);
  } catch (error) {
    const user = process.getuid?.() ?? '';
    return finding(
      'error',
      'state',
      subject,
      'stateDirectory',
      `${wanted} cannot be written (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`,
      `Make it writable for uid ${user}: mkdir -p ${wanted} && chown ${user} ${wanted}`,
      'Or set RAMPART_STATE_DIR to a folder that survives a restart.',
    );
  }
}

async function nearestPresent(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    const found = await stat(folder).catch(() => null);
    if (found !== null || folder === dirname(folder)) return folder;
  }
}
