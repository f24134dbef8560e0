/** Three runs as the demo makes them, written out: a planned failover, a rolled back one, an unplanned one. */
import type { LoadResult } from '../../evidence/objectives.ts';
import type { PlanRecord, RunRecord, StepRecord } from '../../evidence/record.ts';
import type { Facts, StageName } from '../../plan/model.ts';

/** 2026-11-01 03:12:00 UTC. */
export const T0 = Date.UTC(2026, 10, 1, 3, 12, 0);

type Draft = [id: string, stage: StageName, from: number, to: number, more?: Partial<StepRecord>];

export function steps(drafts: Draft[], base = T0): StepRecord[] {
  return drafts.map(([id, stage, from, to, more]) => {
    const [verb, target] = id.split(':') as [string, string | undefined];
    const [component, region] = (target ?? '').split('@') as [string, string | undefined];
    return {
      id,
      stage,
      summary: `${verb[0]!.toUpperCase()}${verb.slice(1)} ${component}${region === undefined ? '' : ` in ${region}`}`,
      verb,
      component: component || null,
      region: region ?? null,
      state: 'done',
      scheduled: 1,
      startedAt: base + from,
      endedAt: base + to,
      result: `${component || 'it'} is as wanted`,
      already: false,
      facts: {},
      error: null,
      ...more,
    };
  });
}

export function facts(more: Partial<Facts> = {}): Facts {
  return {
    measuredAt: T0 + 180,
    digest: '7c1f0a9be2d84c51',
    classified: {
      state: 'steady',
      region: 'eu-west',
      text: 'eu-west is active and healthy, eu-central replicates from it',
      missing: [],
    },
    lag: { 'orders-db': { bytes: 0, seconds: 0, measuredAt: T0 + 150, freshnessMs: 12, fresh: true } },
    loss: { kind: 'none', fromTime: null, toTime: null, seconds: 0, atLeastBytes: 0, atMostBytes: 0, note: '' },
    positions: {},
    fence: { 'orders-db': 'not fenced' },
    stores: { 'orders-db': { systemId: '7435', timeline: 1 } },
    weights: { edge: { 'eu-west': 100, 'eu-central': 0 } },
    blockers: [],
    warnings: [],
    ...more,
  };
}

export function plan(more: Partial<PlanRecord> = {}): PlanRecord {
  return {
    digest: '4be1c9d27a60f3e85b16',
    topologyDigest: '09aa31f2c4',
    mode: 'planned',
    from: 'eu-west',
    to: 'eu-central',
    resumeAt: null,
    compiledAt: T0 + 200,
    facts: facts(),
    estimate: { seconds: 14, freezeSeconds: 0.2, lossBytes: 0, lossSeconds: 0, stages: {} },
    why: 'start',
    ...more,
  };
}

const RAMP_START = 48_900;

/** A planned failover that waited 47 s for its approval, froze for 191 ms and ramped in four steps. */
export function plannedFailover(): RunRecord {
  const weights = (to: number) => ({ 'eu-west': 100 - to, 'eu-central': to });
  const seen = [9.8, 25.4, 49.7, 100];
  return {
    version: 1,
    workflowId: 'failover/checkout',
    runId: '0f3c7a52-5a0e-4a31-9d0b-5d5b1f0c8a11',
    service: 'checkout',
    owner: 'payments',
    tier: 'critical',
    action: 'failover',
    mode: 'planned',
    from: 'eu-west',
    to: 'eu-central',
    request: {
      action: 'failover',
      service: 'checkout',
      to: 'eu-central',
      reason: 'quarterly drill',
      by: 'ann@example.com',
    },
    startedAt: T0,
    endedAt: T0 + 58_600,
    outcome: 'completed',
    text: 'failover of checkout to eu-central is complete.',
    plans: [plan()],
    decisions: [
      {
        gate: 'cutover.1',
        decision: 'approve',
        by: 'bob@example.com',
        comment: 'numbers look good',
        at: T0 + 47_600,
        factsDigest: '7c1f0a9be2d84c51',
        maxLoss: { seconds: 0, bytes: 0 },
        override: [],
        messageId: 'd1',
      },
    ],
    messages: [
      {
        verb: 'decide',
        by: 'ann@example.com',
        at: T0 + 30_000,
        applied: false,
        note: 'ann@example.com asked for this run; with four eyes somebody else must approve it',
        input: { decision: 'approve', by: 'ann@example.com' },
      },
      {
        verb: 'decide',
        by: 'bob@example.com',
        at: T0 + 47_600,
        applied: true,
        note: 'gate cutover.1: approve by bob@example.com',
        input: { gate: 'cutover.1', decision: 'approve', by: 'bob@example.com' },
      },
    ],
    steps: steps([
      ['ping:rampart.eu-west', 'preflight', 240, 262],
      ['ping:rampart.eu-central', 'preflight', 240, 268],
      ['preflightStore:orders-db', 'preflight', 240, 390],
      ['runCheck:app-ready@eu-central', 'preflight', 241, 300],
      ['claim:orders-db@eu-west', 'prepare', 47_900, 47_960],
      ['claim:orders-db@eu-central', 'prepare', 47_900, 47_964],
      ['saveRouter:edge', 'prepare', 47_970, 47_990, { already: true }],
      ['scaleWorkload:app@eu-central', 'prepare', 48_000, 48_180],
      ['converge:orders-db', 'prepare', 48_190, 48_420],
      ['fence:orders-db@eu-west', 'fence', 48_500, 48_552],
      ['awaitCatchUp:orders-db@eu-central', 'catch-up', 48_560, 48_574],
      ['prove:orders-db@eu-west', 'catch-up', 48_560, 48_581],
      ['promote:orders-db@eu-central', 'promote', 48_590, 48_629],
      ['verifyWritable:orders-db@eu-central', 'verify', 48_636, 48_652],
      ['setWeights:writer', 'route', 48_660, 48_684],
      ['rejoin:orders-db@eu-west', 'reprotect', 58_100, 58_420],
      ...[10, 25, 50, 100].flatMap((p, i): Draft[] => [
        [`setWeights:edge-${p}`, 'ramp', RAMP_START + i * 2_300, RAMP_START + i * 2_300 + 30],
        [`verifyWeights:edge-${p}`, 'ramp', RAMP_START + i * 2_300 + 35, RAMP_START + i * 2_300 + 290],
        [`analyse:edge-${p}`, 'ramp', RAMP_START + i * 2_300 + 295, RAMP_START + i * 2_300 + 2_290],
      ]),
      ['restoreRouter:edge', 'settle', 58_440, 58_470],
    ]),
    undos: [
      {
        stepId: 'fence:orders-db@eu-west',
        summary: 'Unfence orders-db in eu-west',
        state: 'discarded',
        startedAt: null,
        endedAt: null,
        note: '',
      },
    ],
    ramp: [10, 25, 50, 100].map((p, i) => ({
      percent: p,
      router: 'edge',
      weights: weights(p),
      setAt: T0 + RAMP_START + i * 2_300 + 30,
      observed: { 'eu-west': 100 - seen[i]!, 'eu-central': seen[i]! },
      bake: 'passed',
      measurements: [`app-ready in eu-central: 200 in 4 ms (threshold 200, 1 s), 4 of 4 passed`],
      steppedBack: false,
    })),
    freeze: { startedAt: T0 + 48_495, endedAt: T0 + 48_686, budgetMs: 30_000, exceeded: false },
    pointOfNoReturn: { stepId: 'promote:orders-db@eu-central', crossedAt: T0 + 48_588, revokedAt: null },
    loss: {
      kind: 'none',
      fromTime: null,
      toTime: null,
      seconds: 0,
      atLeastBytes: 0,
      atMostBytes: 0,
      note: 'the target applied the shutdown checkpoint 0/3054458 of the fenced source',
    },
    waitedForPeopleMs: 47_200,
    dataReadyAt: T0 + 48_652,
    trafficCompleteAt: T0 + 58_090,
    objectives: [],
    findings: [],
    debt: [],
    log: [
      { at: T0 + 200, text: 'plan 4be1c9d27a60: failover eu-west → eu-central (planned)' },
      { at: T0 + 400, text: 'gate cutover.1 opened' },
      { at: T0 + 47_600, text: 'decide by bob@example.com: gate cutover.1: approve by bob@example.com' },
      { at: T0 + 48_588, text: 'point of no return: Promote orders-db in eu-central is scheduled' },
      { at: T0 + 58_600, text: 'failover of checkout to eu-central is complete.' },
    ],
    targets: { rtoMs: 300_000, rpoMs: 60_000, freezeBudgetMs: 30_000, fenceProof: 'stopped' },
    waits: [{ kind: 'gate', name: 'cutover.1', startedAt: T0 + 400, endedAt: T0 + 47_600 }],
  };
}

export const plannedLoad: LoadResult = {
  acknowledged: 8_123,
  lost: 0,
  duplicated: 0,
  writeGapMs: 231,
  lostInsideStatement: null,
  errors: 0,
};

/** An unplanned failover after the source died: a weak proof overridden, a bounded loss, debt left. */
export function unplannedFailover(): RunRecord {
  const base = T0 + 600_000;
  const record = plannedFailover();
  return {
    ...record,
    runId: '7d1b52f0-95a1-4f25-8a16-0c4d7f1b7c02',
    mode: 'unplanned',
    from: 'eu-west',
    to: 'eu-central',
    request: {
      action: 'failover',
      service: 'checkout',
      to: 'eu-central',
      mode: 'unplanned',
      reason: 'the database of eu-west is gone',
      by: 'ann@example.com',
    },
    startedAt: base,
    endedAt: base + 9_200,
    outcome: 'completed',
    text: 'failover of checkout to eu-central is complete. It leaves 1 protection debt(s).',
    plans: [
      plan({
        mode: 'unplanned',
        compiledAt: base + 300,
        facts: facts({
          classified: {
            state: 'sourceLost',
            region: 'eu-west',
            text: 'eu-west does not answer, eu-central can be promoted',
            missing: [],
          },
          lag: { 'orders-db': null },
          loss: {
            kind: 'bounded',
            fromTime: new Date(base - 3_100).toISOString(),
            toTime: new Date(base - 1_200).toISOString(),
            seconds: 1.9,
            atLeastBytes: 18_240,
            atMostBytes: null,
            note: 'asynchronous replication: acknowledged writes of the window may be missing',
          },
        }),
      }),
    ],
    decisions: [
      {
        ...record.decisions[0]!,
        at: base + 3_000,
        maxLoss: { seconds: 60, bytes: null },
        comment: '',
      },
      {
        ...record.decisions[0]!,
        gate: 'promote.1',
        at: base + 4_900,
        maxLoss: { seconds: 60, bytes: null },
        override: ['weakFence'],
        comment: 'the host is powered off, I saw it',
      },
    ],
    messages: [],
    steps: steps(
      [
        [
          'ping:rampart.eu-west',
          'preflight',
          320,
          1_320,
          {
            state: 'failed',
            error: { type: 'ProviderUnavailable', message: 'no worker on rampart.eu-west' },
          },
        ],
        ['claim:orders-db@eu-central', 'prepare', 3_100, 3_150],
        [
          'fence:orders-db@eu-west',
          'fence',
          3_200,
          4_210,
          {
            state: 'failed',
            error: { type: 'NotFenced', message: 'nobody answers on 10.0.1.5:5432: "stopped" cannot be proven' },
          },
        ],
        ['awaitCatchUp:orders-db@eu-central', 'catch-up', 4_220, 4_260],
        ['promote:orders-db@eu-central', 'promote', 5_000, 5_060],
        ['verifyWritable:orders-db@eu-central', 'verify', 5_070, 5_090],
        ['setWeights:writer', 'route', 5_100, 5_130],
        ['setWeights:edge-100', 'ramp', 5_140, 5_170],
        ['verifyWeights:edge-100', 'ramp', 5_180, 5_600],
        ['analyse:edge-100', 'ramp', 5_610, 7_620],
      ],
      base,
    ),
    undos: [],
    ramp: [{ ...record.ramp[3]!, setAt: base + 5_170 }],
    freeze: { startedAt: null, endedAt: null, budgetMs: 0, exceeded: false },
    pointOfNoReturn: { stepId: 'promote:orders-db@eu-central', crossedAt: base + 4_990, revokedAt: null },
    loss: {
      kind: 'bounded',
      fromTime: new Date(base - 3_100).toISOString(),
      toTime: new Date(base - 1_200).toISOString(),
      seconds: 1.9,
      atLeastBytes: 18_240,
      atMostBytes: null,
      note: 'asynchronous replication: acknowledged writes of the window may be missing; the rows stay readable in eu-west',
    },
    waitedForPeopleMs: 3_200,
    dataReadyAt: base + 5_090,
    trafficCompleteAt: base + 7_620,
    findings: [
      {
        code: 'sourceUnreachable',
        severity: 'warning',
        component: 'orders-db',
        region: 'eu-west',
        message: 'orders-db in eu-west does not answer on 10.0.1.5:5432',
        remedy: 'make sure that it cannot start again: power it off, or fence its host',
      },
    ],
    debt: [
      {
        code: 'replicaMissing',
        component: 'orders-db',
        region: 'eu-west',
        message: 'orders-db in eu-west is no replica: eu-central is unprotected',
        remedy: 'rampart reprotect checkout',
      },
    ],
    log: [{ at: base + 300, text: 'plan 4be1c9d27a60: failover eu-west → eu-central (unplanned)' }],
    waits: [],
  };
}

export const unplannedLoad: LoadResult = {
  acknowledged: 4_410,
  lost: 37,
  duplicated: 0,
  writeGapMs: 6_310,
  lostInsideStatement: true,
  errors: 61,
  firstLostAt: T0 + 600_000 - 3_020,
  lastLostAt: T0 + 600_000 - 1_240,
};

/** Aborted in the freeze: fence undone, everything back, nothing promoted. */
export function rolledBack(): RunRecord {
  const record = plannedFailover();
  const kept = record.steps.filter((s) => ['preflight', 'prepare', 'fence'].includes(s.stage));
  return {
    ...record,
    endedAt: T0 + 49_400,
    outcome: 'rolledBack',
    text: 'awaitCatchUp:orders-db@eu-central failed: the replica is paused. Everything is as it was before the run.',
    steps: [
      ...kept,
      ...steps([
        [
          'awaitCatchUp:orders-db@eu-central',
          'catch-up',
          48_560,
          49_000,
          { state: 'failed', scheduled: 2, error: { type: 'PreconditionFailed', message: 'the replica is paused' } },
        ],
      ]),
    ],
    undos: [
      {
        stepId: 'fence:orders-db@eu-west',
        summary: 'Unfence orders-db in eu-west',
        state: 'done',
        startedAt: T0 + 49_010,
        endedAt: T0 + 49_140,
        note: '',
      },
      {
        stepId: 'scaleWorkload:app@eu-central',
        summary: 'Restore app in eu-central',
        state: 'done',
        startedAt: T0 + 49_150,
        endedAt: T0 + 49_300,
        note: '',
      },
    ],
    ramp: [],
    freeze: { startedAt: T0 + 48_495, endedAt: T0 + 49_145, budgetMs: 30_000, exceeded: false },
    pointOfNoReturn: { stepId: null, crossedAt: null, revokedAt: null },
    loss: null,
    dataReadyAt: null,
    trafficCompleteAt: null,
  };
}

/** As it is while the gate waits: nothing decided, nothing ended. */
export function waiting(): RunRecord {
  const record = plannedFailover();
  return {
    ...record,
    endedAt: null,
    outcome: null,
    text: '',
    decisions: [],
    messages: [],
    steps: record.steps.filter((s) => s.stage === 'preflight'),
    undos: [],
    ramp: [],
    freeze: { startedAt: null, endedAt: null, budgetMs: 0, exceeded: false },
    pointOfNoReturn: { stepId: null, crossedAt: null, revokedAt: null },
    loss: null,
    waitedForPeopleMs: 0,
    dataReadyAt: null,
    trafficCompleteAt: null,
    log: record.log.slice(0, 2),
    waits: [{ kind: 'gate', name: 'cutover.1', startedAt: T0 + 400, endedAt: null }],
  };
}

/** What a run cannot know by itself, and what others write into its record. */
export function told(): Partial<RunRecord> {
  const lag = (ms: number, seconds: number | null) => ({
    at: T0 + ms,
    component: 'orders-db',
    region: 'eu-central',
    seconds,
  });
  return {
    impactStartAt: T0 - 60_000,
    impactStartBasis: 'measured',
    detectedAt: T0 - 10_000,
    assertions: [
      { name: 'dwell', expr: 'run.dwell >= duration("30m")', severity: 'warn', met: true, note: 'run.dwell = 45 min' },
      { name: 'secrets', expr: 'checks["secrets"].passed', severity: 'fail', met: null, note: 'not recorded' },
    ],
    shown: [facts({ digest: 'at the gate', measuredAt: T0 + 40_000 })],
    dwell: { startedAt: T0 + 58_000, endedAt: T0 + 2_758_000 },
    failback: {
      ...{ workflowId: 'failover/checkout', runId: 'back', outcome: 'completed' },
      ...{ startedAt: T0 + 2_758_000, endedAt: T0 + 2_800_000 },
    },
    lagSamples: [lag(0, 0.2), lag(10_000, 0.4), lag(20_000, null), lag(30_000, 50), lag(47_000, 0)],
    context: {
      ...{ testType: 'full', scenario: 'eu-west is lost', expected: 'no order is lost', environment: 'production' },
      ...{
        assumptions: ['traffic of a weekday'],
        references: ['BIA-7', 'CHG-1234'],
        thirdParties: ['the DNS provider'],
      },
      nextDueAt: T0 + 90 * 86_400_000,
    },
  };
}
