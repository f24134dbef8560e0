/** One program, from an argument list, without a shell: bounded in time and output, and ended with all it started. */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

export interface CommandCall {
  /** Program and arguments. */
  command: readonly string[];
  /** The whole environment besides PATH. */
  env: Record<string, string>;
  timeoutMs: number;
  /** Longest output kept of each stream, in bytes: its end, where errors stand. */
  maxBytes: number;
  signal: AbortSignal;
}

export type CommandEnd =
  | { kind: 'exited'; code: number }
  | { kind: 'killed'; by: string }
  | { kind: 'timeout' }
  | { kind: 'not started'; why: string };

export interface CommandResult {
  end: CommandEnd;
  stdout: string;
  stderr: string;
  /** From start to end, in milliseconds. */
  ms: number;
}

/** How long a program may take to end after SIGTERM, in milliseconds. */
const GRACE_MS = 2_000;
/** How long output is awaited after the program itself has ended, in milliseconds: a child of it may keep the pipe. */
const LAST_OUTPUT_MS = 100;

/**
 * Runs the program and waits for its end. On abort or time-out its process group gets SIGTERM, then SIGKILL.
 * @throws the signal's reason, after the program has ended
 */
export async function runCommand(call: CommandCall): Promise<CommandResult> {
  const { signal, timeoutMs, maxBytes } = call;
  signal.throwIfAborted();
  const [program, ...args] = call.command as [string, ...string[]];
  const started = performance.now();
  const path = process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin';
  const child = spawn(program, args, {
    cwd: '/',
    env: { PATH: path, ...call.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Leader of its own group, so that what it starts can be ended with it.
    detached: true,
  });
  const stdout = lastBytes(child.stdout, maxBytes);
  const stderr = lastBytes(child.stderr, maxBytes);

  let timedOut = false;
  let killer: NodeJS.Timeout | undefined;
  const stop = () => {
    killGroup(child.pid, 'SIGTERM');
    killer ??= setTimeout(() => killGroup(child.pid, 'SIGKILL'), GRACE_MS);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    stop();
  }, timeoutMs);
  signal.addEventListener('abort', stop, { once: true });

  const end = await new Promise<CommandEnd>((resolve) => {
    child.once('error', (error) => resolve({ kind: 'not started', why: error.message }));
    child.once('exit', (code, by) => {
      const ended: CommandEnd = code === null ? { kind: 'killed', by: by ?? 'a signal' } : { kind: 'exited', code };
      const late = setTimeout(() => resolve(ended), LAST_OUTPUT_MS);
      child.once('close', () => {
        clearTimeout(late);
        resolve(ended);
      });
    });
  });
  clearTimeout(timer);
  clearTimeout(killer);
  signal.removeEventListener('abort', stop);
  // The program is gone; something it started may have outlived the SIGTERM.
  if (timedOut || signal.aborted) killGroup(child.pid, 'SIGKILL');
  child.stdout.destroy();
  child.stderr.destroy();
  signal.throwIfAborted();
  return {
    end: timedOut ? { kind: 'timeout' } : end,
    stdout: stdout(),
    stderr: stderr(),
    ms: performance.now() - started,
  };
}

function killGroup(leader: number | undefined, name: NodeJS.Signals): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, name);
  } catch {
    // Nobody is left in the group.
  }
}

/** Keeps the end of a stream; memory stays below twice the limit. */
function lastBytes(stream: Readable, limit: number): () => string {
  let kept = Buffer.alloc(0);
  let dropped = 0;
  stream.on('error', () => undefined);
  stream.on('data', (chunk: Buffer) => {
    kept = Buffer.concat([kept, chunk]);
    if (kept.length <= limit * 2) return;
    dropped += kept.length - limit;
    kept = kept.subarray(-limit);
  });
  return () => {
    const end = kept.subarray(-limit);
    const missing = dropped + kept.length - end.length;
    return (missing > 0 ? `[${missing} bytes before this are left out] ` : '') + end.toString('utf8');
  };
}
