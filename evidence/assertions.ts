/**
 * Named assertions: what a service's owners want to be true of every run, in CEL over the run record. Pure.
 *
 * Whatever the record does not hold is absent, so an expression that needs it cannot be judged: unknown is not good.
 * `has(run.lost)` asks whether something is there. The variables are listed in docs/evidence.md.
 */
import { Environment } from '@marcbachmann/cel-js';
import { VARIABLES, valuesOf } from './assertion-values.ts';
import { duration, NOT_RECORDED, UNKNOWN } from './format.ts';
import type { LoadResult } from './objectives.ts';
import type { Assertion, AssertionRecord, RunRecord } from './record.ts';

/** Longest expression that is read, in characters. */
const LIMIT = 2_000;

const environment = VARIABLES.reduce(
  (env, { name, fields, entries }) =>
    entries === undefined
      ? env.registerVariable({ name, schema: fields })
      : env
          .registerType(entries.name, { ctor: entries, fields })
          .registerVariable(name, `map<string, ${entries.name}>`),
  new Environment({ limits: { maxAstNodes: 500, maxDepth: 50 } }),
);

/**
 * Why an expression cannot be an assertion, in a sentence; `null` when it can. For the check of a topology.
 * @param expression CEL that must give `bool`
 */
export function assertionProblem(expression: string): string | null {
  if (expression.length > LIMIT) return `it is longer than ${LIMIT} characters`;
  const { valid, type, error } = environment.check(expression);
  if (!valid) return sentenceOf(error, expression);
  // A value out of a step's own facts has no type until there is a record.
  const given = String(type);
  if (given !== 'bool' && given !== 'dyn') return `it gives ${given}, and an assertion must give bool`;
  return wrongLiteral(environment.parse(expression).ast);
}

/**
 * Judges every assertion by a record.
 * @param record a record, whole or not; what it does not hold is absent in the expressions
 * @param load what clients saw, when a load watched the run
 * @returns one result each, in order; nothing is thrown, a wrong expression is one that could not be judged
 */
export function evaluate(
  assertions: readonly Assertion[],
  record: RunRecord,
  load: LoadResult | null = null,
): AssertionRecord[] {
  if (assertions.length === 0) return [];
  const values = valuesOf(record, load);
  return assertions.map(({ name, expr, severity = 'fail' }) => ({ name, expr, severity, ...judge(expr, values) }));
}

type Values = ReturnType<typeof valuesOf>;

function judge(expr: string, values: Values): Pick<AssertionRecord, 'met' | 'note'> {
  const problem = assertionProblem(expr);
  if (problem !== null) return { met: null, note: `not a valid assertion: ${problem}` };
  try {
    const met: unknown = environment.evaluate(expr, values);
    const seen = readings(expr, values);
    if (typeof met === 'boolean') return { met, note: seen };
    return { met: null, note: `it gave ${show(met)}, and an assertion must give true or false` };
  } catch (error) {
    const seen = readings(expr, values);
    return { met: null, note: [sentenceOf(error, expr, true), seen].filter((t) => t !== '').join('; ') };
  }
}

interface Ast {
  op: string;
  args: unknown;
  start?: number;
  end?: number;
}

const isAst = (value: unknown): value is Ast => typeof value === 'object' && value !== null && 'op' in value;

function partsOf(node: Ast): Ast[] {
  const args = Array.isArray(node.args) ? (node.args as unknown[]).flat(2) : [node.args];
  return args.filter(isAst);
}

/** What the expression read, with its value: `run.writeUnavailable = 191 ms`. */
function readings(expr: string, values: Values): string {
  const seen = new Map<string, string>();
  const visit = (node: Ast): void => {
    const path = pathOf(node, expr);
    if (path === null) for (const part of partsOf(node)) visit(part);
    else if (!seen.has(path)) seen.set(path, read(path, values));
  };
  visit(environment.parse(expr).ast as Ast);
  return [...seen].map(([path, value]) => `${path} = ${value}`).join(', ');
}

function read(path: string, values: Values): string {
  try {
    return show(environment.evaluate(path, values));
  } catch {
    return NOT_RECORDED;
  }
}

/** The text of a chain of fields that begins with a variable: `checks["api"].value`. */
function pathOf(node: Ast, expr: string): string | null {
  if (!['.', '[]'].includes(node.op)) return null;
  let root: Ast = node;
  while (['.', '[]'].includes(root.op)) {
    const [first, key] = root.args as [unknown, unknown];
    if (!isAst(first) || (isAst(key) && key.op !== 'value')) return null;
    root = first;
  }
  if (root.op !== 'id' || !VARIABLES.some(({ name }) => name === root.args)) return null;
  return expr.slice(root.start, node.end);
}

/** A duration or a time that is written wrongly is found when the topology is read, not after the next disaster. */
function wrongLiteral(node: unknown): string | null {
  if (!isAst(node)) return null;
  if (node.op === 'call') {
    const [name, [argument] = []] = node.args as [string, unknown[]?];
    if (['duration', 'timestamp'].includes(name) && isAst(argument) && argument.op === 'value') {
      const text = String(argument.args);
      try {
        new Environment().evaluate(`${name}(${JSON.stringify(text)})`);
      } catch {
        return name === 'duration'
          ? `${JSON.stringify(text)} is no duration; write "90s", "2m" or "1h30m"`
          : `${JSON.stringify(text)} is no time; write "2026-11-21T03:12:05Z"`;
      }
    }
  }
  for (const part of partsOf(node)) {
    const problem = wrongLiteral(part);
    if (problem !== null) return problem;
  }
  return null;
}

/** An error of CEL in one line, with the place it is about. @param running an absent value is no mistake */
function sentenceOf(error: unknown, expr: string, running = false): string {
  const { summary, code, range } = error as {
    summary?: string;
    code?: string;
    range?: { start: number; end: number };
  };
  const text = summary ?? (error instanceof Error ? error.message.split('\n')[0]! : String(error));
  const key = /^No such key: (.*)$/.exec(text)?.[1];
  if (code === 'no_such_key' && key !== undefined)
    return running
      ? `${key} is not recorded for this run`
      : `there is no "${key}"; docs/evidence.md lists what there is`;
  const where =
    range === undefined
      ? ''
      : ` at ${JSON.stringify(expr.slice(range.start, Math.max(range.end, range.start + 1)) || 'the end')}`;
  return `${text}${where}`;
}

function show(value: unknown): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'string') return JSON.stringify(value);
  if (['bigint', 'number', 'boolean'].includes(typeof value)) return String(value);
  if (typeof value === 'object' && 'getMilliseconds' in value) return duration(Number(value.valueOf()));
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  return 'an object';
}
