/** What did not go as planned, and what is left to do. Pure. */
import type { Finding } from '../drivers/ports.ts';
import { duration, NOT_RECORDED } from './format.ts';
import type { Objective } from './objectives.ts';
import type { AssertionRecord, RunRecord } from './record.ts';

/** Something to follow up, with what to do about it. */
export interface ReportFinding {
  id: string;
  severity: 'blocker' | 'warning' | 'info' | 'debt' | 'missed' | 'assertion';
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

const MISSED: Record<string, string> = {
  'Recovery time (RTO)': 'Find in the timeline what took longer than planned, then rehearse again.',
  'Write outage (freeze)': 'See the enlarged cut for what took longest; converge further before the next one.',
  'Recovery point (RPO)': 'Read the loss statement; the rows stay readable on the old side until they are released.',
  'Protection restored': 'Follow the remedy of each protection debt.',
};

export function deviationsOf(record: RunRecord): Deviation[] {
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

export function findingsOf(record: RunRecord, objectives: Objective[], assertions: AssertionRecord[]): ReportFinding[] {
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
  const asserted = assertions
    .filter((a) => a.met !== true)
    .map((a) => ({
      severity: 'assertion' as const,
      where: a.name,
      message:
        a.met === false ? `Not as asserted (${a.expr}): ${a.note}` : `It cannot be judged (${a.expr}): ${a.note}`,
      remedy:
        a.met === false
          ? 'Find the cause in the timeline, then rehearse again.'
          : 'Make the run measure it, or change the assertion; docs/evidence.md lists what there is.',
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
  return [...missed, ...asserted, ...debt, ...noted].map((f, i) => ({
    id: `F${i + 1}`,
    owner: record.owner || NOT_RECORDED,
    ...f,
  }));
}
