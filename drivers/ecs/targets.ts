/** Whether a service's load balancers send requests to its tasks: that they run is not enough. */
import type { Service } from '@aws-sdk/client-ecs';
import type { TargetHealthDescription } from '@aws-sdk/client-elastic-load-balancing-v2';
import { awsApi } from '../aws/client.ts';
import type { DriverContext } from '../ports.ts';
import { BALANCING_CALLS } from './calls.ts';
import type { EcsNode } from './config.ts';

export interface Targets {
  /** What the load balancers have against the tasks, for people; empty when each has as many healthy ones as are wanted. */
  missing(service: Service): Promise<string>;
}

export async function balancedTargets(options: {
  node: EcsNode;
  context: DriverContext;
  component: string;
  timeoutMs: number;
}): Promise<Targets> {
  const { node, context, component, timeoutMs } = options;

  async function healthOf(TargetGroupArn: string): Promise<TargetHealthDescription[]> {
    // Only for services that have load balancers is the package needed, and the right.
    const api = await awsApi({
      load: () =>
        import('@aws-sdk/client-elastic-load-balancing-v2').then(
          ({ ElasticLoadBalancingV2Client: Client }) =>
            (base) =>
              new Client(base),
        ),
      package: '@aws-sdk/client-elastic-load-balancing-v2',
      calls: BALANCING_CALLS,
      place: { region: node.region, endpoint: node.loadBalancingEndpoint },
      context,
      component,
    });
    const { DescribeTargetHealthCommand } = await import('@aws-sdk/client-elastic-load-balancing-v2');
    const command = new DescribeTargetHealthCommand({ TargetGroupArn });
    const answer = await api.call('DescribeTargetHealth', (client, limits) => client.send(command, limits), {
      timeoutMs,
    });
    return answer.TargetHealthDescriptions ?? [];
  }

  return {
    async missing(service) {
      const wanted = service.desiredCount ?? 0;
      const said = await Promise.all(
        groupsOf(service).map(async (arns) => shortOf(arns, (await Promise.all(arns.map(healthOf))).flat(), wanted)),
      );
      return said.filter(Boolean).join('; ');
    },
  };
}

/** Target groups by load balancer: of two that a deployment lets take turns, one has the tasks. */
function groupsOf({ loadBalancers = [] }: Service): string[][] {
  return loadBalancers.flatMap(({ targetGroupArn, advancedConfiguration }) =>
    targetGroupArn === undefined
      ? []
      : [[targetGroupArn, advancedConfiguration?.alternateTargetGroupArn].filter((arn) => arn !== undefined)],
  );
}

function shortOf(arns: readonly string[], targets: readonly TargetHealthDescription[], wanted: number): string {
  // No listener leads to it: nobody gets there, whatever its health.
  if (targets.length > 0 && targets.every(({ TargetHealth: health }) => health?.Reason === 'Target.NotInUse'))
    return '';
  const healthy = targets.filter(({ TargetHealth: health }) => health?.State === 'healthy').length;
  if (healthy >= wanted) return '';
  const others = new Set(
    targets.flatMap(({ TargetHealth: health }) =>
      health?.State === 'healthy' ? [] : [health?.Description ?? health?.State ?? 'unknown'],
    ),
  );
  const name = arns.map((arn) => arn.split(':targetgroup/')[1]?.split('/')[0] ?? arn).join(' and ');
  const why = others.size === 0 ? '' : ` (${[...others].join(', ')})`;
  return `the load balancer finds ${healthy} of ${wanted} targets of ${name} healthy${why}`;
}
