/** How a verb ends: its exit code, and the one error type whose text goes to people as it is. */

/** Exit codes of every verb, documented in docs/cli.md. */
export const EXIT = {
  done: 0,
  /** The run failed, was refused or rolled back; a plan has blockers; a check found a fault. */
  failed: 1,
  /** Wrong arguments or a wrong topology file. */
  badInput: 2,
  /** People must decide, or the time given with --timeout is over. */
  waiting: 3,
  /** Ctrl-C, as shells have it. What was started goes on. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Stable names of failures, for programs; documented in docs/cli.md. */
export type FailureCode =
  | 'badInput'
  | 'failed'
  | 'interrupted'
  | 'locked'
  | 'noRun'
  | 'noWorker'
  | 'refused'
  | 'taskFails'
  | 'temporalAway'
  | 'timedOut'
  | 'wrongGate';

/** A failure that a person can act on. */
export class CliError extends Error {
  readonly exit: ExitCode;
  readonly code: FailureCode;
  /** What to do next, a line each. */
  readonly next: string[];
  /** More of it for programs. */
  readonly details: object;

  constructor(
    exit: ExitCode,
    message: string,
    options: { code?: FailureCode; next?: string[]; details?: object } = {},
  ) {
    super(message);
    this.name = 'CliError';
    this.exit = exit;
    this.code = options.code ?? (exit === EXIT.badInput ? 'badInput' : 'failed');
    this.next = options.next ?? [];
    this.details = options.details ?? {};
  }
}

export const badInput = (message: string, ...next: string[]): CliError =>
  new CliError(EXIT.badInput, message, { next });

/** @param code what kind of failure, for programs */
export const failed = (code: FailureCode, message: string, ...next: string[]): CliError =>
  new CliError(EXIT.failed, message, { code, next });
