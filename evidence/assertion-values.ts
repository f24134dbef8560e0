/** What assertions speak of: the values of their variables for one run. Pure. */
import { evaluate } from '@marcbachmann/cel-js';
import type { Millis } from '../drivers/ports.ts';
import { Check, Step } from '../topology/assertions.ts';
import { clocksOf, phasesOf, timesOf } from './clocks.ts';
import { listedOf } from './left-behind.ts';
import { type LoadResult, recoveryPointMs } from './objectives.ts';
import type { RunRecord, StepRecord } from './record.ts';

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

/** Names of the values that are estimates in this record: told, or an upper bound. All others were measured. */
export function estimatedIn(record: RunRecord): Set<string> {
  const names = ['impactStart', 'detected', 'declared', 'started', 'dataReady', 'trafficComplete', 'healthy'];
  const clocks = clocksOf(record);
  const estimated = new Set(clocks.flatMap(({ basis }, i) => (basis === 'estimated' ? [`clocks.${names[i]!}`] : [])));
  for (const [phase, name] of [
    ['Recovery', 'run.rta'],
    ['Orchestrated', 'run.orchestrated'],
  ])
    if (phasesOf(record).some((p) => p.name === phase && p.basis === 'estimated')) estimated.add(name!);
  if (record.loss?.kind === 'bounded') estimated.add('run.rpa');
  if (record.mode === 'unplanned' && clocks[0]!.basis === 'estimated') estimated.add('run.writeUnavailable');
  return estimated;
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
