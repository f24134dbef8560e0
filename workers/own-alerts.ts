/** Alerts of Rampart itself, on the way that those of every sender go: a signal to each trigger that wants them. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { matches } from '../topology/alert-match.ts';
import type { Alert } from '../topology/alerts.ts';
import type { Topology } from '../topology/model.ts';
import { CONTROL_QUEUE, triggerOf } from '../workflows/contract.ts';

/** Longest time for one call to Temporal, in milliseconds. */
const CALL_MS = 5_000;

/**
 * Hands alerts to every trigger that they match. Telling twice is telling once: a trigger knows deliveries again.
 * @throws Error when Temporal does not take one of them; all are then worth telling again
 */
export async function tellTriggers(client: Client, { triggers }: Topology, alerts: readonly Alert[]): Promise<void> {
  await Promise.all(
    Object.values(triggers).map(async ({ name, service, when }) => {
      const own = alerts.filter((alert) => when.some((match) => matches(match, alert)));
      if (own.length === 0) return;
      const workflowId = triggerOf(name);
      const args = [{ alerts: own }];
      await client.withDeadline(Date.now() + CALL_MS, async () => {
        // An end without a beginning that anybody remembers needs no trigger to be started.
        if (own.every(({ status }) => status !== 'firing')) return ended(client, workflowId, args);
        await client.workflow.signalWithStart('trigger', {
          ...{ workflowId, taskQueue: CONTROL_QUEUE, args: [{ trigger: name }] },
          ...{ signal: 'alerts', signalArgs: args },
          staticSummary: `alerts about ${service}`,
          workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        });
      });
    }),
  );
}

async function ended(client: Client, workflowId: string, args: unknown[]): Promise<void> {
  try {
    await client.workflow.getHandle(workflowId).signal('alerts', ...args);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}
