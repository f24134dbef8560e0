/** A halt beside the real engine and the real trigger: what stands still, what goes on, and how it ends. */

import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, it } from 'vitest';
import { LOCK, PLANNED } from '../engine/run.ts';
import { A, B } from '../engine/world/world.ts';
import { ASKED, HALT, HaltWorld, MINUTE } from './world.ts';

const NODE = 'orders-db-eu-central';
let world: HaltWorld;
const open = async (...options: Parameters<HaltWorld['open']>): Promise<HaltWorld> => {
  world = await new HaltWorld().open(...options);
  return world;
};
afterEach(async () => {
  await world?.harness.replay();
  await world?.harness.dispose();
});

const END = { by: 'bob', reason: 'a bad import; rows restored from the standby' };

describe('a halt with nothing under way', () => {
  it('keeps what can be seen, pauses the replica, names what could be restored from what; ends by a word', async () => {
    await open();
    world.model.topology.components['orders-db']!.recovery = 'https://wiki.example.com/pitr';
    await world.halt();
    const record = await world.until(({ state }) => state === 'open');
    expect(record).toMatchObject({
      ...{ by: 'ann', reason: ASKED.reason, service: 'checkout', run: null, leftover: [] },
      replicas: [
        { node: NODE, before: { state: 'applying' }, now: { state: 'paused', lastCommitAt: expect.any(Number) } },
      ],
      recovery: [{ component: 'orders-db', kind: 'archive' }],
      runbooks: [{ component: 'orders-db', text: 'https://wiki.example.com/pitr' }],
    });
    expect(Object.keys(record.observed!.stores)).toEqual(['orders-db']);
    expect(record.observed!.samples['orders-db']!.length).toBeGreaterThan(0);
    expect(world.told).toEqual([
      expect.stringMatching(/opened: checkout is halted by ann: orders show.*paused: orders-db-eu-central/),
    ]);
    expect(world.harness.workflow(HALT).memo.halt).toMatchObject({ by: 'ann', ending: false });
    await world.say('note', { by: 'cy', reason: 'INC-4711' });
    await expect(world.say('resume', { by: 'bob' })).rejects.toThrow('"reason" must say what was found');
    await world.say('resume', END);
    await world.harness.workflow(HALT).runUntilClosed();
    expect(world.replay[NODE]).toBe('applying');
    expect(world.harness.workflow(HALT).outcome).toMatchObject({
      result: { state: 'closed', ended: END, notes: [{ by: 'cy', text: 'INC-4711' }], leftover: [] },
    });
    expect(world.told.at(-1)).toMatch(/cleared: checkout is no longer halted \(bob/);
  });

  it('keeps what a dead primary said last, however long its replica has gone on saying that it is one', async () => {
    await open();
    const of = (region: string, state: 'writable' | 'replica', at: number) => ({
      ...{ node: `orders-db-${region}`, region, state, at },
      position: null,
    });
    const said = of(A, 'writable', 1);
    const since = Array.from({ length: 100 }, (_, i) => of(B, 'replica', 2 + i));
    world.model.database().readSamples = () => [said, ...since];
    await world.halt();
    const { observed } = await world.until(({ state }) => state === 'open');
    const kept = observed!.samples['orders-db']!;
    expect(kept[0]).toEqual(said);
    expect(kept.at(-1)).toEqual(since.at(-1));
    expect(kept.length).toBeLessThan(60);
  });

  it('says that a pause is not in force yet, and takes it back at its end', async () => {
    await open();
    world.paused = 'pausing';
    await world.halt();
    const record = await world.until(({ state }) => state === 'open');
    expect(record.replicas).toMatchObject([
      { before: { state: 'applying' }, pausedAt: null, now: { state: 'pausing' } },
    ]);
    expect(world.told).toEqual([expect.stringMatching(/no replica is paused; orders-db-eu-central: pausing/)]);
    await world.say('resume', END);
    await world.harness.workflow(HALT).runUntilClosed();
    expect(world.touched.at(-1)).toBe(`resumeReplay ${NODE}`);
    expect(world.harness.workflow(HALT).outcome).toMatchObject({ result: { leftover: [] } });
  });

  it.each(['paused', 'pausing'] as const)('leaves a replica %s that somebody had told so before', async (was) => {
    await open();
    world.replay[NODE] = was;
    await world.halt();
    await world.until(({ state }) => state === 'open');
    await world.say('resume', END);
    await world.harness.workflow(HALT).runUntilClosed();
    expect([world.replay[NODE], world.touched]).toEqual([was, []]);
  });

  it('pauses again what a restart let go on, and says so', async () => {
    await open();
    await world.halt();
    await world.until(({ state }) => state === 'open');
    world.replay[NODE] = 'applying';
    const record = await world.until(({ replicas }) => replicas[0]!.slipped.length > 0);
    expect(world.replay[NODE]).toBe('paused');
    expect(record.log.at(-1)!.text).toContain('had gone on (a restart forgets the pause)');
  });

  it('says at its end what it could not put back, with the command that does', async () => {
    await open();
    await world.halt();
    await world.until(({ state }) => state === 'open');
    world.fault = (verb) => {
      if (verb === 'resumeReplay') throw ApplicationFailure.nonRetryable('no route to host', 'ProviderUnavailable');
    };
    await world.say('resume', END);
    await world.harness.workflow(HALT).runUntilClosed();
    expect(world.harness.workflow(HALT).outcome).toMatchObject({
      failure: { message: expect.stringContaining('pg_wal_replay_resume()') },
    });
    expect((await world.record()).leftover).toEqual([expect.stringMatching(/orders-db-eu-central.*no route to host/)]);
  });

  it('touches no replica where it is told so, nor one whose driver cannot', async () => {
    await open();
    await world.halt({ ...ASKED, replication: false });
    await world.until(({ state }) => state === 'open');
    expect(world.touched).toEqual([]);
  });

  it('is refused for a service that is not there, under another ID, without a name or a reason', async () => {
    await open();
    const refused = async (input: unknown, id = HALT): Promise<string> => {
      const workflow = await world.halt(input, id);
      await workflow.runUntilClosed();
      return JSON.stringify(workflow.outcome);
    };
    expect(await refused({ ...ASKED, service: 'chekout' })).toMatch(/no service.*did you mean/);
    expect(await refused(ASKED, 'halt/other')).toMatch(/must be \\"halt\/checkout\\"/);
    expect(await refused({ service: 'checkout' })).toMatch(/by.*Example/);
    expect(await refused('halt')).toMatch(/Example/);
  });

  it('goes on from one run of its own to the next, and ends when it is cancelled, everything put back', async () => {
    await open({ suggestContinueAsNewAfter: 60 });
    await world.halt();
    const { startedAt } = await world.until(({ state }) => state === 'open');
    await world.harness.advance(60 * MINUTE);
    expect(world.harness.workflow(HALT).names('workflowExecutionContinuedAsNew').length).toBeGreaterThan(0);
    // Everything that asks whether the service is halted hears what it heard before.
    world.look();
    const { by, reason } = ASKED;
    expect(world.model.halt).toEqual({ workflowId: HALT, since: startedAt, by, reason, ending: false });
    expect(await world.record()).toMatchObject({ state: 'open', replicas: [{ node: NODE }] });
    await world.harness.workflow(HALT).cancel();
    await world.harness.workflow(HALT).runUntilClosed();
    expect(world.replay[NODE]).toBe('applying');
    expect(world.harness.workflow(HALT).memo.halt).toEqual({ since: startedAt, by, reason, ending: true });
  });
});

describe('a run', () => {
  it('that waits at its gate asks again because of the halt, and an approval does not pass the pause', async () => {
    await open();
    const run = await world.harness.start('failover', { workflowId: LOCK, args: [PLANNED] });
    await world.untilRun(({ gate }) => gate !== null);
    await world.halt();
    await world.until(({ state }) => state === 'open');
    const asked = await world.untilRun(({ gate }) => gate!.needsOverride.includes('halted'));
    expect(asked.paused).toMatchObject({ by: HALT });
    expect(asked.gate!.facts.blockers[0]!.message).toMatch(
      /checkout is halted since .* by ann: orders show wrong amounts/,
    );
    await run.update('decide', { gate: asked.gate!.id, decision: 'approve', by: 'bob', override: ['halted'] });
    await world.harness.advance(5 * MINUTE);
    expect(world.model.log.map(({ what }) => what)).toEqual([]);
    // A person's word to the run alone does not pass an open halt either.
    await run.update('resume', { by: 'bob' });
    await world.untilRun(({ paused, log }) => paused !== null && log.some(({ text }) => /is still open/.test(text)));
    await world.say('resume', END);
    await world.harness.workflow(HALT).runUntilClosed();
    await run.update('resume', { by: 'bob' });
    await run.runUntilClosed();
    expect(run.outcome).toMatchObject({ result: { outcome: 'completed' } });
  });

  it('inside its cut goes through it first; its replica is paused only then', async () => {
    await open();
    const run = await world.harness.start('failover', { workflowId: LOCK, args: [PLANNED] });
    const { gate } = await world.untilRun((status) => status.gate !== null);
    await run.update('decide', { gate: gate!.id, decision: 'approve', by: 'bob' });
    await world.untilRun(({ phase }) => phase === 'fence');
    await world.halt();
    const record = await world.until(({ state }) => state === 'open');
    expect(record.run).toMatchObject({ cut: true, told: expect.stringContaining('goes on to the other side of it') });
    expect(world.touched).toEqual([]);
    await world.until(({ replicas }) => replicas[0]!.pausedAt !== null, MINUTE);
    const status = await world.untilRun(({ paused, phase }) => paused !== null && phase !== 'fence');
    expect(status.paused!.by).toBe(HALT);
    expect(status.pointOfNoReturn.crossedAt).not.toBeNull();
    expect(status.trafficPercent ?? 0).toBe(0);
  });

  /** Its step fails once, for good, and it holds in the stage of it. */
  async function holdAt(step: string): Promise<void> {
    world.model.topology.services.checkout!.onFailure = { planned: 'hold', unplanned: 'hold' };
    world.model.on(step, () => Promise.reject(ApplicationFailure.nonRetryable('no', 'PreconditionFailed')));
    const run = await world.harness.start('failover', { workflowId: LOCK, args: [PLANNED] });
    const { gate } = await world.untilRun((status) => status.gate !== null);
    await run.update('decide', { gate: gate!.id, decision: 'approve', by: 'bob' });
    await world.untilRun(({ phase }) => phase === 'holding');
  }

  it('that holds and has let writes go on is not inside its cut: its replica is paused at once', async () => {
    await open();
    await holdAt('catchUp:orders-db');
    expect(world.model.database().writable).toEqual([A]);
    await world.halt();
    const record = await world.until(({ state }) => state === 'open', MINUTE);
    expect(record).toMatchObject({ run: { cut: false }, replicas: [{ node: NODE, now: { state: 'paused' } }] });
    expect(world.told).toEqual([expect.stringMatching(/opened: .*paused: orders-db-eu-central/)]);
  });

  it('that holds inside its cut for hours: people are told at once, and the halt lasts as long as that', async () => {
    await open({ suggestContinueAsNewAfter: 300 });
    await holdAt('verify:orders-db');
    expect(world.model.database().writable).toEqual([B]);
    await world.halt();
    const record = await world.until(({ state }) => state === 'open', MINUTE);
    expect(record).toMatchObject({ run: { cut: true, told: expect.stringContaining('inside its cut') } });
    expect(world.told).toEqual([expect.stringMatching(/opened: .*no replica is paused/)]);
    await world.seeRun();
    await world.harness.advance(120 * MINUTE);
    expect(world.touched).toEqual([]);
    expect(await world.record()).toMatchObject({ state: 'open' });
    const halt = world.harness.workflow(HALT);
    expect(halt.names('workflowExecutionContinuedAsNew').length).toBeGreaterThan(0);
    await world.harness.workflow(LOCK).update('retry', { by: 'bob' });
    const after = await world.until(({ replicas }) => replicas[0]!.pausedAt !== null, 3 * MINUTE);
    expect(after.replicas).toMatchObject([{ node: NODE, now: { state: 'paused' } }]);
    expect((await world.untilRun(({ paused }) => paused !== null)).phase).not.toBe('holding');
  });

  it('that a person starts has a blocker that names who and why; only an override passes it', async () => {
    await open();
    await world.halt();
    await world.until(({ state }) => state === 'open');
    const run = await world.harness.start('failover', { workflowId: LOCK, args: [PLANNED] });
    const { gate } = await world.untilRun((status) => status.gate !== null);
    expect(gate!.needsOverride).toEqual(['halted']);
    await expect(run.update('decide', { gate: gate!.id, decision: 'approve', by: 'bob' })).rejects.toThrow('"halted"');
    await run.update('decide', { gate: gate!.id, decision: 'approve', by: 'bob', override: ['halted'] });
    await run.runUntilClosed();
    expect(run.outcome).toMatchObject({ result: { outcome: 'completed' } });
  });
});
