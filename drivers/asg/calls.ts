import { apiCalls } from '../aws/calls.ts';

const side = { plane: 'control', where: "the side's region" } as const;
const GROUP = 'arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*';

export const ASG_CALLS = apiCalls('auto-scaling', {
  DescribeAutoScalingGroups: {
    ...side,
    changes: false,
    right: 'autoscaling:DescribeAutoScalingGroups',
    resource: '*',
    why: 'size, instances, suspended processes, tags',
  },
  DescribeScalingActivities: {
    ...side,
    changes: false,
    right: 'autoscaling:DescribeScalingActivities',
    resource: '*',
    why: 'why instances do not start (quotas, capacity), and when the last one began to warm up',
  },
  DescribeInstanceRefreshes: {
    ...side,
    changes: false,
    right: 'autoscaling:DescribeInstanceRefreshes',
    resource: '*',
    why: 'whether instances are being replaced',
  },
  UpdateAutoScalingGroup: {
    ...side,
    changes: true,
    right: 'autoscaling:UpdateAutoScalingGroup',
    resource: GROUP,
    why: 'sets minimum, maximum and desired capacity in one call',
  },
  CreateOrUpdateTags: {
    ...side,
    changes: true,
    right: 'autoscaling:CreateOrUpdateTags',
    resource: GROUP,
    why: 'keeps the claim, the state asked for and the size of before',
  },
  DeleteTags: {
    ...side,
    changes: true,
    right: 'autoscaling:DeleteTags',
    resource: GROUP,
    why: 'takes the remembered size away once it is put back',
  },
});
