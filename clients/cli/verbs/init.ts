import { access, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Address, inspect } from '../../../drivers/postgres/inspect.ts';
import { firstTopology, type ObservedDatabase } from '../../../topology/init.ts';
import { DEFAULT_PATH } from '../../../topology/load.ts';
import { resolveSecret } from '../../local-context.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode, failed } from '../exit.ts';

interface InitOptions {
  service?: string;
  database?: string;
  user?: string;
  password?: string;
  force?: boolean;
}

const EXAMPLE = 'rampart init eu-west=10.0.0.5:5432 eu-central=10.1.0.5:5432';

/** `rampart init`: looks at two databases and writes a first topology. */
export async function run(cli: Cli, args: string[], options: InitOptions): Promise<ExitCode> {
  const [first, second] = args.map(readAddress);
  if (first === undefined || second === undefined || args.length !== 2) {
    throw badInput('give the addresses of two databases, each with the name of its region', EXAMPLE);
  }
  const path = resolve(cli.io.cwd, cli.config ?? (cli.io.env.RAMPART_CONFIG || DEFAULT_PATH));
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  if (exists && options.force !== true) throw badInput(`${path} is there already; --force writes over it`);
  const user = options.user ?? first.user ?? 'rampart';
  const database = options.database ?? first.database ?? 'postgres';
  const looks = await Promise.all(
    [first, second].map(async (given) => {
      const password = given.password ?? (await passwordOf(cli, options.password));
      return look(cli, given, { host: given.host, port: given.port, user, database, ...password });
    }),
  );
  const result = firstTopology({
    databases: looks as [ObservedDatabase, ObservedDatabase],
    user,
    database,
    ...(options.service === undefined ? {} : { service: options.service }),
    ...(options.password === undefined ? {} : { password: options.password }),
  });
  if ('refusals' in result) throw failed('refused', 'no topology can be written from these two', ...result.refusals);
  // `wx` refuses a file that has appeared meanwhile.
  await writeFile(path, result.text, { flag: options.force === true ? 'w' : 'wx' });
  cli.answer({ path, databases: looks, remarks: result.remarks });
  cli.print(`Wrote ${path}`);
  for (const remark of result.remarks) cli.print(`  ${remark}`);
  cli.print('Next:');
  cli.print('  rampart validate');
  cli.print('  rampart doctor      what is missing: rights, workers, search attributes');
  return EXIT.done;
}

interface Given {
  region: string | undefined;
  host: string;
  port: number;
  user: string | undefined;
  database: string | undefined;
  password: { password: string } | undefined;
}

/** `[region=]host[:port]`, or `[region=]postgres://user:password@host:port/database`. */
function readAddress(text: string): Given {
  const named = /^([^=:/@]+)=(.+)$/.exec(text);
  const region = named?.[1];
  const rest = named?.[2] ?? text;
  const url = /^postgres(ql)?:\/\//.test(rest) ? rest : `postgres://${rest}`;
  if (!URL.canParse(url) || new URL(url).hostname === '') {
    throw badInput(`"${text.replace(/:[^:@/]*@/, ':***@')}" is no address: region=host:port`, EXAMPLE);
  }
  const { hostname, port, username, password, pathname } = new URL(url);
  return {
    region,
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? 5432 : Number(port),
    user: username === '' ? undefined : decodeURIComponent(username),
    database: pathname.length > 1 ? decodeURIComponent(pathname.slice(1)) : undefined,
    password: password === '' ? undefined : { password: decodeURIComponent(password) },
  };
}

/** The password to look with: the reference of `--password`, else PGPASSWORD. It is never written anywhere. */
async function passwordOf(
  cli: Cli,
  reference: string | undefined,
): Promise<{ password: string } | Record<never, never>> {
  const { env } = cli.io;
  const found =
    reference === undefined
      ? env.PGPASSWORD || env.RAMPART_DB_PASSWORD
      : await resolveSecret(reference, env).catch(() => env.PGPASSWORD);
  return found ? { password: found } : {};
}

async function look(cli: Cli, given: Given, address: Address): Promise<ObservedDatabase> {
  const { host, port, region } = given;
  const named = region === undefined ? {} : { region };
  try {
    const { role, systemId, version, upstream } = await inspect(address);
    const follows = upstream === null ? '' : `, follows ${upstream.host}:${upstream.port}`;
    cli.print(`${host}:${port}: PostgreSQL ${version}, ${role}${follows}`);
    return { host, port, ...named, role, systemId };
  } catch (error) {
    cli.note(`${host}:${port}: ${error instanceof Error ? error.message : String(error)}`);
    return { host, port, ...named, role: 'unreachable', systemId: null };
  }
}
