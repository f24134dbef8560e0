/**
 * What a report says about one run, before it is written in any format: who, what for, what was achieved, what
 * differed from the plan, what is left to do. Pure; every format renders this model, so they cannot disagree.
 */
import { evaluate } from './assertions.ts';
import { closingOf, identityOf, type People, peopleOf, type Row, resultsOf, scenarioOf } from './audit.ts';
import { type Clock, clocksOf, type Phase, phasesOf, type Times, timesOf } from './clocks.ts';
import { communicationOf } from './communication.ts';
import { complete } from './complete.ts';
import { type Deviation, deviationsOf, findingsOf, type ReportFinding } from './findings.ts';
import { actionText, capital, direction, lossSentence, outcomeText, plural } from './format.ts';
import { type LeftBehindPart, leftBehindOf } from './left-behind.ts';
import { assessObjectives, type LoadResult, type Objective } from './objectives.ts';
import type { AssertionRecord, RunRecord } from './record.ts';
import { type TimelineEvent, timelineOf } from './timeline.ts';

/** One run and, when a load watched it, what its clients saw. */
export interface RunEvidence {
  record: Partial<RunRecord>;
  load?: LoadResult | null;
}

export type Verdict = 'passed' | 'passed with findings' | 'failed' | 'running' | 'not judged';

export interface Report {
  title: string;
  verdict: Verdict;
  /** The verdict's reason, in a sentence. */
  conclusion: string;
  identity: Row[];
  people: People;
  scenario: Row[];
  objectives: Objective[];
  assertions: AssertionRecord[];
  /** Dwell, failback, integrity, what users saw. */
  results: Row[];
  clocks: Clock[];
  phases: Phase[];
  times: Times;
  loss: string;
  /** What the old side holds alone, where this run has listed it. */
  leftBehind: LeftBehindPart[];
  load: LoadResult | null;
  timeline: TimelineEvent[];
  deviations: Deviation[];
  /** The checklist, and who was told. */
  communication: Row[];
  findings: ReportFinding[];
  /** Retest and next test. */
  closing: Row[];
  record: RunRecord;
}

/** @param input a run's record, whole or not, alone or with what its load found */
export function buildReport(input: Partial<RunRecord> | RunEvidence): Report {
  const { record: raw, load = null } = isEvidence(input) ? input : { record: input };
  const record = complete(raw);
  const objectives = assessObjectives(record, load);
  const assertions =
    record.assertions ?? (record.outcome === null ? [] : evaluate(record.asserted ?? [], record, load));
  const deviations = deviationsOf(record);
  const findings = findingsOf(record, objectives, assertions);
  const judged = judge(record, objectives, assertions, findings, deviations);
  return {
    title: `${capital(actionText(record.action) || 'run')} of ${record.service || 'an unknown service'}, ${direction(record.from, record.to)}`,
    ...judged,
    identity: identityOf(record),
    people: peopleOf(record),
    scenario: scenarioOf(record),
    objectives,
    assertions,
    results: resultsOf(record, load),
    clocks: clocksOf(record),
    phases: phasesOf(record),
    times: timesOf(record),
    loss: lossSentence(record.loss),
    leftBehind: leftBehindOf(record),
    load: load ?? null,
    timeline: timelineOf(record),
    deviations,
    communication: communicationOf(record),
    findings,
    closing: closingOf(record, judged.verdict === 'failed'),
    record,
  };
}

export function isEvidence(input: Partial<RunRecord> | RunEvidence): input is RunEvidence {
  return 'record' in input && typeof input.record === 'object' && input.record !== null;
}

const named = (list: ReadonlyArray<{ name: string }>): string => list.map((o) => o.name).join(', ');

function judge(
  record: RunRecord,
  objectives: Objective[],
  assertions: AssertionRecord[],
  findings: ReportFinding[],
  deviations: Deviation[],
): { verdict: Verdict; conclusion: string } {
  switch (record.outcome) {
    case null:
      return { verdict: 'running', conclusion: record.text || 'The run has not ended.' };
    case 'nothingToDo':
    case 'withdrawn':
    case 'cancelled':
      return { verdict: 'not judged', conclusion: record.text || capital(outcomeText(record.outcome)) };
    case 'completed': {
      const strict = assertions.filter((a) => a.severity === 'fail');
      const wrong = [
        ['Missed', objectives.filter((o) => o.met === false)],
        ['Not as asserted', strict.filter((a) => a.met === false)],
        // Somebody asked for it by name, and nobody can say that it was so: that is no proof.
        ['Asserted, and it cannot be judged', strict.filter((a) => a.met === null)],
      ] as const;
      const why = wrong.filter(([, list]) => list.length > 0).map(([word, list]) => `${word}: ${named(list)}.`);
      if (why.length > 0) return { verdict: 'failed', conclusion: `${record.text} ${why.join(' ')}`.trim() };
      const open = objectives.filter((o) => o.met === null);
      const rest = [
        ...(open.length > 0 ? [`not judged: ${named(open)}`] : []),
        ...(findings.length > 0 ? [plural(findings.length, 'finding')] : []),
        ...(deviations.length > 0 ? [plural(deviations.length, 'deviation')] : []),
      ];
      return rest.length === 0
        ? { verdict: 'passed', conclusion: record.text }
        : { verdict: 'passed with findings', conclusion: `${record.text} ${capital(rest.join('; '))}.`.trim() };
    }
    default:
      return { verdict: 'failed', conclusion: record.text || capital(outcomeText(record.outcome)) };
  }
}
