/**
 * A team's own steps: their shape by kind, the rules they share with the built-in steps, and their normal form.
 *
 * `OwnStep.config` by kind:
 * command  `{command: string[], env: {NAME: string}}`: argument list, no shell, run by a worker of the side's region
 * http     `{method, url, headers: {name: string}, body: Json, expectStatus: number[]}`: empty list = any 2xx
 * activity `{type: string, input: Json}` on `taskQueue`
 * workflow `{type: string, input: Json}` as a child on `taskQueue`
 * `env` values, `url` and header values may be whole secret references, resolved by the activity.
 */
import { z } from 'zod';
import type { Json } from '../drivers/ports.ts';
import { INVALID, isObject, type Validator } from './issues.ts';
import type { OwnStep, OwnStepKind } from './model.ts';
import type { Path } from './problem.ts';
import { durationBetween, isSecretReference } from './scalars.ts';
import { nameSchema } from './schema.ts';
import { hint } from './suggest.ts';

/** Stages a step may join, in order; the plan's own vocabulary (a test keeps the two equal). */
export const STEP_STAGES = [
  'preflight',
  'prepare',
  'quiesce',
  'promote-atomic',
  'fence',
  'catch-up',
  'promote',
  'verify',
  'route',
  'ramp',
  'drain',
  'reprotect',
  'settle',
] as const;
type StepStage = (typeof STEP_STAGES)[number];

/** Stages in which nobody can write. */
const FROZEN: readonly StepStage[] = ['quiesce', 'promote-atomic', 'fence', 'catch-up', 'promote', 'verify', 'route'];
/** From here on the run rolls forward: undos registered before are void. */
const FROM_PROMOTION: readonly StepStage[] = STEP_STAGES.slice(STEP_STAGES.indexOf('promote'));

export const STEP_ACTIONS = ['failover', 'failback', 'trafficRamp', 'reprotect'] as const;

const KINDS = ['command', 'http', 'activity', 'workflow'] as const satisfies readonly OwnStepKind[];

/** Whatever the file can say is JSON; not `z.json()`, whose recursion an editor's schema need not carry. */
const json = z.unknown() as z.ZodType<Json>;
const headerValue = z.string().max(8_192);

const httpSchema = z
  .strictObject({
    method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).optional().meta({ description: 'Default POST' }),
    url: z
      .string()
      .superRefine((url, context) => {
        if (isSecretReference(url)) return;
        // Variables such as {{to}} are put in at run time and may stand in the host as well.
        const plain = url.replace(/\{\{\w+\}\}/g, 'x');
        const parsed = URL.canParse(plain) ? new URL(plain) : undefined;
        const problem =
          parsed === undefined || !['http:', 'https:'].includes(parsed.protocol)
            ? 'expected an http:// or https:// address, or a secret reference to one'
            : parsed.username !== '' || parsed.password !== ''
              ? 'an address must not hold a password: put the header or the whole address into ${env:NAME}'
              : undefined;
        if (problem !== undefined)
          context.addIssue({ code: 'custom', message: problem, params: { code: 'invalid_url' } });
      })
      .meta({ examples: ['https://flags.example.com/checkout'] }),
    headers: z
      .record(z.string().regex(/^[A-Za-z0-9-]+$/, 'a header name is made of letters, digits and dashes'), headerValue)
      .optional(),
    body: json.optional().meta({ description: 'Sent as JSON' }),
    expectStatus: z
      .array(z.int().min(100).max(599))
      .optional()
      .meta({ description: 'Status codes that count as done; default any 2xx' }),
  })
  .meta({ description: 'An HTTP call. It may be repeated: make it idempotent.' });

const commandSchema = z
  .array(z.string())
  .min(1)
  .refine((list) => list[0] !== '', 'the first entry is the program and must not be empty')
  .meta({
    description: 'Program and arguments. No shell. It may be repeated: make it idempotent.',
    examples: [['/usr/local/bin/warm-cache', '--all']],
  });
const envSchema = z
  .record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'a variable is made of letters, digits and underscores'),
    z.string(),
  )
  .optional()
  .meta({ description: 'Extra environment variables; secrets by reference' });

const typedSchema = z.strictObject({
  type: z.string().min(1).meta({ description: 'Name of the activity or workflow type' }),
  input: json.optional(),
});
const taskQueue = z
  .string()
  .min(1)
  .refine((queue) => queue !== 'rampart' && !queue.startsWith('rampart.'), {
    error: "must be the team's own task queue: those named rampart belong to Rampart's workers",
    params: { code: 'reserved_queue' },
  })
  .meta({ description: "The team's own task queue", examples: ['checkout-ops'] });

/** Where whole secret references may stand in a step or undo; `*` is any key. */
export const STEP_SECRETS: readonly string[] = ['http.url', 'http.headers.*', 'env.*'];

/** Names that the texts of a command or call may ask for as `{{name}}`, put in when the step runs. */
export const STEP_VARIABLES = ['service', 'from', 'to', 'region', 'mode', 'runId', 'step', 'epoch', 'seq'] as const;

/** The fields that say what to do, by kind; the same for a step and for its undo. */
const DOING = {
  command: { kind: z.literal('command'), command: commandSchema, env: envSchema },
  http: { kind: z.literal('http'), http: httpSchema },
  activity: { kind: z.literal('activity'), activity: typedSchema, taskQueue },
  workflow: { kind: z.literal('workflow'), workflow: typedSchema, taskQueue },
} as const;

const about = {
  name: nameSchema,
  stage: z.enum(STEP_STAGES).meta({ description: 'Stage it runs in, beside the built-in steps' }),
  summary: z
    .string()
    .min(1)
    .max(200)
    .meta({ description: 'A sentence for people', examples: ['Warm the product cache'] }),
  at: z
    .enum(['from', 'to', 'run'])
    .optional()
    .meta({ description: 'Once at the source, once at the target, or once for the run; default run' }),
  effect: z
    .enum(['none', 'reversible', 'irreversible'])
    .meta({ description: 'Whether it changes anything, and whether that can be undone' }),
  undo: z.unknown().optional().meta({ description: 'What takes it back; required when the effect is reversible' }),
  deadline: durationBetween(100).meta({ description: 'It has failed when it has not ended by then', examples: ['2m'] }),
  onFailure: z
    .enum(['rollback', 'hold', 'continue'])
    .optional()
    .meta({ description: 'Default rollback before the promotion, hold from there on' }),
  actions: z.array(z.enum(STEP_ACTIONS)).optional().meta({ description: 'Actions it applies to; default all' }),
};

const commonSchema = z.object(about);

/** A step's and an undo's schema by kind, for validation and for the JSON Schema. */
export const stepSchemas: Readonly<Record<OwnStepKind, z.ZodObject>> = byKind((kind) =>
  z.strictObject({ ...about, ...DOING[kind] }),
);
export const undoSchemas: Readonly<Record<OwnStepKind, z.ZodObject>> = byKind((kind) => z.strictObject(DOING[kind]));

function byKind<T>(make: (kind: OwnStepKind) => T): Record<OwnStepKind, T> {
  return { command: make('command'), http: make('http'), activity: make('activity'), workflow: make('workflow') };
}

/**
 * Reads the steps of one service.
 * @param freezeBudgetMs of the service's tier; `undefined` when the tier is not known.
 * @returns the steps that are valid; problems go to the validator.
 */
export function readSteps(
  raw: unknown,
  path: Path,
  freezeBudgetMs: number | undefined,
  validator: Validator,
): OwnStep[] {
  if (!Array.isArray(raw)) return [];
  const names = new Set<string>();
  return raw.flatMap((entry: unknown, i) => {
    const step = readStep(entry, [...path, i], freezeBudgetMs, validator);
    if (step === undefined) return [];
    if (names.has(step.name))
      validator.report([...path, i, 'name'], 'duplicate', `another step of this service is named "${step.name}"`);
    names.add(step.name);
    return [step];
  });
}

function readStep(
  raw: unknown,
  path: Path,
  freezeBudgetMs: number | undefined,
  validator: Validator,
): OwnStep | undefined {
  const kind = readKind(raw, path, validator);
  if (kind === undefined) return undefined;
  const fields = validator.fields(stepSchemas[kind], raw, path);
  if (fields === INVALID) return undefined;
  const { name, stage, summary, at, effect, deadline, onFailure, actions } = fields as Partial<
    z.output<typeof commonSchema>
  >;
  const given = isObject(raw) ? raw.undo : undefined;
  for (const key of ['command', 'http']) checkVariables(fields[key], [...path, key], validator);
  const undo = given === undefined ? undefined : readUndo(given, [...path, 'undo'], validator);

  if (effect === 'reversible' && given === undefined) {
    validator.report(
      [...path, 'effect'],
      'undo_missing',
      'a reversible step needs an undo; without one its effect is irreversible',
    );
  }
  if (effect !== undefined && effect !== 'reversible' && given !== undefined) {
    validator.report([...path, 'undo'], 'undo_unused', `a step whose effect is ${effect} cannot have an undo`);
  }
  if (stage === 'preflight' && effect !== undefined && effect !== 'none') {
    validator.report(
      [...path, 'effect'],
      'effect_before_gate',
      'a preflight step must have no effect: nothing may change before the first gate',
    );
  }
  if (
    stage !== undefined &&
    deadline !== undefined &&
    freezeBudgetMs !== undefined &&
    FROZEN.includes(stage) &&
    deadline > freezeBudgetMs
  ) {
    validator.report(
      [...path, 'deadline'],
      'deadline_exceeds_freeze',
      `nobody can write during ${stage}, and the tier allows that for ${freezeBudgetMs / 1_000}s in all: shorten the deadline or choose prepare or ramp`,
    );
  }
  if (
    validator.isBroken(path) ||
    name === undefined ||
    stage === undefined ||
    summary === undefined ||
    effect === undefined ||
    deadline === undefined
  )
    return undefined;
  return {
    name,
    stage,
    summary,
    ...doing(kind, fields),
    at: at ?? 'run',
    ...(undo === undefined ? {} : { undo }),
    effect,
    deadlineMs: deadline,
    onFailure: onFailure ?? (FROM_PROMOTION.includes(stage) ? 'hold' : 'rollback'),
    actions: actions ?? [],
  };
}

function readUndo(raw: unknown, path: Path, validator: Validator): OwnStep['undo'] | undefined {
  const kind = readKind(raw, path, validator);
  if (kind === undefined) return undefined;
  const fields = validator.fields(undoSchemas[kind], raw, path);
  if (fields !== INVALID) for (const key of ['command', 'http']) checkVariables(fields[key], [...path, key], validator);
  return fields === INVALID || validator.isBroken(path) ? undefined : doing(kind, fields);
}

function readKind(raw: unknown, path: Path, validator: Validator): OwnStepKind | undefined {
  if (!isObject(raw)) {
    validator.report(path, 'invalid_type', 'expected a map of keys and values');
    return undefined;
  }
  const kind = raw.kind;
  const found = KINDS.find((known) => known === kind);
  if (found !== undefined) return found;
  if (kind === undefined) {
    validator.missing([...path, 'kind'], `is required: one of ${KINDS.join(', ')}`);
    // Only keys that no kind knows are certainly wrong.
    const known = [...new Set(KINDS.flatMap((name) => Object.keys(stepSchemas[name].shape)))];
    for (const key of Object.keys(raw)) if (!known.includes(key)) validator.unknownKey(path, key, known);
  } else {
    const text = typeof kind === 'string' ? `"${kind}"` : 'this';
    validator.report(
      [...path, 'kind'],
      'unknown_kind',
      `${text} is no kind of step${hint(typeof kind === 'string' ? kind : '', KINDS)}`,
    );
  }
  return undefined;
}

/** A variable nobody sets would fail the step in the middle of a run. */
function checkVariables(value: unknown, path: Path, validator: Validator): void {
  if (typeof value === 'string') {
    for (const [whole, name] of value.matchAll(/\{\{\s*([A-Za-z]+)\s*\}\}/g)) {
      if (STEP_VARIABLES.some((known) => known === name)) continue;
      validator.report(path, 'unknown_variable', `there is no variable ${whole}${hint(name!, STEP_VARIABLES)}`);
    }
  } else if (Array.isArray(value)) {
    for (const [i, entry] of value.entries()) checkVariables(entry, [...path, i], validator);
  } else if (isObject(value)) {
    for (const [key, entry] of Object.entries(value)) checkVariables(entry, [...path, key], validator);
  }
}

/** Kind, configuration and task queue in normal form; see the head of this file. */
function doing(
  kind: OwnStepKind,
  fields: Record<string, unknown>,
): { kind: OwnStepKind; config: Record<string, Json>; taskQueue?: string } {
  switch (kind) {
    case 'command':
      return {
        kind,
        config: { command: fields.command as string[], env: (fields.env ?? {}) as Record<string, string> },
      };
    case 'http': {
      const { method, url, headers, body, expectStatus } = fields.http as z.output<typeof httpSchema>;
      return {
        kind,
        config: {
          method: method ?? 'POST',
          url,
          headers: headers ?? {},
          body: body ?? null,
          expectStatus: expectStatus ?? [],
        },
      };
    }
    case 'activity':
    case 'workflow': {
      const { type, input } = fields[kind] as z.output<typeof typedSchema>;
      return { kind, config: { type, input: input ?? null }, taskQueue: fields.taskQueue as string };
    }
  }
}
