/** One Auto Scaling group as a number of instances. */
import type { AutoScalingGroup } from '@aws-sdk/client-auto-scaling';
import type { Backend, Reading, Size } from '../aws/capacity/backend.ts';
import { averageCpu } from '../aws/capacity/cpu.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext } from '../ports.ts';
import type { AsgNode } from './config.ts';
import { activityText, findingsOf, suspensions } from './findings.ts';
import { groupApi } from './group.ts';

export interface GroupPlace {
  component: string;
  region: string;
  node: AsgNode;
  context: DriverContext;
  timeoutMs: number;
}

export async function openGroup({ component, region, node, context, timeoutMs }: GroupPlace): Promise<Backend> {
  const { group } = node;
  const where = `${component} in ${region}`;
  const api = await groupApi({ node, context, component: where, timeoutMs });

  async function describe(): Promise<AutoScalingGroup> {
    const found = await api.describe();
    if (found !== undefined) return found;
    throw new RampartError('PreconditionFailed', `${where}: there is no group ${group} in ${node.region}`, {
      remedy: 'Check `group` and `region` of this side; are the regions swapped?',
    });
  }

  return {
    name: `group ${group}`,
    unit: 'instances',

    async read(): Promise<Reading> {
      const found = await describe();
      const { MinSize, MaxSize, DesiredCapacity, Instances = [], Tags = [] } = found;
      if (MinSize === undefined || MaxSize === undefined || DesiredCapacity === undefined)
        throw new RampartError('ProviderUnavailable', `${where}: the answer of Auto Scaling has no size`, {
          remedy: 'It is looked at again by itself.',
          details: { maybeApplied: true },
        });
      const serving = Instances.filter((one) => one.LifecycleState === 'InService' && one.HealthStatus === 'Healthy');
      return {
        size: { min: MinSize, max: MaxSize, desired: DesiredCapacity },
        present: serving.length,
        left: Instances.length,
        tags: Object.fromEntries(Tags.map(({ Key = '', Value = '' }) => [Key, Value])),
        troubles: suspensions(found),
      };
    },

    resize: (_now: Size, to: Size) => api.update(to),
    tag: (tags) => api.tag(tags),

    async obstacle(direction) {
      const process = direction === 'up' ? 'Launch' : 'Terminate';
      return suspensions(await describe()).find((text) => text.includes(` ${process} `)) ?? '';
    },

    async notYet() {
      const warmUpMs = node.warmUp ?? ((await describe()).DefaultInstanceWarmup ?? 0) * 1000;
      if (warmUpMs <= 0) return '';
      const launched = (await api.activities()).find(
        ({ Description = '', StatusCode }) => Description.startsWith('Launching') && StatusCode === 'Successful',
      );
      if (launched?.EndTime === undefined) return '';
      const left = launched.EndTime.getTime() + warmUpMs - context.now();
      return left > 0 ? `new instances warm up for ${Math.ceil(left / 1000)} s more` : '';
    },

    async progress() {
      const [newest] = await api.activities();
      return newest === undefined ? '' : activityText(newest);
    },

    cpu: () =>
      averageCpu({
        place: { region: node.region, endpoint: node.cloudwatchEndpoint },
        context,
        component: where,
        timeoutMs,
        namespace: 'AWS/EC2',
        dimensions: { AutoScalingGroupName: group },
      }),

    async findings() {
      const [found, activities, refreshes] = await Promise.all([describe(), api.activities(), api.refreshes()]);
      return findingsOf({ component, region, group: found, activities, refreshes });
    },
  };
}
