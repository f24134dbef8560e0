/** Everything that happened in a run, in the order of its time, with who or what did it. Pure. */
import type { Millis } from '../drivers/ports.ts';
import { duration, weightsText } from './format.ts';
import type { RunRecord } from './record.ts';

export type EventKind = 'run' | 'plan' | 'decision' | 'message' | 'step' | 'undo' | 'weight' | 'boundary' | 'wait';

export interface TimelineEvent {
  at: Millis;
  kind: EventKind;
  /** A person, `rampart`, or `temporal`. */
  actor: string;
  text: string;
  /** How it ended, for what has an end. */
  result: string;
  bad: boolean;
}

type Draft = Omit<TimelineEvent, 'at' | 'actor' | 'bad' | 'result'> & {
  at: Millis | null | undefined;
  actor?: string;
  result?: string;
  bad?: boolean;
};

/** Events without a time are left out. */
export function timelineOf(record: RunRecord): TimelineEvent[] {
  const drafts: Draft[] = [
    ...startAndEnd(record),
    ...plans(record),
    ...people(record),
    ...steps(record),
    ...undos(record),
    ...weights(record),
    ...boundaries(record),
  ];
  return drafts
    .flatMap((d) =>
      typeof d.at === 'number' && Number.isFinite(d.at)
        ? [{ ...d, at: d.at, actor: d.actor || 'rampart', result: d.result ?? '', bad: d.bad ?? false }]
        : [],
    )
    .sort((a, b) => a.at - b.at);
}

function startAndEnd(record: RunRecord): Draft[] {
  return [
    {
      at: record.startedAt,
      kind: 'run',
      actor: record.request.by,
      text: `Run started${record.request.reason ? `: ${record.request.reason}` : ''}`,
    },
    {
      at: record.endedAt,
      kind: 'run',
      text: `Run ended: ${record.text || (record.outcome ?? '')}`,
      bad: record.outcome !== 'completed' && record.outcome !== 'nothingToDo',
    },
  ];
}

function plans(record: RunRecord): Draft[] {
  return record.plans.map((p) => ({
    at: p.compiledAt,
    kind: 'plan',
    text: `Plan ${p.digest.slice(0, 12)} made (${p.mode}, ${p.from ?? '?'} → ${p.to}${p.resumeAt === null ? '' : `, resumes at ${p.resumeAt}`}): ${p.facts?.classified?.text ?? ''}`,
    result: p.why,
  }));
}

function people(record: RunRecord): Draft[] {
  const verdicts: Draft[] = record.decisions.map((d) => ({
    at: d.at,
    kind: 'decision',
    actor: d.by,
    text: `${d.decision === 'approve' ? 'Approved' : 'Rejected'} gate ${d.gate}${d.comment ? `: ${d.comment}` : ''}`,
    result: d.override.length > 0 ? `override ${d.override.join(', ')}` : '',
    bad: d.decision === 'reject',
  }));
  // Decisions have their own entry; those that did not count are messages like any other.
  const others: Draft[] = record.messages
    .filter((m) => !(m.applied && ['decide', 'approve', 'reject'].includes(m.verb)))
    .map((m) => ({
      at: m.at,
      kind: 'message',
      actor: m.by,
      text: `${m.verb}${m.applied ? '' : ' not applied'}: ${m.note}`,
      bad: !m.applied,
    }));
  const waits: Draft[] = (record.waits ?? []).map((w) => ({
    at: w.startedAt,
    kind: 'wait',
    text: `Waits for people: ${w.kind} ${w.name}`,
    result: w.endedAt === null ? 'still waiting' : `for ${duration(w.endedAt - w.startedAt)}`,
  }));
  return [...verdicts, ...others, ...waits];
}

function steps(record: RunRecord): Draft[] {
  return record.steps.map((s) => ({
    at: s.startedAt,
    kind: 'step',
    text: s.summary || s.id,
    result: [
      s.state + (s.endedAt === null ? '' : ` in ${duration(s.endedAt - s.startedAt)}`),
      s.error?.message ?? s.result ?? '',
    ]
      .filter((t) => t !== '')
      .join(': '),
    bad: s.state === 'failed',
  }));
}

function undos(record: RunRecord): Draft[] {
  return record.undos.map((u) => ({
    at: u.startedAt,
    kind: 'undo',
    text: `Undo: ${u.summary}`,
    result: [u.state, u.note].filter((t) => t !== '').join(': '),
    bad: u.state === 'failed' || u.state === 'debt',
  }));
}

function weights(record: RunRecord): Draft[] {
  return record.ramp.map((r) => ({
    at: r.setAt,
    kind: 'weight',
    text: `${r.router} at ${r.percent} % of the way: ${weightsText(r.weights)}`,
    result: `bake ${r.bake}${r.observed === null ? '' : `, seen ${weightsText(r.observed)}`}${r.steppedBack ? ', stepped back' : ''}`,
    bad: r.bake === 'failed' || r.steppedBack,
  }));
}

function boundaries(record: RunRecord): Draft[] {
  const { freeze, pointOfNoReturn: pnr } = record;
  return [
    { at: freeze.startedAt, kind: 'boundary', text: 'The freeze begins: nobody can write' },
    {
      at: freeze.endedAt,
      kind: 'boundary',
      text: 'The freeze ends',
      result:
        freeze.startedAt === null || freeze.endedAt === null
          ? ''
          : `after ${duration(freeze.endedAt - freeze.startedAt)}`,
      bad: freeze.exceeded,
    },
    { at: pnr.crossedAt, kind: 'boundary', text: `Point of no return: ${pnr.stepId ?? 'the promotion'} is scheduled` },
    {
      at: pnr.revokedAt,
      kind: 'boundary',
      text: 'The point of no return is revoked, by proof that no promotion had begun',
    },
    { at: record.dataReadyAt, kind: 'boundary', text: 'Data ready: the promoted store is proven writable' },
    { at: record.trafficCompleteAt, kind: 'boundary', text: 'All traffic has moved' },
  ];
}
