/** A run's state in plain words, for every channel. */
import type { NewsEvent, RunCard } from '../../evidence/card.ts';

/** One line that names the run. */
export function titleOf({ service, action, from, to, drill }: RunCard): string {
  return `${drill ? 'Drill: ' : ''}${action} of ${service}${to === null ? '' : `, ${from ?? '?'} → ${to}`}`;
}

/** Where it is, in a word or two. */
export function stateOf({ outcome, gate, holding, pausedBy, phase, trafficPercent }: RunCard): string {
  if (outcome !== null) return outcome;
  if (gate !== null) return `waits for a decision on ${gate.id}`;
  if (holding !== null) return 'holds, waits for people';
  if (pausedBy !== null) return `paused by ${pausedBy}`;
  return trafficPercent === null ? phase : `${phase}, ${trafficPercent} % of the traffic moved`;
}

/** What people at the gate decide by, a line each. */
export function gateLines({ gate }: RunCard): string[] {
  if (gate === null) return [];
  const { approvers, approvedBy, required } = gate;
  const who = approvers.length === 0 ? 'anybody who gives a name' : approvers.join(', ');
  return [
    ...(gate.reason === '' ? [] : [`why it is asked: ${gate.reason}`]),
    `state: ${gate.state}`,
    `loss: ${gate.loss}`,
    ...gate.facts,
    `approvals: ${approvedBy.length} of ${required}${approvedBy.length === 0 ? '' : ` (${approvedBy.join(', ')})`}; may decide: ${who}`,
    `until ${new Date(gate.expiresAt).toISOString()}, then: ${gate.onTimeout}`,
  ];
}

/** The commands that answer what the run waits for. */
export function commandsOf({ service, gate, holding, pausedBy }: RunCard): string[] {
  if (gate !== null) {
    const override = gate.needsOverride.map((code) => ` --override ${code}`).join('');
    return [`rampart approve ${service} --gate ${gate.id}${override}`, `rampart reject ${service} --gate ${gate.id}`];
  }
  if (holding !== null) return holding.choices.map((choice) => `rampart ${choice} ${service}`);
  return pausedBy === null ? [] : [`rampart resume ${service}`];
}

export function checklistLines({ checklist }: RunCard): string[] {
  return checklist.map(
    ({ text, done }, i) => `${done === null ? '[ ]' : '[x]'} ${i + 1}. ${text}${done === null ? '' : ` (${done.by})`}`,
  );
}

/** Everything, as a text of several lines. */
export function textOf(card: RunCard, event: NewsEvent): string {
  const { by, reason, text, holding, link, service } = card;
  const part = (title: string, lines: string[]): string[] =>
    lines.length === 0 ? [] : ['', title, ...lines.map((l) => `  ${l}`)];
  return [
    `${event.name}: ${event.text}`,
    '',
    titleOf(card),
    `state: ${stateOf(card)}`,
    ...(by === null ? [] : [`asked for by ${by}${reason === null ? '' : `: ${reason}`}`]),
    ...(text === '' ? [] : [text]),
    ...part('To be decided', gateLines(card)),
    ...part('Why it holds', holding === null ? [] : [holding.reason]),
    ...part('To answer', commandsOf(card)),
    ...part(`Checklist (rampart note ${service} --done <number>)`, checklistLines(card)),
    ...(link === null ? [] : ['', link]),
  ].join('\n');
}

/** Whether people are needed now, for the run to go on or to be safe. */
export const peopleNeeded = ({ gate, holding, outcome }: RunCard): boolean =>
  gate !== null || holding !== null || outcome === 'needsHuman';
