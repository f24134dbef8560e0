/** The shape of `divergence` in the file. */
import { z } from 'zod';
import { durationBetween, secretSchema } from './scalars.ts';

const names = z.union([
  z
    .string()
    .min(1)
    .transform((one) => [one]),
  z.array(z.string().min(1)).min(1).max(16),
]);

const sourceSchema = z
  .strictObject({
    component: z
      .string()
      .min(1)
      .optional()
      .meta({
        description: 'A postgres component: its first node in the region, with its rights',
        examples: ['orders-db'],
      }),
    url: secretSchema
      .optional()
      .meta({ description: 'Or a PostgreSQL connection string', examples: ['${env:ORDERS_WEST_URL}'] }),
    http: z
      .string()
      .regex(/^https?:\/\/\S+$/, 'expected an address such as https://orders.example.com/rows')
      .optional()
      .meta({
        description:
          'Or an address that answers GET with JSON: a list of rows, or {rows, next}; `next` comes back as ?cursor=',
        examples: ['https://orders.eu-west.example.com/rows'],
      }),
    token: secretSchema.optional().meta({ description: 'http: sent as `Authorization: Bearer …`' }),
  })
  .meta({ description: 'Where the rows of a region come from: one of component, url, http' });

export const comparisonSchema = z
  .strictObject({
    service: z
      .string()
      .min(1)
      .meta({ description: 'The service whose data it is', examples: ['checkout'] }),
    between: z
      .record(z.string(), sourceSchema)
      .meta({ description: 'Exactly two regions, each with the source of its rows' }),
    table: z
      .string()
      .regex(/^[^.\s]+(\.[^.\s]+)?$/, 'expected a table, or schema.table')
      .optional()
      .meta({ description: 'SQL: the table', examples: ['public.orders'] }),
    query: z
      .string()
      .min(1)
      .optional()
      .meta({ description: 'SQL: or a SELECT', examples: ['SELECT id, total, updated_at FROM orders'] }),
    key: names.meta({
      description: 'Columns that name a row, together unique; an index over them is used',
      examples: ['id'],
    }),
    columns: names.optional().meta({ description: 'Columns that are compared besides the key; default: all' }),
    timestamp: z
      .string()
      .min(1)
      .optional()
      .meta({
        description: 'Column that says when a row was written; with it the side that wrote first is told',
        examples: ['updated_at'],
      }),
    sample: z
      .int()
      .min(1)
      .max(100)
      .optional()
      .meta({ description: 'Percent of the key ranges that a round looks at, other ones each time; default 100' }),
    every: durationBetween(10_000)
      .optional()
      .meta({ description: 'Between two rounds; default 15m', examples: ['15m'] }),
    settle: durationBetween(0, 3_600_000)
      .optional()
      .meta({
        description: 'What differs is looked at again after this time, because it may be on its way; default 10s',
        examples: ['10s'],
      }),
    maxRows: z
      .int()
      .min(100)
      .max(1_000_000)
      .optional()
      .meta({ description: 'Most rows that a round reads one by one, both sides together; default 20000' }),
    concurrency: z.int().min(1).max(16).optional().meta({ description: 'Queries under way on each side; default 2' }),
    timeout: durationBetween(100, 600_000)
      .optional()
      .meta({ description: 'Longest time for one query or page (statement_timeout); default 30s', examples: ['30s'] }),
    lagSlo: durationBetween(100)
      .optional()
      .meta({
        description: 'How far one side may be behind the other; default 60s',
        examples: ['60s'],
      }),
  })
  .meta({ description: 'A comparison of what two regions hold' });
