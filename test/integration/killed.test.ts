/** kill -9 of Rampart's own parts while a run is on: it completes, and nothing is lost. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { signalGroup } from '../../lab/processes.ts';
import type { Target } from '../../lab/world/running.ts';
import { expectPlanned, fullOnly } from './expectations.ts';
import { holdStage } from './hold.ts';
import { openTestWorld, type TestWorld } from './world.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await openTestWorld('killed', { load: 40, bake: '500ms', workers: 2 });
}, 300_000);
afterAll(() => world?.close(), 60_000);
afterEach((context) => world.tidy(context.task.result?.state === 'fail'));

type Victim = Target & { one?: true };

/** Kills everything that is aimed at, or `one` of two workers of a place. */
async function kill({ what, where, one }: Victim): Promise<void> {
  if (!one) return void (await world.lab.kill({ what, ...(where === undefined ? {} : { where }) }));
  const { pid } = (await workersOf(what, where)).find(({ state }) => state === 'running')!;
  signalGroup(pid!, 'SIGKILL');
  // What its supervisor has not seen end, it would not start again.
  const seen = async () => (await workersOf(what, where)).every((member) => member.pid !== pid);
  await expect.poll(seen, { timeout: 20_000, interval: 20 }).toBe(true);
}

async function workersOf(what: string, where: string | undefined) {
  return (await world.lab.status()).members.filter((m) => m.kind === what && m.region === where);
}

/** A planned failover to the other side; the victim is killed while `stage` runs, and started again. */
async function killIn(
  stage: 'prepare' | 'quiesce' | 'fence' | 'catch-up' | 'verify' | 'route' | 'ramp' | 'settle',
  target: (side: { active: string; other: string }) => Victim,
): Promise<void> {
  world.resetTopology();
  const sides = await world.sides();
  const hold = holdStage(world, stage, '25s');
  const began = Date.now();
  const run = await world.start('failover', { service: 'checkout', to: sides.other });
  await run.approve('cutover');
  await hold.reached(run);
  const victim = target(sides);
  await kill(victim);
  hold.release();
  const { what, where } = victim;
  await world.lab.start({ what, ...(where === undefined ? {} : { where }) });
  const ended = await run.ended(240_000);
  expectPlanned(ended, sides.active, sides.other);
  await world.untilProtected();
  const orders = await world.verifyOrders(began);
  expect(orders.acknowledged).toBeGreaterThan(20);
  expect([orders.lost, orders.duplicated]).toEqual([[], 0]);
}

const control = (): Victim => ({ what: 'worker', where: 'control' });
// In the freeze a run waits five seconds for a region's worker and then goes back: that is why there are two.
const source = ({ active }: { active: string }): Victim => ({ what: 'worker', where: active, one: true });
const goal = ({ other }: { other: string }): Victim => ({ what: 'worker', where: other, one: true });
const temporal = (): Victim => ({ what: 'temporal' });

// Every CI kills Rampart's parts in the cells of the crash matrix that it runs.
fullOnly("one of the source's workers, in the freeze", () => killIn('quiesce', source), 360_000);
fullOnly('the control workers, in the freeze', () => killIn('quiesce', control), 360_000);
fullOnly('the Temporal server, in the freeze', () => killIn('quiesce', temporal), 360_000);
fullOnly("one of the target's workers, beside the catch-up", () => killIn('catch-up', goal), 360_000);
fullOnly('the control workers, in prepare', () => killIn('prepare', control), 360_000);
fullOnly('the control workers, beside the fence', () => killIn('fence', control), 360_000);
fullOnly('the control workers, after the promotion', () => killIn('verify', control), 360_000);
fullOnly('the control workers, in the ramp', () => killIn('ramp', control), 360_000);
fullOnly('the Temporal server, beside the fence', () => killIn('fence', temporal), 360_000);
fullOnly('the Temporal server, after the promotion', () => killIn('verify', temporal), 360_000);
fullOnly('the Temporal server, in the ramp', () => killIn('ramp', temporal), 360_000);
fullOnly("one of the source's workers, beside the fence", () => killIn('fence', source), 360_000);
fullOnly("one of the target's workers, after the promotion", () => killIn('verify', goal), 360_000);
fullOnly("one of the source's workers, at the end", () => killIn('settle', source), 360_000);
