/** A worker process: the control place runs workflows and general steps, a region's place runs steps near its systems. */
import { mkdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { Runtime } from '@temporalio/worker';
import type { ActivityDeps } from '../activities/deps.ts';
import { resolveSecret } from '../activities/secrets.ts';
import { RampartError } from '../drivers/errors.ts';
import type { Driver } from '../drivers/ports.ts';
import { drivers as builtIn } from '../drivers/registry.ts';
import { metrics } from '../metrics/process.ts';
import { loadTopology } from '../topology/load.ts';
import { haltOf } from '../topology/model.ts';
import { formatProblems } from '../topology/problem.ts';
import { ChannelTeller } from './channel-teller.ts';
import { connectWhenThere } from './connect.ts';
import { openHalt } from './halt-deps.ts';
import { serveHealth } from './health.ts';
import { rememberTopology } from './last-topology.ts';
import { createLog } from './log.ts';
import { exporterAddress, exporterOptions, serveMetrics } from './metrics-server.ts';
import { Sampler } from './sampler.ts';
import { registeredSearchAttributes } from './search-attributes.ts';
import { countNotification, runTemporalWorkers, type Temporal } from './temporal-workers.ts';
import { watchLoop } from './watch-loop.ts';
import { Announcer } from './watchdog.ts';

export interface WorkerOptions {
  /** Region whose steps this worker runs; none = the control place. */
  region?: string;
  /** Place within the region; such a worker polls the region's queue as well. */
  place?: string;
  /** Path of the topology; default RAMPART_CONFIG, then rampart.yaml. */
  config?: string;
  /** `host:port` for Prometheus `/metrics`; none = not served. */
  metricsAddress?: string;
  /** `host:port` for `/healthz` and `/readyz`; none = not served. */
  healthAddress?: string;
  drivers?: ReadonlyMap<string, Driver>;
}

const SAMPLE_EVERY_MS = 1_000;

/**
 * Runs until a signal stops it.
 * Temporal is waited for; what watches the data begins without it.
 * @throws RampartError InvalidInput when the topology does not validate
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  const place = { region: options.region ?? null, place: options.place ?? null };
  const placeName = [place.region ?? 'control', place.place].filter((p) => p !== null).join('.');
  const log = createLog({ place: placeName });
  const exporter = options.metricsAddress === undefined ? null : await exporterAddress();
  Runtime.install({
    logger: log.temporal,
    telemetryOptions: {
      logging: { filter: { core: 'WARN', other: 'WARN' }, forward: {} },
      ...(exporter === null ? {} : { metrics: { prometheus: exporterOptions(exporter) } }),
    },
    shutdownSignals: ['SIGINT', 'SIGTERM'],
  });
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
  // What steps ask of Temporal: known before the first of them, and after the watch has begun, which asks for nothing.
  let temporal: Temporal;
  const sampler = new Sampler(join(stateDirectory(), placeName));
  const read = rememberTopology(() => readTopology(options));
  const deps: ActivityDeps = {
    place,
    stateDir: join(stateDirectory(), placeName),
    build: await buildId(),
    drivers: options.drivers ?? builtIn,
    topology: read.now,
    searchAttributes: () => registeredSearchAttributes(temporal.connection, namespace),
    cancelRun: async (workflowId, runId) => {
      await temporal.connection.workflowService.requestCancelWorkflowExecution({
        namespace,
        workflowExecution: { workflowId, runId },
        reason: 'it ended before it did anything',
      });
    },
    halt: (service) => openHalt(temporal.client, haltOf(service)),
    samples: (component) => sampler.of(component),
    log: log.own,
    namespace,
    ui: process.env.RAMPART_UI ?? null,
  };
  const topology = await read.now();
  if (place.region !== null && topology.regions[place.region] === undefined)
    throw new RampartError(
      'InvalidInput',
      `the topology has no region ${place.region}: it has ${Object.keys(topology.regions).join(', ')}`,
    );

  await mkdir(deps.stateDir, { recursive: true });
  const channels = new ChannelTeller({ topology: read.last, secret: resolveSecret, count: countNotification });
  const announcer = new Announcer(log.own, notifyCommand(), place.region === null ? channels : null);
  const health = options.healthAddress === undefined ? null : await serveHealth(options.healthAddress);
  metrics.set('rampart_info', { version: deps.build, place: placeName }, 1);
  const scraped =
    options.metricsAddress === undefined || exporter === null
      ? null
      : await serveMetrics({ address: options.metricsAddress, registry: metrics, exporter, log: log.own });
  const stop = new AbortController();
  const intervalMs = Number(process.env.RAMPART_SAMPLE_INTERVAL_MS ?? SAMPLE_EVERY_MS);
  // Whatever Temporal does: an old primary may come back just when that is away.
  const watching = watchLoop({ deps, sampler, announcer, intervalMs, signal: stop.signal });
  try {
    const connection = await connectWhenThere(connectionOptions ?? {}, log.own);
    if (connection === null) return;
    temporal = { connection, client: new Client({ connection, namespace }) };
    try {
      await runTemporalWorkers({ ...temporal, namespace, deps, read, announcer, log: log.own, placeName, health });
    } finally {
      await connection.close();
    }
  } finally {
    stop.abort();
    health?.server.close();
    scraped?.close();
    await watching;
  }
}

/** Where claims, samples and escape pages of this machine's workers live. */
export function stateDirectory(): string {
  return process.env.RAMPART_STATE_DIR ?? join(homedir(), '.local', 'state', 'rampart');
}

async function readTopology(options: WorkerOptions) {
  const { topology, problems, path } = await loadTopology(
    options.config === undefined ? {} : { path: options.config },
    options.drivers ?? builtIn,
  );
  if (topology !== undefined) return topology;
  throw new RampartError('InvalidInput', `${path} does not validate:\n${formatProblems(problems)}`, {
    remedy: '`rampart validate` shows where.',
  });
}

/** Version of this program and, where it was built from a repository, its revision. */
export async function buildId(): Promise<string> {
  for (const url of ['../package.json', '../../package.json']) {
    const text = await readFile(new URL(url, import.meta.url), 'utf8').catch(() => null);
    if (text !== null) {
      const { version } = JSON.parse(text) as { version: string };
      return process.env.RAMPART_BUILD ? `${version}+${process.env.RAMPART_BUILD}` : version;
    }
  }
  return 'unknown';
}

/** RAMPART_NOTIFY_COMMAND: a JSON list of arguments; gets an alarm as JSON on standard input. */
function notifyCommand(): string[] | null {
  const text = process.env.RAMPART_NOTIFY_COMMAND;
  if (text === undefined || text === '') return null;
  try {
    const parsed: unknown = JSON.parse(text);
    if (Array.isArray(parsed) && parsed.every((part) => typeof part === 'string')) return parsed;
  } catch {
    // Falls through to the one message that says what would be right.
  }
  throw new RampartError(
    'InvalidInput',
    'RAMPART_NOTIFY_COMMAND must be a JSON list of arguments, for example ["/usr/local/bin/page","--now"]',
  );
}
