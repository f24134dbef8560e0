/**
 * The scalar forms every configuration shares, as zod schemas: durations, sizes and secrets.
 * A driver's configuration schema uses these, so that one form is read, reported and completed everywhere.
 */
import { z } from 'zod';
import { DURATION_PATTERN, formatDuration, parseDuration } from './duration.ts';
import { parseSize, SIZE_PATTERN } from './size.ts';

const DURATION_HELP = 'expected a duration such as 500ms, 30s, 5m or 1h30m';
const SIZE_HELP = 'expected a size such as 512B, 64KiB or 16MiB';

/** `30s`, `5m`, `1h30m`, `500ms` → whole milliseconds. Give it bounds with {@link durationBetween}. */
export const durationSchema = durationBetween(0, Number.POSITIVE_INFINITY);

/** A duration of at least `minMs` and at most `maxMs`, both in milliseconds. */
export function durationBetween(minMs: number, maxMs: number = Number.POSITIVE_INFINITY) {
  return scalar(DURATION_HELP, DURATION_PATTERN, ['30s', '5m', '1h30m'], 'invalid_duration', parseDuration, (ms) =>
    ms < minMs
      ? `must be at least ${formatDuration(minMs)}`
      : ms > maxMs
        ? `must be at most ${formatDuration(maxMs)}`
        : undefined,
  );
}

/** `512B`, `64KiB`, `16MiB` → bytes. */
export const sizeSchema = scalar(
  SIZE_HELP,
  SIZE_PATTERN,
  ['16MiB', '64KiB'],
  'invalid_size',
  parseSize,
  () => undefined,
);

/** A whole reference and nothing else. */
export const SECRET_PATTERN = '^\\$\\{(env:[A-Za-z_][A-Za-z0-9_]*|file:/[^{}]+)\\}$';
const SECRET = new RegExp(SECRET_PATTERN);
/** The beginning of something that was meant as a reference. */
const REFERENCE_START = /\$\{(env|file):/;

/** Whether the text is a whole secret reference: `${env:NAME}` or `${file:/path}`. */
export function isSecretReference(text: string): boolean {
  return SECRET.test(text);
}

/** Whether the text holds the beginning of a secret reference anywhere. */
export function mentionsSecret(text: string): boolean {
  return REFERENCE_START.test(text);
}

/** Why a value may not stand in a secret field; `undefined` = it may. The value itself is never repeated. */
export function secretProblem(value: string): { code: string; message: string } | undefined {
  if (isSecretReference(value)) return undefined;
  if (mentionsSecret(value)) {
    return {
      code: 'secret_partial',
      message:
        'a secret reference must be the whole value: put the complete text into the variable or file and write ${env:NAME} or ${file:/path} alone',
    };
  }
  return {
    code: 'secret_literal',
    message:
      'a secret must not be written here: use ${env:NAME} or ${file:/path}, which workers resolve when they need it',
  };
}

/** `${env:NAME}` or `${file:/path}`, kept as written; a literal is an error. The driver lists the field in `secrets`. */
export const secretSchema = z
  .string({ error: 'expected a secret reference such as ${env:NAME} or ${file:/path}' })
  .superRefine((value, context) => {
    const problem = secretProblem(value);
    if (problem !== undefined)
      context.addIssue({ code: 'custom', message: problem.message, params: { code: problem.code } });
  })
  .meta({
    description: 'A secret, by reference only: ${env:NAME} or ${file:/path}',
    examples: ['${env:NAME}', '${file:/run/secrets/name}'],
    pattern: SECRET_PATTERN,
  });

/** A string scalar read by `parse` into a number; its JSON Schema is the string form with `pattern`. */
function scalar(
  help: string,
  pattern: string,
  examples: string[],
  code: string,
  parse: (text: string) => number | undefined,
  bounds: (value: number) => string | undefined,
) {
  return z
    .string({
      error: (issue) => (typeof issue.input === 'number' ? `${help}, got the number ${issue.input}: add a unit` : help),
    })
    .meta({ pattern, examples })
    .transform((text, context) => {
      const value = parse(text);
      const problem = value === undefined ? `${help}, got ${JSON.stringify(text)}` : bounds(value);
      if (problem === undefined) return value!;
      context.addIssue({ code: 'custom', message: problem, params: { code } });
      return z.NEVER;
    });
}
