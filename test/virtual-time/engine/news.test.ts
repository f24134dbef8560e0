/** People are told beside the run: whatever becomes of the telling, the run is the same. */
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, describe, expect, it } from 'vitest';
import type { NotifyCall } from '../../../activities/contract.ts';
import type { DrillRecord, RunRecord } from '../../../evidence/record.ts';
import type { ChannelFilter, Notifications } from '../../../topology/channels.ts';
import { approvals } from '../../plan/world.ts';
import { type EngineRun, type RunOptions, startRun } from './run.ts';

const MINUTE = 60_000;

let run: EngineRun;
afterEach(() => run?.dispose());

const hook = (name: string, more: Partial<ChannelFilter> & { services?: string[] } = {}) => ({
  ...{ name, type: 'webhook' as const, url: 'https://hooks.example', secret: '${env:HOOK}', allow: [] },
  ...{ events: [], severity: 'info' as const, services: [], drills: false, ...more },
});

function telling(channels: Notifications['channels'], more: Partial<Notifications> = {}): Notifications {
  return { channels, escalation: { afterMs: [15 * MINUTE, 30 * MINUTE], channels: [] }, checklist: [], ...more };
}

const SLACK: Notifications['channels'] = {
  ops: {
    ...{ name: 'ops', type: 'slack', token: '${env:SLACK}', channel: 'C1', url: 'https://slack.com/api' },
    ...{ signingSecrets: [], approvers: {}, events: [], severity: 'info', services: [], drills: false },
  },
};

async function start(notifications: Notifications, options: RunOptions = {}): Promise<EngineRun> {
  run = await startRun({ ...options, world: { notifications, ...options.world } });
  return run;
}

const events = (calls: NotifyCall[] = run.model.told): string[] => calls.map(({ event }) => event.name);
/** The steps of a run and when their work began, which is what telling must not touch. */
const course = ({ steps, outcome }: RunRecord) => [
  outcome,
  steps.map(({ id, startedAt, endedAt }) => [id, startedAt, endedAt]),
];

async function silent(options: RunOptions = {}): Promise<RunRecord> {
  const quiet = await startRun(options);
  await quiet.approve();
  const record = await quiet.end();
  expect(quiet.model.told).toEqual([]);
  expect(record).not.toHaveProperty('notifications');
  await quiet.dispose();
  return record;
}

describe('a run that people are told of', () => {
  it('tells its events in their order, with how it stands, and records that', async () => {
    await start(telling({ hook: hook('hook') }));
    await run.approve();
    const record = await run.end();
    expect(events()).toEqual([
      'run-started', 'approval-required', 'approval-granted', ...Array(4).fill('weight-changed'), 'run-completed',
    ]); // biome-ignore format: a list
    expect(record.notifications!.map(({ event, result }) => [event, result])).toEqual(
      events().map((name) => [name, 'sent']),
    );
    const [, asked] = run.model.told;
    expect(asked!.card).toMatchObject({
      service: 'checkout',
      to: 'eu-central',
      outcome: null,
      gate: { id: 'cutover.1' },
    });
    expect(run.model.told.at(-1)!.card).toMatchObject({ gate: null, outcome: 'completed', trafficPercent: 100 });
  });

  it('says what went wrong: a failed step, the way back and its end', async () => {
    await start(telling({ hook: hook('hook', { severity: 'warning' }) }));
    run.model.on('fence', () => { throw ApplicationFailure.nonRetryable('no', 'ProviderUnavailable'); }, 99); // biome-ignore format: short
    await run.approve();
    expect((await run.end()).outcome).toBe('rolledBack');
    expect(events()).toEqual(['approval-required', 'step-failed', 'rollback-started', 'run-failed']);
    expect(run.model.told.at(-1)!.event.text).toContain('rolledBack: ');
  });

  it('tells only what a channel wants, of the services it is for', async () => {
    await start(
      telling({
        some: hook('some', { events: ['run-completed'] }),
        bad: hook('bad', { severity: 'error' }),
        other: hook('other', { services: ['billing'] }),
      }),
    );
    await run.approve();
    await run.end();
    expect(run.model.told.map(({ channel, event }) => [channel, event.name])).toEqual([['some', 'run-completed']]);
  });

  it('brings one message up to date, with a line beneath it for each event', async () => {
    await start(telling(SLACK));
    run.model.notify = (_, { part, kept }) => ({ kept: part === 'card' && kept === null ? { ts: '1.1' } : kept });
    await run.approve();
    await run.end();
    const parts = run.model.told.map(({ part, event, kept }) => `${part} ${event.name} ${kept?.ts ?? 'new'}`);
    expect(parts.slice(0, 3)).toEqual([
      'card run-started new',
      'card approval-required 1.1',
      'thread approval-required 1.1',
    ]);
    expect(parts.slice(-2)).toEqual(['card run-completed 1.1', 'thread run-completed 1.1']);
  });
});

describe('a channel that', () => {
  it.each(['hangs', 'fails', 'refuses'])('%s delays nothing and fails nothing; the record says so', async (how) => {
    const expected = await silent();
    await start(telling({ hook: hook('hook'), good: hook('good') }));
    run.model.notify = (_, { channel }) => {
      if (channel === 'good') return { kept: null };
      if (how === 'hangs') return 'never';
      const text = 'the hook answers 500';
      throw how === 'fails' ? ApplicationFailure.retryable(text) : ApplicationFailure.nonRetryable(text);
    };
    await run.approve();
    const record = await run.end();
    expect(course(record)).toEqual(course(expected));
    const closed = run.harness.now - record.endedAt!;
    expect(closed).toBeLessThanOrEqual(30_000);
    const told = (name: string) => record.notifications!.filter(({ channel }) => channel === name);
    expect(told('good').every(({ result }) => result === 'sent')).toBe(true);
    // Every event is accounted for, and none of them was sent.
    expect(told('hook')).toHaveLength(told('good').length);
    expect(told('hook').some(({ result }) => result === 'sent')).toBe(false);
    expect(record.log.some(({ text }) => text.startsWith('hook was not told of '))).toBe(true);
  });

  it('comes back within a minute gets what it missed, in order', async () => {
    await start(telling({ hook: hook('hook') }));
    run.model.notify = (call) => {
      if (call.now() < began + 20_000) throw ApplicationFailure.retryable('not yet');
      return { kept: null };
    };
    const began = run.harness.now;
    await run.approve();
    const record = await run.end();
    expect(record.notifications!.map(({ result }) => result)).not.toContain('failed');
    expect(record.notifications!.slice(0, 3).map(({ event }) => event)).toEqual([
      'run-started', 'approval-required', 'approval-granted',
    ]); // biome-ignore format: a list
  });
});

describe('a gate that nobody answers', () => {
  const patient = { ...approvals(1), cutover: { ...approvals(1).cutover, timeoutMs: 120 * MINUTE } };

  it('is told of again after 15 and 30 minutes, to the second group besides', async () => {
    const channels = {
      page: hook('page', { events: ['approval-required'] }),
      boss: hook('boss', { events: ['drill-passed'] }),
    };
    await start(telling(channels, { escalation: { afterMs: [15 * MINUTE, 30 * MINUTE], channels: ['boss'] } }), {
      world: { service: { approvals: patient } },
    });
    const { openedAt } = await run.gate();
    await run.harness.advanceTo(openedAt + 14 * MINUTE);
    expect(events()).toEqual(['approval-required']);
    await run.harness.advanceTo(openedAt + 16 * MINUTE);
    await run.harness.advanceTo(openedAt + 90 * MINUTE);
    const later = run.model.told
      .slice(1)
      .map(({ channel, event }) => [channel, event.name, (event.at - openedAt) / MINUTE]);
    expect(later).toEqual([
      ['boss', 'approval-escalated', 15],
      ['boss', 'approval-escalated', 30],
    ]);
    await run.approve();
    expect((await run.end()).outcome).toBe('completed');
  });

  it('and that is answered in time is not', async () => {
    await start(telling({ hook: hook('hook') }), { world: { service: { approvals: patient } } });
    const { openedAt } = await run.gate();
    await run.harness.advanceTo(openedAt + 10 * MINUTE);
    await run.approve();
    await run.end();
    expect(events()).not.toContain('approval-escalated');
  });

  it('names who may decide as well by then', async () => {
    const cutover = { ...patient.cutover, approvers: ['bob'], escalateAfterMs: 15 * MINUTE, escalateTo: ['carol'] };
    await start(telling({ hook: hook('hook', { severity: 'error' }) }), {
      world: { service: { approvals: { ...patient, cutover } } },
    });
    const { openedAt } = await run.gate();
    await run.harness.advanceTo(openedAt + 20 * MINUTE);
    expect(run.model.told.at(-1)!.event.text).toContain('carol may decide as well now');
    await run.send('decide', { decision: 'approve', by: 'carol' });
    expect((await run.end()).outcome).toBe('completed');
  });
});

describe('the checklist', () => {
  it('holds the words of the run, is shown, and ticked by a note', async () => {
    const checklist = ['Tell support: {service} moves from {from} to {to}', 'Status page'];
    await start(telling({ hook: hook('hook') }, { checklist }));
    await run.gate();
    expect((await run.record()).checklist!.map(({ text }) => text)).toEqual([
      'Tell support: checkout moves from eu-west to eu-central', 'Status page',
    ]); // biome-ignore format: a list
    await expect(run.send('note', { by: 'bob', done: 3 })).rejects.toThrow('no item 3 on the checklist; it has 2');
    await run.send('note', { by: 'bob', done: 1, reason: 'called them' });
    await expect(run.send('note', { by: 'eve', done: 1 })).rejects.toThrow('item 1 was done by bob');
    await run.approve();
    const record = await run.end();
    expect(record.checklist!.map(({ done }) => done?.by ?? null)).toEqual(['bob', null]);
    expect(events()).toContain('checklist-done');
    expect(run.model.told.at(-1)!.card.checklist).toEqual(record.checklist);
  });
});

describe('a drill', () => {
  const request = { service: 'checkout', to: 'eu-central', dwellMs: 5 * MINUTE, intervalMs: 30_000, by: 'ann' };
  const channels = { quiet: hook('quiet'), asked: hook('asked', { drills: true }) };
  const verdict = async () => ((await run.workflow.query('drill')) as DrillRecord).verdict;

  it('posts and pages nothing, but to channels that asked for drills: they hear of both ways and of the end', async () => {
    await start(telling(channels, { checklist: ['Status page'] }), { type: 'drill', request });
    await run.approve();
    await run.workflow.runUntilClosed();
    expect(await verdict()).toBe('passed');
    expect(new Set(run.model.told.map(({ channel }) => channel))).toEqual(new Set(['asked']));
    expect(events().filter((name) => /^(run|drill)-/.test(name))).toEqual([
      'run-started', 'run-completed', 'run-started', 'run-completed', 'drill-passed',
    ]); // biome-ignore format: a list
    expect(run.model.told.map(({ event }) => event.number)).toEqual(run.model.told.map((_, i) => i + 1));
    expect(run.model.told[0]!.card).toMatchObject({ drill: true, checklist: [] });
    await run.harness.replay();
  });

  it('that is made the real thing is told of to all', async () => {
    await start(telling(channels), { type: 'drill', request });
    await run.gate();
    await run.send('escalate', { by: 'bob', reason: 'eu-west is really burning' });
    await run.harness.runUntil(() => events().includes('run-escalated'));
    const { id } = await run.gate();
    await run.harness.settle();
    const told = run.model.told.filter(({ channel }) => channel === 'quiet');
    expect(events(told)).toEqual(['run-escalated', 'approval-required']);
    expect(told.at(-1)!.card).toMatchObject({ drill: false, mode: 'unplanned', gate: { id } });
    await run.send('abort', { by: 'bob', reason: 'enough' });
    await run.workflow.runUntilClosed();
  });
});
