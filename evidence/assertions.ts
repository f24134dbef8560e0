/**
 * Named assertions: what a service's owners want to be true of every run, in CEL over the run record. Pure.
 *
 * Whatever the record does not hold is absent, so an expression that needs it cannot be judged: unknown is not good.
 * `has(run.lost)` asks whether something is there. The variables are listed in docs/evidence.md.
 */
import {
  type Ast,
  assertionProblem,
  environment,
  isAst,
  partsOf,
  sentenceOf,
  VARIABLES,
} from '../topology/assertions.ts';
import { estimatedIn, valuesOf } from './assertion-values.ts';
import { duration, NOT_RECORDED, UNKNOWN } from './format.ts';
import type { LoadResult } from './objectives.ts';
import type { Assertion, AssertionRecord, RunRecord } from './record.ts';

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
  const estimated = estimatedIn(record);
  return assertions.map(({ name, expr, severity = 'fail' }) => ({
    ...{ name, expr, severity },
    ...judge(expr, values, estimated),
  }));
}

type Values = ReturnType<typeof valuesOf>;
type Judged = Required<Pick<AssertionRecord, 'met' | 'note' | 'basis'>>;

function judge(expr: string, values: Values, estimated: ReadonlySet<string>): Judged {
  const unknown = (note: string): Judged => ({ met: null, note, basis: 'unknown' });
  const problem = assertionProblem(expr);
  if (problem !== null) return unknown(`not a valid assertion: ${problem}`);
  const read = readings(expr, values);
  const seen = [...read].map(([path, value]) => `${path} = ${value}`).join(', ');
  try {
    const met: unknown = environment.evaluate(expr, values);
    if (typeof met !== 'boolean') return unknown(`it gave ${show(met)}, and an assertion must give true or false`);
    const told = [...read.keys()].some((path) => estimated.has(path.replace(/\["(\w+)"\]/g, '.$1')));
    return { met, note: seen, basis: told ? 'estimated' : 'measured' };
  } catch (error) {
    return unknown([sentenceOf(error, expr, true), seen].filter((t) => t !== '').join('; '));
  }
}

/** What the expression read, with its value: `run.writeUnavailable`, `191 ms`. */
function readings(expr: string, values: Values): Map<string, string> {
  const seen = new Map<string, string>();
  const visit = (node: Ast): void => {
    const path = pathOf(node, expr);
    if (path === null) for (const part of partsOf(node)) visit(part);
    else if (!seen.has(path)) seen.set(path, read(path, values));
  };
  visit(environment.parse(expr).ast as Ast);
  return seen;
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

function show(value: unknown): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'string') return JSON.stringify(value);
  if (['bigint', 'number', 'boolean'].includes(typeof value)) return String(value);
  if (typeof value === 'object' && 'getMilliseconds' in value) return duration(Number(value.valueOf()));
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  return 'an object';
}
