/**
 * Leave to start writable, beside the data directory: a run that takes its fence back has looked at the other side
 * itself, and its start must not be refused by a local guard that cannot reach it. Short-lived, for one timeline.
 */
import { join } from 'node:path';
import type { Millis } from '../ports.ts';
import { ownerOf, readIfThere, writeDurably } from './files.ts';
import { type LocalNode, stateDirOf } from './server.ts';

export interface StartPermit {
  runId: string;
  timeline: number;
  /** Not valid after. */
  until: Millis;
}

/** How long a start may take to be asked for, tried again by an init system included, in milliseconds. */
const VALID_MS = 120_000;

const NAME = 'may-start.json';

/** Gives leave. Under the node's claim only. */
export async function permitStart(node: LocalNode, runId: string, timeline: number, now: Millis): Promise<void> {
  const permit: StartPermit = { runId, timeline, until: now + VALID_MS };
  // The guard runs as whoever starts the server.
  const owner = await ownerOf(node.dataDir);
  await writeDurably(join(stateDirOf(node), NAME), JSON.stringify(permit), owner === undefined ? {} : { owner });
}

/** The leave that holds now for a server on this timeline; `null` when there is none. */
export async function permitOf(dataDir: string, timeline: number, now: Millis): Promise<StartPermit | null> {
  const text = await readIfThere(join(`${dataDir}.rampart`, NAME)).catch(() => null);
  try {
    const permit = JSON.parse(text ?? 'null') as StartPermit | null;
    return permit !== null && permit.timeline === timeline && permit.until >= now ? permit : null;
  } catch {
    return null;
  }
}
