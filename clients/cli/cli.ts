/** What every verb is given: where to print, in which form, and which files to read. */
import picocolors from 'picocolors';
import type { CliError, ExitCode } from './exit.ts';
import type { Io } from './io.ts';

/** Options that every verb takes. */
export interface CommonOptions {
  config?: string;
  json?: boolean;
  color?: boolean;
}

export type Paint = ReturnType<typeof picocolors.createColors>;

export interface Cli {
  io: Io;
  /** `--config`, else undefined: then RAMPART_CONFIG or `rampart.yaml` counts. */
  config: string | undefined;
  json: boolean;
  /** Whether the output may hold colours. */
  colored: boolean;
  paint: Paint;
  /** One line for people on standard output; nothing with `--json`. */
  print(line: string): void;
  /** The answer of the verb for programs, one line; nothing without `--json`. */
  answer(value: object): void;
  /** A remark for people on standard error. */
  note(line: string): void;
}

/** What a verb's file exports as `run`. */
export type VerbRun<O = object> = (cli: Cli, args: string[], options: O) => Promise<ExitCode>;

export function createCli(io: Io, options: CommonOptions): Cli {
  const { env } = io;
  const wanted = options.color !== false && !env.NO_COLOR && env.TERM !== 'dumb';
  const colored = wanted && (io.tty.out || Boolean(env.FORCE_COLOR));
  const json = options.json === true;
  return {
    io,
    config: options.config,
    json,
    colored,
    paint: picocolors.createColors(colored && !json),
    print: (line) => {
      if (!json) io.out(`${line}\n`);
    },
    answer: (value) => {
      if (json) io.out(`${JSON.stringify(value)}\n`);
    },
    note: (line) => io.err(`${line}\n`),
  };
}

/** Says an error: for people on standard error, with `--json` also as the answer on standard output. */
export function sayError(cli: Cli, error: Pick<CliError, 'code' | 'message' | 'next' | 'details'>): void {
  const { code, message, next, details } = error;
  cli.answer({ error: { code, message, next, ...details } });
  cli.note(`rampart: ${message}`);
  for (const line of next) cli.note(`  ${line}`);
}
