/** What is read from Temporal about runs: a worker that has just started says what one that runs for a month says. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import type { DrillRecord, RunRecord } from '../../evidence/record.ts';
import { Registry } from '../../metrics/registry.ts';
import type { Topology } from '../../topology/model.ts';
import { type ClosedRun, LastRuns } from '../../workers/run-gauges.ts';
import { readRuns } from '../../workers/runs.ts';
import { plannedFailover as planned, rolledBack, T0, unplannedFailover as unplanned } from '../evidence/records.ts';
import { checkout } from '../plan/world.ts';

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const closed = (record: RunRecord, closedAt: number): ClosedRun => ({
  ...{ service: record.service, action: record.action, closedAt, status: 'completed', record, drill: null },
});

function shown(runs: ClosedRun[]): (line: string) => number | undefined {
  const last = new LastRuns();
  for (const run of runs) last.take(run);
  const registry = new Registry();
  last.publish(registry, 60_000);
  return valueIn(registry);
}

const valueIn = (registry: Registry) => (line: string) => {
  const found = registry
    .render()
    .split('\n')
    .find((one) => one.startsWith(`${line} `));
  return found === undefined ? undefined : Number(found.slice(line.length + 1));
};

describe('the last run', () => {
  it('gives what was achieved, by the clocks of its report', () => {
    const value = shown([closed(unplanned(), T0 + 1_000_000)]);
    const { loss } = unplanned();
    expect(value('rampart_recovery_point_seconds{service="checkout",mode="unplanned"}')).toBe(loss!.seconds);
    expect(value('rampart_recovery_time_seconds{service="checkout",mode="unplanned"}')).toBeGreaterThan(0);
    expect(value('rampart_last_run_timestamp_seconds{service="checkout",action="failover",result="completed"}')).toBe(
      (T0 + 1_000_000) / 1000,
    );
  });

  it('replaces the one before it: its objectives, and what it leaves unprotected', () => {
    const missed = { ...planned(), objectives: [objective('Recovery time (RTO)', false)], debt: [debt('rejoin')] };
    const value = shown([closed(missed, 1), closed({ ...planned(), objectives: [objective('RTO', true)] }, 2)]);
    expect(value('rampart_objective_met{service="checkout",objective="rto"}')).toBe(1);
    expect(value('rampart_protection_debt{service="checkout",code="rejoin"}')).toBeUndefined();
    const first = shown([closed(missed, 1)]);
    expect(first('rampart_objective_met{service="checkout",objective="rto"}')).toBe(0);
    expect(first('rampart_protection_debt{service="checkout",code="rejoin"}')).toBe(1);
  });

  it('that did nothing changes nothing but what its plan found', () => {
    const blocked = [
      { ...planned().plans[0]!, facts: { ...planned().plans[0]!.facts, blockers: [finding('lagHigh')] } },
    ];
    const refused = { ...planned(), outcome: 'refused' as const, plans: blocked, objectives: [] };
    const value = shown([closed(planned(), 1), closed(refused, 2)]);
    expect(value('rampart_last_run_timestamp_seconds{service="checkout",action="failover",result="completed"}')).toBe(
      0.001,
    );
    expect(value('rampart_preflight_status{service="checkout",check="all"}')).toBe(0);
    expect(value('rampart_preflight_status{service="checkout",check="lagHigh"}')).toBe(0);
  });

  it('that went back says which undos failed, and keeps what the one before it achieved', () => {
    const { undos } = rolledBack();
    const broken = {
      ...rolledBack(),
      undos: undos.map((one, i) => (i === 0 ? { ...one, state: 'failed' as const } : one)),
    };
    const value = shown([closed(planned(), 1), closed(broken, 2)]);
    expect(value('rampart_compensations_failed{service="checkout"}')).toBe(1);
    expect(value('rampart_recovery_time_seconds{service="checkout",mode="planned"}')).toBeGreaterThan(0);
  });

  it('that somebody terminated has no record, and is named', () => {
    const cut = { service: 'checkout', action: 'failover', closedAt: 5_000, record: null, drill: null };
    const value = shown([{ ...cut, status: 'terminated' }]);
    expect(value('rampart_last_run_timestamp_seconds{service="checkout",action="failover",result="terminated"}')).toBe(
      5,
    );
  });

  it('that was a drill counts as one, its legs as drills, and a refused one as none', () => {
    const legs = [planned(), planned()];
    const drill = { service: 'checkout', legs, verdict: 'failed' } as unknown as DrillRecord;
    const of = { service: 'checkout', action: 'drill', status: 'failed', record: null };
    const value = shown([
      { ...of, closedAt: 8_000, drill: { ...drill, verdict: 'passed' } },
      { ...of, closedAt: 9_000, drill },
      { ...of, closedAt: 10_000, drill: { ...drill, legs: [], verdict: 'refused' } },
    ]);
    expect(value('rampart_last_drill_timestamp_seconds{service="checkout",kind="full"}')).toBe(9);
    expect(value('rampart_last_drill_success{service="checkout",kind="full"}')).toBe(0);
    expect(value('rampart_last_drill_pass_timestamp_seconds{service="checkout",kind="full"}')).toBe(8);
    expect(value('rampart_recovery_time_seconds{service="checkout",mode="drill"}')).toBeGreaterThan(0);
    expect(value('rampart_recovery_time_seconds{service="checkout",mode="planned"}')).toBeUndefined();
  });
});

it('a rehearsal is a drill of its kind, and a preflight; one that was skipped is none', () => {
  const rehearsal = { ...planned().plans[0]!, facts: { ...planned().plans[0]!.facts, blockers: [finding('lagHigh')] } };
  const drill = { service: 'checkout', legs: [], kind: 'rehearsal', verdict: 'failed', rehearsal };
  const of = { service: '', action: 'drillTurn', status: 'failed', record: null };
  const turn = (closedAt: number, more: object) => ({
    ...of,
    closedAt,
    drill: { ...drill, ...more } as unknown as DrillRecord,
  });
  const value = shown([
    closed(planned(), 1),
    turn(2_000, {}),
    turn(3_000, { verdict: 'skipped', rehearsal: undefined }),
  ]);
  expect(value('rampart_preflight_status{service="checkout",check="lagHigh"}')).toBe(0);
  expect(value('rampart_last_drill_timestamp_seconds{service="checkout",kind="rehearsal"}')).toBe(2);
  expect(value('rampart_last_run_timestamp_seconds{service="checkout",action="failover",result="completed"}')).toBe(
    0.001,
  );
});

describe('the reading', () => {
  const quarterly = {
    service: 'checkout',
    kind: 'full',
    crons: ['0 9 15 */3 *'],
    timeZone: 'UTC',
    overdueAfterMs: null,
  };
  const topology = {
    drills: { quarterly, often: { ...quarterly, kind: 'checks', overdueAfterMs: 86_400_000 } },
    services: { checkout: { ...checkout, guard: { enabled: true, intervalMs: 1, proofAgeMs: 1 } } },
  };
  const attributes = { RampartService: ['checkout'], RampartMode: ['planned'] };
  const open = {
    ...{ workflowId: 'failover/checkout', runId: 'o', type: 'failover', status: { name: 'RUNNING' } },
    searchAttributes: { ...attributes, RampartPhase: ['waiting:cutover'], RampartAwaiting: ['anybody'] },
  };
  const ended = (runId: string, status: string, closeTime: number, more = {}) => ({
    ...{ workflowId: 'failover/checkout', runId, type: 'failover', status: { name: status } },
    ...{ closeTime: new Date(closeTime), searchAttributes: {}, ...more },
  });

  /** A Temporal whose lists and results are these. */
  function temporal(lists: { open: unknown[]; closed: unknown[]; results: Record<string, unknown>; away?: boolean }) {
    const asked: string[] = [];
    const client = {
      workflow: {
        list: ({ query }: { query: string }) => {
          asked.push(query);
          if (lists.away) throw new Error('14 UNAVAILABLE');
          return (query.includes('= "Running"') ? lists.open : lists.closed) as Iterable<unknown>;
        },
        getHandle: (_: string, runId: string) => ({
          result: async () => {
            asked.push(runId);
            const given = lists.results[runId];
            if (given instanceof Error) throw given;
            return given;
          },
        }),
      },
    } as unknown as Client;
    return { client, asked };
  }

  async function reading(client: Client, until: (registry: Registry) => boolean): Promise<Registry> {
    const registry = new Registry();
    const stop = new AbortController();
    const options = { client, topology: async () => topology as unknown as Topology, registry, log: quiet };
    const done = readRuns({ ...options, signal: stop.signal, everyMs: 5 });
    const deadline = Date.now() + 10_000;
    while (!until(registry)) {
      if (Date.now() > deadline) throw new Error(`not seen in time:\n${registry.render()}`);
      await sleep(2);
    }
    stop.abort();
    await done;
    return registry;
  }

  it('shows the open run, what it waits for, and the last of those that ended, each asked for once', async () => {
    const failed = new WorkflowFailedError(
      'it failed',
      ApplicationFailure.nonRetryable('held', 'NeedsHuman', { ...planned(), outcome: 'needsHuman' }),
      'NON_RETRYABLE_FAILURE' as never,
    );
    const lists = {
      open: [open, { ...open, workflowId: 'somebody/else', searchAttributes: {} }],
      closed: [
        ended('b', 'FAILED', 2_000),
        ended('a', 'COMPLETED', 1_000),
        ended('t', 'COMPLETED', 500, { type: 'drillTurn', workflowId: 'drill/shop' }),
        ended('u', 'COMPLETED', 600, { type: 'drillTurn', workflowId: 'drill/shop' }),
        ended('v', 'FAILED', 700, { type: 'drillTurn', workflowId: 'drill/shop' }),
      ],
      results: {
        a: planned(),
        b: failed,
        t: { service: 'checkout', kind: 'checks', verdict: 'passed', legs: [] },
        // The drill itself tells of this one.
        u: { service: 'checkout', verdict: 'passed', legs: [] },
        v: { service: 'checkout', kind: 'chaos', verdict: 'failed', legs: [] },
      },
    };
    const { client, asked } = temporal(lists);
    const registry = await reading(client, () => asked.filter((one) => one.startsWith('Exec')).length > 6);
    const value = valueIn(registry);
    expect(value('rampart_run_active{service="checkout",action="failover",mode="planned"}')).toBe(1);
    expect(value('rampart_approval_pending{service="checkout",gate="cutover"}')).toBe(1);
    expect(value('rampart_run_waiting{service="checkout",reason="gate"}')).toBe(1);
    expect(value('rampart_last_run_timestamp_seconds{service="checkout",action="failover",result="needsHuman"}')).toBe(
      2,
    );
    expect(value('rampart_objective_seconds{service="checkout",objective="rto"}')).toBe(checkout.tier.rtoMs / 1000);
    expect(value(`rampart_service_info{service="checkout",tier="${checkout.tier.name}",guarded="true"}`)).toBe(1);
    expect(value('rampart_last_drill_pass_timestamp_seconds{service="checkout",kind="checks"}')).toBe(0.5);
    expect(value('rampart_last_drill_timestamp_seconds{service="checkout",kind="full"}')).toBeUndefined();
    expect(value('rampart_last_drill_timestamp_seconds{service="checkout",kind="chaos"}')).toBe(0.7);
    expect(value('rampart_last_drill_success{service="checkout",kind="chaos"}')).toBe(0);
    expect(value('rampart_drill_overdue_after_seconds{service="checkout",kind="checks"}')).toBe(86_400);
    const twice = value('rampart_drill_overdue_after_seconds{service="checkout",kind="full"}')! / 86_400;
    expect(twice).toBeGreaterThan(170);
    expect(twice).toBeLessThan(190);
    expect(asked.filter((one) => one.length === 1)).toEqual(['t', 'u', 'v', 'a', 'b']);
    expect(registry.render()).not.toContain('somebody');
  });

  it('takes back an open run when it is open no more', async () => {
    const lists = { open: [open], closed: [], results: {} };
    const { client } = temporal(lists);
    const registry = await reading(client, (now) => {
      if (now.render().includes('rampart_run_active{')) lists.open = [];
      return lists.open.length === 0 && !now.render().includes('rampart_run_active{');
    });
    expect(registry.render()).not.toContain('rampart_approval_pending');
  });

  it('says nothing of runs, and when it last could, while Temporal is away', async () => {
    const { client, asked } = temporal({ open: [], closed: [], results: {}, away: true });
    const registry = await reading(client, () => asked.length > 2);
    expect(registry.render()).toContain('rampart_service_info');
    expect(registry.render()).not.toContain('rampart_run_active');
    expect(registry.render()).not.toContain('rampart_reading_timestamp_seconds');
  });
});

const objective = (name: string, met: boolean) => ({
  ...{ name, met, target: '≤ 5 min', actual: '3 min', basis: 'measured' as const },
});
const debt = (code: string) => ({ code, component: 'orders-db', region: 'eu-west', message: '', remedy: '' });
const finding = (code: string) => ({ ...debt(code), severity: 'blocker' as const });
