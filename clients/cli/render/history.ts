/** Past runs and what they prove, as lines. */
import { actionText, direction, duration, outcomeText } from '../../../evidence/format.ts';
import type { PastRun, ServiceHistory, Trend } from '../../reports/history.ts';
import type { Ending } from '../../runs.ts';
import type { Paint } from '../cli.ts';
import { outcomePainted } from './run.ts';
import { plural, table } from './table.ts';

const day = (at: number | null): string =>
  at === null ? '' : new Date(at).toISOString().slice(0, 19).replace('T', ' ');

/** `rampart history <service>` */
export function historyLines(history: ServiceHistory, paint: Paint): string[] {
  const { service, runs, trend } = history;
  if (runs.length === 0) return [`${service} has no past runs.`];
  return [
    ...table(runs.map((one) => cells(one, paint))),
    '',
    ...table([
      ['last proven', provenText(history, paint)],
      ...(trend.rta === null ? [] : [['recovery time', trendText(trend.rta, paint)]]),
      ...(trend.rpa === null ? [] : [['recovery point', trendText(trend.rpa, paint)]]),
      ...(history.nextDueAt === null ? [] : [['next due', dueText(history, paint)]]),
    ]),
  ];
}

/** `rampart history`: a line per service, those that were never proven first. */
export function overviewLines(histories: readonly ServiceHistory[], paint: Paint): string[] {
  const sorted = [...histories].sort((a, b) => (a.lastProven?.at ?? 0) - (b.lastProven?.at ?? 0));
  const heads = ['service', 'last proven', 'last run', 'recovery time', 'recovery point', 'next due'];
  return table([
    heads.map((head) => paint.dim(head)),
    ...sorted.map((one) => [
      paint.bold(one.service),
      provenText(one, paint),
      lastRun(one.runs[0], paint),
      one.trend.rta === null ? '' : shortTrend(one.trend.rta, paint),
      one.trend.rpa === null ? '' : shortTrend(one.trend.rpa, paint),
      one.nextDueAt === null ? '' : dueText(one, paint),
    ]),
  ]);
}

function cells(one: PastRun, paint: Paint): string[] {
  const { summary } = one;
  return [
    day(one.startedAt),
    actionText(one.action),
    // Checks go nowhere.
    summary === null || (summary.from ?? summary.to) === null
      ? ''
      : `${direction(summary.from, summary.to)}, ${summary.mode}`,
    outcomeOf(one, paint),
    summary === null ? '' : verdictPainted(summary.verdict, paint),
    one.closedAt === null || one.startedAt === null ? '' : duration(one.closedAt - one.startedAt),
    summary?.rtaMs == null ? '' : `RTA ${duration(summary.rtaMs)}`,
    summary?.rpaMs == null ? '' : `RPA ${duration(summary.rpaMs)}`,
    one.report === null ? '' : `report ${one.report}`,
    paint.dim(one.runId),
    one.text.split('\n')[0]!.slice(0, 100),
  ];
}

function outcomeOf(one: PastRun, paint: Paint): string {
  if (one.state === 'running') return paint.cyan('running');
  return one.outcome === null ? 'continued' : outcomePainted(one.outcome as Ending['outcome'], paint);
}

function verdictPainted(verdict: string, paint: Paint): string {
  if (verdict === 'passed') return paint.green(verdict);
  return verdict === 'failed' ? paint.red(verdict) : paint.yellow(verdict);
}

function lastRun(one: PastRun | undefined, paint: Paint): string {
  if (one === undefined) return 'none';
  const outcome = one.state === 'running' ? 'running' : one.outcome === null ? 'continued' : outcomeText(one.outcome);
  const said = `${actionText(one.action)}, ${outcome}`;
  return one.summary?.verdict === 'failed' ? paint.red(said) : said;
}

/** A service that nobody has ever moved may well not move when it must. */
function provenText({ lastProven }: ServiceHistory, paint: Paint): string {
  if (lastProven === null) return paint.red('never');
  const { daysAgo, action, mode, to } = lastProven;
  const when = daysAgo === 0 ? 'today' : `${plural(daysAgo, 'day')} ago`;
  return `${when}, by a ${mode} ${actionText(action)}${to === null ? '' : ` to ${to}`}`;
}

function dueText({ nextDueAt, overdue }: ServiceHistory, paint: Paint): string {
  const text = day(nextDueAt).slice(0, 10);
  return overdue ? paint.red(`${text}, overdue`) : text;
}

function shortTrend({ lastMs, medianMs, values, objectiveMs }: Trend, paint: Paint): string {
  const last = duration(lastMs);
  const said = objectiveMs !== null && lastMs > objectiveMs ? paint.red(last) : last;
  return values.length < 2 ? said : `${said} (median ${duration(medianMs)})`;
}

function trendText(trend: Trend, paint: Paint): string {
  const { values, worstMs, objectiveMs } = trend;
  const objective = objectiveMs === null ? '' : `, objective ${duration(objectiveMs)}`;
  const course = values.map(({ ms }) => duration(ms)).join(', ');
  const rest = values.length < 2 ? '' : `; worst ${duration(worstMs)}; oldest first: ${course}`;
  return `${shortTrend(trend, paint)}${objective}${rest}`;
}
