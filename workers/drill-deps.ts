/** What drills need to know of Temporal, from a control worker. */
import {
  type Client,
  type WorkflowExecutionInfo,
  WorkflowFailedError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { DrillDeps, PastDrill } from '../activities/drills.ts';
import { resolveSecret } from '../activities/secrets.ts';
import { readChain } from '../clients/reports/file.ts';
import { openStorage } from '../clients/reports/open.ts';
import type { DriverLog } from '../drivers/ports.ts';
import type { Topology } from '../topology/model.ts';
import { type GuardStatus, guardOf, type TriggerStatus, triggerOf } from '../workflows/contract.ts';

/** Drills looked at for one that has passed. */
const LOOK_BACK = 50;
/** A trigger that does not answer within this time is not known to be calm, in milliseconds. */
const ASK_MS = 5_000;

export function createDrillDeps(client: Client, topology: () => Promise<Topology>, log: DriverLog): DrillDeps {
  const open = async (workflowId: string) => {
    try {
      const found = await client.workflow.getHandle(workflowId).describe();
      return found.status.name === 'RUNNING' ? found : null;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return null;
      throw error;
    }
  };
  return {
    openRun: async (workflowId) => {
      const found = await open(workflowId);
      return found === null ? null : { type: found.type };
    },
    firing: async (trigger) => {
      const found = await open(triggerOf(trigger));
      // It is started by the first alert, and ends when nothing has fired for a day.
      if (found === null) return null;
      const handle = client.workflow.getHandle(found.workflowId, found.runId);
      const status = await client.withDeadline(Date.now() + ASK_MS, () => handle.query<TriggerStatus>('status'));
      const firing = status.alerts.filter((alert) => alert.firing).map(({ key, source }) => `${key} (${source})`);
      return firing.length === 0 ? null : firing.slice(0, 5).join(', ');
    },
    alarm: async (service) => {
      const found = await open(guardOf(service));
      if (found === null) return null;
      const handle = client.workflow.getHandle(found.workflowId, found.runId);
      const { health } = await client.withDeadline(Date.now() + ASK_MS, () => handle.query<GuardStatus>('health'));
      const critical = health?.findings.find(({ severity }) => severity === 'critical');
      return critical === undefined ? null : `the guard: ${critical.message}`;
    },
    filedPass: async (service) => {
      try {
        const { reports: store } = await topology();
        if (store === undefined) return false;
        const { reports } = await readChain(openStorage(store, resolveSecret), service);
        // Of drills only a full one proves that the service moves.
        return reports.some(({ manifest }) => manifest?.run.action === 'drill' && manifest.run.proves);
      } catch (error) {
        // Then people are asked.
        log.warn('the report store cannot be read for a passed drill', { service, error: String(error) });
        return false;
      }
    },
    pastDrills: async (lock) => {
      const past: PastDrill[] = [];
      const query = `WorkflowId = "${lock}" AND WorkflowType = "drill" AND ExecutionStatus != "Running"`;
      for await (const one of client.workflow.list({ query, pageSize: LOOK_BACK })) {
        const { workflowId, runId, memo } = one;
        const at = one.closeTime?.getTime() ?? 0;
        past.push({ workflowId, runId, at, ...(await endOf(client, one, memo?.kind)) });
        if (past.length >= LOOK_BACK) break;
      }
      return past.sort((a, b) => b.at - a.at);
    },
  };
}

type Ended = Pick<PastDrill, 'kind' | 'result'>;

/**
 * How it ended. One that was refused, withdrawn, terminated or made the real thing says nothing about the service.
 * @param named kind by its memo; a drill started by hand has none, and tells it in its record
 */
async function endOf(
  client: Client,
  { workflowId, runId, status }: WorkflowExecutionInfo,
  named: unknown,
): Promise<Ended> {
  const ended = status.name as string;
  const kind = typeof named === 'string' ? named : null;
  if (ended === 'COMPLETED' && kind !== null) return { kind, result: 'passed' };
  if (ended !== 'COMPLETED' && ended !== 'FAILED') return { kind: kind ?? 'full', result: 'other' };
  try {
    const record = (await client.workflow.getHandle(workflowId, runId, { followRuns: false }).result()) as {
      kind?: string;
    };
    return { kind: kind ?? record.kind ?? 'full', result: 'passed' };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const failed = error.cause instanceof ApplicationFailure && error.cause.type === 'DrillFailed';
    return { kind: kind ?? 'full', result: failed ? 'failed' : 'other' };
  }
}
