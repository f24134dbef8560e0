/** What people read of a run: screens, log lines, next commands. Exact texts, made from the types of the contract. */
import picocolors from 'picocolors';
import { describe, expect, test } from 'vitest';
import type { Io } from '../../clients/cli/io.ts';
import { nextCommands } from '../../clients/cli/render/commands.ts';
import { factLines, lagText } from '../../clients/cli/render/facts.ts';
import { guardLines, guardsOverview } from '../../clients/cli/render/guard.ts';
import { ProgressLines } from '../../clients/cli/render/progress-lines.ts';
import { endingLines, runLines, weightsBar } from '../../clients/cli/render/run.ts';
import { Screen } from '../../clients/cli/render/screen.ts';
import { fold, table, width } from '../../clients/cli/render/table.ts';
import type { LossStatement } from '../../drivers/ports.ts';
import type { Facts } from '../../plan/model.ts';
import type { GateView, GuardStatus, RunStatus } from '../../workflows/contract.ts';

const paint = picocolors.createColors(false);
const NOW = Date.parse('2026-11-21T03:12:05Z');
const NO_LOSS: LossStatement = {
  kind: 'none',
  fromTime: null,
  toTime: null,
  seconds: 0,
  atLeastBytes: 0,
  atMostBytes: 0,
  note: '',
};
const OPEN_LOSS: LossStatement = {
  kind: 'bounded',
  fromTime: '2026-11-21T03:11:59.000Z',
  toTime: null,
  seconds: 6,
  atLeastBytes: 18_240,
  atMostBytes: null,
  note: 'Replication was asynchronous.',
};
const facts: Facts = {
  measuredAt: NOW,
  digest: 'f'.repeat(64),
  classified: { state: 'sourceLost', region: 'eu-west', text: 'eu-west does not answer.', missing: [] },
  lag: { 'orders-db': null },
  loss: OPEN_LOSS,
  positions: {
    'orders-db': [
      {
        node: 'db-b',
        region: 'eu-central',
        state: 'replica',
        applied: { text: '0/305', order: '773', timeline: 1 },
        received: null,
      },
    ],
  },
  fence: { 'orders-db': 'eu-west does not answer.' },
  stores: {},
  weights: { edge: { 'eu-west': 100, 'eu-central': 0 } },
  asks: ['The loss window is still open.'],
  blockers: [
    {
      code: 'weakFence',
      severity: 'blocker',
      component: 'orders-db',
      region: 'eu-west',
      message: 'the fence is weaker than the tier asks',
      remedy: 'Fence it by hand.',
      override: 'weakFence',
    },
  ],
  warnings: [
    {
      code: 'unverifiable',
      severity: 'warning',
      component: 'edge',
      region: null,
      message: 'It cannot be counted.',
      remedy: '',
    },
  ],
};
const gate: GateView = {
  id: 'cutover.2',
  name: 'cutover',
  title: 'Move checkout?',
  openedAt: NOW - 5_000,
  expiresAt: NOW + 60_000,
  onTimeout: 'reject',
  required: 2,
  approvedBy: ['ada'],
  approvers: ['ada', 'bob'],
  fourEyes: true,
  reason: 'the loss grew',
  facts,
  loss: OPEN_LOSS,
  needsOverride: ['weakFence'],
};
const running: RunStatus = {
  workflowId: 'failover/checkout',
  runId: 'run-1',
  service: 'checkout',
  action: 'failover',
  mode: 'planned',
  from: 'eu-west',
  to: 'eu-central',
  phase: 'ramp',
  planDigest: 'd'.repeat(64),
  startedAt: NOW - 20_000,
  now: NOW,
  gate: null,
  holding: null,
  paused: null,
  stages: [
    { name: 'prepare', state: 'done' },
    { name: 'ramp', state: 'running' },
    { name: 'settle', state: 'pending' },
  ],
  steps: [
    {
      id: 'bake@25',
      stage: 'ramp',
      summary: 'Watch eu-central with 25 % of the traffic moved',
      state: 'running',
      startedAt: NOW - 1_500,
      endedAt: null,
      result: null,
      error: null,
    },
  ],
  weights: { edge: { 'eu-west': 75, 'eu-central': 25 } },
  trafficPercent: 25,
  lag: {
    'orders-db': { bytes: 2048, seconds: 0.42, measuredAt: NOW - 4_000, freshnessMs: 10, fresh: true },
  },
  loss: NO_LOSS,
  freeze: { startedAt: NOW - 15_000, endedAt: NOW - 14_770, budgetMs: 30_000, exceeded: false },
  pointOfNoReturn: { stepId: 'promote:orders-db', crossedAt: NOW - 14_900, revokedAt: null },
  debt: [],
  outcome: null,
  text: '',
  log: [{ at: NOW - 2_000, text: 'two\nlines' }],
};
const held: RunStatus = {
  ...running,
  phase: 'holding',
  holding: {
    reason: 'drain:app@eu-west failed: it did not end',
    since: NOW - 1_000,
    choices: ['retry', 'skip', 'abort', 'escalate'],
  },
  steps: [{ ...running.steps[0]!, id: 'drain:app@eu-west', state: 'failed' }],
};

describe('a run that is on', () => {
  test('on one screen', () => {
    expect(runLines(running, paint, NOW)).toEqual([
      'checkout  eu-west → eu-central  failover, planned  ramp',
      '✓ prepare  ▶ ramp  · settle',
      '',
      'traffic  edge  eu-west 75 % ██████████████████████▒▒▒▒▒▒▒▒ eu-central 25 %',
      'lag      orders-db  2 KiB, 0.4 s behind, measured 4 s ago',
      'freeze   230 ms of 30 s',
      'undo     the point of no return was crossed at 03:11:50Z: back means a failback',
      'now      Watch eu-central with 25 % of the traffic moved (1.5 s)',
      '',
      '03:12:03Z two lines',
    ]);
  });

  test('while nobody can write', () => {
    const frozen: RunStatus = {
      ...running,
      freeze: { startedAt: NOW - 900, endedAt: null, budgetMs: 30_000, exceeded: false },
      pointOfNoReturn: { stepId: null, crossedAt: null, revokedAt: null },
    };
    expect(runLines(frozen, paint, NOW)).toContain('freeze   nobody can write for 900 ms of 30 s');
    expect(runLines(frozen, paint, NOW)).toContain('undo     possible: the point of no return is not crossed');
  });

  test('waiting at a gate: facts, terms, exact commands', () => {
    const lines = runLines({ ...running, gate }, paint, NOW);
    expect(lines.slice(lines.indexOf('Gate cutover.2: Move checkout?'))).toEqual([
      'Gate cutover.2: Move checkout?',
      'Asked because: the loss grew',
      'state     eu-west does not answer.',
      'lag       orders-db: no reading',
      'loss      Acknowledged writes may be missing from 2026-11-21 03:11:59.000 UTC to an end that is still open (6 s), at least 17.8 KiB of changes.',
      '          Replication was asynchronous.',
      'fence     orders-db: eu-west does not answer.',
      'position  orders-db: db-b in eu-central, replica, applied 0/305',
      'traffic   edge: eu-west 100 %, eu-central 0 %',
      'asks      The loss window is still open.',
      'blocker   the fence is weaker than the tier asks. Fence it by hand. Accept it with --override weakFence. [weakFence]',
      'warning   It cannot be counted. [unverifiable]',
      '',
      'Needs 2 approvals from ada, bob, not the requester; approved by ada until 03:13:05Z (1 min left, then: reject).',
      'Next:',
      '  rampart approve checkout --gate cutover.2 --override weakFence   go on',
      '  rampart reject checkout --gate cutover.2                         do not go on',
      '',
      '03:12:03Z two lines',
    ]);
  });

  test('holding: every choice as a command', () => {
    expect(nextCommands(held).map(({ command }) => command)).toEqual([
      'rampart retry checkout',
      "rampart skip checkout drain:app@eu-west --reason '…'",
      "rampart abort checkout --reason '…'",
      "rampart escalate checkout --reason '…'",
    ]);
    expect(nextCommands({ ...running, paused: { by: 'ada', since: NOW } })[0]!.command).toBe('rampart resume checkout');
    expect(nextCommands({ ...held, phase: 'closed' })).toEqual([]);
  });
});

test('a lag that is not fresh is no reading', () => {
  const lag = { bytes: 0, seconds: 0, measuredAt: NOW - 9_000, freshnessMs: 60_000, fresh: false };
  expect(lagText(lag, NOW)).toBe('no fresh reading (the last was measured 9 s ago)');
  expect(lagText({ ...lag, fresh: true, seconds: null }, NOW)).toBe('0 B behind, measured 9 s ago');
  expect(lagText({ ...lag, fresh: true, measuredAt: NOW + 500 }, NOW)).toBe('0 B, 0 s behind, measured just now');
});

test('facts without a loss name no positions', () => {
  const lines = factLines({ ...facts, loss: NO_LOSS, blockers: [], warnings: [], asks: [] }, NO_LOSS, paint, NOW);
  expect(lines.some((line) => line.startsWith('position'))).toBe(false);
  expect(lines).toContain('loss     No acknowledged write is missing.');
});

test('weights of three regions are numbers, not a bar', () => {
  expect(weightsBar({ a: 50, b: 25, c: 25 }, 'a', 'b', paint)).toBe('a 50 %  b 25 %  c 25 %');
  expect(weightsBar({ a: 0, b: 100 }, 'a', 'b', paint)).toBe(`a 0 % ${'▒'.repeat(30)} b 100 %`);
});

describe('a run as a log', () => {
  test('says each thing once', () => {
    const lines = new ProgressLines(paint);
    expect(lines.next(running, null, NOW)).toEqual([
      '03:12:03Z two lines',
      '03:12:05Z 1 of 3 stages done, now ramp',
      '03:12:05Z traffic edge: eu-west 75 %, eu-central 25 %',
    ]);
    expect(lines.next(running, null, NOW + 500)).toEqual([]);
    const later = { ...running, log: [...running.log, { at: NOW, text: 'more' }] };
    expect(lines.next(later, null, NOW + 1_000)).toEqual(['03:12:05Z more']);
    expect(lines.next(later, 'no worker answers', NOW + 2_000)).toEqual(['03:12:07Z no worker answers']);
    expect(lines.next(later, null, NOW + 3_000)).toEqual(['03:12:08Z it answers again']);
  });

  test('notices that lines have passed unseen', () => {
    const lines = new ProgressLines(paint);
    lines.next(running, null, NOW);
    expect(lines.missed(running)).toBe(false);
    expect(lines.missed({ ...running, log: [{ at: NOW, text: 'much later' }] })).toBe(true);
  });

  test('shows a gate and a hold with their commands', () => {
    const lines = new ProgressLines(paint);
    lines.next(running, null, NOW);
    const atGate = lines.next({ ...running, gate }, null, NOW);
    expect(atGate[0]).toBe('03:12:05Z waits for a decision on cutover.2: Move checkout? (the loss grew)');
    expect(atGate.at(-2)).toBe('  rampart approve checkout --gate cutover.2 --override weakFence');
    expect(lines.next(held, null, NOW)[0]).toBe(
      '03:12:05Z holds, waits for people: drain:app@eu-west failed: it did not end',
    );
  });
});

test('a run that is over, with what is left to do', () => {
  const ending = {
    outcome: 'needsHuman' as const,
    text: 'It stopped.',
    record: {
      ...({} as import('../../evidence/record.ts').RunRecord),
      from: 'eu-west',
      to: 'eu-central',
      action: 'failover',
      mode: 'unplanned' as const,
      freeze: { startedAt: null, endedAt: null, budgetMs: 0, exceeded: false },
      loss: OPEN_LOSS,
      objectives: [],
      debt: [
        {
          code: 'replicaMissing',
          component: 'orders-db',
          region: 'eu-west',
          message: 'no replica',
          remedy: 'rampart reprotect checkout',
        },
      ],
    },
  };
  const run = { service: 'checkout', startedAt: NOW - 60_000, closedAt: NOW - 30_000 };
  expect(endingLines(ending, run, paint, NOW)).toEqual([
    'checkout  eu-west → eu-central  failover, unplanned  needs a person  30 s ago, took 30 s',
    'It stopped.',
    'loss  Acknowledged writes may be missing from 2026-11-21 03:11:59.000 UTC to an end that is still open (6 s), at least 17.8 KiB of changes.',
    'debt  no replica: rampart reprotect checkout',
  ]);
});

describe('a terminal', () => {
  const red = picocolors.createColors(true).red;

  test('columns are as wide as what is seen', () => {
    expect(width(red('abc'))).toBe(3);
    expect(
      table([
        ['a', 'b'],
        [red('longer'), 'c'],
      ]),
    ).toEqual(['a       b', `${red('longer')}  c`]);
  });

  test('lines are folded at their spaces, colours kept whole', () => {
    expect(fold('short', 10)).toEqual(['short']);
    expect(fold('loss  all of what was written', 14)).toEqual(['loss  all of', '    what was', '    written']);
    expect(fold('a'.repeat(25), 10)).toEqual(['a'.repeat(10), '    aaaaaa', '    aaaaaa', '    aaa']);
    const folded = fold(`now  ${red('one two three')} four`, 12);
    expect(folded.map(width)).toEqual([12, 9, 8]);
    expect(folded.join('')).toContain('\u001b[31m');
    expect(fold(red('x'.repeat(12)), 10).map(width)).toEqual([10, 6]);
  });

  test('a screen is drawn over the last one, and not when nothing changed', () => {
    let out = '';
    const io = { out: (text: string) => (out += text), size: () => ({ columns: 20, rows: 3 }) } as unknown as Io;
    const screen = new Screen(io);
    screen.draw(['one', 'two', 'three', 'four']);
    expect(out).toBe('\u001b[?25lone\ntwo\n');
    out = '';
    screen.draw(['one', 'two', 'three']);
    expect(out).toBe('');
    screen.draw(['new']);
    expect(out).toBe('\u001b[2F\u001b[0Jnew\n');
    out = '';
    screen.end();
    expect(out).toBe('\u001b[?25h');
  });
});

describe('a guard', () => {
  const health: NonNullable<GuardStatus['health']> = {
    ...{ service: 'checkout', at: NOW, verdict: 'well', lag: {}, weights: {}, run: null, lastProof: null },
    ...{ active: { 'orders-db': { region: 'eu-west', node: 'db-a', timeline: 1 } }, findings: [], returned: null },
  };
  const guarded = (text: string, seen: GuardStatus['health']) => ({
    service: 'checkout',
    trouble: null,
    link: null,
    status: {
      ...{ workflowId: 'guard/checkout', service: 'checkout', now: NOW, health: seen, text },
      refence: { tries: 0, lastAt: null, text: '' },
    },
  });
  const shown = (text: string, seen: GuardStatus['health'] = health) => [
    guardsOverview([guarded(text, seen)], paint).join('\n'),
    guardLines(guarded(text, seen), paint).join('\n'),
  ];

  test('says what went wrong last, whatever it saw before', () => {
    const failed = 'the watch failed: no worker took it from its task queue in time';
    for (const screen of [...shown(failed), ...shown(failed, null)])
      expect(screen).toContain(`last trouble: ${failed}`);
    for (const screen of shown(failed, null)) expect(screen).toContain('it has not looked yet');
    for (const screen of shown('watching')) expect(screen).not.toContain('trouble');
    expect(shown('watching')[0]).toMatch(/^ *checkout +well +eu-west +nothing to say$/);
  });
});
