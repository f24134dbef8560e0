/**
 * The report as JUnit XML, so that a drill passes or fails like a test: one suite per run; its outcome, each objective,
 * each assertion and each step are test cases. A step that failed in a run that went on to complete is `skipped`, with its error.
 */

import { drillTitle, verdictOfDrill } from './drill.ts';
import { outcomeText } from './format.ts';
import { html, type Markup, NOTHING } from './html/escape.ts';
import type { DrillRecord, RunRecord, StepRecord } from './record.ts';
import { buildReport, type Report, type RunEvidence } from './report.ts';

type Result = { kind: 'passed' } | { kind: 'failed' | 'skipped'; message: string };

interface Case {
  group: string;
  name: string;
  seconds: number;
  result: Result;
}

/** @returns a `<testsuites>` document; times in seconds */
export function renderJunit(runs: Array<Partial<RunRecord> | RunEvidence>, drill?: DrillRecord): string {
  const legs = runs.map((r) => suiteOf(buildReport(r)));
  const suites = drill === undefined ? legs : [drillSuite(drill), ...legs];
  const all = suites.flatMap((s) => s.cases);
  const seconds = suites.reduce((sum, s) => sum + s.seconds, 0);
  const xml = html`<testsuites name="rampart" ${counts(all)} time="${fixed(seconds)}">${suites.map((s) => s.xml)}
</testsuites>`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${xml.text}\n`;
}

function suiteOf(report: Report): { xml: Markup; cases: Case[]; seconds: number } {
  const r = report.record;
  const seconds = (report.times.totalMs ?? 0) / 1000;
  const cases = [
    outcomeCase(report, seconds),
    ...objectiveCases(report),
    ...assertionCases(report),
    ...r.steps.map((s) => stepCase(report, s)),
  ];
  const stamp =
    Number.isFinite(r.startedAt) && Math.abs(r.startedAt) <= 8.64e15 ? new Date(r.startedAt).toISOString() : '';
  const properties = [...report.identity, { label: 'Verdict', value: report.verdict }];
  const xml = html`
  <testsuite name="${report.title}" ${counts(cases)} time="${fixed(seconds)}"${stamp === '' ? NOTHING : html` timestamp="${stamp}"`}>
    <properties>${properties.map(
      (p) => html`
      <property name="${p.label}" value="${p.value}"/>`,
    )}
    </properties>${cases.map((c) => caseOf(r.service || 'run', c))}
    <system-out>${r.log.map((l) => `${l.text}\n`).join('')}</system-out>
  </testsuite>`;
  return { xml, cases, seconds };
}

/** The whole drill as one test: its legs have suites of their own. */
function drillSuite(drill: DrillRecord): ReturnType<typeof suiteOf> {
  const seconds = drill.endedAt === null ? 0 : (drill.endedAt - drill.startedAt) / 1000;
  const verdict = verdictOfDrill(drill);
  const message = [drill.text, ...drill.reasons].join(' ');
  const result: Result =
    verdict === 'passed' ? { kind: 'passed' } : { kind: verdict === 'failed' ? 'failed' : 'skipped', message };
  const cases: Case[] = [{ group: 'drill', name: 'verdict', seconds, result }];
  const xml = html`
  <testsuite name="${drillTitle(drill)}" ${counts(cases)} time="${fixed(seconds)}">${cases.map((c) => caseOf(drill.service, c))}
  </testsuite>`;
  return { xml, cases, seconds };
}

function counts(cases: Case[]): Markup {
  const of = (kind: Result['kind']) => cases.filter((c) => c.result.kind === kind).length;
  return html`tests="${cases.length}" failures="${of('failed')}" errors="0" skipped="${of('skipped')}"`;
}

function outcomeCase(report: Report, seconds: number): Case {
  const outcome = report.record.outcome;
  const result: Result =
    outcome === 'completed' || outcome === 'nothingToDo'
      ? { kind: 'passed' }
      : outcome === null || outcome === 'withdrawn' || outcome === 'cancelled'
        ? { kind: 'skipped', message: report.conclusion }
        : { kind: 'failed', message: `${outcomeText(outcome)}: ${report.conclusion}` };
  return { group: 'run', name: 'outcome', seconds, result };
}

function objectiveCases(report: Report): Case[] {
  return report.objectives.map((o) => ({
    group: 'objectives',
    name: o.name,
    seconds: 0,
    result:
      o.met === true
        ? { kind: 'passed' }
        : {
            kind: o.met === false ? 'failed' : 'skipped',
            message: `target ${o.target}, achieved ${o.actual} (${o.basis})`,
          },
  }));
}

/** One that must hold fails when it does not, and when nobody can say; one that only warns never does. */
function assertionCases(report: Report): Case[] {
  return report.assertions.map((a) => ({
    group: 'assertions',
    name: a.name,
    seconds: 0,
    result:
      a.met === true
        ? { kind: 'passed' }
        : {
            kind: a.severity === 'fail' ? 'failed' : 'skipped',
            message: `${a.met === null ? 'it cannot be judged' : 'not as asserted'} (${a.expr}): ${a.note}`,
          },
  }));
}

function stepCase(report: Report, step: StepRecord): Case {
  const error = step.error === null || step.error === undefined ? '' : `${step.error.type}: ${step.error.message}`;
  const wentOn = report.record.outcome === 'completed';
  const result: Result =
    step.state === 'done'
      ? { kind: 'passed' }
      : step.state === 'failed' && !wentOn
        ? { kind: 'failed', message: error || 'failed' }
        : { kind: 'skipped', message: [step.state, error].filter((t) => t !== '').join(': ') };
  const seconds = step.endedAt === null ? 0 : Math.max(0, step.endedAt - step.startedAt) / 1000;
  return { group: step.stage, name: step.id, seconds, result };
}

function caseOf(service: string, c: Case): Markup {
  const head = html`
    <testcase classname="${service}.${c.group}" name="${c.name}" time="${fixed(c.seconds)}"`;
  if (c.result.kind === 'passed') return html`${head}/>`;
  const { message } = c.result;
  return c.result.kind === 'failed'
    ? html`${head}><failure message="${message}">${message}</failure></testcase>`
    : html`${head}><skipped message="${message}"/></testcase>`;
}

function fixed(seconds: number): string {
  return Number.isFinite(seconds) ? seconds.toFixed(3) : '0.000';
}
