import { putRight, type Schedule, schedulesOf } from '../../drills/schedules.ts';
import type { Cli } from '../cli.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { table } from '../render/table.ts';
import { withTemporal } from '../session.ts';
import { requireTopology } from '../topology.ts';

const DOES = { missing: 'create', changed: 'update', edited: 'update', deleted: 'delete', same: 'keep' } as const;
const WHY = {
  missing: 'it is in the topology and has no schedule',
  changed: 'the topology has changed',
  edited: 'the schedule was changed by hand',
  deleted: 'it is not in the topology any more',
  same: 'nothing to do',
} as const;

/** `rampart drills sync`: makes the schedules those of the topology; with `--dry-run` only says what it would do. */
export async function run(cli: Cli, _args: string[], options: { dryRun?: boolean }): Promise<ExitCode> {
  const topology = await requireTopology(cli);
  const dryRun = options.dryRun === true;
  return withTemporal(cli, undefined, async (temporal) => {
    const schedules = await schedulesOf(temporal, topology);
    const work = schedules.filter(({ drift }) => drift !== 'same');
    // One after the other: what fails is known, and the rest is put right by the next sync.
    if (!dryRun) for (const one of work) await putRight(temporal, one, topology.drills[one.name]);
    cli.answer({
      dryRun,
      drills: schedules.map((one) => ({ drill: one.name, did: DOES[one.drift], why: WHY[one.drift] })),
    });
    for (const line of lines(schedules, dryRun)) cli.print(line);
    return EXIT.done;
  });
}

function lines(schedules: readonly Schedule[], dryRun: boolean): string[] {
  if (schedules.length === 0) return ['The topology names no drills, and there are no schedules of any.'];
  const would = (drift: Schedule['drift']): string =>
    dryRun && drift !== 'same' ? `would ${DOES[drift]}` : DOES[drift];
  return table(schedules.map(({ name, drift }) => [name, would(drift), WHY[drift]]));
}
