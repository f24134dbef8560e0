import { apiCalls } from '../aws/calls.ts';

const side = { plane: 'control', where: "the side's region" } as const;
const SERVICE = 'arn:aws:ecs:*:*:service/*/*';

export const ECS_CALLS = apiCalls('ecs', {
  DescribeServices: {
    ...side,
    changes: false,
    right: 'ecs:DescribeServices',
    resource: SERVICE,
    why: 'desired and running tasks, deployments, events, tags',
  },
  ListTasks: {
    ...side,
    changes: false,
    right: 'ecs:ListTasks',
    resource: '*',
    why: 'tasks that are unhealthy, or being stopped and still working',
  },
  DescribeTasks: {
    ...side,
    changes: false,
    right: 'ecs:DescribeTasks',
    resource: 'arn:aws:ecs:*:*:task/*/*',
    why: 'what each of them does and whether it is healthy',
  },
  UpdateService: {
    ...side,
    changes: true,
    right: 'ecs:UpdateService',
    resource: SERVICE,
    why: 'sets the desired count',
  },
  TagResource: {
    ...side,
    changes: true,
    right: 'ecs:TagResource',
    resource: SERVICE,
    why: 'keeps the claim, the state asked for and the size of before',
  },
  UntagResource: {
    ...side,
    changes: true,
    right: 'ecs:UntagResource',
    resource: SERVICE,
    why: 'takes the remembered size away once it is put back',
  },
});

export const SCALING_CALLS = apiCalls('application-auto-scaling', {
  DescribeScalableTargets: {
    ...side,
    changes: false,
    right: 'application-autoscaling:DescribeScalableTargets',
    resource: '*',
    why: 'bounds of the autoscaling',
  },
  RegisterScalableTarget: {
    ...side,
    changes: true,
    right: 'application-autoscaling:RegisterScalableTarget',
    resource: 'arn:aws:application-autoscaling:*:*:scalable-target/*',
    why: 'raises the lower bound before traffic comes, sets both to 0 while drained, puts them back',
  },
});

export const BALANCING_CALLS = apiCalls('elastic-load-balancing-v2', {
  DescribeTargetHealth: {
    ...side,
    changes: false,
    right: 'elasticloadbalancing:DescribeTargetHealth',
    resource: '*',
    why: 'whether load balancers send requests to the tasks',
  },
});
