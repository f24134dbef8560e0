/** The judge's trace of what a cell did: from outside (roles, weights, acknowledgements) and from the runs' histories. */
import type { FenceReceipt, Json, LossStatement } from '../../drivers/ports.ts';
import type { RunRecord } from '../../evidence/record.ts';
import type { Acknowledgement } from '../../lab/load/ledger.ts';
import type { GateView } from '../../workflows/contract.ts';
import {
  type Actor,
  asksOf,
  emptyTrace,
  type ProofSeen,
  type Trace,
  type TraceEvent,
  type WriteRange,
} from '../judge/trace.ts';
import type { Activity, History } from './history.ts';
import type { Recording } from './recorder.ts';
import { COARSE_MS, countedEvents, type Hurt, reliedEvents, weightEvents } from './trace-reliance.ts';

export const STORE = 'orders-db';
/** Within this time, in milliseconds, a side that falls silent does so by the fault: a look at a frozen one takes that long. */
const HURT_MS = 1_500;

/** They write a probe of their own, or start a fenced side read-only: repeating them late does nothing to anybody. */
const HARMLESS = ['verifyWritable', 'awaitCatchUp', 'converge'];

export interface RunSeen {
  /** Run id. */
  id: string;
  lock: string;
  history: History;
  record: RunRecord;
  /** Gates as they were shown, in order. */
  gates: GateView[];
  snapshots: { before: Record<string, Json>; after: Record<string, Json> };
}

export interface CellSeen {
  name: string;
  freezeBudgetMs: number;
  secrets: string[];
  recording: Recording;
  runs: RunSeen[];
  /** Second starts that the lock refused. */
  refused: Array<{ at: number; lock: string; text: string }>;
  faults: Array<{ at: number; what: string; touched: string[]; hurt?: Hurt }>;
  /** When people worked on the systems by hand, with Rampart dead. */
  byHand: { from: number; to: number } | null;
  /** Every acknowledgement of the cell, oldest first, and which of them the surviving side does not hold. */
  acknowledged: Acknowledgement[];
  lost: ReadonlySet<string>;
  /** Whether what did not arrive can still be read where it was; `null` when nothing is missing. */
  kept: boolean | null;
  texts: Array<{ at: number; where: string; text: string }>;
  alarms: Array<{ at: number; alarm: string; text: string }>;
  endedAt: number;
}

export function traceOf(seen: CellSeen): Trace {
  const { name, freezeBudgetMs, secrets } = seen;
  const trace = emptyTrace(name, { freezeBudgetMs, secrets, graceMs: 20_000 });
  const events: TraceEvent[] = [
    ...seen.recording.roles.map(
      (role): TraceEvent => ({ ...role, kind: 'writable', store: STORE, by: whoMade(role, seen) }),
    ),
    ...weightEvents(
      seen.recording,
      seen.faults.flatMap(({ hurt }) => hurt ?? []),
    ),
    ...seen.runs.flatMap((run) => [...countedEvents(run, seen.recording), ...reliedEvents(run, seen.recording)]),
    ...promotionsByHand(seen),
    ...seen.runs.flatMap((run) => runEvents(run)),
    ...writeEvents(seen),
    ...seen.refused.map(
      ({ at, lock, text }): TraceEvent => ({ at, kind: 'run', run: `refused@${at}`, lock, state: 'refused', text }),
    ),
    ...seen.faults.map(({ at, what, touched }): TraceEvent => ({ at, kind: 'fault', what, touched })),
    ...seen.texts.map((text): TraceEvent => ({ kind: 'text', ...text })),
    ...seen.alarms.map((alarm): TraceEvent => ({ kind: 'alarm', store: STORE, ...alarm })),
  ];
  trace.events = events.sort((a, b) => a.at - b.at);
  return trace;
}

/** Whose doing a change of roles was: Rampart's when a step of its own was under way or had just ended there. */
function whoMade(
  { at, region, writable }: { at: number; region: string; writable: boolean },
  { runs, recording, byHand, faults }: CellSeen,
): Actor {
  // What a side was when the cell began is nobody's doing in it.
  if (recording.roles.find((role) => role.region === region)!.at === at) return 'unknown';
  if (byHand !== null && at >= byHand.from && at <= byHand.to) return 'person';
  // A database that the cell has just killed or frozen was not stopped by anybody else.
  const hurt = faults.some((fault) => fault.touched.includes('writable') && Math.abs(at - fault.at) < HURT_MS);
  if (!writable && hurt) return 'system';
  const verbs = writable ? ['promote', 'unfence'] : ['fence', 'rejoin', 'rebuild'];
  const acting = runs
    .flatMap(({ history }) => history.activities)
    .filter((one) => verbs.includes(one.verb) && one.call?.region === region)
    .some((one) => one.scheduledAt <= at && (one.closedAt === null || at <= one.closedAt + COARSE_MS * 4));
  return acting ? 'rampart' : 'system';
}

function promotionsByHand({ recording, byHand }: CellSeen): TraceEvent[] {
  if (byHand === null) return [];
  return recording.roles
    .filter(({ at, writable }) => writable && at >= byHand.from && at <= byHand.to)
    .map(({ at, region }) => ({
      at,
      kind: 'promotion',
      store: STORE,
      region,
      from: null,
      by: 'person',
      run: null,
      mode: 'unplanned',
      required: 'stopped',
      proofs: [],
      override: [],
    }));
}

function runEvents({ id, lock, history, record, gates, snapshots }: RunSeen): TraceEvent[] {
  const { startedAt, closedAt, activities, text } = history;
  const end = closedAt ?? startedAt;
  const events: TraceEvent[] = [
    { at: startedAt, kind: 'run', run: id, lock, state: 'started' },
    { at: startedAt, kind: 'snapshot', run: id, moment: 'before', state: snapshots.before },
    { at: end, kind: 'snapshot', run: id, moment: 'after', state: snapshots.after },
    { at: end, kind: 'record', run: id, record },
    { at: end, kind: 'text', where: `the history of ${id}`, text },
    { at: end, kind: 'text', where: `the record of ${id}`, text: JSON.stringify(record) },
  ];
  if (closedAt !== null) events.push({ at: closedAt, kind: 'run', run: id, lock, state: 'closed', text: record.text });
  for (const one of activities.filter(({ call }) => call !== null)) {
    events.push({
      at: one.scheduledAt,
      kind: 'scheduled',
      run: id,
      step: one.step,
      verb: one.verb,
      store: one.call!.component === null ? null : one.call!.component.name,
    });
    events.push(...receiptEvents(id, one));
  }
  for (const [i, gate] of gates.entries()) {
    const shown = {
      kind: 'gate' as const,
      run: id,
      gate: gate.id,
      expiresAt: gate.expiresAt ?? Number.MAX_SAFE_INTEGER,
      loss: gate.loss,
    };
    const decidedAt = record.decisions.filter((d) => d.gate === gate.id).map((d) => d.at);
    events.push({ at: gate.openedAt, ...shown, state: 'opened' });
    for (const asks of asksOf(id, gate)) events.push({ at: gate.openedAt, ...asks });
    const next = gates[i + 1]?.openedAt ?? end;
    events.push({ at: Math.max(next, ...decidedAt) + 0.001, ...shown, state: 'closed' });
  }
  for (const d of record.decisions)
    events.push({
      at: d.at,
      kind: 'decision',
      run: id,
      gate: d.gate,
      by: d.by,
      decision: d.decision,
      applied: true,
      override: d.override,
      maxLoss: d.maxLoss,
    });
  return events;
}

function receiptEvents(
  run: string,
  { call, verb, receipt, how, closedAt, scheduledAt, error }: Activity,
): TraceEvent[] {
  const at = closedAt ?? scheduledAt;
  const events: TraceEvent[] = [];
  const { component, region, token } = call!;
  // Only what changed something, or was refused: a repeated attempt that finds all done has not acted.
  const refused = error === 'Conflict';
  const changed = how === 'completed' && receipt?.already === false;
  if (token !== null && component !== null && (refused || changed) && !HARMLESS.includes(verb)) {
    const place = region === null ? component.name : `${component.name}@${region}`;
    events.push({ at, kind: 'mutation', place, verb, token, accepted: changed, changed });
  }
  const proof = proofOf(receipt);
  if (proof !== null && (verb === 'fence' || verb === 'prove') && how === 'completed')
    events.push({
      at,
      kind: 'proof',
      store: component!.name,
      run,
      proof,
      durable: (receipt as FenceReceipt).fence.durable,
    });
  const loss = (receipt as { catchUp?: { loss: LossStatement } } | null)?.catchUp?.loss;
  if (verb === 'awaitCatchUp' && loss !== undefined)
    events.push({ at, kind: 'loss', run, store: component!.name, loss });
  if (verb === 'promote')
    events.push({
      at: scheduledAt,
      kind: 'promotion',
      store: component!.name,
      region: region!,
      from: call!.from,
      by: 'rampart',
      run,
      mode: call!.mode,
      required: 'stopped',
      proofs: Object.entries(call!.given)
        .filter(([name]) => name.startsWith('proof'))
        .flatMap(([, given]) => proofOf(given as unknown) ?? []),
      override: call!.overrides,
    });
  return events;
}

function proofOf(receipt: unknown): ProofSeen | null {
  const fence = (receipt as Partial<FenceReceipt> | null)?.fence;
  if (fence === undefined || fence === null) return null;
  const { region, cannotWrite, finalPosition, provenAt } = fence;
  return { region, cannotWrite, final: finalPosition !== null, provenAt };
}

/** Writes are numbered in the order of their acknowledgement; the side is the one that was writable then. */
function writeEvents({ acknowledged, lost, recording, kept, endedAt, runs }: CellSeen): TraceEvent[] {
  const sideAt = (at: number): string =>
    recording.roles.findLast((role) => role.writable && role.at <= at)?.region ??
    recording.roles.find((role) => role.writable)?.region ??
    runs[0]?.record.from ??
    'unknown';
  const numbered = acknowledged.map((one, i) => ({ ...one, number: i + 1, side: sideAt(one.at) }));
  const events: TraceEvent[] = ranges(numbered).map(({ side, range }) => ({
    at: range.lastAt,
    kind: 'acknowledged',
    store: STORE,
    region: side,
    ...range,
  }));
  const gone = ranges(numbered.filter(({ id }) => lost.has(id)));
  for (const region of new Set(gone.map(({ side }) => side))) {
    const own = gone.filter(({ side }) => side === region).map(({ range }) => range);
    events.push({ at: endedAt, kind: 'missing', store: STORE, region, ranges: own, bytes: null });
    if (kept !== null) events.push({ at: endedAt, kind: 'kept', store: STORE, region, readable: kept, by: 'rampart' });
  }
  // Nothing missing is an observation as well: it is what the promises about writes are judged by.
  if (gone.length === 0)
    events.push({ at: endedAt, kind: 'missing', store: STORE, region: sideAt(0), ranges: [], bytes: 0 });
  return events;
}

function ranges(
  writes: Array<{ number: number; side: string; at: number }>,
): Array<{ side: string; range: WriteRange }> {
  const found: Array<{ side: string; range: WriteRange }> = [];
  for (const { number, side, at } of writes) {
    const last = found.at(-1);
    if (last !== undefined && last.side === side && last.range.to === number - 1) {
      last.range.to = number;
      last.range.lastAt = at;
    } else found.push({ side, range: { from: number, to: number, firstAt: at, lastAt: at } });
  }
  return found;
}
