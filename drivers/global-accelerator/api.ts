/** What Global Accelerator says about a component's regions, and the two ways of changing it. */
import type { EndpointGroup, GlobalAcceleratorClient } from '@aws-sdk/client-global-accelerator';
import { awsApi } from '../aws/client.ts';
import { RampartError } from '../errors.ts';
import type { DriverContext } from '../ports.ts';
import { CALLS } from './calls.ts';
import { type AcceleratorConfig, API_REGION, acceleratorOf, listenerOf, type Unit } from './config.ts';
import { recordIn, type TurnRecord, tagsOf } from './record.ts';
import type { Values } from './values.ts';

export interface Reading {
  /** Changes are at all edge locations. */
  deployed: boolean;
  enabled: boolean;
  /** Every endpoint group of the listeners, by ARN: the topology's and others. */
  groups: Map<string, EndpointGroup>;
  record: TurnRecord | null;
}

export interface Accelerator {
  read(): Promise<Reading>;
  /** Turns one unit; by weight all of them, since the list of endpoints is replaced whole. */
  turn(unit: Unit, wanted: Values, reading: Reading): Promise<void>;
  claim(record: TurnRecord): Promise<void>;
}

const sdk = () => import('@aws-sdk/client-global-accelerator');

export async function openAccelerator(
  component: string,
  config: AcceleratorConfig,
  units: readonly Unit[],
  context: DriverContext,
): Promise<Accelerator> {
  const api = await awsApi<GlobalAcceleratorClient, keyof (typeof CALLS)['calls']>({
    load: () =>
      sdk().then(
        ({ GlobalAcceleratorClient: Client }) =>
          (base) =>
            new Client(base),
      ),
    package: '@aws-sdk/client-global-accelerator',
    calls: CALLS,
    place: { region: API_REGION, endpoint: config.endpoint },
    context,
    component,
  });
  const commands = await sdk();
  const accelerator = acceleratorOf(units[0]!.group);
  const limits = { timeoutMs: config.answerTimeout };

  async function groupsOf(listener: string): Promise<EndpointGroup[]> {
    const found: EndpointGroup[] = [];
    let NextToken: string | undefined;
    do {
      const input = { ListenerArn: listener, MaxResults: 100, ...(NextToken === undefined ? {} : { NextToken }) };
      const page = await api.call(
        'ListEndpointGroups',
        (client, options) => client.send(new commands.ListEndpointGroupsCommand(input), options),
        limits,
      );
      found.push(...(page.EndpointGroups ?? []));
      NextToken = page.NextToken;
    } while (NextToken !== undefined);
    return found;
  }

  return {
    async read() {
      const listeners = [...new Set(units.map(({ group }) => listenerOf(group)))];
      const [groups, tags] = await Promise.all([
        Promise.all(listeners.map(groupsOf)),
        api.call(
          'ListTagsForResource',
          (client, options) =>
            client.send(new commands.ListTagsForResourceCommand({ ResourceArn: accelerator }), options),
          limits,
        ),
      ]);
      // After the dials: that it is deployed is then said of what was read.
      const { Accelerator: state } = await api.call(
        'DescribeAccelerator',
        (client, options) =>
          client.send(new commands.DescribeAcceleratorCommand({ AcceleratorArn: accelerator }), options),
        limits,
      );
      if (state?.Status === undefined) {
        throw new RampartError(
          'ProviderUnavailable',
          `${component}: Global Accelerator does not say what state ${accelerator} is in`,
        );
      }
      return {
        deployed: state.Status === 'DEPLOYED',
        enabled: state.Enabled !== false,
        groups: new Map(groups.flat().map((group) => [group.EndpointGroupArn ?? '', group])),
        record: recordIn(component, new Map((tags.Tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? '']))),
      };
    },

    async turn(unit, wanted, reading) {
      const input =
        unit.endpointId === null
          ? { EndpointGroupArn: unit.group, TrafficDialPercentage: wanted[unit.key] }
          : { EndpointGroupArn: unit.group, EndpointConfigurations: endpointsWith(units, wanted, reading) };
      await api.call(
        'UpdateEndpointGroup',
        (client, options) => client.send(new commands.UpdateEndpointGroupCommand(input), options),
        limits,
      );
    },

    async claim(record) {
      const input = { ResourceArn: accelerator, Tags: tagsOf(component, record) };
      await api.call(
        'TagResource',
        (client, options) => client.send(new commands.TagResourceCommand(input), options),
        limits,
      );
    },
  };
}

/** The whole list of a group's endpoints, since what is left out of it is removed: others as they were read. */
export function endpointsWith(units: readonly Unit[], wanted: Values, { groups }: Pick<Reading, 'groups'>) {
  const present = groups.get(units[0]!.group)?.EndpointDescriptions ?? [];
  return present.map(({ EndpointId, Weight, ClientIPPreservationEnabled }) => {
    const unit = units.find(({ endpointId }) => endpointId === EndpointId);
    return {
      EndpointId,
      Weight: unit === undefined ? Weight : wanted[unit.key],
      ...(ClientIPPreservationEnabled === undefined ? {} : { ClientIPPreservationEnabled }),
    };
  });
}
