/**
 * The shape of a run record, for programs that read it, as a JSON Schema. Readers must take fields that they do not
 * know: records gain some. Words that may become more (actions, verbs, stages) are texts with examples.
 */
import { z } from 'zod';
import { STAGES } from '../plan/model.ts';
import type { RunRecord } from './record.ts';

const text = (description: string) => z.string().meta({ description });
const at = (description: string) => z.number().meta({ description: `${description}; milliseconds since the epoch` });
const ms = (description: string) => z.number().meta({ description: `${description}; milliseconds` });
const region = z.string().nullable();
const weights = z.record(z.string(), z.number()).meta({ description: 'Percent by region' });
/** Described in part: the rest belongs to the plan. */
const open = (shape: z.ZodRawShape) => z.looseObject(shape) as z.ZodType<object, object>;
const texts = z.array(z.string());
const mode = z.enum(['planned', 'unplanned']);
const outcome = z.enum([
  'completed', 'nothingToDo', 'rolledBack', 'refused', 'needsHuman', 'withdrawn', 'cancelled',
]); // biome-ignore format: a list

const finding = z
  .object({
    code: text('Stable name'),
    severity: z.enum(['blocker', 'warning', 'info']),
    component: z.string().nullable(),
    region,
    message: text('What is so'),
    remedy: text('What to do about it'),
    override: z.string().optional().meta({ description: 'Code by which a person may accept it' }),
  })
  .meta({ id: 'finding' });

const loss = z
  .object({
    kind: z.enum(['none', 'measured', 'bounded', 'unknown']),
    fromTime: z.string().nullable().meta({ description: 'Begin of the window of lost writes, ISO 8601' }),
    toTime: z.string().nullable().meta({ description: 'Its end; null: still open' }),
    seconds: z.number().nullable(),
    atLeastBytes: z.number().nullable(),
    atMostBytes: z.number().nullable(),
    note: z.string(),
  })
  .meta({ id: 'loss', description: 'What may be lost: a window of time' });

const position = z
  .object({ text: z.string(), order: z.string(), timeline: z.number() })
  .meta({ id: 'position', description: "A place in a store's stream of changes" });

const facts = z
  .object({
    measuredAt: at('When they were measured'),
    digest: text('What a decision is bound to'),
    classified: z.object({ state: z.string(), region, text: z.string(), missing: texts }),
    lag: z.record(
      z.string(),
      z
        .object({
          bytes: z.number().nullable(),
          seconds: z.number().nullable(),
          measuredAt: z.number(),
          freshnessMs: z.number(),
          fresh: z.boolean(),
        })
        .nullable(),
    ),
    loss,
    positions: z.record(
      z.string(),
      z.array(
        z.object({
          node: z.string(),
          region: z.string(),
          state: z.string(),
          applied: position.nullable(),
          received: position.nullable(),
        }),
      ),
    ),
    fence: z.record(z.string(), z.string()),
    stores: z.record(z.string(), z.object({ systemId: z.string().nullable(), timeline: z.number().nullable() })),
    weights: z.record(z.string(), weights.nullable()),
    asks: texts.optional(),
    blockers: z.array(finding),
    warnings: z.array(finding),
  })
  .meta({ id: 'facts', description: 'What people decide on' });

const stage = z.string().meta({ examples: [...STAGES] });

/** One schema per field of the record; a field of the record without one does not compile. */
const fields = {
  version: z.literal(1),
  workflowId: text('Workflow ID, which is the lock'),
  runId: text('First run ID of the workflow: what names the run for ever'),
  service: text('Service'),
  owner: text('Its owner, as the topology says'),
  tier: text('Its tier'),
  movesWith: z.array(z.string()).optional().meta({ description: 'Services of its group that moved with it' }),
  action: z.string().meta({ examples: ['failover', 'failback', 'trafficRamp', 'reprotect', 'refence'] }),
  mode,
  from: region,
  to: region,
  request: open({ action: z.string(), service: z.string() }).meta({ description: 'What was asked, as it was' }),
  startedAt: at('When the run started'),
  endedAt: at('When it ended').nullable(),
  outcome: outcome.nullable().meta({ description: 'null while it is on' }),
  text: text('The outcome in a sentence, with what to do next'),
  plans: z.array(
    z.object({
      digest: text('SHA-256 over what was planned'),
      topologyDigest: text('Of the topology it was made from'),
      mode,
      from: region,
      to: z.string(),
      resumeAt: stage.nullable(),
      compiledAt: at('When it was made'),
      facts,
      estimate: open({ seconds: z.number(), freezeSeconds: z.number() }),
      why: text('`start`, or who escalated'),
    }),
  ),
  decisions: z.array(
    z.object({
      gate: text('Unique per asking: cutover.1'),
      decision: z.enum(['approve', 'reject']),
      by: text('The name that was given'),
      comment: z.string(),
      at: at('When it was taken'),
      factsDigest: text('Of the facts that were shown'),
      maxLoss: z.object({ seconds: z.number().nullable(), bytes: z.number().nullable() }),
      override: texts,
      messageId: z.string().nullable(),
    }),
  ),
  messages: z.array(
    z.object({
      verb: z.string(),
      by: z.string(),
      at: at('When it came'),
      applied: z.boolean(),
      note: text('What came of it, or why it was refused'),
      input: z.unknown(),
    }),
  ),
  steps: z.array(
    z.object({
      id: z.string().meta({ examples: ['promote:orders-db@eu-central'] }),
      stage,
      summary: z.string(),
      verb: z.string(),
      component: z.string().nullable(),
      region,
      state: z.enum(['running', 'done', 'failed', 'skipped', 'cancelled']),
      scheduled: z.number().int().meta({ description: 'How often the engine scheduled it' }),
      startedAt: at('When it started'),
      endedAt: at('When it ended').nullable(),
      result: z.string().nullable(),
      already: z.boolean().meta({ description: 'The wanted state was there already' }),
      facts: z.record(z.string(), z.unknown()),
      error: z.object({ type: z.string(), message: z.string() }).nullable(),
    }),
  ),
  undos: z.array(
    z.object({
      stepId: z.string(),
      summary: z.string(),
      state: z.enum(['registered', 'running', 'done', 'failed', 'discarded', 'debt', 'carried']),
      startedAt: at('When it started').nullable(),
      endedAt: at('When it ended').nullable(),
      note: z.string(),
    }),
  ),
  ramp: z.array(
    z.object({
      percent: z.number(),
      router: z.string(),
      weights,
      setAt: at('When the weights were set'),
      observed: weights.nullable().meta({ description: 'As counted at the edge; null: not sampled' }),
      bake: z.enum(['passed', 'failed', 'inconclusive', 'running', 'skipped']),
      measurements: texts,
      steppedBack: z.boolean(),
    }),
  ),
  freeze: z
    .object({
      startedAt: at('Its begin').nullable(),
      endedAt: at('Its end').nullable(),
      budgetMs: ms('Its budget'),
      exceeded: z.boolean(),
    })
    .meta({ description: 'The time in which nobody could write' }),
  pointOfNoReturn: z.object({
    stepId: z.string().nullable(),
    crossedAt: at('When the promotion was scheduled').nullable(),
    revokedAt: at('When it was proven that none had begun').nullable(),
  }),
  loss: loss.nullable(),
  waitedForPeopleMs: ms('Waiting for people, in all'),
  dataReadyAt: at('T4').nullable(),
  trafficCompleteAt: at('T5').nullable(),
  objectives: z.array(
    z.object({
      name: z.string(),
      target: z.string(),
      actual: z.string(),
      met: z.boolean().nullable().meta({ description: 'null: not judged' }),
      basis: z.enum(['measured', 'estimated', 'unknown']),
      margin: z.string().nullable().optional(),
    }),
  ),
  findings: z.array(finding),
  debt: z.array(
    z.object({
      code: z.string(),
      component: z.string().nullable(),
      region,
      message: z.string(),
      remedy: z.string(),
    }),
  ),
  log: z.array(z.object({ at: at('When'), text: z.string() })),
  targets: z
    .object({
      rtoMs: ms('Recovery time objective'),
      rpoMs: ms('Recovery point objective'),
      freezeBudgetMs: ms('Freeze budget'),
      fenceProof: z.string(),
    })
    .nullable()
    .optional(),
  impactStartAt: at('T0').nullable().optional(),
  detectedAt: at('T1').nullable().optional(),
  impactStartBasis: z.enum(['measured', 'estimated']).nullable().optional(),
  waits: z
    .array(
      z.object({
        kind: z.enum(['gate', 'hold', 'pause']),
        name: z.string(),
        startedAt: at('Its begin'),
        endedAt: at('Its end').nullable(),
      }),
    )
    .optional(),
  asserted: z
    .array(
      z.object({
        name: z.string(),
        expr: text('CEL'),
        severity: z.enum(['fail', 'warn']).optional(),
        actions: texts.optional(),
      }),
    )
    .optional()
    .meta({ description: 'What the service asserted of the run when it was planned; judged by this record' }),
  assertions: z
    .array(
      z.object({
        name: z.string(),
        expr: text('CEL'),
        severity: z.enum(['fail', 'warn']),
        met: z.boolean().nullable().meta({ description: 'null: it could not be judged' }),
        note: text('The values it was judged by'),
        basis: z.enum(['measured', 'estimated', 'unknown']).optional().meta({
          description: 'How these values are known',
        }),
      }),
    )
    .optional(),
  shown: z.array(facts).optional().meta({ description: 'Facts that gates showed, by their digests' }),
  dwell: z
    .object({
      startedAt: at('Its begin'),
      endedAt: at('Its end').nullable(),
      checks: z
        .array(
          z.object({
            name: z.string(),
            at: at('When'),
            outcome: z.enum(['pass', 'fail', 'unknown']),
            observed: z.string(),
            threshold: z.string(),
          }),
        )
        .optional(),
    })
    .nullable()
    .optional(),
  failback: z
    .object({
      workflowId: z.string(),
      runId: z.string(),
      startedAt: at('Its begin'),
      endedAt: at('Its end').nullable(),
      outcome: outcome.nullable(),
    })
    .nullable()
    .optional(),
  lagSamples: z
    .array(z.object({ at: at('When'), component: z.string(), region: z.string(), seconds: z.number().nullable() }))
    .optional(),
  context: z
    .object({
      testType: z.enum(['rehearsal', 'checksOnly', 'rampOnly', 'full', 'chaos', 'live']).optional(),
      scenario: z.string().optional(),
      expected: z.string().optional(),
      assumptions: texts.optional(),
      references: texts.optional(),
      thirdParties: texts.optional(),
      environment: z.string().optional(),
      nextDueAt: at('When the next test is due').optional(),
    })
    .nullable()
    .optional(),
  notifications: z
    .array(
      z.object({
        at: at('When'),
        channel: z.string(),
        event: z.string(),
        result: z.enum(['sent', 'failed', 'dropped']),
        text: text('Why it was not sent'),
      }),
    )
    .optional()
    .meta({ description: 'Who was told of what; absent: nobody was to be told' }),
  checklist: z
    .array(z.object({ text: z.string(), done: z.object({ by: z.string(), at: at('When') }).nullable() }))
    .optional()
    .meta({ description: 'What had to be said to whom' }),
} satisfies Record<keyof RunRecord, z.ZodType>;

const recordSchema = z.object(fields).meta({
  title: 'Rampart run record',
  description: 'What was asked, decided, done and measured in one run.',
});

/** What the schema takes, as a type: tests hold it against `RunRecord`. */
export type RecordShape = z.input<typeof recordSchema>;

/** @returns a JSON Schema, draft 2020-12, that takes fields it does not know */
export function recordJsonSchema(): object {
  return z.toJSONSchema(recordSchema, { io: 'input' });
}
