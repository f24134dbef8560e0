/** A trigger's life beside the real engine: it proposes, tells, withdraws, waits for the lock, and forgets nothing. */
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RawRequest, RunSeen, TriggerActivities } from '../../../activities/contract.ts';
import { readHalt } from '../../../activities/halts.ts';
import type { HaltRecord } from '../../../evidence/halt-record.ts';
import type { RunRecord } from '../../../evidence/record.ts';
import type { Alert, Trigger } from '../../../topology/alerts.ts';
import type { RunStatus, TriggerStatus } from '../../../workflows/contract.ts';
import { BUNDLE, LOCK, PLANNED } from '../engine/run.ts';
import { A, B, ModelWorld } from '../engine/world/world.ts';
import { createWorld, type Workflow, type World } from '../harness.ts';
import { readBundle } from '../sdk.ts';

const MINUTE = 60_000;
const TRIGGER: Trigger = {
  ...{ name: 'down', service: 'checkout', action: 'failover', to: B, runMode: 'unplanned', mode: 'propose' },
  when: [{ source: 'am', labels: {} }],
  quorum: { atLeast: 1, withinMs: 5 * MINUTE },
  times: { atLeast: 1, withinMs: 5 * MINUTE },
  ...{ forMs: 0, cooldownMs: 60 * MINUTE, maxPerDay: 3, correlateMs: 15 * MINUTE, maintenance: [] },
  flapping: { changes: 20, withinMs: 30 * MINUTE },
};

let bundle: Awaited<ReturnType<typeof readBundle>>;
beforeAll(async () => {
  bundle = await readBundle(BUNDLE);
});

class TriggerRun {
  readonly model = new ModelWorld({});
  readonly told: string[] = [];
  trigger: Trigger | null = TRIGGER;
  quietUntil: number | null = null;
  /** Further activities by name, and those that take the place of the usual ones. */
  readonly more: Record<string, (input: never) => unknown> = {};
  harness!: World;
  workflow!: Workflow;
  #n = 0;

  async open(over: Partial<Trigger> = {}): Promise<this> {
    this.trigger = { ...TRIGGER, ...over };
    const handlers: { [K in keyof TriggerActivities]: (input: never) => unknown } = {
      resolveTrigger: () =>
        this.trigger === null
          ? null
          : {
              ...{ trigger: this.trigger, lock: LOCK, quietUntil: this.quietUntil },
              ...{ haltId: 'halt/checkout', halt: this.model.halt },
            },
      lookAtRun: ({ runId }: { runId: string }): RunSeen => {
        const run = this.harness.workflow(LOCK);
        const closed = run.runId !== runId || run.outcome !== null;
        const cooldownMs = this.trigger?.cooldownMs ?? 0;
        return { open: !closed, text: closed ? 'closed' : '', closedAt: closed ? this.harness.now : 0, cooldownMs };
      },
      tellOfTrigger: ({ action, text }: { action: string; text: string }) => {
        this.told.push(`${action}: ${text}`);
      },
    };
    this.harness = await createWorld({
      bundle,
      activities: (call) => {
        const handler = this.more[call.type] ?? handlers[call.type as keyof TriggerActivities];
        return handler === undefined ? this.model.activities(call) : handler(call.args[0] as never);
      },
      workflowQueues: ['rampart'],
      foreignWorkflows: () => ({ done: true }),
    });
    this.model.useClock(() => this.harness.now);
    this.workflow = await this.harness.start('trigger', { workflowId: 'trigger/down', args: [{ trigger: 'down' }] });
    return this;
  }

  async alert(over: Partial<Alert> = {}): Promise<void> {
    this.#n += 1;
    const alert: Alert = {
      ...{ source: 'am', delivery: `d${this.#n}`, key: 'RegionDown', status: 'firing', startsAt: this.harness.now },
      ...{ labels: { alertname: 'RegionDown' }, annotations: {}, severity: null, url: null },
      receivedAt: this.harness.now,
      ...over,
    };
    await this.workflow.signal('alerts', { alerts: [alert] });
  }

  status(): Promise<TriggerStatus> {
    return this.harness.workflow('trigger/down').query('status') as Promise<TriggerStatus>;
  }

  /** Runs on until the trigger shows this. */
  async until(fits: (status: TriggerStatus) => boolean, limitMs = 10 * MINUTE): Promise<TriggerStatus> {
    const end = this.harness.now + limitMs;
    for (;;) {
      await this.harness.settle();
      const status = await this.status();
      if (fits(status)) return status;
      if (!(await this.harness.step(end))) throw new Error(`the trigger shows ${JSON.stringify(status, null, 1)}`);
    }
  }

  /** Runs on until the run under the lock asks. */
  async gate(): Promise<NonNullable<RunStatus['gate']>> {
    const end = this.harness.now + 10 * MINUTE;
    for (;;) {
      await this.harness.settle();
      const run = this.harness.workflow(LOCK);
      const gate = run.outcome === null ? ((await run.query('status')) as RunStatus).gate : null;
      if (gate !== null) return gate;
      if (!(await this.harness.step(end))) throw new Error('the run asks nothing');
    }
  }

  record(): Promise<RunRecord> {
    return this.harness.workflow(LOCK).query('evidence') as Promise<RunRecord>;
  }
}

let run: TriggerRun;
const open = async (over?: Partial<Trigger>): Promise<TriggerRun> => {
  run = await new TriggerRun().open(over);
  return run;
};
afterEach(async () => {
  await run?.harness.replay();
  await run?.harness.dispose();
});

describe('an alert', () => {
  it('becomes a proposal with its times and its words; an approval carries it through', async () => {
    await open();
    run.model.lose(A);
    const began = run.harness.now;
    await run.alert({ startsAt: began - 90_000 });
    const gate = await run.gate();
    expect(gate.name).toBe('cutover');
    const before = JSON.stringify(run.model.state());
    await run.harness.advance(5 * MINUTE);
    expect(JSON.stringify(run.model.state())).toBe(before);
    const asked = await run.gate();
    await run.harness
      .workflow(LOCK)
      .update('decide', { gate: asked.id, decision: 'approve', by: 'bob', override: asked.needsOverride });
    const { gate: next } = (await run.harness.workflow(LOCK).query('status')) as RunStatus;
    expect(next?.name).not.toBe('cutover');
    const record = await run.record();
    expect(record).toMatchObject({
      mode: 'unplanned',
      impactStartAt: began - 90_000,
      detectedAt: began,
      request: { by: 'trigger/down', proposed: true, reason: expect.stringContaining('RegionDown (am) since') },
    });
  });

  it('asks a person even where the policy asks nobody', async () => {
    await open({ runMode: 'planned' });
    const policy = run.model.topology.services.checkout!.approvals.cutover;
    run.model.topology.services.checkout!.approvals = {
      ...run.model.topology.services.checkout!.approvals,
      cutover: { ...policy, required: 0, onTimeout: 'proceed' },
    };
    await run.alert();
    const gate = await run.gate();
    expect([gate.name, gate.required]).toEqual(['cutover', 1]);
    await run.harness.advance(policy.timeoutMs + MINUTE);
    expect((await run.record()).outcome).toBe('refused');
  });

  it('goes on by itself where it may, and the policy asks nobody', async () => {
    await open({ mode: 'execute', runMode: 'planned' });
    const { approvals } = run.model.topology.services.checkout!;
    run.model.topology.services.checkout!.approvals = {
      ...approvals,
      cutover: { ...approvals.cutover, required: 0 },
    };
    await run.alert();
    await run.until(({ run: child }) => child !== null);
    await run.harness.workflow(LOCK).runUntilClosed();
    expect((await run.record()).outcome).toBe('completed');
  });

  it('that lies does not make a run lie: an unplanned one finds a healthy source, and asks', async () => {
    await open({ mode: 'execute' });
    const { approvals } = run.model.topology.services.checkout!;
    run.model.topology.services.checkout!.approvals = {
      ...approvals,
      cutover: { ...approvals.cutover, required: 0 },
    };
    await run.alert();
    expect((await run.gate()).needsOverride).toContain('healthySource');
  });

  it('that resolves before anybody has decided takes its proposal with it', async () => {
    await open();
    run.model.lose(A);
    await run.alert();
    const { facts } = await run.gate();
    expect(facts.classified.state).not.toBe('steady');
    await run.alert({ status: 'resolved' });
    await run.until(({ run: child }) => child === null);
    expect((await run.record()).outcome).toBe('withdrawn');
    // And nothing follows for the cooldown, whatever fires.
    await run.alert({ startsAt: run.harness.now + 1 });
    expect(await run.until(({ verdict }) => verdict === 'held')).toMatchObject({ run: null });
  });

  it('that resolves later only stands in the log', async () => {
    await open();
    run.model.lose(A);
    await run.alert();
    const { id, needsOverride } = await run.gate();
    await run.harness
      .workflow(LOCK)
      .update('decide', { gate: id, decision: 'approve', by: 'bob', override: needsOverride });
    await run.alert({ status: 'resolved' });
    await run.harness.advance(2_000);
    const record = await run.record();
    expect(record.outcome).toBeNull();
    expect(record.messages.at(-1)).toMatchObject({ verb: 'withdraw', by: 'trigger/down', applied: false });
  });

  it('of the same incident is told to the run that is open', async () => {
    await open();
    run.model.lose(A);
    await run.alert();
    await run.gate();
    await run.alert({ key: 'SitesDown', labels: { alertname: 'SitesDown' } });
    await run.alert({ key: 'SitesDown', labels: { alertname: 'SitesDown' } });
    await run.harness.advance(1_000);
    const notes = (await run.record()).messages.filter(({ verb }) => verb === 'note');
    expect(notes.map(({ note }) => note)).toEqual([expect.stringContaining('further alerts: SitesDown (am) since')]);
  });
});

it('of another time is told to the run and to people: it may be another incident', async () => {
  await open();
  run.model.lose(A);
  await run.alert();
  await run.gate();
  await run.harness.advance(16 * MINUTE);
  await run.alert({ key: 'DiskFull', labels: { alertname: 'DiskFull' } });
  await run.harness.advance(1_000);
  expect(run.told).toEqual([expect.stringMatching(/DiskFull \(am\).*perhaps another incident/)]);
  expect((await run.record()).messages.filter(({ verb }) => verb === 'note')).toHaveLength(1);
});

describe('a lock that is held', () => {
  it('is told once, people as well, and the trigger has its turn when it is free', async () => {
    await open({ runMode: 'planned' });
    const other = await run.harness.start('failover', { workflowId: LOCK, args: [PLANNED] });
    await run.gate();
    await run.alert();
    await run.harness.advance(3 * MINUTE);
    const messages = ((await other.query('evidence')) as RunRecord).messages.filter(({ verb }) => verb === 'note');
    expect(messages).toHaveLength(1);
    expect(run.told).toEqual([
      expect.stringMatching(
        /rampart escalate checkout .*rampart start failover checkout --to eu-central --mode unplanned/,
      ),
    ]);
    await other.update('abort', { by: 'bob', reason: 'the alert is about the same' });
    await run.until(({ run: child }) => child !== null);
    expect((await run.gate()).name).toBe('cutover');
  });

  it('is told of once, also where people cannot be told, and again when the alert comes again', async () => {
    await open({ runMode: 'planned' });
    await run.harness.start('failover', { workflowId: LOCK, args: [PLANNED] });
    await run.gate();
    let tries = 0;
    run.more.tellOfTrigger = () => {
      tries += 1;
      throw ApplicationFailure.nonRetryable('the pager is away');
    };
    await run.alert();
    await run.harness.advance(5 * MINUTE);
    expect(tries).toBe(1);
    await run.alert({ status: 'resolved' });
    await run.harness.advance(10 * MINUTE);
    await run.alert({ startsAt: run.harness.now });
    await run.harness.advance(5 * MINUTE);
    expect(tries).toBe(2);
  });
});

it('pages and does nothing else where that is what it is for', async () => {
  await open({ action: 'page' });
  await run.alert();
  await run.harness.advance(MINUTE);
  expect(run.told).toEqual([expect.stringContaining('page: RegionDown (am)')]);
  expect((await run.status()).run).toBeNull();
});

describe('corrupted data', () => {
  const HALT = 'halt/checkout';
  const halts = async (): Promise<void> => {
    await open({ action: 'halt' });
    run.more.resolveHalt = (raw: RawRequest) => ({ ...readHalt(raw, run.model.topology), searchAttributes: [] });
    run.more.lookAtLock = () => ({ run: null, recent: [] });
    run.more.recoveryPoints = () => [];
    run.more.tellOfHalt = ({ text }: { text: string }) => void run.told.push(text);
  };

  it('halts the service at once, moves nothing, and stays when the alert resolves', async () => {
    await halts();
    await run.alert({ key: 'Corrupt', labels: { alertname: 'ChecksumMismatch' } });
    await run.harness.advance(MINUTE);
    const record = (await run.harness.workflow(HALT).query('evidence')) as HaltRecord;
    expect(record).toMatchObject({
      state: 'open',
      by: 'trigger/down',
      reason: expect.stringContaining('ChecksumMismatch'),
    });
    await run.alert({ key: 'Corrupt', status: 'resolved' });
    await run.harness.advance(2 * 60 * MINUTE);
    expect(run.harness.workflow(HALT).outcome).toBeNull();
    // The next alert is told to it, and halts nothing twice.
    await run.alert({ key: 'Corrupt', labels: { alertname: 'ChecksumMismatch' }, startsAt: run.harness.now });
    await run.harness.advance(MINUTE);
    const { notes } = (await run.harness.workflow(HALT).query('evidence')) as HaltRecord;
    expect(notes).toEqual([
      expect.objectContaining({ by: 'trigger/down', text: expect.stringContaining('ChecksumMismatch') }),
    ]);
    expect(
      run.harness.trace.some(
        ({ event, name }) => event === 'startChildWorkflowExecutionInitiated' && name === 'failover',
      ),
    ).toBe(false);
  });

  it('of a halted service starts nothing whatever fires, and says so once; its turn comes when the halt is over', async () => {
    await open({ runMode: 'planned' });
    run.model.halt = { workflowId: HALT, since: run.harness.now, by: 'ann', reason: 'wrong amounts', ending: false };
    await run.alert();
    await run.harness.advance(5 * MINUTE);
    expect((await run.status()).run).toBeNull();
    expect(run.told).toEqual([
      expect.stringMatching(/no failover is started: checkout is halted since .* by ann: wrong amounts/),
    ]);
    run.model.halt = null;
    await run.until(({ run: child }) => child !== null);
  });
});

it('waits out a maintenance window', async () => {
  await open();
  run.quietUntil = run.harness.now + 20 * MINUTE;
  await run.alert();
  expect(await run.until(({ verdict }) => verdict === 'held')).toMatchObject({ until: run.quietUntil, run: null });
  await run.harness.advance(19 * MINUTE);
  expect((await run.status()).run).toBeNull();
  run.quietUntil = null;
  await run.until(({ run: child }) => child !== null);
});

it('forgets nothing from one run of its own to the next, and a storm is one proposal', async () => {
  await open();
  run.model.lose(A);
  for (let i = 0; i < 2_100; i++)
    void run.workflow.signal('alerts', {
      alerts: [
        {
          ...{ source: 'am', delivery: `s${i}`, key: `k${i % 40}`, status: 'firing', startsAt: run.harness.now },
          ...{ labels: {}, annotations: {}, severity: null, url: null, receivedAt: run.harness.now },
        },
      ],
    });
  await run.until(({ run: child }) => child !== null);
  await run.gate();
  await run.harness.advance(2 * MINUTE);
  const status = await run.status();
  const handedOver = run.harness.trace.filter(({ event }) => event === 'workflowExecutionContinuedAsNew');
  expect(handedOver).toHaveLength(1);
  expect(status.alerts).toHaveLength(40);
  expect(status.run?.workflowId).toBe(LOCK);
  const started = run.harness.trace.filter(
    ({ event, name }) => event === 'startChildWorkflowExecutionInitiated' && name === 'failover',
  );
  expect(started).toHaveLength(1);
});

it('takes no harm from signals that hold no alerts', async () => {
  await open();
  for (const given of [null, 'x', 7, {}, { alerts: 'x' }, { alerts: [null, 1, {}, { source: 'am' }] }, [[]]])
    await run.workflow.signal('alerts', given);
  await run.harness.advance(MINUTE);
  expect((await run.status()).alerts).toEqual([]);
});

it('ends when the topology has it no more, or nothing has fired for a day', async () => {
  await open();
  await run.alert();
  await run.until(({ run: child }) => child !== null);
  await run.alert({ status: 'resolved' });
  await run.harness.advance(23 * 60 * MINUTE);
  expect(run.workflow.outcome).toBeNull();
  await run.harness.advance(3 * 60 * MINUTE);
  expect(run.workflow.outcome).toMatchObject({ result: 'nothing has fired for a day' });
});
