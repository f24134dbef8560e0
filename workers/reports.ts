/**
 * Files the report of every run and drill that is over, in the store that the topology names. All control workers do;
 * the store serialises them. Beside the runs and never part of one: a run ends whether or not its report can be filed,
 * and one whose worker died at its end is filed by the next sweep of any worker.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import { resolveSecret } from '../activities/secrets.ts';
import type { Temporal } from '../clients/connection.ts';
import { openSigner, openStorage } from '../clients/reports/open.ts';
import { Sweeper } from '../clients/reports/sweep.ts';
import type { DriverLog } from '../drivers/ports.ts';
import type { ReportStore, Topology } from '../topology/model.ts';

/** What clients/ needs of a connection, on a worker's own, which the worker closes. */
export function temporalOf(client: Client, connection: NativeConnection): Temporal {
  const { namespace } = client.options;
  return { client, connection, address: '', namespace, ui: null, calls: new Set(), close: async () => undefined };
}

/** How soon after its end a run's report is filed, in milliseconds. */
const EVERY_MS = 5_000;
/** What is the matter is said once, and again when it still is after this time, in milliseconds. */
const SAY_EVERY_MS = 600_000;

export interface KeepReportsOptions {
  temporal: Temporal;
  topology(): Promise<Topology>;
  log: DriverLog;
  signal: AbortSignal;
  everyMs?: number;
}

/** Runs until the signal aborts. Errors are logged and tried again. */
export async function keepReports({ temporal, topology, log, signal, everyMs = EVERY_MS }: KeepReportsOptions) {
  const said = new Map<string, number>();
  // Not by its words: an error may name a file that is another one each time.
  const sayOnce = (message: string, facts: Record<string, string>): void => {
    const id = `${message} ${facts.runId ?? ''}`;
    if (Date.now() - (said.get(id) ?? 0) < SAY_EVERY_MS) return;
    said.set(id, Date.now());
    log.warn(message, facts);
  };
  let open: Open | null = null;
  while (!signal.aborted) {
    try {
      const { reports } = await topology();
      if (reports === undefined) open = null;
      else open = await reopened(reports, open);
      if (open !== null) {
        const { filed, left, failed } = await open.sweeper.sweep(temporal);
        for (const { service, number } of filed) log.info('report filed', { service, number, store: open.where });
        for (const one of left) sayOnce('a run left nothing to file', { ...one, remedy: 'look at it in Temporal' });
        // A store that is away fails them all: one says it.
        const [one] = failed;
        if (one !== undefined)
          sayOnce('a report could not be filed; it is tried again', { ...one, others: String(failed.length - 1) });
      }
    } catch (error) {
      sayOnce('reports could not be filed; they are tried again', {
        error: error instanceof Error ? error.message : String(error),
      });
    }
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

interface Open {
  /** What the topology says of it. */
  config: string;
  sweeper: Sweeper;
  where: string;
}

/** The store as the topology names it now; the same one as long as that says the same. */
async function reopened(reports: ReportStore, open: Open | null): Promise<Open> {
  const config = JSON.stringify(reports);
  if (open?.config === config) return open;
  const storage = openStorage(reports, resolveSecret);
  const signer = await openSigner(reports, resolveSecret);
  return { config, sweeper: new Sweeper({ storage, signer }), where: storage.where };
}
