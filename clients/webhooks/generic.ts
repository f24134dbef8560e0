/** Messages of senders without a form of their own here: each field of an alert by an expression of the topology. */
import type { Alert, AlertMapping } from '../../topology/alerts.ts';
import {
  compileExpression,
  type Expression,
  type ExpressionPlace,
  type MappingScope,
  sentence,
} from '../../topology/mapping.ts';
import { secretHeaders } from './auth.ts';
import {
  alertOf,
  labelsOf,
  type Message,
  MOST_ALERTS,
  type Parsed,
  statusOf,
  textOf,
  timeOf,
  unreadable,
  urlOf,
} from './message.ts';

/** Headers of a request, all of them. */
export type HeaderSource = () => Iterable<readonly [string, string]>;

const FIELDS = ['status', 'key', 'delivery', 'startsAt', 'severity', 'url'] as const;

type Compiled = Record<(typeof FIELDS)[number], Expression | null> & { labels: Array<[string, Expression]> };

/** An expression that a message does not fit. The message names the field. */
class Unfit extends Error {}

/**
 * Compiles a mapping into a parser.
 * @throws Error naming the field, when an expression is wrong whatever a message says
 */
export function compileMapping(map: AlertMapping): (message: Message, headers: HeaderSource) => Parsed {
  const compile = (name: string, expression: string, place: ExpressionPlace): Expression => {
    try {
      return compileExpression(expression, place);
    } catch (error) {
      throw new Error(`map.${name} ${(error as Error).message}`);
    }
  };
  const item = map.each !== undefined;
  const each = map.each === undefined ? null : compile('each', map.each, { gives: 'list' });
  const fields = Object.fromEntries(
    FIELDS.map((name) => {
      const expression = map[name];
      return [name, expression === undefined ? null : compile(name, expression, { item })];
    }),
  ) as Omit<Compiled, 'labels'>;
  const labels = Object.entries(map.labels).map(([name, expression]): [string, Expression] => [
    name,
    compile(`labels.${name}`, expression, { item }),
  ]);
  const compiled: Compiled = { ...fields, labels };
  return (message, headers) => {
    const scope: MappingScope = { body: message.body, headers: visible(message, headers) };
    try {
      return each === null
        ? { alerts: [one(message, compiled, scope, false)], problem: null }
        : many(message, compiled, scope, evaluate('each', each, scope));
    } catch (error) {
      if (error instanceof Unfit) return unreadable(error.message);
      throw error;
    }
  };
}

/** What mappings see of the headers: nothing that proves the sender. */
function visible({ source }: Message, headers: HeaderSource): Record<string, string> {
  const secret = secretHeaders(source);
  return Object.fromEntries([...headers()].filter(([name]) => !secret.has(name) && name !== '__proto__'));
}

function many(message: Message, compiled: Compiled, scope: MappingScope, items: unknown): Parsed {
  if (!Array.isArray(items)) return unreadable('map.each gives no list');
  const alerts: Alert[] = [];
  let problem = items.length > MOST_ALERTS ? `map.each gives more than ${MOST_ALERTS} alerts` : null;
  for (const [i, item] of items.slice(0, MOST_ALERTS).entries()) {
    try {
      alerts.push(one(message, compiled, { ...scope, item }, true));
    } catch (error) {
      if (!(error instanceof Unfit)) throw error;
      problem ??= `entry ${i + 1} of map.each: ${error.message}`;
    }
  }
  return { alerts, problem };
}

function one(message: Message, compiled: Compiled, scope: MappingScope, ofMany: boolean): Alert {
  const get = (name: (typeof FIELDS)[number]): unknown =>
    compiled[name] === null ? undefined : evaluate(name, compiled[name], scope);
  const key = textOf(get('key'));
  if (key === null) throw new Unfit('map.key gives no text and no number');
  const delivery = textOf(get('delivery'));
  return alertOf(message, {
    key,
    // Two alerts of one message are no repeat of each other.
    delivery: delivery !== null && ofMany ? `${delivery} ${key}` : delivery,
    status: statusOf(get('status')),
    startsAt: timeOf(get('startsAt')),
    labels: labelsOf(
      Object.fromEntries(compiled.labels.map(([name, run]) => [name, evaluate(`labels.${name}`, run, scope)])),
    ),
    severity: textOf(get('severity')),
    url: urlOf(get('url')),
  });
}

/** @throws {Unfit} */
function evaluate(name: string, run: Expression, scope: MappingScope): unknown {
  try {
    return run(scope);
  } catch (error) {
    throw new Unfit(`map.${name}: ${sentence(error)}`);
  }
}
