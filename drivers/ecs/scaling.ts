/** The bounds that Application Auto Scaling keeps a service's desired count within. */
import { awsApi } from '../aws/client.ts';
import type { DriverContext } from '../ports.ts';
import { SCALING_CALLS } from './calls.ts';
import type { EcsNode } from './config.ts';

export interface Bounds {
  min: number;
  max: number;
}

export async function scalableTarget(options: {
  node: EcsNode;
  context: DriverContext;
  component: string;
  timeoutMs: number;
}): Promise<{ read(): Promise<Bounds | null>; write(bounds: Bounds): Promise<void> }> {
  const { node, context, component, timeoutMs } = options;
  const api = await awsApi({
    load: () =>
      import('@aws-sdk/client-application-auto-scaling').then(
        ({ ApplicationAutoScalingClient }) =>
          (base) =>
            new ApplicationAutoScalingClient(base),
      ),
    package: '@aws-sdk/client-application-auto-scaling',
    calls: SCALING_CALLS,
    place: { region: node.region, endpoint: node.scalingEndpoint },
    context,
    component,
  });
  const sdk = await import('@aws-sdk/client-application-auto-scaling');
  const ResourceId = `service/${node.cluster}/${node.service}`;
  const target = { ServiceNamespace: 'ecs', ScalableDimension: 'ecs:service:DesiredCount' } as const;
  return {
    async read() {
      const command = new sdk.DescribeScalableTargetsCommand({ ...target, ResourceIds: [ResourceId] });
      const answer = await api.call('DescribeScalableTargets', (client, limits) => client.send(command, limits), {
        timeoutMs,
      });
      const found = answer.ScalableTargets?.find((one) => one.ResourceId === ResourceId);
      if (found?.MinCapacity === undefined || found.MaxCapacity === undefined) return null;
      return { min: found.MinCapacity, max: found.MaxCapacity };
    },
    async write({ min, max }) {
      // Without SuspendedState: what a person suspended stays so.
      const command = new sdk.RegisterScalableTargetCommand({
        ...target,
        ResourceId,
        MinCapacity: min,
        MaxCapacity: max,
      });
      await api.call('RegisterScalableTarget', (client, limits) => client.send(command, limits), { timeoutMs });
    },
  };
}
