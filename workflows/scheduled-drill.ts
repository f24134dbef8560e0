/**
 * What a schedule starts when a drill is due. Schedules append a time to the workflow ID, which is no lock, so this is
 * a thin parent: it reads the topology as it is now, and starts the drill under the ID of its dependency group.
 */
import { ApplicationFailure, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  isCancellation,
  ParentClosePolicy,
  proxyActivities,
  setCurrentDetails,
  startChild,
} from '@temporalio/workflow';
import type { DrillActivities, ResolvedDrill } from '../activities/contract.ts';
import type { DrillRecord } from '../evidence/record.ts';
import { CONTROL_QUEUE, drillGroupId } from './contract.ts';
import { begin, close, ended, recordIn, skip } from './drill/record.ts';
import type { Turn } from './drill-turn.ts';
import { causeOf } from './run/errors.ts';

const control = proxyActivities<DrillActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '20s',
  retry: { initialInterval: 500, maximumInterval: 5_000, maximumAttempts: 10 },
});

export interface ScheduledDrill {
  /** Name in the topology. */
  drill: string;
  /** Who asks; absent: the schedule. */
  by?: string;
  reason?: string;
}

/** Plays one drill of the topology. Input: {"drill":"checkout-quarterly"} */
export async function scheduledDrill(input: unknown): Promise<DrillRecord> {
  const { drill: name, by, reason = null } = read(input);
  const asked = { by: by ?? `schedule/${name}`, reason };
  const nothing = begin({ ...asked, service: '', name, to: null });
  let resolved: ResolvedDrill | null;
  try {
    resolved = await control.resolveDrill({ drill: name });
  } catch (error) {
    if (isCancellation(error)) throw error;
    skip(nothing, [`the topology cannot be read: ${causeOf(error).message}`]);
    return show(nothing);
  }
  if (resolved === null) {
    skip(nothing, [`${name} is no longer in the topology: rampart drills sync`]);
    return show(nothing);
  }
  const { service, kind, to } = resolved.drill;
  const record = begin({ ...asked, service, name, kind, to });
  return show(await play(resolved, { ...asked, byPerson: by !== undefined }, record));
}

async function play(resolved: ResolvedDrill, asked: Omit<Turn, 'resolved'>, record: DrillRecord): Promise<DrillRecord> {
  const workflowId = drillGroupId(resolved.group);
  try {
    const child = await startChild('drillTurn', {
      workflowId,
      taskQueue: CONTROL_QUEUE,
      args: [{ resolved, ...asked } satisfies Turn],
      staticSummary: `drill ${resolved.drill.name} of ${resolved.drill.service}`.slice(0, 190),
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      parentClosePolicy: ParentClosePolicy.ABANDON,
    });
    return (await child.result()) as DrillRecord;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) {
      skip(record, [`another drill of the group ${resolved.group} is on (${workflowId})`]);
      return record;
    }
    const left = recordIn(error);
    if (left !== null) return left;
    if (isCancellation(error)) close(record, 'withdrawn', 'it was cancelled before it had begun');
    else close(record, 'failed', `the drill left no record: ${causeOf(error).message}; see ${workflowId}`);
    return record;
  }
}

/** Whoever opens it in the Web UI reads what became of it. */
function show(record: DrillRecord): DrillRecord {
  setCurrentDetails(`**${record.verdict}** ${record.text}`);
  return ended(record);
}

function read(given: unknown): ScheduledDrill {
  const input = (Array.isArray(given) && given.length === 1 ? given[0] : given) as Partial<ScheduledDrill> | null;
  const text = (value: unknown): boolean => value === undefined || (typeof value === 'string' && value !== '');
  if (typeof input?.drill !== 'string' || !text(input.drill) || !text(input.by) || !text(input.reason))
    throw ApplicationFailure.nonRetryable(
      'the input must name a drill of the topology. Example: {"drill":"checkout-quarterly"}',
      'InvalidInput',
    );
  return input as ScheduledDrill;
}
