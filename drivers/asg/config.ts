import { z } from 'zod';
import { durationBetween } from '../../topology/scalars.ts';
import { capacityConfig, standbyUnits, units } from '../aws/capacity/config.ts';
import { awsEndpoint, awsRegion } from '../aws/schema.ts';

export const configSchema = z.strictObject(capacityConfig);

/** One side: a group in a region. */
export const nodeSchema = z.strictObject({
  region: awsRegion,
  group: z
    .string()
    .regex(/^[^:/'\s]{1,255}$/, 'expected the name of a group, not its ARN')
    .meta({ description: 'Name of the Auto Scaling group', examples: ['checkout-web'] }),
  instances: units.meta({
    description:
      'Instances that must serve before the region gets traffic; absent: as many as the busiest other side is set to',
    examples: [6],
  }),
  standby: standbyUnits.meta({
    description: 'Instances that standby keeps at least, where it had been drained',
    examples: [2],
  }),
  warmUp: durationBetween(0, 3_600_000)
    .optional()
    .meta({
      description: "How long a new instance does not count yet; absent: the group's default instance warm-up",
      examples: ['3m'],
    }),
  endpoint: awsEndpoint.optional(),
  cloudwatchEndpoint: awsEndpoint.optional().meta({
    description: "Address of CloudWatch, when it is not the region's own",
    examples: ['https://vpce-0abc.monitoring.eu-west-1.vpce.amazonaws.com'],
  }),
});

export type AsgConfig = z.output<typeof configSchema>;
export type AsgNode = z.output<typeof nodeSchema>;
