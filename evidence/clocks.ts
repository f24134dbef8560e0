/**
 * When things happened in a run, and how its time was spent. Pure and free of Node built-ins, so that a workflow may
 * use it too.
 *
 * The clocks: T0 the impact starts, T1 it is detected, T2 people declare that the run shall go on, T3 the run starts,
 * T4 the promoted store is proven writable, T5 all traffic has moved, T6 the last checks are green. (A run that
 * proposes and then asks starts before it is declared, so T3 may come before T2.) The recovery time achieved is
 * T6 − T0. A planned run harms nobody before it is approved, so its T0 is T2.
 */
import type { Millis } from '../drivers/ports.ts';
import type { RunRecord } from './record.ts';

export type ClockId = 'T0' | 'T1' | 'T2' | 'T3' | 'T4' | 'T5' | 'T6';

/** How a value is known: read from a clock or a system, worked out or told, or not at all. */
export type Basis = 'measured' | 'estimated' | 'unknown';

export interface Clock {
  id: ClockId;
  name: string;
  at: Millis | null;
  basis: Basis;
  /** Where the time is from, or why there is none. */
  source: string;
}

export interface Times {
  /** From start to end, or to the last thing the record knows; `null` when it knows nothing. */
  totalMs: number | null;
  waitingMs: number;
  /** Total without waiting for people. */
  machineMs: number | null;
  freezeMs: number | null;
}

/** A stretch between two clocks, and whose time it was. Milliseconds. */
export interface Phase {
  name: string;
  from: ClockId;
  to: ClockId;
  totalMs: number;
  /** Before the run had started: neither Rampart nor anybody it asked. */
  beforeMs: number;
  /** The run did nothing but wait for people. */
  peopleMs: number;
  machineMs: number;
  basis: Basis;
}

/** Last moment a record speaks of, for runs that have not ended. */
export function lastKnown(record: RunRecord): Millis | null {
  const all = [
    record.startedAt,
    record.endedAt,
    ...record.steps.flatMap((s) => [s.startedAt, s.endedAt]),
    ...record.log.map((l) => l.at),
    ...record.messages.map((m) => m.at),
  ].filter((at): at is number => typeof at === 'number' && Number.isFinite(at));
  return all.length === 0 ? null : all.reduce((a, b) => Math.max(a, b));
}

export function timesOf(record: RunRecord): Times {
  const end = record.endedAt ?? lastKnown(record);
  const totalMs = end === null || !Number.isFinite(record.startedAt) ? null : Math.max(0, end - record.startedAt);
  const waitingMs = record.waitedForPeopleMs;
  const { startedAt, endedAt } = record.freeze;
  return {
    totalMs,
    waitingMs,
    machineMs: totalMs === null ? null : Math.max(0, totalMs - waitingMs),
    freezeMs: startedAt === null || endedAt === null ? null : endedAt - startedAt,
  };
}

/** The seven clocks; those nobody wrote down are `null` and say so. */
export function clocksOf(record: RunRecord): Clock[] {
  const declared = declaredOf(record);
  const started = Number.isFinite(record.startedAt) ? record.startedAt : null;
  return [
    clock('T0', 'Impact start', impactOf(record, declared[0])),
    clock('T1', 'Detected', [record.detectedAt ?? null, 'measured', 'given with the request'], 'not recorded'),
    clock('T2', 'Declared', declared),
    clock('T3', 'Started', [started, 'measured', 'Temporal'], 'not recorded'),
    clock('T4', 'Data ready', [record.dataReadyAt, 'measured', 'write probe on the promoted store'], 'not reached'),
    clock('T5', 'Traffic complete', [record.trafficCompleteAt, 'measured', 'last weight read back'], 'not reached'),
    clock('T6', 'Healthy', healthyOf(record)),
  ];
}

type Reading = readonly [at: Millis | null, basis: Basis, source: string];

function clock(id: ClockId, name: string, [at, basis, source]: Reading, without = source): Clock {
  return at === null ? { id, name, at, basis: 'unknown', source: without } : { id, name, at, basis, source };
}

/** A drill's gates begin with their leg: `leg1.cutover.1`. */
const CUTOVER = /^(leg\d+\.)?cutover\./;

function declaredOf(record: RunRecord): Reading {
  const approved = record.decisions.findLast((d) => d.decision === 'approve' && CUTOVER.test(d.gate));
  if (approved !== undefined) return [approved.at, 'measured', `approved by ${approved.by}`];
  if (record.steps.some((s) => s.stage !== 'preflight'))
    return [record.startedAt, 'measured', 'the start of the run: nobody had to decide'];
  return [null, 'unknown', 'not decided'];
}

/**
 * When the impact began. Without anybody's word, an unplanned run knows at least that the source still worked at the
 * start of the loss window: counted from there, the recovery time is an upper bound.
 */
function impactOf(record: RunRecord, declared: Millis | null): Reading {
  if (typeof record.impactStartAt === 'number') {
    const basis = record.impactStartBasis ?? 'estimated';
    return [record.impactStartAt, basis, basis === 'measured' ? 'the start of the alert' : 'given with the request'];
  }
  if (record.mode === 'planned') return [declared, 'measured', 'T2: a planned run harms nobody before it is approved'];
  const window = Date.parse(record.loss?.fromTime ?? record.plans.at(-1)?.facts?.loss?.fromTime ?? '');
  return Number.isNaN(window)
    ? [null, 'unknown', 'not given, and no reading of the source is older than the impact']
    : [window, 'estimated', 'last reading at which the source surely worked: the impact began later'];
}

/** Without a bake nobody looked at the health afterwards: the time is the one at which nothing was left to do. */
function healthyOf(record: RunRecord): Reading {
  const baked = record.steps.findLast((s) => s.verb === 'analyse' && s.state === 'done')?.endedAt ?? null;
  if (baked !== null) return [baked, 'measured', 'last bake passed'];
  if (record.trafficCompleteAt !== null) return [record.trafficCompleteAt, 'estimated', 'T5: no bake was asked for'];
  if (record.outcome === 'completed' && record.dataReadyAt !== null)
    return [record.dataReadyAt, 'estimated', 'T4: there is no traffic to move'];
  return [null, 'unknown', 'not reached'];
}

const PHASES: ReadonlyArray<readonly [name: string, from: ClockId, to: ClockId]> = [
  ['Detection', 'T0', 'T1'],
  ['Declaration', 'T1', 'T2'],
  ['Data', 'T2', 'T4'],
  ['Traffic', 'T4', 'T5'],
  ['Settling', 'T5', 'T6'],
  ['Orchestrated', 'T2', 'T6'],
  ['Recovery', 'T0', 'T6'],
];

/** The stretches between clocks that are both known and in order; machine time and waiting for people apart. */
export function phasesOf(record: RunRecord): Phase[] {
  const clocks = Object.fromEntries(clocksOf(record).map((c) => [c.id, c])) as Record<ClockId, Clock>;
  const waits = waitsOf(record);
  return PHASES.flatMap(([name, from, to]) => {
    const [a, b] = [clocks[from], clocks[to]];
    if (a.at === null || b.at === null || b.at < a.at) return [];
    const totalMs = b.at - a.at;
    const began = Number.isFinite(record.startedAt) ? record.startedAt : b.at;
    const beforeMs = Math.max(0, Math.min(b.at, began) - a.at);
    const peopleMs = waits.reduce((sum, [s, e]) => sum + Math.max(0, Math.min(e, b.at!) - Math.max(s, a.at!)), 0);
    const machineMs = Math.max(0, totalMs - beforeMs - peopleMs);
    const basis: Basis = a.basis === 'measured' && b.basis === 'measured' ? 'measured' : 'estimated';
    return [{ name, from, to, totalMs, beforeMs, peopleMs, machineMs, basis }];
  });
}

/** Waits for people, in order, those that overlap joined: a pause inside a gate's wait counts once. */
function waitsOf(record: RunRecord): Array<[from: Millis, to: Millis]> {
  const end = record.endedAt ?? lastKnown(record);
  const sorted = (record.waits ?? [])
    .map((w): [Millis, Millis] => [w.startedAt, w.endedAt ?? end ?? w.startedAt])
    .filter(([from, to]) => Number.isFinite(from) && Number.isFinite(to) && to > from)
    .sort((a, b) => a[0] - b[0]);
  const out: Array<[Millis, Millis]> = [];
  for (const [from, to] of sorted) {
    const last = out.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else out.push([from, to]);
  }
  return out;
}
