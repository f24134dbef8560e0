/** The file's shape of drills, as a zod schema. */
import { z } from 'zod';
import { durationBetween, durationSchema } from './scalars.ts';
import { assertionsSchema, nameSchema } from './schema.ts';

const cron = (description: string, example: string) =>
  z
    .string()
    .min(1)
    .meta({ description, examples: [example] });

const timeZone = z
  .string()
  .min(1)
  .optional()
  .meta({ description: 'Default UTC', examples: ['Europe/Berlin'] });

const percent = (description: string, example: number) =>
  z
    .int({
      error: (issue) =>
        typeof issue.input === 'string' ? 'percent are whole numbers without a sign, for example 25' : undefined,
    })
    .min(1)
    .max(100)
    .optional()
    .meta({ description, examples: [example] });

const flag = (description: string) =>
  z
    .boolean()
    .optional()
    .meta({ description: `${description}; default true` });

const command = (description: string, example: string[]) =>
  z
    .array(z.string().min(1))
    .min(1)
    .max(100)
    .meta({ description: `${description}: program and arguments, no shell`, examples: [example] });

const chaosSchema = z
  .strictObject({
    break: command('What breaks it, once', ['/usr/local/bin/break-it', 'eu-west']),
    restore: command('What mends it, whatever has happened; it may run again', ['/usr/local/bin/mend-it', 'eu-west']),
    timeout: durationBetween(1_000, 3_600_000)
      .optional()
      .meta({ description: 'Longest time of each command; default 2m', examples: ['2m'] }),
    detectWithin: durationBetween(1_000).meta({
      description: 'Until a trigger of the group fires, a run is on or the guard is alarmed',
      examples: ['2m'],
    }),
    recoverWithin: durationBetween(1_000).meta({ description: 'Until the service works again', examples: ['10m'] }),
  })
  .meta({ description: 'chaos: what a control worker breaks and mends, and what must follow' });

export const drillSchema = z
  .strictObject({
    service: z
      .string()
      .min(1)
      .meta({ description: 'The service that is drilled', examples: ['checkout'] }),
    kind: z.enum(['full', 'rampOnly', 'rehearsal', 'checks', 'chaos']).optional().meta({
      description:
        'full (the default): planned failover, dwell, failback; rampOnly: part of the traffic and back, the data stays; rehearsal: a plan on the live state, no effect; checks: the checks of the service, no effect; chaos: your own command breaks something, which must be noticed and mended',
    }),
    to: z
      .string()
      .min(1)
      .optional()
      .meta({ description: 'Region to go to; for checks: only that region', examples: ['eu-central'] }),
    cron: z
      .union([cron('When', '0 10 1-7 1,4,7,10 2'), z.array(cron('When', '0 10 1-7 1,4,7,10 2')).min(1).max(20)], {
        error: 'expected a time such as 0 10 * * 2, or a list of them',
      })
      .transform((given) => (typeof given === 'string' ? [given] : given))
      .meta({
        description:
          'When it is due: minute hour day month weekday, or a list of them; a day must fit both of its fields (0 10 1-7 * 2 is the first Tuesday of a month)',
        examples: ['0 10 1-7 1,4,7,10 2'],
      }),
    timeZone: timeZone.meta({ description: 'Time zone of cron; default UTC', examples: ['Europe/Berlin'] }),
    dwell: durationSchema.optional().meta({
      description:
        'Time on the other side, which full requires; rampOnly: default 10m; checks: how long they are watched, default one round',
      examples: ['30m'],
    }),
    interval: durationBetween(100)
      .optional()
      .meta({ description: 'Time between two rounds of checks; default 10s', examples: ['10s'] }),
    percent: percent('rampOnly: share of the traffic that moves; default 25', 25),
    approvals: z.enum(['auto', 'people']).optional().meta({
      description:
        'Required for full, rampOnly and chaos. people: the first gate asks, and chaos begins only when a person starts it; auto: nobody is asked, once the service has a passed full drill (until then people, whatever is written)',
    }),
    blackout: z
      .array(
        z.strictObject({
          cron: cron('Beginning: minute hour day month weekday', '0 0 20 12 *'),
          duration: durationBetween(60_000).meta({ examples: ['384h'] }),
          timeZone,
        }),
      )
      .max(50)
      .optional()
      .meta({ description: 'Times in which it is skipped' }),
    blockWhen: z
      .strictObject({
        incident: flag('A trigger of the dependency group fires, or another run is on'),
        lastFailed: flag('The last drill of the service has failed; one that a person starts goes ahead'),
        maintenance: flag("A maintenance window of the service's triggers is on"),
        lagAbove: durationSchema.optional().meta({
          description: 'Replication lag above which it is skipped; default: what any planned run requires',
          examples: ['10s'],
        }),
      })
      .optional()
      .meta({ description: 'What it is skipped for, besides whatever speaks against a planned run' }),
    abortWhen: z
      .strictObject({
        checksFailing: z
          .int()
          .min(1)
          .max(1_000)
          .optional()
          .meta({ description: 'Rounds in a row in which a check does not pass; default 3', examples: [3] }),
        errorRate: z
          .strictObject({
            above: percent('Percent of all measurements that do not pass', 20),
            within: durationBetween(1_000)
              .optional()
              .meta({ description: 'Default 60s', examples: ['60s'] }),
          })
          .optional()
          .meta({ description: 'Share of the measurements of all checks that do not pass; default: not looked at' }),
        lagAbove: durationSchema.optional().meta({
          description: 'The old side is further behind, or its lag unknown, for as many rounds; default: not looked at',
          examples: ['1m'],
        }),
      })
      .optional()
      .meta({ description: 'What ends the dwell early and sends the service back' }),
    overdueAfter: durationBetween(60_000)
      .optional()
      .meta({
        description: 'Age of its last pass from which it is overdue; default: twice the time between two runs',
        examples: ['2400h'],
      }),
    group: nameSchema.optional().meta({
      description: 'Never two drills of one group at once; default: the services that depend on each other',
      examples: ['shop'],
    }),
    chaos: chaosSchema.optional(),
    assertions: assertionsSchema
      .optional()
      .meta({ description: 'What must be true of the drill, besides what the service asserts of every run' }),
  })
  .meta({ description: 'What is rehearsed, and when' });
