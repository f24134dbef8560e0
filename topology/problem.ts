/** What is wrong with a topology, where, and how it is printed. Pure. */

/** Keys and indexes from the root of the file. */
export type Path = ReadonlyArray<string | number>;

export interface Problem {
  severity: 'error' | 'warning';
  /** Stable, for programs: `unknown_key`, `missing_side`, `rto_unreachable`, … */
  code: string;
  message: string;
  /** Dotted field, for example `services.checkout.ramp.steps.2`; empty for the file as a whole. */
  field: string;
  /** The file, as it was named. */
  path: string;
  /** From 1. */
  line: number;
  /** From 1. */
  column: number;
  /** How many characters the caret marks. */
  length: number;
  /** True when the marked text may be a secret and must not be shown. */
  secret?: boolean;
}

/** Position first, then errors before warnings, then code: the order of reading. */
export function sortProblems(problems: Problem[]): Problem[] {
  return problems.sort(
    (a, b) =>
      a.line - b.line ||
      a.column - b.column ||
      order(a.severity, b.severity) ||
      order(a.code, b.code) ||
      order(a.message, b.message),
  );
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * One line each, `path:line:col: error: field: message [code]`. With `text` (the file's content) each is followed by
 * the line and a caret; with `color` the line is coloured for a terminal. Secrets are masked in excerpts.
 */
export function formatProblems(problems: readonly Problem[], options: { color?: boolean; text?: string } = {}): string {
  const paint = options.color === true ? ansi : plain;
  const lines = options.text === undefined ? undefined : maskSecrets(options.text.split(/\r\n|\n|\r/), problems);
  return problems
    .map((problem) => {
      const head = `${paint('bold', `${problem.path}:${problem.line}:${problem.column}:`)} ${paint(problem.severity === 'error' ? 'red' : 'yellow', `${problem.severity}:`)} ${problem.field === '' ? '' : `${problem.field}: `}${problem.message} ${paint('dim', `[${problem.code}]`)}`;
      const source = lines?.[problem.line - 1];
      return source === undefined ? head : `${head}\n${excerpt(source, problem, paint)}`;
    })
    .join('\n');
}

/** Longest part of a line that an excerpt shows. */
const EXCERPT_WIDTH = 120;

function excerpt(source: string, problem: Problem, paint: Paint): string {
  const start = Math.max(0, problem.column - 1);
  const from = start > EXCERPT_WIDTH - 20 ? start - 20 : 0;
  const shown = source.slice(from, from + EXCERPT_WIDTH);
  const gutter = String(problem.line).padStart(5);
  const pad = source.slice(from, start).replace(/[^\t]/g, ' ');
  const width = Math.max(1, Math.min(problem.length, shown.length - (start - from)));
  return `${paint('dim', `${gutter} |`)} ${shown}\n${paint('dim', '      |')} ${pad}${paint('red', `^${'~'.repeat(width - 1)}`)}`;
}

/** A literal secret stands in the file already; it need not stand in a terminal's or a pipeline's log as well. */
function maskSecrets(lines: string[], problems: readonly Problem[]): string[] {
  for (const { secret, line, column, length } of problems) {
    let left = secret === true ? length : 0;
    for (let i = line - 1; left > 0 && i < lines.length; i++) {
      const start = i === line - 1 ? column - 1 : 0;
      const text = lines[i]!;
      lines[i] =
        text.slice(0, start) + '*'.repeat(Math.max(0, Math.min(left, text.length - start))) + text.slice(start + left);
      left -= text.length - start + 1;
    }
  }
  return lines;
}

type Paint = (style: 'bold' | 'dim' | 'red' | 'yellow', text: string) => string;
const CODES = { bold: [1, 22], dim: [2, 22], red: [31, 39], yellow: [33, 39] } as const;
const ansi: Paint = (style, text) => `\u001b[${CODES[style][0]}m${text}\u001b[${CODES[style][1]}m`;
const plain: Paint = (_style, text) => text;
