/** What a verb may touch of its process. Tests hand in their own. */
import { setMaxListeners } from 'node:events';
import { createInterface } from 'node:readline/promises';

export interface Io {
  out(text: string): void;
  err(text: string): void;
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  /** Whether standard input and output are a person's terminal. */
  tty: { in: boolean; out: boolean };
  /** Size of the terminal, in characters. */
  size(): { columns: number; rows: number };
  /** Asks a question and reads one line. */
  ask(question: string): Promise<string>;
  /** Aborted by the first Ctrl-C (or SIGTERM). */
  signal: AbortSignal;
}

/** The real process. */
export function processIo(): Io {
  const interrupted = new AbortController();
  // Every wait of a long watch listens to it.
  setMaxListeners(0, interrupted.signal);
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      interrupted.abort(name);
      // A verb that does not end by itself is ended by the second one.
      process.once(name, () => process.exit(name === 'SIGINT' ? 130 : 143));
    });
  }
  // `rampart history | head` closes the pipe: there is nobody left to tell.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    env: process.env,
    cwd: process.cwd(),
    tty: { in: process.stdin.isTTY === true, out: process.stdout.isTTY === true },
    size: () => ({ columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 }),
    async ask(question) {
      const lines = createInterface({ input: process.stdin, output: process.stderr });
      // On a terminal readline takes Ctrl-C for itself, and an end of input would leave the question open for ever.
      lines.once('SIGINT', () => interrupted.abort('SIGINT'));
      const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
      try {
        return await Promise.race([lines.question(question, { signal: interrupted.signal }), ended]);
      } finally {
        lines.close();
      }
    },
    signal: interrupted.signal,
  };
}
