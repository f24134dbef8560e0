import type { Drill } from '../../../topology/drill.ts';
import { drillRuns, overdueAt, type Past, pastOf } from '../../drills/runs.ts';
import { type Schedule, schedulesOf } from '../../drills/schedules.ts';
import type { Cli, Paint } from '../cli.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { table } from '../render/table.ts';
import { withTemporal } from '../session.ts';
import { requireTopology } from '../topology.ts';

/** Runs shown for each. */
const NEXT = 3;

interface Line {
  schedule: Schedule;
  /** `null`: not in the topology any more. */
  drill: Drill | null;
  past: Past;
  /** When it is overdue, milliseconds since the epoch; `null` when that cannot be told. */
  overdueAt: number | null;
  overdue: boolean;
}

/** `rampart drills list`: exit 1 when a schedule is not as the topology has it, or a drill is overdue. */
export async function run(cli: Cli): Promise<ExitCode> {
  const topology = await requireTopology(cli);
  return withTemporal(cli, undefined, async (temporal) => {
    const [schedules, runs] = await Promise.all([schedulesOf(temporal, topology), drillRuns(temporal)]);
    const now = Date.now();
    const lines = await Promise.all(
      schedules.map(async (schedule): Promise<Line> => {
        const drill = topology.drills[schedule.name] ?? null;
        const past = await pastOf(
          temporal,
          runs.filter((one) => one.drill === schedule.name),
        );
        const since = past.passedAt ?? schedule.createdAt;
        const at = drill === null || since === null ? null : overdueAt(drill, since);
        return { schedule, drill, past, overdueAt: at, overdue: at !== null && at < now };
      }),
    );
    cli.answer({ drills: lines.map(forJson) });
    if (lines.length === 0) cli.print('The topology names no drills, and there are no schedules of any.');
    for (const line of table(lines.map((one) => cells(one, cli.paint)))) cli.print(line);
    const drifted = lines.some(({ schedule }) => schedule.drift !== 'same');
    if (drifted) cli.print('Some schedules are not as the topology has them: rampart drills sync');
    return drifted || lines.some(({ overdue }) => overdue) ? EXIT.failed : EXIT.done;
  });
}

function forJson({ schedule, drill, past, overdueAt: at, overdue }: Line) {
  const { name, drift, paused, note, next } = schedule;
  return {
    ...{ drill: name, service: drill?.service ?? null, kind: drill?.kind ?? null, drift, paused, note, next },
    ...{ last: past.last, passedAt: past.passedAt, running: past.running?.workflowId ?? null },
    ...{ overdueAt: at, overdue },
  };
}

function cells({ schedule, drill, past, overdue }: Line, paint: Paint): string[] {
  const { name, drift, paused, note, next } = schedule;
  const due = next.slice(0, NEXT).map(minute).join(', ');
  const state = [
    drift === 'same' ? '' : paint.red(DRIFTS[drift]),
    paused === true ? paint.yellow(`paused${note === '' ? '' : `: ${note}`}`) : '',
    overdue ? paint.red('overdue') : '',
    past.running === null ? '' : paint.cyan('on now'),
  ].filter((text) => text !== '');
  return [
    paint.bold(name),
    drill === null ? '' : `${drill.service}, ${drill.kind}`,
    paused !== false ? '' : due === '' ? 'never' : `next ${due}`,
    lastText(past, paint),
    state.join('; '),
  ];
}

const DRIFTS = {
  missing: 'no schedule yet',
  changed: 'the topology has changed',
  edited: 'changed by hand',
  deleted: 'not in the topology any more',
} as const;

function lastText({ last, passedAt }: Past, paint: Paint): string {
  if (last === null) return paint.yellow('never run');
  const { verdict, at, text } = last;
  if (verdict === 'passed') return paint.green(`passed ${minute(at)}`);
  const said = `${verdict} ${minute(at)}: ${text.replace(/^skipped: /, '').slice(0, 100)}`;
  const before = passedAt === null ? '' : `; passed ${minute(passedAt)}`;
  return verdict === 'failed' ? paint.red(said) + before : paint.yellow(said) + before;
}

const minute = (at: number): string => new Date(at).toISOString().slice(0, 16).replace('T', ' ');
