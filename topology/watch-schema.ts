/** The file's shape of a watch, as a zod schema. */
import { z } from 'zod';
import { durationBetween } from './scalars.ts';
import { MOST_POINTS, MOST_PROBES, MOST_REGIONS } from './watches.ts';

const list = (most: number, description: string, example: string[]) =>
  z
    .array(z.string().min(1))
    .min(1)
    .max(most)
    .superRefine((given, context) => {
      for (const [i, entry] of given.entries())
        if (given.indexOf(entry) < i)
          context.addIssue({
            ...{ code: 'custom', path: [i], message: `"${entry}" stands twice in this list` },
            params: { code: 'duplicate' },
          });
    })
    .meta({ description, examples: [example] });

export const watchSchema = z
  .strictObject({
    service: z
      .string()
      .min(1)
      .optional()
      .meta({ description: 'The service it is about; without one it is about regions', examples: ['checkout'] }),
    regions: list(MOST_REGIONS, "Regions that are asked; default: the service's home and standby", [
      'eu-west',
      'eu-central',
    ]).optional(),
    probes: list(
      MOST_PROBES,
      "Checks that are asked; default: the service's checks. One without sides is asked once, and tells nothing of a region",
      ['orders-healthy'],
    ).optional(),
    from: list(
      MOST_POINTS,
      'Vantage points: `control`, and regions by name; default: control and every watched region',
      ['control', 'eu-west', 'eu-central'],
    ).optional(),
    interval: durationBetween(500, 600_000)
      .optional()
      .meta({ description: 'From one asking to the next; default 2s', examples: ['2s'] }),
    window: durationBetween(1_000, 3_600_000)
      .optional()
      .meta({
        description:
          'Time that error rate and latency are taken over, and that must pass without a failure before all is well again; default 60s',
        examples: ['60s'],
      }),
    failures: z
      .int()
      .min(1)
      .max(100)
      .optional()
      .meta({ description: 'Failures in a row that make a probe fail; default 3', examples: [3] }),
    errorRate: z
      .number()
      .min(0)
      .max(100)
      .optional()
      .meta({
        description: 'Percent of failures in the window above which the rate is too high; default 5',
        examples: [5],
      }),
    latency: durationBetween(1, 600_000)
      .optional()
      .meta({
        description: 'Median of the window above which answers are too slow; default 500ms',
        examples: ['500ms'],
      }),
    votes: z
      .int()
      .min(1)
      .max(MOST_POINTS)
      .optional()
      .meta({
        description:
          'Vantage points outside a region that must agree that it is down, besides being the majority of those that can tell; default 2, or 1 where there is only one',
        examples: [2],
      }),
  })
  .meta({ description: "Rampart's own probes of a service, or of regions" });
