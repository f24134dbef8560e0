/**
 * The command line: options and help of every verb. Verbs are loaded when they are called, so that `--help` and short
 * questions start fast.
 */
import { Command, CommanderError, Option } from 'commander';
import { type CommonOptions, createCli, sayError, type VerbRun } from './cli.ts';
import { badInput, EXIT, type ExitCode } from './exit.ts';
import type { Io } from './io.ts';
import { declareVerbs } from './verbs.ts';
import { version } from './version.ts';

/** Gives a declared verb its action. */
export type Load = (command: Command, load: () => Promise<{ run: VerbRun<never> }>) => Command;

/**
 * Runs one command line.
 * @param argv arguments after the program's name
 * @returns the exit code; nothing is thrown
 */
export async function runCli(argv: readonly string[], io: Io): Promise<ExitCode> {
  let code: ExitCode = EXIT.done;
  const program = new Command('rampart');
  program
    .description('Regional failover, failback and traffic ramps as durable Temporal workflows')
    .version(version(), '-V, --version', 'print the version')
    .enablePositionalOptions()
    .showSuggestionAfterError(true)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      outputError: () => undefined,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      getOutHelpWidth: () => io.size().columns,
      getErrHelpWidth: () => io.size().columns,
    })
    .addHelpText('after', AFTER_HELP);
  addCommonOptions(program);

  const load: Load = (command, read) => {
    addCommonOptions(command);
    return command.action(async () => {
      const options = { ...program.opts<CommonOptions>(), ...command.opts<CommonOptions>() };
      // `--no-color` before the verb counts as well: a default of the verb must not undo it.
      options.color = program.opts<CommonOptions>().color !== false && command.opts<CommonOptions>().color !== false;
      const { run } = await read();
      code = await (run as VerbRun)(createCli(io, options), command.args, options);
    });
  };
  await declareVerbs(program, load, argv);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    return sayWhatFailed(error, program, argv, io);
  }
}

/** Options that every verb takes, before or after its name. */
function addCommonOptions(command: Command): void {
  command
    .addOption(new Option('--config <path>', 'topology file (default: $RAMPART_CONFIG, else rampart.yaml)'))
    .addOption(new Option('--json', 'answer in JSON, one document on a line'))
    .addOption(new Option('--no-color', 'no colours; the same as NO_COLOR=1'));
}

async function sayWhatFailed(error: unknown, program: Command, argv: readonly string[], io: Io): Promise<ExitCode> {
  const wantsJson = program.opts<CommonOptions>().json === true || argv.includes('--json');
  const cli = createCli(io, { json: wantsJson });
  if (error instanceof CommanderError) {
    // Help and version were asked for and have been printed. `rampart` alone prints the help as well.
    if (error.exitCode === 0 || error.code === 'commander.help')
      return error.exitCode === 0 ? EXIT.done : EXIT.badInput;
    const [message = '', ...more] = error.message.replace(/^error: /, '').split('\n');
    sayError(cli, badInput(message, ...more.filter(Boolean).map(didYouMean)));
    return EXIT.badInput;
  }
  const { explain } = await import('./explain.ts');
  const said = explain(error);
  sayError(cli, said);
  if (io.env.RAMPART_DEBUG) io.err(`${error instanceof Error ? error.stack : String(error)}\n`);
  return said.exit;
}

/** `(Did you mean status?)` → `Did you mean status?` */
const didYouMean = (line: string): string => line.replace(/^\((.*)\)$/, '$1');

const AFTER_HELP = `
Exit codes: 0 done, 1 failed or blocked, 2 bad input, 3 waiting for people or timed out.
Temporal is found as the temporal CLI finds it: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE, temporal.toml.
When nothing of it runs: rampart escape <service>
./rampart test runs every test.`;
