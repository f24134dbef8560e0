/** The file's shape as zod schemas: the one source of validation and of the JSON Schema that editors use. */
import { z } from 'zod';
import { assertionProblem } from './assertions.ts';
import { durationBetween, durationSchema, sizeSchema } from './scalars.ts';

const NAME_PATTERN = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$';
const NAME = new RegExp(NAME_PATTERN);
const NAME_HELP =
  'a name is made of lower-case letters, digits and dashes, begins and ends with a letter or digit, and has at most 63 characters';

/** Names end up in task queues, workflow IDs and metrics; `constructor` would find what every JavaScript object has. */
export const nameSchema = z
  .string({ error: NAME_HELP })
  .superRefine((name, context) => {
    if (!NAME.test(name) || name.length > 63 || name === 'constructor') {
      context.addIssue({ code: 'custom', message: NAME_HELP, params: { code: 'invalid_name' } });
    }
  })
  .meta({ pattern: NAME_PATTERN, maxLength: 63, not: { const: 'constructor' } });

const reference = (description: string, example: string) =>
  z
    .string()
    .min(1)
    .meta({ description, examples: [example] });

function distinct(list: readonly string[], context: z.RefinementCtx): void {
  for (const [i, entry] of list.entries()) {
    if (list.indexOf(entry) < i) {
      context.addIssue({
        code: 'custom',
        path: [i],
        message: `"${entry}" stands twice in this list`,
        params: { code: 'duplicate' },
      });
    }
  }
}

const references = (description: string, example: string) =>
  z
    .array(z.string().min(1))
    .superRefine(distinct)
    .meta({ description, examples: [[example]] });

const texts = (description: string, example: string) =>
  z
    .array(z.string().min(1).max(500))
    .max(50)
    .optional()
    .meta({ description, examples: [[example]] });

export const regionSchema = z
  .strictObject({
    labels: z
      .record(z.string(), z.string())
      .optional()
      .meta({ description: 'Free labels for people', examples: [{ cloud: 'aws' }] }),
  })
  .meta({ description: 'A region. Which one is active is observed, never declared.' });

/** Actions whose runs move data; an assertion is about these unless it says otherwise. */
export const ASSERTED_ACTIONS = ['failover', 'failback'] as const;

const assertionSchema = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(120)
    .meta({ description: 'What is asserted, in words', examples: ['secrets usable within 30 min'] }),
  expr: z
    .string()
    .min(1)
    .superRefine((expr, context) => {
      const problem = assertionProblem(expr);
      if (problem !== null)
        context.addIssue({ code: 'custom', message: problem, params: { code: 'invalid_expression' } });
    })
    .meta({
      description: 'CEL over the run, which must give true; docs/evidence.md lists the variables',
      examples: ['run.writeUnavailable <= duration("2m")'],
    }),
  severity: z.enum(['fail', 'warn']).optional().meta({
    description: 'fail: a run has not passed without it; warn: it is a finding in the report; default fail',
  }),
  actions: z
    .array(z.enum(['failover', 'failback', 'trafficRamp', 'reprotect', 'refence']))
    .min(1)
    .superRefine(distinct)
    .optional()
    .meta({ description: 'Actions whose runs it is about; default [failover, failback]', examples: [['failback']] }),
});

export const assertionsSchema = z
  .array(assertionSchema)
  .max(50)
  .superRefine((list, context) => {
    for (const [i, { name }] of list.entries())
      if (list.findIndex((one) => one.name === name) < i)
        context.addIssue({
          code: 'custom',
          path: [i, 'name'],
          message: `"${name}" stands twice in this list`,
          params: { code: 'duplicate' },
        });
  })
  .meta({
    description:
      'What a run must have achieved besides the objectives, judged after every run; the report and drills fail without it',
  });

const objectives = {
  rto: durationBetween(1_000)
    .optional()
    .meta({ description: 'Recovery time objective: how long until the service works again', examples: ['5m'] }),
  rpo: durationSchema
    .optional()
    .meta({ description: 'Recovery point objective: how much time of data may be lost', examples: ['1m'] }),
  freezeBudget: durationBetween(1_000)
    .optional()
    .meta({
      description: 'Longest time nobody may be able to write during a cut-over; default 30s',
      examples: ['30s'],
    }),
};

export const tierSchema = z
  .strictObject({
    ...objectives,
    assertions: assertionsSchema.optional(),
    fenceProof: z.enum(['stopped', 'provider', 'sessions', 'lease']).optional().meta({
      description:
        'Weakest proof that the old primary cannot write with which a promotion goes on without a person: stopped > provider > sessions > lease; default sessions',
    }),
  })
  .meta({
    description:
      'Objectives that services refer to. critical (RPO 1m, RTO 5m), important (15m, 30m) and standard (1h, 4h) are built in.',
  });

const percent = z.int({
  error: (issue) =>
    typeof issue.input === 'string' ? 'percent are whole numbers without a sign, for example 25' : undefined,
});

export const rampSchema = z
  .strictObject({
    steps: z
      .array(percent.min(1).max(100))
      .min(1)
      .superRefine((steps, context) => {
        const issue = (i: number, message: string, code: string) =>
          context.addIssue({ code: 'custom', path: [i], message, params: { code } });
        for (let i = 1; i < steps.length; i++) {
          if (steps[i]! <= steps[i - 1]!)
            issue(i, `the ramp must rise: ${steps[i]} follows ${steps[i - 1]}`, 'ramp_not_rising');
        }
        if (steps.at(-1)! < 100)
          issue(steps.length - 1, `the ramp must end at 100, it ends at ${steps.at(-1)}`, 'ramp_not_complete');
      })
      .optional()
      .meta({
        description: 'Percent of the traffic that has moved after each step; rising, last 100',
        examples: [[10, 25, 50, 100]],
      }),
    bake: durationSchema.optional().meta({
      description: 'Time to hold and watch after each step, the last one included; default 1m',
      examples: ['1m'],
    }),
    interval: durationBetween(100)
      .optional()
      .meta({ description: 'Time between two rounds of checks during a bake; default 10s', examples: ['10s'] }),
    analysis: references(
      "Checks evaluated during each bake; default: the service's checks",
      'orders-healthy',
    ).optional(),
    failureLimit: z
      .int()
      .min(0)
      .max(1_000)
      .optional()
      .meta({ description: 'Failed rounds tolerated per bake; default 0', examples: [1] }),
    onFailure: z
      .enum(['rollback', 'hold'])
      .optional()
      .meta({ description: 'What a failed bake leads to after the traffic has stepped back; default rollback' }),
    unplanned: z.enum(['ramp', 'jump']).optional().meta({
      description: 'Whether an unplanned failover follows the ramp or moves all traffic at once; default ramp',
    }),
  })
  .meta({ description: 'How traffic moves' });

const people = (description: string) => references(description, 'ana@example.com');

function approvalSchema<const T extends readonly string[]>(required: number, onTimeout: T) {
  return z.strictObject({
    required: z
      .int()
      .min(required)
      .max(20)
      .optional()
      .meta({ description: 'Distinct people needed; default 1', examples: [1] }),
    approvers: people('Who may decide; empty or absent: anybody who gives a name').optional(),
    fourEyes: z
      .boolean()
      .optional()
      .meta({ description: 'Whether the requester is barred from approving; default false' }),
    timeout: durationBetween(1_000)
      .optional()
      .meta({ description: 'How long the gate waits', examples: ['30m'] }),
    onTimeout: z.enum(onTimeout).optional().meta({ description: 'What happens when nobody decides in time' }),
    escalateAfter: durationBetween(1_000)
      .optional()
      .meta({ description: 'After this time escalateTo may decide as well', examples: ['10m'] }),
    escalateTo: people('Who else may decide after escalateAfter').optional(),
  });
}

// A gate that guards lost or destroyed data, or an unknown state, never opens by itself.
const guarded = () => approvalSchema(1, ['reject', 'hold']);

export const approvalsSchema = z
  .strictObject({
    cutover: approvalSchema(0, ['reject', 'hold', 'proceed'])
      .optional()
      .meta({ description: 'Before anything changes; default 30m, then reject' }),
    promote: approvalSchema(0, ['reject', 'hold']).optional().meta({
      description: 'Only when proof, loss or readings are worse than the policy allows; default 15m, then hold',
    }),
    rebuild: guarded()
      .optional()
      .meta({ description: 'Before old data is rewound or copied over; default 24h, then reject' }),
    loss: guarded()
      .optional()
      .meta({ description: 'When more would be lost than was approved; default 15m, then hold' }),
    needsHuman: guarded()
      .optional()
      .meta({ description: 'When the observed state allows no safe plan; default 24h, then hold' }),
  })
  .meta({ description: 'Who decides at which gate' });

/** Fields of a service that `defaults` may give for all. */
const shared = {
  tier: reference('Tier: critical, important, standard or one of tiers; default standard', 'critical').optional(),
  owner: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'Team that owns the service', examples: ['team-checkout'] }),
  ramp: rampSchema.optional(),
  approvals: approvalsSchema.optional(),
  writes: z.enum(['global', 'local']).optional().meta({
    description:
      "global: every region's app writes through the writer endpoint; local: an app writes only in the active region, so the traffic moves in one step; default global",
  }),
  cutoverLag: z
    .strictObject({
      time: durationSchema.optional().meta({ examples: ['5s'] }),
      bytes: sizeSchema.optional().meta({ examples: ['16MiB'] }),
    })
    .optional()
    .meta({ description: 'Greatest replication lag at which a planned cut-over may begin; default 5s and 16MiB' }),
  onFailure: z
    .strictObject({
      planned: z.enum(['rollback', 'hold']).optional(),
      unplanned: z.enum(['rollback', 'hold']).optional(),
    })
    .optional()
    .meta({ description: 'What a failed step leads to; default rollback when planned, hold when unplanned' }),
  returningPrimary: z.enum(['fence', 'notify']).optional().meta({
    description:
      'What follows when an old primary starts again by itself and takes writes: fence (the guard starts refence, which fences only a side that is certainly not the active one) or notify (people are told); default fence',
  }),
  guard: z
    .strictObject({
      enabled: z.boolean().optional().meta({ description: 'Whether a guard runs for the service; default true' }),
      interval: durationBetween(500)
        .optional()
        .meta({ description: 'Time between two looks; default 2s', examples: ['2s'] }),
      proofAge: durationBetween(60_000)
        .optional()
        .meta({
          description:
            'Age of the last completed failover or failback from which the guard asks for a new one; default 2160h',
          examples: ['2160h'],
        }),
    })
    .optional()
    .meta({ description: 'The workflow that watches the service beside the runs' }),
};

export const defaultsSchema = z
  .strictObject(shared)
  .meta({ description: 'What holds for every service that says nothing else' });

const standby = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1).superRefine(distinct)], {
    error: 'expected a region or a list of regions',
  })
  .transform((given) => (typeof given === 'string' ? [given] : given))
  .meta({ description: 'Regions the service can move to' });

export const serviceSchema = z
  .strictObject({
    ...shared,
    home: reference('Region the service lives in when all is well; failback goes there', 'eu-west'),
    standby,
    dependsOn: references('Services that must move first', 'identity').optional(),
    components: references('Stores, routers and workloads of the service', 'orders-db').min(1),
    checks: references('Checks that must pass before and after the move', 'orders-healthy').optional(),
    objectives: z
      .strictObject({
        ...objectives,
        freezeBudget: objectives.freezeBudget.meta({
          description: 'Longest time nobody may be able to write during a cut-over',
          examples: ['30s'],
        }),
      })
      .optional()
      .meta({ description: "The service's own objectives where its contract says other than the tier" }),
    assertions: assertionsSchema.optional(),
    evidence: z
      .strictObject({
        environment: z
          .string()
          .min(1)
          .max(200)
          .optional()
          .meta({
            description: 'Where it runs, as the report names it',
            examples: ['production'],
          }),
        references: texts(
          'Business impact analysis, risk assessment, policy: texts or addresses',
          'https://wiki.example.com/bia/checkout',
        ),
        assumptions: texts(
          'What the recovery takes for granted',
          'the payment provider is reachable from both regions',
        ),
        thirdParties: texts('Outside parties that the recovery depends on', 'Example DNS Ltd.'),
      })
      .optional()
      .meta({ description: 'What reviewers ask for and no run can know by itself; printed in every report' }),
    group: nameSchema
      .optional()
      .meta({ description: 'Services of one group share a lock and move together', examples: ['shop'] }),
    steps: z.array(z.unknown()).max(100).optional(),
  })
  .meta({ description: 'A service: what moves as one' });

export const placeSchema = z
  .strictObject({
    region: reference('Region whose workers run the steps', 'eu-west'),
    place: nameSchema.optional().meta({ description: 'One place in it (rampart worker --place)' }),
  })
  .meta({ description: "Where the component's own steps run; absent: any control worker" });

/** What every component has besides its driver's configuration. */
export const componentSchema = z.strictObject({
  type: z.string().min(1).meta({ description: 'The driven system' }),
  place: placeSchema.optional(),
  sides: z.record(z.string(), z.unknown()).optional().meta({ description: 'One entry per region' }),
  recovery: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        'Where people find how its data is restored to an earlier moment: a link or a sentence; a halt shows it',
      examples: ['https://wiki.example.com/orders-db-pitr'],
    }),
});

/** What every node has besides its driver's configuration. */
export const nodeSchema = z.strictObject({
  name: nameSchema
    .optional()
    .meta({ description: 'Default: component and region, with a number when there are several' }),
  place: nameSchema
    .optional()
    .meta({ description: 'Place of the workers beside it (rampart worker --region R --place P)', examples: ['db-1'] }),
});

export const fileSchema = z.strictObject({
  version: z
    .literal(1, {
      error: (issue) =>
        issue.input === undefined ? 'is required: write `version: 1`' : 'this Rampart reads version 1',
    })
    .meta({ description: 'Version of this format' }),
  defaults: defaultsSchema.optional(),
  regions: z.record(z.string(), z.unknown()),
  tiers: z.record(z.string(), z.unknown()).optional(),
  components: z.record(z.string(), z.unknown()),
  services: z.record(z.string(), z.unknown()),
  reports: z.unknown().optional(),
  alertSources: z.record(z.string(), z.unknown()).optional(),
  triggers: z.record(z.string(), z.unknown()).optional(),
  notifications: z.record(z.string(), z.unknown()).optional(),
  drills: z.record(z.string(), z.unknown()).optional(),
  divergence: z.record(z.string(), z.unknown()).optional(),
  watch: z.record(z.string(), z.unknown()).optional(),
});
