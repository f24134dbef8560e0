/** Every predicate of the judge can fail, and fails for the reason it says. */
import { describe, expect, it } from 'vitest';
import type { LossStatement } from '../../drivers/ports.ts';
import type { RunRecord } from '../../evidence/record.ts';
import { coverage, judge, PREDICATES } from './judge.ts';
import { emptyTrace, formatTrace, type Happening, parseTrace, type Trace, type TraceEvent } from './trace.ts';

const A = 'eu-west';
const B = 'eu-central';
const RUN = 'run-1';
const LOCK = 'failover/checkout';
const NO_LOSS: LossStatement = {
  kind: 'none',
  fromTime: null,
  toTime: null,
  seconds: 0,
  atLeastBytes: 0,
  atMostBytes: 0,
  note: '',
};
const at = (ms: number): string => new Date(ms).toISOString();
const bounded = (from: number, to: number | null, seconds: number | null): LossStatement => ({
  ...NO_LOSS,
  kind: 'bounded',
  fromTime: at(from),
  toTime: to === null ? null : at(to),
  seconds,
  atMostBytes: null,
});

function record(change: Partial<RunRecord> = {}): RunRecord {
  return {
    ...{ version: 1, workflowId: LOCK, runId: RUN, service: 'checkout', owner: '', tier: '', action: 'failover' },
    ...{ mode: 'planned', from: A, to: B, request: { action: 'failover', service: 'checkout' }, startedAt: 0 },
    ...{ endedAt: 9_000, outcome: 'completed', text: 'complete', plans: [], decisions: [], messages: [], steps: [] },
    ...{ undos: [], ramp: [], freeze: { startedAt: null, endedAt: null, budgetMs: 0, exceeded: false } },
    ...{ pointOfNoReturn: { stepId: null, crossedAt: null, revokedAt: null }, loss: null, waitedForPeopleMs: 0 },
    ...{ dataReadyAt: null, trafficCompleteAt: null, objectives: [], findings: [], debt: [], log: [], ...change },
  };
}

type Timed = [at: number, ...events: Happening[]];

function trace(timed: Timed[], options: Partial<Trace> = {}): Trace {
  const events = timed.flatMap(([time, ...list]) => list.map((event): TraceEvent => ({ at: time, ...event })));
  return { ...emptyTrace('a test', options), events };
}

const writable = (region: string, is: boolean, by: 'rampart' | 'system' | 'person' = 'rampart'): Happening => ({
  ...{ kind: 'writable', store: 'db', region, writable: is, by },
});
const proof = (provenAt: number, cannotWrite: 'stopped' | 'none' = 'stopped') => ({
  ...{ region: A, cannotWrite, final: true, provenAt },
});
const promotion = (change: object = {}): Happening => ({
  ...{ kind: 'promotion', store: 'db', region: B, from: A, by: 'rampart', run: RUN, mode: 'planned' },
  ...{ required: 'sessions', proofs: [proof(2_000)], override: [], ...change },
});
const scheduled = (verb: string): Happening => ({ kind: 'scheduled', run: RUN, step: `${verb}:db`, verb, store: 'db' });
const range = { from: 1, to: 9, firstAt: 100, lastAt: 1_900 };
const decision = (change: object = {}): Happening => ({
  ...{ kind: 'decision', run: RUN, gate: 'cutover.1', by: 'bob', decision: 'approve', applied: true },
  ...{ override: [], maxLoss: { seconds: 0, bytes: 0 }, ...change },
});
const gate = (state: 'opened' | 'closed', loss = NO_LOSS, id = 'cutover.1'): Happening => ({
  ...{ kind: 'gate', run: RUN, gate: id, state, expiresAt: 60_000, loss },
});
const token = (seq: number, runId = RUN, epoch = 1) => ({ epoch, runId, seq });
const mutation = (verb: string, seen: ReturnType<typeof token> | null, changed = true): Happening => ({
  ...{ kind: 'mutation', place: 'db@eu-west', verb, token: seen, accepted: true, changed },
});
const weights = (change: object = {}): Happening => ({
  ...{ kind: 'weights', router: 'edge', type: 'weighted', before: { [A]: 100, [B]: 0 }, weights: { [A]: 0, [B]: 100 } },
  ...{ by: 'rampart', regions: { [B]: { healthy: true, capacity: { present: 4, wanted: 4 }, writable: true } } },
  ...change,
});
const missing: Happening = { kind: 'missing', store: 'db', region: A, ranges: [range], bytes: 900 };

/** A planned failover as it should be. */
const GOOD: Timed[] = [
  [0, writable(A, true, 'system'), { kind: 'run', run: RUN, lock: LOCK, state: 'started' }],
  [10, { kind: 'acknowledged', store: 'db', region: A, ...range }],
  [500, gate('opened')],
  [600, decision(), gate('closed')],
  [2_000, scheduled('fence'), mutation('fence', token(3)), writable(A, false)],
  [2_100, { kind: 'proof', store: 'db', run: RUN, proof: proof(2_100), durable: true }],
  [2_150, { kind: 'relied', run: RUN, mode: 'planned', on: 'lag of db', quality: 'good', accepted: false }],
  [2_200, { kind: 'loss', run: RUN, store: 'db', loss: NO_LOSS }, scheduled('promote'), promotion(), writable(B, true)],
  [2_300, weights({ router: 'writer', type: 'endpoint' })],
  [
    3_000,
    weights(),
    { kind: 'counted', router: 'edge', run: RUN, claimed: { [B]: 100 }, actual: { [A]: 0, [B]: 100 } },
  ],
  [9_000, { kind: 'run', run: RUN, lock: LOCK, state: 'closed' }, { kind: 'record', run: RUN, record: record() }],
  [9_000, { kind: 'missing', store: 'db', region: A, ranges: [], bytes: 0 }],
  [9_000, { kind: 'text', where: 'history', text: 'nothing to hide' }],
];

const ended = (change: Partial<RunRecord>): Timed => [9_000, { kind: 'record', run: RUN, record: record(change) }];

/** From A to B, and then to A, which was the active side all the time. */
const STAYED = [[A, B] as const, [B, A] as const].map(([from, to]) => ({
  ...{ from, to, mode: 'planned', compiledAt: 0, facts: { classified: { state: 'unsettled', region: A } } },
})) as unknown as RunRecord['plans'];

/** What breaks each rule, and a part of what the judge must say. */
const BAD: Array<[rule: string, name: string, says: string, trace: Trace]> = [
  ['I1', 'promoted without a proof', 'without any fence proof', trace([[1, promotion({ proofs: [] })]])],
  ['I1', 'promoted on no proof at all', '"none"', trace([[1, promotion({ proofs: [proof(0, 'none')] })]])],
  ['I1', 'promoted on an old proof', '28000 ms old', trace([[30_000, promotion()]])],
  [
    'I1',
    'promoted beside a writable side',
    'while eu-west accepted writes',
    trace([
      [0, writable(A, true, 'system')],
      [2_000, promotion()],
    ]),
  ],
  [
    'I1',
    'an override nobody gave',
    'without any fence proof',
    trace([[1, promotion({ proofs: [], override: ['weakFence'] })]]),
  ],
  [
    'I1',
    'promoted on a risk taken for a side that answers again, which nobody tried to fence',
    'beside eu-west, which had answered and accepted writes for 60 s',
    trace([
      [0, scheduled('fence')],
      [10_000, writable(A, true, 'system')],
      [69_000, decision({ override: ['weakFence'] })],
      [70_000, promotion({ proofs: [], override: ['weakFence'], beside: [{ region: A, since: 10_000 }] })],
    ]),
  ],
  [
    'I1',
    'unfenced beside a promoted side',
    'made db in eu-west writable',
    trace([
      [0, writable(B, true, 'system')],
      [1, writable(A, true)],
    ]),
  ],
  [
    'I1',
    'a durable fence that did not hold',
    'by itself',
    trace([
      [0, { kind: 'proof', store: 'db', run: RUN, proof: proof(0), durable: true }],
      [1, writable(A, true, 'system')],
    ]),
  ],
  [
    'I2',
    'frozen for ever',
    'did not unfence by itself',
    trace([
      [0, writable(A, true, 'system')],
      [1_000, scheduled('fence'), writable(A, false)],
      [120_000, { kind: 'alarm', store: 'db', alarm: 'noneWritable', text: '' }],
    ]),
  ],
  [
    'I2',
    'frozen for ever, although the orchestrator is back',
    'did not unfence by itself',
    trace([
      [0, writable(A, true, 'system')],
      [1_000, scheduled('fence'), writable(A, false)],
      [2_000, { kind: 'orchestrator', available: false }],
      [30_000, { kind: 'alarm', store: 'db', alarm: 'noneWritable', text: '' }],
      [60_000, { kind: 'orchestrator', available: true }],
      [240_000, writable(A, true)],
    ]),
  ],
  [
    'I2',
    'no alarm past the crossing',
    'the watchdog said nothing',
    trace([
      [0, writable(A, true, 'system')],
      [1_000, scheduled('promote'), writable(A, false)],
      [120_000, writable(B, true)],
    ]),
  ],
  [
    'I3',
    'a planned promotion that lost writes',
    'lost 9 acknowledged writes',
    trace([
      [10, { kind: 'acknowledged', store: 'db', region: A, ...range }],
      [2_000, promotion()],
      [9_000, missing],
    ]),
  ],
  [
    'I3',
    'writes gone without a promotion',
    'although nothing was promoted',
    trace([[10, { kind: 'acknowledged', store: 'db', region: A, ...range }, missing]]),
  ],
  ...(
    [
      ['a report without a word', 'it says nothing', null],
      ['a report that says none', 'nothing is lost', NO_LOSS],
      ['a window that begins too late', 'its window begins', bounded(500, 2_000, 2)],
      ['a window that ends too early', 'its window ends', bounded(0, 1_000, 1)],
    ] as const
  ).map(([name, says, loss]): [string, string, string, Trace] => [
    'I4',
    name,
    says,
    trace([
      [10, { kind: 'acknowledged', store: 'db', region: A, ...range }],
      [2_000, promotion({ mode: 'unplanned' })],
      [9_000, missing],
      ended({ mode: 'unplanned', loss }),
    ]),
  ]),
  [
    'I4',
    'lost rows thrown away',
    'nobody let go',
    trace([
      [10, { kind: 'acknowledged', store: 'db', region: A, ...range }],
      [2_000, promotion({ mode: 'unplanned' })],
      [8_000, { kind: 'kept', store: 'db', region: A, readable: false, by: 'rampart' }],
      [9_000, missing],
      ended({ loss: bounded(0, null, null) }),
    ]),
  ],
  ['I5', 'all zero', 'all weights are zero', trace([[1, weights({ weights: { [A]: 0, [B]: 0 } })]])],
  [
    'I5',
    'not healthy',
    'not healthy',
    trace([[1, weights({ regions: { [B]: { healthy: false, capacity: null, writable: true } } })]]),
  ],
  [
    'I5',
    'no capacity',
    '1 of 4 capacity',
    trace([[1, weights({ regions: { [B]: { healthy: true, capacity: { present: 1, wanted: 4 }, writable: true } } })]]),
  ],
  [
    'I5',
    'writers to a replica',
    'accepts no writes',
    trace([[1, weights({ type: 'endpoint', regions: { [B]: { healthy: true, capacity: null, writable: false } } })]]),
  ],
  [
    'I5',
    'counted without being read back',
    'counted',
    trace([[1, weights(), { kind: 'counted', router: 'edge', run: RUN, claimed: { [B]: 50 }, actual: { [B]: 0 } }]]),
  ],
  [
    'I5',
    'whoever serves is cut off',
    'cuts off',
    trace([[1, { kind: 'cutOff', router: 'edge', region: B, weights: { [A]: 0, [B]: 100 } }]]),
  ],
  ['I6', 'no token', 'without a token', trace([[1, mutation('fence', null)]])],
  ['I6', 'a lower step', 'stale unfence', trace([[1, mutation('fence', token(5)), mutation('unfence', token(4))]])],
  [
    'I6',
    'an older claim',
    'stale fence',
    trace([[1, mutation('fence', token(1, 'run-2', 2)), mutation('fence', token(9))]]),
  ],
  [
    'I6',
    'a repeat that changes again',
    'changed it again',
    trace([[1, mutation('fence', token(5)), mutation('fence', token(5))]]),
  ],
  [
    'I7',
    'went back after a promotion was scheduled',
    'although a promotion was scheduled',
    trace([
      ended({ outcome: 'rolledBack', pointOfNoReturn: { stepId: 'promote:db', crossedAt: 2_000, revokedAt: null } }),
    ]),
  ],
  [
    'I7',
    'went on after an abort',
    'after it was told to abort',
    trace([
      ended({
        messages: [{ verb: 'abort', by: 'bob', at: 1_000, applied: true, note: '', input: null }],
        pointOfNoReturn: { stepId: 'promote:db', crossedAt: 2_000, revokedAt: null },
      }),
    ]),
  ],
  [
    'I7',
    'unfenced after the crossing',
    'after the point of no return',
    trace([
      [3_000, scheduled('unfence')],
      ended({ pointOfNoReturn: { stepId: 'promote:db', crossedAt: 2_000, revokedAt: null } }),
    ]),
  ],
  [
    'I7',
    'not as it was before',
    'ttl is 1, before it was 60',
    trace([
      [0, { kind: 'snapshot', run: RUN, moment: 'before', state: { ttl: 60 } }],
      [8_000, { kind: 'snapshot', run: RUN, moment: 'after', state: { ttl: 1 } }],
      ended({ outcome: 'rolledBack' }),
    ]),
  ],
  [
    'I7',
    'escalated to the side that it was to leave, which it promoted nothing to leave',
    'ended "completed" and ttl is 1, before it was 60',
    trace([
      [0, { kind: 'snapshot', run: RUN, moment: 'before', state: { ttl: 60 } }],
      [8_000, { kind: 'snapshot', run: RUN, moment: 'after', state: { ttl: 1 } }],
      [0, scheduled('claim')],
      ended({ plans: STAYED }),
    ]),
  ],
  [
    'I8',
    'escalated to the side that it was to leave, and an undo is left',
    'ended "needsHuman" where it was to leave, and prepare:edge were not undone',
    trace([
      [0, scheduled('claim')],
      ended({
        outcome: 'needsHuman',
        plans: STAYED,
        undos: [
          { stepId: 'prepare:edge', summary: 'Back', state: 'registered', startedAt: null, endedAt: null, note: '' },
        ],
      }),
    ]),
  ],
  ...(['registered', 'failed'] as const).map((state): [string, string, string, Trace] => [
    'I8',
    `an undo that is ${state} at the end`,
    state === 'failed' ? 'nobody is told' : 'were not undone',
    trace([
      ended({
        outcome: 'rolledBack',
        undos: [{ stepId: 'prepare:edge', summary: 'Put back', state, startedAt: 1, endedAt: null, note: '' }],
      }),
    ]),
  ]),
  [
    'I8',
    'undone in the order in which it was done',
    'saveB was begun after saveA',
    trace([
      ...['saveA', 'saveB', 'undo:saveA', 'undo:saveB'].map(
        (step, i): Timed => [i, { kind: 'scheduled', run: RUN, step, verb: 'x', store: null }],
      ),
      ended({ outcome: 'rolledBack' }),
    ]),
  ],
  [
    'I9',
    'two runs of one lock',
    'run-1 holds',
    trace([
      [0, { kind: 'run', run: RUN, lock: LOCK, state: 'started' }],
      [1, { kind: 'run', run: 'run-2', lock: LOCK, state: 'started' }],
    ]),
  ],
  [
    'I9',
    'refused without a word',
    'without a word',
    trace([[0, { kind: 'run', run: 'run-2', lock: LOCK, state: 'refused', text: '' }]]),
  ],
  ['I10', 'a gate that was not open', 'not open', trace([[0, decision()]])],
  [
    'I10',
    'an expired gate',
    'after cutover.1 expired',
    trace([
      [0, gate('opened')],
      [70_000, decision()],
    ]),
  ],
  [
    'I10',
    'twice by one person',
    'counted twice',
    trace([
      [0, gate('opened')],
      [1, decision(), decision()],
    ]),
  ],
  [
    'I10',
    'more lost than accepted',
    'people had accepted 0 s',
    trace([
      [0, gate('opened'), decision()],
      [1_000, { kind: 'loss', run: RUN, store: 'db', loss: bounded(0, 900, 0.9) }],
      [2_000, promotion()],
    ]),
  ],
  [
    'I10',
    'an override for what is mended',
    'asks for targetCheck by name, and nothing that it shows needs it',
    trace([
      [0, gate('opened')],
      [1, { kind: 'asks', run: RUN, gate: 'cutover.1', override: ['lowerTimeline'], shown: ['lowerTimeline'] }],
      [
        2,
        {
          kind: 'asks',
          run: RUN,
          gate: 'cutover.1',
          override: ['lowerTimeline', 'targetCheck'],
          shown: ['lowerTimeline'],
        },
      ],
    ]),
  ],
  [
    'I11',
    'a password in a log',
    'a secret is in the worker',
    trace([[0, { kind: 'text', where: 'the worker’s log', text: 'password=hunter2' }]], { secrets: ['hunter2'] }),
  ],
  [
    'I12',
    'a stale lag',
    'lag of db was stale',
    trace([[0, { kind: 'relied', run: RUN, mode: 'planned', on: 'lag of db', quality: 'stale', accepted: false }]]),
  ],
  ['end', 'silence', 'neither ended', trace([[0, { kind: 'run', run: RUN, lock: LOCK, state: 'started' }]])],
  ['end', 'no words', 'without a word', trace([ended({ text: '' })])],
  ['end', 'a record that lies', 'accepts no writes', trace([[0, writable(A, true, 'system')], ended({})])],
];

describe('the judge', () => {
  it('finds nothing in a planned failover as it should be, and could have found everything', () => {
    expect(judge(trace(GOOD))).toEqual([]);
    expect(coverage(trace(GOOD))).toEqual(PREDICATES.map(({ rule }) => rule));
  });

  it.each(BAD)('%s: %s', (rule, _name, says, bad) => {
    const texts = judge(bad).filter((violation) => violation.rule === rule);
    expect(texts.map(({ text }) => text).join('\n')).toContain(says);
  });

  it('has a failing trace for every predicate', () => {
    expect(new Set(BAD.map(([rule]) => rule))).toEqual(new Set(PREDICATES.map(({ rule }) => rule)));
  });

  it('lets through what people accepted in writing, and what no promotion of Rampart lost', () => {
    const risk = decision({ override: ['weakFence'], maxLoss: { seconds: null, bytes: null } });
    const taken = trace([
      [0, writable(A, true, 'system'), gate('opened', bounded(0, null, null))],
      [10, { kind: 'acknowledged', store: 'db', region: A, ...range }, risk],
      [2_000, promotion({ mode: 'unplanned', proofs: [], override: ['weakFence'] }), writable(B, true)],
      [9_000, missing],
      ended({ mode: 'unplanned', loss: bounded(0, null, null) }),
    ]);
    expect(judge(taken)).toEqual([]);
    const tried = trace([
      [10_000, writable(A, true, 'system'), gate('opened', bounded(0, null, null))],
      [20_000, risk],
      [60_000, { kind: 'scheduled', run: RUN, step: `fence:db@${A}`, verb: 'fence', store: 'db' }],
      [70_000, promotion({ proofs: [], override: ['weakFence'], beside: [{ region: A, since: 10_000 }] })],
    ]);
    expect(judge(tried)).toEqual([]);
  });

  it('holds the move between two writable sides to what it states, and a refence to nothing', () => {
    const between = (action: string, mode: 'planned' | 'unplanned', loss: LossStatement | null): Trace =>
      trace([
        [0, writable(A, true, 'system'), writable(B, true, 'system')],
        [10, { kind: 'acknowledged', store: 'db', region: A, ...range }],
        [2_000, writable(A, false), { kind: 'proof', store: 'db', run: RUN, proof: proof(2_000), durable: true }],
        [9_000, missing],
        ended({ action, mode, loss }),
      ]);
    expect(judge(between('failover', 'unplanned', bounded(0, null, null)))).toEqual([]);
    expect(judge(between('failover', 'unplanned', null)).map(({ text }) => text)).toEqual([
      '9 acknowledged writes (1 to 9) of db in eu-west are lost and the report does not cover them: it says nothing',
    ]);
    expect(judge(between('failover', 'planned', null)).map(({ text }) => text)).toEqual([
      'the planned move to eu-central lost 9 acknowledged writes (1 to 9) of db in eu-west',
    ]);
    expect(judge(between('refence', 'planned', null)).map(({ text }) => text)).toEqual([
      '9 acknowledged writes (1 to 9) of db in eu-west are gone although nothing was promoted',
    ]);
  });

  it('asks a run to put back what it changed, and not what a late step of another run did', () => {
    const state = (ttl: number) => ({ 'writer ttl': ttl });
    const late = (runId: string): Trace =>
      trace([
        [0, { kind: 'snapshot', run: RUN, moment: 'before', state: state(1) }],
        [
          10,
          {
            kind: 'mutation',
            place: 'router writer',
            verb: 'restore',
            token: token(9, runId),
            accepted: true,
            changed: true,
          },
        ],
        [20, { kind: 'snapshot', run: RUN, moment: 'after', state: state(30) }],
        ended({ outcome: 'refused' }),
      ]);
    expect(judge(late('run-0'))).toEqual([]);
    expect(judge(late(RUN)).map(({ text }) => text)).toEqual([
      'failover/checkout ended "refused" and writer ttl is 30, before it was 1',
    ]);
  });

  it('asks nothing back of a run at the side it was to leave after a promotion, or before it had done anything', () => {
    const settled = ended({
      plans: STAYED,
      undos: [
        { stepId: 'prepare:edge', summary: 'Back', state: 'registered', startedAt: null, endedAt: null, note: '' },
      ],
    });
    const claimed: Timed = [0, scheduled('claim')];
    expect(judge(trace([claimed, [2_000, scheduled('promote')], settled]))).toEqual([]);
    expect(judge(trace([claimed, settled])).map(({ rule }) => rule)).toEqual(['I8']);
    expect(judge(trace([settled]))).toEqual([]);
  });

  /** A run that is gone with its history, and the next one on its lock. */
  const begun = (run: string, ttl: number): Happening[] => [
    { kind: 'run', run, lock: LOCK, state: 'started' },
    { kind: 'snapshot', run, moment: 'before', state: { 'writer ttl': ttl } },
  ];
  const gone = (run: string): Happening => ({ kind: 'run', run, lock: LOCK, state: 'lost' });
  const claimed = (run: string): Happening => ({
    ...{ kind: 'mutation', place: 'db', verb: 'claim', token: token(9, run), accepted: true, changed: true },
  });

  it('asks a run that takes what lost ones left to go back to what was before them', () => {
    const third = (ttl: number, ...between: Happening[]): Trace =>
      trace([
        [0, ...begun('run-a', 30)],
        [10, gone('run-a')],
        [20, ...begun('run-b', 5)],
        [30, gone('run-b')],
        [40, ...begun(RUN, 1), ...between],
        [50, { kind: 'snapshot', run: RUN, moment: 'after', state: { 'writer ttl': ttl } }],
        [60, { kind: 'run', run: RUN, lock: LOCK, state: 'closed' }],
        ended({ outcome: 'rolledBack' }),
      ]);
    expect(judge(third(30, claimed(RUN)))).toEqual([]);
    expect(judge(third(1, claimed(RUN))).map(({ text }) => text)).toEqual([
      'failover/checkout ended "rolledBack" and writer ttl is 1, before it was 30',
    ]);
    // It was told no, and their journals are open still.
    expect(judge(third(1))).toEqual([]);
  });

  it('lets a run that goes back put the settings of routers back that an earlier one left lowered', () => {
    const said = 'what an earlier run had left is put back: Restore the settings of edge.';
    const next = (
      outcome: RunRecord['outcome'],
      key: string,
      value: number,
      claims = [claimed(RUN)],
      text = said,
    ): Trace =>
      trace([
        [0, { kind: 'run', run: 'run-a', lock: LOCK, state: 'started' }],
        [0, { kind: 'snapshot', run: 'run-a', moment: 'before', state: { [key]: 30 } }],
        [5, promotion({ run: 'run-a', proofs: [proof(4)] })],
        [10, { kind: 'record', run: 'run-a', record: record({ runId: 'run-a', outcome }) }],
        [10, { kind: 'run', run: 'run-a', lock: LOCK, state: 'closed' }],
        [40, { kind: 'run', run: RUN, lock: LOCK, state: 'started' }],
        [40, { kind: 'snapshot', run: RUN, moment: 'before', state: { [key]: 1 } }, ...claims],
        [50, { kind: 'snapshot', run: RUN, moment: 'after', state: { [key]: value } }],
        [60, { kind: 'run', run: RUN, lock: LOCK, state: 'closed' }],
        ended({ outcome: 'rolledBack', text }),
      ]);
    const broken = (seen: Trace) => judge(seen).map(({ rule }) => rule);
    expect(broken(next('needsHuman', 'edge ttl', 30))).toEqual([]);
    expect(broken(next('needsHuman', 'edge ttl', 40))).toEqual(['I7']);
    expect(broken(next('needsHuman', 'edge weights', 30))).toEqual(['I7']);
    expect(broken(next('completed', 'edge ttl', 30))).toEqual(['I7']);
    expect(broken(next('needsHuman', 'edge ttl', 30, []))).toEqual(['I7']);
    expect(broken(next('needsHuman', 'edge ttl', 30, [claimed(RUN)], 'Everything is as before.'))).toEqual(['I7']);
  });

  it('asks nothing of a run that is gone, an alarm all the same, and everything of the next one', () => {
    const lost = (...next: Timed[]): Trace =>
      trace([
        [0, writable(A, true, 'system'), ...begun('run-a', 1)],
        [1_000, { ...scheduled('fence'), run: 'run-a' } as Happening, writable(A, false)],
        [2_000, gone('run-a')],
        [31_000, { kind: 'alarm', store: 'db', alarm: 'noneWritable', text: '' }],
        [90_000, ...begun(RUN, 1)],
        ...next,
        [200_000, { kind: 'run', run: RUN, lock: LOCK, state: 'closed' }],
      ]);
    expect(judge(lost())).toEqual([]);
    expect(judge(lost([91_000, scheduled('fence')], [92_000, scheduled('unfence'), writable(A, true)]))).toEqual([]);
    expect(judge(lost([91_000, scheduled('fence')])).map(({ text }) => text)).toEqual([
      'db had no writable side for 199 s; nothing was promoted, and the run did not unfence by itself',
    ]);
  });

  it('gives a run that is escalated in the freeze the time of an unplanned one, which waits for nobody', () => {
    const plans = (['planned', 'unplanned'] as const).map((mode, i) => ({
      ...STAYED[0]!,
      mode,
      compiledAt: i * 18_000,
    }));
    const frozen = (compiledAt: number, wait: number): Trace =>
      trace([
        [0, writable(A, true, 'system')],
        [1_000, scheduled('fence'), writable(A, false)],
        [32_000, { kind: 'alarm', store: 'db', alarm: 'noneWritable', text: '' }],
        [18_000 + wait, scheduled('unfence'), writable(A, true)],
        ended({
          outcome: 'needsHuman',
          plans: [plans[0]!, { ...plans[1]!, compiledAt }],
          waits: [{ kind: 'gate', name: 'cutover.2', startedAt: 18_000, endedAt: 18_000 + wait }],
        }),
      ]);
    expect(judge(frozen(18_000, 30_000))).toEqual([]);
    expect(judge(frozen(18_000, 50_000)).map(({ rule }) => rule)).toEqual(['I2']);
    expect(judge(frozen(47_000, 30_000)).map(({ rule }) => rule)).toEqual(['I2']);
    // Somebody says `retry` every 20 s, and nothing comes of it.
    const retried = (...more: Timed[]): Trace =>
      trace([
        [0, writable(A, true, 'system')],
        [1_000, scheduled('fence'), writable(A, false)],
        [32_000, { kind: 'alarm', store: 'db', alarm: 'noneWritable', text: '' }],
        ...more,
        [78_000, scheduled('unfence'), writable(A, true)],
        ended({
          outcome: 'needsHuman',
          plans,
          waits: [0, 1, 2].map((i) => ({
            ...{ kind: 'hold' as const, name: `hold.${i}` },
            ...{ startedAt: 18_000 + i * 20_000, endedAt: 37_000 + i * 20_000 },
          })),
        }),
      ]);
    expect(judge(retried()).map(({ rule }) => rule)).toEqual(['I2']);
    expect(judge(retried([38_000, scheduled('awaitCatchUp')]))).toEqual([]);
  });

  it('asks for no unfence past the point of no return while the side is away that could show that nothing has begun', () => {
    const held = (away: string, back: number, revokedAt: number | null = null): Trace =>
      trace([
        [0, writable(A, true, 'system')],
        [1_000, scheduled('fence'), writable(A, false)],
        [1_500, { kind: 'away', region: away }],
        [2_000, scheduled('promote')],
        [31_000, { kind: 'alarm', store: 'db', alarm: 'noneWritable', text: '' }],
        [back, { kind: 'back', region: away }],
        [120_000, writable(B, true)],
        ended({
          outcome: 'needsHuman',
          plans: [{ ...STAYED[0]!, mode: 'unplanned', from: A, to: B, compiledAt: 500 }],
          pointOfNoReturn: { stepId: 'promote:db', crossedAt: 2_000, revokedAt },
          waits: [{ kind: 'hold', name: 'promote', startedAt: 20_000, endedAt: 118_000 }],
        }),
      ]);
    const broken = (seen: Trace) => judge(seen).map(({ rule }) => rule);
    expect(broken(held(B, 100_000))).toEqual([]);
    expect(broken(held(B, 40_000))).toEqual(['I2']);
    expect(broken(held(B, 100_000, 15_000))).toEqual(['I2']);
    expect(broken(held('eu-north', 100_000))).toEqual(['I2']);
  });

  it('lets a step be undone again that was begun again after it had been undone', () => {
    const steps = ['saveA', 'saveB', 'undo:saveB', 'undo:saveB', 'saveB', 'undo:saveB', 'undo:saveA'];
    const inOrder = steps.map((step, i): Timed => [i, { kind: 'scheduled', run: RUN, step, verb: 'x', store: null }]);
    expect(judge(trace([...inOrder, ended({ outcome: 'rolledBack' })]))).toEqual([]);
  });

  it('asks nothing of a run while the orchestrator is away, and an alarm all the same', () => {
    const away = (...alarm: Happening[]): Trace =>
      trace([
        [0, writable(A, true, 'system')],
        [1_000, scheduled('fence'), writable(A, false)],
        [2_000, { kind: 'orchestrator', available: false }],
        [31_000, ...alarm],
        [90_000, { kind: 'orchestrator', available: true }],
        [91_000, scheduled('unfence'), writable(A, true)],
      ]);
    expect(judge(away({ kind: 'alarm', store: 'db', alarm: 'noneWritable', text: '' }))).toEqual([]);
    expect(judge(away()).map(({ text }) => text)).toEqual([
      'db had no writable side for 90 s and the watchdog said nothing',
    ]);
  });

  it('reads back what it wrote', () => {
    const good = trace(GOOD, { secrets: ['x'] });
    expect(parseTrace(formatTrace(good))).toEqual(good);
  });
});
