import { z } from 'zod';
import { capacityConfig, standbyUnits, units } from '../aws/capacity/config.ts';
import { awsEndpoint, awsRegion } from '../aws/schema.ts';

const name = z.string().regex(/^[\w-]{1,255}$/, 'expected a name, not an ARN: letters, digits, _ and -');

export const configSchema = z.strictObject({
  ...capacityConfig,
  autoscaling: z
    .boolean()
    .prefault(true)
    .meta({
      description:
        'Whether bounds of Application Auto Scaling are looked for and driven; services without any are fine',
      examples: [true],
    }),
  targetHealth: z
    .boolean()
    .prefault(true)
    .meta({
      description:
        'Whether the load balancers of the service must find as many tasks healthy as are wanted before the region gets traffic; `false` for an app whose health check fails until its database takes writes',
      examples: [true],
    }),
});

/** One side: a service in a region. */
export const nodeSchema = z.strictObject({
  region: awsRegion,
  cluster: name.meta({ description: 'Name of the ECS cluster', examples: ['shop'] }),
  service: name.meta({ description: 'Name of the ECS service', examples: ['checkout'] }),
  tasks: units.meta({
    description:
      'Tasks that must serve before the region gets traffic; absent: as many as the busiest other side is set to',
    examples: [6],
  }),
  standby: standbyUnits.meta({
    description: 'Tasks that standby keeps at least, where it had been drained',
    examples: [2],
  }),
  endpoint: awsEndpoint.optional(),
  scalingEndpoint: awsEndpoint.optional().meta({
    description: "Address of Application Auto Scaling, when it is not the region's own",
    examples: ['https://vpce-0abc.application-autoscaling.eu-west-1.vpce.amazonaws.com'],
  }),
  loadBalancingEndpoint: awsEndpoint.optional().meta({
    description: "Address of Elastic Load Balancing, when it is not the region's own",
    examples: ['https://vpce-0abc.elasticloadbalancing.eu-west-1.vpce.amazonaws.com'],
  }),
  cloudwatchEndpoint: awsEndpoint.optional().meta({
    description: "Address of CloudWatch, when it is not the region's own",
    examples: ['https://vpce-0abc.monitoring.eu-west-1.vpce.amazonaws.com'],
  }),
});

export type EcsConfig = z.output<typeof configSchema>;
export type EcsNode = z.output<typeof nodeSchema>;
