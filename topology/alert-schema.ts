/** The file's shape of alert sources and triggers, as zod schemas. */
import { z } from 'zod';
import { durationBetween, durationSchema, secretSchema } from './scalars.ts';

const secrets = (description: string) =>
  z
    .union([secretSchema, z.array(secretSchema).min(1).max(5)], {
      error: 'expected a secret reference, or a list of them',
    })
    .transform((given) => (typeof given === 'string' ? [given] : given))
    .meta({ description: `${description}; several are accepted at once, so that they can be rotated` });

const header = (description: string, example: string) =>
  z
    .string()
    .regex(/^[A-Za-z0-9-]{1,100}$/, 'a header name is made of letters, digits and dashes')
    .meta({ description, examples: [example] });

/** The ways to prove who sends; exactly one. */
const WAYS = ['bearer', 'basic', 'header', 'hmac', 'path'] as const;

export const authSchema = z.union(
  [
    z.literal('none'),
    z
      .strictObject({
        bearer: secrets('Token of `Authorization: Bearer …`').optional(),
        basic: z.strictObject({ user: z.string().min(1), password: secrets('Its password') }).optional(),
        header: z.strictObject({ name: header('Its name', 'X-Webhook-Token'), value: secrets('Its value') }).optional(),
        hmac: z
          .strictObject({
            secret: secrets('Key of HMAC-SHA256 over the raw body'),
            header: header("Where the signature is; default: the source type's own", 'X-Signature').optional(),
            timestampHeader: header(
              'Where the time is that is signed with the body; Grafana sends one when told to',
              'X-Grafana-Alerting-Timestamp',
            ).optional(),
          })
          .optional(),
        path: secrets("Last part of the URL's path, for senders that can send no header").optional(),
      })
      .superRefine((given, context) => {
        const named = WAYS.filter((way) => given[way] !== undefined);
        if (named.length === 1) return;
        const message = `name exactly one of ${WAYS.join(', ')}`;
        context.addIssue({ code: 'custom', message, params: { code: 'auth_ways' } });
      }),
  ],
  { error: 'expected none, or a map with one of bearer, basic, header, hmac, path' },
);

const cel = (description: string, example: string) =>
  z
    .string()
    .min(1)
    .max(2_000)
    .meta({ description: `${description} (CEL over body and headers)`, examples: [example] });

const mapSchema = z.strictObject({
  each: cel('The list in the body of which each entry is one alert, then called item', 'body.alerts').optional(),
  status: cel('"firing", "resolved", or anything else for unknown', 'body.state == "DOWN" ? "firing" : "resolved"'),
  key: cel('What is wrong: the same from firing to resolved', 'string(body.check_id)'),
  delivery: cel(
    'The same for every attempt to deliver the same message; without it the sender does not number its messages',
    'body.id',
  ).optional(),
  startsAt: cel('Since when: RFC 3339, or seconds or milliseconds since the epoch', 'body.since').optional(),
  severity: cel('How bad', 'body.severity').optional(),
  url: cel('Where people look', 'body.link').optional(),
  labels: z
    .record(z.string(), cel('A label', 'body.name'))
    .optional()
    .meta({
      description: 'Labels that triggers match, each by an expression',
      examples: [{ check: 'body.check_name' }],
    }),
});

export const alertSourceSchema = z
  .strictObject({
    type: z
      .enum(['alertmanager', 'grafana', 'pagerduty', 'sns', 'standardWebhooks', 'cloudEvents', 'generic'])
      .meta({ description: 'Who sends' }),
    auth: authSchema.optional().meta({
      description: 'How the sender proves who it is; sns brings its own. none: only for a listener on loopback',
    }),
    topics: z
      .array(
        z.string().regex(/^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]+$/, 'expected the ARN of an SNS topic'),
      )
      .min(1)
      .max(100)
      .optional()
      .meta({
        description: 'sns: the topics that may send',
        examples: [['arn:aws:sns:eu-west-1:123456789012:alarms']],
      }),
    map: mapSchema.optional().meta({
      description:
        'generic, and standardWebhooks or cloudEvents with events of your own: what each field of an alert is in the body',
    }),
    insufficientData: z
      .enum(['firing', 'resolved', 'unknown'])
      .optional()
      .meta({ description: 'sns: what a CloudWatch alarm without data means; default unknown' }),
  })
  .meta({ description: 'Who may tell `rampart serve` that something is wrong' });

const atLeast = (most: number, description: string, within: string) =>
  z
    .strictObject({
      atLeast: z.int().min(1).max(most),
      within: durationBetween(1_000).meta({ examples: [within] }),
    })
    .meta({ description });

export const triggerSchema = z
  .strictObject({
    service: z
      .string()
      .min(1)
      .meta({ description: 'The service it is about', examples: ['checkout'] }),
    action: z.enum(['failover', 'trafficRamp', 'halt', 'page']).optional().meta({
      description:
        'failover (the default), trafficRamp (traffic only, the data stays), halt (corrupted data: stop runs, triggers and replicas, never move), page (tell people, do nothing)',
    }),
    to: z
      .string()
      .min(1)
      .optional()
      .meta({ description: 'Region to go to', examples: ['eu-central'] }),
    runMode: z
      .enum(['planned', 'unplanned'])
      .optional()
      .meta({ description: 'Mode of the run; default unplanned, because an alert is about something that is broken' }),
    mode: z.enum(['propose', 'execute']).optional().meta({
      description:
        "propose (the default): a run that waits for people, having changed nothing; execute: the service's own approvals decide whom it asks",
    }),
    when: z
      .array(
        z.strictObject({
          source: z
            .string()
            .min(1)
            .meta({ description: 'One of alertSources, `watch` or `guard`', examples: ['alertmanager'] }),
          labels: z
            .record(z.string(), z.string())
            .optional()
            .meta({
              description: 'Labels the alert must have; a value between slashes is a regular expression over all of it',
              examples: [{ alertname: 'RegionDown', region: 'eu-west' }],
            }),
        }),
      )
      .min(1)
      .max(50)
      .meta({ description: 'Alerts that count' }),
    quorum: atLeast(20, 'So many different sources must be firing within a time; default 1', '5m').optional(),
    times: atLeast(
      1_000,
      'So often an alert must have been sent within a time, for checks that send each failure',
      '2m',
    ).optional(),
    for: durationSchema.optional().meta({ description: 'It must stay so for this long; default 0s', examples: ['3m'] }),
    cooldown: durationSchema
      .optional()
      .meta({ description: 'Nothing follows for so long after a run; default 1h', examples: ['6h'] }),
    maxPerDay: z.int().min(1).max(1_000).optional().meta({ description: 'Most runs in 24 hours; default 3' }),
    flapping: z
      .strictObject({
        changes: z.int().min(2).max(1_000),
        within: durationBetween(1_000).meta({ examples: ['30m'] }),
      })
      .optional()
      .meta({ description: 'So many changes in a time hold the automation; default 6 in 30m' }),
    correlate: durationSchema.optional().meta({
      description:
        'Alerts within this time of the run belong to one incident; of later ones people are told besides; default 15m',
      examples: ['15m'],
    }),
    maintenance: z
      .array(
        z.strictObject({
          cron: z
            .string()
            .min(1)
            .meta({ description: 'Beginning: minute hour day month weekday', examples: ['0 2 * * 0'] }),
          duration: durationBetween(60_000).meta({ examples: ['2h'] }),
          timeZone: z
            .string()
            .min(1)
            .optional()
            .meta({ description: 'Default UTC', examples: ['Europe/Berlin'] }),
        }),
      )
      .max(50)
      .optional()
      .meta({ description: 'Times in which nothing follows' }),
  })
  .meta({ description: 'What follows when alerts say that something is wrong' });
