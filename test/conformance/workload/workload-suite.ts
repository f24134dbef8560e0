/** What every workload driver must do, whatever it drives. Run against a real process. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Driver, Receipt, Workload } from '../../../drivers/ports.ts';
import type { Component } from '../../../topology/model.ts';
import { type ContextOptions, driverContext, token } from '../driver-context.ts';

export interface WorkloadWorld {
  driver: Driver<'workload'>;
  component: Component;
  secrets: Record<string, string>;
  /** The region the suite drives. */
  region: string;
  unreachable(): Component;
  wrongCredentials(): Record<string, string>;
  /** Same component with short deadlines, for waits that must run out. */
  impatient(): Component;
  /** Same workload through a link that drops the answer to the next change and lets the change through. */
  losingAnswers(): Promise<Component>;
  /** Stops the process without closing its connections, and lets it go on. */
  freeze(): void;
  thaw(): void;
  /** Starts a read or a write that stays in flight until the returned function is called. */
  hold(kind: 'read' | 'write'): Promise<() => Promise<void>>;
  /** Whether a client's read or write is served now. */
  serves(kind: 'read' | 'write'): Promise<boolean>;
  close(): Promise<void>;
}

export interface WorkloadTraits {
  /** What standby stops. `nothing`: the driver cannot stop writes alone, and says so before a plan is made. */
  standby: 'writes' | 'everything' | 'nothing';
  /** What is counted while it is drained: requests, or what serves them. */
  counts: 'requests' | 'units';
}

/** Runs the suite; `makeWorld` starts the real workload once for all of it. */
export function describeWorkload(
  name: string,
  makeWorld: () => Promise<WorkloadWorld>,
  { standby, counts }: WorkloadTraits = { standby: 'writes', counts: 'requests' },
): void {
  const inRequests = counts === 'requests';
  describe(`workload: ${name}`, { timeout: 30_000 }, () => {
    let world: WorkloadWorld;
    let region: string;
    let epoch = 0;
    beforeAll(async () => {
      world = await makeWorld();
      region = world.region;
    }, 60_000);
    afterAll(() => world?.close());

    const open = (options: ContextOptions = {}, component = world.component): Workload =>
      world.driver.open(component, driverContext({ secrets: world.secrets, ...options }));
    const newRun = () => token(++epoch, `run-${epoch}`, 1);

    beforeEach(async () => {
      await open({ token: newRun() }).scale(region);
    });

    test('says that it has a preflight exactly when it has one', () => {
      expect(open().preflight !== undefined).toBe(world.component.capabilities.preflight === true);
    });

    test('observes and changes nothing', async () => {
      expect(await open().observe(region)).toMatchObject({
        reachable: true,
        state: 'active',
        ready: true,
        inflight: inRequests ? 0 : null,
      });
      expect(await world.serves('write')).toBe(true);
    });

    test(`quiesce stops ${standby}; scale brings back what it stopped`, async () => {
      const receipt = await open().quiesce(region);
      expect(receipt).toMatchObject({ already: false, facts: { state: 'standby' } });
      const served = [await world.serves('write'), await world.serves('read')];
      expect(served).toEqual({ writes: [false, true], everything: [false, false], nothing: [true, true] }[standby]);
      const said = (world.component.capabilities.unverifiable ?? []).some((text) => text.includes('write nothing'));
      expect(said).toBe(standby === 'nothing');
      await open().scale(region);
      expect(await world.serves('write')).toBe(true);
    });

    test('acting again changes nothing and says so', async () => {
      expect((await open().drain(region)).already).toBe(false);
      expect((await open().drain(region)).already).toBe(true);
      expect((await open({ token: newRun() }).drain(region)).already).toBe(true);
      expect((await open().observe(region)).state).toBe('drained');
    });

    test('already in the other state: goes on from there', async () => {
      await open().drain(region);
      await open().quiesce(region);
      expect((await open().observe(region)).state).toBe('standby');
    });

    test.skipIf(standby === 'nothing')('quiesce waits for the write in flight', async () => {
      const finish = await world.hold('write');
      const impatient = open({}, world.impatient()).quiesce(region);
      await expect(impatient).rejects.toMatchObject({ type: 'DeadlineExceeded' });
      const { promise: waiting, heartbeat } = firstHeartbeat();
      const patient = open({ heartbeat }).quiesce(region);
      await waiting;
      await finish();
      expect((await patient).facts.state).toBe('standby');
    });

    test('drain waits for what is in flight, and names it when the deadline passes', async () => {
      const finish = await world.hold('read');
      await expect(open({}, world.impatient()).drain(region)).rejects.toMatchObject({
        type: 'DeadlineExceeded',
        message: expect.stringMatching(inRequests ? /1 requests still in flight/ : /: 1 \w+ still running or stopping/),
      });
      const { promise: waiting, heartbeat } = firstHeartbeat();
      const drained = open({ heartbeat }).drain(region);
      expect(JSON.stringify(await waiting)).toMatch(inRequests ? /1 in flight/ : /1 \w+ still running/);
      await finish();
      expect((await drained).facts).toMatchObject({ state: 'drained', inflight: inRequests ? 0 : null });
    });

    test('a lost answer: the repeat finds the change', async () => {
      const component = await world.losingAnswers();
      await expect(open({}, component).drain(region)).rejects.toMatchObject({ type: 'ProviderUnavailable' });
      expect((await open().observe(region)).state).toBe('drained');
      expect((await open({}, component).drain(region)).already).toBe(true);
    });

    test('two attempts at once end in the same state', async () => {
      const run = newRun();
      await Promise.all([1, 2, 3, 4].map(() => open({ token: run }).quiesce(region)));
      expect((await open().observe(region)).state).toBe('standby');
    });

    test('a stale attempt is refused, also when the newer one found everything done', async () => {
      const run = newRun();
      expect((await open({ token: { ...run, seq: 7 } }).scale(region)).already).toBe(true);
      const otherServer = { ...run, runId: 'another server', seq: 9 };
      for (const stale of [{ ...run, seq: 6 }, { ...run, epoch: run.epoch - 1 }, otherServer]) {
        await expect(open({ token: stale }).drain(region)).rejects.toMatchObject({ type: 'Conflict' });
      }
      const { state, claim } = await open().observe(region);
      expect(state).toBe('active');
      expect(claim).toMatchObject({ epoch: run.epoch, runId: run.runId, seq: 7 });
    });

    // Exhaustive by its type: a verb that the port gains needs a line here.
    const verbs: Record<keyof Workload, 'reads' | ((workload: Workload, saved: Receipt['facts']) => Promise<unknown>)> =
      {
        observe: 'reads',
        preflight: 'reads',
        save: 'reads',
        escape: 'reads',
        scale: (workload) => workload.scale(region),
        quiesce: (workload) => workload.quiesce(region),
        drain: (workload) => workload.drain(region),
        restore: (workload, saved) => workload.restore(region, saved),
      };

    test('a stale attempt of every verb is refused and changes nothing', async () => {
      const older = newRun();
      const run = newRun();
      await open({ token: older }).quiesce(region);
      const { facts } = await open().save(region);
      await open({ token: { ...run, seq: 7 } }).scale(region);
      for (const [verb, send] of Object.entries(verbs)) {
        if (send === 'reads') continue;
        for (const stale of [
          { ...older, seq: 99 },
          { ...run, seq: 6 },
          { ...run, runId: 'another server', seq: 9 },
        ]) {
          await expect(send(open({ token: stale }), facts), verb).rejects.toMatchObject({ type: 'Conflict' });
        }
      }
      const { state, claim } = await open().observe(region);
      expect(state).toBe('active');
      expect(claim).toMatchObject({ epoch: run.epoch, runId: run.runId, seq: 7 });
    });

    test('restore puts back what was saved, and again', async () => {
      await open().quiesce(region);
      const { facts } = await open().save(region);
      await open().drain(region);
      expect((await open().restore(region, facts)).already).toBe(false);
      expect((await open().restore(region, facts)).already).toBe(true);
      expect((await open().observe(region)).state).toBe('standby');
      await expect(open().restore(region, {})).rejects.toMatchObject({ type: 'InvalidInput' });
    });

    test('abort ends a wait with the reason of the signal', async () => {
      const finish = await world.hold('read');
      const stop = new AbortController();
      const drained = open({
        signal: stop.signal,
        heartbeat: () => stop.abort(new Error('cancelled by a person')),
      }).drain(region);
      await expect(drained).rejects.toThrow('cancelled by a person');
      await finish();
    });

    test('unreachable is neither active nor drained', async () => {
      const workload = open({}, world.unreachable());
      expect(await workload.observe(region)).toMatchObject({ reachable: false, state: 'unknown', ready: null });
      for (const act of [workload.save, workload.scale, workload.quiesce, workload.drain]) {
        await expect(act(region)).rejects.toMatchObject({ type: 'ProviderUnavailable' });
      }
    });

    test('a process that hangs is unreachable', async () => {
      world.freeze();
      try {
        expect(await open({}, world.impatient()).observe(region)).toMatchObject({ reachable: false, state: 'unknown' });
      } finally {
        world.thaw();
      }
    });

    test('wrong credentials: said so, and no secret in the text', async () => {
      const secrets = world.wrongCredentials();
      const workload = open({ secrets });
      expect(await workload.observe(region)).toMatchObject({ state: 'unknown' });
      const error = await workload.drain(region).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ type: 'AccessDenied' });
      for (const secret of Object.values(secrets)) expect(JSON.stringify(error) + String(error)).not.toContain(secret);
      expect((await open().observe(region)).state).toBe('active');
    });

    test('an unknown region is wrong input', async () => {
      await expect(open().drain('nowhere')).rejects.toMatchObject({ type: 'InvalidInput' });
    });
  });
}

/** Resolves with the facts of the first heartbeat: the call has looked and is waiting. */
function firstHeartbeat(): { promise: Promise<unknown>; heartbeat: (facts: unknown) => void } {
  let heartbeat: (facts: unknown) => void = () => undefined;
  const promise = new Promise((resolve) => {
    heartbeat = resolve;
  });
  return { promise, heartbeat };
}
