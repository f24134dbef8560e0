/** What triggers need of Temporal and of people, from a control worker. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { TriggerDeps } from '../activities/triggers.ts';
import type { Announcer } from './watchdog.ts';

export function createTriggerDeps(client: Client, announcer: Announcer): TriggerDeps {
  return {
    describeRun: async (workflowId, runId) => {
      try {
        const { status, closeTime } = await client.workflow.getHandle(workflowId, runId).describe();
        if (status.name === 'RUNNING') return { open: true, text: '', closedAt: 0 };
        return { open: false, text: status.name.toLowerCase(), closedAt: closeTime?.getTime() ?? Date.now() };
      } catch (error) {
        // Past its retention, or its server lost it: nobody can decide it any more.
        if (error instanceof WorkflowNotFoundError)
          return { open: false, text: 'not there any more', closedAt: Date.now() };
        throw error;
      }
    },
    tell: ({ trigger, service, action, text }) =>
      announcer.tell(
        {
          ...{ kind: `trigger/${trigger}`, severity: 'critical', state: 'opened', source: 'trigger', service },
          ...{ component: null, region: null },
          message: `${action}: ${text}`,
          remedy: `look at it: rampart status ${service}`,
        },
        Date.now(),
      ),
  };
}
