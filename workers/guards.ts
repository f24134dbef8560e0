/**
 * Guards as a desired state: every service of the topology that wants one has its guard's workflow running. Control
 * workers see to it, all of them: starting one that runs changes nothing. A guard ends by itself when the topology no
 * longer has its service.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { type GuardDeps, isGuarded } from '../activities/guarding.ts';
import type { DriverLog } from '../drivers/ports.ts';
import { CONTROL_QUEUE, guardOf } from '../workflows/contract.ts';

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

/** Runs until the signal aborts. Errors are logged and tried again: without guards the watchdog still watches. */
export async function keepGuards({ client, topology, log, signal, everyMs = EVERY_MS }: KeepGuardsOptions) {
  while (!signal.aborted) {
    let wait = everyMs;
    try {
      const services = Object.values((await topology()).services).filter(isGuarded);
      for (let i = 0; i < services.length; i += AT_ONCE)
        await Promise.all(services.slice(i, i + AT_ONCE).map(({ name }) => startGuard(client, name)));
    } catch (error) {
      log.warn('guards could not be started', { error: error instanceof Error ? error.message : String(error) });
      wait = Math.min(RETRY_MS, everyMs);
    }
    await sleep(wait, undefined, { signal }).catch(() => undefined);
  }
}

function startGuard(client: Client, service: string): Promise<unknown> {
  return client.workflow.start('guard', {
    workflowId: guardOf(service),
    taskQueue: CONTROL_QUEUE,
    args: [{ service }],
    staticSummary: `guard of ${service}`,
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
  });
}
