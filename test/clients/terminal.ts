/** Runs command lines in this process, against real files and servers, and keeps what they print. */
import type { ExitCode } from '../../clients/cli/exit.ts';
import type { Io } from '../../clients/cli/io.ts';
import { runCli } from '../../clients/cli/program.ts';

export interface Ran {
  code: ExitCode;
  out: string;
  err: string;
  /** Standard output as one JSON document. */
  json<T = Record<string, unknown>>(): T;
  /** Standard output as one JSON document per line. */
  lines<T = Record<string, unknown>>(): T[];
}

export interface TerminalOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** A person's terminal, and what the person answers to questions. */
  tty?: boolean;
  answers?: string[];
  signal?: AbortSignal;
  columns?: number;
  /** Gets what is printed as it is printed. */
  onOut?: (text: string) => void;
}

/** Runs `rampart <argv>`. */
export async function rampart(argv: string[], options: TerminalOptions = {}): Promise<Ran> {
  const { env = {}, cwd = process.cwd(), tty = false, columns = 120, onOut } = options;
  const answers = [...(options.answers ?? [])];
  let out = '';
  let err = '';
  const io: Io = {
    out: (text) => {
      out += text;
      onOut?.(text);
    },
    err: (text) => {
      err += text;
    },
    env,
    cwd,
    tty: { in: tty, out: tty },
    size: () => ({ columns, rows: 50 }),
    ask: async (question) => {
      err += question;
      const answer = answers.shift();
      if (answer === undefined) throw new Error(`nobody answers: ${question}`);
      return answer;
    },
    signal: options.signal ?? new AbortController().signal,
  };
  const code = await runCli(argv, io);
  return {
    code,
    out,
    err,
    json: () => JSON.parse(out) as never,
    lines: () =>
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as never),
  };
}
