/** What runs leave behind, as gauges: the last of each service, kept until a later one says otherwise. Pure. */
import { phasesOf } from '../evidence/clocks.ts';
import { recoveryPointMs } from '../evidence/objectives.ts';
import type { DrillRecord, PlanRecord, RunRecord } from '../evidence/record.ts';
import { type ObjectiveLabel, objectiveLabel } from '../metrics/objective.ts';
import type { Registry } from '../metrics/registry.ts';

/** A run that is open, as lists of Temporal show it. */
export interface OpenRun {
  service: string;
  action: string;
  mode: string;
  /** The search attribute RampartPhase: `waiting:cutover`, `holding`, a stage; `null` when it is not registered. */
  phase: string | null;
  /** Whom it waits for, as RampartAwaiting has it. */
  awaiting: readonly string[];
}

/** A run that has ended. */
export interface ClosedRun {
  service: string;
  action: string;
  /** In milliseconds since the epoch. */
  closedAt: number;
  /** How Temporal says that it ended, for runs without a record: `terminated`, `timedOut`, … */
  status: string;
  record: RunRecord | null;
  drill: DrillRecord | null;
}

/** What is known of one service. */
interface Last {
  run: { at: number; action: string; result: string } | null;
  /** By mode, in seconds. */
  recovery: Record<string, { time: number | null; point: number | null }>;
  objectives: Partial<Record<ObjectiveLabel, boolean>>;
  undosFailed: number;
  /** By code. */
  debt: Record<string, number>;
  /** Codes of what blocked the last plan; `null`: none was made. */
  blockers: string[] | null;
  /** By kind. */
  drills: Record<string, { at: number; passed: boolean; passedAt: number | null }>;
}

/** These say what the service is protected by, so that what one of them leaves replaces what an earlier one left. */
const PROTECTING: readonly string[] = ['failover', 'failback', 'reprotect', 'refence'];
/** Ended without having done anything. */
const IDLE: readonly string[] = ['nothingToDo', 'refused', 'withdrawn', 'cancelled'];

/** Drills that were none. */
const NOT_HELD: readonly string[] = ['refused', 'withdrawn', 'skipped'];

const blockersOf = ({ facts }: PlanRecord): string[] =>
  [...new Set(facts.blockers.map(({ code }) => code))].sort((a, b) => a.localeCompare(b));

/** The last runs of every service. Runs must be given in the order in which they ended. */
export class LastRuns {
  readonly #services = new Map<string, Last>();

  take(run: ClosedRun): void {
    if (run.drill !== null) this.#takeDrill(run.drill, run.closedAt);
    else if (run.record !== null) this.#takeRecord(run.record, run.closedAt, null);
    // Canceled without a record: asked to go before it did anything.
    else if (run.status !== 'cancelled')
      this.#of(run.service).run = { at: run.closedAt, action: run.action, result: run.status };
  }

  #takeDrill(drill: DrillRecord, closedAt: number): void {
    for (const leg of drill.legs) if (leg.endedAt !== null) this.#takeRecord(leg, leg.endedAt, 'drill');
    const last = this.#of(drill.service);
    if (drill.rehearsal !== undefined) last.blockers = blockersOf(drill.rehearsal);
    const { verdict, kind = 'full' } = drill;
    if (verdict === null || NOT_HELD.includes(verdict)) return;
    if (drill.legs.length > 0) last.run = { at: closedAt, action: 'drill', result: verdict };
    const passed = verdict === 'passed';
    last.drills[kind] = { at: closedAt, passed, passedAt: passed ? closedAt : (last.drills[kind]?.passedAt ?? null) };
  }

  /** @param planned what a planned run counts as: a leg of a drill is no failover of an ordinary day */
  #takeRecord(record: RunRecord, at: number, planned: string | null): void {
    const last = this.#of(record.service);
    const outcome = record.outcome ?? 'needsHuman';
    const plan = record.plans.at(-1);
    if (plan !== undefined) last.blockers = blockersOf(plan);
    if (outcome === 'nothingToDo' && record.action === 'reprotect') last.debt = {};
    if (IDLE.includes(outcome)) return;
    last.run = { at, action: record.action, result: outcome };
    last.undosFailed = record.undos.filter(({ state }) => state === 'failed' || state === 'debt').length;
    if (PROTECTING.includes(record.action)) last.debt = {};
    for (const { code } of record.debt) last.debt[code] = (last.debt[code] ?? 0) + 1;
    if (record.pointOfNoReturn.crossedAt === null) return;
    const mode = record.mode === 'planned' ? (planned ?? 'planned') : record.mode;
    const recovery = phasesOf(record).find(({ name }) => name === 'Recovery');
    const point = recoveryPointMs(record);
    last.recovery[mode] = {
      time: recovery === undefined ? null : recovery.totalMs / 1000,
      point: point === null ? null : point / 1000,
    };
    last.objectives = {};
    for (const { name, met } of record.objectives) {
      const label = objectiveLabel(name);
      // Several of one kind: met is what all of them are.
      if (met !== null) last.objectives[label] = met && last.objectives[label] !== false;
    }
  }

  /** @param freshForMs how long it may be shown without another reading */
  publish(registry: Registry, freshForMs: number): void {
    for (const name of OF_LAST_RUNS) registry.clear(name, {});
    for (const [service, last] of this.#services) {
      if (last.run !== null) {
        const { at, action, result } = last.run;
        registry.set('rampart_last_run_timestamp_seconds', { service, action, result }, at / 1000, freshForMs);
        registry.set('rampart_compensations_failed', { service }, last.undosFailed, freshForMs);
      }
      for (const [mode, { time, point }] of Object.entries(last.recovery)) {
        registry.set('rampart_recovery_time_seconds', { service, mode }, time ?? Number.NaN, freshForMs);
        registry.set('rampart_recovery_point_seconds', { service, mode }, point ?? Number.NaN, freshForMs);
      }
      for (const [objective, met] of Object.entries(last.objectives))
        registry.set('rampart_objective_met', { service, objective }, met ? 1 : 0, freshForMs);
      for (const [code, n] of Object.entries(last.debt))
        registry.set('rampart_protection_debt', { service, code }, n, freshForMs);
      if (last.blockers !== null) {
        const ready = last.blockers.length === 0 ? 1 : 0;
        registry.set('rampart_preflight_status', { service, check: 'all' }, ready, freshForMs);
        for (const check of last.blockers) registry.set('rampart_preflight_status', { service, check }, 0, freshForMs);
      }
      for (const [kind, { at, passed, passedAt }] of Object.entries(last.drills)) {
        const pass = passedAt === null ? Number.NaN : passedAt / 1000;
        registry.set('rampart_last_drill_timestamp_seconds', { service, kind }, at / 1000, freshForMs);
        registry.set('rampart_last_drill_pass_timestamp_seconds', { service, kind }, pass, freshForMs);
        registry.set('rampart_last_drill_success', { service, kind }, passed ? 1 : 0, freshForMs);
      }
    }
  }

  #of(service: string): Last {
    let last = this.#services.get(service);
    if (last === undefined) {
      const nothing = {
        run: null,
        recovery: {},
        objectives: {},
        undosFailed: 0,
        debt: {},
        blockers: null,
        drills: {},
      };
      last = nothing;
      this.#services.set(service, last);
    }
    return last;
  }
}

const OF_LAST_RUNS = [
  'rampart_last_run_timestamp_seconds',
  'rampart_compensations_failed',
  'rampart_recovery_time_seconds',
  'rampart_recovery_point_seconds',
  'rampart_objective_met',
  'rampart_protection_debt',
  'rampart_preflight_status',
  'rampart_last_drill_timestamp_seconds',
  'rampart_last_drill_pass_timestamp_seconds',
  'rampart_last_drill_success',
] as const;

export function publishOpen(registry: Registry, runs: readonly OpenRun[], freshForMs: number): void {
  for (const name of ['rampart_run_active', 'rampart_run_waiting', 'rampart_approval_pending'] as const)
    registry.clear(name, {});
  for (const { service, action, mode, phase, awaiting } of runs) {
    registry.set('rampart_run_active', { service, action, mode }, 1, freshForMs);
    const gate = /^waiting:(.+)$/.exec(phase ?? '')?.[1];
    if (gate !== undefined) registry.set('rampart_approval_pending', { service, gate }, 1, freshForMs);
    const reason = gate !== undefined ? 'gate' : phase === 'holding' ? 'hold' : awaiting.length > 0 ? 'pause' : null;
    if (reason !== null) registry.set('rampart_run_waiting', { service, reason }, 1, freshForMs);
  }
}
