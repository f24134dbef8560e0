/** What halts need of Temporal and of people. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { LockSeen } from '../activities/contract.ts';
import type { HaltDeps } from '../activities/halts.ts';
import { isInsideCut } from '../plan/inside-cut.ts';
import type { HaltNote } from '../plan/model.ts';
import type { RunStatus } from '../workflows/contract.ts';
import type { Announcer } from './watchdog.ts';

/** Past runs named in the record of a halt. */
const MOST_RUNS = 10;
/** Longest wait for the words of a run, in milliseconds: a halt must not wait for a run whose worker is away. */
const QUERY_MS = 3_000;

/**
 * The halt that is open under this workflow ID, read from Temporal itself: no worker is asked.
 * @throws when Temporal does not say
 */
export async function openHalt(client: Client, workflowId: string): Promise<HaltNote | null> {
  try {
    const { status, startTime, memo } = await client.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING' ? haltNote(workflowId, startTime.getTime(), memo) : null;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** @param runSince when its present run began: a halt that lasts goes through several */
export function haltNote(workflowId: string, runSince: number, memo: Record<string, unknown> | undefined): HaltNote {
  // Not there before its first workflow task; it is a halt all the same.
  const said = memo?.halt as Partial<Omit<HaltNote, 'workflowId'>> | undefined;
  const { since = runSince, by = 'somebody', reason = 'it has just begun', ending = false } = said ?? {};
  return { workflowId, since, by, reason, ending };
}

export function createHaltDeps(client: Client, announcer: Announcer): HaltDeps {
  return {
    look: async (lock) => {
      const [run, recent] = await Promise.all([holder(client, lock), past(client, lock)]);
      return { run, recent };
    },
    tell: ({ service, state, text, remedy }) =>
      announcer.tell(
        {
          ...{ kind: `halt/${service}`, severity: 'critical', state, source: 'halt', service },
          ...{ component: null, region: null, message: text, remedy },
        },
        Date.now(),
      ),
  };
}

async function holder(client: Client, workflowId: string): Promise<LockSeen['run']> {
  const handle = client.workflow.getHandle(workflowId);
  try {
    const { status, runId, type, startTime } = await handle.describe();
    if (status.name !== 'RUNNING') return null;
    const said = await client
      .withDeadline(Date.now() + QUERY_MS, () => handle.query<RunStatus>('status'))
      .catch(() => null);
    return {
      ...{ workflowId, runId, type, startedAt: startTime.getTime() },
      phase: said?.phase ?? null,
      cut: said !== null && isInsideCut(said),
      paused: said?.paused != null,
      gate: said?.gate?.id ?? null,
    };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** Lists lag behind, and may be away: they are a help for people and nothing depends on them. */
async function past(client: Client, lock: string): Promise<LockSeen['recent']> {
  const recent: LockSeen['recent'] = [];
  try {
    for await (const one of client.workflow.list({ query: `WorkflowId = "${lock}"`, pageSize: MOST_RUNS })) {
      const { runId, type, status, startTime, closeTime } = one;
      recent.push({
        ...{ runId, type, status: status.name, startedAt: startTime.getTime() },
        closedAt: closeTime?.getTime() ?? null,
      });
      if (recent.length >= MOST_RUNS) break;
    }
  } catch {
    return recent;
  }
  return recent.sort((a, b) => b.startedAt - a.startedAt);
}
