/** Guards the SDK's insides that the harness stands on: an upgrade that moves them fails here, by name. */
import { readFileSync } from 'node:fs';
import { coresdk } from '@temporalio/proto';
import { describe, expect, it } from 'vitest';
import { SAMPLE_WORKFLOWS } from './samples/virtual.ts';
import { createSandbox, decode, durationMs, encode, encodeAll, loadBundle, timestamp } from './sdk.ts';

const IDENTITY = {
  workflowId: 'smoke',
  runId: 'run-1',
  firstRunId: 'run-1',
  workflowType: 'conditionTimeout',
  taskQueue: 'default',
  namespace: 'default',
  startedAt: Date.UTC(2026, 0, 1),
  parent: null,
  continuedFrom: null,
};

describe('the insides of the SDK', () => {
  it('are of the version the harness was made with', () => {
    const { dependencies } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(dependencies['@temporalio/worker']).toMatch(/^\d+\.\d+\.\d+$/);
    expect(dependencies['@temporalio/worker']).toBe('1.24.0');
  });

  it('number the enums as the model does', () => {
    const { ActivityCancellationType } = coresdk.workflow_commands;
    expect(ActivityCancellationType.TRY_CANCEL).toBe(0);
    expect(ActivityCancellationType.WAIT_CANCELLATION_COMPLETED).toBe(1);
    expect(ActivityCancellationType.ABANDON).toBe(2);
    const child = coresdk.child_workflow.ChildWorkflowCancellationType;
    expect([child.ABANDON, child.TRY_CANCEL, child.WAIT_CANCELLATION_COMPLETED]).toEqual([0, 1, 2]);
    const policy = coresdk.child_workflow.ParentClosePolicy;
    expect([policy.PARENT_CLOSE_POLICY_TERMINATE, policy.PARENT_CLOSE_POLICY_ABANDON]).toEqual([1, 2]);
  });

  it('run one activation after another and answer with commands', async () => {
    const sandbox = await createSandbox(await loadBundle(SAMPLE_WORKFLOWS), () => {});
    const run = await sandbox.create(IDENTITY);
    const at = IDENTITY.startedAt;
    const activation = { replaying: false, historyLength: 3, continueAsNewSuggested: false, flags: [] };
    const first = await run.activate({
      ...activation,
      at,
      jobs: [{ initializeWorkflow: { workflowId: 'smoke', workflowType: 'conditionTimeout', arguments: [] } }],
    });
    expect(first).toMatchObject({ commands: [{ startTimer: { seq: 1 } }] });
    const second = await run.activate({ ...activation, at: at + 500, jobs: [{ fireTimer: { seq: 1 } }] });
    expect(second).toMatchObject({ commands: [{ completeWorkflowExecution: {} }] });
    await run.dispose();
    await sandbox.destroy();
  });

  it('convert values and durations', () => {
    expect(decode(encode({ a: [1] }))).toEqual({ a: [1] });
    expect(encodeAll([])).toEqual([]);
    expect(durationMs(timestamp(1_234))).toBe(1_234);
    expect(durationMs({ seconds: 0, nanos: 0 })).toBeUndefined();
  });
});
