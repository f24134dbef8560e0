/** A guard's life: what it says, when it starts a refence, when it waits, how it ends, how long its history gets. */
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, it } from 'vitest';
import { isHealthNews, judgeHealth } from '../../../plan/health/judge.ts';
import { LOCK } from '../engine/run.ts';
import { A, B } from '../engine/world/world.ts';
import { failedOver, type GuardOptions, type GuardRun, look, oldPrimaryReturns, startGuard } from './world.ts';

/** A little less than the watch's heartbeat time-out. */
const BEAT_MS = 28_000;
/** A year takes minutes: RAMPART_GUARD_DAYS=365. A few days show the same, since every round adds the same events. */
const DAYS = Number(process.env.RAMPART_GUARD_DAYS ?? 4);
let run: GuardRun;
const start = async (options?: GuardOptions): Promise<GuardRun> => {
  run = await startGuard(options);
  return run;
};
afterEach(async () => {
  await run?.harness.replay();
  await run?.dispose();
});

describe('a guard', () => {
  it('says that all is well, and shows it where people look', async () => {
    await start();
    const health = await run.until(() => true);
    expect(health).toMatchObject({ verdict: 'well', active: { 'orders-db': { region: A, timeline: 1 } }, run: null });
    expect(health.findings.map(({ code }) => code)).toEqual(['neverProven']);
    expect(run.guard.searchAttributes).toMatchObject({ RampartService: 'checkout', RampartPhase: 'well' });
    expect(await run.guard.currentDetails()).toMatch(/\*\*checkout: well\*\*.*active: orders-db in eu-west/s);
    expect(run.told).toEqual([]);
  });

  it('watches for a quarter of an hour in one activity, and only then reads again beside the databases', async () => {
    await start();
    await run.until(() => true);
    await run.harness.advance(14 * 60_000);
    const before = run.guard.scheduled.length;
    expect(run.guard.scheduled.filter((name) => name === 'watchService')).toHaveLength(2);
    await run.harness.advance(65_000);
    expect(run.guard.scheduled.slice(before)).toEqual(['observeStore', 'observeStore', 'watchService']);
  });

  it('tells people once when something opens and once when it is cleared', async () => {
    await start();
    await run.until(() => true);
    run.model.traffic.routers.writer!.weights = { [A]: 0, [B]: 100 };
    const bad = await run.until(({ verdict }) => verdict === 'critical');
    expect(bad.findings[0]).toMatchObject({ code: 'writerAstray', component: 'writer' });
    await run.harness.advance(300_000);
    expect(run.told).toEqual(['opened writerAstray']);
    run.model.traffic.routers.writer!.weights = { [A]: 100, [B]: 0 };
    await run.until(({ verdict }) => verdict === 'well');
    await run.harness.settle();
    expect(run.told).toEqual(['opened writerAstray', 'cleared writerAstray']);
  });

  it('goes on when people cannot be told', async () => {
    await start({ deaf: () => true });
    await run.until(() => true);
    run.model.traffic.routers.writer!.weights = { [A]: 0, [B]: 100 };
    await run.until(({ verdict }) => verdict === 'critical');
    run.model.traffic.routers.writer!.weights = { [A]: 100, [B]: 0 };
    await run.until(({ verdict }) => verdict === 'well');
    expect(run.guard.scheduled).toContain('tellPeople');
    expect([run.told, run.guard.outcome]).toEqual([[], null]);
  });

  it('tells later, and once, what could not be told', async () => {
    let deaf = true;
    await start({ deaf: () => deaf });
    await run.until(() => true);
    run.model.traffic.routers.writer!.weights = { [A]: 0, [B]: 100 };
    await run.until(({ verdict }) => verdict === 'critical');
    await run.harness.advance(30_000);
    expect([run.told, (await run.status()).text]).toEqual([[], expect.stringMatching(/people could not be told/)]);
    deaf = false;
    await run.harness.advance(60_000);
    expect(run.told).toEqual(['opened writerAstray']);
    await run.harness.advance(3_600_000);
    expect([run.told, (await run.status()).text]).toEqual([['opened writerAstray'], 'watching']);
  });

  it('tells the end of what could not be told, and not its beginning any more', async () => {
    let deaf = true;
    await start({ deaf: () => deaf });
    await run.until(() => true);
    run.model.traffic.routers.writer!.weights = { [A]: 0, [B]: 100 };
    await run.until(({ verdict }) => verdict === 'critical');
    run.model.traffic.routers.writer!.weights = { [A]: 100, [B]: 0 };
    await run.until(({ verdict }) => verdict === 'well');
    await run.harness.advance(30_000);
    deaf = false;
    await run.harness.advance(900_000);
    expect(run.told).toEqual(['cleared writerAstray']);
  });

  it('tries ever more rarely while people cannot be told, and hands on to its next run what they have not heard', async () => {
    let deaf = true;
    await start({ deaf: () => deaf, harness: { suggestContinueAsNewAfter: 60 } });
    await run.until(() => true);
    run.model.traffic.routers.writer!.weights = { [A]: 0, [B]: 100 };
    await run.until(({ verdict }) => verdict === 'critical');
    await run.harness.advance(6 * 3_600_000);
    const tries = run.guard.scheduled.filter((name) => name === 'tellPeople').length;
    expect(tries).toBeGreaterThan(20);
    expect(tries).toBeLessThan(32);
    expect(new Set(run.guard.trace.map(({ runId }) => runId)).size).toBeGreaterThan(1);
    deaf = false;
    await run.harness.advance(960_000);
    expect(run.told).toEqual(['opened writerAstray']);
  });

  it('tells what could not be told also when it cannot watch any more', async () => {
    let deaf = true;
    let broken = false;
    await start({
      deaf: () => deaf,
      watch: async (call, input, guarded) => {
        if (broken) throw ApplicationFailure.nonRetryable('this worker knows no driver "redis"', 'InvalidInput');
        await call.sleep(12_000);
        const judged = judgeHealth(await look(guarded, input), input.memory, call.now());
        return { why: isHealthNews(input.shown, judged.health) ? 'changed' : 'time', ...judged };
      },
    });
    await run.until(() => true);
    run.model.traffic.routers.writer!.weights = { [A]: 0, [B]: 100 };
    await run.until(({ verdict }) => verdict === 'critical');
    broken = true;
    await run.harness.advance(30_000);
    deaf = false;
    await run.harness.advance(180_000);
    expect(run.told).toEqual(['opened writerAstray']);
  });

  it('is moved to another worker with what it remembers', async () => {
    await start();
    await run.until(() => true);
    run.model.traffic.routers.writer!.weights = { [A]: 0, [B]: 100 };
    await run.harness.advance(4_000);
    run.harness.crashWorkers('rampart-guard');
    const bad = await run.until(({ verdict }) => verdict === 'critical');
    expect(bad.findings[0]?.code).toBe('writerAstray');
    expect(run.guard.outcome).toBeNull();
  });
});

describe('a returning old primary', () => {
  it('is fenced by a refence under the lock, once, and people are told what to do', async () => {
    await start({ before: failedOver });
    await run.until(() => true);
    oldPrimaryReturns(run.model);
    const split = await run.until(({ returned }) => returned !== null);
    expect(split.findings[0]).toMatchObject({ code: 'twoWritable', severity: 'critical' });
    expect(split.returned).toMatchObject({ from: A, to: B, doubts: [] });
    await run.until(({ returned, run: live }) => returned === null && live === null);
    expect(run.model.database().writable).toEqual([B]);
    expect(run.model.database().server(A).signal).toBe(true);
    expect(run.harness.workflow(LOCK).outcome).toMatchObject({ status: 'completed', result: { outcome: 'completed' } });
    expect(run.refences).toBe(1);
    const debt = await run.until(({ findings }) => findings.some(({ code }) => code === 'protectionDebt'));
    expect(debt.findings.find(({ code }) => code === 'protectionDebt')?.remedy).toBe('rampart reprotect checkout');
    expect(run.told).toEqual(
      expect.arrayContaining(['opened twoWritable', 'cleared twoWritable', 'opened protectionDebt']),
    );
  });

  it('is only reported where the policy says notify', async () => {
    await start({ policy: 'notify', before: failedOver });
    await run.until(() => true);
    oldPrimaryReturns(run.model);
    await run.until(({ returned }) => returned !== null);
    await run.harness.advance(900_000);
    expect(run.refences).toBe(0);
    expect(run.model.database().writable).toEqual([A, B]);
    expect((await run.status()).refence.text).toMatch(/notify: rampart refence checkout/);
    expect(run.told).toContain('opened twoWritable');
  });

  it('is only reported while it is not certain which side is old', async () => {
    await start();
    await run.until(() => true);
    // Somebody promotes the standby by mistake: clients still write to A.
    Object.assign(run.model.database().server(B), { role: 'primary', timeline: 2, signal: false, follows: null });
    await run.until(({ returned }) => returned !== null);
    await run.harness.advance(900_000);
    expect(run.refences).toBe(0);
    expect(run.model.database().writable).toEqual([A, B]);
    expect((await run.status()).refence.text).toMatch(/not certain which side is old: writer sends 100 % to eu-west/);
  });

  it('waits while a run holds the lock, and is fenced when that has ended', async () => {
    await start({ before: failedOver });
    await run.until(() => true);
    run.model.on('rejoin', async () => 'never', 99);
    await run.harness.start('reprotect', { workflowId: LOCK, args: [{ service: 'checkout' }] });
    await run.harness.runUntil(() => run.model.attempts.includes(`rejoin:orders-db@${A}`));
    await run.until(({ run: live }) => live !== null);
    oldPrimaryReturns(run.model);
    const split = await run.until(({ returned }) => returned !== null);
    expect(split.findings[0]?.remedy).toMatch(/failover\/checkout .* holds the lock/);
    await run.harness.advance(120_000);
    expect(run.refences).toBe(0);
    expect(run.guard.names('startChildWorkflowExecutionInitiated')).toEqual([]);
    expect((await run.status()).refence.text).toMatch(/failover\/checkout is held by a/);
    await run.harness.workflow(LOCK).terminate();
    await run.until(({ returned }) => returned === null);
    expect(run.refences).toBe(1);
    expect(run.model.database().writable).toEqual([B]);
  });

  it('meets a lock that was taken a moment ago, reports it, and tries again later', async () => {
    // The look has not seen the run yet: only the lock itself can tell.
    await start({ before: failedOver });
    await run.until(() => true);
    run.live = () => null;
    await run.harness.start('reprotect', { workflowId: LOCK, args: [{ service: 'checkout' }] });
    run.model.on('rejoin', async () => 'never', 99);
    oldPrimaryReturns(run.model);
    await run.until(({ returned }) => returned !== null);
    await run.harness.advance(1_000);
    expect(run.guard.outcome).toBeNull();
    expect((await run.status()).refence).toMatchObject({ tries: 1, text: expect.stringMatching(/is held by a run/) });
    await run.harness.workflow(LOCK).terminate();
    await run.until(({ returned }) => returned === null);
    expect(run.model.database().writable).toEqual([B]);
  });

  it('is tried again, ever more rarely, when its worker is away', async () => {
    await start({ before: failedOver });
    await run.until(() => true);
    run.harness.removeWorkers(`rampart.${A}`);
    oldPrimaryReturns(run.model);
    await run.until(({ returned }) => returned !== null);
    await run.harness.advance(1_200_000);
    expect(run.refences).toBeGreaterThan(5);
    expect(run.refences).toBeLessThan(12);
    run.harness.addWorkers(`rampart.${A}`);
    await run.until(({ returned }) => returned === null);
    expect(run.model.database().writable).toEqual([B]);
  });
});

describe('a topology that is edited', () => {
  it('is picked up while the guard runs', async () => {
    await start({ policy: 'notify', before: failedOver });
    await run.until(() => true);
    oldPrimaryReturns(run.model);
    await run.until(({ returned }) => returned !== null);
    const { checkout } = run.model.topology.services;
    run.model.topology.services.checkout = { ...checkout!, returningPrimary: 'fence' };
    await run.until(({ returned }) => returned === null);
    expect(run.model.database().writable).toEqual([B]);
  });

  it('ends the guard when the service is gone', async () => {
    await start();
    await run.until(() => true);
    delete run.model.topology.services.checkout;
    await run.guard.runUntilClosed();
    expect(run.guard.outcome).toMatchObject({ status: 'completed', result: expect.stringMatching(/no such service/) });
  });

  it('that cannot be read leaves the guard as it is', async () => {
    await start({
      watch: () => {
        throw ApplicationFailure.nonRetryable('this worker knows no driver "redis"', 'InvalidInput');
      },
    });
    await run.harness.advance(600_000);
    expect(run.guard.outcome).toBeNull();
    expect((await run.status()).text).toMatch(/the watch failed: this worker knows no driver/);
    expect(run.guard.scheduled.filter((name) => name === 'watchService').length).toBeLessThan(12);
  });
});

it('refuses another workflow ID, under which it would not be alone', async () => {
  await start();
  const other = await run.harness.start('guard', { workflowId: 'mine', args: [{ service: 'checkout' }] });
  expect(other.outcome).toMatchObject({ status: 'failed' });
});

it('keeps its history bounded, however long it watches', async () => {
  await start({
    // As long as nothing is new the real watch does nothing else but look; what it looks at is tested above.
    watch: async (call, input, guarded) => {
      const day = Math.floor(call.now() / 86_400_000);
      for (let left = input.forMs; left > 0; left -= BEAT_MS) {
        call.heartbeat({ memory: input.memory });
        await call.sleep(Math.min(left, BEAT_MS));
      }
      // Every other day the endpoint cannot be read.
      guarded.model.traffic.routers.writer!.reachable = day % 2 === 0;
      const judged = judgeHealth(await look(guarded, input), input.memory, call.now());
      return { why: isHealthNews(input.shown, judged.health) ? 'changed' : 'time', ...judged };
    },
  });
  await run.harness.advance(DAYS * 86_400_000);
  const runs = new Map<string, number>();
  for (const event of run.guard.trace) runs.set(event.runId, (runs.get(event.runId) ?? 0) + 1);
  const watches = run.guard.scheduled.filter((name) => name === 'watchService').length;
  expect(run.guard.outcome).toBeNull();
  // One more watch for each thing that came or went, and no more events than a round has.
  expect(watches).toBeGreaterThanOrEqual(DAYS * 96);
  expect(watches).toBeLessThan(DAYS * 96 * 1.1);
  expect(run.guard.trace.length / watches).toBeLessThan(16);
  expect(runs.size).toBeGreaterThanOrEqual(Math.max(2, Math.floor(DAYS / 4)));
  expect(Math.max(...runs.values())).toBeLessThan(4_096 + 100);
  // What it knows goes on from run to run: what is opened is cleared, and said once each.
  expect(run.told.filter((word) => word === 'opened routerUnreadable').length).toBeGreaterThanOrEqual(DAYS / 2 - 1);
  expect(run.told.length).toBeLessThanOrEqual(DAYS + 1);
  if (DAYS > 30) console.log({ days: DAYS, watches, runs: runs.size, longest: Math.max(...runs.values()) });
}, 3_600_000);
