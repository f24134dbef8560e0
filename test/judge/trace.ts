/**
 * The neutral trace that the judge reads: what happened to a service's systems and runs, whoever wrote it down: the
 * simulation (from inside its model world), the crash matrix and the lab tests (from clients, logs, control data and
 * histories of real systems). Types and small helpers only.
 *
 * Rules for whoever writes one:
 * - events are in the order of their time, on ONE clock (milliseconds since the epoch);
 * - write what was observed, and leave out what was not: a predicate only judges what it is shown, so a trace without
 *   `mutation` events proves nothing about I6. `coverage` says which predicates had anything to judge;
 * - `by` is who did it: `rampart` (a driver's call), `system` (it did so by itself: a crash, an init system),
 *   `person` (somebody outside of Rampart), or `unknown`.
 */
import type { FenceStrength, Json, LossStatement, Weights } from '../../drivers/ports.ts';
import type { RunRecord } from '../../evidence/record.ts';
import type { GateView } from '../../workflows/contract.ts';

export type Actor = 'rampart' | 'system' | 'person' | 'unknown';

/** Numbers of client writes, in the order of their acknowledgement by one side; `from` and `to` are part of it. */
export interface WriteRange {
  from: number;
  to: number;
  /** When the first and the last of them were acknowledged. */
  firstAt: number;
  lastAt: number;
}

export interface TokenSeen {
  epoch: number;
  runId: string;
  seq: number;
}

/** What a fence receipt said when the run relied on it. */
export interface ProofSeen {
  region: string;
  cannotWrite: FenceStrength;
  /** Whether the final position was known. */
  final: boolean;
  provenAt: number;
}

/** A place a router may send traffic to, as it really was at that time; `null` = not observed. */
export interface PlaceSeen {
  healthy: boolean | null;
  /** Capacity that is there and that is wanted for the traffic. */
  capacity: { present: number; wanted: number } | null;
  /** Whether the stores there accept writes. */
  writable: boolean | null;
}

export type Happening =
  /** One side of a store begins or ends to accept writes. The state at the trace's beginning is given the same way. */
  | { kind: 'writable'; store: string; region: string; writable: boolean; by: Actor; timeline?: number | null }
  /** A driver proved a fence. */
  | { kind: 'proof'; store: string; run: string; proof: ProofSeen; durable: boolean }
  /**
   * A side was promoted. `required`: the weakest proof the tier accepts; `proofs`: those the run relied on;
   * `override`: codes people had accepted by then; `beside`: other sides that accepted writes then and could be
   * reached, with since when.
   */
  | {
      kind: 'promotion';
      store: string;
      region: string;
      from: string | null;
      by: Actor;
      run: string | null;
      mode: 'planned' | 'unplanned';
      required: FenceStrength;
      proofs: ProofSeen[];
      override: string[];
      beside?: Array<{ region: string; since: number }>;
    }
  /** Clients got these writes acknowledged by this side. */
  | ({ kind: 'acknowledged'; store: string; region: string } & WriteRange)
  /**
   * Counted at the end: acknowledged writes that the surviving side does not hold, by the side that acknowledged them.
   * `bytes`: their share of the log, when known.
   */
  | { kind: 'missing'; store: string; region: string; ranges: WriteRange[]; bytes: number | null }
  /** Whether writes that did not arrive can still be read on the side that acknowledged them. */
  | { kind: 'kept'; store: string; region: string; readable: boolean; by: Actor }
  /** A mutating call reached a system: whether its token was accepted, and whether anything changed. */
  | {
      kind: 'mutation';
      place: string;
      verb: string;
      token: TokenSeen | null;
      accepted: boolean;
      changed: boolean;
      why?: string;
    }
  /** Weights took effect in a router. `regions`: the places as they were at that moment. */
  | {
      kind: 'weights';
      router: string;
      type: 'endpoint' | 'weighted' | 'onOff';
      before: Weights;
      weights: Weights;
      by: Actor;
      regions: Record<string, PlaceSeen>;
    }
  /** A run made a router never answer with a region again, which had these weights at that moment. */
  | { kind: 'cutOff'; router: string; region: string; weights: Weights }
  /** A run counted a change of weights as done; `actual` is what the router had at that moment. */
  | { kind: 'counted'; router: string; run: string; claimed: Weights; actual: Weights | null }
  /** No run can go on: the Temporal server, or every worker that runs workflows, is away; and back. */
  | { kind: 'orchestrator'; available: boolean }
  /** The watchdog said something. */
  | { kind: 'alarm'; store: string; alarm: string; text: string }
  /** A region, or its worker, is away, and answers again: between the two nobody can act there. */
  | { kind: 'away' | 'back'; region: string }
  /** The test did this to the world; `touched`: keys of snapshots it changed, so that no run has to put them back. */
  | { kind: 'fault'; what: string; touched?: string[] }
  /** Everything a run may change and must put back: writable sides, weights, endpoints, sizes, TTLs, suspensions. */
  | { kind: 'snapshot'; run: string; moment: 'before' | 'after'; state: Record<string, Json> }
  /** `lost`: it is gone with its history, and said nothing at its end; the next one on its lock finds what it left. */
  | { kind: 'run'; run: string; lock: string; state: 'started' | 'refused' | 'closed' | 'lost'; text?: string }
  /** The run scheduled a step's activity, or an undo's. */
  | { kind: 'scheduled'; run: string; step: string; verb: string; store: string | null }
  | {
      kind: 'gate';
      run: string;
      gate: string;
      state: 'opened' | 'closed';
      expiresAt: number;
      loss: LossStatement | null;
    }
  /** Somebody looked at an open gate: what it asks to be accepted by name, and what of that its own facts stand for. */
  | { kind: 'asks'; run: string; gate: string; override: string[]; shown: string[] }
  | {
      kind: 'decision';
      run: string;
      /** Gate id the message names; `null` = it named none. */
      gate: string | null;
      by: string;
      decision: 'approve' | 'reject';
      /** Whether the run counted it. */
      applied: boolean;
      override: string[];
      maxLoss: { seconds: number | null; bytes: number | null } | null;
    }
  /** The run stated what is lost: in a receipt that the promotion is decided on. */
  | { kind: 'loss'; run: string; store: string; loss: LossStatement }
  /** A run went on relying on a reading whose true quality the observer knows. `accepted`: people overrode it by name. */
  | {
      kind: 'relied';
      run: string;
      mode: 'planned' | 'unplanned';
      on: string;
      quality: 'good' | 'bad' | 'stale' | 'missing' | 'contradictory';
      accepted: boolean;
    }
  /** The run waits for people, or is open at the end of the observation, and says this. */
  | { kind: 'waiting'; run: string; text: string; choices: string[] }
  /** The run's record, when it closed or at the end of the observation. */
  | { kind: 'record'; run: string; record: RunRecord }
  /** Anything people or machines keep: histories, logs, metrics, reports. Searched for secrets. */
  | { kind: 'text'; where: string; text: string };

export type TraceEvent = { at: number } & Happening;

export interface Trace {
  /** What was done, for the reader: a seed, a cell of the crash matrix, a test's name. */
  name: string;
  /** Longest time nobody may be able to write before the point of no return, in milliseconds. */
  freezeBudgetMs: number;
  /**
   * How much later than due something may be seen, in milliseconds: the run's own reaction plus the observer's
   * coarseness. Zero in a simulation would demand that undos take no time.
   */
  graceMs: number;
  /** Oldest fence proof that a promotion may rely on when the system is asked, in milliseconds. */
  proofAgeMs: number;
  /** Texts that must not appear anywhere. */
  secrets: string[];
  events: TraceEvent[];
}

/** A trace in which nothing happened yet. Defaults are the PostgreSQL driver's and the `critical` tier's. */
export function emptyTrace(name: string, options: Partial<Omit<Trace, 'name' | 'events'>> = {}): Trace {
  return { name, freezeBudgetMs: 30_000, graceMs: 15_000, proofAgeMs: 10_000, secrets: [], ...options, events: [] };
}

/** One event a line, for a file beside a failing test. */
export function formatTrace(trace: Trace): string {
  const { events, ...head } = trace;
  return `${[head, ...events].map((line) => JSON.stringify(line)).join('\n')}\n`;
}

/** @throws SyntaxError for a line that is no JSON */
export function parseTrace(text: string): Trace {
  const [head, ...events] = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
  return { ...(head as Omit<Trace, 'events'>), events: events as TraceEvent[] };
}

/** What somebody sees who looks at an open gate. The one before a promotion asks for reasons of its own: nothing of it. */
export function asksOf(run: string, { id, name, needsOverride, facts }: GateView): Happening[] {
  if (name === 'promote') return [];
  const shown = facts.blockers.flatMap(({ override }) => (override === undefined ? [] : [override]));
  return [{ kind: 'asks', run, gate: id, override: needsOverride, shown }];
}
