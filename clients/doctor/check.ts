/** One finding of `rampart doctor`: what was looked at, how it is, and how to mend it. */

export type Level = 'ok' | 'info' | 'warning' | 'error';

export interface Check {
  /** What part of the world: `node`, `topology`, `temporal`, `workers`, `systems`, `state`. */
  area: 'node' | 'topology' | 'temporal' | 'workers' | 'systems' | 'state';
  /** The thing looked at, for example a task queue or `orders-db in eu-west`. */
  subject: string;
  /** Stable, for programs. */
  code: string;
  level: Level;
  message: string;
  /** What to do, a line each; exact commands where there are any. */
  remedy: string[];
}

export const ok = (area: Check['area'], subject: string, code: string, message: string): Check => ({
  area,
  subject,
  code,
  level: 'ok',
  message,
  remedy: [],
});

export const finding = (
  level: Exclude<Level, 'ok'>,
  area: Check['area'],
  subject: string,
  code: string,
  message: string,
  ...remedy: string[]
): Check => ({ area, subject, code, level, message, remedy });

export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
