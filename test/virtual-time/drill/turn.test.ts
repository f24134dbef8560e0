/** A drill that is due: whether it may begin, that it is alone, and what becomes of it is told to whoever looks. */
import type { ApplicationFailure } from '@temporalio/common';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DrillSurvey } from '../../../activities/contract.ts';
import { RampartError } from '../../../drivers/errors.ts';
import type { DrillRecord } from '../../../evidence/record.ts';
import type { Drill } from '../../../topology/drill.ts';
import type { RunStatus } from '../../../workflows/contract.ts';
import { BUNDLE, LOCK, PLANNED, UNPLANNED } from '../engine/run.ts';
import { A, B, failure, ModelWorld } from '../engine/world/world.ts';
import { createWorld, type Workflow, type World } from '../harness.ts';
import { readBundle } from '../sdk.ts';

const MINUTE = 60_000;
const DRILL: Drill = {
  ...{ name: 'weekly', service: 'checkout', kind: 'full', to: B, crons: ['0 4 * * 1'], timeZone: 'UTC' },
  ...{ dwellMs: 10 * MINUTE, intervalMs: 30_000, percent: 25, approvals: 'auto', blackout: [] },
  blockWhen: { incident: true, lastFailed: true, maintenance: true, lagAboveMs: null },
  abortWhen: { checksFailing: 3, errorRate: null, lagAboveMs: null },
  ...{ overdueAfterMs: null, group: null, assertions: [], chaos: null },
};

let bundle: Awaited<ReturnType<typeof readBundle>>;
beforeAll(async () => {
  bundle = await readBundle(BUNDLE);
});

class Due {
  readonly model = new ModelWorld({});
  drill: Drill | null = DRILL;
  survey: DrillSurvey | 'no answer' = { against: [], approvals: 'auto' };
  topology: 'well' | 'broken' = 'well';
  readonly asked: boolean[] = [];
  harness!: World;
  before = '';
  /** What is broken by a chaos drill: the check at home fails, until it comes back or is mended. */
  brokeAt: number | null = null;
  noticedAfterMs = MINUTE;
  worksAfterMs = 3 * MINUTE;
  shows: string | null = null;
  readonly commands: string[] = [];
  #started = 0;
  fails: { break?: string; restore?: string } = {};

  async open(over: Partial<Drill> = {}): Promise<this> {
    this.drill = { ...DRILL, ...over };
    this.harness = await createWorld({
      bundle,
      activities: (call) => {
        const [input] = call.args as [{ byPerson: boolean }];
        switch (call.type) {
          case 'resolveDrill':
            if (this.topology === 'broken') throw failure(new RampartError('InvalidInput', 'rampart.yaml:3: no'));
            return this.drill === null ? null : { drill: this.drill, group: 'shop', lock: LOCK, nextDueAt: 7 };
          case 'surveyDrill':
            this.asked.push(input.byPerson);
            if (this.survey === 'no answer') throw failure(new RampartError('ProviderUnavailable', 'no answer'));
            return this.survey;
          case 'runChaos':
            return this.runChaos((call.args[0] as { which: 'break' | 'restore' }).which);
          case 'noticeTrouble':
            return this.brokeAt !== null && this.harness.now - this.brokeAt >= this.noticedAfterMs
              ? 'trigger down fires'
              : this.shows;
          default:
            // It comes back by itself, or a rescue has moved it.
            if (this.brokeAt !== null && this.harness.now - this.brokeAt >= this.worksAfterMs)
              this.model.traffic.checks.ready![A] = 'pass';
            return this.model.activities(call);
        }
      },
      workflowQueues: ['rampart'],
      foreignWorkflows: () => ({ done: true }),
    });
    this.model.useClock(() => this.harness.now);
    this.before = JSON.stringify(this.model.traffic.routers);
    return this;
  }

  runChaos(which: 'break' | 'restore'): { ms: number } {
    this.commands.push(which);
    const error = this.fails[which];
    if (error !== undefined) throw failure(new RampartError('ProviderUnavailable', error));
    this.brokeAt = which === 'break' ? this.harness.now : null;
    this.model.traffic.checks.ready![A] = which === 'break' ? 'fail' : 'pass';
    return { ms: 1 };
  }

  /** As a schedule starts it. */
  start(input: object = { drill: 'weekly' }, at = `2026-11-23T04:00:0${this.#started++}Z`): Promise<Workflow> {
    return this.harness.start('scheduledDrill', { workflowId: `scheduled-drill/weekly-${at}`, args: [input] });
  }

  get traffic(): string {
    return JSON.stringify(this.model.traffic.routers);
  }

  /** Runs on until the drill under the lock shows this. */
  async until(what: string, fits: (status: RunStatus) => boolean): Promise<RunStatus> {
    const end = this.harness.now + 60 * MINUTE;
    for (;;) {
      await this.harness.settle();
      const run = this.harness.trace.some(({ name }) => name === 'drill') ? this.harness.workflow(LOCK) : null;
      const status = run?.outcome === null ? ((await run.query('status')) as RunStatus) : null;
      if (status !== null && fits(status)) return status;
      if (!(await this.harness.step(end))) throw new Error(`it does not come to ${what}`);
    }
  }
}

let due: Due;
const open = async (over?: Partial<Drill>): Promise<Due> => {
  due = await new Due().open(over);
  return due;
};
afterEach(async () => {
  await due?.harness.replay();
  await due?.harness.dispose();
});

/** What the workflow left: its result, or the record in its failure. */
function recordOf({ outcome }: Workflow): DrillRecord {
  if (outcome?.status === 'completed') return outcome.result as DrillRecord;
  const failure = outcome?.status === 'failed' ? (outcome.failure as ApplicationFailure) : null;
  const [record] = failure?.details ?? [];
  if (record === undefined) throw new Error(`it left no record: ${JSON.stringify(outcome)}`);
  return record as DrillRecord;
}

async function end(input?: object): Promise<DrillRecord> {
  const workflow = await due.start(input);
  await workflow.runUntilClosed();
  return recordOf(workflow);
}

const untouched = (): void => {
  expect(due.traffic).toBe(due.before);
  expect(due.model.attempts.filter((id) => !id.startsWith('preflight'))).toEqual([]);
};

describe('a drill that is due', () => {
  it('goes there and back under the lock of the service, and its record is what the schedule has', async () => {
    await open();
    const record = await end();
    expect(record).toMatchObject({
      verdict: 'passed',
      kind: 'full',
      workflowId: LOCK,
      by: 'schedule/weekly',
      nextDueAt: 7,
    });
    expect(record.legs.map(({ action }) => action)).toEqual(['failover', 'failback']);
    expect(due.traffic).toBe(due.before);
    const started = due.harness.trace.filter(({ event }) => event === 'startChildWorkflowExecutionInitiated');
    expect(started.map(({ name, id }) => [name, id])).toEqual([
      ['drillTurn', 'drill/shop'],
      ['drill', LOCK],
    ]);
  });

  it('asks people until it has been shown that it works, and has failed when it fails', async () => {
    await open();
    due.survey = { against: [], approvals: 'people' };
    const workflow = await due.start();
    const { gate } = await due.until('its gate', (status) => status.gate !== null);
    await due.harness.workflow(LOCK).update('decide', { gate: gate!.id, decision: 'approve', by: 'bob' });
    await due.until('the other side', ({ text }) => text.startsWith('On the other side'));
    due.model.traffic.checks.ready![B] = 'fail';
    await workflow.runUntilClosed();
    expect(workflow.outcome).toMatchObject({ status: 'failed', failure: { type: 'DrillFailed' } });
    expect(recordOf(workflow).reasons[0]).toMatch(/^check ready failed 3 times/);
    expect(due.traffic).toBe(due.before);
  });

  it('that is cancelled goes back', async () => {
    await open();
    const workflow = await due.start();
    await due.until('the other side', ({ text }) => text.startsWith('On the other side'));
    await workflow.cancel();
    await workflow.runUntilClosed();
    await due.harness.workflow(LOCK).runUntilClosed();
    expect(due.traffic).toBe(due.before);
    expect(
      ((await due.harness.workflow(LOCK).query('drill')) as DrillRecord).legs.map(({ outcome }) => outcome),
    ).toEqual(['completed', 'completed']);
  });
});

describe('is skipped, having changed nothing', () => {
  it.each<[string, (it: Due) => void, RegExp]>([
    ['it is not in the topology any more', (it) => (it.drill = null), /^weekly is no longer in the topology/],
    ['the topology cannot be read', (it) => (it.topology = 'broken'), /the topology cannot be read: .*rampart.yaml:3/],
    [
      'an incident is on',
      (it) => (it.survey = { against: ['trigger down fires: x'], approvals: 'auto' }),
      /^trigger down fires: x$/,
    ],
    ['nobody knows whether one is', (it) => (it.survey = 'no answer'), /cannot be found out: no answer/],
    ['the other side is dead', (it) => it.model.lose(B), /eu-central cannot be read/],
    ['the check there fails', (it) => (it.model.traffic.checks.ready![B] = 'fail'), /ready/],
  ])('when %s', async (_, happens, text) => {
    await open();
    happens(due);
    const record = await end();
    expect([record.verdict, record.text]).toEqual(['skipped', expect.stringMatching(/^skipped: /)]);
    expect(record.reasons[0]).toMatch(text);
    untouched();
  });

  it('when a bound of its own is passed', async () => {
    await open({ blockWhen: { ...DRILL.blockWhen, lagAboveMs: 0 } });
    due.model.database().lagMs = 2_000;
    expect((await end()).reasons[0]).toMatch(/orders-db lags by \d.* s, the limit is 0 s/);
    untouched();
  });

  it('when it is on the other side already', async () => {
    await open({ to: A });
    expect((await end()).reasons[0]).toMatch(/^Nothing to do: eu-west is active/);
  });

  it('when a live run holds the lock, and when another drill of its group is on', async () => {
    await open();
    await due.harness.start('failover', { workflowId: LOCK, args: [PLANNED] });
    const record = await end();
    expect(record.reasons).toEqual([`${LOCK} is held by a run, which has priority`]);
    await due.harness.dispose();

    await open();
    const first = await due.start();
    await due.until('the other side', ({ text }) => text.startsWith('On the other side'));
    const second = await due.start({ drill: 'weekly' }, '2026-11-23T05:00:00Z');
    await second.runUntilClosed();
    expect(recordOf(second).reasons).toEqual(['another drill of the group shop is on (drill/shop)']);
    await first.runUntilClosed();
    expect(recordOf(first).verdict).toBe('passed');
  });
});

it('a person who starts it is named, and goes ahead of the last failure', async () => {
  await open();
  expect(await end({ drill: 'weekly', by: 'ann', reason: 'mended' })).toMatchObject({ by: 'ann', reason: 'mended' });
  expect(due.asked).toEqual([true]);
});

it.each([[{}], [null], [{ drill: 7 }], [{ drill: '' }]])('refuses what names no drill: %j', async (input) => {
  await open();
  const workflow = await due.start(input as object);
  await workflow.runUntilClosed();
  expect(workflow.outcome).toMatchObject({ status: 'failed', failure: { type: 'InvalidInput' } });
});

describe('a rehearsal', () => {
  const kind = { kind: 'rehearsal', dwellMs: 0 } as const;

  it('passes with the plan that would be followed, and changes nothing', async () => {
    await open(kind);
    const record = await end();
    expect(record).toMatchObject({ verdict: 'passed', from: A, to: B, workflowId: 'drill/shop', legs: [] });
    expect(record.rehearsal).toMatchObject({ from: A, to: B, mode: 'planned', facts: { blockers: [] } });
    untouched();
  });

  it('fails with what would refuse a failover', async () => {
    await open(kind);
    due.model.lose(B);
    const record = await end();
    expect(record.verdict).toBe('failed');
    expect(record.text).toMatch(
      /^a failover of checkout to eu-central would be refused now: .*eu-central cannot be read/,
    );
    untouched();
  });
});

describe('checks only', () => {
  const kind = { kind: 'checks', to: null } as const;

  it('are watched in every region for as long as it says', async () => {
    await open({ ...kind, dwellMs: 5 * MINUTE });
    const record = await end();
    expect(record.verdict).toBe('passed');
    expect(new Set(record.dwell!.checks!.map(({ name }) => name))).toEqual(new Set([`ready@${A}`, `ready@${B}`]));
    expect(record.dwell!.endedAt! - record.dwell!.startedAt).toBeGreaterThanOrEqual(5 * MINUTE);
    untouched();
  });

  it('fail with the one that does not pass', async () => {
    await open({ ...kind, dwellMs: 0 });
    due.model.traffic.checks.ready![B] = 'unknown';
    const record = await end();
    expect([record.verdict, record.text]).toEqual(['failed', '1 of 2 checks did not pass (ready@eu-central)']);
    untouched();
  });
});

describe('part of the traffic', () => {
  const kind = { kind: 'rampOnly' } as const;

  it('goes there for a while and back, and the data stays', async () => {
    await open(kind);
    const workflow = await due.start();
    await due.until('the other side', ({ text }) => text.startsWith('On the other side'));
    const { routers } = due.model.traffic;
    expect([routers.edge!.weights, routers.writer!.weights]).toEqual([
      { [A]: 75, [B]: 25 },
      { [A]: 100, [B]: 0 },
    ]);
    await workflow.runUntilClosed();
    const record = recordOf(workflow);
    expect([record.verdict, record.text]).toEqual([
      'passed',
      '25 % of the traffic of checkout went to eu-central and is back in eu-west.',
    ]);
    expect(record.legs.map(({ action, outcome }) => [action, outcome])).toEqual([
      ['trafficRamp', 'completed'],
      ['trafficRamp', 'completed'],
    ]);
    expect(due.traffic).toBe(due.before);
    expect(due.model.database().writable).toEqual([A]);
  });

  it('comes back early when a check goes on failing there', async () => {
    await open(kind);
    const workflow = await due.start();
    await due.until('the other side', ({ text }) => text.startsWith('On the other side'));
    due.model.traffic.checks.ready![B] = 'fail';
    await workflow.runUntilClosed();
    expect(recordOf(workflow)).toMatchObject({ verdict: 'failed' });
    expect(recordOf(workflow).reasons[0]).toMatch(/^check ready failed 3 times in a row/);
    expect(due.traffic).toBe(due.before);
  });

  it('is refused where the other side has traffic of its own', async () => {
    await open(kind);
    due.model.traffic.routers.edge!.weights = { [A]: 90, [B]: 10 };
    due.before = due.traffic;
    const record = await end();
    expect([record.verdict, record.text]).toEqual([
      'refused',
      'eu-central has 10 % of edge already: a drill of part of the traffic begins with none of it there',
    ]);
    untouched();
  });

  it('escalate leaves it, and says how to move the rest', async () => {
    await open(kind);
    const workflow = await due.start();
    await due.until('the other side', ({ text }) => text.startsWith('On the other side'));
    await due.harness.workflow(LOCK).update('escalate', { by: 'eve', reason: 'fire' });
    await workflow.runUntilClosed();
    expect(workflow.outcome).toMatchObject({ failure: { type: 'Escalated' } });
    expect(recordOf(workflow).text).toContain(
      'rampart start failover --service checkout --to eu-central --mode unplanned',
    );
    expect(due.model.traffic.routers.edge!.weights).toEqual({ [A]: 75, [B]: 25 });
  });
});

describe('chaos', () => {
  const kind = {
    kind: 'chaos',
    dwellMs: 0,
    chaos: {
      ...{ break: ['/bin/break', A], restore: ['/bin/mend', A], timeoutMs: MINUTE },
      ...{ detectWithinMs: 2 * MINUTE, recoverWithinMs: 5 * MINUTE },
    },
  } as const;

  it('passes when it is noticed and works again in time, and is mended', async () => {
    await open(kind);
    const record = await end();
    expect([record.verdict, record.reasons]).toEqual(['passed', []]);
    expect(record.text).toMatch(
      /^noticed after 60 s \(trigger down fires\), working again after 1[89]\d s, and mended$/,
    );
    expect(due.commands).toEqual(['break', 'restore']);
    expect(record.chaos).toMatchObject({ break: ['/bin/break', A], active: A, restoredAt: expect.any(Number) });
    untouched();
  });

  it('fails when nobody notices and it does not come back, and is mended all the same', async () => {
    await open(kind);
    due.noticedAfterMs = Number.POSITIVE_INFINITY;
    due.worksAfterMs = Number.POSITIVE_INFINITY;
    const record = await end();
    expect(record.reasons).toEqual([
      'it was noticed not at all, the objective is 120 s',
      'the service worked again not at all, the objective is 300 s',
    ]);
    expect([record.verdict, due.commands, due.model.traffic.checks.ready![A]]).toEqual([
      'failed',
      ['break', 'restore'],
      'pass',
    ]);
  });

  it('fails when it was too late', async () => {
    await open(kind);
    due.noticedAfterMs = 3 * MINUTE;
    expect((await end()).reasons).toEqual([
      expect.stringMatching(/^it was noticed after 18\d s, the objective is 120 s$/),
    ]);
  });

  it('leaves the lock to a rescue, and the service where that has moved it', async () => {
    await open(kind);
    due.worksAfterMs = Number.POSITIVE_INFINITY;
    const workflow = await due.start();
    await due.harness.runUntil(() => due.brokeAt !== null);
    due.model.lose(A);
    const rescue = await due.harness.start('failover', { workflowId: LOCK, args: [UNPLANNED] });
    for (;;) {
      await due.harness.settle();
      if (rescue.outcome !== null) break;
      const { gate } = (await rescue.query('status')) as RunStatus;
      if (gate !== null)
        await rescue.update('decide', { gate: gate.id, decision: 'approve', by: 'bob', override: gate.needsOverride });
      await due.harness.step(due.harness.now + 60 * MINUTE);
    }
    await workflow.runUntilClosed();
    const record = recordOf(workflow);
    expect([record.verdict, record.reasons]).toEqual(['passed', []]);
    expect(record.text).toContain('checkout is active in eu-central now, and stays there');
    expect(record.chaos!.active).toBe(B);
    expect(due.commands).toEqual(['break', 'restore']);
  });

  it('mends what could not be broken: nobody knows how far it came', async () => {
    await open(kind);
    due.fails.break = 'exit code 1';
    const record = await end();
    expect([record.reasons, due.commands]).toEqual([['it could not be broken: exit code 1'], ['break', 'restore']]);
  });

  it('that is cancelled is mended', async () => {
    await open(kind);
    const workflow = await due.start();
    await due.harness.runUntil(() => due.brokeAt !== null);
    await due.harness.advance(30_000);
    await workflow.cancel();
    await workflow.runUntilClosed();
    await due.harness.workflow('drill/shop').runUntilClosed();
    expect([due.commands, due.model.traffic.checks.ready![A]]).toEqual([['break', 'restore'], 'pass']);
    expect(((await due.harness.workflow('drill/shop').query('drill')) as DrillRecord).reasons[0]).toBe(
      'it was cancelled',
    );
  });

  it('tries again to mend it, and then tells people how', async () => {
    await open(kind);
    due.fails.restore = 'no route';
    const record = await end();
    expect(due.commands.filter((which) => which === 'restore')).toHaveLength(20);
    expect([record.verdict, record.reasons[0]]).toEqual([
      'failed',
      'it could not be mended, do it by hand (/bin/mend eu-west): no route',
    ]);
  });

  it('breaks nothing by itself while people are to be asked, nor when something shows already', async () => {
    await open(kind);
    due.survey = { against: [], approvals: 'people' };
    expect(await end()).toMatchObject({
      verdict: 'skipped',
      text: expect.stringContaining('rampart drills run weekly'),
    });
    expect(await end({ drill: 'weekly', by: 'ann' })).toMatchObject({ verdict: 'passed', by: 'ann' });
    await due.harness.dispose();

    await open(kind);
    due.shows = 'the guard: two writable sides';
    expect(await end()).toMatchObject({ verdict: 'skipped', reasons: ['the guard: two writable sides'] });
    due.shows = null;
    due.model.traffic.checks.ready![A] = 'unknown';
    expect((await end()).reasons[0]).toMatch(/ready/);
    expect(due.commands).toEqual([]);
  });
});
