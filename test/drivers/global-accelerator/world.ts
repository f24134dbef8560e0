/** A fake accelerator with one endpoint group per region, and one group whose endpoints are two cells. */
import { globalAccelerator } from '../../../drivers/global-accelerator/driver.ts';
import type { Weights } from '../../../drivers/ports.ts';
import type { Component } from '../../../topology/model.ts';
import { driverContext } from '../../conformance/driver-context.ts';
import type { RouterWorld } from '../../conformance/router/router-suite.ts';
import { FakeGlobalAccelerator } from '../../fakes/aws/global-accelerator.ts';
import { FakeAws } from '../../fakes/aws/server.ts';

process.env.AWS_ACCESS_KEY_ID = '123456789012';
process.env.AWS_SECRET_ACCESS_KEY = 'not-a-secret';

export const REGIONS = ['eu-west', 'eu-central'] as const;
const AWS_REGION = { 'eu-west': 'eu-west-1', 'eu-central': 'eu-central-1' };
/** Listeners that components take turns with: one client's budget of requests is not what is tested here. */
const TURNS = 20;

type Nodes = (region: (typeof REGIONS)[number]) => { endpointGroup: string; awsRegion: string; endpointId?: string };

export interface AcceleratorWorld extends RouterWorld {
  ga: FakeGlobalAccelerator;
  fake: FakeAws;
  /** ARN of a region's endpoint group. */
  group: Record<(typeof REGIONS)[number], string>;
  with(
    config: Record<string, unknown>,
    nodes?: (region: (typeof REGIONS)[number]) => Record<string, string>,
  ): Component;
}

export async function makeAcceleratorWorld(by: 'dial' | 'weight'): Promise<AcceleratorWorld> {
  const ga = new FakeGlobalAccelerator();
  const fake = await FakeAws.start([ga.service()], TURNS + 1);
  fake.fault({ endpoint: TURNS, fault: 'denied' });
  const cell = (region: string) => `arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/${region}/1`;
  const groupsAt = (listener: string) =>
    by === 'dial'
      ? {
          'eu-west': ga.addGroup(listener, `${listener}w`, 'eu-west-1', 100),
          'eu-central': ga.addGroup(listener, `${listener}c`, 'eu-central-1', 0),
        }
      : (() => {
          const one = ga.addGroup(listener, `${listener}g`, 'eu-west-1', 100, {
            [cell('eu-west')]: 100,
            [cell('eu-central')]: 0,
          });
          return { 'eu-west': one, 'eu-central': one };
        })();
  const group = groupsAt('aaaa1111');
  const deaf = groupsAt('dddd4444');
  for (const arn of Object.values(deaf)) ga.deaf.add(arn);

  let turns = 0;
  const nodeOf =
    (groups: typeof group): Nodes =>
    (region) => ({
      endpointGroup: groups[region],
      awsRegion: by === 'dial' ? AWS_REGION[region] : 'eu-west-1',
      ...(by === 'weight' ? { endpointId: cell(region) } : {}),
    });
  const component = (changes: Record<string, unknown> = {}, nodes = nodeOf(group), name = 'edge'): Component => {
    const endpoint = fake.urls[turns++ % TURNS];
    const config = globalAccelerator.config.parse({
      by,
      endpoint,
      deadline: '3s',
      healthWait: '100ms',
      lookEvery: '10ms',
      answerTimeout: '600ms',
      ...changes,
    }) as Component['config'];
    return {
      name,
      type: 'global-accelerator',
      role: 'router',
      queue: 'rampart',
      config,
      sides: Object.fromEntries(
        REGIONS.map((region) => [
          region,
          { region, nodes: [{ name: region, queue: `rampart.${region}`, config: nodes(region) }] },
        ]),
      ),
      capabilities: globalAccelerator.capabilities(config),
    };
  };
  const values = (): Weights =>
    by === 'dial'
      ? Object.fromEntries(REGIONS.map((region) => [region, ga.group(group[region]).TrafficDialPercentage]))
      : Object.fromEntries(
          ga
            .group(group['eu-west'])
            .EndpointDescriptions.map(({ EndpointId, Weight }) => [EndpointId.split('/')[2]!, Weight]),
        );
  // The first call of a process loads the SDK and looks for credentials; no time-out of a test is meant for that.
  await globalAccelerator.open(component({ answerTimeout: '30s' }), driverContext()).observe();
  let thaw: () => void = () => undefined;
  return {
    driver: globalAccelerator,
    get component() {
      return component();
    },
    secrets: {},
    ga,
    fake,
    group,
    with: component,
    unreachable: () => component({ endpoint: 'http://127.0.0.1:1' }),
    wrongCredentials: () => ({ component: component({ endpoint: fake.urls[TURNS] }), secrets: {} }),
    deaf: () => component({ deadline: '100ms' }, nodeOf(deaf), 'deaf'),
    freeze: () => {
      thaw = fake.fault({ fault: 'hang' });
    },
    thaw: () => thaw(),
    async changeByHand(weights) {
      if (by === 'dial') for (const region of REGIONS) ga.group(group[region]).TrafficDialPercentage = weights[region]!;
      else
        for (const endpoint of ga.group(group['eu-west']).EndpointDescriptions)
          endpoint.Weight = weights[endpoint.EndpointId.split('/')[2]!]!;
    },
    measure: async () => values(),
    close: () => fake.stop(),
  };
}
