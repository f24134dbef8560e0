/**
 * Abort and cancel, at every step: before the point of no return everything is as it was (I7, I8), after it nothing
 * is half undone and no data is ever moved back.
 */
import { afterAll, describe, expect, it } from 'vitest';
import type { RunRecord } from '../../../evidence/record.ts';
import { checkout } from '../../plan/world.ts';
import { type EngineRun, type RunOptions, startRun } from './run.ts';
import { A, B } from './world/world.ts';

const BEFORE_GATE = ['ping:rampart', 'preflight:orders-db', `check:ready@${B}`];
const BEFORE_EFFECT = ['save:writer', `save:shop@${A}`, `readClaim:orders-db@${A}`];
const BEFORE_CROSSING = [
  ...[`claim:orders-db@${A}`, `claim:orders-db@${B}`, 'prepare:writer', 'prepare:edge', `scale:shop@${B}`],
  ...['converge:orders-db', `fence:orders-db@${A}`, 'catchUp:orders-db', `prove:orders-db@${A}`],
];
const AFTER_CROSSING = [
  ...['promote:orders-db', 'verify:orders-db', 'route:writer', `verify-check:ready@${B}`],
  ...[10, 25, 50, 100].flatMap((p) => [`weight:edge@${p}`, `observed:edge@${p}`, `bake@${p}`]),
  ...[`drain:shop@${A}`, `rejoin:orders-db@${A}`, 'settle:writer', `settle:shop@${A}`, 'writable:orders-db'],
];

type Way = 'abort' | 'abort by signal' | 'cancel';
const WAYS: Way[] = ['abort', 'cancel'];

const runs: EngineRun[] = [];
afterAll(() => Promise.all(runs.map((run) => run.dispose())));

/** Stops a run as soon as the work on a step has begun. */
async function stopAt(
  step: string,
  way: Way,
  options: RunOptions = {},
): Promise<{ run: EngineRun; record: RunRecord }> {
  const run = await startRun(options);
  runs.push(run);
  if (!BEFORE_GATE.includes(step)) await run.approve();
  await run.until(step);
  if (way === 'abort') await run.send('abort', { by: 'bob', reason: 'wrong service' });
  else if (way === 'cancel') await run.workflow.cancel();
  else await run.workflow.signal('abort', { by: 'bob', reason: 'wrong service' });
  return { run, record: await run.end() };
}

/** Every registered undo was done, newest first, each once. */
function expectUndone(run: EngineRun, record: RunRecord): void {
  expect(record.undos.map(({ state }) => state)).toEqual(record.undos.map(() => 'done'));
  expect(run.undone).toEqual(record.undos.map(({ stepId }) => stepId).reverse());
}

describe.each(WAYS)('%s', (way) => {
  it.each([...BEFORE_GATE, ...BEFORE_EFFECT])('at %s: nothing had been done', async (step) => {
    const { run, record } = await stopAt(step, way);
    expect(record.outcome).toBe('cancelled');
    expect(run.model.log).toEqual([]);
    expect(record.undos).toEqual([]);
  });

  it.each(BEFORE_CROSSING)('at %s: everything goes back, newest first', async (step) => {
    const { run, record } = await stopAt(step, way);
    expect(record.outcome).toBe('rolledBack');
    expectUndone(run, record);
    expect(run.model.database().writable).toEqual([A]);
  });

  it.each(BEFORE_CROSSING)('in the middle of a slow %s', async (step) => {
    const { run, record } = await stopAt(step, way, { world: { pace: 20 } });
    expect(['cancelled', 'rolledBack']).toContain(record.outcome);
    expectUndone(run, record);
    expect(run.model.database().writable).toEqual([A]);
  });

  it.each(AFTER_CROSSING)('at %s: the promotion stands', async (step) => {
    const { run, record } = await stopAt(step, way);
    expect(record.outcome).toBe('needsHuman');
    expect(run.workflow.outcome).toMatchObject({ status: 'failed', failure: { type: 'NeedsHuman' } });
    expect(run.undone).toEqual([]);
    expect(run.model.database().writable).toEqual([B]);
    expect(run.model.traffic.routers.writer?.weights).toEqual({ [A]: 0, [B]: 100 });
    expect(record.text).toContain('rampart start failback --service checkout');
    expect(record.undos.filter(({ state }) => state === 'done')).toEqual([]);
  });
});

describe('an abort by signal', () => {
  it.each(['converge:orders-db', `fence:orders-db@${A}`])('at %s does the same', async (step) => {
    const { run, record } = await stopAt(step, 'abort by signal');
    expect(record.outcome).toBe('rolledBack');
    expectUndone(run, record);
  });
});

describe('traffic after an abort in the ramp', () => {
  it.each([
    ['bake@10', 0],
    ['bake@25', 10],
    ['bake@100', 50],
  ])('at %s it is at the last good weights', async (step, share) => {
    // Long enough for the abort to reach the bake with a heartbeat.
    const ramp = { ...checkout.ramp, bakeMs: 60_000 };
    const { run, record } = await stopAt(step, 'abort', { world: { service: { ramp } } });
    expect(record.outcome).toBe('needsHuman');
    expect(run.model.traffic.routers.edge?.weights).toEqual({ [A]: 100 - share, [B]: share });
  });

  it('goes back to where it was when no data had moved', async () => {
    const { run, record } = await stopAt('bake@50', 'abort', { type: 'trafficRamp' });
    expect(record.outcome).toBe('rolledBack');
    expect(run.model.traffic.routers.edge?.weights).toEqual({ [A]: 100, [B]: 0 });
    expectUndone(run, record);
  });
});

describe('an abort that comes too late or twice', () => {
  it('is refused when the run is over', async () => {
    const { run } = await stopAt('converge:orders-db', 'abort');
    await expect(run.send('abort')).rejects.toThrow(/has completed/);
  });

  it('changes nothing about the first', async () => {
    const run = await startRun({ world: { pace: 20 } });
    runs.push(run);
    await run.approve();
    await run.until('converge:orders-db');
    await run.send('abort', { by: 'bob', reason: 'first' });
    await run.send('abort', { by: 'eve', reason: 'second' });
    await run.workflow.cancel();
    const record = await run.end();
    expect(record.text).toContain('abort by bob: first');
    expectUndone(run, record);
  });

  it('does not stop the compensation, and neither does a cancel', async () => {
    const run = await startRun({ world: { pace: 20 } });
    runs.push(run);
    await run.approve();
    await run.until(`fence:orders-db@${A}`);
    await run.send('abort', { by: 'bob' });
    await run.until(`undo:fence:orders-db@${A}`);
    await run.send('abort', { by: 'eve' });
    await run.workflow.cancel();
    const record = await run.end();
    expectUndone(run, record);
  });
});
