import { z } from 'zod';
import { durationBetween } from '../../topology/scalars.ts';
import { awsEndpoint, awsRegion } from '../aws/schema.ts';
import { expectationSchema } from '../verdict.ts';

const metricSchema = z
  .strictObject({
    namespace: z
      .string()
      .min(1)
      .meta({ description: 'Namespace of the metric', examples: ['AWS/ApplicationELB'] }),
    name: z
      .string()
      .min(1)
      .meta({ description: 'Name of the metric', examples: ['HTTPCode_Target_5XX_Count'] }),
    dimensions: z
      .record(z.string().min(1), z.string().min(1))
      .default({})
      .meta({
        description:
          'Dimensions, all of those that the metric has; {{region}}, {{node}} and {{service}} are put in. A side may name others',
        examples: [{ LoadBalancer: 'app/checkout/50dc6c495c0c9188' }],
      }),
    stat: z
      .string()
      .regex(
        /^(SampleCount|Average|Sum|Minimum|Maximum|IQM|(p|tm|tc|ts|wm)\d{1,2}(\.\d{1,2})?)$/,
        'expected a statistic such as Sum, Average or p99',
      )
      .prefault('Average')
      .meta({ description: 'Statistic over one period', examples: ['Sum', 'p99'] }),
    period: durationBetween(60_000, 86_400_000)
      .refine((ms) => ms % 60_000 === 0, 'must be whole minutes')
      .prefault('1m')
      .meta({ description: 'Length of a period, whole minutes', examples: ['1m', '5m'] }),
    noData: z
      .enum(['unknown', 'zero'])
      .prefault('unknown')
      .meta({
        description:
          'What no data point means. `zero` only for counts that are published when something happens, such as 5xx answers: then a metric that is broken reads as zero, too',
        examples: ['unknown', 'zero'],
      }),
  })
  .meta({ description: 'A metric whose newest whole period is judged; this or `alarm`' });

export const configSchema = z.strictObject({
  metric: metricSchema.optional(),
  expect: expectationSchema.optional(),
  alarm: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .meta({
      description:
        'Name of a metric or composite alarm: OK passes, ALARM fails, INSUFFICIENT_DATA is unknown; {{region}}, {{node}} and {{service}} are put in. This or `metric`',
      examples: ['checkout-{{region}}-errors'],
    }),
  maxAge: durationBetween(60_000, 86_400_000)
    .prefault('5m')
    .meta({
      description: 'How long ago the newest whole period may have ended; an older one is unknown',
      examples: ['5m'],
    }),
  timeout: durationBetween(10, 60_000)
    .prefault('5s')
    .meta({ description: 'Longest wait for an answer; after it the outcome is unknown', examples: ['5s'] }),
});

/** One side: where it is asked, and what differs there. */
export const nodeSchema = z.strictObject({
  region: awsRegion,
  endpoint: awsEndpoint.optional(),
  dimensions: z
    .record(z.string().min(1), z.string().min(1))
    .default({})
    .meta({
      description: "Dimensions of this side, added to the metric's or in place of them",
      examples: [{ LoadBalancer: 'app/checkout-west/50dc6c495c0c9188' }],
    }),
  alarm: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .meta({
      description: "Name of this side's alarm, in place of the component's",
      examples: ['checkout-west-errors'],
    }),
});

export type CloudwatchConfig = z.output<typeof configSchema>;
export type CloudwatchNode = z.output<typeof nodeSchema>;
export type MetricConfig = z.output<typeof metricSchema>;
