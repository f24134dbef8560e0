/**
 * Guards, watches and comparisons as a desired state: every service of the topology that wants a guard, and every one
 * of the others, has its
 * workflow running. Control workers see to it, all of them: starting one that runs changes nothing. Each ends by itself
 * when the topology no longer has it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { type GuardDeps, isGuarded } from '../activities/guarding.ts';
import type { DriverLog } from '../drivers/ports.ts';
import type { Topology } from '../topology/model.ts';
import { CONTROL_QUEUE, comparisonOf, guardOf, watchOf } from '../workflows/contract.ts';

/** How soon an added service is guarded, and a guard that somebody ended is there again, in milliseconds. */
const EVERY_MS = 30_000;
/** While Temporal or the topology cannot be read, in milliseconds. */
const RETRY_MS = 5_000;
/** Starts under way at one time. */
const AT_ONCE = 10;

export interface KeepGuardsOptions {
  client: Client;
  topology: GuardDeps['topology'];
  log: DriverLog;
  signal: AbortSignal;
  everyMs?: number;
}

/** What is to be running. */
interface Kept {
  type: 'guard' | 'watch' | 'compare';
  workflowId: string;
  args: [object];
  summary: string;
  /** What it is about, when it must be told that this has changed; a guard looks for itself. */
  about?: string;
}

function keptOf({ services, watches, components, divergence }: Topology): Kept[] {
  const guards = Object.values(services)
    .filter(isGuarded)
    .map(({ name }): Kept => {
      return { type: 'guard', workflowId: guardOf(name), args: [{ service: name }], summary: `guard of ${name}` };
    });
  const own = Object.values(watches).map((watch): Kept => {
    const { name, probes } = watch;
    const about = JSON.stringify([watch, probes.map((probe) => components[probe])]);
    return { type: 'watch', workflowId: watchOf(name), args: [{ watch: name }], summary: `watch ${name}`, about };
  });
  const comparisons = Object.keys(divergence ?? {}).map((name): Kept => {
    return {
      type: 'compare',
      workflowId: comparisonOf(name),
      args: [{ comparison: name }],
      summary: `compare ${name}`,
    };
  });
  return [...guards, ...own, ...comparisons];
}

/** Runs until the signal aborts. Errors are logged and tried again: without guards the watchdog still watches. */
export async function keepGuards({ client, topology, log, signal, everyMs = EVERY_MS }: KeepGuardsOptions) {
  /** What running watches have been told of. */
  const known = new Map<string, string>();
  while (!signal.aborted) {
    let wait = everyMs;
    try {
      const kept = keptOf(await topology());
      for (let i = 0; i < kept.length; i += AT_ONCE)
        await Promise.all(kept.slice(i, i + AT_ONCE).map((one) => start(client, one, known)));
    } catch (error) {
      log.warn('guards and watches could not be started', {
        error: error instanceof Error ? error.message : String(error),
      });
      wait = Math.min(RETRY_MS, everyMs);
    }
    await sleep(wait, undefined, { signal }).catch(() => undefined);
  }
}

async function start(client: Client, one: Kept, known: Map<string, string>): Promise<void> {
  const { type, workflowId, args, summary, about } = one;
  const options = {
    ...{ workflowId, taskQueue: CONTROL_QUEUE, args, staticSummary: summary },
    workflowIdReusePolicy: 'ALLOW_DUPLICATE' as const,
  };
  if (about === undefined || known.get(workflowId) === about) {
    await client.workflow.start(type, { ...options, workflowIdConflictPolicy: 'USE_EXISTING' });
    return;
  }
  // One that runs may have been started for something else, also by a process before this one.
  await client.workflow.signalWithStart(type, { ...options, signal: 'edited', signalArgs: [] });
  known.set(workflowId, about);
}
