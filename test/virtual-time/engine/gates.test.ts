/** Gates: a decision counts once, for one asking, before its expiry, for the facts it saw (I10). */
import { afterEach, describe, expect, it } from 'vitest';
import type { Finding } from '../../../drivers/ports.ts';
import { buildReport } from '../../../evidence/report.ts';
import type { ApprovalPolicy, GateName } from '../../../topology/model.ts';
import { approvals } from '../../plan/world.ts';
import { type EngineRun, type RunOptions, startRun, UNPLANNED } from './run.ts';
import { A, B } from './world/world.ts';

const MINUTE = 60_000;

let run: EngineRun;
afterEach(() => run?.dispose());

/** A run whose cut-over gate has this policy. */
async function start(policy: Partial<ApprovalPolicy> = {}, options: RunOptions = {}): Promise<EngineRun> {
  const gates: Record<GateName, ApprovalPolicy> = { ...approvals(1) };
  gates.cutover = { ...gates.cutover, ...policy };
  run = await startRun({ ...options, world: { ...options.world, service: { approvals: gates } } });
  return run;
}

const approve = (by: string, extra: object = {}) => run.send('decide', { decision: 'approve', by, ...extra });

describe('approve and reject', () => {
  it('goes on after the approval, by update or by signal', async () => {
    for (const way of ['update', 'signal approve', 'signal decide'] as const) {
      await start();
      await run.gate();
      if (way === 'update') await approve('bob');
      else if (way === 'signal approve') await run.workflow.signal('approve', { by: 'bob' });
      else await run.workflow.signal('decide', { decision: 'approve', by: 'bob' });
      expect((await run.end()).outcome).toBe('completed');
      await run.dispose();
    }
  });

  it('refuses the run when it is rejected, with the words of the person', async () => {
    await start();
    await run.gate();
    await run.send('reject', { by: 'bob', comment: 'not on Black Friday' });
    const record = await run.end();
    expect(record.outcome).toBe('refused');
    expect(record.text).toContain('rejected by bob: not on Black Friday');
    expect(run.workflow.outcome).toMatchObject({ status: 'failed', failure: { type: 'Refused' } });
    expect(run.model.log).toEqual([]);
  });

  it('records who decided what, when, on which facts', async () => {
    await start();
    const gate = await run.gate();
    const at = run.harness.now;
    await approve('bob', { comment: 'go' });
    const record = await run.end();
    expect(record.decisions).toMatchObject([
      { gate: 'cutover.1', decision: 'approve', by: 'bob', comment: 'go', at, factsDigest: gate.facts.digest },
    ]);
    expect(record.decisions[0]?.messageId).not.toBeNull();
    // Their facts are in the record, whether the plan or a later look had them, and the lag that was read.
    const kept = [...record.plans.map(({ facts }) => facts), ...(record.shown ?? [])];
    expect(kept.map(({ digest }) => digest)).toContain(gate.facts.digest);
    expect(record.lagSamples).toContainEqual(expect.objectContaining({ component: 'orders-db', region: B }));
    expect(record.context).toEqual({ testType: 'live' });
    expect(record).not.toHaveProperty('asserted');
  });

  it('keeps the facts that replaced those of the plan, when somebody decided on them', async () => {
    await start();
    const first = await run.gate();
    const found = { component: 'orders-db', region: B, message: 'low on disk', remedy: 'Look at it.' };
    run.model.findings = [{ ...found, code: 'postgres.disk', severity: 'blocker', override: 'diskLow' }];
    await approve('bob');
    await run.harness.runUntil(() => run.workflow.trace.some(({ name }) => name === 'assessFacts'));
    const again = await run.gate();
    expect(again.facts.digest).not.toBe(first.facts.digest);
    await approve('bob', { gate: again.id, override: ['diskLow'] });
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.decisions.map(({ factsDigest }) => factsDigest)).toEqual([first.facts.digest, again.facts.digest]);
    expect(record.shown?.map(({ digest }) => digest)).toEqual([again.facts.digest]);
  });

  it('carries what the service asserts of such a run, and what is written down of it', async () => {
    const never = { name: 'never', expr: 'run.machine < duration("1ms")' };
    const back = { name: 'of the way back', expr: 'run.promoted', actions: ['failback'] };
    const written = { environment: 'production', references: ['BIA-7'] };
    run = await startRun({ world: { service: { assertions: [never, back], evidence: written } } });
    await run.gate();
    await approve('bob');
    const record = await run.end();
    expect([record.outcome, record.asserted]).toEqual(['completed', [never]]);
    expect(record.context).toEqual({ ...written, testType: 'live' });
    const { verdict, assertions } = buildReport(record);
    expect([verdict, assertions[0]?.met, assertions[0]?.basis]).toEqual(['failed', false, 'measured']);
  });
});

describe('what the preflight of a store finds while somebody decides', () => {
  it('is asked for again until it is mended', async () => {
    await start();
    await run.gate();
    const found = { component: 'orders-db', region: B, message: 'read ECONNRESET', remedy: 'Look at it.' };
    run.model.findings = [{ ...found, code: 'postgres.unreachable', severity: 'blocker' }];
    await approve('bob');
    await run.harness.runUntil(() => run.workflow.trace.some(({ name }) => name === 'assessFacts'));
    const again = await run.gate();
    expect(again.facts.blockers.map(({ code }) => code)).toEqual(['postgres.unreachable']);
    run.model.findings = [];
    await run.harness.advance(2 * MINUTE);
    const now = await run.gate();
    expect([now.id, now.facts.blockers]).toEqual([again.id, []]);
    await approve('bob', { gate: now.id });
    expect((await run.end()).outcome).toBe('completed');
  });
});

describe('a worker that is away while somebody decides', () => {
  it('is asked for again until it is back: nobody waits before a blocker that is none any more', async () => {
    await start();
    await run.gate();
    run.harness.removeWorkers(`rampart.${A}`);
    await approve('bob');
    await run.harness.runUntil(() => run.workflow.trace.some(({ name }) => name === 'assessFacts'));
    const again = await run.gate();
    const blocked = ({ facts }: typeof again): string[] => facts.blockers.map(({ code }) => code);
    expect([again.id, blocked(again)]).toEqual(['cutover.2', expect.arrayContaining(['workerAbsent'])]);
    await run.harness.advance(2 * MINUTE);
    expect(blocked(await run.gate())).toContain('workerAbsent');
    run.harness.addWorkers(`rampart.${A}`);
    await run.harness.advance(2 * MINUTE);
    const now = await run.gate();
    expect([now.id, blocked(now)]).toEqual(['cutover.2', []]);
    await approve('bob', { gate: now.id });
    expect((await run.end()).outcome).toBe('completed');
  });
});

describe('expiry', () => {
  it('rejects', async () => {
    await start({ timeoutMs: 10 * MINUTE, onTimeout: 'reject' });
    const record = await run.end();
    expect(record.outcome).toBe('refused');
    expect(record.text).toContain('nobody decided within 600 s');
    expect(run.model.log).toEqual([]);
  });

  it('holds: keeps waiting, and still takes the decision', async () => {
    await start({ timeoutMs: 10 * MINUTE, onTimeout: 'hold' });
    await run.gate();
    await run.harness.advance(25 * MINUTE);
    expect((await run.status()).gate?.id).toBe('cutover.1');
    await approve('bob');
    expect((await run.end()).outcome).toBe('completed');
  });

  it('proceeds, only where the policy says so', async () => {
    await start({ timeoutMs: 10 * MINUTE, onTimeout: 'proceed' });
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.decisions).toEqual([]);
  });

  it('does not proceed over what needs an override', async () => {
    await start({ timeoutMs: 10 * MINUTE, onTimeout: 'proceed' }, { request: UNPLANNED });
    const { needsOverride } = await run.gate();
    expect(needsOverride).toEqual(['healthySource']);
    const record = await run.end();
    expect(record.outcome).toBe('refused');
    expect(run.model.log).toEqual([]);
  });

  it('refuses a decision that comes after it', async () => {
    await start({ timeoutMs: 10 * MINUTE, onTimeout: 'reject' });
    const { expiresAt } = await run.gate();
    await run.harness.advanceTo((expiresAt as number) - 1);
    expect((await run.status()).gate).not.toBeNull();
    await run.harness.advance(2);
    await expect(approve('bob')).rejects.toThrow(/has completed/);
  });
});

describe('decisions that do not count', () => {
  const refused: Array<[string, object, RegExp]> = [
    ['for a gate that is not open', { by: 'bob', gate: 'promote.1' }, /the open gate is cutover\.1, not promote\.1/],
    ['for a later asking', { by: 'bob', gate: 'cutover.2' }, /the open gate is cutover\.1, not cutover\.2/],
  ];
  it.each(refused)('%s', async (_name, input, text) => {
    await start();
    await run.gate();
    await expect(run.send('decide', { decision: 'approve', ...input })).rejects.toThrow(text);
    await run.workflow.signal('decide', { decision: 'approve', ...input });
    await run.harness.advance(MINUTE);
    expect((await run.status()).gate?.id).toBe('cutover.1');
    const { messages } = await run.record();
    expect(messages).toMatchObject([{ verb: 'decide', applied: false, note: expect.stringMatching(text) }]);
  });

  it('before any gate is open, and after it has closed', async () => {
    await start();
    await expect(approve('bob')).rejects.toThrow('nothing is waiting for a decision now');
    await run.approve();
    await run.until('converge:orders-db');
    await expect(approve('eve')).rejects.toThrow('nothing is waiting for a decision now');
    await expect(run.send('decide', { gate: 'cutover.1', decision: 'reject', by: 'eve' })).rejects.toThrow(
      'gate cutover.1 is not open',
    );
    expect((await run.end()).decisions).toHaveLength(1);
  });

  it('twice by one person, where two are needed', async () => {
    await start({ required: 2 });
    await run.gate();
    expect((await approve('bob')).text).toContain('1 more needed');
    await expect(approve('bob')).rejects.toThrow('bob has already approved gate cutover.1');
    await run.harness.advance(MINUTE);
    expect((await run.status()).gate?.approvedBy).toEqual(['bob']);
    await approve('eve');
    expect((await run.end()).decisions.map(({ by }) => by)).toEqual(['bob', 'eve']);
  });

  it('one person rejects although another has approved', async () => {
    await start({ required: 2 });
    await run.gate();
    await approve('bob');
    await run.send('reject', { by: 'eve', comment: 'no' });
    expect((await run.end()).outcome).toBe('refused');
  });

  it('by the requester, with four eyes', async () => {
    await start({ fourEyes: true });
    await run.gate();
    await expect(approve('ann')).rejects.toThrow('ann asked for this run; with four eyes somebody else must approve');
    await approve('bob');
    expect((await run.end()).outcome).toBe('completed');
  });

  it('by one person alone, with four eyes and an unknown requester', async () => {
    await start({ fourEyes: true }, { request: { service: 'checkout', to: B } });
    expect((await run.gate()).required).toBe(2);
    await approve('bob');
    await run.harness.advance(MINUTE);
    expect((await run.status()).gate).not.toBeNull();
    await approve('eve');
    expect((await run.end()).outcome).toBe('completed');
  });

  it('by somebody who is no approver, until the gate is escalated to them', async () => {
    await start({ approvers: ['bob'], escalateAfterMs: 5 * MINUTE, escalateTo: ['eve'] });
    await run.gate();
    await expect(approve('eve')).rejects.toThrow(/eve/);
    await run.harness.advance(6 * MINUTE);
    await approve('eve');
    expect((await run.end()).outcome).toBe('completed');
  });
});

describe('nobody is needed by policy', () => {
  it('goes on by itself in planned mode', async () => {
    await start({ required: 0 });
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.decisions).toEqual([]);
  });

  it('asks all the same when the loss window is open', async () => {
    await start({ required: 0 }, { request: UNPLANNED, before: (model) => model.lose(A) });
    expect((await run.gate()).id).toBe('cutover.1');
  });
});

describe('facts that have changed', () => {
  it('ask again: the source died between the look and the approval', async () => {
    await start();
    await run.gate();
    run.model.lose(A);
    await approve('bob');
    const again = await run.gate();
    expect(again.id).toBe('cutover.2');
    expect(again.reason).toMatch(/asked again: when approved it was "eu-west is active/);
    await expect(approve('bob')).rejects.toThrow(/this gate was asked again because the facts changed/);
    await run.send('reject', { gate: 'cutover.2', by: 'bob' });
    expect((await run.end()).outcome).toBe('refused');
    expect(run.model.log.map(({ what }) => what)).toEqual([`${A} is lost`]);
  });

  it('ask again: a blocker has come up', async () => {
    await start();
    await run.gate();
    run.model.findings = [
      {
        ...{ code: 'noSlot', severity: 'blocker', component: 'orders-db', region: B, remedy: 'Make one.' },
        message: 'there is no replication slot',
      },
    ];
    await approve('bob');
    const again = await run.gate();
    expect(again).toMatchObject({ id: 'cutover.2', reason: 'asked again: there is no replication slot' });
  });

  it('are shown while people think, without asking anew', async () => {
    await start({}, { request: UNPLANNED, before: (model) => model.lose(A) });
    const first = await run.gate();
    await run.harness.advance(5 * MINUTE);
    const later = (await run.status()).gate;
    expect(later?.id).toBe(first.id);
    expect(later?.loss.seconds as number).toBeGreaterThan((first.loss.seconds as number) + 250);
  });

  it('are shown in the Web UI as well', async () => {
    await start({}, { request: UNPLANNED, before: (model) => model.lose(A) });
    await run.gate();
    await run.harness.advance(5 * MINUTE);
    const later = (await run.status()).gate;
    expect(await run.workflow.currentDetails()).toContain(`(${later?.loss.seconds} s)`);
  });

  it('ask again: the loss grew past what was approved', async () => {
    await start({}, { request: UNPLANNED, before: (model) => model.lose(A) });
    const first = await run.gate();
    await approve('bob', { gate: first.id, maxLoss: { seconds: 0 } });
    const again = await run.gate();
    expect(again.id).toBe('cutover.2');
    expect(again.reason).toContain('more than was approved');
  });

  it('do not ask again for a loss within what was approved', async () => {
    await start({}, { request: UNPLANNED, before: (model) => model.lose(A) });
    await run.gate();
    await approve('bob', { maxLoss: { seconds: 3_600 } });
    expect((await run.gate()).name).toBe('promote');
  });
});

describe('overrides', () => {
  it('are asked for by name, and recorded', async () => {
    await start({}, { request: UNPLANNED });
    const { needsOverride, facts } = await run.gate();
    expect(needsOverride).toEqual(['healthySource']);
    expect(facts.blockers.map(({ code }) => code)).toEqual(['healthySource']);
    await expect(approve('bob')).rejects.toThrow('approving this needs the override "healthySource"');
    await approve('bob', { override: ['healthySource'] });
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.decisions[0]?.override).toEqual(['healthySource']);
  });

  it('given with the request are not asked for again', async () => {
    await start({}, { request: { ...UNPLANNED, override: ['healthySource'] } });
    expect((await run.gate()).needsOverride).toEqual([]);
    await approve('bob');
    expect((await run.end()).outcome).toBe('completed');
  });
});

describe('an override of what is mended while somebody decides', () => {
  const low: Finding = {
    severity: 'blocker',
    component: 'orders-db',
    region: B,
    code: 'postgres.disk',
    message: 'low on disk',
    remedy: 'Look at it.',
    override: 'diskLow',
  };
  const mended = async (): Promise<void> => {
    run.model.findings = [];
    await run.harness.advance(2 * MINUTE);
  };
  const asked = async (): Promise<string> => {
    run.model.findings = [low];
    await approve('bob');
    await run.harness.runUntil(() => run.workflow.trace.some(({ name }) => name === 'assessFacts'));
    const { id, needsOverride } = await run.gate();
    expect([id, needsOverride]).toEqual(['cutover.2', ['diskLow']]);
    await expect(approve('bob', { gate: id })).rejects.toThrow('approving this needs the override "diskLow"');
    return id;
  };

  it('is asked for no more, at the same asking, and the log says so', async () => {
    await start();
    await run.gate();
    const gate = await asked();
    await mended();
    const { id, needsOverride, facts } = await run.gate();
    expect([id, needsOverride, facts.blockers]).toEqual([gate, [], []]);
    expect(await run.workflow.currentDetails()).not.toContain('diskLow');
    await approve('bob', { gate });
    const record = await run.end();
    expect(record.outcome).toBe('completed');
    expect(record.decisions.map(({ override }) => override)).toEqual([[], []]);
    expect(record.log.map(({ text }) => text)).toContain('gate cutover.2 needs the override "diskLow" no more');
  });

  it('lets the approval of whoever gave it stand, beside one without it', async () => {
    await start({ required: 2 });
    await run.gate();
    await approve('eve');
    const gate = await asked();
    await approve('bob', { gate, override: ['diskLow'] });
    await mended();
    expect(await run.gate()).toMatchObject({ id: gate, needsOverride: [], approvedBy: ['bob'] });
    await approve('eve', { gate });
    expect((await run.end()).outcome).toBe('completed');
  });

  it('is asked for anew when it is there again', async () => {
    await start();
    await run.gate();
    const gate = await asked();
    await mended();
    run.model.findings = [low];
    await approve('bob', { gate });
    await run.harness.advance(MINUTE);
    expect(await run.gate()).toMatchObject({ id: 'cutover.3', needsOverride: ['diskLow'] });
  });
});

describe('a gate that stays open for a day', () => {
  it.each(['planned', 'unplanned'])('keeps its history short: %s', async (mode) => {
    await start(
      { timeoutMs: 2 * 24 * 60 * MINUTE },
      {
        request: mode === 'planned' ? undefined : UNPLANNED,
        before: (model) => {
          if (mode === 'unplanned') model.lose(A);
        },
      },
    );
    await run.gate();
    await run.harness.advance(60 * MINUTE);
    expect(run.workflow.scheduled.filter((name) => name === 'watchFacts').length).toBeLessThan(60);
  });
});
