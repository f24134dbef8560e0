import { type Verified, verifyReports } from '../../reports/verify.ts';
import type { Cli, Paint } from '../cli.ts';
import { badInput, EXIT, type ExitCode, failed } from '../exit.ts';
import { plural } from '../render/table.ts';
import { openStore, trustedKeys } from '../reports.ts';

interface VerifyOptions {
  store?: string;
  publicKey?: string[];
  head?: string;
}

/** `rampart report verify [service]`: exit 1 when a report is not as it was filed. */
export async function run(cli: Cli, args: string[], options: VerifyOptions): Promise<ExitCode> {
  const [service] = args as [string?];
  const { head } = options;
  if (head !== undefined && service === undefined) throw badInput('--head needs the service whose chain it is of');
  if (head !== undefined && !/^[0-9a-f]{64}$/.test(head))
    throw badInput(`--head ${head}: 64 hexadecimal digits, as verify prints them`);
  const storage = await openStore(cli, options.store);
  const trusted = await trustedKeys(cli, options.publicKey);
  const there = await storage.services();
  const named = service === undefined ? there : there?.filter((one) => one === service);
  if (named === undefined || named === null || named.length === 0)
    throw failed(
      'failed',
      `there are no reports${service === undefined ? '' : ` of ${service}`} in ${storage.where}: if there were, they are gone`,
      'Name the store with --store or RAMPART_REPORTS; rampart report file files the runs that Temporal knows.',
    );
  const verified: Verified[] = [];
  for (const one of named) verified.push(await verifyReports(storage, one, { trusted, head }));
  const whole = verified.every(({ problems }) => problems.length === 0);
  cli.answer({ store: storage.where, whole, services: verified });
  for (const one of verified) for (const line of lines(one, trusted !== undefined, cli.paint)) cli.print(line);
  if (!whole) cli.print(`\nKeep ${storage.where} as it is until this is explained; a copy of it is evidence as well.`);
  return whole ? EXIT.done : EXIT.failed;
}

function lines(
  { service, reports, head, signedBy, problems, notes }: Verified,
  trusted: boolean,
  paint: Paint,
): string[] {
  const count = plural(reports, 'report');
  const by = signedBy.map((key) => key.slice(0, 16)).join(', ');
  const signed =
    signedBy.length === 0
      ? 'not signed'
      : trusted
        ? `signed by ${by}`
        : `signed by ${by}; --public-key says whose key counts`;
  const said = notes.map((note) => `  ${paint.yellow('note')}  ${note}`);
  if (problems.length === 0)
    return [
      `${paint.bold(service)}  ${paint.green('as filed')}  ${count}, ${signed}`,
      `  head  ${head ?? ''}`,
      ...said,
    ];
  return [
    `${paint.bold(service)}  ${paint.red(plural(problems.length, 'problem'))} in ${count}`,
    ...problems.flatMap(({ kind, file, message, remedy }) => [
      `  ${paint.red(kind)}  ${file}: ${message}`,
      `    ${remedy}`,
    ]),
    ...said,
  ];
}
