/**
 * `/metrics` of a worker: Rampart's own, and Temporal's behind them. Temporal's exporter has a port of its own on
 * loopback and is read at every scrape, because what it publishes once stays there until the process ends: that is right
 * for counters, and wrong for what a database was like a minute ago.
 */
import type { Server } from 'node:http';
import { createServer as createProbe } from 'node:net';
import type { DriverLog } from '../drivers/ports.ts';
import { listenForScrapes } from '../metrics/listen.ts';
import { METRICS, type MetricName, specOf } from '../metrics/names.ts';
import type { Registry } from '../metrics/registry.ts';
import { splitAddress } from './health.ts';

/** Longest wait for Temporal's exporter, in milliseconds; a scrape times out after seconds. */
const EXPORTER_MS = 2_000;

export interface MetricsServerOptions {
  /** `host:port`; port 0 picks a free one. */
  address: string;
  registry: Registry;
  /** Where Temporal's exporter listens, `host:port`. */
  exporter: string;
  log: DriverLog;
}

/** @throws Error of Node (`EADDRINUSE`, …) when nothing can listen at the address */
export function serveMetrics({ address, registry, exporter, log }: MetricsServerOptions): Promise<Server> {
  const [host, port] = splitAddress(address);
  return listenForScrapes({ host, port }, async () => {
    const theirs = await temporalsOwn(exporter, log);
    return `${registry.render()}${theirs}`;
  });
}

/** Without it the readings are worth as much as ever, so they are served in any case. */
async function temporalsOwn(exporter: string, log: DriverLog): Promise<string> {
  try {
    const answer = await fetch(`http://${exporter}/metrics`, { signal: AbortSignal.timeout(EXPORTER_MS) });
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    return await answer.text();
  } catch (error) {
    log.warn("Temporal's own metrics cannot be read", {
      error: error instanceof Error ? error.message : String(error),
    });
    return '';
  }
}

/** A free port on loopback for Temporal's exporter, which cannot choose one that it would tell. @returns `host:port` */
export async function exporterAddress(): Promise<string> {
  const probe = createProbe();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', resolve);
  });
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return `127.0.0.1:${port}`;
}

/** Of Temporal's exporter: seconds, and the bounds of the histograms that workflow code records. */
export function exporterOptions(bindAddress: string) {
  return { bindAddress, useSecondsForDurations: true, histogramBucketOverrides: workflowBuckets() };
}

function workflowBuckets(): Record<string, number[]> {
  const names = (Object.keys(METRICS) as MetricName[]).filter((name) => specOf(name).from === 'workflow');
  return Object.fromEntries(
    names.flatMap((name) => {
      const { buckets } = specOf(name);
      return buckets === undefined ? [] : [[name, [...buckets]]];
    }),
  );
}
