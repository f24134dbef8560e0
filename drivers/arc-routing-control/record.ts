/**
 * What this worker remembers of a component's switches. The data plane of routing controls has no place for a claim,
 * and its control plane may be what is down: so it is a file in the worker's state directory, and a lock beside it
 * keeps two attempts on this machine apart.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { RampartError } from '../errors.ts';
import { withLock } from '../lock.ts';
import type { Claim, DriverContext } from '../ports.ts';
import type { States } from './states.ts';

export interface SwitchRecord {
  claim: Claim;
  /** What the controls said before the newest change, and what it asked for. */
  before: States;
  wanted: States;
  /** Whether it was read back. */
  confirmed: boolean;
}

const folderOf = (context: DriverContext, component: string) =>
  join(context.stateDir, 'arc-routing-control', encodeURIComponent(component));

/** `null` when this worker has never switched it. */
export async function readRecord(context: DriverContext, component: string): Promise<SwitchRecord | null> {
  try {
    return JSON.parse(await readFile(join(folderOf(context, component), 'record.json'), 'utf8')) as SwitchRecord;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw translated(error, folderOf(context, component));
  }
}

/** On disk, whole, when it returns. Only under the lock. */
export async function writeRecord(context: DriverContext, component: string, record: SwitchRecord): Promise<void> {
  const folder = folderOf(context, component);
  try {
    const draft = join(folder, 'record.draft');
    const handle = await open(draft, 'w', 0o600);
    try {
      await handle.writeFile(JSON.stringify(record));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, join(folder, 'record.json'));
  } catch (error) {
    throw translated(error, folder);
  }
}

/**
 * Runs `work` while no other attempt on this machine switches the component.
 * @param waitMs longest wait for the other one, in milliseconds
 * @throws Conflict when it keeps the lock for longer
 */
export async function alone<T>(
  context: DriverContext,
  component: string,
  waitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const folder = folderOf(context, component);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw translated(error, folder);
  }
  return withLock(join(folder, 'lock'), { signal: context.signal, waitMs }, work);
}

function translated(error: unknown, folder: string): unknown {
  if (typeof (error as NodeJS.ErrnoException).code !== 'string') return error;
  return new RampartError('PreconditionFailed', `${folder}: ${(error as Error).message}`, {
    remedy: "See that the worker's state directory is there, has room, and is the worker's own.",
    cause: error,
  });
}
