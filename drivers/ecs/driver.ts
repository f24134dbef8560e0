/** An ECS service: its desired count and the bounds of its autoscaling. */
import type { Component } from '../../topology/model.ts';
import type { Size } from '../aws/capacity/backend.ts';
import { CPU_CALLS } from '../aws/capacity/cpu.ts';
import { capacityCapabilities, capacityProblems } from '../aws/capacity/driver.ts';
import { capacityWorkload } from '../aws/capacity/workload.ts';
import type { Driver, DriverContext, Workload } from '../ports.ts';
import { openService } from './backend.ts';
import { BALANCING_CALLS, ECS_CALLS, SCALING_CALLS } from './calls.ts';
import { configSchema, type EcsConfig, type EcsNode, nodeSchema } from './config.ts';

export const ecs: Driver<'workload'> = {
  type: 'ecs',
  role: 'workload',
  summary: 'Amazon ECS: desired count and autoscaling bounds of a service',
  config: configSchema,
  node: nodeSchema,
  secrets: [],
  calls: [ECS_CALLS, SCALING_CALLS, BALANCING_CALLS, CPU_CALLS],
  capabilities: (config) => capacityCapabilities(config, 'tasks'),
  local: () => false,
  validate: (component) =>
    capacityProblems(component, ({ region, cluster, service }) => [region, cluster, service].join(' ')),
  open: openEcs,
};

function openEcs(component: Component, context: DriverContext): Workload {
  const config = component.config as unknown as EcsConfig;
  const nodeOf = (region: string) => component.sides[region]?.nodes[0]?.config as unknown as EcsNode;
  return capacityWorkload({
    component,
    context,
    config,
    open: (region, timeoutMs) =>
      openService({ component: component.name, region, node: nodeOf(region), config, context, timeoutMs }),
    wanted: (region) => nodeOf(region).tasks ?? null,
    floor: (region) => nodeOf(region).standby,
    commands: (region, size) => commands(nodeOf(region), config, size),
  });
}

function commands({ region, cluster, service }: EcsNode, { autoscaling }: EcsConfig, size: Size | null): string[] {
  const ecsCommand = (verb: string) => `aws ecs ${verb} --region ${region} --cluster ${cluster}`;
  if (size === null) {
    const query = 'services[0].{status:status,desired:desiredCount,running:runningCount,events:events[:3].message}';
    return [`${ecsCommand('describe-services')} --services ${service} --query '${query}'`];
  }
  const target = `--service-namespace ecs --scalable-dimension ecs:service:DesiredCount --resource-id service/${cluster}/${service}`;
  const bounds = `--min-capacity ${size.min}${size.max === null ? '' : ` --max-capacity ${size.max}`}`;
  return [
    ...(autoscaling
      ? [
          '# Only where it is autoscaled; else the next line answers with an error that does not matter.',
          `aws application-autoscaling register-scalable-target --region ${region} ${target} ${bounds}`,
        ]
      : []),
    `${ecsCommand('update-service')} --service ${service} --desired-count ${size.desired} --query service.desiredCount`,
  ];
}
