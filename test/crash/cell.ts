/**
 * One cell: a run, its fault at its boundary, and everything that must be true afterwards.
 *
 * It leaves the service at the other side, protected and without an open journal, so that the next cell begins there.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { repositoryRoot } from '../../lab/paths.ts';
import { LAB_PASSWORDS } from '../../lab/postgres/pair.ts';
import { LOCK } from '../integration/world.ts';
import { coverage, judge } from '../judge/judge.ts';
import type { Trace } from '../judge/trace.ts';
import { bySide, type Cell, STOPPED } from './boundaries.ts';
import { converge, startDatabases } from './converge.ts';
import { inject } from './faults.ts';
import type { Ground, RunDone } from './ground.ts';
import { SETTINGS } from './hands.ts';
import { traceOf } from './trace.ts';
import type { Hurt } from './trace-reliance.ts';
import { type Mark as HistoryMark, marksOf, untilMark } from './watch.ts';

export interface CellResult {
  id: string;
  action: string;
  stage: string;
  step: string;
  moment: string;
  fault: string;
  /** `notReached`: the run never came to that boundary, so nothing was done to it. */
  verdict: 'green' | 'red' | 'notReached';
  /** What was done, and what the step was at then: `waiting`, `closed` or what had begun after it. */
  did: string;
  landed: string;
  /** How the run ended that the fault fell on, and how the requests after it did. */
  outcome: string;
  after: string[];
  /** What the engineer on call said. */
  said: string[];
  acknowledged: number;
  lost: number;
  /** Longest time without an acknowledged write, milliseconds. */
  writeGapMs: number;
  /** Id of the cell that was run for this one too, because both are the same by construction. */
  sameAs?: string;
  /** Rules that had something to judge. */
  judged: string[];
  violations: string[];
  seconds: number;
  date: string;
}

export interface CellDone {
  result: CellResult;
  trace: Trace;
  /** When the fault fell, milliseconds since the epoch; 0 when it did not. */
  struckAt: number;
  /** The run's history in short; empty when its server lost it. */
  marks: HistoryMark[];
  direction: { from: string; to: string };
}

interface Struck {
  did: string;
  /** When it began and when it was over, milliseconds since the epoch. */
  at: number;
  until: number;
}

const SECRETS = Object.values(LAB_PASSWORDS);
/** A cell that has not ended by then hangs, in milliseconds: ten times what most take, and within a test's own limit. */
const CELL_DEADLINE_MS = 170_000;

/** @throws Error that says where it was, when the cell hangs */
export async function runCell(ground: Ground, cell: Cell, deadlineMs = CELL_DEADLINE_MS): Promise<CellDone> {
  const over = new AbortController();
  const late = sleep(deadlineMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`the cell hangs: ${ground.where()}`);
  });
  const done = playCell(ground, cell);
  // Whichever comes second is nobody's any more.
  for (const one of [late, done]) one.catch(() => {});
  return Promise.race([done, late]).finally(() => over.abort());
}

async function playCell(ground: Ground, cell: Cell): Promise<CellDone> {
  const { hands, recorder } = ground;
  const { action, boundary, fault } = cell;
  const began = Date.now();
  const broken: string[] = [];
  const { active, other } = action === 'trafficRamp' ? await trafficSides(ground) : await hands.world.sides();
  const direction = { from: active, to: other };
  const input = { service: 'checkout', to: other };
  ground.at('cell', 'its run is under way');
  ground.at('fault', 'none yet');
  recorder.begin();
  const mark = ground.mark();

  const over = new AbortController();
  const runs: RunDone[] = [];
  const act: { done: Promise<Struck | null> | null } = { done: null };
  let runId = '';
  let beside = false;
  const strike = async (): Promise<Struck> => {
    const at = Date.now();
    const broke = (text: string): void => void broken.push(text);
    const ref = { workflowId: LOCK, runId };
    ground.at('fault', `${fault} strikes`);
    const did = await inject(fault, {
      ground,
      ref,
      action,
      input,
      ...direction,
      boundary,
      broken: broke,
      ran: (run) => {
        runs.push(run);
      },
      besides: (on) => {
        beside = on;
      },
    });
    ground.at('fault', did);
    return { did, at, until: Date.now() };
  };
  const aim = async (): Promise<Struck | null> => {
    const fits = (mark: HistoryMark): boolean =>
      mark.kind === boundary.moment && bySide(mark.step, direction) === boundary.step;
    const reached = await untilMark(hands.client, { workflowId: LOCK, runId }, fits, over.signal);
    if (reached === null) return null;
    const struck = await strike();
    if (fault === 'freeze-worker') void wakeOvertaken(ground, runId, over.signal);
    return struck;
  };
  const atGate = boundary.step.startsWith('gate:') ? boundary.step.slice('gate:'.length) : null;
  let first: RunDone;
  try {
    first = await ground.run(action, input, {
      onStart: (id) => {
        runId = id;
        if (boundary.step === 'start') act.done = strike();
        else if (atGate === null) act.done = aim();
        // Awaited when the run has ended; until then its failure is not unhandled.
        act.done?.catch(() => {});
      },
      beside: () => beside,
      beforeApproval: async (gate) => {
        if (gate.name !== atGate || act.done !== null) return;
        act.done = strike();
        await act.done;
      },
    });
    runs.push(first);
  } finally {
    over.abort();
  }
  ground.at('cell', 'its run has ended');
  const struck = await act.done;
  ground.at('cell', 'all is started again');
  await hands.mend();
  // A ramp leaves the data where it is: a database that died beside it is somebody else's to start, and that is done here.
  if (action === 'trafficRamp') await startDatabases(ground);
  const { after, stuck } = await converge(ground, action, input, runs);
  if (stuck !== null) broken.push(stuck);

  ground.at('cell', 'orders are counted');
  const load = await hands.world.lab.load();
  const surviving = (await hands.world.sides()).active;
  await load.pause();
  const verified = await load.verify(hands.world.report.regions[surviving]!.database, { from: began });
  const gap = (await load.report(began)).writeGapMs;
  await load.resume();
  if (verified.duplicated > 0) broken.push(`${verified.duplicated} orders are there twice`);
  await recorder.untilKnown(surviving);
  const { acknowledged, logs } = ground.since(mark);
  const trace = traceOf({
    name: cell.id,
    freezeBudgetMs: Number.parseInt(SETTINGS.freezeBudget, 10) * 1_000,
    secrets: SECRETS,
    recording: recorder.recorded(),
    runs: runs.flatMap(({ seen }) => seen ?? []),
    refused: fault === 'duplicate-start' && struck !== null ? [{ at: struck.at, lock: LOCK, text: struck.did }] : [],
    faults:
      struck === null
        ? []
        : [
            {
              at: struck.at,
              what: struck.did,
              touched: touchedBy(cell, Object.keys(await ground.snapshot())),
              ...hurtBy(cell, direction, struck),
            },
          ],
    byHand: fault === 'escape-by-hand' && struck !== null ? { from: struck.at, to: struck.until } : null,
    acknowledged: acknowledged.filter(({ at }) => at >= began),
    lost: new Set(verified.lost.map(({ id }) => id)),
    kept: verified.lost.length === 0 ? null : keptData(runs),
    texts: logs.map(({ where, text }) => ({ at: Date.now(), where, text })),
    alarms: alarmsIn(logs),
    endedAt: Date.now(),
  });
  const violations = [...broken, ...judge(trace).map(({ rule, text }) => `${rule}: ${text}`)];
  const marks = struck === null || first.seen === null ? [] : await marksOf(hands.client, { workflowId: LOCK, runId });
  const result: CellResult = {
    id: cell.id,
    action,
    stage: boundary.stage,
    step: boundary.step,
    moment: boundary.moment,
    fault,
    verdict: violations.length > 0 ? 'red' : struck === null ? 'notReached' : 'green',
    did: struck?.did === undefined ? 'nothing' : bySide(struck.did, direction),
    landed: struck === null || first.seen === null ? '' : landedAt(cell, direction, struck.at, marks),
    outcome: first.status,
    after,
    said: first.watched.said.map((word) => bySide(word, direction).replaceAll(repositoryRoot(), '…')),
    acknowledged: verified.acknowledged,
    lost: verified.lost.length,
    writeGapMs: Math.round(gap),
    judged: coverage(trace),
    violations,
    seconds: Math.round((Date.now() - began) / 100) / 10,
    date: new Date().toISOString(),
  };
  return { result, trace, struckAt: struck?.at ?? 0, marks, direction };
}

/**
 * The frozen worker wakes up when another one has carried a step through that it had taken: with whatever else it had
 * taken, and attempts of its own that are not wanted any more. Where it had taken nothing it sleeps until the end.
 */
async function wakeOvertaken({ hands }: Ground, runId: string, signal: AbortSignal): Promise<void> {
  const fits = ({ kind, how, takenOver }: HistoryMark): boolean =>
    kind === 'closed' && how === 'completed' && takenOver === true;
  const overtaken = await untilMark(hands.client, { workflowId: LOCK, runId }, fits, signal).catch(() => null);
  if (overtaken !== null) hands.wakeWorkers();
}

/** Ramps move the edge's weights to and fro; the database stays. */
async function trafficSides(ground: Ground): Promise<{ active: string; other: string }> {
  const { most, other } = await ground.traffic();
  return { active: most, other };
}

/** What the fault itself changed, and no run has to put back. */
function touchedBy({ fault, action }: Cell, keys: readonly string[]): string[] {
  // Somebody else has moved the service meanwhile.
  if (fault === 'second-orchestrator' || fault === 'escape-by-hand') return [...keys];
  // A ramp goes to where the data may be already: then it is the writable side that was killed there.
  const atTheWritable = fault === 'kill-new-primary' && action === 'trafficRamp';
  return fault.includes('old-primary') || atTheWritable ? ['writable'] : [];
}

/** The database that the fault killed or froze, and when that was over. */
function hurtBy({ fault }: Cell, { from, to }: { from: string; to: string }, { until, did }: Struck): { hurt?: Hurt } {
  if (did.endsWith(STOPPED)) return {};
  if (fault === 'kill-new-primary') return { hurt: { at: until, region: to } };
  return fault.includes('old-primary') ? { hurt: { at: until, region: from } } : {};
}

/** Whether every directory that a rebuild set aside is still there, or nothing was rebuilt. */
function keptData(runs: readonly RunDone[]): boolean {
  const steps = runs.flatMap(({ seen }) => seen?.record.steps ?? []);
  const kept = steps.flatMap((s) => (s.facts.kept as string[] | undefined) ?? []);
  return kept.every((folder) => existsSync(folder) && existsSync(dirname(folder)));
}

function alarmsIn(logs: ReadonlyArray<{ text: string }>): Array<{ at: number; alarm: string; text: string }> {
  return logs.flatMap(({ text }) =>
    text.split('\n').flatMap((line) => {
      if (!line.includes('ALARM ')) return [];
      try {
        const { time, kind, msg } = JSON.parse(line) as { time: string; kind: string; msg: string };
        return [{ at: Date.parse(time), alarm: kind, text: msg }];
      } catch {
        return []; // cut off by a kill
      }
    }),
  );
}

/** What the step was at when the fault fell: a fault that comes late has met something else than it was meant for. */
function landedAt(
  { boundary: { step, moment } }: Cell,
  direction: { from: string; to: string },
  at: number,
  marks: readonly HistoryMark[],
): string {
  const own = marks.filter((mark) => bySide(mark.step, direction) === step);
  const boundary = own.find(({ kind }) => kind === moment);
  if (boundary === undefined) return '';
  const late = `${Math.max(0, Math.round(at - boundary.at))} ms after it`;
  const closed = own.find(({ kind, at: when }) => kind === 'closed' && when >= boundary.at);
  const next = marks.find(({ kind, at: when }) => kind === 'scheduled' && when > boundary.at && when <= at);
  if (moment === 'scheduled' && (closed === undefined || closed.at > at)) return `${late}, while it was open`;
  return next === undefined ? `${late}, before anything followed` : `${late}, beside ${bySide(next.step, direction)}`;
}
