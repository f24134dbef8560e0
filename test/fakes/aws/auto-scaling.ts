/** EC2 Auto Scaling, as far as the size of groups goes, with instances that take their time and quotas that refuse. */
import { type AwsCall, AwsError, type FakeService, members } from './protocol.ts';

export interface FakeInstance {
  id: string;
  state: 'Pending' | 'InService' | 'Standby' | 'Terminating:Wait';
  health: 'Healthy' | 'Unhealthy';
}

export interface FakeGroup {
  region: string;
  name: string;
  min: number;
  max: number;
  desired: number;
  instances: FakeInstance[];
  tags: Map<string, string>;
  suspended: string[];
  warmup?: number;
  refresh?: string;
  activities: Array<{ Description: string; StatusCode: string; StatusMessage?: string; EndTime?: Date }>;
}

export class FakeAutoScaling {
  groups: FakeGroup[] = [];
  /** Requests that instances are working on: as many instances do not end. */
  held = 0;
  /** Instances that the account's quota allows. */
  room = Number.POSITIVE_INFINITY;
  #ids = 0;

  add(region: string, name: string, min: number, max: number, desired: number): FakeGroup {
    const group: FakeGroup = {
      ...{ region, name, min, max, desired },
      instances: [],
      tags: new Map(),
      suspended: [],
      activities: [],
    };
    this.groups.push(group);
    this.#settle(group);
    return group;
  }

  service(): FakeService {
    return {
      scope: 'autoscaling',
      protocol: 'query',
      namespace: 'http://autoscaling.amazonaws.com/doc/2011-01-01/',
      snapshot: () => {
        const { groups } = this;
        this.groups = structuredClone(groups);
        return () => {
          this.groups = groups;
        };
      },
      operations: {
        DescribeAutoScalingGroups: ({ region, input }) => {
          const names: string[] = input.AutoScalingGroupNames ?? [];
          const found = this.groups.filter((group) => group.region === region && names.includes(group.name));
          for (const group of found) this.#settle(group);
          return { AutoScalingGroups: members(found.map(show)) };
        },
        UpdateAutoScalingGroup: (call) => this.#update(call),
        CreateOrUpdateTags: ({ region, input }) => {
          for (const { ResourceId, Key, Value } of input.Tags) this.#find(region, ResourceId).tags.set(Key, Value);
        },
        DeleteTags: ({ region, input }) => {
          for (const { ResourceId, Key } of input.Tags) this.#find(region, ResourceId).tags.delete(Key);
        },
        DescribeScalingActivities: ({ region, input }) => {
          const { activities } = this.#find(region, input.AutoScalingGroupName);
          return {
            Activities: members(activities.slice(0, Number(input.MaxRecords ?? 100)).map((one) => ({ ...one }))),
          };
        },
        DescribeInstanceRefreshes: ({ region, input }) => {
          const { refresh } = this.#find(region, input.AutoScalingGroupName);
          const shown = refresh === undefined ? [] : [{ Status: refresh, PercentageComplete: 40 }];
          return { InstanceRefreshes: members(shown) };
        },
      },
    };
  }

  #update({ region, input }: AwsCall): void {
    const group = this.#find(region, input.AutoScalingGroupName);
    const number = (value: string | undefined, present: number) => (value === undefined ? present : Number(value));
    const min = number(input.MinSize, group.min);
    const max = number(input.MaxSize, group.max);
    const desired = number(input.DesiredCapacity, group.desired);
    if (min > max)
      throw new AwsError('ValidationError', `Max bound, ${max}, must be greater than or equal to min bound`);
    if (desired > max || desired < min)
      throw new AwsError('ValidationError', `Desired capacity:${desired} must be between ${min} and ${max}`);
    Object.assign(group, { min, max, desired });
    this.#settle(group);
  }

  #find(region: string, name: string): FakeGroup {
    const found = this.groups.find((group) => group.region === region && group.name === name);
    if (found === undefined) throw new AwsError('ValidationError', 'AutoScalingGroup name not found');
    return found;
  }

  /** One round: what was starting runs, what is too many ends, what is missing is started. */
  #settle(group: FakeGroup): void {
    const live = () => group.instances.filter(({ state }) => state === 'Pending' || state === 'InService');
    for (const one of group.instances)
      if (one.state === 'Pending') {
        one.state = 'InService';
        const Description = `Launching a new EC2 instance: ${one.id}`;
        group.activities.unshift({ Description, StatusCode: 'Successful', EndTime: new Date() });
      }
    const suspended = (process: string) => group.suspended.includes(process);
    while (live().length > group.desired && !suspended('Terminate'))
      (live().at(-1) as FakeInstance).state = 'Terminating:Wait';
    while (live().length < Math.min(group.desired, this.room) && !suspended('Launch'))
      group.instances.push({ id: `i-${++this.#ids}`, state: 'Pending', health: 'Healthy' });
    if (live().length < group.desired && group.activities[0]?.StatusCode !== 'Failed')
      group.activities.unshift({
        Description: 'Launching a new EC2 instance',
        StatusCode: 'Failed',
        StatusMessage: 'You have requested more vCPU capacity than your current vCPU limit allows',
      });
    const ending = group.instances.filter(({ state }) => state === 'Terminating:Wait');
    const gone = new Set(ending.slice(this.held));
    group.instances = group.instances.filter((one) => !gone.has(one));
  }
}

function show(group: FakeGroup) {
  return {
    AutoScalingGroupName: group.name,
    MinSize: group.min,
    MaxSize: group.max,
    DesiredCapacity: group.desired,
    DefaultInstanceWarmup: group.warmup,
    Instances: members(
      group.instances.map(({ id, state, health }) => ({ InstanceId: id, LifecycleState: state, HealthStatus: health })),
    ),
    SuspendedProcesses: members(
      group.suspended.map((ProcessName) => ({ ProcessName, SuspensionReason: 'User suspended at 02:00' })),
    ),
    Tags: members([...group.tags].map(([Key, Value]) => ({ ResourceId: group.name, Key, Value }))),
  };
}
