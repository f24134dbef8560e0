/**
 * One drill of the topology, under the workflow ID of its dependency group: no two of a group are on at once. Whether
 * it may begin is judged by a look at how things are now, and what is not known speaks against it.
 */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  defineQuery,
  isCancellation,
  ParentClosePolicy,
  proxyActivities,
  setHandler,
  startChild,
} from '@temporalio/workflow';
import type { DrillActivities, ResolvedDrill } from '../activities/contract.ts';
import type { DrillRecord } from '../evidence/record.ts';
import type { Drill } from '../topology/drill.ts';
import { CONTROL_QUEUE, WORKFLOW_TASK_TIMEOUT } from './contract.ts';
import { playChaos } from './drill/chaos.ts';
import { mayBegin, rehearse, watchChecks } from './drill/look.ts';
import { begin, close, ended, recordIn, skip } from './drill/record.ts';
import { causeOf } from './run/errors.ts';

const control = proxyActivities<DrillActivities>({
  taskQueue: CONTROL_QUEUE,
  startToCloseTimeout: '30s',
  retry: { initialInterval: 500, maximumInterval: 5_000, maximumAttempts: 5 },
});

export interface Turn {
  resolved: ResolvedDrill;
  /** Who asked; `schedule/<name>` when nobody did. */
  by: string;
  byPerson: boolean;
  reason: string | null;
}

/** Started by `scheduledDrill` only. */
export async function drillTurn({ resolved, by, byPerson, reason }: Turn): Promise<DrillRecord> {
  const { drill, nextDueAt } = resolved;
  const { service, name, kind, to } = drill;
  const record = begin({ service, name, kind, to, by, reason, nextDueAt });
  setHandler(defineQuery<DrillRecord>('drill'), () => record, { description: 'The drill so far' });
  let approvals: Drill['approvals'] = 'people';
  try {
    const survey = await control.surveyDrill({ drill, byPerson });
    approvals = survey.approvals;
    if (survey.against.length > 0) skip(record, survey.against);
  } catch (error) {
    if (isCancellation(error)) throw error;
    skip(record, [`whether it may begin cannot be found out: ${causeOf(error).message}`]);
  }
  if (record.verdict !== null) return ended(record);
  if (kind === 'rehearsal') await rehearse(drill, record);
  else if (kind === 'checks') await watchChecks(drill, record);
  else if (kind === 'chaos' && approvals === 'people' && !byPerson)
    skip(record, [`nothing is broken unless a person says so: rampart drills run ${name}`]);
  else if (!(await mayBegin(drill, record))) return ended(record);
  else if (kind === 'chaos') await playChaos(drill, record);
  else return ended(await play(resolved, approvals, record));
  return ended(record);
}

/** The drill itself, under the service's lock: a run that holds it has priority. */
async function play(
  { drill, lock, nextDueAt }: ResolvedDrill,
  approvals: Drill['approvals'],
  record: DrillRecord,
): Promise<DrillRecord> {
  const { name, kind, to, service, percent, dwellMs, intervalMs, abortWhen, assertions } = drill;
  const share = { ...(kind === 'rampOnly' ? { percent } : {}), ...(nextDueAt === null ? {} : { nextDueAt }) };
  const request = { service, kind, to, ...share, dwellMs, intervalMs, approvals, abortWhen, assertions };
  try {
    const child = await startChild('drill', {
      workflowId: lock,
      taskQueue: CONTROL_QUEUE,
      args: [{ ...request, name, by: record.by, ...(record.reason === null ? {} : { reason: record.reason }) }],
      staticSummary: `drill ${name}: ${service} → ${to}`.slice(0, 190),
      memo: { drill: name, kind },
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
      // It is a run like any other. A cancel of this workflow reaches it and means: go back now.
      parentClosePolicy: ParentClosePolicy.ABANDON,
    });
    return (await child.result()) as DrillRecord;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) {
      skip(record, [`${lock} is held by a run, which has priority`]);
      return record;
    }
    const left = recordIn(error);
    if (left !== null) return left;
    close(record, 'failed', `the drill left no record: ${causeOf(error).message}; see ${lock}`);
    return record;
  }
}
