/** `rampart lab …`: the lab by hand. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import pc from 'picocolors';
import type { Target, WorldStatus } from './world/running.ts';
import { CLOUDS, type Cloud } from './world/spec.ts';
import { endWorld, findWorld, openWorld, type World } from './world.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Adds the `lab` verb and what belongs to it. */
export function addLabCommands(program: Command): void {
  const lab = program.command('lab').description('a two-region world on this machine, by hand');
  const verb = (usage: string, description: string): Command =>
    lab.command(usage).description(description).option('--name <world>', 'which world, when several run', 'default');

  verb('up', 'bring the world up: Temporal, a PostgreSQL pair, edge and writer endpoint, apps, workers')
    .option('--load [perSecond]', 'with a load generator, 100 orders per second if not said otherwise', wholeNumber)
    .addOption(
      new Option('--cloud [example]', 'managed databases and routing of an example, against emulators')
        .choices(CLOUDS)
        .preset(CLOUDS[0]),
    )
    .option('--json', 'end with one line of JSON')
    .action(async ({ name, load, cloud, json }: UpOptions) => {
      const world = await up(name, load === true ? 100 : (load ?? 0), cloud ?? null);
      const status = await world.status();
      process.stdout.write(json ? `${JSON.stringify(status.world)}\n` : describe(status));
    });

  verb('down', 'end the world; no process stays').action(async ({ name }: { name: string }) => {
    const found = await endWorld(name);
    say(found ? `The world "${name}" has ended.` : `No world "${name}" was up; nothing of it runs.`);
  });

  verb('status', 'what runs, and how the links are')
    .option('--json', 'as JSON')
    .action(async ({ name, json }: { name: string; json?: boolean }) => {
      const status = await (await present(name)).status();
      process.stdout.write(json ? `${JSON.stringify(status)}\n` : describe(status));
    });

  const aimed = (usage: 'kill' | 'freeze' | 'start', description: string): void => {
    verb(`${usage} <what> [where]`, description)
      .addHelpText('after', TARGET_HELP)
      .option('--region <region>', 'the same as [where]')
      .action(async (what: string, where: string | undefined, { name, region }: { name: string; region?: string }) => {
        const world = await present(name);
        const target = await readTarget(world, what, where ?? region);
        report(usage === 'kill' ? 'Killed' : usage === 'freeze' ? 'Frozen' : 'Started', await world[usage](target));
      });
  };
  aimed('kill', 'kill -9 a region, database, worker, app or Temporal');
  aimed('freeze', 'stop the processes without ending them (SIGSTOP), as a paused machine');
  aimed('start', 'start again what was killed');

  verb('partition <region>', 'cut a region from everything outside it')
    .option('--refuse', 'reset connections instead of letting their bytes vanish')
    .action(async (region: string, { name, refuse }: { name: string; refuse?: boolean }) => {
      report('Cut', await (await present(name)).partition(region, refuse ? 'refuse' : 'blackhole'));
    });
  verb('delay <region> <milliseconds>', 'slow every link of a region, each way').action(
    async (region: string, milliseconds: string, { name }: { name: string }) => {
      report('Slowed', await (await present(name)).delay(region, wholeNumber(milliseconds)));
    },
  );
  verb('stall-replication', 'let replication stand still; what is committed now is on one side only').action(
    async ({ name }: { name: string }) => report('Stalled', await (await present(name)).stallReplication()),
  );
  verb('heal', 'open every link, continue what is frozen').action(async ({ name }: { name: string }) =>
    report('Healed', await (await present(name)).heal()),
  );
}

const TARGET_HELP = `
<what>:  region, database, worker, app, temporal, router or load (or a region's name)
[where]: a region; "control" for the control workers. Without it: the active region's database,
         all workers, all apps.`;

interface UpOptions {
  name: string;
  load?: number | true;
  cloud?: Cloud;
  json?: boolean;
}

async function up(name: string, load: number, cloud: Cloud | null): Promise<World> {
  const opening = openWorld({ name, load, cloud, guard: true, tied: true, say });
  // Until the world is handed over it ends with this process; leaving on Ctrl-C is enough.
  const leave = (): void => {
    say('Interrupted: the world ends.');
    process.exit(130);
  };
  process.once('SIGINT', leave);
  try {
    const world = await opening;
    world.handOver();
    return world;
  } finally {
    process.off('SIGINT', leave);
  }
}

async function present(name: string): Promise<World> {
  const world = await findWorld(name);
  if (!world) throw new Error(`no world "${name}" is up: rampart lab up${name === 'default' ? '' : ` --name ${name}`}`);
  return world;
}

const WHATS: readonly Target['what'][] = ['region', 'database', 'worker', 'temporal', 'app', 'router', 'load'];

async function readTarget(world: World, what: string, where: string | undefined): Promise<Target> {
  const known = WHATS.find((candidate) => candidate === what);
  if (known) return { what: known, ...(where === undefined ? {} : { where }) };
  const regions = Object.keys((await world.status()).world.regions);
  if (regions.includes(what)) return { what: 'region', where: what };
  throw new Error(`"${what}" is neither ${WHATS.join(', ')} nor a region (${regions.join(', ')})`);
}

function report(done: string, names: string[]): void {
  say(names.length > 0 ? `${done}: ${names.join(', ')}` : 'Nothing to do.');
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('a whole number, 0 or more');
  return value;
}

function describe(status: WorldStatus): string {
  const { world } = status;
  const rows: Array<[string, string]> = [
    ['Web UI', world.temporal.ui ?? '(of the existing server)'],
    ['Temporal', `${world.temporal.address}, namespace ${world.temporal.namespace}`],
    ['edge', world.edge],
    ['writer', world.writer],
    ['topology', world.config],
  ];
  for (const { region, role } of status.databases) {
    rows.push([`database ${region}`, `${colour(role)}  ${world.regions[region]?.database ?? ''}`]);
  }
  for (const { name, pid, state } of status.members) rows.push([name, `${colour(state)}${pid ? `  pid ${pid}` : ''}`]);
  for (const { name, mode, delayMs, connections } of status.links) {
    rows.push([`link ${name}`, `${colour(mode)}${delayMs ? `, +${delayMs} ms` : ''}, ${connections} connections`]);
  }
  const width = Math.max(...rows.map(([label]) => label.length));
  const next = world.config
    ? `\nUse it:  RAMPART_CONFIG=${world.config} TEMPORAL_ADDRESS=${world.temporal.address} ./rampart status\nEnd it:  ./rampart lab down${status.name === 'default' ? '' : ` --name ${status.name}`}\n`
    : '';
  return `${rows.map(([label, value]) => `${label.padEnd(width)}  ${value}`).join('\n')}\n${next}`;
}

function colour(state: string): string {
  if (['running', 'primary', 'replica', 'open'].includes(state)) return pc.green(state);
  return ['frozen', 'stall', 'silent'].includes(state) ? pc.yellow(state) : pc.red(state);
}
