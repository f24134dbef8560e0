/** The file's shape of notifications, as zod schemas. */
import { z } from 'zod';
import { EVENTS, type EventName, SEVERITIES } from './channels.ts';
import { durationBetween, secretSchema } from './scalars.ts';

const names = (description: string, example: string) =>
  z
    .array(z.string().min(1))
    .min(1)
    .max(100)
    .meta({ description, examples: [[example]] });

const EVENT_NAMES = Object.keys(EVENTS) as [EventName, ...EventName[]];

/** What every channel has. */
const shared = {
  events: z
    .array(z.enum(EVENT_NAMES))
    .min(1)
    .optional()
    .meta({ description: 'Events that are told; default: all', examples: [['approval-required', 'run-held']] }),
  severity: z.enum(SEVERITIES).optional().meta({ description: 'The least that is told; default info' }),
  services: names('Services it is for; default: all', 'checkout').optional(),
  drills: z
    .boolean()
    .optional()
    .meta({ description: 'Whether drills are told of as well; default false: a drill pages and posts nothing' }),
};

/** An address that requests go to; without TLS only on this machine, where tests and relays are. */
const address = (description: string, example: string) =>
  z
    .string()
    .superRefine((value, context) => {
      const problem = addressProblem(value);
      if (problem !== null) context.addIssue({ code: 'custom', message: problem, params: { code: 'invalid_url' } });
    })
    .meta({ description, examples: [example] });

function addressProblem(value: string): string | null {
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return 'expected an https:// address';
  if (url.username !== '' || url.password !== '')
    return 'an address holds no user or password: the secret has a field of its own';
  const local = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127\./.test(url.hostname);
  return url.protocol === 'https:' || local ? null : 'without TLS only to this machine: expected an https:// address';
}

const mail = (description: string, example: string) =>
  z
    .string()
    .regex(/^[^\s@<>,]+@[^\s@<>,]+$/, 'expected an address such as ops@example.com')
    .meta({ description, examples: [example] });

const NETWORK = /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)\/\d{1,3}$/;

export const channelSchemas = {
  slack: z
    .strictObject({
      type: z.literal('slack'),
      token: secretSchema.meta({ description: 'Bot token (`xoxb-…`) with the scope chat:write' }),
      channel: z
        .string()
        .regex(/^[CGD][A-Z0-9]{6,}$/, 'expected the id of a channel, such as C0123456789: names can change')
        .meta({ description: 'Id of the channel; the bot must be in it', examples: ['C0123456789'] }),
      url: address('Base of the Web API; default https://slack.com/api', 'https://slack-gov.com/api').optional(),
      signingSecret: z
        .union([secretSchema, z.array(secretSchema).min(1).max(5)], {
          error: 'expected a secret reference, or a list of them',
        })
        .optional()
        .meta({
          description:
            "The app's signing secret, by which `rampart serve` knows that a button was pressed in Slack; several while they are rotated",
        }),
      approvers: z
        .record(
          z.string().regex(/^[UW][A-Z0-9]{6,}$/, 'expected the id of a person in Slack, such as U024BE7LH'),
          z.string().min(1),
        )
        .optional()
        .meta({
          description:
            'Who may press the buttons at gates: Slack user id → the name that approvers and requesters have; needs signingSecret',
          examples: [{ U024BE7LH: 'ana@example.com' }],
        }),
      ...shared,
    })
    .meta({ description: 'Slack: one message per run, brought up to date in place, and a thread beneath it' }),
  pagerduty: z
    .strictObject({
      type: z.literal('pagerduty'),
      routingKey: secretSchema.meta({ description: 'Integration key of an Events API v2 integration' }),
      url: address(
        'Base of the Events API; default https://events.pagerduty.com',
        'https://events.eu.pagerduty.com',
      ).optional(),
      ...shared,
    })
    .meta({ description: 'PagerDuty: an alert when people are needed, resolved at the end; changes for the rest' }),
  email: z
    .strictObject({
      type: z.literal('email'),
      host: z
        .string()
        .min(1)
        .meta({ description: 'The SMTP server', examples: ['smtp.example.com'] }),
      port: z.int().min(1).max(65_535).optional().meta({ description: 'Its port; default 587, with implicit TLS 465' }),
      tls: z.enum(['starttls', 'implicit', 'none']).optional().meta({
        description: 'starttls (the default) is required of the server; none: only for a relay on a trusted network',
      }),
      user: z
        .string()
        .min(1)
        .optional()
        .meta({ description: 'Who logs in', examples: ['rampart'] }),
      password: secretSchema.optional().meta({ description: 'Its password' }),
      from: mail('Sender', 'rampart@example.com'),
      to: z
        .union([mail('Receiver', 'ops@example.com'), z.array(mail('Receiver', 'ops@example.com')).min(1).max(50)], {
          error: 'expected an address, or a list of them',
        })
        .meta({ description: 'Receivers', examples: [['ops@example.com']] }),
      ...shared,
    })
    .meta({ description: 'E-mail by SMTP; the mails of one run are one conversation' }),
  webhook: z
    .strictObject({
      type: z.literal('webhook'),
      url: address('Where events are posted, as CloudEvents 1.0 in JSON', 'https://hooks.example.com/rampart'),
      secret: secretSchema.meta({ description: 'Secret of Standard Webhooks (`whsec_…`) that signs each message' }),
      allow: z
        .array(z.string().regex(NETWORK, 'expected a network such as 10.1.0.0/16'))
        .min(1)
        .max(50)
        .optional()
        .meta({
          description: 'Networks that may be sent to although they are not public',
          examples: [['10.1.0.0/16']],
        }),
      ...shared,
    })
    .meta({ description: 'A signed HTTP request for each event; public addresses only, no redirects' }),
} as const;

export const notificationsSchema = z
  .strictObject({
    channels: z.record(z.string(), z.unknown()).optional().meta({ description: 'Where people are told, by name' }),
    escalation: z
      .strictObject({
        after: z
          .array(durationBetween(1_000))
          .min(1)
          .max(10)
          .optional()
          .meta({
            description: 'A gate that nobody has answered for so long is told of again; default [15m, 30m]',
            examples: [['15m', '30m']],
          }),
        channels: names(
          'The second group: channels that are told then, besides those that want the event',
          'page-leads',
        ).optional(),
      })
      .optional()
      .meta({ description: 'What follows when nobody answers' }),
    checklist: z
      .array(z.string().min(1).max(300))
      .min(1)
      .max(50)
      .optional()
      .meta({
        description:
          'What must be said to whom in every run; {service}, {from}, {to}, {mode} and {action} are filled in',
        examples: [['Tell support that {service} moves to {to}']],
      }),
  })
  .meta({ description: 'Whom the runs tell of what' });
