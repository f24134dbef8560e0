import { drivers } from '../../../drivers/registry.ts';
import { withGroup } from '../../../topology/group.ts';
import type { Topology } from '../../../topology/model.ts';
import { directionOf, type EscapePage, escapePage, escapeSteps } from '../../escape.ts';
import { type Look, lookAt } from '../../observe.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode, failed } from '../exit.ts';
import { ago } from '../render/facts.ts';
import { activeRegion, lookLines } from '../render/look.ts';
import { checkRegion, findTopology, regionsOf, serviceIn } from '../topology.ts';

interface EscapeOptions {
  to?: string;
  from?: string;
  region?: string;
  place?: string;
}

/** Longest time for the look, in milliseconds. */
const LOOK_MS = 5_000;

/** `rampart escape <service>`: what to type when nothing of this runs. Needs no Temporal and no worker. */
export async function run(cli: Cli, args: string[], options: EscapeOptions): Promise<ExitCode> {
  const [name] = args as [string];
  const [topology, page] = await Promise.all([findTopology(cli), escapePage(cli.io.env, name)]);
  if (topology === null) return pageAlone(cli, name, page);
  return live(cli, topology, name, options, page);
}

async function live(
  cli: Cli,
  topology: Topology,
  name: string,
  options: EscapeOptions,
  page: EscapePage | null,
): Promise<ExitCode> {
  const service = withGroup(topology, serviceIn(topology, name));
  const regions = regionsOf(service);
  checkRegion(service, '--to', options.to);
  checkRegion(service, '--from', options.from);
  if (options.from !== undefined && options.from === options.to)
    throw badInput(`--from and --to are both ${options.to}`);
  const beside = { region: options.region ?? null, place: options.place ?? null };
  const { env } = cli.io;
  const look = await lookAt(topology, service, {
    drivers,
    env,
    budgetMs: LOOK_MS,
    beside,
    signal: cli.io.signal,
    ...(options.to === undefined ? {} : { to: options.to }),
    ...(options.from === undefined ? {} : { from: options.from }),
  });
  const { from, to, contrary } = directionOf(look.reading, regions, options);
  if (contrary || from === null || to === null) {
    const where = to === null ? `where ${name} is to go` : `from where ${name} is to go to ${to}`;
    const what = contrary ? `--from ${options.from}: what is seen says ${from}` : `it cannot be told ${where}`;
    throw badInput(`${what}: ${look.classified.text}`, ...asking(name, regions, { from, to }));
  }
  const steps = await escapeSteps({ topology, service, from, to, drivers, env, beside });
  cli.answer({
    service: name,
    from,
    to,
    at: look.at,
    state: look.classified.state,
    text: look.classified.text,
    unseen: look.unseen,
    steps,
    page: page === null ? null : { path: page.path, writtenAt: page.writtenAt },
  });
  const { paint } = cli;
  cli.print(paint.bold(`${name} by hand: ${from} → ${to}`));
  cli.print(
    paint.yellow(
      'Only while no run acts: two hands on the same systems undo each other. Stop the workers first, or abort the run.',
    ),
  );
  for (const line of lookLines(look, paint, Date.now())) cli.print(line);
  if (activeRegion(look) === to) cli.print(paint.green(`${to} is active already: do only what is missing.`));
  for (const [index, { title, commands }] of steps.entries()) {
    cli.print('');
    cli.print(paint.bold(`Step ${index + 1}: ${title}`));
    for (const command of commands) cli.print(command);
  }
  cli.print('');
  cli.print(pageLine(page, name, look));
  return EXIT.done;
}

/** The command again, with every direction that would be an answer. */
function asking(name: string, regions: readonly string[], known: { from: string | null; to: string | null }): string[] {
  const one = (end: string | null) => (end === null ? regions : [end]);
  const pairs = one(known.from).flatMap((from) => one(known.to).map((to) => [from, to] as const));
  return pairs
    .filter(([from, to]) => from !== to)
    .map(([from, to]) => `rampart escape ${name} --from ${from} --to ${to}`);
}

/** Which is newer: this look, or the page that a run wrote. */
function pageLine(page: EscapePage | null, name: string, look: Look): string {
  if (page === null) return `No run has written a page for ${name} on this machine.`;
  const written = `A run wrote ${page.path} ${ago(page.writtenAt, look.at)}`;
  return look.unseen.length === 0
    ? `${written}; what stands above is newer.`
    : `${written}. What stands above is newer, but could not see everything from here: compare the two.`;
}

/** Without a topology, what the last run left is all there is. */
function pageAlone(cli: Cli, name: string, page: EscapePage | null): ExitCode {
  if (page === null) {
    throw failed(
      'failed',
      `there is no topology file and no page of ${name} on this machine`,
      'Name the topology with --config or RAMPART_CONFIG, or look on the machine of a control worker:',
      `  ~/.local/state/rampart/control/escape/${name}.md`,
    );
  }
  cli.answer({ service: name, steps: null, page: { path: page.path, writtenAt: page.writtenAt, text: page.text } });
  cli.print(`${page.path}, written ${ago(page.writtenAt, Date.now())}:`);
  cli.print('');
  cli.print(page.text);
  return EXIT.done;
}
