/** The calls of one Auto Scaling group. */
import type { Activity, AutoScalingGroup, InstanceRefresh } from '@aws-sdk/client-auto-scaling';
import type { Size } from '../aws/capacity/backend.ts';
import { awsApi } from '../aws/client.ts';
import type { DriverContext } from '../ports.ts';
import { ASG_CALLS } from './calls.ts';
import type { AsgNode } from './config.ts';

/** Activities that are looked at: the newest ones. */
const ACTIVITIES = 20;

export interface GroupApi {
  describe(): Promise<AutoScalingGroup | undefined>;
  /** Newest first. */
  activities(): Promise<Activity[]>;
  /** Newest first. */
  refreshes(): Promise<InstanceRefresh[]>;
  update(size: Size): Promise<void>;
  /** `null` takes a tag away. */
  tag(tags: Record<string, string | null>): Promise<void>;
}

export async function groupApi(options: {
  node: AsgNode;
  context: DriverContext;
  component: string;
  timeoutMs: number;
}): Promise<GroupApi> {
  const { node, context, component, timeoutMs } = options;
  const { group } = node;
  const api = await awsApi({
    load: () =>
      import('@aws-sdk/client-auto-scaling').then(
        ({ AutoScalingClient }) =>
          (base) =>
            new AutoScalingClient(base),
      ),
    package: '@aws-sdk/client-auto-scaling',
    calls: ASG_CALLS,
    place: { region: node.region, endpoint: node.endpoint },
    context,
    component,
  });
  const sdk = await import('@aws-sdk/client-auto-scaling');
  const limits = { timeoutMs };
  const tagged = (Key: string) => ({ ResourceId: group, ResourceType: 'auto-scaling-group', Key });
  return {
    async describe() {
      const command = new sdk.DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [group] });
      const answer = await api.call(
        'DescribeAutoScalingGroups',
        (client, abort) => client.send(command, abort),
        limits,
      );
      return answer.AutoScalingGroups?.find((one) => one.AutoScalingGroupName === group);
    },
    async activities() {
      const command = new sdk.DescribeScalingActivitiesCommand({ AutoScalingGroupName: group, MaxRecords: ACTIVITIES });
      const answer = await api.call(
        'DescribeScalingActivities',
        (client, abort) => client.send(command, abort),
        limits,
      );
      return answer.Activities ?? [];
    },
    async refreshes() {
      const command = new sdk.DescribeInstanceRefreshesCommand({ AutoScalingGroupName: group, MaxRecords: 1 });
      const answer = await api.call(
        'DescribeInstanceRefreshes',
        (client, abort) => client.send(command, abort),
        limits,
      );
      return answer.InstanceRefreshes ?? [];
    },
    async update({ min, max, desired }) {
      const command = new sdk.UpdateAutoScalingGroupCommand({
        AutoScalingGroupName: group,
        MinSize: min ?? undefined,
        MaxSize: max ?? undefined,
        DesiredCapacity: desired,
      });
      await api.call('UpdateAutoScalingGroup', (client, abort) => client.send(command, abort), limits);
    },
    async tag(tags) {
      const set = Object.entries(tags).flatMap(([key, value]) =>
        value === null ? [] : [{ ...tagged(key), Value: value, PropagateAtLaunch: false }],
      );
      const gone = Object.keys(tags).filter((key) => tags[key] === null);
      if (set.length > 0) {
        const command = new sdk.CreateOrUpdateTagsCommand({ Tags: set });
        await api.call('CreateOrUpdateTags', (client, abort) => client.send(command, abort), limits);
      }
      if (gone.length === 0) return;
      const command = new sdk.DeleteTagsCommand({ Tags: gone.map(tagged) });
      await api.call('DeleteTags', (client, abort) => client.send(command, abort), limits);
    },
  };
}
