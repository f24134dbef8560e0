/** A run's own record and history in the judge's words, and the whole as a story for people. */
import type { Decision, RunRecord } from '../../evidence/record.ts';
import type { Violation } from '../judge/judge.ts';
import type { TraceEvent } from '../judge/trace.ts';
import type { TraceEvent as HistoryEvent } from '../virtual-time/harness.ts';
import { describe, type Scenario } from './scenario.ts';
import type { Result } from './simulate.ts';
import type { SimWorld } from './world/world.ts';

const GATE_OPENED = /^gate (\S+) opened/;
const GATE_AGAIN = /^gate (\S+) is asked again as (\S+):/;

/** Adds what the run did and said; times are the server's. */
export function traceOfRun(
  world: SimWorld,
  run: string,
  record: RunRecord,
  history: HistoryEvent[],
  scenario: Scenario,
  lost: boolean,
): void {
  const push = (event: TraceEvent): void => void world.trace.events.push(event);
  for (const { at, event, name, summary } of history) {
    if (event !== 'activityTaskScheduled' || summary === undefined) continue;
    const [verb, ...rest] = summary.split(':');
    const own = verb === 'undo' ? name : verb;
    const store = rest.join(':').split('@')[0] ?? null;
    push({ at, kind: 'scheduled', run, step: summary, verb: name ?? own ?? '', store });
  }
  const gate = (at: number, id: string, state: 'opened' | 'closed'): void => {
    const expiresAt = scenario.onTimeout === 'hold' ? Number.MAX_SAFE_INTEGER : at + scenario.gateMs;
    push({ at, kind: 'gate', run, gate: id, state, expiresAt, loss: null });
  };
  for (const { at, text } of record.log) {
    const again = GATE_AGAIN.exec(text);
    const opened = GATE_OPENED.exec(text);
    if (again !== null) {
      gate(at, again[1] as string, 'closed');
      gate(at, again[2] as string, 'opened');
    } else if (opened !== null) gate(at, opened[1] as string, 'opened');
  }
  for (const decision of record.decisions) push(decisionOf(run, decision));
  for (const { name, endedAt, kind } of record.waits ?? [])
    if (kind === 'gate' && endedAt) gate(endedAt, name, 'closed');
  // Nobody asks any more.
  const asked = record.log.findLast(({ text }) => GATE_OPENED.test(text) || GATE_AGAIN.test(text));
  if (lost && asked !== undefined) gate(world.now, gateOf(asked.text), 'closed');
  push({ at: record.endedAt ?? world.now, kind: 'record', run, record });
  push({ at: world.now, kind: 'text', where: `the record of ${run}`, text: JSON.stringify(record) });
}

const gateOf = (text: string): string => (GATE_AGAIN.exec(text)?.[2] ?? GATE_OPENED.exec(text)?.[1]) as string;

function decisionOf(run: string, d: Decision): TraceEvent {
  const { gate, by, decision, override, maxLoss, at } = d;
  return { at, kind: 'decision', run, gate, by, decision, applied: true, override, maxLoss };
}

/** What happened, short enough to read. */
export function storyOf({ scenario, violations, trace, ends }: Result): string {
  const start = trace.events[0]?.at ?? 0;
  const clock = (at: number): string => `${((at - start) / 1000).toFixed(3).padStart(9)} s`;
  const lines = trace.events.flatMap((event) => {
    const text = lineOf(event);
    return text === null ? [] : [{ at: event.at, text }];
  });
  for (const { record } of trace.events.filter((e) => e.kind === 'record'))
    for (const { at, text } of record.log) lines.push({ at, text: `run: ${text}` });
  lines.sort((a, b) => a.at - b.at);
  return [
    ...describe(scenario),
    '',
    ...lines.map(({ at, text }) => `${clock(at)}  ${text}`),
    '',
    ...ends.map((end) => `end: ${end}`),
    ...violations.map((violation) => `VIOLATION ${sentence(violation, clock)}`),
  ].join('\n');
}

function sentence({ rule, at, text }: Violation, clock: (at: number) => string): string {
  return `${rule} at ${clock(at).trim()}: ${text}`;
}

function lineOf(event: TraceEvent): string | null {
  switch (event.kind) {
    case 'writable':
      return `  ${event.store} in ${event.region} ${event.writable ? 'accepts' : 'stops accepting'} writes (${event.by})`;
    case 'promotion':
      return `  ${event.store} in ${event.region} is told to promote (${event.mode}, proofs ${JSON.stringify(event.proofs.map((p) => p.cannotWrite))})`;
    case 'mutation':
      return event.accepted && !event.changed
        ? null
        : `  ${event.place}: ${event.verb} ${event.accepted ? 'changes it' : `refused: ${event.why}`} [${event.token?.epoch}.${event.token?.seq}]`;
    case 'weights':
      return `  ${event.router} sends ${JSON.stringify(event.weights)} (${event.by})`;
    case 'fault':
      return `FAULT ${event.what}`;
    case 'alarm':
      return `  alarm: ${event.text}`;
    case 'missing':
      return event.ranges.length === 0 ? null : `  lost in ${event.region}: ${JSON.stringify(event.ranges)}`;
    default:
      return null;
  }
}
