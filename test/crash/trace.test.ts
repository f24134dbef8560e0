/** What a cell saw reaches the judge: each of these would be a red cell. */
import { expect, test } from 'vitest';
import type { FenceReceipt } from '../../drivers/ports.ts';
import type { RunRecord } from '../../evidence/record.ts';
import type { Component } from '../../topology/model.ts';
import { plannedFailover, T0 } from '../evidence/records.ts';
import { coverage, judge } from '../judge/judge.ts';
import type { Activity } from './history.ts';
import { type CellSeen, traceOf } from './trace.ts';

const FROM = 'eu-west';
const TO = 'eu-central';

const proof = {
  fence: { region: FROM, cannotWrite: 'stopped', finalPosition: null, durable: true, provenAt: T0 + 1_100 },
} as unknown as FenceReceipt;

function step(verb: string, region: string, at: number, more: Partial<Activity> = {}): Activity {
  return {
    step: `${verb}:orders-db`,
    verb,
    call: {
      component: { name: 'orders-db' } as Component,
      region,
      token: { systemId: null, expectedTimeline: null, epoch: 1, runId: 'run-1', seq: at },
      from: FROM,
      to: TO,
      mode: 'planned',
      given: verb === 'promote' ? { proof } : {},
      overrides: [],
    } as unknown as Activity['call'],
    scheduledAt: T0 + at,
    closedAt: T0 + at + 50,
    how: 'completed',
    receipt: { already: false, at: T0 + at, summary: '', facts: {}, ...(verb === 'fence' ? proof : {}) } as never,
    attempt: 1,
    error: null,
    ...more,
  };
}

/** A planned failover as it should be, and what a test changes of it. */
function seen(change: Partial<CellSeen> = {}): CellSeen {
  const record: RunRecord = { ...plannedFailover(), runId: 'run-1' };
  return {
    name: 'a cell',
    freezeBudgetMs: 15_000,
    secrets: ['rampart-lab'],
    recording: {
      roles: [
        { at: T0, region: FROM, writable: true, timeline: 1 },
        { at: T0, region: TO, writable: false, timeline: 1 },
        { at: T0 + 1_020, region: FROM, writable: false, timeline: null },
        { at: T0 + 1_240, region: TO, writable: true, timeline: 2 },
      ],
      weights: [{ at: T0, until: T0 + 2_040, router: 'edge', weights: { [FROM]: 100, [TO]: 0 } }],
      places: [
        { at: T0, until: T0 + 4_000, region: FROM, healthy: true, capacity: { present: 1, wanted: 1 } },
        { at: T0, until: T0 + 4_000, region: TO, healthy: true, capacity: { present: 1, wanted: 1 } },
      ],
      silences: [],
    },
    runs: [
      {
        id: 'run-1',
        lock: 'failover/checkout',
        history: {
          startedAt: T0,
          closedAt: T0 + 3_000,
          activities: [step('fence', FROM, 1_000), step('promote', TO, 1_200)],
          text: '',
        },
        record,
        gates: [],
        snapshots: { before: {}, after: {} },
      },
    ],
    refused: [],
    faults: [],
    acknowledged: [100, 200, 2_000].map((at) => ({
      id: `o${at}`,
      sentAt: T0 + at - 5,
      at: T0 + at,
      region: FROM,
      attempts: 1,
    })),
    lost: new Set(),
    kept: null,
    texts: [{ at: T0 + 3_000, where: 'worker.log', text: 'all is well' }],
    alarms: [],
    byHand: null,
    endedAt: T0 + 4_000,
    ...change,
  };
}

/** Decisions are judged against gates as they were shown; this trace has none. */
const rules = (one: CellSeen): string[] => {
  const trace = traceOf(one);
  const told = judge({ ...trace, events: trace.events.filter(({ kind }) => kind !== 'decision') });
  return [...new Set(told.map(({ rule }) => rule))];
};

test('a run as it should be breaks nothing, and is really judged', () => {
  expect(rules(seen())).toEqual([]);
  expect(coverage(traceOf(seen()))).toEqual(expect.arrayContaining(['I1', 'I2', 'I3', 'I4', 'I6', 'I7', 'I11', 'end']));
});

test('a side that still accepts writes when the other is promoted', () => {
  const one = seen();
  one.recording.roles[2]!.at = T0 + 1_230;
  expect(rules(one)).toContain('I1');
});

test('an acknowledged order that a planned run lost', () => {
  expect(rules(seen({ lost: new Set(['o200']), kept: true }))).toContain('I3');
});

test('a step of an earlier claim that still changes something', () => {
  const one = seen();
  const stale = step('rejoin', TO, 1_500);
  stale.call!.token = { ...stale.call!.token!, epoch: 0 };
  one.runs[0]!.history.activities.push(stale);
  expect(rules(one)).toContain('I6');
});

test('weight for an app that is drained, or that has no capacity', () => {
  for (const change of [{ healthy: false }, { capacity: { present: 0, wanted: 1 } }]) {
    const one = seen();
    one.recording.weights.push({
      at: T0 + 2_500,
      until: T0 + 4_000,
      router: 'edge',
      weights: { [FROM]: 50, [TO]: 50 },
    });
    expect(rules(one)).toEqual([]);
    Object.assign(one.recording.places[1]!, change);
    expect(rules(one)).toEqual(['I5']);
    // Seen so late that it may have been well when it got the weight.
    one.recording.places[1]!.at = T0 + 2_100;
    expect(rules(one)).toEqual([]);
  }
});

test('writers are sent to a side that was killed in the moment in which it became writable: nobody saw it so', () => {
  const one = seen();
  const writer = (at: number, until: number, from: number) =>
    one.recording.weights.push({
      ...{ at: T0 + at, until: T0 + until, router: 'writer' },
      weights: { [FROM]: from, [TO]: 100 - from },
    });
  writer(0, 2_450, 0);
  writer(2_500, 4_000, 100);
  expect(rules(one)).toEqual(['I5']);
  const killed = { at: T0 + 2_380, what: 'killed', touched: [] };
  expect(rules({ ...one, faults: [{ ...killed, hurt: { at: T0 + 2_400, region: FROM } }] })).toEqual([]);
  expect(rules({ ...one, faults: [{ ...killed, hurt: { at: T0 + 1_900, region: FROM } }] })).toEqual(['I5']);
  expect(rules({ ...one, faults: [{ ...killed, hurt: { at: T0 + 2_400, region: TO } }] })).toEqual(['I5']);
});

test('weights that a run counted and the router never had', () => {
  const one = seen();
  const set = step('setWeights', TO, 2_000);
  Object.assign(set.call!, { component: { name: 'edge' }, input: { weights: { [FROM]: 0, [TO]: 100 } } });
  one.runs[0]!.history.activities.push(set);
  // Nobody looked after the step had ended: nothing is known.
  expect(rules(one)).toEqual([]);
  one.recording.weights[0]!.until = T0 + 2_060;
  expect(rules(one)).toEqual(['I5']);
  const back = step('setWeights', TO, 2_200);
  Object.assign(back.call!, { component: { name: 'edge' }, input: { weights: { [FROM]: 100, [TO]: 0 } } });
  const undone = structuredClone(one);
  undone.runs[0]!.history.activities.push(back);
  expect(rules(undone)).toEqual([]);
  // The last look with the old weights began before the end of the step.
  one.recording.weights[0]!.until = T0 + 2_040;
  one.recording.weights.push({ at: T0 + 2_900, until: T0 + 4_000, router: 'edge', weights: { [FROM]: 0, [TO]: 100 } });
  expect(rules(one)).toEqual([]);
});

test('a planned run that goes on from an answer that the database gave to nobody', () => {
  const one = seen();
  one.runs[0]!.history.activities.unshift(step('converge', FROM, 900));
  expect(coverage(traceOf(one))).toContain('I12');
  expect(rules(one)).toEqual([]);
  one.recording.silences.push({ region: FROM, from: T0 + 500, to: T0 + 940, sure: true });
  expect(rules(one)).toEqual([]);
  one.recording.silences[0]!.to = T0 + 1_000;
  expect(rules(one)).toEqual(['I12']);
  // The looks were too slow themselves: nothing is known.
  one.recording.silences[0]!.sure = false;
  expect(rules(one)).toEqual([]);
});

test('writers sent to a side that accepts no writes', () => {
  const one = seen();
  one.recording.weights = [
    { at: T0, until: T0 + 2_400, router: 'writer', weights: { [FROM]: 0, [TO]: 100 } },
    { at: T0 + 2_500, until: T0 + 4_000, router: 'writer', weights: { [FROM]: 100, [TO]: 0 } },
  ];
  expect(rules(one)).toEqual(['I5']);
  one.recording.silences.push({ region: FROM, from: T0 + 2_000, to: T0 + 2_600, sure: false });
  expect(rules(one)).toEqual([]);
});

test('a password in a log', () => {
  expect(rules(seen({ texts: [{ at: T0, where: 'worker.log', text: 'password=rampart-lab' }] }))).toEqual(['I11']);
});

test('nobody can write for longer than the budget, and the watchdog says nothing', () => {
  const one = seen({ endedAt: T0 + 90_000 });
  one.recording.roles.pop();
  one.runs[0]!.history.activities.pop();
  expect(rules(one)).toContain('I2');
});

test('roles that people changed by hand, and sides that a fault stopped, are not put down to Rampart', () => {
  const byHand = seen({ byHand: { from: T0 + 1_000, to: T0 + 2_000 } });
  byHand.runs[0]!.history.activities = [];
  expect(rules(byHand)).toEqual([]);
  const killed = seen({ faults: [{ at: T0 + 1_000, what: 'killed', touched: ['writable'] }], endedAt: T0 + 90_000 });
  killed.recording.roles.pop();
  killed.runs[0]!.history.activities.pop();
  expect(rules(killed)).not.toContain('I2');
});
