/** What the harness offers beyond what the calibration compares with a real server. */
import { describe, expect, it } from 'vitest';
import { createWorld, Unavailable, type WorldOptions } from './harness.ts';
import { SCENARIOS } from './samples/scenarios.ts';
import { runVirtually, SAMPLE_WORKFLOWS } from './samples/virtual.ts';

const START = Date.UTC(2026, 0, 1);

function world(options: Partial<WorldOptions>) {
  return createWorld({ workflowsPath: SAMPLE_WORKFLOWS, activities: () => 'done', ...options });
}

describe('the harness', () => {
  it('gives the same trace every time', async () => {
    for (const scenario of SCENARIOS.slice(0, 10)) {
      expect(await runVirtually(scenario)).toEqual(await runVirtually(scenario));
    }
  });

  it.each(SCENARIOS)('ends the same with one job per activation: $name', async (scenario) => {
    const { outcome, updates } = await runVirtually(scenario, 'apart');
    const together = await runVirtually(scenario);
    expect({ outcome, updates }).toEqual({ outcome: together.outcome, updates: together.updates });
  });

  it('lets days pass in no time', async () => {
    const it = await world({});
    const workflow = await it.start('patient', { workflowId: 'w', args: [3 * 86_400_000] });
    await it.runUntil(() => workflow.outcome !== null);
    expect(it.now - START).toBe(3 * 86_400_000);
    expect(workflow.outcome).toEqual({ status: 'completed', result: 'slept' });
    await it.dispose();
  });

  it('loses what a crashed worker was doing, and a time-out brings it back', async () => {
    const begun: number[] = [];
    const finished: number[] = [];
    const it = await world({
      activities: async (call) => {
        begun.push(call.attempt);
        await call.sleep(1_000);
        finished.push(call.attempt);
        return `attempt ${call.attempt}`;
      },
    });
    const options = { taskQueue: 'rampart.eu', startToCloseTimeout: 3_000, retry: { initialInterval: 100 } };
    const workflow = await it.start('oneActivity', { workflowId: 'w', args: [options] });
    await it.advance(500);
    it.crashWorkers('rampart.eu');
    await workflow.runUntilClosed();
    expect([begun, finished]).toEqual([[1, 2], [2]]);
    expect(workflow.outcome).toEqual({ status: 'completed', result: 'attempt 2' });
    expect(it.now - START).toBe(3_000 + 100 + 1_000);
    await it.dispose();
  });

  it.each([
    ['an answer that the server misses for a moment arrives', 4_000, 1],
    ['an answer that the server misses for longer is lost, and a time-out brings it back', 30_000, 2],
  ])('the server is down: %s', async (_what, downMs, attempt) => {
    const it = await world({
      activities: async (call) => {
        await call.sleep(1_000);
        return `attempt ${call.attempt}`;
      },
    });
    const options = { taskQueue: 'rampart.eu', startToCloseTimeout: 3_000, retry: { initialInterval: 100 } };
    const workflow = await it.start('oneActivity', {
      workflowId: 'w',
      args: [{ ...options, startToCloseTimeout: 20_000 }],
    });
    await it.advance(500);
    it.stopServer();
    await it.advance(downMs);
    expect(workflow.outcome).toBeNull();
    await expect(workflow.query('anything')).rejects.toThrow(Unavailable);
    await expect(it.start('oneActivity', { workflowId: 'other', args: [options] })).rejects.toThrow(Unavailable);
    it.resumeServer();
    await workflow.runUntilClosed();
    expect(workflow.outcome).toEqual({ status: 'completed', result: `attempt ${attempt}` });
    await it.dispose();
  });

  it('the server is down: its timers are late', async () => {
    const it = await world({});
    const workflow = await it.start('patient', { workflowId: 'w', args: [5_000] });
    it.stopServer();
    await it.advance(60_000);
    expect(workflow.outcome).toBeNull();
    it.resumeServer();
    await workflow.runUntilClosed();
    expect(it.now - START).toBe(60_000);
    await it.dispose();
  });

  it('a worker that dies loses its workflows, and the next one replays them', async () => {
    const it = await world({ workflowQueues: ['default'] });
    const workflow = await it.start('patient', { workflowId: 'w', args: [5_000] });
    await it.advance(1_000);
    it.removeWorkers('default');
    await it.advance(60_000);
    expect(workflow.outcome).toBeNull();
    it.addWorkers('default');
    await workflow.runUntilClosed();
    expect(workflow.outcome).toEqual({ status: 'completed', result: 'slept' });
    expect(it.now - START).toBe(61_000);
    await it.dispose();
  });

  it('tells that a replay asked for something else than the first time', async () => {
    const it = await world({});
    const workflow = await it.start('wavering', { workflowId: 'w' });
    await expect(it.replay()).rejects.toThrow(/w is not deterministic, activation 1:\nfirst .*\nreplay /);
    await workflow.runUntilClosed();
    await expect(it.replay()).rejects.toThrow(/w is not deterministic, activation 1:/);
    await it.dispose();
  });

  it('hands waiting activities to the workers that come up', async () => {
    const it = await world({});
    it.removeWorkers('rampart.eu');
    const options = { taskQueue: 'rampart.eu', startToCloseTimeout: 3_000 };
    const workflow = await it.start('oneActivity', { workflowId: 'w', args: [options] });
    await it.advance(60_000);
    expect(workflow.names('activityTaskStarted')).toEqual([]);
    it.addWorkers('rampart.eu');
    await workflow.runUntilClosed();
    expect(workflow.outcome).toEqual({ status: 'completed', result: 'done' });
    await it.dispose();
  });

  it('lets an attempt go on after it was given up, and tells it with its next heartbeat', async () => {
    const seen: string[] = [];
    const it = await world({
      activities: async (call) => {
        if (call.attempt > 1) return 'second';
        await call.sleep(2_000, { ignoreAbort: true });
        seen.push(`acts at ${call.now() - START}, aborted ${call.signal.aborted}`);
        call.heartbeat();
        seen.push(`aborted ${call.signal.aborted}`);
        return 'late';
      },
    });
    const options = { startToCloseTimeout: 500, retry: { initialInterval: 100 } };
    const workflow = await it.start('oneActivity', { workflowId: 'w', args: [options] });
    await workflow.runUntilClosed();
    expect(workflow.outcome).toEqual({ status: 'completed', result: 'second' });
    await it.advance(10_000);
    expect(seen).toEqual(['acts at 2000, aborted false', 'aborted true']);
    await it.dispose();
  });

  it('tells which workflow is wedged, and by what', async () => {
    const it = await world({ registeredSearchAttributes: [] });
    await expect(it.start('attributes', { workflowId: 'w' })).rejects.toThrow(
      /w is wedged: BadSearchAttributes: no such search attribute: RampartService/,
    );
    await it.dispose();
    const other = await world({});
    await expect(other.start('nonsense', { workflowId: 'w' })).rejects.toThrow(/no such function is exported/);
    await other.dispose();
  });

  it('says what a run waits for when nothing is left to happen', async () => {
    const it = await world({});
    const workflow = await it.start('updates', { workflowId: 'w' });
    await expect(workflow.runUntilClosed()).rejects.toThrow('waited in vain: w after workflowExecutionStarted updates');
    await it.dispose();
  });

  it('refuses a second open run of one id, and messages to closed ones', async () => {
    const it = await world({});
    const workflow = await it.start('quick', { workflowId: 'w' });
    await expect(it.start('quick', { workflowId: 'w' })).rejects.toThrow('already started: w');
    await workflow.runUntilClosed();
    await expect(workflow.signal('open')).rejects.toThrow('has completed');
    await expect(workflow.update('set', 1)).rejects.toThrow('has completed');
    await expect(workflow.cancel()).rejects.toThrow('has completed');
    await it.start('quick', { workflowId: 'w' });
    await it.dispose();
  });

  it('shows search attributes, current details and logs, and queries closed runs', async () => {
    const it = await world({});
    const workflow = await it.start('attributes', { workflowId: 'w' });
    expect(workflow.searchAttributes).toEqual({ RampartService: 'checkout' });
    await workflow.runUntilClosed();
    expect(await workflow.currentDetails()).toBe('**checkout** is fine');
    await expect(workflow.query('nothing')).rejects.toThrow(/did not register a handler for nothing/);
    await it.dispose();
  });

  it('hands child workflows of other queues to their own handler', async () => {
    const it = await world({
      workflowQueues: ['rampart'],
      foreignWorkflows: async (call) => {
        await call.sleep(5_000);
        return { type: call.type, queue: call.queue, args: call.args };
      },
    });
    const input = { type: 'warmCache', args: [{ a: 1 }], options: { taskQueue: 'team' } };
    const workflow = await it.start('parent', { workflowId: 'w', args: [input] });
    await workflow.runUntilClosed();
    expect(workflow.outcome).toEqual({
      status: 'completed',
      result: { type: 'warmCache', queue: 'team', args: [{ a: 1 }] },
    });
    await it.dispose();
  });

  it('fails an update that the end of the workflow overtakes', async () => {
    const it = await world({ activities: () => 'never' });
    const workflow = await it.start('updates', { workflowId: 'w' });
    const update = await workflow.startUpdate('set', { value: 2 });
    expect(update).toMatchObject({ accepted: true, outcome: null });
    await workflow.signal('done');
    expect(update.outcome).toHaveProperty('failure');
    await it.dispose();
  });

  it('carries search attributes over continue-as-new and suggests it when told to', async () => {
    const it = await world({ suggestContinueAsNewAfter: 10 });
    const workflow = await it.start('counter', { workflowId: 'w', args: [0] });
    await workflow.runUntilClosed();
    expect(workflow.names('workflowExecutionStarted')).toHaveLength(3);
    await it.dispose();
  });
});
