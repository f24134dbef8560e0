/** Runs that meet no trouble: what is done, in which order, and what people see of it. */
import { afterEach, describe, expect, it } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../../workflows/contract.ts';
import { type EngineRun, PLANNED, type RunOptions, startRun, UNPLANNED } from './run.ts';
import { A, B } from './world/world.ts';

let run: EngineRun;
const start = async (options?: RunOptions): Promise<EngineRun> => {
  run = await startRun(options);
  return run;
};
afterEach(() => run?.dispose());

const RAMP = [10, 25, 50, 100].flatMap((p) => [`weight:edge@${p}`, `observed:edge@${p}`, `bake@${p}`]);

describe('a planned failover', () => {
  it('does the stages in order, the steps of a stage in parallel, and loses nothing', async () => {
    await start();
    await run.approve();
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.workflow.outcome).toMatchObject({ status: 'completed', result: { outcome: 'completed' } });
    expect(run.model.attempts).toEqual([
      ...['ping:rampart', `ping:rampart.${A}`, `ping:rampart.${B}`, 'preflight:orders-db', `check:ready@${B}`],
      ...['save:writer', 'save:edge', `save:shop@${A}`, `save:shop@${B}`],
      ...[`readClaim:orders-db@${A}`, `readClaim:orders-db@${B}`, `claim:orders-db@${A}`, `claim:orders-db@${B}`],
      ...['prepare:writer', 'prepare:edge', `scale:shop@${B}`, 'converge:orders-db'],
      ...[`fence:orders-db@${A}`, 'catchUp:orders-db', `prove:orders-db@${A}`, 'promote:orders-db'],
      ...['verify:orders-db', 'route:writer', `verify-check:ready@${B}`, ...RAMP, `drain:shop@${A}`],
      ...[`rejoin:orders-db@${A}`, 'settle:writer', 'settle:edge', `settle:shop@${A}`, 'observe:orders-db'],
      ...['writable:orders-db', `close:orders-db@${A}`, `close:orders-db@${B}`],
    ]);
    expect(run.model.database().writable).toEqual([B]);
    expect(run.model.openJournals).toEqual([]);
    expect(record.loss).toMatchObject({ kind: 'none' });
    expect(record.debt).toEqual([]);
    expect(record.pointOfNoReturn).toMatchObject({ stepId: 'promote:orders-db', revokedAt: null });
    expect(record.undos.filter(({ state }) => state === 'done')).toEqual([]);
    expect(record.ramp.map(({ percent, observed, bake }) => [percent, observed?.[B], bake])).toEqual([
      [10, 10, 'passed'],
      [25, 25, 'passed'],
      [50, 50, 'passed'],
      [100, 100, 'passed'],
    ]);
    const freeze = (record.freeze.endedAt as number) - (record.freeze.startedAt as number);
    expect(freeze).toBeLessThan(1_500);
    expect(run.invariants.longestFreezeMs).toBeLessThanOrEqual(freeze);
  });

  it('changes nothing before the gate is decided', async () => {
    await start();
    const gate = await run.gate();
    expect(gate).toMatchObject({ id: 'cutover.1', required: 1, approvedBy: [] });
    await run.harness.advance(20 * 60_000);
    expect(run.model.log).toEqual([]);
    expect(run.model.attempts.filter((id) => !/^(ping|preflight|check)/.test(id))).toEqual([]);
    await run.approve();
    expect((await run.end()).outcome).toBe('completed');
  });

  it('shows itself: current details, search attributes, step summaries, status', async () => {
    await start({ world: { searchAttributes: Object.keys(SEARCH_ATTRIBUTES) } });
    await run.gate();
    expect(run.workflow.searchAttributes).toMatchObject({
      RampartService: 'checkout',
      RampartPhase: 'waiting:cutover',
      RampartAction: 'failover',
      RampartMode: 'planned',
      RampartFrom: A,
      RampartTo: B,
      RampartAwaiting: ['anybody'],
    });
    expect(await run.workflow.currentDetails()).toContain('"gate":"cutover.1","decision":"approve"');
    await run.approve();
    await run.until('bake@25');
    expect(await run.status()).toMatchObject({
      phase: 'ramp',
      trafficPercent: 25,
      weights: { edge: { [A]: 75, [B]: 25 } },
    });
    await run.end();
    expect(run.workflow.searchAttributes).toMatchObject({ RampartPhase: 'closed', RampartTrafficPercent: 100 });
    const scheduled = run.workflow.trace.filter(({ event }) => event === 'activityTaskScheduled');
    const promotion = scheduled.find(({ name }) => name === 'promote');
    expect(promotion).toMatchObject({ summary: 'promote:orders-db', queue: `rampart.${B}` });
    expect(await run.workflow.currentDetails()).toContain('is complete');
  });

  it('upserts no search attribute that the namespace does not know', async () => {
    await start({ harness: { registeredSearchAttributes: [] } });
    await run.approve();
    expect((await run.end()).outcome).toBe('completed');
    expect(run.workflow.names('upsertWorkflowSearchAttributes')).toEqual([]);
  });

  it('keeps its history short', async () => {
    await start();
    await run.approve();
    await run.end();
    expect(run.workflow.trace.length).toBeLessThan(500);
  });

  it('gives the same trace every time, whether things arrive together or apart', async () => {
    const traces: unknown[] = [];
    for (const batching of ['together', 'together', 'apart'] as const) {
      await start({ harness: { batching } });
      await run.approve();
      expect((await run.end()).outcome).toBe('completed');
      traces.push([run.model.attempts.length, run.model.log.map(({ what }) => what)]);
      await run.dispose();
    }
    expect(traces[1]).toEqual(traces[0]);
    expect(traces[2]).toEqual(traces[0]);
  });
});

describe('an unplanned failover of a lost source', () => {
  it('states the loss first, asks for the weak proof, and leaves the missing replica as debt', async () => {
    await start({
      request: UNPLANNED,
      before: (model, harness) => {
        model.lose(A);
        harness.removeWorkers(`rampart.${A}`);
      },
    });
    const cutover = await run.gate('cutover');
    expect(cutover.loss.kind).toBe('bounded');
    expect(cutover.facts.classified.state).toBe('sourceLost');
    await run.approve();
    const promote = await run.gate('promote');
    expect(promote.needsOverride).toEqual(['weakFence']);
    await run.approve();
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.decisions.map(({ gate }) => gate)).toEqual(['cutover.1', 'promote.1']);
    expect(record.debt.map(({ code }) => code)).toContain('replicaMissing');
    expect(record.loss).toMatchObject({ kind: 'bounded' });
    expect(run.model.traffic.routers.edge?.weights).toEqual({ [A]: 0, [B]: 100 });
  }, 20_000);
});

describe('the way back', () => {
  it('fails back home', async () => {
    await start({ type: 'failback', request: { service: 'checkout', by: 'ann' }, world: { active: B } });
    await run.approve();
    const record = await run.end();
    expect(record).toMatchObject({ outcome: 'completed', from: B, to: A });
    expect(run.model.database().writable).toEqual([A]);
  });

  it('has nothing to do when the service is there already', async () => {
    await start({ request: { ...PLANNED, to: A } });
    const record = await run.end();
    expect(record).toMatchObject({ outcome: 'nothingToDo' });
    expect(run.workflow.outcome).toMatchObject({ status: 'completed' });
    expect(run.model.log).toEqual([]);
  });
});

describe('a traffic ramp', () => {
  it('moves traffic to the share wanted and touches no data', async () => {
    await start({ type: 'trafficRamp', request: { ...PLANNED, percent: 50 } });
    await run.approve();
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.model.traffic.routers.edge?.weights).toEqual({ [A]: 50, [B]: 50 });
    expect(run.model.database().writable).toEqual([A]);
    expect(record.freeze.startedAt).toBeNull();
  });
});

describe('reprotect', () => {
  const returned = (needsRebuild: boolean) => (model: EngineRun['model']) => {
    const database = model.database();
    const [old, primary] = [database.server(A), database.server(B)];
    Object.assign(old, { role: 'stopped', signal: true });
    Object.assign(primary, { role: 'primary', signal: false, timeline: 2, follows: null });
    if (needsRebuild) old.position = primary.position + 5_000_000;
    for (const router of Object.values(model.traffic.routers)) router.weights = { [A]: 0, [B]: 100 };
  };

  it('lets the old side follow where nothing is destroyed, and asks nobody', async () => {
    await start({ type: 'reprotect', request: { service: 'checkout', by: 'ann' }, before: returned(false) });
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.decisions).toEqual([]);
    expect(run.model.database().server(A)).toMatchObject({ role: 'replica', follows: B });
  });

  it('says what stays when it is aborted after the old side was made to follow', async () => {
    await start({
      type: 'reprotect',
      request: { service: 'checkout', by: 'ann' },
      before: (model) => {
        returned(false)(model);
        model.on('writable:orders-db', () => 'never', 99);
      },
    });
    await run.until('writable:orders-db');
    await run.send('abort', { by: 'bob' });
    const record = await run.end();
    expect(record.outcome).toBe('needsHuman');
    expect(record.text).toMatch(/Tried and not taken back, because a repair has no way back: .*orders-db in eu-west/);
    expect(run.model.database().server(A)).toMatchObject({ role: 'replica', follows: B });
  });

  it('rebuilds only behind its own gate', async () => {
    await start({ type: 'reprotect', request: { service: 'checkout', by: 'ann' }, before: returned(true) });
    const gate = await run.gate('rebuild');
    expect(run.model.database().server(A).role).toBe('stopped');
    expect(gate.title).toContain('The old data is kept aside');
    expect(gate.reason).toMatch(/orders-db-eu-west: \d+ bytes did not arrive/);
    const order = ['leftBehind', 'rejoin'].map((verb) => run.model.attempts.indexOf(`${verb}:orders-db@${A}`));
    expect(order[0]).toBeLessThan(order[1]!);
    await run.approve();
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(run.model.database().server(A)).toMatchObject({ role: 'replica', follows: B });
    expect(record.debt).toEqual([]);
  });

  it('leaves the old side as it is when the rebuild is rejected', async () => {
    await start({ type: 'reprotect', request: { service: 'checkout', by: 'ann' }, before: returned(true) });
    const { id } = await run.gate('rebuild');
    await run.send('reject', { gate: id, by: 'bob' });
    await run.workflow.runUntilClosed();
    expect(run.model.database().server(A).role).toBe('stopped');
    expect(run.model.database().writable).toEqual([B]);
  });
});
