/**
 * What a report says about one run, before it is written in any format: who, what for, what was achieved, what
 * differed from the plan, what is left to do. Pure; every format renders this model, so they cannot disagree.
 */
import type { Finding } from '../drivers/ports.ts';
import { complete } from './complete.ts';
import { actionText, dateTime, direction, duration, lossSentence, outcomeText, plural, weightsText } from './format.ts';
import { type LeftBehindPart, leftBehindOf } from './left-behind.ts';
import {
  assessObjectives,
  type Clock,
  clocksOf,
  type LoadResult,
  type Objective,
  type Times,
  timesOf,
} from './objectives.ts';
import type { Decision, RunRecord } from './record.ts';
import { type TimelineEvent, timelineOf } from './timeline.ts';

/** One run and, when a load watched it, what its clients saw. */
export interface RunEvidence {
  record: Partial<RunRecord>;
  load?: LoadResult | null;
}

export interface Row {
  label: string;
  value: string;
}

export type Verdict = 'passed' | 'passed with findings' | 'failed' | 'running' | 'not judged';

/** Something to follow up, with what to do about it. */
export interface ReportFinding {
  id: string;
  severity: 'blocker' | 'warning' | 'info' | 'debt' | 'missed';
  where: string;
  message: string;
  remedy: string;
  owner: string;
}

/** Something that did not go as planned, and who made it so. */
export interface Deviation {
  what: string;
  who: string;
  why: string;
}

export interface Report {
  title: string;
  verdict: Verdict;
  /** The verdict's reason, in a sentence. */
  conclusion: string;
  identity: Row[];
  people: { requester: string; fourEyes: string; participants: string[]; decisions: Decision[] };
  scenario: Row[];
  objectives: Objective[];
  clocks: Clock[];
  times: Times;
  loss: string;
  /** What the old side holds alone, where this run has listed it. */
  leftBehind: LeftBehindPart[];
  load: LoadResult | null;
  timeline: TimelineEvent[];
  deviations: Deviation[];
  findings: ReportFinding[];
  record: RunRecord;
}

/** @param input a run's record, whole or not, alone or with what its load found */
export function buildReport(input: Partial<RunRecord> | RunEvidence): Report {
  const { record: raw, load = null } = isEvidence(input) ? input : { record: input };
  const record = complete(raw);
  const objectives = assessObjectives(record, load);
  const deviations = deviationsOf(record);
  const findings = findingsOf(record, objectives);
  return {
    title: `${capital(actionText(record.action) || 'run')} of ${record.service || 'an unknown service'}, ${direction(record.from, record.to)}`,
    ...judge(record, objectives, findings, deviations),
    identity: identityOf(record),
    people: peopleOf(record),
    scenario: scenarioOf(record),
    objectives,
    clocks: clocksOf(record),
    times: timesOf(record),
    loss: lossSentence(record.loss),
    leftBehind: leftBehindOf(record),
    load: load ?? null,
    timeline: timelineOf(record),
    deviations,
    findings,
    record,
  };
}

export function isEvidence(input: Partial<RunRecord> | RunEvidence): input is RunEvidence {
  return 'record' in input && typeof input.record === 'object' && input.record !== null;
}

function judge(
  record: RunRecord,
  objectives: Objective[],
  findings: ReportFinding[],
  deviations: Deviation[],
): { verdict: Verdict; conclusion: string } {
  const missed = objectives.filter((o) => o.met === false);
  const open = objectives.filter((o) => o.met === null);
  switch (record.outcome) {
    case null:
      return { verdict: 'running', conclusion: record.text || 'The run has not ended.' };
    case 'nothingToDo':
    case 'withdrawn':
    case 'cancelled':
      return { verdict: 'not judged', conclusion: record.text || capital(outcomeText(record.outcome)) };
    case 'completed': {
      if (missed.length > 0)
        return { verdict: 'failed', conclusion: `${record.text} Missed: ${missed.map((o) => o.name).join(', ')}.` };
      const rest = [
        ...(open.length > 0 ? [`not judged: ${open.map((o) => o.name).join(', ')}`] : []),
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

function identityOf(record: RunRecord): Row[] {
  const plan = record.plans.at(-1);
  return rows({
    Service: record.service,
    Action: `${actionText(record.action)}, ${record.mode}`,
    Direction: direction(record.from, record.to),
    Tier: record.tier,
    Owner: record.owner,
    Workflow: record.workflowId,
    Run: record.runId,
    'Plan digest': plan?.digest ?? '',
    'Topology digest': plan?.topologyDigest ?? '',
    Started: dateTime(record.startedAt),
    Ended: record.endedAt === null ? 'not yet' : dateTime(record.endedAt),
    Outcome: outcomeText(record.outcome),
  });
}

function peopleOf(record: RunRecord): Report['people'] {
  const requester = record.request.by ?? '';
  const approvers = new Set(record.decisions.filter((d) => d.decision === 'approve').map((d) => d.by));
  const participants = [
    ...new Set(
      [
        requester,
        ...record.decisions.map((d) => d.by),
        ...record.messages.filter((m) => m.applied).map((m) => m.by),
      ].filter((p) => p !== ''),
    ),
  ];
  const fourEyes =
    approvers.size === 0
      ? 'no: nobody approved'
      : requester === ''
        ? approvers.size > 1
          ? 'yes: two people approved'
          : 'unknown: the requester gave no name'
        : [...approvers].some((a) => a !== requester)
          ? 'yes'
          : 'no: the requester approved';
  return { requester: requester || 'no name given', fourEyes, participants, decisions: record.decisions };
}

function scenarioOf(record: RunRecord): Row[] {
  const facts = record.plans.at(0)?.facts;
  const plan = record.plans.at(0);
  const r = record.request;
  return rows({
    Reason: r.reason ?? '',
    'State found': facts?.classified?.text ?? '',
    'Facts measured': facts === undefined ? '' : dateTime(facts.measuredAt),
    'Loss expected': facts === undefined ? '' : lossSentence(facts.loss),
    'Replication lag found': Object.entries(facts?.lag ?? {})
      .map(([store, lag]) =>
        lag === null || !lag.fresh
          ? `${store}: no fresh reading`
          : `${store}: ${lag.seconds === null ? '?' : duration(lag.seconds * 1000)}, ${lag.bytes ?? '?'} B`,
      )
      .join('; '),
    'Fence found': Object.entries(facts?.fence ?? {})
      .map(([store, text]) => `${store}: ${text}`)
      .join('; '),
    'Traffic found': Object.entries(facts?.weights ?? {})
      .map(([router, weights]) => `${router}: ${weightsText(weights)}`)
      .join('; '),
    'Duration expected':
      plan?.estimate === undefined
        ? ''
        : `${duration(plan.estimate.seconds * 1000)}, of it ${duration(plan.estimate.freezeSeconds * 1000)} without writes`,
    'Overrides requested': (r.override ?? []).join(', '),
  });
}

const MISSED: Record<string, string> = {
  'Recovery time (RTO)': 'Find in the timeline what took longer than planned, then rehearse again.',
  'Write outage (freeze)': 'See the enlarged cut for what took longest; converge further before the next one.',
  'Recovery point (RPO)': 'Read the loss statement; the rows stay readable on the old side until they are released.',
  'Protection restored': 'Follow the remedy of each protection debt.',
};

function deviationsOf(record: RunRecord): Deviation[] {
  const out: Deviation[] = [];
  for (const code of record.request.override ?? [])
    out.push({ what: `Override ${code}`, who: record.request.by ?? 'requester', why: 'in the request' });
  for (const d of record.decisions)
    for (const code of d.override)
      out.push({ what: `Override ${code} at gate ${d.gate}`, who: d.by, why: d.comment || 'no comment' });
  for (const p of record.plans.slice(1))
    out.push({ what: `New plan ${p.digest.slice(0, 12)} (${p.mode})`, who: '', why: p.why });
  for (const s of record.steps) {
    if (s.state === 'skipped') out.push({ what: `Skipped: ${s.summary}`, who: '', why: s.error?.message ?? '' });
    if (s.state === 'failed') out.push({ what: `Failed: ${s.summary}`, who: '', why: s.error?.message ?? '' });
    else if (s.scheduled > 1)
      out.push({ what: `Tried ${s.scheduled} times: ${s.summary}`, who: '', why: s.error?.message ?? '' });
  }
  for (const m of record.messages.filter((x) => ['pause', 'skip', 'retry', 'abort', 'escalate'].includes(x.verb)))
    out.push({ what: m.applied ? m.verb : `${m.verb}, not applied`, who: m.by, why: m.note });
  for (const u of record.undos.filter((x) => ['failed', 'debt', 'running'].includes(x.state)))
    out.push({ what: `Undo ${u.state}: ${u.summary}`, who: '', why: u.note });
  for (const r of record.ramp.filter((x) => x.steppedBack))
    out.push({ what: `Stepped back from ${r.percent} % on ${r.router}`, who: '', why: r.measurements.join('; ') });
  if (record.freeze.exceeded)
    out.push({ what: 'The freeze budget was used up', who: '', why: duration(record.freeze.budgetMs) });
  if (record.pointOfNoReturn.revokedAt !== null)
    out.push({
      what: 'The point of no return was revoked by proof',
      who: '',
      why: record.pointOfNoReturn.stepId ?? '',
    });
  return out;
}

function findingsOf(record: RunRecord, objectives: Objective[]): ReportFinding[] {
  const where = (component: string | null, region: string | null) =>
    [component, region].filter((x) => x !== null && x !== '').join(' in ') || '';
  const missed = objectives
    .filter((o) => o.met === false)
    .map((o) => ({
      severity: 'missed' as const,
      where: o.name,
      message: `Objective missed: ${o.target}, achieved ${o.actual}`,
      remedy: MISSED[o.name] ?? 'Find the cause in the timeline, then rehearse again.',
    }));
  const debt = record.debt.map((d) => ({
    severity: 'debt' as const,
    where: where(d.component, d.region),
    message: d.message,
    remedy: d.remedy,
  }));
  const noted = record.findings.map((f: Finding) => ({
    severity: f.severity,
    where: where(f.component, f.region),
    message: f.message,
    remedy: f.remedy,
  }));
  return [...missed, ...debt, ...noted].map((f, i) => ({ id: `F${i + 1}`, owner: record.owner, ...f }));
}

function rows(values: Record<string, string>): Row[] {
  return Object.entries(values)
    .filter(([, value]) => value !== '')
    .map(([label, value]) => ({ label, value }));
}

export function capital(text: string): string {
  return text === '' ? '' : text[0]!.toUpperCase() + text.slice(1);
}
