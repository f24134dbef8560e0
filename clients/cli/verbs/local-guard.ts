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
  place?: string;
  timeout?: string;
  slots?: boolean;
  wait?: string;
  unreachable?: string;
}

interface Guarded {
  component: string | null;
  node: string | null;
  /** Task queue of the workers beside it; two of them may be two machines. */
  beside: string | null;
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
/** An init system gives a start 90 s by default; what waits longer says so itself. */
const WAIT_MS = 20_000;

/**
 * `rampart local-guard`: exit 0 lets a database start; 1 keeps it from starting read-write, 3 as well, but only because
 * peers are silent. It asks no Temporal.
 */
export async function run(cli: Cli, _args: string[], options: GuardOptions): Promise<ExitCode> {
  const timeoutMs = duration('--timeout', options.timeout) ?? TIMEOUT_MS;
  const waitMs = duration('--wait', options.wait) ?? WAIT_MS;
  const { unreachable } = options;
  if (unreachable !== undefined && unreachable !== 'refuse' && unreachable !== 'allow')
    throw badInput(`--unreachable ${unreachable}: refuse or allow`);
  const guarded =
    options.region === undefined ? [byHand(cli, options)] : await byTopology(cli, options, options.region);
  const answers: Array<GuardAnswer & { component: string | null; dataDir: string }> = [];
  for (const { component, node: _, beside: __, ...input } of guarded) {
    const answer = await localGuard({
      ...{ ...input, timeoutMs, waitMs },
      ...(unreachable === undefined ? {} : { unreachable }),
      onWait: (why) => cli.print(`rampart local-guard: ${input.dataDir}: ${why}`),
    });
    answers.push({ component, dataDir: input.dataDir, ...answer });
  }
  const allowed = answers.every((answer) => answer.allowed);
  cli.answer({ allowed, guarded: answers });
  for (const { reason, dataDir } of answers) cli.print(`rampart local-guard: ${dataDir}: ${reason}`);
  if (allowed) return EXIT.done;
  return answers.every((answer) => answer.allowed || answer.undecided) ? EXIT.waiting : EXIT.failed;
}

function duration(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms === undefined) throw badInput(`${option} ${text}: a duration such as 3s`);
  return ms;
}

function byHand(cli: Cli, options: GuardOptions): Guarded {
  if (options.dataDir === undefined)
    throw badInput('say which database is to start: --region, or --data-dir and --peer', ...EXAMPLES);
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
    node: null,
    beside: null,
    dataDir: options.dataDir,
    binDir: options.bin ?? null,
    peers,
    slots: options.slots === true,
  };
}

/**
 * The PostgreSQL nodes of this machine that have a data directory, with all other nodes as their peers. A region may
 * have several machines: another machine's node must not be judged by this one's directory.
 */
async function byTopology(cli: Cli, options: GuardOptions, region: string): Promise<Guarded[]> {
  const { component: only, node: named, place } = options;
  const dataDir = options.dataDir?.replace(/\/+$/, '');
  const topology = await requireTopology(cli);
  const context = localContext(cli.io.env, '', cli.io.signal);
  const all: Guarded[] = [];
  for (const component of Object.values(topology.components)) {
    if (component.type !== 'postgres') continue;
    const cluster = openCluster(component, context);
    const queues = new Map(component.sides[region]?.nodes.map(({ name, queue }) => [name, queue]));
    for (const node of cluster.nodes) {
      if (node.region !== region || node.dataDir === null) continue;
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
      const about = { component: component.name, node: node.name, beside: queues.get(node.name) ?? null };
      all.push({ ...about, dataDir: node.dataDir, binDir: options.bin ?? node.bin, peers, slots });
    }
  }
  const found = all.filter(
    (one) =>
      (only === undefined || one.component === only) &&
      (named === undefined || one.node === named) &&
      (place === undefined || one.beside?.endsWith(`.${region}.${place}`) === true) &&
      (dataDir === undefined || one.dataDir === dataDir),
  );
  if (found.length === 0) {
    const known = all.map((one) => `${one.node} of ${one.component} in ${one.dataDir}`).join(', ');
    const wanted = [only, named, place, dataDir].filter((one) => one !== undefined).join(', ');
    throw badInput(
      known === ''
        ? `the topology has no PostgreSQL node with a dataDir in ${region}`
        : `no PostgreSQL node in ${region} is ${wanted}; the topology has ${known}`,
      ...EXAMPLES,
    );
  }
  if (new Set(found.map(({ beside }) => beside)).size > 1)
    throw badInput(
      `the nodes in ${region} are beside different workers, so perhaps on different machines: ${found.map((one) => `${one.node} of ${one.component}`).join(', ')}; say which are on this one`,
      ...[...new Set(found.map(({ beside }) => beside?.split('.').slice(2).join('.') ?? ''))]
        .filter((one) => one !== '')
        .map((one) => `rampart local-guard --region ${region} --place ${one}`),
      ...found.map((one) => `rampart local-guard --region ${region} --component ${one.component} --node ${one.node}`),
    );
  return found;
}
