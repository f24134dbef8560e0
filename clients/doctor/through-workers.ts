/**
 * What the workers themselves see: one read-only plan per service. Its result says what they cannot reach; its history
 * says how long a step waits for a worker, which builds run, and how far the clocks are apart.
 */
import type { Finding } from '../../drivers/ports.ts';
import type { Plan } from '../../plan/model.ts';
import type { Service } from '../../topology/model.ts';
import { inTime } from '../ask.ts';
import type { Temporal } from '../connection.ts';
import { startPlan } from '../start.ts';
import { type Check, finding, ok, reasonOf } from './check.ts';

/** Longest time for one plan, in milliseconds. */
const PLAN_MS = 30_000;
/** Clocks further apart than this make ages of readings wrong, in milliseconds. */
const SKEW_MS = 1_000;
/** With the settings of the lab a step waits a few milliseconds; with a server's defaults, about 50. */
const SLOW_DISPATCH_MS = 35;

export interface Probe {
  queue: string;
  build: string;
  /** How far the worker's clock is from the server's, in milliseconds; positive = ahead. 0 = within the measurement. */
  skewMs: number;
}

export interface WorkersView {
  checks: Check[];
  /** Stores' nodes that the workers can read, as `component/node`. */
  readable: Set<string>;
  probes: Probe[];
  /** Milliseconds that activities waited for a worker. */
  waits: number[];
}

/** Observes one service through the workers. */
export async function askWorkers(temporal: Temporal, service: Service): Promise<WorkersView> {
  const view: WorkersView = { checks: [], readable: new Set(), probes: [], waits: [] };
  const sentAt = Date.now();
  const run = await startPlan(temporal, { action: 'failback', service: service.name });
  const handle = temporal.client.workflow.getHandle(run.workflowId, run.runId);
  try {
    const plan = (await inTime(temporal, () => handle.result(), PLAN_MS)) as Plan;
    view.checks.push(...checksOf(service, plan));
    for (const [store, nodes] of Object.entries(plan.facts.positions)) {
      for (const node of nodes) {
        if (!['unreachable', 'unknown'].includes(node.state)) view.readable.add(`${store}/${node.node}`);
      }
    }
  } catch (error) {
    await handle.cancel().catch(() => undefined);
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    view.checks.push(
      finding(
        'error',
        'workers',
        service.name,
        'workersObserve',
        `the workers could not observe ${service.name}: ${reasonOf(cause)}`,
        `rampart plan failback --service ${service.name} shows more`,
      ),
    );
    return view;
  }
  const events = await inTime(temporal, () => handle.fetchHistory(), 10_000);
  readHistory(events.events ?? [], view);
  view.checks.push(...clockChecks(events.events ?? [], sentAt, view.probes));
  return view;
}

function checksOf(service: Service, plan: Plan): Check[] {
  const { classified, blockers, warnings } = plan.facts;
  const checks: Check[] = [];
  const bad = ['unknown', 'twoWritable', 'noneWritable', 'sourceLost'].includes(classified.state);
  const state = ok('workers', service.name, 'workersObserve', `the workers see: ${classified.text}`);
  checks.push(bad ? { ...state, level: 'error', remedy: classified.missing.map((what) => `missing: ${what}`) } : state);
  for (const one of [...blockers, ...warnings]) {
    if (one.severity !== 'info') checks.push(fromFinding(service, one));
  }
  return checks;
}

function fromFinding(service: Service, { code, severity, message, remedy, component, region }: Finding): Check {
  const where = [component, region].filter((part) => part !== null).join(' in ');
  const level = severity === 'blocker' ? 'error' : 'warning';
  const subject = where === '' ? service.name : where;
  return finding(level, 'workers', subject, code, message, ...(remedy === '' ? [] : [remedy]));
}

interface HistoryEvent {
  eventId?: unknown;
  eventTime?: { seconds?: unknown; nanos?: number | null } | null;
  activityTaskScheduledEventAttributes?: {
    activityType?: { name?: string | null } | null;
    taskQueue?: { name?: string | null } | null;
  } | null;
  activityTaskStartedEventAttributes?: { scheduledEventId?: unknown; attempt?: number | null } | null;
  activityTaskCompletedEventAttributes?: {
    scheduledEventId?: unknown;
    result?: { payloads?: Array<{ data?: Uint8Array | null }> | null } | null;
  } | null;
}

const timeOf = ({ eventTime }: HistoryEvent): number =>
  Number(eventTime?.seconds ?? 0) * 1000 + (eventTime?.nanos ?? 0) / 1e6;

function readHistory(events: readonly HistoryEvent[], view: WorkersView): void {
  const scheduled = new Map<string, HistoryEvent>();
  const started = new Map<string, number>();
  for (const event of events) {
    if (event.activityTaskScheduledEventAttributes) scheduled.set(String(event.eventId), event);
    const start = event.activityTaskStartedEventAttributes;
    if (start) {
      const id = String(start.scheduledEventId);
      started.set(id, timeOf(event));
      const before = scheduled.get(id);
      if (before !== undefined && (start.attempt ?? 1) <= 1) view.waits.push(timeOf(event) - timeOf(before));
    }
    const done = event.activityTaskCompletedEventAttributes;
    const what = done && scheduled.get(String(done.scheduledEventId))?.activityTaskScheduledEventAttributes;
    if (!done || what?.activityType?.name !== 'probePlace') continue;
    const said = parse(done.result?.payloads?.[0]?.data);
    if (said === null) continue;
    const from = started.get(String(done.scheduledEventId)) ?? timeOf(event);
    const skewMs = Math.round(said.at < from ? said.at - from : Math.max(0, said.at - timeOf(event)));
    view.probes.push({ queue: what.taskQueue?.name ?? '', build: said.build, skewMs });
  }
}

function parse(data: Uint8Array | null | undefined): { build: string; at: number } | null {
  try {
    const value = JSON.parse(Buffer.from(data ?? []).toString('utf8')) as { build?: unknown; at?: unknown };
    return typeof value.at === 'number' ? { build: String(value.build), at: value.at } : null;
  } catch {
    return null; // behind a payload codec; then builds and clocks are not measured
  }
}

function clockChecks(events: readonly HistoryEvent[], sentAt: number, probes: readonly Probe[]): Check[] {
  const checks: Check[] = [];
  const first = events[0];
  if (first !== undefined) {
    // The server wrote the first event between the request and now; further off than that is skew.
    const at = timeOf(first);
    const skew = at < sentAt ? at - sentAt : Math.max(0, at - Date.now());
    checks.push(clockCheck('this machine and the Temporal server', Math.round(-skew)));
  }
  for (const { queue, skewMs } of probes) checks.push(clockCheck(`worker of ${queue} and the Temporal server`, skewMs));
  return checks;
}

function clockCheck(between: string, skewMs: number): Check {
  const off = Math.abs(skewMs);
  if (off <= SKEW_MS) return ok('workers', 'clocks', 'clockSkew', `${between}: within ${Math.max(off, 1)} ms`);
  return finding(
    'warning',
    'workers',
    'clocks',
    'clockSkew',
    `${between} are ${(off / 1000).toFixed(1)} s apart (the first is ${skewMs > 0 ? 'ahead' : 'behind'}): ages of readings are wrong by that`,
    'Run a time service (chrony, systemd-timesyncd) on both.',
  );
}

/** How long a step waits for a worker, over all that was asked; and the setting that makes a dev server fast. */
export function checkDispatch(waits: readonly number[], devServer: boolean): Check[] {
  if (waits.length === 0) return [];
  const sorted = [...waits].sort((a, b) => a - b);
  const median = Math.round(sorted[Math.floor(sorted.length / 2)]! * 10) / 10;
  const text = `a step waits ${median} ms for a worker (median of ${waits.length})`;
  if (median < SLOW_DISPATCH_MS) return [ok('workers', 'latency', 'dispatchLatency', text)];
  const settings = [
    '--dynamic-config-value history.transferProcessorMaxPollRPS=2000',
    '--dynamic-config-value history.timerProcessorMaxPollRPS=2000',
  ];
  const remedy = devServer
    ? [`Unless it has them, start the dev server with: temporal server start-dev ${settings.join(' ')}`]
    : ['Raise history.transferProcessorMaxPollRPS and history.timerProcessorMaxPollRPS on a self-hosted server.'];
  const known = "; with a server's defaults it is about 50, on a busy machine as well";
  return [finding('info', 'workers', 'latency', 'dispatchLatency', `${text}${known}`, ...remedy)];
}

/** Places that run different builds of this program. */
export function checkBuilds(probes: readonly Probe[]): Check[] {
  const builds = new Map<string, Set<string>>();
  for (const { build, queue } of probes) builds.set(build, (builds.get(build) ?? new Set()).add(queue));
  if (builds.size === 0) return [];
  const text = [...builds].map(([build, queues]) => `${build} at ${[...queues].sort().join(', ')}`).join('; ');
  if (builds.size === 1) return [ok('workers', 'builds', 'builds', text)];
  return [
    finding(
      'warning',
      'workers',
      'builds',
      'builds',
      `the places run different builds: ${text}`,
      'Bring all workers to one build.',
    ),
  ];
}
