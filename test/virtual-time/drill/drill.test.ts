/** A drill on the real engine: there, a time on the other side, and back; and every way in which it goes otherwise. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DrillActivities } from '../../../activities/contract.ts';
import { evaluate } from '../../../evidence/assertions.ts';
import type { DrillRecord } from '../../../evidence/record.ts';
import type { Service } from '../../../topology/model.ts';
import type { RunStatus } from '../../../workflows/contract.ts';
import { BUNDLE, LOCK } from '../engine/run.ts';
import { A, B, ModelWorld } from '../engine/world/world.ts';
import { createWorld, type Workflow, type World } from '../harness.ts';
import { readBundle } from '../sdk.ts';

const MINUTE = 60_000;
const ASKED = { service: 'checkout', to: B, dwellMs: 10 * MINUTE, intervalMs: 30_000, by: 'ann' };

let bundle: Awaited<ReturnType<typeof readBundle>>;
beforeAll(async () => {
  bundle = await readBundle(BUNDLE);
});

class DrillRun {
  readonly model: ModelWorld;
  harness!: World;
  workflow!: Workflow;
  before = '';

  constructor(service: Partial<Service> = {}) {
    this.model = new ModelWorld({ service });
  }

  async open(input: unknown = ASKED): Promise<this> {
    this.harness = await createWorld({
      bundle,
      activities: (call) => {
        if (call.type !== 'judgeDrill') return this.model.activities(call);
        const { assertions, record } = call.args[0] as Parameters<DrillActivities['judgeDrill']>[0];
        return evaluate(assertions, record);
      },
      workflowQueues: ['rampart'],
      foreignWorkflows: () => ({ done: true }),
    });
    this.model.useClock(() => this.harness.now);
    this.before = JSON.stringify(this.model.traffic.routers);
    this.workflow = await this.harness.start('drill', { workflowId: LOCK, args: [input] });
    return this;
  }

  status(): Promise<RunStatus> {
    return this.workflow.query('status') as Promise<RunStatus>;
  }

  record(): Promise<DrillRecord> {
    return this.workflow.query('drill') as Promise<DrillRecord>;
  }

  /** Runs on until the drill shows this. */
  async until(what: string, fits: (status: RunStatus, record: DrillRecord) => boolean): Promise<RunStatus> {
    const end = this.harness.now + 60 * MINUTE;
    for (;;) {
      await this.harness.settle();
      const [status, record] = [await this.status(), await this.record()];
      if (fits(status, record)) return status;
      if (this.workflow.outcome !== null || !(await this.harness.step(end)))
        throw new Error(
          `the drill does not come to ${what}: ${JSON.stringify([status.phase, record.verdict, record.text])}`,
        );
    }
  }

  send(verb: string, input: object = { by: 'bob', reason: 'why not' }): Promise<unknown> {
    return this.workflow.update(verb, input);
  }

  async approve(): Promise<string> {
    const { gate } = await this.until('a gate', ({ gate: open }) => open !== null);
    await this.send('decide', { gate: gate!.id, decision: 'approve', by: 'bob', override: gate!.needsOverride });
    return gate!.id;
  }

  async end(): Promise<DrillRecord> {
    await this.workflow.runUntilClosed();
    return this.record();
  }

  get home(): boolean {
    if (JSON.stringify(this.model.traffic.routers) !== this.before)
      console.log(JSON.stringify(this.model.traffic.routers), this.before);
    return JSON.stringify(this.model.traffic.routers) === this.before;
  }
}

let run: DrillRun;
const open = async (input?: unknown): Promise<DrillRun> => {
  run = await new DrillRun().open(input);
  return run;
};
afterEach(async () => {
  await run?.harness.replay();
  await run?.harness.dispose();
});

/** Approved, and on the other side. */
async function there(input: unknown = ASKED): Promise<void> {
  await open(input);
  await run.approve();
  await run.until('the other side', (_, { legs }) => legs[0]?.dwell != null);
}

describe('a drill', () => {
  it('goes there and back on one approval, and says that it has passed', async () => {
    await open();
    expect(await run.approve()).toBe('leg1.cutover.1');
    await run.until('the other side', (_, { legs }) => legs[0]?.dwell != null);
    expect(run.model.traffic.routers.writer!.weights).toEqual({ [A]: 0, [B]: 100 });
    expect((await run.status()).text).toMatch(/^On the other side until .*abort: go back now/);
    expect(await run.workflow.currentDetails()).toContain('On the other side until');
    const record = await run.end();
    expect([record.verdict, record.reasons]).toEqual(['passed', []]);
    expect(record.legs.map(({ action, from, to, outcome }) => [action, from, to, outcome])).toEqual([
      ['failover', A, B, 'completed'],
      ['failback', B, A, 'completed'],
    ]);
    expect(record.dwell!.endedAt! - record.dwell!.startedAt).toBeGreaterThanOrEqual(ASKED.dwellMs);
    expect(record.dwell!.checks!.length).toBeGreaterThan(15);
    expect(record.legs[1]!.log.map(({ text }) => text).join()).toContain(
      'covered by the approval of the way there (bob)',
    );
    expect(record.legs[1]!.decisions).toEqual([]);
    // Both carry one run id: no number comes twice, or a system would take the way back for a late way there.
    const seqs = run.model.tokens;
    expect(seqs.length).toBeGreaterThan(30);
    expect(new Set(seqs).size).toBe(seqs.length);
    expect(run.home).toBe(true);
    expect(run.workflow.outcome).toMatchObject({ result: { verdict: 'passed' } });
  });

  it('asks nobody where its policy says so', async () => {
    await open({ ...ASKED, approvals: 'auto' });
    const record = await run.end();
    expect([record.verdict, record.legs.flatMap(({ decisions }) => decisions)]).toEqual(['passed', []]);
  });

  it('has a verdict that assertions have a say in', async () => {
    const expr = (text: string) => [{ name: 'short', expr: text }];
    await there({ ...ASKED, assertions: expr('run.dwell >= duration("10m")') });
    expect(await run.end()).toMatchObject({ verdict: 'passed', assertions: [{ met: true }] });
    await run.harness.dispose();
    await there({ ...ASKED, assertions: expr('run.dwell >= duration("1h")') });
    const record = await run.end();
    expect([record.verdict, record.reasons]).toEqual(['failed', [expect.stringContaining('"short" is not met')]]);
    expect(run.home).toBe(true);
  });

  it('fails as well by what the service asserts of every such run, on both ways', async () => {
    const quick = { name: 'quick', expr: 'run.machine < duration("1ms")' };
    const back = { name: 'of the way back', expr: 'run.promoted', actions: ['failback'] };
    run = await new DrillRun({ assertions: [quick, back] }).open({ ...ASKED, approvals: 'auto' });
    const record = await run.end();
    expect([record.verdict, record.reasons.filter((reason) => reason.includes('"quick" is not met')).length]).toEqual([
      'failed',
      2,
    ]);
    expect(record.assertions).toMatchObject([{ name: 'quick', met: false }]);
    expect(record.legs[1]!.assertions?.map(({ name, met }) => [name, met])).toContainEqual(['quick', false]);
    expect(run.home).toBe(true);
  });

  it('is withdrawn like any run that nobody has decided on', async () => {
    await open();
    await run.until('its gate', ({ gate }) => gate !== null);
    await run.send('withdraw');
    expect((await run.end()).verdict).toBe('withdrawn');
  });

  it('that is rejected has done nothing', async () => {
    await open();
    const { gate } = await run.until('its gate', ({ gate: asked }) => asked !== null);
    await run.send('decide', { gate: gate!.id, decision: 'reject', by: 'bob' });
    const record = await run.end();
    expect([record.verdict, record.legs.length, run.home]).toEqual(['failed', 1, true]);
  });

  it.each([
    [{ service: 'checkout', to: B }, /dwellMs.* must say how long/],
    [{ ...ASKED, dwell: '30m' }, /unknown field dwell/],
    [{ ...ASKED, dwellMs: -1 }, /whole milliseconds/],
    [{ ...ASKED, assertions: [{ expr: 'true' }] }, /assertions.* must be a list of/],
    [{ ...ASKED, percent: 25 }, /percent.* belongs to a drill of kind .*rampOnly/],
    [{ ...ASKED, kind: 'rampOnly', percent: 101 }, /percent.* must be whole percent from 1 to 100/],
    [{ ...ASKED, abortWhen: { errorRate: {} } }, /errorRate.* must say above which/],
    [{ ...ASKED, abortWhen: { lag: 1 } }, /unknown field abortWhen.lag; it takes checksFailing, errorRate, lagAboveMs/],
    ['checkout', /one JSON object/],
  ])('refuses what it cannot read: %j', async (input, text) => {
    await open(input);
    await run.harness.settle();
    expect(JSON.stringify(run.workflow.outcome)).toMatch(text);
  });
});

describe('on the other side', () => {
  it('abort and cancel mean: go back now', async () => {
    for (const word of ['abort', 'cancel']) {
      await there();
      await run.harness.advance(MINUTE);
      if (word === 'abort') await run.send('abort');
      else await run.workflow.cancel();
      const record = await run.end();
      expect([record.verdict, record.legs.map(({ outcome }) => outcome)]).toEqual([
        'failed',
        ['completed', 'completed'],
      ]);
      expect(record.reasons).toEqual([expect.stringMatching(/^abort by (bob|temporal) on the other side/)]);
      expect(run.home).toBe(true);
      await run.harness.dispose();
    }
    run = undefined as never;
  });

  it('escalate makes it the real thing: the active side stays, and nothing goes back', async () => {
    await there();
    await run.send('escalate', { by: 'eve', reason: `${A} is on fire` });
    const record = await run.end();
    expect(record.legs.map(({ outcome }) => outcome)).toEqual(['completed']);
    expect(record).toMatchObject({
      verdict: 'escalated',
      text: expect.stringContaining(`${B} is active and stays so`),
    });
    expect(run.model.traffic.routers.writer!.weights).toEqual({ [A]: 0, [B]: 100 });
  });

  it('a pause takes as long as it takes, and is no time on the other side', async () => {
    await there();
    await run.send('pause');
    await run.harness.advance(60 * MINUTE);
    expect((await run.record()).verdict).toBeNull();
    await run.send('resume', { by: 'bob' });
    const record = await run.end();
    expect(record.verdict).toBe('passed');
    expect(record.dwell!.endedAt! - record.dwell!.startedAt).toBeGreaterThan(ASKED.dwellMs + 59 * MINUTE);
  });

  it('a check that goes on failing sends it back early, and it has not passed', async () => {
    await there();
    await run.harness.advance(2 * MINUTE);
    run.model.traffic.checks.ready![B] = 'fail';
    await run.until('the way back', (_, { legs }) => legs[1]?.plans.length === 1);
    const record = await run.end();
    expect(record.verdict).toBe('failed');
    expect(record.reasons[0]).toMatch(/^check ready failed 3 times in a row/);
    expect(run.home).toBe(true);
  });

  it('a share of failing checks that is too great sends it back, though none fails for long', async () => {
    await there({ ...ASKED, abortWhen: { errorRate: { percent: 20, withinMs: 4 * MINUTE } } });
    for (let round = 0; round < 8; round += 1) {
      run.model.traffic.checks.ready![B] = round % 2 === 0 ? 'fail' : 'pass';
      await run.harness.advance(30_000);
    }
    run.model.traffic.checks.ready![B] = 'pass';
    const record = await run.end();
    expect([record.verdict, record.reasons[0]]).toEqual([
      'failed',
      expect.stringMatching(/^\d of 8 checks within 240 s did not pass; the limit is 20 %$/),
    ]);
    expect(run.home).toBe(true);
  });

  it('a side left behind too far sends it back, and so does one whose lag nobody knows', async () => {
    const bounded = { ...ASKED, abortWhen: { lagAboveMs: 5_000 } };
    await there(bounded);
    run.model.database().lagMs = 60_000;
    await run.until('the way back', (_, { dwell }) => dwell?.endedAt != null);
    run.model.database().lagMs = 0;
    const late = await run.end();
    expect(late.reasons[0]).toMatch(/^the lag of orders-db is [\d.]+ s, 3 times in a row; the limit is 5 s$/);
    expect(run.home).toBe(true);
    await run.harness.dispose();

    await there(bounded);
    run.model.database().server(A).reachable = false;
    await run.until('the way back', (_, { dwell }) => dwell?.endedAt != null);
    run.model.database().server(A).reachable = true;
    expect((await run.end()).reasons[0]).toMatch(/^the lag of orders-db is not known, 3 times in a row/);
  });

  it('the death of the old side ends it without a way back: nothing is undone blindly', async () => {
    await there();
    run.model.lose(A);
    const { holding } = await run.until('people', (status) => status.holding !== null);
    expect(holding!.reason).toContain(`${A} cannot be read`);
    await run.send('abort', { by: 'bob', reason: 'there is nowhere to go' });
    const record = await run.end();
    expect(record).toMatchObject({ verdict: 'failed', text: expect.stringContaining('Nothing had been done') });
    expect(run.model.traffic.routers.writer!.weights).toEqual({ [A]: 0, [B]: 100 });
  });
});

describe('on the way there', () => {
  it('abort before the point of no return puts everything back, and there is no way back to go', async () => {
    await open();
    await run.approve();
    await run.until('the first effect', ({ steps }) => steps.some(({ id }) => id.startsWith('converge')));
    await run.send('abort');
    const record = await run.end();
    expect([record.verdict, record.legs.map(({ outcome }) => outcome), run.home]).toEqual([
      'failed',
      ['rolledBack'],
      true,
    ]);
  });

  it('abort after it: last good weights, the old side follows again, and back', async () => {
    await open();
    await run.approve();
    await run.until('the ramp', ({ phase }) => phase === 'ramp');
    await run.send('abort');
    const record = await run.end();
    expect(record.legs.map(({ action, outcome }) => [action, outcome])).toEqual([
      ['failover', 'needsHuman'],
      ['reprotect', 'completed'],
      ['failback', 'completed'],
    ]);
    expect([record.verdict, record.reasons[0]]).toEqual([
      'failed',
      expect.stringMatching(/^the way there was stopped/),
    ]);
    expect(run.home).toBe(true);
  });

  it('escalate: it ends as what it has become', async () => {
    await open();
    await run.approve();
    await run.until('the first effect', ({ steps }) => steps.some(({ id }) => id.startsWith('converge')));
    run.model.lose(A);
    await run.send('escalate', { by: 'eve', reason: `${A} is dead` });
    await run.approve();
    for (;;) {
      await run.harness.settle();
      if (run.workflow.outcome !== null) break;
      const { gate } = await run.status();
      if (gate !== null)
        await run.send('decide', { gate: gate.id, decision: 'approve', by: 'bob', override: gate.needsOverride });
      if (!(await run.harness.step(run.harness.now + 60 * MINUTE))) break;
    }
    const record = await run.record();
    expect([record.verdict, record.legs.length]).toEqual(['escalated', 1]);
    expect(record.legs[0]).toMatchObject({ outcome: 'completed', mode: 'unplanned' });
  });
});

it('is not begun while the service is halted', async () => {
  run = new DrillRun();
  run.model.halt = { workflowId: 'halt/checkout', since: 0, by: 'ann', reason: 'wrong amounts', ending: false };
  await run.open();
  await run.workflow.runUntilClosed();
  expect(await run.record()).toMatchObject({
    verdict: 'refused',
    text: expect.stringContaining('checkout is halted by ann: wrong amounts'),
  });
});
