/**
 * The language of assertions: CEL with declared variables, so that a wrong expression is found when the topology is
 * read and not after the next disaster. What the variables hold for a run is in evidence/. Pure.
 */
import { Environment } from '@marcbachmann/cel-js';

const DURATION = 'google.protobuf.Duration';
const TIME = 'google.protobuf.Timestamp';

/** One entry of `checks`. */
export class Check {
  constructor(values: Record<string, unknown>) {
    Object.assign(this, values);
  }
}

/** One entry of `steps`. */
export class Step extends Check {}

export interface Variable {
  name: string;
  fields: Record<string, string>;
  /** What each field means. */
  what: Record<string, string>;
  /** A map by name to entries of this class. */
  entries?: typeof Check;
}

/** Names, types and, for the documentation, meanings. */
export const VARIABLES: readonly Variable[] = [
  variable('run', {
    service: ['string', 'service'],
    owner: ['string', 'its owner'],
    tier: ['string', 'its tier'],
    action: ['string', '`failover`, `failback`, `trafficRamp`, …'],
    mode: ['string', '`planned` or `unplanned`'],
    from: ['string', 'region it left'],
    to: ['string', 'region it went to'],
    outcome: ['string', '`completed`, `rolledBack`, …; absent while it runs'],
    total: [DURATION, 'from start to end'],
    machine: [DURATION, 'the same without waiting for people'],
    people: [DURATION, 'waiting for people'],
    rta: [DURATION, 'recovery time achieved: T6 − T0'],
    orchestrated: [DURATION, 'T6 − T2'],
    rpa: [DURATION, 'recovery point achieved: the stated loss, its upper bound'],
    writeUnavailable: [
      DURATION,
      'nobody could write: the freeze; unplanned, from T0 until the writer points at the target',
    ],
    writeGap: [DURATION, 'longest time between two acknowledged writes, as clients saw it'],
    dwell: [DURATION, 'time on the other side before the way back'],
    lost: [
      'int',
      'acknowledged writes that are missing: counted by clients, else transactions that the old side alone holds',
    ],
    duplicated: ['int', 'writes that are there twice, as clients counted'],
    debts: ['int', 'protection debts left'],
    overrides: ['list<string>', 'codes that people overrode'],
    retried: ['int', 'steps that were tried more than once'],
    escalated: ['bool', 'it was turned into an unplanned run'],
    promoted: ['bool', 'the point of no return was crossed and not revoked'],
  }),
  variable('clocks', {
    impactStart: [TIME, 'T0'],
    detected: [TIME, 'T1'],
    declared: [TIME, 'T2'],
    started: [TIME, 'T3'],
    dataReady: [TIME, 'T4'],
    trafficComplete: [TIME, 'T5'],
    healthy: [TIME, 'T6'],
  }),
  variable('objectives', {
    rto: [DURATION, "the tier's recovery time objective"],
    rpo: [DURATION, "the tier's recovery point objective"],
    freezeBudget: [DURATION, "the tier's freeze budget"],
  }),
  variable(
    'checks',
    {
      passed: ['bool', 'its last measurement passed'],
      outcome: ['string', '`pass`, `fail` or `unknown`'],
      observed: ['string', 'what it saw'],
      value: ['double', 'the same, where it is a number'],
      at: [TIME, 'when it was last measured'],
      passedAt: [TIME, 'since when it has passed without a break'],
      measured: ['int', 'how often it was measured and recorded'],
      failed: ['int', 'how often of these it did not pass'],
    },
    Check,
  ),
  variable(
    'steps',
    {
      state: ['string', '`done`, `failed`, `skipped`, `cancelled` or `running`'],
      took: [DURATION, 'how long it took'],
      startedAt: [TIME, 'when it started'],
      endedAt: [TIME, 'when it ended'],
      facts: ['map<string, dyn>', 'what it reported, as the report lists it'],
      answer: ['dyn', "an own step's answer, or what it printed, where that is JSON"],
    },
    Step,
  ),
];

function variable(
  name: string,
  fields: Record<string, readonly [type: string, what: string]>,
  entries?: typeof Check,
): Variable {
  const pick = (i: 0 | 1) => Object.fromEntries(Object.entries(fields).map(([key, pair]) => [key, pair[i]]));
  return { name, fields: pick(0), what: pick(1), ...(entries === undefined ? {} : { entries }) };
}

/** Longest expression that is read, in characters. */
const LIMIT = 2_000;

export const environment = VARIABLES.reduce(
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

export interface Ast {
  op: string;
  args: unknown;
  start?: number;
  end?: number;
}

export const isAst = (value: unknown): value is Ast => typeof value === 'object' && value !== null && 'op' in value;

export function partsOf(node: Ast): Ast[] {
  const args = Array.isArray(node.args) ? (node.args as unknown[]).flat(2) : [node.args];
  return args.filter(isAst);
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
export function sentenceOf(error: unknown, expr: string, running = false): string {
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
