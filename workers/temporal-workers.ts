/** The workers of a process that is connected to Temporal, and the loops beside them. */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { type NativeConnection, Worker, type WorkflowBundleOption } from '@temporalio/worker';
import type { ActivityDeps } from '../activities/deps.ts';
import { createComparingActivities } from '../activities/divergence.ts';
import { createDrillActivities } from '../activities/drills.ts';
import { createGuardingActivities } from '../activities/guarding.ts';
import { createHaltActivities } from '../activities/halts.ts';
import { createNotifyActivities } from '../activities/notify.ts';
import { createPlanningActivities } from '../activities/planning.ts';
import { createStepActivities } from '../activities/steps.ts';
import { createTriggerActivities } from '../activities/triggers.ts';
import { createVantageActivities } from '../activities/vantage.ts';
import { createWatchingActivities } from '../activities/watching.ts';
import type { DriverLog } from '../drivers/ports.ts';
import { metrics } from '../metrics/process.ts';
import { queuesOfPlace } from '../topology/components.ts';
import { CONTROL_POINT } from '../topology/watches.ts';
import { GUARD_QUEUE, watchQueueOf } from '../workflows/contract.ts';
import { createComparingDeps } from './comparing-deps.ts';
import { createDrillDeps } from './drill-deps.ts';
import { createGuardDeps } from './guard-deps.ts';
import { keepGuards } from './guards.ts';
import { createHaltDeps } from './halt-deps.ts';
import type { Health } from './health.ts';
import type { ReadTopology } from './last-topology.ts';
import { keepReports, temporalOf } from './reports.ts';
import { readRuns } from './runs.ts';
import { ensureSearchAttributes } from './search-attributes.ts';
import { createTriggerDeps } from './trigger-deps.ts';
import { createWatchingDeps, publishVantage } from './watch-deps.ts';
import type { Announcer } from './watchdog.ts';

/** In-flight steps get this long to end by themselves; then their attempts fail and another worker takes them. */
const SHUTDOWN_GRACE = '10s';
/** A stuck activity never keeps the process alive longer than this. */
const SHUTDOWN_FORCE = '20s';
/** Polls for activities that a worker keeps open. The control place runs a dozen side by side when it observes. */
const CONTROL_POLLS = 4;
const REGION_POLLS = 2;

export const countNotification = (channel: string, result: 'sent' | 'failed'): void =>
  metrics.count('rampart_notifications_total', { channel, result });

export interface Temporal {
  connection: NativeConnection;
  client: Client;
}

interface Connected extends Temporal {
  namespace: string;
  deps: ActivityDeps;
  read: ReadTopology;
  announcer: Announcer;
  log: DriverLog;
  placeName: string;
  health: Health | null;
}

/** Runs until a signal stops it. */
export async function runTemporalWorkers(connected: Connected): Promise<void> {
  const { connection, client, namespace, deps, read, announcer, log, placeName, health } = connected;
  const { place } = deps;
  if (place.region === null) await ensureSearchAttributes(connection, namespace, log);
  const guardDeps = createGuardDeps(client, read, announcer);
  const guarding = place.region === null ? createGuardingActivities(deps, guardDeps) : null;
  const triggering = place.region === null ? createTriggerActivities(deps, createTriggerDeps(client, announcer)) : null;
  const drilling =
    place.region === null ? createDrillActivities(deps, createDrillDeps(client, deps.topology, log)) : null;
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
  health?.attach(workers[0]!, connection);
  const stop = new AbortController();
  const keeping =
    guarding === null ? null : keepGuards({ client, topology: guardDeps.topology, log, signal: stop.signal });
  const reading =
    guarding === null
      ? null
      : readRuns({ client, topology: guardDeps.topology, registry: metrics, log, signal: stop.signal });
  const filing =
    place.region === null
      ? keepReports({
          temporal: temporalOf(client, connection),
          topology: deps.topology,
          log,
          signal: stop.signal,
        })
      : null;
  log.info('worker started', { queues: queuesOfPlace(place), build: deps.build, namespace });
  try {
    await Promise.all(workers.map((worker) => worker.run()));
  } finally {
    stop.abort();
    await Promise.all([keeping, reading, filing]);
  }
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
