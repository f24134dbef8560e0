/**
 * The judge: the rules no run may break (I1–I12 of the safety model, and that every run ends, or holds and says what
 * it waits for), as predicates over a trace. Pure. Every predicate looks at the trace as it stood at each event, so
 * judging a whole trace is judging after every event.
 *
 * The simulation, the crash matrix and the lab tests call `judge` on their own traces; there is no other definition of
 * what is right.
 */
import type { FenceStrength, LossStatement } from '../../drivers/ports.ts';
import type { RunRecord } from '../../evidence/record.ts';
import type { Happening, ProofSeen, Trace, TraceEvent, WriteRange } from './trace.ts';

export type Rule = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'I9' | 'I10' | 'I11' | 'I12' | 'end';

export interface Violation {
  rule: Rule;
  /** When it became true, milliseconds since the epoch. */
  at: number;
  text: string;
}

interface Predicate {
  rule: Rule;
  title: string;
  /** Kinds of events without which it judges nothing. */
  needs: Array<Happening['kind']>;
  judge(trace: Trace, broken: (at: number, text: string) => void): void;
}

type Of<K extends Happening['kind']> = Extract<TraceEvent, { kind: K }>;

const STRONGEST_FIRST: FenceStrength[] = ['stopped', 'provider', 'sessions', 'lease', 'person', 'none'];

function all<K extends Happening['kind']>(trace: Trace, kind: K): Array<Of<K>> {
  return trace.events.filter((event): event is Of<K> => event.kind === kind);
}

/** The sides of each store that accept writes, event by event. */
class Sides {
  readonly writable = new Map<string, Set<string>>();

  take(event: TraceEvent): void {
    if (event.kind !== 'writable') return;
    const sides = this.of(event.store);
    if (event.writable) sides.add(event.region);
    else sides.delete(event.region);
  }

  of(store: string): Set<string> {
    const sides = this.writable.get(store) ?? new Set<string>();
    this.writable.set(store, sides);
    return sides;
  }

  others(store: string, region: string): string[] {
    return [...this.of(store)].filter((other) => other !== region);
  }
}

/** Whether a person accepted this risk by name before `at`: in a decision that counted, or in the request. */
function accepted(trace: Trace, run: string | null, code: string, at: number): boolean {
  return trace.events.some((event) => {
    if (event.kind === 'decision')
      return event.run === run && event.applied && event.at <= at && event.override.includes(code);
    return event.kind === 'record' && event.run === run && (event.record.request.override ?? []).includes(code);
  });
}

/** Promotions that crossed without a proof because somebody took the risk in writing. */
function riskTaken(trace: Trace, promotion: Parting): boolean {
  return promotion.override.includes('weakFence') && accepted(trace, promotion.run, 'weakFence', promotion.at);
}

/** Somebody accepted in writing that this promotion may lose writes: then it must be stated (I4), not impossible (I3). */
function lossTaken(trace: Trace, promotion: Parting): boolean {
  return riskTaken(trace, promotion) || accepted(trace, promotion.run, 'lossAccepted', promotion.at);
}

function proofProblem(trace: Trace, promotion: Of<'promotion'>): string | null {
  const { proofs, required, at } = promotion;
  if (proofs.length === 0) return 'without any fence proof';
  const weak = proofs.find((p) => STRONGEST_FIRST.indexOf(p.cannotWrite) > STRONGEST_FIRST.indexOf(required));
  if (weak) return `on a fence proof "${weak.cannotWrite}" where the tier asks for "${required}"`;
  const old = proofs.find((p: ProofSeen) => at - p.provenAt > trace.proofAgeMs);
  return old ? `on a fence proof that was ${at - old.provenAt} ms old` : null;
}

/** So long after a side answers again, in milliseconds, a run that promotes must have noticed. */
const NOTICED_MS = 15_000;
const FENCING = ['readClaim', 'claim', 'fence'];

/**
 * A risk that people take is about a side that cannot be reached: one that answers is to be fenced, or that tried,
 * before a first promotion is scheduled.
 */
function leftAlone(trace: Trace, promotion: Of<'promotion'>): string[] {
  const { at, run, store } = promotion;
  const scheduled = all(trace, 'scheduled').filter((e) => e.run === run && e.store === store && e.at <= at);
  const crossedAt = scheduled.find((e) => e.verb === 'promote')?.at ?? at;
  return (promotion.beside ?? [])
    .filter(({ since }) => crossedAt - since > NOTICED_MS)
    .filter(
      ({ region, since }) =>
        !scheduled.some((e) => e.step.endsWith(`@${region}`) && e.at >= since && FENCING.includes(e.verb)),
    )
    .map(
      ({ region, since }) =>
        `${region}, which had answered and accepted writes for ${Math.round((at - since) / 1000)} s`,
    );
}

const oneWriter: Predicate = {
  rule: 'I1',
  title: 'never two writable sides by Rampart’s doing; no promotion without a strong, fresh proof or a named override',
  needs: ['writable'],
  judge(trace, broken) {
    const sides = new Sides();
    const durable = new Set<string>();
    const excused = new Set<string>();
    for (const event of trace.events) {
      sides.take(event);
      if (event.kind === 'proof') {
        const key = `${event.store}@${event.proof.region}`;
        if (event.durable && event.proof.cannotWrite === 'stopped') durable.add(key);
      } else if (event.kind === 'scheduled' && event.verb === 'unfence') {
        // Whoever starts it from then on may find the fence gone.
        for (const key of durable) if (event.step.includes(key)) durable.delete(key);
      } else if (event.kind === 'promotion' && event.by === 'rampart') {
        const { store, region } = event;
        const risk = riskTaken(trace, event);
        if (risk) excused.add(store);
        const problem = risk || event.from === null ? null : proofProblem(trace, event);
        if (problem !== null) broken(event.at, `${store} in ${region} was promoted ${problem}`);
        const alone = leftAlone(trace, event);
        if (risk && alone.length > 0)
          broken(event.at, `${store} in ${region} was promoted beside ${alone}, and nothing was tried against that`);
        const others = sides.others(store, region);
        if (others.length > 0 && !risk)
          broken(event.at, `${store} in ${region} was promoted while ${others} accepted writes`);
      } else if (event.kind === 'writable' && event.writable) {
        const { store, region, by } = event;
        const others = sides.others(store, region);
        if (others.length > 0 && by === 'rampart' && !excused.has(store))
          broken(event.at, `Rampart made ${store} in ${region} writable while ${others} accepted writes`);
        if (by === 'system' && durable.has(`${store}@${region}`))
          broken(event.at, `${store} in ${region} began to accept writes by itself under a durable fence that counted`);
        durable.delete(`${store}@${region}`);
      }
    }
  },
};

/** Verbs whose scheduling ends the time without a writable side, one way or the other. */
const ENDS_FREEZE = ['promote', 'unfence'];

/** The mode of the run that is under way at a moment, by the plan it follows then. */
function modeAt(trace: Trace, at: number): 'planned' | 'unplanned' {
  const plans = all(trace, 'record').flatMap(({ record }) => record.plans);
  return (
    plans
      .filter((p) => p.compiledAt <= at)
      .sort((a, b) => a.compiledAt - b.compiledAt)
      .at(-1)?.mode ?? 'planned'
  );
}

/** When the run was turned into an unplanned one between two moments; `null`: it was not. */
function rescuedAt(trace: Trace, from: number, to: number): number | null {
  const plans = all(trace, 'record').flatMap(({ record }) => record.plans);
  const rescues = plans.filter((p) => p.mode === 'unplanned' && p.compiledAt > from && p.compiledAt <= to);
  return rescues.length === 0 ? null : Math.min(...rescues.map((p) => p.compiledAt));
}

/**
 * Where a promotion of the store was scheduled between two moments, by the plan followed then: only those sides can
 * show that none has begun, and before that nothing may be unfenced (the point of no return).
 */
function crossedTo(trace: Trace, store: string, from: number, to: number): string[] {
  const records = all(trace, 'record').map(({ record }) => record);
  const plans = records.flatMap((record) => record.plans);
  const revoked = Math.max(
    ...records.map(({ pointOfNoReturn }) => pointOfNoReturn.revokedAt ?? 0).filter((at) => at <= to),
  );
  const crossings = all(trace, 'scheduled').filter(
    (e) => e.verb === 'promote' && e.store === store && e.at >= Math.max(from, revoked) && e.at <= to,
  );
  const targets = crossings.map(({ at }) => plans.findLast((p) => p.compiledAt <= at)?.to ?? null);
  return [...new Set(targets)].filter((region) => region !== null);
}

/** When a region that was away during a time could be asked again; `to` when it never could. */
function lastBack(trace: Trace, region: string, from: number, to: number): number {
  let away = false;
  let last = from;
  for (const event of trace.events) {
    if (event.at >= to) break;
    if ((event.kind !== 'away' && event.kind !== 'back') || event.region !== region) continue;
    away = event.kind === 'away';
    if (!away) last = Math.max(last, event.at);
  }
  return away ? to : last;
}

/**
 * Beginnings, inside a time, of the waits for people that took longer than `limit` of it, milliseconds. A word that led
 * to no step has ended no wait: the run waits again, or still. What is away cannot be let go, and past the point of no
 * return nothing can be while the side is away whose promotion was scheduled: the watchdog alarms.
 */
function waitsIn(trace: Trace, store: string, stopped: Stopped, from: number, to: number, limit: number): number[] {
  const waits = all(trace, 'record').flatMap(({ record }) => record.waits ?? []);
  const gates = all(trace, 'gate').filter(({ state }) => state === 'closed');
  const closed = new Set([...waits.map(({ name }) => name), ...gates.map(({ gate }) => gate)]);
  const open = all(trace, 'gate').filter(({ gate, state }) => state === 'opened' && !closed.has(gate));
  const intervals = [...waits.map((w) => [w.startedAt, w.endedAt] as const), ...open.map((g) => [g.at, to] as const)];
  const steps = all(trace, 'scheduled')
    .filter(({ verb }) => !LOOKS.test(verb))
    .map(({ at }) => at);
  const merged: Array<readonly [number, number]> = [];
  for (const [began, ended] of intervals.toSorted(([a], [b]) => a - b)) {
    const before = merged.at(-1);
    const until = ended ?? to;
    if (before === undefined || steps.some((at) => at >= before[1] && at <= began)) merged.push([began, until]);
    else merged[merged.length - 1] = [before[0], Math.max(before[1], until)];
  }
  return merged
    .map(([began, ended]) => [Math.max(began, from), Math.min(ended, to)] as const)
    .map(([began, ended]) => {
      const regions = [stopped.region, ...crossedTo(trace, store, stopped.at, began)];
      return [Math.max(...regions.map((region) => lastBack(trace, region, began, ended))), ended] as const;
    })
    .filter(([began, ended]) => ended - began > limit)
    .map(([began]) => began);
}

/**
 * The parts of a time, longer than `limit`, in which a run was there to end it: one that is lost can do nothing any more,
 * and the next one not before people have let it, which is before its first step that stops writes.
 */
function led(trace: Trace, from: number, to: number, limit: number): Array<[from: number, to: number]> {
  const lost = all(trace, 'run').findLast(({ state, at }) => state === 'lost' && at < to);
  if (lost === undefined) return [[from, to]];
  const next = all(trace, 'scheduled').find(
    (e) => e.run !== lost.run && e.at >= lost.at && ['quiesceWorkload', 'fence'].includes(e.verb),
  );
  const parts: Array<[number, number]> = [
    [from, lost.at],
    [Math.max(from, next?.at ?? to), to],
  ];
  return parts.filter(([began, ended]) => ended - began > limit);
}

/** Activities that make a plan and a gate, and are no step of one. */
const LOOKS = /^(observe|readSamples|probePlace|preflightStore|writeEscapePage|watchFacts)/;

/** The last side that was stopped, and when. */
type Stopped = Pick<Of<'writable'>, 'at' | 'region'>;

const freezeBudget: Predicate = {
  rule: 'I2',
  title: 'never zero writable sides past the freeze budget: the run unfences by itself, or a watchdog alarms',
  needs: ['writable', 'scheduled'],
  judge(trace, broken) {
    const sides = new Sides();
    const since = new Map<string, Stopped>();
    const last = trace.events.at(-1)?.at ?? 0;
    const limit = trace.freezeBudgetMs + trace.graceMs;
    const check = (store: string, stopped: Stopped, to: number): void => {
      const from = stopped.at;
      if (to - from <= limit) return;
      const long = `${store} had no writable side for ${Math.round((to - from) / 1000)} s`;
      // An unplanned run may work for as long as that takes, but not wait for people so long.
      const planned = modeAt(trace, from) === 'planned';
      const begins = led(trace, from, to, limit).flatMap(([began, ended]) => {
        const unplanned = planned ? rescuedAt(trace, began, began + limit) : began;
        return unplanned === null ? [began] : waitsIn(trace, store, stopped, unplanned, ended, limit);
      });
      for (const since of begins) {
        // A run without its orchestrator can do nothing; the watchdog can.
        const due = since + limit + awayWithin(trace, since, since + limit);
        const acted = trace.events.some(
          (e) => e.at >= since && e.at <= due && e.kind === 'scheduled' && ENDS_FREEZE.includes(e.verb),
        );
        if (!acted && to > due) broken(due, `${long}; nothing was promoted, and the run did not unfence by itself`);
      }
      const alarmed = trace.events.some(
        // It may still be ringing for an outage that paused for a moment: it says so again only after a minute.
        (e) => e.kind === 'alarm' && e.store === store && e.at >= from - limit && e.at <= from + limit,
      );
      if (!alarmed) broken(from + limit, `${long} and the watchdog said nothing`);
    };
    for (const event of trace.events) {
      if (event.kind !== 'writable') continue;
      const before = sides.of(event.store).size;
      sides.take(event);
      const now = sides.of(event.store).size;
      // Only what Rampart stopped: an outage that comes by itself has no budget.
      if (before > 0 && now === 0 && event.by === 'rampart') since.set(event.store, event);
      const from = since.get(event.store);
      if (now > 0 && from !== undefined) {
        check(event.store, from, event.at);
        since.delete(event.store);
      }
    }
    for (const [store, from] of since) check(store, from, last);
  },
};

/** How long the orchestrator was away from `from` on; what it missed is due so much later, if it is not away then too. */
function awayWithin(trace: Trace, from: number, due: number): number {
  let away = 0;
  let since: number | null = null;
  for (const { at, available } of all(trace, 'orchestrator')) {
    if (!available) since ??= at;
    else if (since !== null) {
      const begins = Math.max(since, from);
      if (begins <= due + away) away += Math.max(0, at - begins);
      since = null;
    }
  }
  return since !== null && since <= due + away ? Number.POSITIVE_INFINITY : away;
}

/** What left writes behind: a promotion elsewhere, or the fence of one of two sides that accepted writes. */
type Parting = Pick<Of<'promotion'>, 'at' | 'region' | 'by' | 'run' | 'mode' | 'override'>;

/** The next promotion of another side; else the move to the other of two writable sides; else the last one before them. */
function abandonedBy(trace: Trace, store: string, region: string, range: WriteRange): Parting | null {
  const elsewhere = all(trace, 'promotion').filter((p) => p.store === store && p.region !== region);
  const next = elsewhere.find((p) => p.at >= range.lastAt);
  return next ?? leftBehindBy(trace, store, region, range) ?? elsewhere.at(-1) ?? null;
}

/**
 * A run that moved from this side to another that accepted writes as well: it promoted nothing, its fence decided. A
 * refence only ends what an earlier promotion began.
 */
function leftBehindBy(trace: Trace, store: string, region: string, range: WriteRange): Parting | null {
  const sides = new Sides();
  let beside: { at: number; region: string } | null = null;
  for (const event of trace.events) {
    sides.take(event);
    if (event.kind === 'writable' && event.store === store && event.region === region) {
      const [other] = sides.others(store, region);
      const ended = !event.writable && event.by === 'rampart' && event.at >= range.lastAt;
      beside = ended && other !== undefined ? { at: event.at, region: other } : null;
    }
    if (beside === null || event.kind !== 'proof' || event.store !== store || event.proof.region !== region) continue;
    const record = all(trace, 'record').findLast((r) => r.run === event.run)?.record;
    if (record === undefined || !['failover', 'failback'].includes(record.action)) continue;
    const { mode } = record;
    return {
      ...beside,
      by: 'rampart',
      run: event.run,
      mode: mode === 'planned' ? 'planned' : 'unplanned',
      override: [],
    };
  }
  return null;
}

/** What was lost, range by range, with what lost it. */
function losses(trace: Trace): Array<{ event: Of<'missing'>; range: WriteRange; parting: Parting | null }> {
  return all(trace, 'missing').flatMap((event) =>
    event.ranges.map((range) => ({ event, range, parting: abandonedBy(trace, event.store, event.region, range) })),
  );
}

const count = ({ from, to }: WriteRange): string => `${to - from + 1} acknowledged writes (${from} to ${to})`;

const plannedLosesNothing: Predicate = {
  rule: 'I3',
  title: 'planned mode loses no acknowledged write, unless a person accepted a stated loss by name',
  needs: ['acknowledged', 'missing'],
  judge(trace, broken) {
    for (const { event, range, parting } of losses(trace)) {
      const where = `${event.store} in ${event.region}`;
      if (parting === null) broken(event.at, `${count(range)} of ${where} are gone although nothing was promoted`);
      else if (parting.mode === 'planned' && parting.by === 'rampart' && !lossTaken(trace, parting))
        broken(event.at, `the planned move to ${parting.region} lost ${count(range)} of ${where}`);
    }
  },
};

/** Why the statement does not cover what was lost; `null` when it does. */
function uncovered(loss: LossStatement, range: WriteRange): string | null {
  if (loss.kind === 'none') return 'it says that nothing is lost';
  if (loss.kind === 'unknown') return null;
  if (loss.fromTime !== null && Date.parse(loss.fromTime) > range.firstAt)
    return `its window begins at ${loss.fromTime}, the first lost write was acknowledged at ${iso(range.firstAt)}`;
  if (loss.toTime !== null && Date.parse(loss.toTime) < range.lastAt)
    return `its window ends at ${loss.toTime}, the last lost write was acknowledged at ${iso(range.lastAt)}`;
  return null;
}

const iso = (at: number): string => new Date(at).toISOString();

const neverSilently: Predicate = {
  rule: 'I4',
  title:
    'unplanned mode never loses silently: stated before approval and in the report, and the lost rows stay readable',
  needs: ['acknowledged', 'missing', 'record'],
  judge(trace, broken) {
    for (const { event, range, parting } of losses(trace)) {
      if (parting === null || parting.by !== 'rampart') continue;
      if (parting.mode === 'planned' && !lossTaken(trace, parting)) continue;
      const lost = `${count(range)} of ${event.store} in ${event.region} are lost`;
      const record = all(trace, 'record').findLast((r) => r.run === parting.run)?.record;
      // A run that is still open has not reported yet.
      if (record !== undefined && record.outcome !== null) {
        const why = record.loss === null ? 'it says nothing' : uncovered(record.loss, range);
        if (why !== null) broken(event.at, `${lost} and the report does not cover them: ${why}`);
        const most = record.loss?.atMostBytes ?? null;
        if (most !== null && event.bytes !== null && event.bytes > most)
          broken(event.at, `${lost}: ${event.bytes} bytes, and the report says at most ${most}`);
      }
      const shown = all(trace, 'gate').filter(
        (g) => g.run === parting.run && g.state === 'opened' && g.at <= parting.at && g.loss !== null,
      );
      if (shown.length > 0 && shown.every((g) => g.loss?.kind === 'none'))
        broken(event.at, `${lost} and every gate before that said that nothing would be`);
      const kept = all(trace, 'kept').findLast((k) => k.store === event.store && k.region === event.region);
      if (kept !== undefined && !kept.readable && kept.by !== 'person')
        broken(event.at, `${lost} and nobody let go of the data that held them, which cannot be read any more`);
    }
  },
};

const onlyToHealthyPlaces: Predicate = {
  rule: 'I5',
  title:
    'weight only to healthy places with capacity, writers only to a writable store, never all zero, counted when read back, and nobody cut off who serves',
  needs: ['weights'],
  judge(trace, broken) {
    for (const event of trace.events) {
      if (event.kind === 'counted') {
        const differs = Object.entries(event.claimed).some(([region, w]) => w !== (event.actual?.[region] ?? 0));
        if (differs)
          broken(
            event.at,
            `${event.router}: counted ${JSON.stringify(event.claimed)} while it had ${JSON.stringify(event.actual)}`,
          );
      }
      if (event.kind === 'cutOff' && (event.weights[event.region] ?? 0) > 0)
        broken(event.at, `${event.router} cuts off ${event.region}, which has ${event.weights[event.region]} % of it`);
      if (event.kind !== 'weights' || event.by !== 'rampart') continue;
      const { router, type, weights, before, regions } = event;
      if (Object.values({ ...before, ...weights }).every((weight) => weight === 0))
        broken(event.at, `${router}: all weights are zero`);
      for (const [region, weight] of Object.entries(weights)) {
        if (weight <= (before[region] ?? 0)) continue;
        const place = regions[region];
        if (place === undefined) continue;
        if (type === 'endpoint') {
          if (place.writable === false)
            broken(event.at, `${router} sends writers to ${region}, which accepts no writes`);
          continue;
        }
        if (place.healthy === false) broken(event.at, `${router} gives ${weight} % to ${region}, which is not healthy`);
        if (place.capacity !== null && place.capacity.present < place.capacity.wanted)
          broken(
            event.at,
            `${router} gives ${weight} % to ${region}, which has ${place.capacity.present} of ${place.capacity.wanted} capacity`,
          );
      }
    }
  },
};

const repeatable: Predicate = {
  rule: 'I6',
  title: 'every step may run again: repeating changes nothing, a stale attempt is refused',
  needs: ['mutation'],
  judge(trace, broken) {
    const newest = new Map<string, { epoch: number; runId: string; seq: number }>();
    const changed = new Map<string, number>();
    let disturbances = 0;
    for (const event of trace.events) {
      // What others did to the place in between is a reason for acting again.
      if (event.kind === 'fault') disturbances += 1;
      if (event.kind !== 'mutation' || !event.accepted) continue;
      const { place, verb, token } = event;
      if (token === null) {
        broken(event.at, `${place} let ${verb} act without a token`);
        continue;
      }
      const seen = newest.get(place);
      if (seen !== undefined) {
        const stale =
          token.epoch < seen.epoch ||
          (token.epoch === seen.epoch && (token.runId !== seen.runId || token.seq < seen.seq));
        // A late repeat of what is there already is answered, and changes nothing.
        if (stale && event.changed)
          broken(event.at, `${place} let a stale ${verb} act: ${text(token)} after ${text(seen)}`);
      }
      if (seen === undefined || token.epoch > seen.epoch || token.seq > seen.seq) newest.set(place, token);
      if (!event.changed) continue;
      const key = `${place} ${verb} ${token.epoch}.${token.seq}`;
      if (changed.get(key) === disturbances)
        broken(event.at, `${place}: repeating ${verb} (${text(token)}) changed it again`);
      changed.set(key, disturbances);
    }
  },
};

const text = ({ epoch, runId, seq }: { epoch: number; runId: string; seq: number }): string =>
  `epoch ${epoch}, step ${seq} of run ${runId}`;

const backOrForward: Predicate = {
  rule: 'I7',
  title: 'before the point of no return back to the state before, after it forward or hold, never half-undone',
  needs: ['record'],
  judge(trace, broken) {
    const touched = new Set(all(trace, 'fault').flatMap((fault) => fault.touched ?? []));
    for (const { run, record, at } of all(trace, 'record')) {
      const { stepId, crossedAt, revokedAt } = record.pointOfNoReturn;
      // Without a step it was an earlier run that crossed it.
      const crossed = stepId !== null && crossedAt !== null && revokedAt === null;
      const wentBack = ['rolledBack', 'cancelled', 'withdrawn', 'refused'].includes(record.outcome as string);
      const aborted = record.messages.find((m) => m.verb === 'abort' && m.applied);
      const rescued = record.messages.some((m) => m.verb === 'escalate' && m.applied && m.at >= (aborted?.at ?? 0));
      if (crossed && aborted !== undefined && aborted.at < crossedAt && !rescued)
        broken(crossedAt, `${record.workflowId} scheduled a promotion after it was told to abort`);
      if (wentBack && crossed)
        broken(at, `${record.workflowId} says "${record.outcome}" although a promotion was scheduled`);
      if (crossed)
        for (const e of trace.events)
          if (e.kind === 'scheduled' && e.run === run && e.verb === 'unfence' && e.at > (crossedAt as number))
            broken(e.at, `${e.step} was scheduled after the point of no return`);
      if (!wentBack && !(record.outcome === 'completed' && stayed(trace, run, record))) continue;
      const before = stateToGoBackTo(trace, run);
      const after = all(trace, 'snapshot').find((s) => s.run === run && s.moment === 'after')?.state;
      if (before === undefined || after === undefined) continue;
      for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
        if (touched.has(key) || JSON.stringify(before[key]) === JSON.stringify(after[key])) continue;
        if (changedByAnother(trace, run, key)) continue;
        const original = isOriginal(trace, run, key, after[key]);
        if (original && record.text.includes('what an earlier run had left is put back')) continue;
        broken(
          at,
          `${record.workflowId} ended "${record.outcome}" and ${key} is ${JSON.stringify(after[key])}, before it was ${JSON.stringify(before[key])}`,
        );
      }
    }
  },
};

/**
 * Whether it is a setting of a router as it was before an earlier run of an unbroken row of such that did not come to
 * their end: with its claims a run closes their journals, and then nobody would know it. Also one that goes back past a
 * promotion of theirs puts it back, and says so.
 */
function isOriginal(trace: Trace, run: string, key: string, value: unknown): boolean {
  if (!key.endsWith(' ttl') || !tookClaims(trace, run)) return false;
  const began = beforeRun(trace, run)?.at ?? 0;
  const earlier = all(trace, 'run').findLast((r) => r.run !== run && r.state !== 'refused' && r.at <= began);
  if (earlier === undefined) return false;
  const { record } = all(trace, 'record').findLast((r) => r.run === earlier.run) ?? {};
  if (earlier.state !== 'lost' && record?.outcome !== 'needsHuman') return false;
  const original = beforeRun(trace, earlier.run)?.state[key];
  return JSON.stringify(original) === JSON.stringify(value) || isOriginal(trace, earlier.run, key, value);
}

const tookClaims = (trace: Trace, run: string): boolean =>
  all(trace, 'mutation').some((m) => m.token?.runId === run && m.verb === 'claim' && m.accepted);

/** As it was before the run; where it took what lost ones left, before them: it closes their journals. */
function stateToGoBackTo(trace: Trace, run: string): Of<'snapshot'>['state'] | undefined {
  return (tookClaims(trace, run) ? firstOfLost(trace, run) : beforeRun(trace, run))?.state;
}

function beforeRun(trace: Trace, run: string): Of<'snapshot'> | undefined {
  return all(trace, 'snapshot').find((s) => s.run === run && s.moment === 'before');
}

/** Before the first of the runs that were lost one after the other right before this one. A promotion of theirs stands. */
function firstOfLost(trace: Trace, run: string): Of<'snapshot'> | undefined {
  const before = beforeRun(trace, run);
  const last = all(trace, 'run').findLast((r) => r.run !== run && r.state !== 'refused' && r.at <= (before?.at ?? 0));
  if (before === undefined || last?.state !== 'lost') return before;
  const first = firstOfLost(trace, last.run) ?? before;
  return all(trace, 'promotion').some(({ at }) => at >= first.at && at <= before.at) ? before : first;
}

/**
 * Whether a run that was escalated ends at the side that it was to leave at first, which is the active one still: it
 * promoted nothing, so there is nothing that it could have gone forward to.
 */
function stayed(trace: Trace, run: string, { plans }: RunRecord): boolean {
  const last = plans.at(-1);
  if (last === undefined || last.facts.classified.region !== last.to) return false;
  const scheduled = all(trace, 'scheduled').filter((e) => e.run === run);
  // Without a claim no earlier plan has done anything.
  const acted = scheduled.some(({ at, verb }) => verb === 'claim' && at <= last.compiledAt);
  const promoted = scheduled.some(({ verb }) => ['promote', 'switchover'].includes(verb));
  return acted && !promoted && plans.slice(0, -1).some(({ from }) => from === last.to);
}

/**
 * Whether the last change of this part of a snapshot while the run was open was another run's: a step of it whose
 * worker froze may still put its own setting back.
 */
function changedByAnother(trace: Trace, run: string, key: string): boolean {
  const moments = trace.events.filter((e) => e.kind === 'snapshot' && e.run === run).map(({ at }) => at);
  const last = all(trace, 'mutation').findLast(
    ({ at, place, accepted, changed }) =>
      accepted &&
      changed &&
      at >= moments[0]! &&
      at <= moments.at(-1)! &&
      key.startsWith(`${place.replace('router ', '')} `),
  );
  return last !== undefined && last.token !== null && last.token.runId !== run;
}

const undosReported: Predicate = {
  rule: 'I8',
  title: 'undos run in reverse order, and what cannot be finished is reported',
  needs: ['record'],
  judge(trace, broken) {
    for (const { run, record, at } of all(trace, 'record')) {
      // A rescue begins anew, and may do again what is still to be undone.
      if (!record.messages.some((m) => m.verb === 'escalate' && m.applied)) undosInOrder(trace, run, broken);
      if (record.outcome === null) continue;
      const open = record.undos.filter((u) => ['registered', 'running'].includes(u.state));
      if (record.outcome === 'rolledBack' && open.length > 0)
        broken(at, `${record.workflowId} says it went back, and ${open.map((u) => u.stepId)} were not undone`);
      else if (open.length > 0 && stayed(trace, run, record))
        broken(
          at,
          `${record.workflowId} ended "${record.outcome}" where it was to leave, and ${open.map((u) => u.stepId)} were not undone`,
        );
      const later = (i: number, id: string): boolean =>
        record.undos.some((u, j) => j > i && u.stepId === id && u.state === 'done');
      for (const undo of record.undos.filter((u, i) => u.state === 'failed' && !later(i, u.stepId))) {
        const said = record.debt.some((d) => d.message.includes(undo.summary)) || record.text.includes(undo.summary);
        if (!said) broken(at, `the undo of ${undo.stepId} failed and nobody is told`);
        if (record.outcome === 'rolledBack')
          broken(at, `${record.workflowId} says everything is as before, and the undo of ${undo.stepId} failed`);
      }
    }
  },
};

/** What was begun last is undone first, as the run scheduled it: its own record is not asked. */
function undosInOrder(trace: Trace, run: string, broken: (at: number, text: string) => void): void {
  const scheduled = all(trace, 'scheduled').filter((event) => event.run === run);
  /**
   * By step: when it was begun for the first and the last time since it was last undone. An undo is registered at the
   * first; one whose attempt nobody took is dropped, and registered at the next.
   */
  const begun = new Map<string, { first: number; last: number }>();
  const undone: Array<{ step: string; last: number; undone: number }> = [];
  for (const [i, { step, at }] of scheduled.entries()) {
    if (!step.startsWith('undo:')) {
      begun.set(step, { first: begun.get(step)?.first ?? i, last: i });
      continue;
    }
    const of = step.slice('undo:'.length);
    const tries = begun.get(of);
    // Tried again: its turn was before.
    if (tries === undefined) continue;
    const { first, last } = tries;
    begun.delete(of);
    for (const earlier of undone)
      if (earlier.last < first && first < earlier.undone)
        broken(at, `${of} was begun after ${earlier.step} and is undone after it too`);
    undone.push({ step: of, last, undone: i });
  }
}

const oneRunPerLock: Predicate = {
  rule: 'I9',
  title: 'one run per lock; a second request is told who holds it',
  needs: ['run'],
  judge(trace, broken) {
    const holder = new Map<string, string>();
    for (const event of all(trace, 'run')) {
      const { run, lock, state, at } = event;
      const held = holder.get(lock);
      if (state === 'started') {
        if (held !== undefined && held !== run) broken(at, `${run} started on ${lock}, which ${held} holds`);
        holder.set(lock, run);
      } else if (state === 'closed' || state === 'lost') {
        if (held === run) holder.delete(lock);
      } else if (event.text === '') broken(at, `a second request for ${lock} was refused without a word`);
    }
  },
};

const decisionsCountOnce: Predicate = {
  rule: 'I10',
  title: 'a decision counts once, for one asking of one gate, before expiry, for the facts it saw',
  needs: ['gate', 'decision'],
  judge(trace, broken) {
    const open = new Map<string, Of<'gate'>>();
    const counted = new Set<string>();
    const stated = new Map<string, Of<'loss'>>();
    for (const event of trace.events) {
      if (event.kind === 'gate') {
        const key = `${event.run} ${event.gate}`;
        if (event.state === 'opened') open.set(key, event);
        else open.delete(key);
      } else if (event.kind === 'asks') {
        const gone = event.override.filter((code) => !event.shown.includes(code));
        if (gone.length > 0)
          broken(event.at, `${event.gate} asks for ${gone.join(', ')} by name, and nothing that it shows needs it`);
      } else if (event.kind === 'loss') stated.set(`${event.run} ${event.store}`, event);
      else if (event.kind === 'decision' && event.applied) {
        const gate = open.get(`${event.run} ${event.gate}`);
        if (gate === undefined)
          broken(event.at, `a decision of ${event.by} counted for ${event.gate}, which was not open`);
        else if (event.at > gate.expiresAt)
          broken(event.at, `a decision of ${event.by} counted after ${event.gate} expired`);
        const key = `${event.run} ${event.gate} ${event.by} ${event.decision}`;
        if (counted.has(key)) broken(event.at, `${event.by} counted twice at ${event.gate}`);
        counted.add(key);
      } else if (event.kind === 'promotion' && event.by === 'rampart' && event.run !== null) {
        const loss = stated.get(`${event.run} ${event.store}`)?.loss;
        if (loss === undefined || loss.kind === 'none') continue;
        const most = acceptedSeconds(trace, event.run, event.at);
        const over = loss.seconds === null ? most !== 'any' : most !== 'any' && loss.seconds > most;
        if (over)
          broken(
            event.at,
            `${event.store} was promoted with a loss of ${loss.seconds ?? 'unknown'} s, and people had accepted ${most} s`,
          );
      }
    }
  },
};

/** The longest loss people accepted before `at`, in seconds; `any` when somebody approved an unknown or open one. */
function acceptedSeconds(trace: Trace, run: string, at: number): number | 'any' {
  const approvals = all(trace, 'decision').filter(
    (d) => d.run === run && d.applied && d.decision === 'approve' && d.at <= at,
  );
  const bounds = approvals.map((d): number | 'any' => {
    if (d.override.includes('lossAccepted')) return 'any';
    return d.maxLoss === null ? 0 : (d.maxLoss.seconds ?? 'any');
  });
  return bounds.includes('any') ? 'any' : Math.max(0, ...(bounds as number[]));
}

const noSecrets: Predicate = {
  rule: 'I11',
  title: 'no secret in history, logs, metrics, reports or error texts',
  needs: ['text'],
  judge(trace, broken) {
    for (const event of all(trace, 'text'))
      if (trace.secrets.some((secret) => event.text.includes(secret)))
        broken(event.at, `a secret is in ${event.where}`);
  },
};

const unknownIsNotGood: Predicate = {
  rule: 'I12',
  title: 'unknown is not good: no reading, a stale one or a disagreement stops a planned run',
  needs: ['relied'],
  judge(trace, broken) {
    for (const event of all(trace, 'relied'))
      if (event.mode === 'planned' && event.quality !== 'good' && !event.accepted && !skippedBefore(trace, event))
        broken(event.at, `a planned run went on although ${event.on} was ${event.quality}`);
  },
};

/** Whether a person told the run by name not to wait until the replica is close behind. */
function skippedBefore(trace: Trace, { run, at }: Of<'relied'>): boolean {
  const messages = all(trace, 'record').flatMap((event) => (event.run === run ? event.record.messages : []));
  return messages.some(
    (m) => m.verb === 'skip' && m.applied && m.at <= at && JSON.stringify(m.input).includes('"converge:'),
  );
}

const runsEnd: Predicate = {
  rule: 'end',
  title: 'every run ends, or holds and says what it waits for; and its record does not lie',
  needs: ['run'],
  judge(trace, broken) {
    const at = trace.events.at(-1)?.at ?? 0;
    const started = all(trace, 'run').filter((event) => event.state === 'started');
    for (const { run, lock } of started) {
      const closed = all(trace, 'run').some((event) => event.run === run && ['closed', 'lost'].includes(event.state));
      const waiting = all(trace, 'waiting').findLast((event) => event.run === run);
      if (!closed && (waiting === undefined || waiting.text === ''))
        broken(at, `the run of ${lock} neither ended nor says what it waits for`);
    }
    for (const { run, text: words, at: asked } of all(trace, 'waiting'))
      if (words === '') broken(asked, `run ${run} waits and does not say for what`);
    const sides = new Sides();
    const diedAt = new Map<string, number>();
    for (const event of trace.events) {
      sides.take(event);
      if (event.kind === 'writable' && event.by !== 'rampart') diedAt.set(`${event.store}@${event.region}`, event.at);
      if (event.kind !== 'record' || event.record.outcome === null) continue;
      const { record } = event;
      if (record.text === '') broken(event.at, `${record.workflowId} ended "${record.outcome}" without a word`);
      const moved = ['failover', 'failback'].includes(record.action) && record.outcome === 'completed';
      if (!moved || record.to === null) continue;
      // What dies by itself after the last look is no lie.
      for (const [store, writable] of sides.writable)
        if (
          !writable.has(record.to) &&
          event.at - (diedAt.get(`${store}@${record.to}`) ?? Number.NEGATIVE_INFINITY) > trace.graceMs
        )
          broken(event.at, `${record.workflowId} says it is complete, and ${store} in ${record.to} accepts no writes`);
    }
  },
};

export const PREDICATES: readonly Predicate[] = [
  oneWriter,
  freezeBudget,
  plannedLosesNothing,
  neverSilently,
  onlyToHealthyPlaces,
  repeatable,
  backOrForward,
  undosReported,
  oneRunPerLock,
  decisionsCountOnce,
  noSecrets,
  unknownIsNotGood,
  runsEnd,
];

/** @returns what was broken, in the order of time; empty when every rule held */
export function judge(trace: Trace): Violation[] {
  const violations: Violation[] = [];
  for (const { rule, judge: look } of PREDICATES)
    look(trace, (at, words) => {
      const one = { rule, at, text: words };
      if (!violations.some((v) => v.rule === rule && v.text === words)) violations.push(one);
    });
  return violations.sort((a, b) => a.at - b.at);
}

/** The rules this trace could have broken: those that saw every kind of event they judge. */
export function coverage(trace: Trace): Rule[] {
  const kinds = new Set(trace.events.map(({ kind }) => kind));
  return PREDICATES.filter(({ needs }) => needs.every((kind) => kinds.has(kind))).map(({ rule }) => rule);
}
