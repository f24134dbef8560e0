/**
 * The program behind `npm run crash-matrix`. See README.md.
 */
import { parseArgs } from 'node:util';
import type { Action } from '../../plan/model.ts';
import { SETTINGS } from './hands.ts';
import { ABOUT, runMatrix } from './matrix.ts';
import { commit, keepOnly, keepResults, readResults, sourcesDigest } from './results.ts';

const USAGE = `npm run crash-matrix -- [--only TEXT]… [--action failover,failback,trafficRamp] [--budget 20m] [--lanes N] [--again] [--red] [--missing]

  --only TEXT    cells whose id contains this text, or matches it as /a regular expression/; several are alternatives
  --action LIST  which runs; all by default
  --budget TIME  no cell begins after this: 90s, 20m, 2h; without it everything runs
  --lanes N      worlds side by side, 1 by default; two need two free cores
  --again        also cells that are green on these sources already
  --red          only cells that are red
  --missing      only cells that have no green result at all, on whatever sources
  --list         prints the results there are, and runs nothing`;

export async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string', multiple: true },
      action: { type: 'string' },
      budget: { type: 'string' },
      lanes: { type: 'string' },
      again: { type: 'boolean' },
      red: { type: 'boolean' },
      missing: { type: 'boolean' },
      list: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const actions = (values.action ?? 'failover,failback,trafficRamp').split(',') as Action[];
  if (values.list) {
    for (const action of actions)
      for (const { verdict, id, outcome, sources } of readResults(action))
        console.log(`${verdict} ${id} ${outcome} (${sources})`);
    return 0;
  }
  const sources = sourcesDigest();
  const kept = new Map(actions.flatMap((action) => readResults(action)).map((cell) => [cell.id, cell]));
  const only = values.only?.map(toPattern);
  const end = await runMatrix({
    actions,
    wanted: ({ id }) => {
      const before = kept.get(id);
      if (only !== undefined && !only.some((pattern) => pattern.test(id))) return false;
      if (values.red) return before?.verdict === 'red';
      if (values.missing) return before?.verdict !== 'green';
      return values.again === true || before === undefined || before.sources !== sources || before.verdict === 'red';
    },
    // What has no result yet comes before what only has an old one; the end of a step before the beginning of the next,
    // because a fault at the one often falls at the other as well.
    rank: ({ id, boundary }) => (kept.has(id) ? 2 : 0) + (boundary.moment === 'closed' ? 0 : 1),
    isGreen: (id) => kept.get(id)?.verdict === 'green' && kept.get(id)?.sources === sources,
    until: values.budget === undefined ? Number.POSITIVE_INFINITY : Date.now() + millisOf(values.budget),
    lanes: values.lanes === undefined ? 1 : lanesOf(values.lanes),
    exist: keepOnly,
    keep: (results, versions) =>
      keepResults(
        results[0]!.action,
        results.map((result) => ({ ...result, sources })),
        ABOUT,
        { ...versions, commit: commit() },
        SETTINGS,
      ),
    say: (line) => console.log(line),
  });
  console.log(
    `\n${end.green} green (and ${end.same} that are the same as one of them), ${end.red.length} red, ${end.notReached.length} not reached, ${end.left} left by the budget`,
  );
  for (const id of end.red) console.log(`  red: ${id}`);
  return end.red.length === 0 ? 0 : 1;
}

function toPattern(text: string): RegExp {
  const inner = /^\/(.*)\/$/.exec(text)?.[1];
  return inner === undefined ? new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')) : new RegExp(inner);
}

function lanesOf(text: string): number {
  if (!/^[1-9]$/.test(text)) throw new Error(`--lanes ${text}: write 1 to 9`);
  return Number(text);
}

function millisOf(text: string): number {
  const [, number, unit] = /^(\d+)(s|m|h)$/.exec(text) ?? [];
  if (number === undefined) throw new Error(`--budget ${text}: write 90s, 20m or 2h`);
  return Number(number) * { s: 1_000, m: 60_000, h: 3_600_000 }[unit as 's' | 'm' | 'h'];
}
