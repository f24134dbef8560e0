/**
 * Reads runs for `/metrics`, in every control worker: which are open, and what became of the last ones. From Temporal
 * itself, so that a worker that has just started says the same as one that runs for a month. One list for all services.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, type WorkflowExecutionInfo, WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { DriverLog } from '../drivers/ports.ts';
import type { DrillRecord, RunRecord } from '../evidence/record.ts';
import type { Registry } from '../metrics/registry.ts';
import type { Drill } from '../topology/drill.ts';
import { nextRuns } from '../topology/drills.ts';
import { lockOf, type Topology } from '../topology/model.ts';
import { type ClosedRun, LastRuns, type OpenRun, publishOpen } from './run-gauges.ts';

/** Between two readings, in milliseconds. */
const EVERY_MS = 5_000;
/** Shown without another reading, in milliseconds: Temporal may be away for a moment. */
const FRESH_MS = 60_000;
/** Runs looked back at when a worker starts. */
const LOOK_BACK = 200;
/** Lists of Temporal may be behind by this much, in milliseconds. */
const BEHIND_MS = 120_000;
const TYPES = ['failover', 'failback', 'trafficRamp', 'reprotect', 'refence', 'drill'];
/** Drills that hold no lock are no runs, but drills all the same. */
const TURN = 'drillTurn';
/** Kinds that move nothing of the service themselves. */
const WITHOUT_RUN = ['rehearsal', 'checks', 'chaos'];
const ofTypes = (types: readonly string[]): string =>
  `WorkflowType IN (${types.map((type) => `"${type}"`).join(', ')})`;

const OF_TOPOLOGY = [
  'rampart_service_info',
  'rampart_objective_seconds',
  'rampart_drill_overdue_after_seconds',
] as const;

export interface RunsOptions {
  client: Client;
  topology(): Promise<Topology>;
  registry: Registry;
  log: DriverLog;
  signal: AbortSignal;
  everyMs?: number;
}

/** Runs until the signal aborts. What cannot be read grows old and disappears; the log says why. */
export async function readRuns({ client, topology, registry, log, signal, everyMs = EVERY_MS }: RunsOptions) {
  const last = new LastRuns();
  const seen = new Map<string, number>();
  let upTo: number | null = null;
  let said = '';
  while (!signal.aborted) {
    try {
      const known = await topology();
      publishTopology(registry, known, Date.now());
      publishOpen(registry, await openRuns(client, known), FRESH_MS);
      const closed = (await closedRuns(client, known, upTo)).filter(({ info }) => !seen.has(info.runId));
      for (const { info, ...run } of closed) {
        const ended = await recordOf(client, info);
        if (isTold(ended, info.type, known)) last.take({ ...run, ...ended });
        seen.set(info.runId, run.closedAt);
        upTo = Math.max(upTo ?? 0, run.closedAt);
      }
      for (const [runId, at] of seen) if (upTo !== null && at < upTo - 2 * BEHIND_MS) seen.delete(runId);
      last.publish(registry, FRESH_MS);
      registry.clear('rampart_reading_timestamp_seconds', { reader: 'runs' });
      for (const service of Object.keys(known.services))
        registry.set('rampart_reading_timestamp_seconds', { service, reader: 'runs' }, Date.now() / 1000);
      said = '';
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (text !== said) log.warn('runs could not be read for the metrics', { error: text });
      said = text;
    }
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Drills that hold no lock have no other workflow than their turn; those that move something are told by the drill itself. */
function isTold({ drill, record }: Pick<ClosedRun, 'record' | 'drill'>, type: string, { services }: Topology): boolean {
  const service = (drill ?? record)?.service;
  if (service !== undefined && services[service] === undefined) return false;
  return type !== TURN || (drill !== null && WITHOUT_RUN.includes(drill.kind ?? 'full'));
}

function publishTopology(registry: Registry, { services, drills }: Topology, now: number): void {
  for (const name of OF_TOPOLOGY) registry.clear(name, {});
  // Of several drills of one kind the most demanding one counts.
  for (const drill of Object.values(drills).sort((a, b) => overdueAfterMs(b, now) - overdueAfterMs(a, now))) {
    const { service, kind } = drill;
    registry.set('rampart_drill_overdue_after_seconds', { service, kind }, overdueAfterMs(drill, now) / 1000);
  }
  for (const { name: service, tier, guard } of Object.values(services)) {
    const guarded = guard?.enabled === true ? 'true' : 'false';
    registry.set('rampart_service_info', { service, tier: tier.name, guarded }, 1);
    const objectives = { rto: tier.rtoMs, rpo: tier.rpoMs, freeze: tier.freezeBudgetMs };
    for (const [objective, ms] of Object.entries(objectives))
      registry.set('rampart_objective_seconds', { service, objective }, ms / 1000);
  }
}

/** As written, or twice the time between its next two runs. */
function overdueAfterMs({ overdueAfterMs: given, crons, timeZone }: Drill, now: number): number {
  const [first, second] = nextRuns(crons, timeZone, new Date(now), 2);
  return given ?? (first === undefined || second === undefined ? Number.NaN : 2 * (second.getTime() - first.getTime()));
}

async function openRuns(client: Client, topology: Topology): Promise<OpenRun[]> {
  const found: OpenRun[] = [];
  for await (const info of client.workflow.list({ query: `ExecutionStatus = "Running" AND ${ofTypes(TYPES)}` })) {
    const service = serviceOf(info, topology);
    if (service === null) continue;
    found.push({
      service,
      action: info.type,
      mode: info.type === 'drill' ? 'drill' : (attribute(info, 'RampartMode') ?? ''),
      phase: attribute(info, 'RampartPhase'),
      awaiting: attributes(info, 'RampartAwaiting'),
    });
  }
  return found;
}

type Listed = Omit<ClosedRun, 'record' | 'drill'> & { info: WorkflowExecutionInfo };

/** Oldest first. @param upTo what closed before this time, and what lists were behind by, is known */
async function closedRuns(client: Client, topology: Topology, upTo: number | null): Promise<Listed[]> {
  const since = upTo === null ? '' : ` AND CloseTime >= "${new Date(upTo - BEHIND_MS).toISOString()}"`;
  const query = `ExecutionStatus NOT IN ("Running", "ContinuedAsNew") AND ${ofTypes([...TYPES, TURN])}${since}`;
  const found: Listed[] = [];
  for await (const info of client.workflow.list({ query, pageSize: LOOK_BACK })) {
    const service = info.type === TURN ? '' : serviceOf(info, topology);
    if (service !== null && info.closeTime !== undefined)
      found.push({ info, service, action: info.type, closedAt: info.closeTime.getTime(), status: statusOf(info) });
    if (upTo === null && found.length >= LOOK_BACK) break;
  }
  return found.sort((a, b) => a.closedAt - b.closedAt);
}

const STATUSES: Record<string, string> = { CANCELLED: 'cancelled', TERMINATED: 'terminated', TIMED_OUT: 'timedOut' };
const statusOf = ({ status }: WorkflowExecutionInfo): string => STATUSES[status.name] ?? status.name.toLowerCase();

/** Of the topology only: a workflow of that type may carry any ID, and that is no label. */
function serviceOf(info: WorkflowExecutionInfo, { services }: Topology): string | null {
  const said = attribute(info, 'RampartService');
  if (said !== null && services[said] !== undefined) return said;
  return Object.values(services).find((service) => lockOf(service) === info.workflowId)?.name ?? null;
}

const attributes = (info: WorkflowExecutionInfo, name: string): string[] =>
  (info.searchAttributes[name] ?? []).filter((value): value is string => typeof value === 'string');
const attribute = (info: WorkflowExecutionInfo, name: string): string | null => attributes(info, name)[0] ?? null;

/** The record that the run ended with, as its result or with its failure; `null`: it left none. */
async function recordOf(
  client: Client,
  { workflowId, runId, type, status }: WorkflowExecutionInfo,
): Promise<Pick<ClosedRun, 'record' | 'drill'>> {
  let value: unknown = null;
  if (status.name === 'COMPLETED' || status.name === 'FAILED') {
    try {
      value = await client.workflow.getHandle(workflowId, runId).result();
    } catch (error) {
      if (!(error instanceof WorkflowFailedError)) throw error;
      value = error.cause instanceof ApplicationFailure ? (error.cause.details?.[0] ?? null) : null;
    }
  }
  if (typeof value !== 'object' || value === null) return { record: null, drill: null };
  if (type !== 'drill' && type !== TURN) return { record: value as RunRecord, drill: null };
  // A drill that was refused before its first leg has the failure's details all the same.
  return Array.isArray((value as DrillRecord).legs)
    ? { record: null, drill: value as DrillRecord }
    : { record: null, drill: null };
}
