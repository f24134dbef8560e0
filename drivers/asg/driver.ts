/** An EC2 Auto Scaling group: minimum, maximum and desired capacity. */
import type { Component } from '../../topology/model.ts';
import type { Size } from '../aws/capacity/backend.ts';
import { CPU_CALLS } from '../aws/capacity/cpu.ts';
import { capacityCapabilities, capacityProblems } from '../aws/capacity/driver.ts';
import { capacityWorkload } from '../aws/capacity/workload.ts';
import type { Driver, DriverContext, Workload } from '../ports.ts';
import { openGroup } from './backend.ts';
import { ASG_CALLS } from './calls.ts';
import { type AsgConfig, type AsgNode, configSchema, nodeSchema } from './config.ts';

export const asg: Driver<'workload'> = {
  type: 'asg',
  role: 'workload',
  summary: 'EC2 Auto Scaling group: minimum, maximum and desired capacity',
  config: configSchema,
  node: nodeSchema,
  secrets: [],
  calls: [ASG_CALLS, CPU_CALLS],
  capabilities: (config) => capacityCapabilities(config, 'instances'),
  local: () => false,
  validate: (component) => capacityProblems(component, ({ region, group }) => [region, group].join(' ')),
  open: openAsg,
};

function openAsg(component: Component, context: DriverContext): Workload {
  const nodeOf = (region: string) => component.sides[region]?.nodes[0]?.config as unknown as AsgNode;
  return capacityWorkload({
    component,
    context,
    config: component.config as unknown as AsgConfig,
    open: (region, timeoutMs) =>
      openGroup({ component: component.name, region, node: nodeOf(region), context, timeoutMs }),
    wanted: (region) => nodeOf(region).instances ?? null,
    floor: (region) => nodeOf(region).standby,
    commands: (region, size) => commands(nodeOf(region), size),
  });
}

function commands({ region, group }: AsgNode, size: Size | null): string[] {
  const command = (verb: string, name: string) => `aws autoscaling ${verb} --region ${region} ${name} '${group}'`;
  if (size === null) {
    const query =
      'AutoScalingGroups[0].{min:MinSize,max:MaxSize,desired:DesiredCapacity,instances:Instances[].LifecycleState}';
    return [`${command('describe-auto-scaling-groups', '--auto-scaling-group-names')} --query '${query}'`];
  }
  const max = size.max === null ? '' : ` --max-size ${size.max}`;
  const sizes = `--min-size ${size.min}${max} --desired-capacity ${size.desired}`;
  return [`${command('update-auto-scaling-group', '--auto-scaling-group-name')} ${sizes}`];
}
