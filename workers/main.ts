/** A worker process: the control place runs workflows and general steps, a region's place runs steps near its systems. */
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection, Runtime, Worker, type WorkflowBundleOption } from '@temporalio/worker';
import type { ActivityDeps } from '../activities/deps.ts';
import { createComparingActivities } from '../activities/divergence.ts';
import { createDrillActivities } from '../activities/drills.ts';
import { createGuardingActivities } from '../activities/guarding.ts';
import { createHaltActivities } from '../activities/halts.ts';
import { createNotifyActivities } from '../activities/notify.ts';
import { createPlanningActivities } from '../activities/planning.ts';
import { resolveSecret } from '../activities/secrets.ts';
import { createStepActivities } from '../activities/steps.ts';
import { createTriggerActivities } from '../activities/triggers.ts';
import { createVantageActivities } from '../activities/vantage.ts';
import { createWatchingActivities } from '../activities/watching.ts';
import { RampartError } from '../drivers/errors.ts';
import type { Driver } from '../drivers/ports.ts';
import { drivers as builtIn } from '../drivers/registry.ts';
import { metrics } from '../metrics/process.ts';
import { queuesOfPlace } from '../topology/components.ts';
import { loadTopology } from '../topology/load.ts';
import { haltOf } from '../topology/model.ts';
import { formatProblems } from '../topology/problem.ts';
import { CONTROL_POINT } from '../topology/watches.ts';
import { GUARD_QUEUE, watchQueueOf } from '../workflows/contract.ts';
import { ChannelTeller } from './channel-teller.ts';
import { createComparingDeps } from './comparing-deps.ts';
import { createDrillDeps } from './drill-deps.ts';
import { createGuardDeps } from './guard-deps.ts';
import { keepGuards } from './guards.ts';
import { createHaltDeps, openHalt } from './halt-deps.ts';
import { serveHealth } from './health.ts';
import { rememberTopology } from './last-topology.ts';
import { createLog } from './log.ts';
import { exporterAddress, exporterOptions, serveMetrics } from './metrics-server.ts';
import { keepReports, temporalOf } from './reports.ts';
import { readRuns } from './runs.ts';
import { Sampler } from './sampler.ts';
import { ensureSearchAttributes, registeredSearchAttributes } from './search-attributes.ts';
import { createTriggerDeps } from './trigger-deps.ts';
import { createWatchingDeps, publishVantage } from './watch-deps.ts';
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

/** In-flight steps get this long to end by themselves; then their attempts fail and another worker takes them. */
const SHUTDOWN_GRACE = '10s';
/** A stuck activity never keeps the process alive longer than this. */
const SHUTDOWN_FORCE = '20s';
const SAMPLE_EVERY_MS = 1_000;
/** Polls for activities that a worker keeps open. The control place runs a dozen side by side when it observes. */
const CONTROL_POLLS = 4;
const REGION_POLLS = 2;

const countNotification = (channel: string, result: 'sent' | 'failed'): void =>
  metrics.count('rampart_notifications_total', { channel, result });

/**
 * Runs until a signal stops it.
 * @throws RampartError InvalidInput when the topology does not validate; ProviderUnavailable when Temporal is away
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
  const connection = await NativeConnection.connect(connectionOptions).catch((error: unknown) => {
    throw new RampartError(
      'ProviderUnavailable',
      `Temporal at ${connectionOptions.address ?? 'localhost:7233'} does not answer: ${String(error)}`,
      {
        remedy: 'Set TEMPORAL_ADDRESS or a profile as for the temporal CLI; `rampart doctor` looks at everything.',
      },
    );
  });
  const client = new Client({ connection, namespace });
  const sampler = new Sampler(join(stateDirectory(), placeName));
  const read = rememberTopology(() => readTopology(options));
  const deps: ActivityDeps = {
    place,
    stateDir: join(stateDirectory(), placeName),
    build: await buildId(),
    drivers: options.drivers ?? builtIn,
    topology: read.now,
    searchAttributes: () => registeredSearchAttributes(connection, namespace),
    cancelRun: async (workflowId, runId) => {
      await connection.workflowService.requestCancelWorkflowExecution({
        namespace,
        workflowExecution: { workflowId, runId },
        reason: 'it ended before it did anything',
      });
    },
    halt: (service) => openHalt(client, haltOf(service)),
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
  if (place.region === null) await ensureSearchAttributes(connection, namespace, log.own);

  await mkdir(deps.stateDir, { recursive: true });
  const channels = new ChannelTeller({ topology: read.last, secret: resolveSecret, count: countNotification });
  const announcer = new Announcer(log.own, notifyCommand(), place.region === null ? channels : null);
  const guardDeps = createGuardDeps(client, read, announcer);
  const guarding = place.region === null ? createGuardingActivities(deps, guardDeps) : null;
  const triggering = place.region === null ? createTriggerActivities(deps, createTriggerDeps(client, announcer)) : null;
  const drilling =
    place.region === null ? createDrillActivities(deps, createDrillDeps(client, deps.topology, log.own)) : null;
  const watched =
    place.region === null ? createWatchingActivities(deps, createWatchingDeps(client, read.last, announcer)) : null;
  const activities = {
    ...createPlanningActivities(deps),
    ...createStepActivities(deps),
    ...guarding,
    ...triggering,
    ...drilling,
    ...(place.region === null
      ? createComparingActivities(deps, createComparingDeps(client, read.last, announcer))
      : null),
    // A region's worker pauses the replicas beside it.
    ...createHaltActivities(deps, createHaltDeps(client, announcer)),
    ...(place.region === null ? createNotifyActivities(deps, { count: countNotification }) : {}),
    ...watched,
  };
  const identity = `${process.pid}@${hostname()} ${placeName}`;
  const workers = await Promise.all(
    queuesOfPlace(place).map((taskQueue) =>
      Worker.create({
        connection,
        namespace,
        taskQueue,
        identity,
        activities,
        ...(place.region === null ? workflowSource() : {}),
        shutdownGraceTime: SHUTDOWN_GRACE,
        shutdownForceTime: SHUTDOWN_FORCE,
        maxConcurrentActivityTaskExecutions: 50,
        // A worker that freezes (a paused machine, a full disk) takes a task with every poll that it has open, and each
        // of them is lost until its heartbeat is missed: ten, the default, would use up every attempt of a step.
        maxConcurrentActivityTaskPolls: place.region === null ? CONTROL_POLLS : REGION_POLLS,
        // Cancellation and lost workers are learned through heartbeats; in the freeze seconds count.
        maxHeartbeatThrottleInterval: '500ms',
        defaultHeartbeatThrottleInterval: '500ms',
        maxCachedWorkflows: 200,
        stickyQueueScheduleToStartTimeout: '2s',
      }),
    ),
  );
  if (guarding !== null)
    workers.push(
      await Worker.create({
        connection,
        namespace,
        taskQueue: GUARD_QUEUE,
        identity,
        activities: guarding,
        // The next worker goes on with the watch; there is nothing to finish.
        shutdownGraceTime: '0s',
        shutdownForceTime: SHUTDOWN_FORCE,
        // One for each service of the topology; most of them sleep.
        maxConcurrentActivityTaskExecutions: 1_000,
        // Nearly all that a guard costs its server is heartbeats; a watch is given up after 30 s without one.
        maxHeartbeatThrottleInterval: '20s',
        defaultHeartbeatThrottleInterval: '20s',
      }),
    );
  workers.push(
    await Worker.create({
      ...{ connection, namespace, identity },
      taskQueue: watchQueueOf(place.region ?? CONTROL_POINT),
      activities: createVantageActivities(deps, { publish: publishVantage }),
      shutdownGraceTime: '0s',
      shutdownForceTime: SHUTDOWN_FORCE,
      // One for each watch; most of them sleep.
      maxConcurrentActivityTaskExecutions: 1_000,
      // A frozen worker loses one task for each poll that it has open.
      maxConcurrentActivityTaskPolls: 1,
      // Nearly all that a watch costs its server; what was said last counts for 30 s after the last one.
      maxHeartbeatThrottleInterval: '10s',
      defaultHeartbeatThrottleInterval: '10s',
    }),
  );
  const stop = new AbortController();
  const intervalMs = Number(process.env.RAMPART_SAMPLE_INTERVAL_MS ?? SAMPLE_EVERY_MS);
  const watching = watchLoop({ deps, sampler, announcer, intervalMs, signal: stop.signal });
  const keeping =
    guarding === null ? null : keepGuards({ client, topology: guardDeps.topology, log: log.own, signal: stop.signal });
  const reading =
    guarding === null
      ? null
      : readRuns({ client, topology: guardDeps.topology, registry: metrics, log: log.own, signal: stop.signal });
  const filing =
    place.region === null
      ? keepReports({
          temporal: temporalOf(client, connection),
          topology: deps.topology,
          log: log.own,
          signal: stop.signal,
        })
      : null;
  const health =
    options.healthAddress === undefined ? null : await serveHealth(options.healthAddress, workers[0]!, connection);
  metrics.set('rampart_info', { version: deps.build, place: placeName }, 1);
  const scraped =
    options.metricsAddress === undefined || exporter === null
      ? null
      : await serveMetrics({ address: options.metricsAddress, registry: metrics, exporter, log: log.own });
  log.own.info('worker started', { queues: queuesOfPlace(place), build: deps.build, namespace });
  try {
    await Promise.all(workers.map((worker) => worker.run()));
  } finally {
    stop.abort();
    health?.close();
    scraped?.close();
    await Promise.all([watching, keeping, reading, filing]);
    await connection.close();
  }
}

/** Where claims, samples and escape pages of this machine's workers live. */
export function stateDirectory(): string {
  return process.env.RAMPART_STATE_DIR ?? join(homedir(), '.local', 'state', 'rampart');
}

/** The bundle made by the build: beside this code in `dist`, or in `dist` when this runs from the sources. */
function workflowSource(): { workflowBundle: WorkflowBundleOption } {
  const paths = ['../workflow-bundle.js', '../dist/workflow-bundle.js'].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  const codePath = paths.find((path) => existsSync(path));
  if (codePath === undefined) throw new Error('dist/workflow-bundle.js is missing: run `node scripts/build.mjs`');
  return { workflowBundle: { codePath } };
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
