import { drivers } from '../../../drivers/registry.ts';
import { loadTopology } from '../../../topology/load.ts';
import { formatProblems, type Problem } from '../../../topology/problem.ts';
import type { Cli } from '../cli.ts';
import { badInput, EXIT, type ExitCode } from '../exit.ts';
import { plural } from '../render/table.ts';

interface ValidateOptions {
  strict?: boolean;
  format: string;
}

/** `rampart validate`: exit 2 when the file has errors, or warnings with `--strict`. */
export async function run(cli: Cli, _args: string[], options: ValidateOptions): Promise<ExitCode> {
  const format = cli.json ? 'json' : options.format;
  if (!['text', 'json', 'github'].includes(format)) {
    throw badInput(`--format ${format}: there are text, json and github`);
  }
  const { topology, problems, path, text } = await loadTopology(
    { path: cli.config, env: cli.io.env, cwd: cli.io.cwd },
    drivers,
  );
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  const valid = topology !== undefined && errors === 0 && !(options.strict === true && problems.length > 0);
  if (format === 'json') {
    const shown = problems.map(({ secret: _secret, ...problem }) => problem);
    cli.io.out(`${JSON.stringify({ path, valid, digest: topology?.digest ?? null, problems: shown })}\n`);
  } else if (format === 'github') {
    for (const problem of problems) cli.io.out(`${annotation(problem)}\n`);
  } else {
    // With a terminal each problem shows its line; in a log one line each is what tools read.
    const excerpt = cli.io.tty.out ? { text } : {};
    if (problems.length > 0) cli.print(formatProblems(problems, { color: cli.colored, ...excerpt }));
    if (topology !== undefined) {
      const counts = [
        plural(Object.keys(topology.services).length, 'service'),
        plural(Object.keys(topology.components).length, 'component'),
        plural(Object.keys(topology.regions).length, 'region'),
      ];
      cli.print(`${path}: ${valid ? 'valid' : 'valid, but warnings count as errors (--strict)'}: ${counts.join(', ')}`);
    } else {
      cli.print(`${path}: ${plural(errors, 'error')}`);
    }
  }
  return valid ? EXIT.done : EXIT.badInput;
}

/** A workflow command of GitHub Actions; see "Workflow commands" in its documentation for the escapes. */
function annotation({ severity, path, line, column, length, field, message, code }: Problem): string {
  const data = (text: string): string => text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
  const property = (text: string): string => data(text).replace(/:/g, '%3A').replace(/,/g, '%2C');
  const where = `file=${property(path)},line=${line},col=${column},endColumn=${column + length}`;
  return `::${severity} ${where},title=${property(code)}::${data(field === '' ? message : `${field}: ${message}`)}`;
}
