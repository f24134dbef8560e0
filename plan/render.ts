/** A plan as text for terminals: plain, or with a palette that is passed in. Pure. */
import type { Finding, Lag, LossStatement } from '../drivers/ports.ts';
import { formatDuration } from '../topology/duration.ts';
import type { Plan, Stage, Step } from './model.ts';
import { wrap } from './wrap.ts';

type Paint = (text: string) => string;

/** The part of picocolors that plans are painted with. */
export interface Palette {
  bold: Paint;
  dim: Paint;
  red: Paint;
  green: Paint;
  yellow: Paint;
  cyan: Paint;
}

const same: Paint = (text) => text;
export const PLAIN: Palette = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };

export interface RenderOptions {
  palette?: Palette;
  /** Columns; lines are wrapped to it. 100 when absent, never below 40. */
  width?: number;
}

const LABEL = 11;
const TITLE: Record<Plan['request']['action'], string> = {
  failover: 'Failover',
  failback: 'Failback',
  trafficRamp: 'Traffic ramp',
  reprotect: 'Reprotect',
  refence: 'Refence',
};

/** The whole plan: what was found, what would be done and undone, and what speaks against it. Ends with a newline. */
export function renderPlan(plan: Plan, { palette = PLAIN, width = 100 }: RenderOptions = {}): string {
  const columns = Math.max(40, width);
  const lines = [
    ...heading(plan, palette, columns),
    '',
    ...figures(plan, palette, columns),
    ...(plan.nothingToDo === null ? stages(plan, palette, columns) : []),
    ...findings('Blockers', plan.facts.blockers, palette.red, '✗', columns),
    ...findings('Warnings', plan.facts.warnings, palette.yellow, '!', columns),
    '',
    closing(plan, palette),
    palette.dim(`digest ${plan.digest}`),
  ];
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

function heading(plan: Plan, { bold, dim }: Palette, columns: number): string[] {
  const from = plan.from ?? '?';
  const way =
    plan.request.action === 'reprotect'
      ? `protected by ${from}, primary ${plan.to}`
      : plan.request.action === 'refence'
        ? `${from} is fenced, ${plan.to} stays active`
        : `${from} → ${plan.to}`;
  const resumed = plan.resumeAt === null ? '' : `, resumed at ${plan.resumeAt}`;
  const others = plan.movesWith === undefined ? '' : `, moves with it: ${plan.movesWith.join(', ')}`;
  const about = `owner ${plan.owner}, tier ${plan.tier}, lock ${plan.lock}${others}`;
  return [
    bold(`${TITLE[plan.request.action]} of ${plan.service}: ${way} (${plan.mode}${resumed})`),
    ...wrap(about, columns).map(dim),
  ];
}

function figures(plan: Plan, palette: Palette, columns: number): string[] {
  const { facts, estimate, policy } = plan;
  const rows: Array<[string, string]> = [['State', `${facts.classified.state}: ${facts.classified.text}`]];
  if (facts.classified.missing.length > 0) rows.push(['Missing', facts.classified.missing.join('; ')]);
  if (plan.from !== null && plan.fromSource !== 'observed')
    rows.push(['Source', `${plan.from}, by ${plan.fromSource}`]);
  for (const [store, lag] of Object.entries(facts.lag)) {
    // Where nothing is promoted any more, the target is the primary itself and lags behind nobody.
    if (lag !== null || plan.pointOfNoReturn !== null)
      rows.push(['Lag', `${store}: ${lagText(lag, facts.measuredAt)}`]);
  }
  if (plan.nothingToDo === null) {
    for (const [store, sentence] of Object.entries(facts.fence)) {
      if (plan.stages.some((stage) => stage.name === 'fence' || stage.name === 'promote-atomic')) {
        rows.push(['Fence', `${store}: ${sentence}`]);
      }
    }
    if (plan.mode === 'unplanned') rows.push(...positionRows(plan));
    rows.push(['Loss', lossText(facts.loss)]);
    // Only a planned run takes the writers away itself.
    if (plan.mode === 'planned' && estimate.freezeSeconds > 0) {
      const budget = formatDuration(policy.freezeBudgetMs);
      rows.push(['Freeze', `about ${seconds(estimate.freezeSeconds)} without writes (budget ${budget})`]);
    }
    const rto = formatDuration(policy.rtoMs);
    rows.push(['Duration', `about ${seconds(estimate.seconds)}, without waiting for people (RTO ${rto})`]);
  }
  return rows.flatMap(([label, text]) => {
    const body = wrap(text, columns - LABEL);
    return body.map((line, i) => `${palette.dim((i === 0 ? label : '').padEnd(LABEL))}${line}`);
  });
}

function positionRows(plan: Plan): Array<[string, string]> {
  return Object.entries(plan.facts.positions).flatMap(([store, rows]) =>
    rows.map((row): [string, string] => {
      const at = row.applied === null ? 'position unknown' : `applied ${row.applied.text}`;
      const got = row.received === null ? '' : `, received ${row.received.text}`;
      return ['Position', `${store}: ${row.node} in ${row.region} (${row.state}) ${at}${got}`];
    }),
  );
}

/** How far behind, with the age of the reading. */
export function lagText(lag: Lag | null, now: number): string {
  if (lag === null || (lag.bytes === null && lag.seconds === null)) return 'not known';
  const bytes = lag.bytes === null ? 'bytes unknown' : `${lag.bytes} B`;
  const late = lag.seconds === null ? 'seconds unknown' : `${lag.seconds} s`;
  const age = seconds(Math.max(0, now - lag.measuredAt + lag.freshnessMs) / 1000);
  return `${bytes}, ${late} (${age} old${lag.fresh ? '' : ', stale: no reading'})`;
}

/** What may be lost, in words; its note follows as a sentence. */
export function lossText(loss: LossStatement): string {
  const note = loss.note === '' ? '' : ` ${loss.note}`;
  if (loss.kind === 'none') return `none.${note}`;
  const window =
    loss.fromTime === null
      ? 'not known since when'
      : `writes acknowledged from ${loss.fromTime} to ${loss.toTime ?? 'now, and the window is still open'}`;
  const span = loss.seconds === null ? '' : ` (${seconds(loss.seconds)})`;
  const bytes = loss.atLeastBytes === null ? '' : `, at least ${loss.atLeastBytes} B`;
  const most = loss.atMostBytes === null ? '' : `, at most ${loss.atMostBytes} B`;
  return `${loss.kind}: ${window}${span}${bytes}${most}.${note}`;
}

function stages(plan: Plan, palette: Palette, columns: number): string[] {
  if (plan.stages.length === 0) return [];
  const legend = `${MARK.none} no effect   ${MARK.reversible} reversible   ${MARK.irreversible} irreversible`;
  const lines: string[] = ['', palette.dim(legend)];
  if (plan.pastPointOfNoReturn) {
    lines.push('', palette.red(rule('the point of no return was passed before this plan', columns)));
  }
  for (const stage of plan.stages) {
    lines.push('');
    if (stage.gate !== undefined) {
      const asks = stage.gate.kind === 'conditional' ? 'asks only if needed' : whoDecides(stage);
      lines.push(...wrap(`◆ gate ${stage.gate.name}: ${stage.gate.title} (${asks})`, columns, '  ').map(palette.cyan));
    }
    if (stage.steps.some((step) => step.id === plan.pointOfNoReturn)) {
      lines.push(palette.red(rule(`point of no return: ${plan.pointOfNoReturn}`, columns)));
    }
    const took = plan.estimate.stages[stage.name];
    const first = plan.stages.find((one) => one.name === stage.name) === stage;
    lines.push(
      `${palette.bold(stage.name)}${took === undefined || !first ? '' : palette.dim(`  about ${seconds(took)}`)}`,
    );
    for (const step of stage.steps) lines.push(...stepLines(step, palette, columns));
  }
  return lines;
}

function whoDecides(stage: Stage): string {
  const { required, approvers, fourEyes } = stage.gate!.policy;
  if (required === 0) return 'opens by itself unless its facts ask for a person';
  const who = approvers.length === 0 ? '' : ` of ${approvers.join(', ')}`;
  return `${required} approval${required === 1 ? '' : 's'}${who}${fourEyes ? ', not by the requester' : ''}`;
}

const MARK: Record<Step['effect'], string> = { none: '·', reversible: '↺', irreversible: '●' };

function stepLines(step: Step, palette: Palette, columns: number): string[] {
  const mark = step.effect === 'irreversible' ? palette.red(MARK.irreversible) : MARK[step.effect];
  const [first = '', ...rest] = wrap(`${step.id}  ${step.summary}`, columns - 4);
  const lines = [`  ${mark} ${first}`, ...rest.map((line) => `      ${line}`)];
  const details = [
    ...(step.effect === 'irreversible' ? ['irreversible'] : []),
    ...(step.undo === undefined ? [] : [`undo: ${step.undo.summary}`]),
    ...(step.onlyIf === undefined ? [] : [`only if ${step.onlyIf.step} finds it needed`]),
    ...(step.onFailure === 'continue' ? ['its failure does not stop the run'] : []),
  ];
  if (details.length === 0) return lines;
  return [...lines, ...wrap(details.join('; '), columns - 6).map((line) => palette.dim(`      ${line}`))];
}

function findings(title: string, found: readonly Finding[], paint: Paint, mark: string, columns: number): string[] {
  if (found.length === 0) return [];
  const lines = found.flatMap((one) => {
    const accept = one.override === undefined ? '' : ` [--override ${one.override}]`;
    const [first = '', ...rest] = wrap(`${one.message} (${one.code})`, columns - 4);
    const remedy = one.remedy === '' ? [] : wrap(`${one.remedy}${accept}`, columns - 6);
    return [
      `  ${paint(mark)} ${first}`,
      ...rest.map((line) => `    ${line}`),
      ...remedy.map((line) => `      ${line}`),
    ];
  });
  return ['', paint(title), ...lines];
}

function closing(plan: Plan, { bold, green, red }: Palette): string {
  if (plan.nothingToDo !== null) return green(plan.nothingToDo);
  const count = plan.facts.blockers.length;
  if (count > 0) return red(bold(`Blocked by ${count} finding${count === 1 ? '' : 's'}. Nothing was changed.`));
  return green('Ready. Nothing was changed.');
}

function rule(text: string, columns: number): string {
  return `── ${text} `.padEnd(columns, '─');
}

function seconds(value: number): string {
  return value < 10 ? `${Math.round(value * 10) / 10} s` : formatDuration(Math.round(value) * 1000);
}
