/** Every service on one screen, as lines. */
import { actionText, percent } from '../../../evidence/format.ts';
import type { Paint } from '../cli.ts';
import type { Observed, ServiceRow } from '../overview.ts';
import { nextCommands } from './commands.ts';
import { ago, lagText } from './facts.ts';
import { haltedLine } from './halt.ts';
import { activeRegion } from './look.ts';
import { outcomePainted, phaseText } from './run.ts';
import { table } from './table.ts';

export function overviewLines(rows: readonly ServiceRow[], paint: Paint, now: number): string[] {
  const head = ['SERVICE', 'TIER', 'ACTIVE', 'TRAFFIC', 'LAG', 'RUN'].map((text) => paint.dim(text));
  const lines = table([head, ...rows.map((row) => cells(row, paint, now))]);
  for (const { service, observed, halt } of rows) {
    if (halt !== null) lines.push(`${service.name}: ${haltedLine(service.name, halt, paint)}`);
    if (observed === null) continue;
    if (activeRegion(observed) === null || observed.classified.state !== 'steady') {
      lines.push(`${service.name}: ${observed.classified.text}`);
    }
    for (const what of observed.unseen) lines.push(paint.dim(`${service.name}: not seen: ${what}`));
  }
  const commands = rows.flatMap(({ view }) => (view?.status ? nextCommands(view.status).slice(0, 1) : []));
  if (commands.length > 0) lines.push('', 'Next:', ...commands.map(({ command }) => `  ${command}`));
  const oldest = Math.min(...rows.flatMap(({ observed }) => (observed === null ? [] : [observed.at])));
  if (Number.isFinite(oldest)) {
    const by = rows.find(({ observed }) => observed !== null)!.observed!.by;
    lines.push(
      '',
      paint.dim(`Observed ${by === 'here' ? 'from this machine' : 'by the workers'} ${ago(oldest, now)}.`),
    );
  }
  return lines;
}

/** What of a service is worth a line when it changes: nothing in it moves with the clock alone. */
export function changeLine({ service, observed, view, halt }: ServiceRow, paint: Paint): string {
  const running = view !== null && view.ending === null;
  const parts = [halt === null ? '' : paint.red('HALTED'), active(observed, service.home, paint), traffic(observed)];
  if (running) parts.push(run(view, paint, 0));
  else if (view?.ending) parts.push(`last: ${actionText(view.run.type)} ${outcomePainted(view.ending.outcome, paint)}`);
  return `${service.name}: ${parts.filter((part) => part !== '').join('; ')}`;
}

function cells({ service, observed, view }: ServiceRow, paint: Paint, now: number): string[] {
  return [
    paint.bold(service.name),
    service.tier.name,
    active(observed, service.home, paint),
    traffic(observed),
    lag(observed, now),
    run(view, paint, now),
  ];
}

function active(observed: Observed | null, home: string, paint: Paint): string {
  if (observed === null) return paint.dim('not observed');
  const region = activeRegion(observed);
  if (region === null) return paint.red(STATES[observed.classified.state] ?? observed.classified.state);
  return region === home ? paint.green(region) : paint.yellow(`${region} (not home)`);
}

const STATES: Readonly<Record<string, string>> = {
  sourceLost: 'source lost',
  fenced: 'fenced',
  partlyPromoted: 'partly promoted',
  noneWritable: 'none writable',
  twoWritable: 'TWO WRITABLE',
  unknown: 'unknown',
};

/** The share of each region at the first router that splits traffic. */
function traffic(observed: Observed | null): string {
  const all = Object.values(observed?.weights ?? {});
  const weights = all.find((one) => one !== null && Object.values(one).some((w) => w > 0 && w < 100)) ?? all[0];
  if (weights === undefined) return '';
  if (weights === null) return 'not readable';
  return Object.entries(weights)
    .filter(([, weight]) => weight > 0)
    .map(([region, weight]) => `${region} ${percent(weight)}`)
    .join(', ');
}

function lag(observed: Observed | null, now: number): string {
  return Object.entries(observed?.lag ?? {})
    .map(
      ([store, value]) =>
        `${store}: ${value === null ? 'no reading' : lagText(value, now).replace(/, measured just now$/, '')}`,
    )
    .join('; ');
}

function run(view: ServiceRow['view'], paint: Paint, now: number): string {
  if (view === null) return '';
  const what = actionText(view.run.type);
  if (view.ending !== null) {
    const when = view.run.closedAt === null ? '' : ` ${ago(view.run.closedAt, now)}`;
    return `${paint.dim(`last: ${what}`)} ${outcomePainted(view.ending.outcome, paint)}${paint.dim(when)}`;
  }
  if (view.status === null) return `${what}: ${paint.yellow(view.trouble ?? 'no answer')}`;
  return `${what} to ${view.status.to ?? '?'}: ${phaseText(view.status, paint)}`;
}
