/** Validates a value with a zod schema and reports what is wrong in our own words, each problem at its position. */
import { z } from 'zod';
import type { Path } from './problem.ts';
import type { Source } from './source.ts';
import { closest, hint } from './suggest.ts';

type Issue = z.core.$ZodIssue;
type RawIssue = z.core.$ZodRawIssue;

/** Returned for a value that was not valid; its problems have been reported. */
export const INVALID: unique symbol = Symbol('invalid');

/** Collects what the schema of one file says; unknown keys and required ones are matched up at the end. */
export class Validator {
  readonly #source: Source;
  /** Required fields that are missing, by path; dropped when a misspelt key explains them. */
  readonly #missing = new Map<string, { path: Path; message: string }>();
  readonly #misspelt = new Set<string>();
  readonly #broken = new Set<string>();

  constructor(source: Source) {
    this.#source = source;
  }

  /** The schema's output, or `INVALID` after every problem has been reported. */
  check<S extends z.ZodType>(schema: S, value: unknown, path: Path): z.output<S> | typeof INVALID {
    const known = new WeakMap<readonly string[], string[]>();
    const result = schema.safeParse(value, { error: (issue) => describe(issue, known), reportInput: true });
    if (result.success) return result.data;
    for (const issue of result.error.issues) this.#report(issue, path, known);
    return INVALID;
  }

  /**
   * Validates an object field by field, so that one bad field does not hide what can be said about the others.
   * @returns the valid fields; a bad or absent one is `undefined`.
   */
  fields<S extends z.ZodObject>(schema: S, value: unknown, path: Path): Partial<z.output<S>> | typeof INVALID {
    if (!isObject(value)) return this.check(schema, value, path);
    const shape = schema.shape as Record<string, z.ZodType>;
    for (const key of Object.keys(value))
      if (!Object.hasOwn(shape, key)) this.unknownKey(path, key, Object.keys(shape));
    const output: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(shape)) {
      const given = Object.hasOwn(value, key) ? value[key] : undefined;
      const inner = unwrap(field);
      const plain = inner instanceof z.ZodObject && (inner.def.checks ?? []).length === 0 && isObject(given);
      const result = plain ? this.#nested(inner, given, [...path, key]) : this.check(field, given, [...path, key]);
      if (result !== INVALID && result !== undefined) output[key] = result;
    }
    return output as Partial<z.output<S>>;
  }

  /** The valid fields of an inner object; nothing of it when a required one is missing among them. */
  #nested(schema: z.ZodObject, value: Record<string, unknown>, path: Path): unknown {
    const output = this.fields(schema, value, path);
    if (output === INVALID) return INVALID;
    const whole = Object.entries(schema.shape as Record<string, z.ZodType>).every(
      ([key, field]) => output[key] !== undefined || field.isOptional(),
    );
    return whole ? output : INVALID;
  }

  /** Reports a key nobody knows, and remembers which one was probably meant. */
  unknownKey(path: Path, key: string, known: readonly string[]): void {
    const near = closest(key, known);
    if (near !== undefined) this.#misspelt.add(JSON.stringify([...path, near]));
    this.report([...path, key], 'unknown_key', `unknown key "${key}"${hint(key, known)}`, { at: 'key' });
  }

  /** Notes that a required value is absent; reported by {@link finish}. */
  missing(path: Path, message = 'is required'): void {
    this.#missing.set(JSON.stringify(path), {
      path,
      message: message.startsWith('is required') ? message : `is required: ${message}`,
    });
    this.#breakAt(path);
  }

  /** Reports an error or warning; see {@link Source.report}. */
  report(path: Path, code: string, message: string, options: Parameters<Source['report']>[3] = {}): void {
    this.#source.report(path, code, message, options);
    if (options.severity !== 'warning') this.#breakAt(path);
  }

  /** Whether an error lies at `path` or below it, so that what follows from its value is not worth saying. */
  isBroken(path: Path): boolean {
    return this.#broken.has(path.join('\n'));
  }

  #breakAt(path: Path): void {
    for (let length = path.length; length > 0; length--) this.#broken.add(path.slice(0, length).join('\n'));
  }

  /** Reports the required fields that are missing and not merely misspelt. Call once, last. */
  finish(): void {
    for (const [id, { path, message }] of this.#missing) {
      if (!this.#misspelt.has(id)) this.report(path, 'required', message);
    }
  }

  #report(issue: Issue, base: Path, known: WeakMap<readonly string[], string[]>): void {
    const path = [...base, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))];
    switch (issue.code) {
      case 'unrecognized_keys':
        for (const key of issue.keys) this.unknownKey(path, key, known.get(issue.keys) ?? []);
        return;
      case 'invalid_union': {
        const branch = nearestBranch(issue.errors);
        if (branch === undefined) this.report(path, 'invalid_type', issue.message);
        else for (const inner of branch) this.#report(inner, path, known);
        return;
      }
      case 'invalid_type':
      case 'invalid_value':
        if (issue.input === undefined) this.missing(path, issue.message);
        else this.report(path, issue.code, issue.message);
        return;
      case 'invalid_key':
        for (const inner of issue.issues) this.report(path, 'invalid_name', inner.message, { at: 'key' });
        return;
      case 'custom': {
        const code = typeof issue.params?.code === 'string' ? issue.params.code : 'invalid';
        const key = issue.params?.at === 'key' ? 'key' : 'value';
        this.report(path, code, issue.message, { at: key, secret: code.startsWith('secret_') });
        return;
      }
      default:
        this.report(path, issue.code, issue.message);
    }
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The text of an issue whose schema brings none of its own. Never repeats a value that could be a secret. */
function describe(issue: RawIssue, known: WeakMap<readonly string[], string[]>): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? 'is required'
        : `expected ${article(issue.expected)}, got ${kindOf(issue.input)}`;
    case 'invalid_value': {
      const options = issue.values.map((value) => JSON.stringify(value)).join(', ');
      const one = issue.values.length === 1 ? options : `one of ${options}`;
      if (issue.input === undefined) return `is required: ${one}`;
      const near = typeof issue.input === 'string' ? closest(issue.input, issue.values.map(String)) : undefined;
      const got = typeof issue.input === 'string' ? JSON.stringify(issue.input) : kindOf(issue.input);
      return `expected ${one}, got ${got}${near === undefined ? '' : `; did you mean "${near}"?`}`;
    }
    case 'too_small':
    case 'too_big': {
      const small = issue.code === 'too_small';
      const bound = small ? issue.minimum : issue.maximum;
      const word = small ? (issue.inclusive ? 'at least' : 'more than') : issue.inclusive ? 'at most' : 'less than';
      if (issue.origin === 'string')
        return small && Number(bound) === 1 ? 'must not be empty' : `must have ${word} ${bound} characters`;
      if (issue.origin === 'array') return `must have ${word} ${bound} ${Number(bound) === 1 ? 'entry' : 'entries'}`;
      if (issue.origin === 'number' || issue.origin === 'int')
        return `must be ${word} ${bound}, got ${String(issue.input)}`;
      return `must have ${word} ${bound}`;
    }
    case 'unrecognized_keys':
      if (issue.inst instanceof z.ZodObject) known.set(issue.keys, Object.keys(issue.inst.shape));
      return undefined;
    default:
      return undefined;
  }
}

/**
 * The branch of a union the author most likely meant: the one whose first fault lies deepest, then with fewest faults.
 * None when every branch refuses the value's very type.
 */
function nearestBranch(branches: readonly Issue[][]): Issue[] | undefined {
  const wrongType = (issues: Issue[]) =>
    issues.some((issue) => issue.code === 'invalid_type' && issue.path.length === 0);
  const depth = (issues: Issue[]) => Math.min(...issues.map((issue) => issue.path.length));
  return branches
    .filter((issues) => issues.length > 0 && !wrongType(issues))
    .sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0];
}

function unwrap(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodNullable
    ? unwrap(schema.unwrap() as z.ZodType)
    : schema;
}

function article(expected: string): string {
  const words: Record<string, string> = {
    object: 'a map of keys and values',
    record: 'a map of keys and values',
    array: 'a list',
    string: 'a text',
    number: 'a number',
    int: 'a whole number',
    boolean: 'true or false',
    null: 'nothing',
  };
  return words[expected] ?? expected;
}

function kindOf(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'number') return `the number ${value}`;
  if (typeof value === 'boolean') return String(value);
  return 'a text';
}
