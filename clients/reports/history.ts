/** Past runs of a service from Temporal and from the report store, and what they prove. Pure. */
import type { Summary } from './manifest.ts';

/** A past run, or one that is on, as far as it is known. Times in milliseconds. */
export interface PastRun {
  workflowId: string;
  /** Run of Temporal that ended it. */
  runId: string;
  action: string;
  state: 'running' | 'closed';
  startedAt: number | null;
  closedAt: number | null;
  outcome: string | null;
  text: string;
  link: string | null;
  /** `null`: it is on, or left no record. */
  summary: Summary | null;
  /** Number of its report in the store; `null` when none is filed. */
  report: number | null;
}

/** How a value went over the last runs, newest last. */
export interface Trend {
  values: Array<{ at: number; ms: number }>;
  lastMs: number;
  medianMs: number;
  worstMs: number;
  /** Of the last run's tier. */
  objectiveMs: number | null;
}

export interface Proven {
  at: number;
  daysAgo: number;
  action: string;
  mode: string;
  to: string | null;
  runId: string;
}

export interface ServiceHistory {
  service: string;
  /** Newest first. */
  runs: PastRun[];
  /** The last run that moved the service and met what was promised. */
  lastProven: Proven | null;
  trend: { rta: Trend | null; rpa: Trend | null };
  nextDueAt: number | null;
  overdue: boolean;
}

/** A run as a report in the store knows it. */
export interface StoredRun {
  number: number;
  summary: Summary;
}

const DAY_MS = 86_400_000;
const TREND_RUNS = 10;

/**
 * @param asked what Temporal knows; `report` is filled here
 * @param stored what the store holds; runs that Temporal has forgotten come from there
 */
export function historyOf(
  service: string,
  asked: readonly PastRun[],
  stored: readonly StoredRun[],
  now: number,
): ServiceHistory {
  const byRun = new Map(stored.map((one) => [one.summary.runId, one]));
  const known = new Set<string>();
  const fromTemporal = asked.map((run) => {
    const filed = byRun.get(run.summary?.runId ?? run.runId);
    // A run that went on as a new one has its record, and its report, at its end.
    if (filed === undefined || (run.summary === null && run.outcome === null)) return run;
    known.add(filed.summary.runId);
    return { ...run, summary: run.summary ?? filed.summary, report: filed.number };
  });
  const forgotten = stored.filter(({ summary }) => !known.has(summary.runId)).map(fromStore);
  const runs = [...fromTemporal, ...forgotten].sort((a, b) => (b.startedAt ?? 0) - (a.startedAt ?? 0));
  const proof = runs.find(({ summary }) => summary?.proves === true && summary.endedAt !== null)?.summary;
  const nextDueAt = runs.find(({ summary }) => summary?.nextDueAt != null)?.summary?.nextDueAt ?? null;
  return {
    service,
    runs,
    lastProven:
      proof == null
        ? null
        : {
            at: proof.endedAt!,
            daysAgo: Math.max(0, Math.floor((now - proof.endedAt!) / DAY_MS)),
            action: proof.action,
            mode: proof.mode,
            to: proof.to,
            runId: proof.runId,
          },
    trend: { rta: trendOf(runs, 'rtaMs', 'rtoMs'), rpa: trendOf(runs, 'rpaMs', 'rpoMs') },
    nextDueAt,
    overdue: nextDueAt !== null && nextDueAt < now,
  };
}

function fromStore({ number, summary }: StoredRun): PastRun {
  const { workflowId, runId, action, startedAt, endedAt, outcome } = summary;
  const rest = { state: 'closed' as const, text: '', link: null };
  return { workflowId, runId, action, startedAt, closedAt: endedAt, outcome, ...rest, summary, report: number };
}

/** Completed moves only: a run that was put back recovered nothing. */
function trendOf(runs: readonly PastRun[], value: 'rtaMs' | 'rpaMs', objective: 'rtoMs' | 'rpoMs'): Trend | null {
  const summaries = runs
    .flatMap(({ summary }) => (summary?.outcome === 'completed' ? [summary] : []))
    .filter((summary) => summary[value] !== null && summary.endedAt !== null)
    .slice(0, TREND_RUNS)
    .reverse();
  const last = summaries.at(-1);
  if (last === undefined) return null;
  const sorted = summaries.map((s) => s[value]!).sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const medianMs = Number.isInteger(middle) ? (sorted[middle - 1]! + sorted[middle]!) / 2 : sorted[Math.floor(middle)]!;
  return {
    values: summaries.map((s) => ({ at: s.endedAt!, ms: s[value]! })),
    lastMs: last[value]!,
    medianMs,
    worstMs: sorted.at(-1)!,
    objectiveMs: last[objective],
  };
}
