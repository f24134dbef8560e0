/** The connection of a worker process to Temporal, waited for: what watches the data needs none, and must not wait. */
import { setTimeout as sleep } from 'node:timers/promises';
import { NativeConnection, type NativeConnectionOptions } from '@temporalio/worker';
import type { DriverLog } from '../drivers/ports.ts';

/** Between two tries, in milliseconds. */
const AGAIN_MS = 2_000;
/** The same trouble is logged again after so long, in milliseconds. */
const SAID_AGAIN_MS = 60_000;
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Connects as soon as Temporal answers.
 * @returns `null` when a signal told the process to stop before
 */
export async function connectWhenThere(
  options: NativeConnectionOptions,
  log: DriverLog,
): Promise<NativeConnection | null> {
  const told = new AbortController();
  const tell = (): void => told.abort();
  for (const name of SIGNALS) process.once(name, tell);
  try {
    return await connect(options, log, told.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, tell);
  }
}

async function connect(
  options: NativeConnectionOptions,
  log: DriverLog,
  signal: AbortSignal,
): Promise<NativeConnection | null> {
  const address = options.address ?? 'localhost:7233';
  let saidAt: number | null = null;
  while (!signal.aborted) {
    try {
      const connection = await orEnded(NativeConnection.connect(options), signal);
      if (connection === null) return null;
      if (saidAt !== null) log.info(`Temporal at ${address} answers`);
      return connection;
    } catch (error) {
      if (saidAt === null || Date.now() - saidAt >= SAID_AGAIN_MS) {
        saidAt = Date.now();
        log.warn(
          `Temporal at ${address} does not answer: this worker only watches until it does. Set TEMPORAL_ADDRESS or a profile as for the temporal CLI; \`rampart doctor\` looks at everything.`,
          { error: String(error) },
        );
      }
    }
    await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined);
  }
  return null;
}

/** A server that takes the connection and says nothing is given half a minute: too long for a process that is to stop. */
async function orEnded(connecting: Promise<NativeConnection>, signal: AbortSignal): Promise<NativeConnection | null> {
  const ended = new Promise<null>((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }));
  const first = await Promise.race([connecting, ended]);
  if (first === null)
    // Whatever becomes of it: the process ends.
    void connecting.then((late) => late.close()).catch(() => undefined);
  return first;
}
