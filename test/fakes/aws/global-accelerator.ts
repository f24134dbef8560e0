/**
 * Global Accelerator: one accelerator with listeners, endpoint groups, health and tags. A change is IN_PROGRESS for a
 * number of looks at the accelerator, then DEPLOYED. Shapes and error names as the SDK's client of global-accelerator has them.
 */
import { type AwsCall, AwsError, type FakeService } from './protocol.ts';

export type Health = 'HEALTHY' | 'UNHEALTHY' | 'INITIAL';

export interface FakeEndpoint {
  EndpointId: string;
  Weight: number;
  HealthState: Health;
  ClientIPPreservationEnabled: boolean;
}

interface Group {
  EndpointGroupArn: string;
  EndpointGroupRegion: string;
  TrafficDialPercentage: number;
  EndpointDescriptions: FakeEndpoint[];
  HealthCheckIntervalSeconds: number;
  ThresholdCount: number;
}

const ACCELERATOR = 'arn:aws:globalaccelerator::123456789012:accelerator/1234abcd-abcd-1234-abcd-1234abcdefgh';

export class FakeGlobalAccelerator {
  readonly arn = ACCELERATOR;
  readonly groups = new Map<string, Group>();
  readonly tags = new Map<string, string>();
  enabled = true;
  /** Looks at the accelerator for which a change is still being deployed. */
  deployLooks = 1;
  /** Groups whose changes are taken and never made. */
  readonly deaf = new Set<string>();
  /** Every state that the dials were in, by group, after each change. */
  readonly history: Array<Record<string, number>> = [];
  #looksLeft = 0;

  /** @param endpoints weights by endpoint */
  addGroup(
    listener: string,
    id: string,
    region: string,
    dial: number,
    endpoints: Record<string, number> = {
      [`arn:aws:elasticloadbalancing:${region}:123456789012:loadbalancer/app/${id}/1`]: 128,
    },
  ): string {
    const arn = `${ACCELERATOR}/listener/${listener}/endpoint-group/${id}`;
    this.groups.set(arn, {
      EndpointGroupArn: arn,
      EndpointGroupRegion: region,
      TrafficDialPercentage: dial,
      EndpointDescriptions: Object.entries(endpoints).map(([EndpointId, Weight]) => ({
        EndpointId,
        Weight,
        HealthState: 'HEALTHY',
        ClientIPPreservationEnabled: true,
      })),
      HealthCheckIntervalSeconds: 30,
      ThresholdCount: 3,
    });
    return arn;
  }

  group(arn: string): Group {
    const group = this.groups.get(arn);
    if (group !== undefined) return group;
    throw new AwsError('EndpointGroupNotFoundException', 'The endpoint group does not exist.');
  }

  setHealth(arn: string, health: Health): void {
    for (const endpoint of this.group(arn).EndpointDescriptions) endpoint.HealthState = health;
  }

  service(): FakeService {
    return {
      scope: 'globalaccelerator',
      protocol: 'json1.1',
      operations: {
        DescribeAccelerator: ({ input }) => {
          this.#own(input.AcceleratorArn);
          const Status = this.#looksLeft > 0 ? 'IN_PROGRESS' : 'DEPLOYED';
          this.#looksLeft = Math.max(0, this.#looksLeft - 1);
          return { Accelerator: { AcceleratorArn: ACCELERATOR, Name: 'shop', Enabled: this.enabled, Status } };
        },
        ListEndpointGroups: (call) => this.#list(call),
        UpdateEndpointGroup: (call) => this.#update(call),
        ListTagsForResource: ({ input }) => {
          this.#own(input.ResourceArn);
          return { Tags: [...this.tags].map(([Key, Value]) => ({ Key, Value })) };
        },
        TagResource: ({ input }) => {
          this.#own(input.ResourceArn);
          for (const { Key, Value } of input.Tags as Array<{ Key: string; Value: string }>) {
            if (Value.length > 256 || !/^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(Value)) {
              throw new AwsError('InvalidArgumentException', `the tag value of ${Key} is not allowed`);
            }
            this.tags.set(Key, Value);
          }
          return {};
        },
      },
      snapshot: () => {
        const groups = structuredClone([...this.groups]);
        const tags = [...this.tags];
        return () => {
          for (const [arn, group] of groups) this.groups.set(arn, group);
          this.tags.clear();
          for (const [key, value] of tags) this.tags.set(key, value);
          this.#looksLeft = 0;
        };
      },
    };
  }

  #own(arn: string): void {
    if (arn !== ACCELERATOR) throw new AwsError('AcceleratorNotFoundException', 'The accelerator does not exist.');
  }

  /** Two a page: nobody may read the first page only. */
  #list({ input }: AwsCall): object {
    const all = [...this.groups.values()].filter((group) => group.EndpointGroupArn.startsWith(`${input.ListenerArn}/`));
    if (all.length === 0) throw new AwsError('ListenerNotFoundException', 'The listener does not exist.');
    const from = Number(input.NextToken ?? 0);
    const more = from + 2 < all.length ? { NextToken: String(from + 2) } : {};
    return { EndpointGroups: all.slice(from, from + 2), ...more };
  }

  #update({ input }: AwsCall): object {
    const group = this.group(input.EndpointGroupArn);
    const after = structuredClone(group);
    if (input.TrafficDialPercentage !== undefined) after.TrafficDialPercentage = input.TrafficDialPercentage;
    if (input.EndpointConfigurations !== undefined) {
      type Configuration = Omit<FakeEndpoint, 'HealthState'>;
      after.EndpointDescriptions = (input.EndpointConfigurations as Configuration[]).map((one) => ({
        HealthState: 'INITIAL',
        ...group.EndpointDescriptions.find(({ EndpointId }) => EndpointId === one.EndpointId),
        ...one,
      }));
    }
    if (!this.deaf.has(group.EndpointGroupArn)) {
      this.groups.set(group.EndpointGroupArn, after);
      this.#looksLeft = this.deployLooks;
      this.history.push(
        Object.fromEntries([...this.groups.values()].map((one) => [one.EndpointGroupArn, one.TrafficDialPercentage])),
      );
    }
    return { EndpointGroup: after };
  }
}
