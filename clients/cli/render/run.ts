/** A run on one screen. */
import type { Weights } from '../../../drivers/ports.ts';
import { actionText, direction, duration, lossSentence, outcomeText, percent } from '../../../evidence/format.ts';
import type { RunRecord } from '../../../evidence/record.ts';
import type { RunStatus } from '../../../workflows/contract.ts';
import { type Ending, endedWell } from '../../runs.ts';
import type { Paint } from '../cli.ts';
import { nextCommands } from './commands.ts';
import { ago, clock, factLines, lagText } from './facts.ts';
import { table } from './table.ts';

const BAR = 30;
/** Lines of the run's log that a screen shows. */
const LOG_LINES = 8;

/** What the run does and where it stands, in one line. */
export function headline(status: RunStatus, paint: Paint): string {
  const what = `${actionText(status.action)}, ${status.mode}`;
  return `${paint.bold(status.service)}  ${direction(status.from, status.to)}  ${what}  ${phaseText(status, paint)}`;
}

/** The phase, or what it waits for. */
export function phaseText(status: RunStatus, paint: Paint): string {
  if (status.outcome !== null) return outcomePainted(status.outcome, paint);
  if (status.gate !== null) return paint.yellow(`waits for a decision on ${status.gate.id}`);
  if (status.holding !== null) return paint.red('holds, waits for people');
  if (status.paused !== null) return paint.yellow(`paused by ${status.paused.by}`);
  return paint.cyan(status.phase);
}

export function outcomePainted(outcome: Ending['outcome'], paint: Paint): string {
  return endedWell(outcome) ? paint.green(outcomeText(outcome)) : paint.red(outcomeText(outcome));
}

/** The whole screen of a run that is on. `now` is this machine's clock, in milliseconds. */
export function runLines(status: RunStatus, paint: Paint, now: number): string[] {
  const lines = [headline(status, paint), stageLine(status, paint)];
  const rows: string[][] = [];
  for (const [router, weights] of byName(status.weights)) {
    rows.push(['traffic', `${router}  ${weightsBar(weights, status.from, status.to, paint)}`]);
  }
  for (const [store, lag] of byName(status.lag)) rows.push(['lag', `${store}  ${lagText(lag, now)}`]);
  if (status.loss !== null && status.loss.kind !== 'none') {
    rows.push(['loss', paint.yellow(lossSentence(status.loss))]);
  }
  const freeze = freezeText(status.freeze, paint, now);
  if (freeze !== null) rows.push(['freeze', freeze]);
  rows.push(['undo', pointOfNoReturnText(status.pointOfNoReturn, paint)]);
  for (const step of status.steps.filter(({ state }) => state === 'running')) {
    rows.push(['now', `${step.summary} (${duration(Math.max(0, now - step.startedAt))})`]);
  }
  for (const debt of status.debt) rows.push([paint.yellow('debt'), `${debt.message}: ${debt.remedy}`]);
  for (const [i, { text, done }] of (status.checklist ?? []).entries()) {
    rows.push([`say ${i + 1}`, done === null ? paint.yellow(text) : `${text} ${paint.dim(`(${done.by})`)}`]);
  }
  lines.push('', ...table(rows));
  lines.push(...waitingLines(status, paint, now));
  if (status.log.length > 0) {
    lines.push('', ...status.log.slice(-LOG_LINES).map(({ at, text }) => paint.dim(`${clock(at)} ${oneLine(text)}`)));
  }
  return lines;
}

/** What the run waits for, with its facts and the commands that answer it. */
export function waitingLines(status: RunStatus, paint: Paint, now: number): string[] {
  const { gate, holding, paused } = status;
  const lines: string[] = [];
  if (gate !== null) {
    lines.push('', paint.bold(`Gate ${gate.id}: ${gate.title}`));
    if (gate.reason !== '') lines.push(`Asked because: ${gate.reason}`);
    lines.push(...factLines(gate.facts, gate.loss, paint, now), '', gateTerms(gate, now));
  } else if (holding !== null) {
    lines.push('', `${paint.red(paint.bold('Holding'))} since ${clock(holding.since)}: ${holding.reason}`);
  } else if (paused !== null) {
    lines.push('', `${paint.yellow('Paused')} by ${paused.by} since ${clock(paused.since)}`);
  }
  const commands = nextCommands(status);
  if (commands.length > 0) {
    lines.push(
      'Next:',
      ...table(
        commands.map(({ command, effect }) => [`  ${command}`, paint.dim(effect)]),
        '   ',
      ),
    );
  }
  return lines;
}

function gateTerms(gate: NonNullable<RunStatus['gate']>, now: number): string {
  const { required, approvedBy, approvers, fourEyes, expiresAt, onTimeout } = gate;
  const have = approvedBy.length > 0 ? `; approved by ${approvedBy.join(', ')}` : '';
  const who = approvers.length > 0 ? ` from ${approvers.join(', ')}` : '';
  const eyes = fourEyes ? ', not the requester' : '';
  const until =
    expiresAt === null
      ? ''
      : ` until ${clock(expiresAt)} (${duration(Math.max(0, expiresAt - now))} left, then: ${onTimeout})`;
  return `Needs ${required} ${required === 1 ? 'approval' : 'approvals'}${who}${eyes}${have}${until}.`;
}

function stageLine(status: RunStatus, paint: Paint): string {
  if (status.stages.length === 0) return paint.dim('observing and planning');
  return status.stages
    .map(({ name, state }) => {
      if (state === 'done') return paint.green(`✓ ${name}`);
      if (state === 'running') return status.gate === null ? paint.cyan(`▶ ${name}`) : paint.yellow(`◆ ${name}`);
      if (state === 'failed') return paint.red(`✗ ${name}`);
      return paint.dim(`${state === 'skipped' ? '–' : '·'} ${name}`);
    })
    .join('  ');
}

/** `eu-west 75 % ███████▒▒▒ eu-central 25 %`; with more than two regions, only the numbers. */
export function weightsBar(weights: Weights, from: string | null, to: string | null, paint: Paint): string {
  const names = Object.keys(weights);
  const [first, second] = from !== null && to !== null && names.includes(from) ? [from, to] : names;
  if (names.length !== 2 || first === undefined || second === undefined) {
    return names.map((name) => `${name} ${percent(weights[name])}`).join('  ');
  }
  const moved = Math.round(((weights[second] ?? 0) * BAR) / 100);
  const bar = paint.blue('█'.repeat(BAR - moved)) + paint.green('▒'.repeat(moved));
  return `${first} ${percent(weights[first] ?? 0)} ${bar} ${second} ${percent(weights[second] ?? 0)}`;
}

function freezeText(freeze: RunRecord['freeze'], paint: Paint, now: number): string | null {
  if (freeze.startedAt === null) return null;
  const budget = `of ${duration(freeze.budgetMs)}`;
  if (freeze.endedAt !== null) {
    const took = `${duration(freeze.endedAt - freeze.startedAt)} ${budget}`;
    return freeze.exceeded ? paint.red(`${took}, budget exceeded`) : took;
  }
  const since = Math.max(0, now - freeze.startedAt);
  const text = `nobody can write for ${duration(since)} ${budget}`;
  return since > freeze.budgetMs ? paint.red(text) : paint.yellow(text);
}

function pointOfNoReturnText(point: RunRecord['pointOfNoReturn'], paint: Paint): string {
  if (point.revokedAt !== null) return `possible: the promotion was revoked by proof at ${clock(point.revokedAt)}`;
  if (point.crossedAt === null) return 'possible: the point of no return is not crossed';
  return paint.yellow(`the point of no return was crossed at ${clock(point.crossedAt)}: back means a failback`);
}

/** A run that is over: what became of it, and what is left to do. */
export function endingLines(
  ending: Ending,
  run: { service: string; startedAt: number; closedAt: number | null },
  paint: Paint,
  now: number,
): string[] {
  const { record } = ending;
  const what =
    record === null ? '' : `  ${direction(record.from, record.to)}  ${actionText(record.action)}, ${record.mode}`;
  const when =
    run.closedAt === null ? '' : `  ${ago(run.closedAt, now)}, took ${duration(run.closedAt - run.startedAt)}`;
  const lines = [
    `${paint.bold(run.service)}${what}  ${outcomePainted(ending.outcome, paint)}${paint.dim(when)}`,
    ending.text,
  ];
  if (record === null) return lines;
  const rows: string[][] = [];
  const freeze = freezeText(record.freeze, paint, now);
  if (freeze !== null) rows.push(['freeze', freeze]);
  if (record.loss !== null) rows.push(['loss', lossSentence(record.loss)]);
  for (const one of record.objectives) {
    const met = one.met === null ? paint.yellow('unknown') : one.met ? paint.green('met') : paint.red('missed');
    rows.push(['objective', `${one.name}: ${one.actual}, target ${one.target}: ${met}`]);
  }
  for (const debt of record.debt) rows.push([paint.yellow('debt'), `${debt.message}: ${debt.remedy}`]);
  return [...lines, ...table(rows)];
}

export const oneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, ' ');

/** Entries in the order of their names, so that a screen does not jump. */
export const byName = <T>(values: Record<string, T>): Array<[string, T]> =>
  Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
