/** How a run stands, as messages show it: what the status query says, cut to the size of a message. */
import type { CardGate, RunCard } from '../../evidence/card.ts';
import type { ChecklistItem } from '../../evidence/record.ts';
import { approvalsNeeded, type OpenGate } from './gate.ts';
import { lossText } from './loss-text.ts';
import type { Run } from './state.ts';

/** Of one text, in characters: every message is in the history. */
const LONGEST = 600;
/** Of facts at a gate. */
const MOST_FACTS = 12;

export function cardOf(run: Run): RunCard {
  const { record } = run;
  const { workflowId, runId, service, owner, action, mode, from, to, startedAt, outcome, text } = record;
  const request = run.plan?.request ?? record.request;
  return {
    ...{ workflowId, runId, service, owner, action, mode, from, to, startedAt, outcome },
    by: request.by ?? null,
    reason: request.reason === undefined ? null : cut(request.reason),
    drill: run.drill && mode === 'planned',
    phase: run.phase,
    trafficPercent: run.trafficPercent,
    gate: run.gate === null ? null : gateOf(run.gate),
    holding: run.holding === null ? null : { reason: cut(run.holding.reason), choices: run.holding.choices },
    pausedBy: run.paused?.by ?? null,
    text: cut(text),
    checklist: record.checklist ?? [],
    link: linkOf(run),
  };
}

function gateOf(open: OpenGate): CardGate {
  const { facts, gate } = open;
  const lag = Object.entries(facts.lag).map(([store, seen]) =>
    seen === null || !seen.fresh
      ? `lag of ${store}: no fresh reading`
      : `lag of ${store}: ${seen.bytes ?? '?'} bytes, ${seen.seconds ?? '?'} s`,
  );
  const told = [
    ...facts.blockers.map(({ message }) => `blocker: ${message}`),
    ...lag,
    ...facts.warnings.map(({ message }) => `warning: ${message}`),
  ].map(cut);
  const rest = told.length - MOST_FACTS;
  return {
    id: open.id,
    title: gate.title,
    reason: cut(open.reason),
    openedAt: open.openedAt,
    expiresAt: open.expiresAt,
    onTimeout: gate.policy.onTimeout,
    required: approvalsNeeded(open),
    approvedBy: open.approvals.map(({ by }) => by),
    approvers: gate.policy.approvers,
    needsOverride: open.needsOverride,
    state: cut(facts.classified.text),
    loss: cut(lossText(open.loss)),
    facts: rest > 0 ? [...told.slice(0, MOST_FACTS), `and ${rest} more: rampart status shows all`] : told,
  };
}

function linkOf({ resolved, record }: Run): string | null {
  if (resolved === null || resolved.ui === null) return null;
  const { workflowId, runId } = record;
  const path = `namespaces/${encodeURIComponent(resolved.namespace)}/workflows/${encodeURIComponent(workflowId)}/${runId}`;
  return `${resolved.ui}/${path}/history`;
}

const cut = (text: string): string => (text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`);

/** The topology's templates with the run's own words in them. */
export function checklistOf(run: Run, templates: readonly string[]): ChecklistItem[] {
  const { service, from, to, mode, action } = run.record;
  const words: Record<string, string | null> = { service, from, to, mode, action };
  const filled = (template: string) => template.replace(/\{(\w+)\}/g, (all, name: string) => words[name] ?? all);
  return templates.map((template) => ({ text: filled(template), done: null }));
}
