/** A drill as a report: its legs as runs, and above them what became of the whole. Pure. */
import { actionText, capital, dateTime, direction, duration, NOT_RECORDED, UNKNOWN } from './format.ts';
import type { ContextRecord, DrillRecord, RunRecord } from './record.ts';
import type { RunEvidence, Verdict } from './report.ts';

export function isDrill(value: object): value is DrillRecord {
  return 'legs' in value && Array.isArray(value.legs);
}

const VERDICTS: Record<NonNullable<DrillRecord['verdict']>, Verdict> = {
  passed: 'passed',
  failed: 'failed',
  skipped: 'not judged',
  refused: 'not judged',
  withdrawn: 'not judged',
  // It ended as the real thing: nothing was shown about the way back.
  escalated: 'failed',
};

export function verdictOfDrill({ verdict }: DrillRecord): Verdict {
  return verdict === null ? 'running' : VERDICTS[verdict];
}

/** Whether it shows that the service moves: a plan, checks, or part of the traffic show nothing of the data's way. */
export function drillProves({ verdict, kind = 'full' }: DrillRecord): boolean {
  return verdict === 'passed' && kind === 'full';
}

/** `Drill quarterly of checkout, eu-west → eu-central` */
export function drillTitle({ name, service, from, to }: DrillRecord): string {
  const way = from === null && to === null ? '' : `, ${direction(from, to)}`;
  return `Drill${name === null ? '' : ` ${name}`} of ${service || NOT_RECORDED}${way}`;
}

/**
 * The legs as runs. The way there carries what the drill knows besides: the time on the other side, the way back and
 * what was asserted, as it was judged.
 */
export function drillEvidence(drill: DrillRecord): RunEvidence[] {
  const [there, ...rest] = drill.legs;
  if (there === undefined) return [];
  const back = rest.at(-1);
  const first: RunRecord = {
    ...there,
    dwell: drill.dwell,
    failback:
      back === undefined
        ? null
        : {
            workflowId: back.workflowId,
            runId: back.runId,
            startedAt: back.startedAt,
            endedAt: back.endedAt,
            outcome: back.outcome,
          },
    // A drill that ended before its verdict has judged nothing: the report does.
    ...(drill.assertions.length === 0 ? {} : { assertions: drill.assertions }),
  };
  return [first, ...rest].map((record) => ({
    record: { ...record, context: { ...contextOf(drill), ...record.context } },
  }));
}

/** Only a full drill is what the next one of is due: the others are done between two of them. */
function contextOf({ kind = 'full', from, to, nextDueAt, assertions }: DrillRecord): ContextRecord {
  const holds = assertions.length === 0 ? '' : `, and what is asserted holds (${assertions.length})`;
  const expected = `Every objective is met, no acknowledged write is lost${holds}.`;
  const way = direction(from, to);
  if (kind === 'rampOnly')
    return {
      testType: 'rampOnly',
      expected,
      scenario: `A part of the traffic moves, ${way}, and back; the data stays.`,
    };
  return {
    ...{ testType: 'full', expected, scenario: `A planned failover, ${way}, a stay there, and the way back.` },
    ...(nextDueAt === undefined ? {} : { nextDueAt }),
  };
}

/** What the drill says of itself, in rows. */
export function drillRows(drill: DrillRecord): Array<{ label: string; value: string }> {
  return [
    { label: 'Drill', value: drill.name ?? 'by hand' },
    { label: 'Kind', value: drill.kind ?? 'full' },
    { label: 'Requested by', value: drill.by ?? NOT_RECORDED },
    { label: 'Reason', value: drill.reason ?? NOT_RECORDED },
    { label: 'Legs', value: drill.legs.map((l) => capital(actionText(l.action))).join(', ') || 'none' },
    ...rehearsalRows(drill),
    ...checkRows(drill),
    ...chaosRows(drill),
    { label: 'Workflow', value: drill.workflowId },
    { label: 'Run', value: drill.runId },
  ];
}

type Rows = ReturnType<typeof drillRows>;

/** What a plan on the live state found: nothing else is left of a rehearsal. */
function rehearsalRows({ rehearsal }: DrillRecord): Rows {
  if (rehearsal === undefined) return [];
  const { facts, estimate, digest } = rehearsal;
  const warnings = facts.warnings.filter(({ severity }) => severity !== 'info').map(({ message }) => message);
  const lags = Object.entries(facts.lag).map(
    ([store, lag]) =>
      `${store} ${lag === null || !lag.fresh ? UNKNOWN : duration((lag.seconds ?? Number.NaN) * 1_000)}`,
  );
  return [
    { label: 'State found', value: facts.classified.text },
    { label: 'Replication lag', value: lags.join(', ') || 'no data is replicated' },
    { label: 'Expected to take', value: duration(estimate.seconds * 1_000) },
    { label: 'Expected time without writes', value: duration(estimate.freezeSeconds * 1_000) },
    { label: 'Warnings', value: warnings.join(' ') || 'none' },
    { label: 'Plan', value: digest },
  ];
}

/** Measurements of a drill that has no leg to tell of them. */
function checkRows({ dwell, legs }: DrillRecord): Rows {
  if (legs.length > 0 || dwell === null) return [];
  const checks = dwell.checks ?? [];
  const passed = checks.filter(({ outcome }) => outcome === 'pass').length;
  const took = dwell.endedAt === null ? 'still on' : duration(dwell.endedAt - dwell.startedAt);
  return [
    { label: 'Checks', value: [...new Set(checks.map(({ name }) => name))].join(', ') || 'none' },
    { label: 'Measurements', value: `${passed} of ${checks.length} passed, ${took}` },
  ];
}

function chaosRows({ chaos }: DrillRecord): Rows {
  if (chaos === undefined) return [];
  const { brokeAt, detectedAt, detectedBy, recoveredAt, restoredAt, active } = chaos;
  const after = (at: number | null): string =>
    brokeAt === null || at === null ? 'no' : `after ${duration(at - brokeAt)}`;
  return [
    { label: 'Broken by', value: chaos.break.join(' ') },
    { label: 'Broken', value: brokeAt === null ? 'no' : dateTime(brokeAt) },
    { label: 'Noticed', value: `${after(detectedAt)}${detectedBy === null ? '' : `, ${detectedBy}`}` },
    { label: 'Working again', value: after(recoveredAt) },
    { label: 'Mended by', value: chaos.restore.join(' ') },
    { label: 'Mended', value: after(restoredAt) },
    { label: 'Active at the end', value: active ?? UNKNOWN },
  ];
}
