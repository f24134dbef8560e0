/** A planned run whose source dies in the freeze: it holds or goes back by policy, is escalated, and ends on the other side. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { LossStatement } from '../../drivers/ports.ts';
import { expectPlanned, fullOnly } from './expectations.ts';
import { holdStage } from './hold.ts';
import { openTestWorld, PERSON, type TestRun, type TestWorld } from './world.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await openTestWorld('dies', { load: 40, bake: '500ms' });
}, 300_000);
afterAll(() => world?.close(), 60_000);
afterEach((context) => world.tidy(context.task.result?.state === 'fail'));

async function reprotect(): Promise<void> {
  const repair = await world.start('reprotect', { service: 'checkout' });
  const asked = await repair.until('the gate of the repair, or the end', (s) => s.gate !== null || s.outcome !== null);
  if (asked.gate !== null) await repair.approve(asked.gate.name);
  const ended = await repair.ended();
  expect(ended.status, ended.text).toBe('completed');
  await world.untilProtected();
}

/** Escalates and approves the new plan's gate. */
async function escalate(run: TestRun, planned: string): Promise<void> {
  const answer = await run.send('escalate', { by: PERSON, reason: 'its database is gone' });
  expect(answer.applied, answer.text).toBe(true);
  const asked = await run.until('the escalated plan asks', (s) => s.planDigest !== planned && s.gate !== null, 180_000);
  expect([asked.mode, asked.gate!.name]).toEqual(['unplanned', 'cutover']);
  await run.approve('cutover');
}

/** Expects that every order missing since `began` lies in the run's statement. */
async function expectCovered(loss: LossStatement | null, began: number): Promise<void> {
  const orders = await world.verifyOrders(began);
  const from = Date.parse(loss?.fromTime ?? '') || Number.POSITIVE_INFINITY;
  const to = Date.parse(loss?.toTime ?? '') || Number.POSITIVE_INFINITY;
  expect(orders.lost.filter(({ sentAt, at }) => at < from || sentAt > to)).toEqual([]);
  expect(orders.duplicated).toBe(0);
}

interface Hurt {
  /** Of the step that holds the stage. */
  deadline?: string;
  done?: 'fence' | 'prove';
}

/** A planned run, with its source hurt as soon as `stage` runs, and the step `done` in it, if one is named, has been done. */
async function hurtIn(stage: string, what: 'database' | 'region', { deadline, done }: Hurt = {}) {
  const { active: from, other: to } = await world.sides();
  const hold = holdStage(world, stage, deadline);
  const began = Date.now();
  const run = await world.start('failover', { service: 'checkout', to });
  const { planDigest } = await run.approve('cutover');
  await hold.reached(run);
  if (done !== undefined)
    await run.until(`${done} is done`, ({ steps }) =>
      steps.some(({ id, state }) => id.startsWith(`${done}:`) && state === 'done'),
    );
  await world.lab.kill({ what, where: from });
  hold.release();
  return { run, from, to, began, digest: planDigest! };
}

test('killed before the fence: the run asks before it loses anything, is escalated and ends at the target', async () => {
  const { run, to, began, digest } = await hurtIn('quiesce', 'database');
  const asked = await run.until('the gate before the promotion', (s) => s.gate?.name === 'promote');
  expect(asked.gate!.reason).toMatch(/the loss is bounded: .* more than was approved/);
  expect(asked.pointOfNoReturn.crossedAt).toBeNull();
  await escalate(run, digest);
  const ended = await run.ended();
  expect(ended.status, ended.text).toBe('completed');
  expect(ended.record.plans.map((p) => p.mode)).toEqual(['planned', 'unplanned']);
  expect((await world.sides()).active).toBe(to);
  await expectCovered(ended.record.loss, began);
  world.resetTopology();
  await reprotect();
}, 360_000);

test('killed before the fence, and nobody decides: at the end of the freeze budget the run brings the source back', async () => {
  world.resetTopology();
  world.editTopology((topology) => topology.setIn(['tiers', 'critical', 'freezeBudget'], '6s'));
  const { run, from, to, began } = await hurtIn('quiesce', 'database', { deadline: '5s' });
  const ended = await run.ended();
  expect(ended.status, ended.text).toBe('RolledBack');
  expect(ended.text).toMatch(/the freeze budget of 6 s is used up. Everything is as it was before the run/);
  expect((await world.sides()).active).toBe(from);
  const orders = await world.verifyOrders(began);
  expect([orders.lost, orders.duplicated]).toEqual([[], 0]);
  await world.untilProtected();
  world.resetTopology();
  const again = await world.start('failover', { service: 'checkout', to });
  await again.approve('cutover');
  expectPlanned(await again.ended(), from, to);
}, 360_000);

/** Database, app and workers of the source are gone: what belongs there cannot be put back either. */
async function regionDiesIn(stage: string, hurt: Hurt, proven: boolean): Promise<void> {
  const { run, from, to, began, digest } = await hurtIn(stage, 'region', hurt);
  await run.until(
    'the run asks, holds or cannot put things back',
    (s) => s.gate?.name === 'promote' || s.holding !== null || s.debt.some((d) => d.code === 'undoWaiting'),
    90_000,
  );
  await escalate(run, digest);
  // Where no worker beside the old primary has proven that it cannot write, a person takes that on, by name.
  expect((await run.approveAll()).includes('promote')).toBe(!proven);
  const ended = await run.ended(240_000);
  expect(ended.record.loss?.kind === 'none').toBe(proven);
  expect(ended.status, ended.text).toBe('completed');
  expect((await world.sides()).active).toBe(to);
  // Whatever a ramp left at the region would be lost: its app is gone as well. The planned ramp finds that at its first weight.
  const moved = ended.record.ramp.filter((r) => r.router === 'edge').map((r) => [r.percent, r.bake]);
  const first = proven ? [[10, 'inconclusive']] : [];
  expect(moved).toEqual([...first, [100, 'passed']]);
  await expectCovered(ended.record.loss, began);
  world.resetTopology();
  await world.lab.start({ what: 'app', where: from });
  await world.lab.start({ what: 'worker', where: from });
  await world.untilWorkers();
  await reprotect();
}

fullOnly('the region dies before the fence', () => regionDiesIn('quiesce', {}, false), 480_000);
fullOnly(
  'the region dies between its fence and the proof',
  () => regionDiesIn('fence', { done: 'fence' }, false),
  480_000,
);
fullOnly('the region dies after the proof', () => regionDiesIn('catch-up', { done: 'prove' }, true), 480_000);

fullOnly(
  'killed beside the fence: either it was fenced in time, or the run asks',
  async () => {
    world.resetTopology();
    const { run, to, began, digest } = await hurtIn('fence', 'database');
    const seen = await run.until(
      'the end or a question',
      (s) => s.outcome !== null || s.gate?.name === 'promote',
      60_000,
    );
    if (seen.gate !== null) await escalate(run, digest);
    const ended = await run.ended();
    expect(ended.status, ended.text).toBe('completed');
    expect((await world.sides()).active).toBe(to);
    await expectCovered(ended.record.loss, began);
    world.resetTopology();
    await reprotect();
  },
  360_000,
);
