/** One vantage point of a watch: asks every probe at its interval, and speaks when it has something new to say. */
import { activityInfo } from '@temporalio/activity';
import { clock } from '../drivers/clock.ts';
import type { DriverContext, Json, Millis } from '../drivers/ports.ts';
import type { PointMemory, PointReport, TargetMemory } from '../plan/watch/model.ts';
import { isPointNews, readingOf } from '../plan/watch/report.ts';
import { type Target, targetOf, targetsOf } from '../plan/watch/vote.ts';
import { judge, NEW_TARGET, take } from '../plan/watch/window.ts';
import type { VantagePoint, Watch } from '../topology/watches.ts';
import type { VantageActivities, WatchPointAnswer, WatchPointCall } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { open, perform } from './perform.ts';

/** What a vantage point needs of its process besides what every activity has. */
export interface VantageDeps {
  /** Shows what it sees in the process's metrics; `null`: it no longer watches. */
  publish(watch: Watch, point: VantagePoint, report: PointReport | null): void;
}

/** Checks whose time is that of the monitoring that is asked, not of the system. */
const INDIRECT = ['prometheus', 'command'];
/** A process that did nothing for longer than this besides the interval was stopped: what was under way then says nothing. */
const STALLED_MS = 3_000;
/**
 * The first word waits for targets that cannot be read for as long as so many times a failure takes at its interval, and
 * no longer than this, in milliseconds.
 */
const FIRST_WORD_FAILURES = 4;
const FIRST_WORD_MS = 30_000;
const MOST_TEXT = 200;

export function createVantageActivities(deps: ActivityDeps, vantage: VantageDeps): VantageActivities {
  return {
    watchPoint: (call) => {
      const run = { workflowId: '', runId: '', service: call.watched.watch.service ?? '', by: null };
      return perform(deps, run, null, (context) => watchPoint(deps, vantage, call, context));
    },
  };
}

/** One target, and what is under way to it. */
interface Asked {
  target: Target;
  memory: TargetMemory;
  /** Why it could not be asked at all. */
  trouble: string;
  /** Began at, by the monotonic clock; `null` = nothing is under way. */
  since: number | null;
}

async function watchPoint(
  deps: ActivityDeps,
  vantage: VantageDeps,
  call: WatchPointCall,
  context: DriverContext,
): Promise<WatchPointAnswer> {
  const { watch, components } = call.watched;
  const end = context.now() + call.forMs;
  const speaks = context.now() + Math.min(FIRST_WORD_MS, FIRST_WORD_FAILURES * watch.failures * watch.intervalMs);
  // One that moves to another worker goes on with what was read before.
  const before = activityInfo().heartbeatDetails as { memory?: PointMemory } | undefined;
  const known = before?.memory ?? call.memory;
  const asked = targetsOf(watch, components).map(
    (target): Asked => ({ target, memory: known[targetOf(target)] ?? NEW_TARGET, trouble: '', since: null }),
  );
  const stop = new AbortController();
  const asking = { ...context, signal: AbortSignal.any([context.signal, stop.signal]) };
  let looked = clock.monotonic();
  try {
    for (;;) {
      for (const one of asked) if (one.since === null) void ask(deps, call, one, asking);
      await clock.sleep(Math.min(watch.intervalMs, Math.max(end - context.now(), 1)), context.signal);
      const stalled = clock.monotonic() - looked > watch.intervalMs + STALLED_MS;
      looked = clock.monotonic();
      // Time-outs that ran out while nothing ran: nobody was waiting for the answers.
      if (stalled) for (const one of asked) one.since = null;
      const now = context.now();
      for (const one of asked) one.memory = judge(one.memory, watch, now);
      const report = reportOf(asked, now);
      const memory = Object.fromEntries(asked.map((one) => [targetOf(one.target), one.memory]));
      vantage.publish(watch, call.point, report);
      context.heartbeat({ memory: memory as unknown as Json });
      const first = call.shown === null && now >= speaks;
      if (first || isPointNews(call.shown, report)) return { why: 'changed', report, memory };
      if (now >= end) return { why: 'time', report, memory };
    }
  } finally {
    stop.abort();
    vantage.publish(watch, call.point, null);
  }
}

/** Asks once. What it finds counts only while nobody has given it up. */
async function ask(deps: ActivityDeps, call: WatchPointCall, one: Asked, context: DriverContext): Promise<void> {
  const { watch, components } = call.watched;
  const component = components[one.target.probe]!;
  const began = clock.monotonic();
  one.since = began;
  const current = (): boolean => one.since === began && !context.signal.aborted;
  try {
    const result = await open(deps, component, 'check', context).run(one.target.region ?? '');
    if (!current()) return;
    const ms = INDIRECT.includes(component.type) ? null : clock.monotonic() - began;
    const reading = readingOf(result, ms, context.now());
    const said = `${result.observed}${result.detail === '' ? '' : ` (${result.detail})`}`.slice(0, MOST_TEXT);
    one.trouble = reading === null ? said : '';
    if (reading !== null) one.memory = { ...take(one.memory, reading, watch), text: reading.ok ? '' : said };
  } catch (error) {
    if (!current()) return;
    // Not a word about the system: a secret that is not here, a driver that this worker does not know.
    one.trouble = (error instanceof Error ? error.message : String(error)).slice(0, MOST_TEXT);
  } finally {
    if (one.since === began) one.since = null;
  }
}

function reportOf(asked: readonly Asked[], at: Millis): PointReport {
  return {
    at,
    targets: asked.map(({ target, memory, trouble }) => ({
      ...target,
      signals: memory.signals,
      silent: memory.isSilent,
      text: memory.text || trouble,
    })),
  };
}
