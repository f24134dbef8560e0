/**
 * What reviewers of a test look for (SOC 2 A1.3, ISO 22301 8.5, DORA RTS 2024/1774 Art. 25): who, when, scenario, scope,
 * versions and digests, what was decided on which facts, results, dwell, failback, what comes next. What nobody wrote
 * down says so; nothing is made up. Pure.
 */
import type { Facts } from '../plan/model.ts';
import {
  actionText,
  count,
  dateTime,
  direction,
  duration,
  lossSentence,
  NOT_RECORDED,
  outcomeText,
  plural,
  weightsText,
} from './format.ts';
import type { LoadResult } from './objectives.ts';
import type { ContextRecord, Decision, RunRecord } from './record.ts';

export interface Row {
  label: string;
  value: string;
}

/** A decision with the facts it was bound to; `null` when the record keeps only their digest. */
export type ShownDecision = Decision & { facts: Row[] | null };

export interface People {
  requester: string;
  fourEyes: string;
  participants: string[];
  thirdParties: string;
  decisions: ShownDecision[];
}

const TEST_TYPES: Record<NonNullable<ContextRecord['testType']>, string> = {
  rehearsal: 'rehearsal: plan on the live state, no effect',
  checksOnly: 'checks only',
  rampOnly: 'partial: a part of the traffic',
  full: 'full: failover, dwell, failback',
  chaos: 'chaos: something was broken on purpose',
  live: 'live: no test',
};

const orNot = (value: string | null | undefined): string => value || NOT_RECORDED;
const timeOrNot = (at: number | null | undefined): string => (typeof at === 'number' ? dateTime(at) : NOT_RECORDED);
/** Nobody plans a disaster: only a test has a scenario. */
const testOnly = (context: ContextRecord, value: string | undefined): string =>
  context.testType === 'live' ? (value ?? '') : orNot(value);
const listOrNot = (values: readonly string[] | undefined): string => orNot(values?.join('; '));

const rows = (values: Record<string, string>): Row[] =>
  Object.entries(values)
    .filter(([, value]) => value !== '')
    .map(([label, value]) => ({ label, value }));

export function identityOf(record: RunRecord): Row[] {
  const plan = record.plans.at(-1);
  const context = record.context ?? {};
  return rows({
    Service: orNot(record.service),
    'Moved with it': (record.movesWith ?? []).join(', '),
    Action: `${actionText(record.action)}, ${record.mode}`,
    'Test type': context.testType === undefined ? NOT_RECORDED : (TEST_TYPES[context.testType] ?? context.testType),
    Direction: direction(record.from, record.to),
    Tier: orNot(record.tier),
    Owner: orNot(record.owner),
    Environment: orNot(context.environment),
    Workflow: orNot(record.workflowId),
    Run: orNot(record.runId),
    'Builds of the workers': buildsOf(record),
    'Plan digest': orNot(plan?.digest),
    'Topology digest': orNot(plan?.topologyDigest),
    Started: dateTime(record.startedAt),
    Ended: record.endedAt === null ? 'not yet' : dateTime(record.endedAt),
    Outcome: outcomeText(record.outcome),
  });
}

/** Builds that answered the plan's first question to every place. */
function buildsOf(record: RunRecord): string {
  const builds = record.steps
    .filter((s) => s.verb === 'ping' && s.state === 'done' && typeof s.facts.build === 'string')
    .map((s) => `${s.id.replace(/^ping:/, '')} ${String(s.facts.build)}`);
  return orNot([...new Set(builds)].join(', '));
}

export function peopleOf(record: RunRecord): People {
  const requester = record.request.by ?? '';
  const approvers = new Set(record.decisions.filter((d) => d.decision === 'approve').map((d) => d.by));
  const names = [
    requester,
    ...record.decisions.map((d) => d.by),
    ...record.messages.filter((m) => m.applied).map((m) => m.by),
  ];
  return {
    requester: requester || 'no name given',
    fourEyes: fourEyes(requester, approvers),
    participants: [...new Set(names.filter((p) => p !== ''))],
    thirdParties: listOrNot(record.context?.thirdParties),
    decisions: record.decisions.map((d) => ({ ...d, facts: shownTo(record, d) })),
  };
}

function fourEyes(requester: string, approvers: ReadonlySet<string>): string {
  if (approvers.size === 0) return 'no: nobody approved';
  if (requester === '') return approvers.size > 1 ? 'yes: two people approved' : 'unknown: the requester gave no name';
  return [...approvers].some((a) => a !== requester) ? 'yes' : 'no: the requester approved';
}

/** The facts with the digest that the decision names, as the gate or the plan held them. */
function shownTo(record: RunRecord, decision: Decision): Row[] | null {
  const kept = [...(record.shown ?? []), ...record.plans.map((p) => p.facts)];
  const facts = kept.find((f) => f?.digest !== undefined && f.digest === decision.factsDigest);
  return facts === undefined ? null : factRows(facts);
}

/** What was measured, in the words that a gate shows. */
function factRows(facts: Facts): Row[] {
  const by = (values: Record<string, string>) =>
    Object.entries(values)
      .map(([name, text]) => `${name}: ${text}`)
      .join('; ');
  const lag = Object.entries(facts.lag ?? {}).map(([store, l]) => [
    store,
    l === null || !l.fresh
      ? 'no fresh reading'
      : `${l.seconds === null ? '?' : duration(l.seconds * 1000)}, ${l.bytes ?? '?'} B`,
  ]);
  const weights = Object.entries(facts.weights ?? {}).map(([router, w]) => [router, weightsText(w)]);
  return rows({
    'State found': facts.classified?.text ?? '',
    'Facts measured': dateTime(facts.measuredAt),
    'Loss expected': lossSentence(facts.loss),
    'Replication lag found': by(Object.fromEntries(lag)),
    'Fence found': by(facts.fence ?? {}),
    'Traffic found': by(Object.fromEntries(weights)),
    Blockers: (facts.blockers ?? []).map((b) => b.message).join('; '),
    Warnings: (facts.warnings ?? []).map((w) => w.message).join('; '),
  });
}

export function scenarioOf(record: RunRecord): Row[] {
  const plan = record.plans.at(0);
  const context = record.context ?? {};
  const preflight = record.steps.filter((s) => s.stage === 'preflight');
  const passed = preflight.filter((s) => s.state === 'done').length;
  return [
    ...rows({
      Reason: orNot(record.request.reason),
      Scenario: testOnly(context, context.scenario),
      'Expected outcome': testOnly(context, context.expected),
      Assumptions: listOrNot(context.assumptions),
      Preconditions: preflight.length === 0 ? NOT_RECORDED : `${passed} of ${plural(preflight.length, 'check')} passed`,
      References: listOrNot(context.references),
    }),
    ...(plan?.facts === undefined ? [] : factRows(plan.facts)),
    ...rows({
      'Duration expected':
        plan?.estimate === undefined
          ? ''
          : `${duration(plan.estimate.seconds * 1000)}, of it ${duration(plan.estimate.freezeSeconds * 1000)} without writes`,
      'Overrides requested': (record.request.override ?? []).join(', '),
    }),
  ];
}

/** Dwell and failback belong to a drill or to a run that somebody joined with its way back. */
export function resultsOf(record: RunRecord, load: LoadResult | null): Row[] {
  const { dwell, failback, freeze } = record;
  return rows({
    'Dwell on the other side':
      dwell == null
        ? NOT_RECORDED
        : dwell.endedAt === null
          ? `since ${dateTime(dwell.startedAt)}`
          : `${duration(dwell.endedAt - dwell.startedAt)}, ${dateTime(dwell.startedAt)} to ${dateTime(dwell.endedAt)}`,
    Failback:
      failback == null
        ? NOT_RECORDED
        : `${outcomeText(failback.outcome)}, ${dateTime(failback.startedAt)} to ${failback.endedAt === null ? 'not yet' : dateTime(failback.endedAt)}, run ${failback.runId}`,
    'Data integrity':
      load === null
        ? NOT_RECORDED
        : `${count(load.lost)} of ${count(load.acknowledged)} acknowledged writes missing, ${count(load.duplicated)} there twice`,
    'Time without writes':
      freeze.startedAt === null || freeze.endedAt === null
        ? NOT_RECORDED
        : `${duration(freeze.endedAt - freeze.startedAt)} by the run's own clock`,
    'Seen by users':
      load === null
        ? NOT_RECORDED
        : `${load.errors == null ? 'errors not counted' : plural(load.errors, 'request', ' failed')}, longest gap between two writes ${duration(load.writeGapMs)}`,
  });
}

/** @param failed the run has not passed */
export function closingOf(record: RunRecord, failed: boolean): Row[] {
  if (record.outcome === null) return [];
  return rows({
    'Retest required': failed ? 'yes' : 'no',
    'Next test due':
      record.context?.testType === 'live' && record.context.nextDueAt === undefined
        ? ''
        : timeOrNot(record.context?.nextDueAt),
  });
}
