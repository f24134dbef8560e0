/**
 * A run that ended in the middle, and the next one under the same lock: it goes on from what it finds (I6). Terminating
 * a run skips every undo; so does the loss of the Temporal server with its history.
 */
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, describe, expect, it } from 'vitest';
import { type EngineRun, PLANNED, type RunOptions, startRun } from './run.ts';
import { A, B } from './world/world.ts';

const STEPS = [
  ...['save:writer', `claim:orders-db@${A}`, 'prepare:writer', `scale:shop@${B}`, 'converge:orders-db'],
  ...[`fence:orders-db@${A}`, 'catchUp:orders-db', 'promote:orders-db', 'verify:orders-db', 'route:writer'],
  ...[`verify-check:ready@${B}`, 'weight:edge@10', 'bake@25', 'observed:edge@50', 'bake@100', `drain:shop@${A}`],
  ...[`rejoin:orders-db@${A}`, 'settle:writer', `settle:shop@${A}`, 'writable:orders-db', `close:orders-db@${A}`],
];
const CROSSED = STEPS.slice(STEPS.indexOf('promote:orders-db'));

const runs: EngineRun[] = [];
afterAll(() => Promise.all(runs.map((run) => run.dispose())));

async function until(step: string, options: RunOptions = {}): Promise<EngineRun> {
  const run = await startRun(options);
  runs.push(run);
  await run.approve();
  await run.until(step);
  return run;
}

/** Starts the same failover anew, approves what it asks, and ends it. */
async function again(run: EngineRun, request: object = PLANNED): Promise<Awaited<ReturnType<EngineRun['end']>>> {
  await run.harness.start('failover', { workflowId: run.workflow.workflowId, args: [request] });
  for (let i = 0; i < 100 && !run.workflow.outcome; i++) {
    await run.harness.advance(1_000);
    const { gate } = run.workflow.outcome ? { gate: null } : await run.status();
    if (gate) await run.send('decide', { gate: gate.id, decision: 'approve', by: 'bob', override: gate.needsOverride });
  }
  return run.end();
}

function expectArrived(run: EngineRun): void {
  const { routers } = run.model.traffic;
  expect(run.model.database().writable).toEqual([B]);
  expect(run.model.database().server(A)).toMatchObject({ role: 'replica', follows: B });
  expect([routers.writer?.weights, routers.edge?.weights]).toEqual([
    { [A]: 0, [B]: 100 },
    { [A]: 0, [B]: 100 },
  ]);
  expect(run.model.openJournals).toEqual([]);
}

describe('terminated, and started again', () => {
  it.each(STEPS)('at %s', async (step) => {
    const run = await until(step);
    await run.workflow.terminate();
    // What was under way at the end acts, or has acted, before somebody looks.
    await run.harness.advance(60_000);
    const record = await again(run);
    expect(['completed', 'nothingToDo']).toContain(record.outcome);
    expectArrived(run);
  });

  it.each([`fence:orders-db@${A}`, 'prepare:writer', 'bake@25'])(
    'at %s: settings are back at their originals',
    async (step) => {
      const run = await until(step);
      await run.workflow.terminate();
      await run.harness.advance(60_000);
      await again(run);
      const { writer, edge } = run.model.traffic.routers;
      expect([writer?.ttl, edge?.ttl]).toEqual([30, 60]);
    },
  );
});

/**
 * The Temporal server lost with every history: what the next run knows it reads from the systems. By now they hold the
 * lowered values; the originals are in the journals alone.
 */
describe('every history lost once the settings were lowered: the originals come back', () => {
  const ttls = (run: EngineRun) => {
    const { writer, edge } = run.model.traffic.routers;
    return [writer?.ttl, edge?.ttl];
  };
  const size = (run: EngineRun) => run.model.traffic.workload('shop', B).size;

  async function lost(): Promise<{ run: EngineRun; wasSize: number }> {
    const run = await startRun({ before: (model) => Object.assign(model.traffic.workload('shop', B), { size: 1 }) });
    runs.push(run);
    await run.approve();
    await run.until('converge:orders-db');
    await run.workflow.terminate();
    await run.harness.advance(60_000);
    expect([...ttls(run), size(run)]).toEqual([1, 1, run.model.traffic.workload('shop', B).wanted]);
    expect(run.model.openJournals).toHaveLength(2);
    return { run, wasSize: 1 };
  }

  /** Another run, whose own history does not know of the first. */
  async function next(run: EngineRun, type: string, request: object, until?: string): Promise<void> {
    await run.harness.start(type, { workflowId: run.workflow.workflowId, args: [request] });
    const { id, needsOverride } = await run.gate();
    await run.send('decide', { gate: id, decision: 'approve', by: 'bob', override: needsOverride });
    if (until !== undefined) await run.until(until, 2);
  }

  it('by a next run that completes', async () => {
    const { run } = await lost();
    await next(run, 'failover', PLANNED);
    await run.workflow.runUntilClosed();
    expect((await run.record()).outcome).toBe('completed');
    expect(ttls(run)).toEqual([30, 60]);
    expect(run.model.openJournals).toEqual([]);
  });

  it.each([
    ['', 'converge:orders-db'],
    [' while it takes its claims, and with them closes the journals that knew', `claim:orders-db@${A}`],
  ])('by a next run that is aborted%s, down to the size of the app', async (_when, until) => {
    const { run, wasSize } = await lost();
    await next(run, 'failover', PLANNED, until);
    await run.send('abort', { by: 'bob' });
    await run.workflow.runUntilClosed();
    const { outcome, text } = await run.record();
    expect(outcome).toBe('rolledBack');
    expect(text).toMatch(
      /as it was before the run, and what an earlier run had left is put back: Restore the settings of/,
    );
    expect([...ttls(run), size(run)]).toEqual([30, 60, wasSize]);
    expect(run.model.openJournals).toEqual([]);
  });

  it('and the fence of the lost run is lifted by a next one that is aborted while it takes its claims', async () => {
    const run = await startRun();
    runs.push(run);
    await run.approve();
    await run.until('catchUp:orders-db');
    await run.workflow.terminate();
    await run.harness.advance(60_000);
    expect(run.model.database().writable).toEqual([]);
    await next(run, 'failover', PLANNED, `claim:orders-db@${A}`);
    await run.send('abort', { by: 'bob' });
    await run.workflow.runUntilClosed();
    const { outcome, text } = await run.record();
    expect([outcome, text]).toEqual(['rolledBack', expect.stringContaining('Everything is as it was')]);
    expect(run.model.database().writable).toEqual([A]);
    expect(run.model.openJournals).toEqual([]);
  });

  it('by a next ramp, where the traffic had moved already', async () => {
    const request = { service: 'checkout', to: B, percent: 100 };
    const run = await startRun({ type: 'trafficRamp', request });
    runs.push(run);
    await run.approve();
    await run.until('settle:edge');
    await run.workflow.terminate();
    await run.harness.advance(60_000);
    const edge = () => run.model.traffic.routers.edge;
    expect([edge()?.weights, run.model.openJournals.length]).toEqual([{ [A]: 0, [B]: 100 }, 2]);
    await next(run, 'trafficRamp', request);
    await run.workflow.runUntilClosed();
    expect((await run.record()).outcome).toBe('completed');
    expect([edge()?.weights, ttls(run), run.model.openJournals]).toEqual([{ [A]: 0, [B]: 100 }, [30, 60], []]);
  });

  describe('of a ramp that had moved half of the traffic', () => {
    const request = { service: 'checkout', to: B, percent: 100 };
    const edge = (run: EngineRun) => run.model.traffic.routers.edge?.weights;

    async function half(weights = { [A]: 100, [B]: 0 }): Promise<EngineRun> {
      const run = await startRun({
        type: 'trafficRamp',
        request,
        before: (model) => {
          Object.assign(model.traffic.workload('shop', B), { size: 1 });
          Object.assign(model.traffic.routers.edge!, { weights });
        },
      });
      runs.push(run);
      await run.approve();
      await run.until('bake@50');
      await run.workflow.terminate();
      await run.harness.advance(60_000);
      expect(edge(run)?.[B]).toBeGreaterThanOrEqual(50);
      return run;
    }

    it('the traffic goes back before the app is what it was', async () => {
      const run = await half();
      await next(run, 'failover', PLANNED, `claim:orders-db@${A}`);
      await run.send('abort', { by: 'bob' });
      await run.workflow.runUntilClosed();
      expect((await run.record()).outcome).toBe('rolledBack');
      expect([edge(run), size(run), ttls(run)]).toEqual([{ [A]: 100, [B]: 0 }, 1, [30, 60]]);
    });

    it('an app whose traffic cannot go back is left as large as it is', async () => {
      const run = await half();
      await next(run, 'failover', PLANNED, `claim:orders-db@${A}`);
      run.model.traffic.workload('shop', A).ready = false;
      const wanted = run.model.traffic.workload('shop', B).wanted;
      await run.send('abort', { by: 'bob' });
      await run.workflow.runUntilClosed();
      const { outcome, text } = await run.record();
      expect([outcome, edge(run), size(run)]).toEqual(['needsHuman', { [A]: 50, [B]: 50 }, wanted]);
      expect(text).toContain(`the traffic of edge could not be moved away from ${B}`);
    });

    it('nor one that had some traffic before', async () => {
      const run = await half({ [A]: 60, [B]: 40 });
      await next(run, 'failover', PLANNED, `claim:orders-db@${A}`);
      run.model.traffic.workload('shop', A).ready = false;
      const { wanted } = run.model.traffic.workload('shop', B);
      await run.send('abort', { by: 'bob' });
      await run.workflow.runUntilClosed();
      expect([(await run.record()).outcome, size(run)]).toEqual(['needsHuman', wanted]);
    });

    it('a ramp back that leaves a part of it leaves the app as well', async () => {
      const run = await half();
      await next(run, 'trafficRamp', { service: 'checkout', to: A, percent: 50 });
      await run.workflow.runUntilClosed();
      const { wanted } = run.model.traffic.workload('shop', B);
      expect([(await run.record()).outcome, edge(run)?.[B], size(run)]).toEqual(['completed', 50, wanted]);
    });

    it('a reprotect does not move it: the ramp is to be ended first', async () => {
      const run = await half();
      await run.harness.start('reprotect', {
        workflowId: run.workflow.workflowId,
        args: [{ service: 'checkout', by: 'ann' }],
      });
      await run.workflow.runUntilClosed();
      const { outcome, text } = await run.record();
      expect([outcome, text]).toEqual(['refused', expect.stringContaining('A ramp that did not come to its end')]);
      expect([edge(run), run.model.openJournals.length]).toEqual([{ [A]: 50, [B]: 50 }, 2]);
    });
  });

  it('a fence of the lost run that acts after the look, and before the claim, is lifted all the same', async () => {
    const { run } = await lost();
    const source = run.model.database().server(A);
    run.model.on('save:writer', (save) => {
      Object.assign(source, { role: 'stopped', signal: true });
      source.journal = { ...source.journal!, fencedAt: run.model.now };
      return save();
    });
    await next(run, 'failover', PLANNED);
    await run.workflow.runUntilClosed();
    const { outcome } = await run.record();
    expect([outcome, run.model.database().writable]).toEqual(['rolledBack', [A]]);
  });

  it('a next run that holds before its own fence lets go of the one it found', async () => {
    const service = { onFailure: { planned: 'hold', unplanned: 'hold' } as const };
    const run = await startRun({ world: { service } });
    runs.push(run);
    await run.approve();
    await run.until('catchUp:orders-db');
    await run.workflow.terminate();
    await run.harness.advance(60_000);
    expect(run.model.database().writable).toEqual([]);
    run.model.on(`scale:shop@${B}`, () => {
      throw ApplicationFailure.nonRetryable('there is no capacity', 'PreconditionFailed');
    });
    await next(run, 'failover', PLANNED);
    expect((await run.holding()).reason).toMatch(/the source accepts writes again/);
    expect(run.model.database().writable).toEqual([A]);
    await run.send('retry', { by: 'bob' });
    expect((await run.end()).outcome).toBe('completed');
  });

  it('also when the next run is lost in the same way', async () => {
    const { run, wasSize } = await lost();
    await next(run, 'failover', PLANNED, 'converge:orders-db');
    await run.workflow.terminate();
    await run.harness.advance(60_000);
    await next(run, 'failover', PLANNED);
    await run.until('converge:orders-db', 3);
    await run.send('abort', { by: 'bob' });
    await run.workflow.runUntilClosed();
    expect([...ttls(run), size(run)]).toEqual([30, 60, wasSize]);
  });

  it('by an unplanned run, the source being gone with its journal', async () => {
    const { run } = await lost();
    run.model.lose(A);
    run.harness.removeWorkers(`rampart.${A}`);
    await next(run, 'failover', { ...PLANNED, mode: 'unplanned' });
    const gate = await run.gate('promote');
    run.invariants.weakFenceAccepted = true;
    await run.send('decide', { gate: gate.id, decision: 'approve', by: 'bob', override: gate.needsOverride });
    await run.workflow.runUntilClosed();
    expect((await run.record()).outcome).toBe('completed');
    expect(ttls(run)).toEqual([30, 60]);
  });

  it('by a reprotect, which closes the journals that hold them', async () => {
    const run = await until('bake@25');
    await run.send('abort', { by: 'bob' });
    await run.workflow.runUntilClosed();
    expect([(await run.record()).outcome, ...ttls(run)]).toEqual(['needsHuman', 1, 1]);
    // It has no gate of its own.
    const reprotect = await run.harness.start('reprotect', {
      workflowId: run.workflow.workflowId,
      args: [{ service: 'checkout' }],
    });
    await reprotect.runUntilClosed();
    expect(reprotect.outcome).toMatchObject({ status: 'completed' });
    expect(run.model.openJournals).toEqual([]);
    expect(ttls(run)).toEqual([30, 60]);
  });

  it('by a traffic ramp', async () => {
    const { run } = await lost();
    await next(run, 'trafficRamp', { service: 'checkout', to: B, percent: 50, by: 'ann' });
    await run.workflow.runUntilClosed();
    expect((await run.record()).outcome).toBe('completed');
    expect(ttls(run)).toEqual([30, 60]);
  });
});

/** Apps that write where they run are stopped for the cut: what they were is in the journals alone as well. */
describe('every history lost, of a service whose apps write locally', () => {
  const LOCAL: RunOptions = { world: { service: { writes: 'local' } } };
  const QUIESCE = `quiesce:shop@${A}`;
  const BEFORE = [...STEPS.slice(STEPS.indexOf('prepare:writer'), STEPS.indexOf('promote:orders-db')), QUIESCE];
  const apps = (run: EngineRun) =>
    [A, B].map((region) => {
      const { state, size } = run.model.traffic.workload('shop', region);
      return `${state} ${size}`;
    });

  /** What was under way when the history was lost has acted. */
  async function lost(step: string): Promise<EngineRun> {
    const run = await until(step, LOCAL);
    await run.workflow.terminate();
    await run.harness.advance(60_000);
    return run;
  }

  async function go(run: EngineRun, type: string, request: object): Promise<void> {
    await run.harness.start(type, { workflowId: run.workflow.workflowId, args: [request] });
  }

  it.each(BEFORE)('at %s: the same run, aborted before its promotion, leaves everything as it was', async (step) => {
    const run = await lost(step);
    const tries = run.model.attempts.filter((id) => id === 'catchUp:orders-db').length;
    await go(run, 'failover', PLANNED);
    await run.approve();
    await run.until('catchUp:orders-db', tries + 1);
    await run.send('abort', { by: 'bob' });
    expect((await run.end()).outcome).toBe('rolledBack');
  });

  // Whoever writes in one region is ramped in one step.
  const JUMPED = STEPS.filter((step) => !/^(weight|bake|observed)/.test(step));
  it.each([...JUMPED, QUIESCE, 'weight:edge@100', 'bake@100'])(
    'at %s: the same run, completed, leaves the app of the old side as standby',
    async (step) => {
      const run = await lost(step);
      await again(run);
      expectArrived(run);
      expect(apps(run)).toEqual(['standby 4', 'active 4']);
    },
  );

  it.each([QUIESCE, 'converge:orders-db'])('at %s: a reprotect leaves everything as it was', async (step) => {
    const run = await lost(step);
    expect(JSON.stringify(run.model.state())).not.toEqual(JSON.stringify(run.before));
    await go(run, 'reprotect', { service: 'checkout' });
    expect((await run.end()).outcome).toBe('completed');
    expect(run.model.state()).toEqual(run.before);
    expect(run.model.openJournals).toEqual([]);
  });

  it('a failover to the side that still writes lets its app write again', async () => {
    const run = await lost(QUIESCE);
    expect(apps(run)).toEqual(['standby 4', 'active 4']);
    expect((await again(run, { ...PLANNED, to: A })).outcome).toBe('completed');
    expect(apps(run)).toEqual(['active 4', 'standby 4']);
    expect(run.model.openJournals).toEqual([]);
  });

  it('also when that one is lost before it does, and begun again', async () => {
    const run = await lost(QUIESCE);
    await go(run, 'failover', { ...PLANNED, to: A });
    await run.approve();
    await run.until(`drain:shop@${B}`);
    await run.workflow.terminate();
    await run.harness.advance(60_000);
    expect((await again(run, { ...PLANNED, to: A })).outcome).toBe('completed');
    expect(apps(run)).toEqual(['active 4', 'standby 4']);
  });
});

describe('aborted after the point of no return, and started again', () => {
  it.each(CROSSED.filter((step) => !step.startsWith('close')))('at %s', async (step) => {
    const run = await until(step);
    await run.send('abort', { by: 'bob' });
    await run.workflow.runUntilClosed();
    const record = await again(run);
    expect(['completed', 'nothingToDo']).toContain(record.outcome);
    expectArrived(run);
  });
});

describe('two runs', () => {
  it('a second start under the same lock is refused by Temporal', async () => {
    const run = await until('converge:orders-db');
    await expect(
      run.harness.start('failover', { workflowId: run.workflow.workflowId, args: [PLANNED] }),
    ).rejects.toThrow('already started');
    expect((await run.end()).outcome).toBe('completed');
  });

  it('a run of another server that claims the store makes this one stop, and changes nothing of the other', async () => {
    const run = await until('converge:orders-db');
    const claim = { epoch: 99, runId: 'another', seq: 1, at: run.model.now };
    for (const server of Object.values(run.model.database().servers)) server.claim = claim;
    await run.workflow.runUntilClosed();
    expect((await run.record()).text).toContain('is claimed with epoch 99');
    expect(run.model.database().writable).toEqual([A]);
    expect(run.model.database().server(A).claim).toEqual(claim);
  });
});
