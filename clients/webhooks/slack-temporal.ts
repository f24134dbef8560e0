/** What was pressed in Slack, said to the run as every other decision is; and what Slack's people are told of it. */
import { type Client, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import type { DriverLog } from '../../drivers/ports.ts';
import type { Topology } from '../../topology/model.ts';
import type { MessageAnswer } from '../../workflows/contract.ts';
import { Unavailable } from './inbox.ts';
import type { Outcome, Pressed, SlackDeps } from './slack.ts';

/** Slack waits for three seconds. */
const CALL_MS = 2_000;
const REPLY_MS = 5_000;

export interface SlackTemporalOptions {
  client: Client;
  /** The topology as it is now. @throws when it cannot be read */
  topology(): Promise<Topology>;
  log: DriverLog;
}

export function slackOnTemporal({ client, topology, log }: SlackTemporalOptions): SlackDeps {
  return {
    channels: async () => {
      try {
        const { notifications } = await topology();
        return Object.values(notifications?.channels ?? {}).flatMap((one) => (one.type === 'slack' ? [one] : []));
      } catch (error) {
        throw new Unavailable(`the topology cannot be read: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
    decide: (pressed) => decide(client, pressed),
    reply: (url, text) => {
      fetch(url, {
        ...{ method: 'POST', redirect: 'error', signal: AbortSignal.timeout(REPLY_MS) },
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ response_type: 'ephemeral', replace_original: false, text }),
      }).then(
        ({ ok, status }) => ok || log.warn('Slack did not take the answer', { status }),
        (error: Error) => log.warn('Slack did not take the answer', { reason: error.message }),
      );
    },
  };
}

async function decide(client: Client, pressed: Pressed): Promise<Outcome> {
  const { workflowId, runId, gate, decision, by, updateId } = pressed;
  const handle = client.workflow.getHandle(workflowId, runId);
  const args: [object] = [{ gate, decision, by, comment: 'in Slack' }];
  try {
    const { applied, text } = await client.withDeadline(Date.now() + CALL_MS, () =>
      handle.executeUpdate<MessageAnswer, [object]>('decide', { args, updateId }),
    );
    return { kind: applied ? 'applied' : 'refused', text };
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError)
      return { kind: 'refused', text: error.cause?.message ?? error.message };
    if (error instanceof WorkflowNotFoundError) return { kind: 'refused', text: 'the run is over' };
    return { kind: 'lost', text: 'no worker took it in time: it is not known to count' };
  }
}
