import { addressOf, openCluster } from '../../../drivers/postgres/config.ts';
import { type GuardAnswer, localGuard, type Peer } from '../../../drivers/postgres/local-guard.ts';
import { parseDuration } from '../../../topology/duration.ts';
import { localContext } from '../../local-context.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode } from '../exit.ts';
import { requireTopology } from '../topology.ts';

interface GuardOptions {
  dataDir?: string;
  peer?: string[];
  user?: string;
  database?: string;
  bin?: string;
  region?: string;
  component?: string;
  node?: string;
  timeout?: string;
  slots?: boolean;
  wait?: string;
  unreachable?: string;
}

interface Guarded {
  component: string | null;
  dataDir: string;
  binDir: string | null;
  peers: Peer[];
  /** Whether every peer that replicates from it would have a slot on it. */
  slots: boolean;
}

const EXAMPLES = [
  'rampart local-guard --region eu-west',
  'rampart local-guard --data-dir /var/lib/postgresql/18/main --peer 10.1.0.5:5432',
];

const TIMEOUT_MS = 3_000;
/** An init system gives a start 90 s by default, and tries again. */
const WAIT_MS = 20_000;

/** `rampart local-guard`: exit 0 lets a database start, 1 keeps it from starting read-write. It asks no Temporal. */
export async function run(cli: Cli, _args: string[], options: GuardOptions): Promise<ExitCode> {
  const timeoutMs = duration('--timeout', options.timeout) ?? TIMEOUT_MS;
  const waitMs = duration('--wait', options.wait) ?? WAIT_MS;
  const unreachable = options.unreachable ?? 'refuse';
  if (unreachable !== 'refuse' && unreachable !== 'allow')
    throw badInput(`--unreachable ${unreachable}: refuse (the default) or allow`);
  const guarded = options.dataDir === undefined ? await byTopology(cli, options) : [byHand(cli, options)];
  const answers: Array<GuardAnswer & { component: string | null; dataDir: string }> = [];
  for (const { component, ...input } of guarded) {
    const answer = await localGuard({ ...input, timeoutMs, waitMs, unreachable });
    answers.push({ component, dataDir: input.dataDir, ...answer });
  }
  const allowed = answers.every((answer) => answer.allowed);
  cli.answer({ allowed, guarded: answers });
  for (const { reason, dataDir } of answers) cli.print(`rampart local-guard: ${dataDir}: ${reason}`);
  return allowed ? EXIT.done : EXIT.failed;
}

function duration(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms === undefined) throw badInput(`${option} ${text}: a duration such as 3s`);
  return ms;
}

function byHand(cli: Cli, options: GuardOptions): Guarded {
  if (options.peer === undefined || options.peer.length === 0) {
    throw badInput('--peer must name the other nodes, host:port', ...EXAMPLES);
  }
  const { env } = cli.io;
  const password = env.PGPASSWORD ? { password: env.PGPASSWORD } : {};
  const peers = options.peer
    .flatMap((text) => text.split(','))
    .map((text): Peer => {
      const match = /^(.+?)(?::(\d+))?$/.exec(text.trim())!;
      return {
        name: text.trim(),
        host: match[1]!,
        port: Number(match[2] ?? 5432),
        user: options.user ?? env.PGUSER ?? 'rampart',
        database: options.database ?? env.PGDATABASE ?? 'postgres',
        ...password,
      };
    });
  return {
    component: null,
    dataDir: options.dataDir!,
    binDir: options.bin ?? null,
    peers,
    slots: options.slots === true,
  };
}

/** Every PostgreSQL node of this machine's region that has a data directory, with all other nodes as its peers. */
async function byTopology(cli: Cli, options: GuardOptions): Promise<Guarded[]> {
  const { region, component: only, node: named } = options;
  if (region === undefined)
    throw badInput('say which database is to start: --region, or --data-dir and --peer', ...EXAMPLES);
  const topology = await requireTopology(cli);
  const context = localContext(cli.io.env, '', cli.io.signal);
  const found: Guarded[] = [];
  for (const component of Object.values(topology.components)) {
    if (component.type !== 'postgres' || (only !== undefined && component.name !== only)) continue;
    const cluster = openCluster(component, context);
    const mine = cluster.nodes.filter(
      (node) => node.region === region && node.dataDir !== null && (named === undefined || node.name === named),
    );
    for (const node of mine) {
      const peers = await Promise.all(
        cluster.nodes
          .filter((other) => other !== node)
          .map(async (other): Promise<Peer> => {
            // A secret that is not here makes the peer one that could not be asked, and the answer says so.
            const password = await context.secret(other.password ?? '').catch(() => '');
            return {
              name: `${other.name} (${addressOf(other)})`,
              host: other.host,
              port: other.port,
              user: other.user,
              database: cluster.config.controlDatabase,
              ...(password === '' ? {} : { password }),
            };
          }),
      );
      const slots = cluster.nodes.every((other) => other.slot !== null);
      found.push({ component: component.name, dataDir: node.dataDir!, binDir: options.bin ?? node.bin, peers, slots });
    }
  }
  if (found.length > 0) return found;
  throw badInput(`the topology has no PostgreSQL node with a dataDir in ${region}`, ...EXAMPLES);
}
