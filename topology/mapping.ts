/**
 * Expressions of a `generic` source: CEL over `body`, `headers` and, where the mapping has `each`, `item`. They are
 * compiled once, when the topology is checked and when the webhook server learns of the source, never for a message.
 */
import { Environment, Optional } from '@marcbachmann/cel-js';
import type { AlertMapping } from './alerts.ts';

/** What an expression sees. */
export interface MappingScope {
  /** The parsed JSON of the message. Its numbers are CEL doubles. */
  body: unknown;
  /** Names in lower case, without those that carry secrets. */
  headers: Record<string, string>;
  /** The entry of `each` that becomes this alert. */
  item?: unknown;
}

/** What the place in the mapping allows. */
export interface ExpressionPlace {
  /** `each` gives a list, every other field one value. Default: one value. */
  gives?: 'list' | 'value';
  /** Whether `item` exists there: with `each`, and not in `each` itself. Default: no. */
  item?: boolean;
}

/** An expression is written by a person; one that needs more than this does something else than name a field. */
const LIMITS = { maxAstNodes: 2_000, maxDepth: 60, maxListElements: 200, maxMapEntries: 200, maxCallArguments: 16 };

const WHOLE = new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false, limits: LIMITS })
  .registerVariable('body', 'dyn')
  .registerVariable('headers', 'map<string, string>');
const EACH = WHOLE.clone().registerVariable('item', 'dyn');

/** Types that are no field of an alert, by the checker's names. */
const NO_VALUE = /^(list|map|bytes|type|null_type|google\.protobuf\.Duration)\b/;
const MAYBE_LIST = /^(list|dyn|optional)\b/;

export type Expression = (scope: MappingScope) => unknown;

/**
 * Compiles an expression.
 * @returns evaluates it; throws when the message lacks what the expression needs
 * @throws Error with one sentence, when the expression is wrong whatever the message says
 */
export function compileExpression(expression: string, place: ExpressionPlace = {}): Expression {
  const environment = place.item === true ? EACH : WHOLE;
  const checked = environment.check(expression);
  if (!checked.valid) throw new Error(sentence(checked.error));
  const type = String(checked.type);
  if (place.gives === 'list' ? !MAYBE_LIST.test(type) : NO_VALUE.test(type)) {
    throw new Error(
      place.gives === 'list'
        ? `gives ${type}, and a list of alerts is needed`
        : `gives ${type}, and one text or number is needed`,
    );
  }
  const run = environment.parse(expression);
  return (scope) => {
    const value: unknown = run(scope);
    return value instanceof Optional ? value.orValue(null) : value;
  };
}

/** What is wrong with an expression; `null` when it can be used at that place. */
export function mappingProblem(expression: string, place: ExpressionPlace = {}): string | null {
  try {
    compileExpression(expression, place);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** What is wrong with the expressions of a mapping, each with its place in it. */
export function mappingProblems(map: Partial<AlertMapping>): Array<{ path: string[]; message: string }> {
  const { each, labels = {}, ...fields } = map;
  const item = each !== undefined;
  const places: Array<[path: string[], expression: string | undefined, place: ExpressionPlace]> = [
    [['each'], each, { gives: 'list' }],
  ];
  for (const [name, expression] of Object.entries(fields)) places.push([[name], expression, { item }]);
  for (const [name, expression] of Object.entries(labels)) places.push([['labels', name], expression, { item }]);
  return places.flatMap(([path, expression, place]) => {
    const message = expression === undefined ? null : mappingProblem(expression, place);
    return message === null ? [] : [{ path, message }];
  });
}

/** The first line of an error of the language, and where in the expression it is. Never a value of a message. */
export function sentence(error: unknown): string {
  if (error instanceof RangeError) return 'is nested too deeply';
  const { message = String(error), range } = (error ?? {}) as { message?: string; range?: { start?: number } };
  const [first = ''] = message.split('\n', 1);
  return range?.start === undefined ? first : `${first} (at character ${range.start + 1})`;
}
