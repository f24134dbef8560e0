/** What assertions may speak of: the variables, and their values for one run. Pure. */
import { evaluate } from '@marcbachmann/cel-js';
import type { Millis } from '../drivers/ports.ts';
import { clocksOf, phasesOf, timesOf } from './clocks.ts';
import { listedOf } from './left-behind.ts';
import { type LoadResult, recoveryPointMs } from './objectives.ts';
import type { RunRecord, StepRecord } from './record.ts';

const DURATION = 'google.protobuf.Duration';
const TIME = 'google.protobuf.Timestamp';

/** One entry of `checks`. */
export class Check {
  constructor(values: Record<string, unknown>) {
    Object.assign(this, values);
  }
}

/** One entry of `steps`. */
export class Step extends Check {}

export interface Variable {
  name: string;
  fields: Record<string, string>;
  /** What each field means. */
  what: Record<string, string>;
  /** A map by name to entries of this class. */
  entries?: typeof Check;
}

/** Names, types and, for the documentation, meanings. */
export const VARIABLES: readonly Variable[] = [
  variable('run', {
    service: ['string', 'service'],
    owner: ['string', 'its owner'],
    tier: ['string', 'its tier'],
    action: ['string', '`failover`, `failback`, `trafficRamp`, …'],
    mode: ['string', '`planned` or `unplanned`'],
    from: ['string', 'region it left'],
    to: ['string', 'region it went to'],
    outcome: ['string', '`completed`, `rolledBack`, …; absent while it runs'],
    total: [DURATION, 'from start to end'],
    machine: [DURATION, 'the same without waiting for people'],
    people: [DURATION, 'waiting for people'],
    rta: [DURATION, 'recovery time achieved: T6 − T0'],
    orchestrated: [DURATION, 'T6 − T2'],
    rpa: [DURATION, 'recovery point achieved: the stated loss, its upper bound'],
    writeUnavailable: [
      DURATION,
      'nobody could write: the freeze; unplanned, from T0 until the writer points at the target',
    ],
    writeGap: [DURATION, 'longest time between two acknowledged writes, as clients saw it'],
    dwell: [DURATION, 'time on the other side before the way back'],
    lost: [
      'int',
      'acknowledged writes that are missing: counted by clients, else transactions that the old side alone holds',
    ],
    duplicated: ['int', 'writes that are there twice, as clients counted'],
    debts: ['int', 'protection debts left'],
    overrides: ['list<string>', 'codes that people overrode'],
    retried: ['int', 'steps that were tried more than once'],
    escalated: ['bool', 'it was turned into an unplanned run'],
    promoted: ['bool', 'the point of no return was crossed and not revoked'],
  }),
  variable('clocks', {
    impactStart: [TIME, 'T0'],
    detected: [TIME, 'T1'],
    declared: [TIME, 'T2'],
    started: [TIME, 'T3'],
    dataReady: [TIME, 'T4'],
    trafficComplete: [TIME, 'T5'],
    healthy: [TIME, 'T6'],
  }),
  variable('objectives', {
    rto: [DURATION, "the tier's recovery time objective"],
    rpo: [DURATION, "the tier's recovery point objective"],
    freezeBudget: [DURATION, "the tier's freeze budget"],
  }),
  variable(
    'checks',
    {
      passed: ['bool', 'its last measurement passed'],
      outcome: ['string', '`pass`, `fail` or `unknown`'],
      observed: ['string', 'what it saw'],
      value: ['double', 'the same, where it is a number'],
      at: [TIME, 'when it was last measured'],
      passedAt: [TIME, 'since when it has passed without a break'],
      measured: ['int', 'how often it was measured and recorded'],
      failed: ['int', 'how often of these it did not pass'],
    },
    Check,
  ),
  variable(
    'steps',
    {
      state: ['string', '`done`, `failed`, `skipped`, `cancelled` or `running`'],
      took: [DURATION, 'how long it took'],
      startedAt: [TIME, 'when it started'],
      endedAt: [TIME, 'when it ended'],
      facts: ['map<string, dyn>', 'what it reported, as the report lists it'],
      answer: ['dyn', "an own step's answer, or what it printed, where that is JSON"],
    },
    Step,
  ),
];

function variable(
  name: string,
  fields: Record<string, readonly [type: string, what: string]>,
  entries?: typeof Check,
): Variable {
  const pick = (i: 0 | 1) => Object.fromEntries(Object.entries(fields).map(([key, pair]) => [key, pair[i]]));
  return { name, fields: pick(0), what: pick(1), ...(entries === undefined ? {} : { entries }) };
}

/** A duration as CEL has it, from milliseconds. The library has no other way to make one. */
const span = (ms: number): unknown => evaluate('duration(text)', { text: `${ms}ms` });
const spanOf = (ms: number | null | undefined): unknown =>
  typeof ms === 'number' && Number.isFinite(ms) ? span(ms) : undefined;
const timeOf = (at: Millis | null | undefined): Date | undefined =>
  typeof at === 'number' && Math.abs(at) <= 8.64e15 ? new Date(at) : undefined;
const intOf = (n: number | null | undefined): bigint | undefined =>
  typeof n === 'number' && Number.isInteger(n) ? BigInt(n) : undefined;
const textOf = (text: string | null | undefined): string | undefined => text || undefined;

/** Leaves out what is not known, so that it is absent for `has`. */
const known = (values: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

/** The value of every variable for a run. */
export function valuesOf(record: RunRecord, load: LoadResult | null): Record<string, unknown> {
  const clocks = clocksOf(record).map(({ at }) => timeOf(at));
  const [impactStart, detected, declared, started, dataReady, trafficComplete, healthy] = clocks;
  return {
    run: runValues(record, load),
    clocks: known({ impactStart, detected, declared, started, dataReady, trafficComplete, healthy }),
    objectives: known({
      rto: spanOf(record.targets?.rtoMs),
      rpo: spanOf(record.targets?.rpoMs),
      freezeBudget: spanOf(record.targets?.freezeBudgetMs),
    }),
    checks: checkValues(record),
    steps: Object.fromEntries(record.steps.map((step) => [step.id, new Step(known(stepValues(step)))])),
  };
}

function runValues(record: RunRecord, load: LoadResult | null): Record<string, unknown> {
  const times = timesOf(record);
  const phase = (name: string) => phasesOf(record).find((p) => p.name === name)?.totalMs;
  const { crossedAt, revokedAt } = record.pointOfNoReturn;
  const over = record.endedAt !== null;
  return known({
    service: textOf(record.service),
    owner: textOf(record.owner),
    tier: textOf(record.tier),
    action: textOf(record.action),
    mode: textOf(record.mode),
    from: textOf(record.from),
    to: textOf(record.to),
    outcome: textOf(record.outcome),
    total: over ? spanOf(times.totalMs) : undefined,
    machine: over ? spanOf(times.machineMs) : undefined,
    people: spanOf(record.waitedForPeopleMs),
    rta: spanOf(phase('Recovery')),
    orchestrated: spanOf(phase('Orchestrated')),
    rpa: spanOf(recoveryPointMs(record)),
    writeUnavailable: spanOf(writeUnavailableMs(record)),
    writeGap: spanOf(load?.writeGapMs),
    dwell: record.dwell?.endedAt == null ? undefined : spanOf(record.dwell.endedAt - record.dwell.startedAt),
    lost: intOf(load === null ? lostRows(record) : load.lost),
    duplicated: intOf(load?.duplicated),
    debts: BigInt(record.debt.length),
    overrides: [...(record.request.override ?? []), ...record.decisions.flatMap((d) => d.override)],
    retried: BigInt(record.steps.filter((s) => s.scheduled > 1).length),
    escalated: record.messages.some((m) => m.verb === 'escalate' && m.applied),
    promoted: crossedAt !== null && revokedAt === null,
  });
}

/**
 * How long nobody could write. A planned run stops the writes itself and knows when; in an unplanned one they stopped
 * when the impact began, which is then the earliest time that is known for it.
 */
function writeUnavailableMs(record: RunRecord): number | undefined {
  const { startedAt, endedAt } = record.freeze;
  if (record.mode === 'planned') {
    if (startedAt !== null) return endedAt === null ? undefined : endedAt - startedAt;
    return record.outcome === null ? undefined : 0;
  }
  const from = clocksOf(record)[0]!.at;
  const routed = record.steps.filter((s) => s.stage === 'route' && s.state === 'done').map((s) => s.endedAt ?? 0);
  const to = routed.length > 0 ? Math.max(...routed) : record.dataReadyAt;
  return from === null || to === null ? undefined : Math.max(0, to - from);
}

/** Transactions that did not arrive, where every node's listing is whole. */
function lostRows(record: RunRecord): number | undefined {
  if (record.loss?.kind === 'none') return 0;
  const listed = listedOf(record).map(({ one }) => one);
  const whole = listed.every((one) => one.kind === 'none' || (one.kind === 'listed' && one.complete));
  if (listed.length === 0 || !whole) return undefined;
  // Nodes of one side hold the same log: the longest listing is the loss.
  return Math.max(...listed.map((one) => (one.kind === 'none' ? 0 : (one.transactions ?? Number.NaN))));
}

function stepValues(step: StepRecord): Record<string, unknown> {
  return {
    state: step.state,
    took: step.endedAt === null ? undefined : spanOf(step.endedAt - step.startedAt),
    startedAt: timeOf(step.startedAt),
    endedAt: timeOf(step.endedAt),
    facts: step.facts,
    answer: answerOf(step),
  };
}

/** The JSON that a team's own step answered (HTTP) or printed (command). */
function answerOf(step: StepRecord): unknown {
  const said = step.facts.body ?? step.facts.stdout;
  if (typeof said !== 'string') return undefined;
  try {
    return JSON.parse(said) as unknown;
  } catch {
    return undefined;
  }
}

interface Measurement {
  at: number;
  outcome: string;
  observed: string;
}

/** As activities write a measurement into a bake: `name: pass, observed 200 against 200 (4 ms)`. */
const LINE = /^([^\s:]+): (pass|fail|unknown), observed (.*) against /s;

/** By the check's name in the region the run went to, and by `name@region` in each. */
function checkValues(record: RunRecord): Record<string, Check> {
  const found = new Map<string, Measurement[]>();
  const add = (name: string, region: string | null, measurement: Measurement): void => {
    const names = [...(region === null ? [] : [`${name}@${region}`]), ...(region === record.to ? [name] : [])];
    for (const key of names) found.set(key, [...(found.get(key) ?? []), measurement]);
  };
  for (const step of record.steps) {
    const at = step.endedAt;
    if (at === null) continue;
    const { outcome, observed, measurements } = step.facts;
    if (step.verb === 'runCheck' && step.component !== null)
      add(step.component, step.region, {
        at,
        outcome: step.state === 'failed' ? 'fail' : String(outcome ?? 'unknown'),
        observed: String(observed ?? ''),
      });
    if (step.verb === 'analyse' && Array.isArray(measurements))
      for (const line of measurements) {
        const [, name, result, seen] = LINE.exec(String(line)) ?? [];
        if (name !== undefined) add(name, step.region ?? record.to, { at, outcome: result!, observed: seen! });
      }
  }
  for (const { name, at, outcome, observed } of record.dwell?.checks ?? [])
    add(name, record.to, { at, outcome, observed });
  return Object.fromEntries(
    [...found].map(([name, list]) => [name, new Check(checkOf(list.sort((a, b) => a.at - b.at)))]),
  );
}

function checkOf(list: Measurement[]): Record<string, unknown> {
  const last = list.at(-1)!;
  const broken = list.findLastIndex((m) => m.outcome !== 'pass');
  return known({
    passed: last.outcome === 'pass',
    outcome: last.outcome,
    observed: last.observed,
    value: /^-?\d+(\.\d+)?$/.test(last.observed.trim()) ? Number(last.observed) : undefined,
    at: timeOf(last.at),
    passedAt: timeOf(list[broken + 1]?.at),
    measured: BigInt(list.length),
    failed: BigInt(list.filter((m) => m.outcome !== 'pass').length),
  });
}
