/** An Auto Scaling group in two regions, on the fake; its requests are what a client of its load balancer would see. */
import { asg } from '../../../drivers/asg/driver.ts';
import type { Component } from '../../../topology/model.ts';
import type { WorkloadWorld } from '../../conformance/workload/workload-suite.ts';
import { FakeAutoScaling } from '../../fakes/aws/auto-scaling.ts';
import { FakeAws } from '../../fakes/aws/server.ts';

export const REGIONS = { 'eu-west': 'eu-west-1', 'eu-central': 'eu-central-1' } as const;

export function asgComponent(endpoint: string, config: object = {}, node: object = {}): Component {
  const parsed = asg.config.parse({ poll: '5ms', timeout: '2s', deadline: '10s', drainDeadline: '10s', ...config });
  return {
    name: 'checkout-app',
    type: 'asg',
    role: 'workload',
    queue: 'rampart',
    config: parsed as Component['config'],
    sides: Object.fromEntries(
      Object.entries(REGIONS).map(([region, aws]) => {
        const side = asg.node.parse({ region: aws, group: 'web', endpoint, cloudwatchEndpoint: endpoint, ...node });
        return [region, { region, nodes: [{ name: region, queue: 'rampart', config: side as Component['config'] }] }];
      }),
    ),
    capabilities: asg.capabilities(parsed as Component['config']),
  };
}

/** Credentials of the standard chain, for this process. */
export function credentials(): void {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: '111111111111', AWS_SECRET_ACCESS_KEY: 'secret' });
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
}

export async function makeAsgWorld(quiesce: 'keep' | 'stop'): Promise<WorkloadWorld> {
  credentials();
  const state = new FakeAutoScaling();
  const group = state.add(REGIONS['eu-west'], 'web', 1, 10, 2);
  state.add(REGIONS['eu-central'], 'web', 1, 10, 2);
  const fake = await FakeAws.start([state.service()], 8);
  // Each has a budget of requests of its own; the suite asks faster than a run ever does.
  let next = 0;
  const url = () => fake.urls[next++ % fake.urls.length] as string;
  let thaw: () => void;
  return {
    driver: asg,
    get component() {
      return asgComponent(url(), { quiesce });
    },
    secrets: {},
    region: 'eu-west',
    unreachable: () => asgComponent('http://127.0.0.1:1', { quiesce }),
    wrongCredentials() {
      fake.fault({ operation: 'DescribeAutoScalingGroups', fault: 'denied', times: 2 });
      return {};
    },
    impatient: () => asgComponent(url(), { quiesce, timeout: '200ms', deadline: '200ms', drainDeadline: '200ms' }),
    async losingAnswers() {
      fake.fault({ operation: 'UpdateAutoScalingGroup', fault: 'cut', times: 1 });
      return asgComponent(url(), { quiesce });
    },
    freeze() {
      thaw = fake.fault({ fault: 'hang' });
    },
    thaw: () => thaw(),
    async hold() {
      state.held++;
      return async () => {
        state.held--;
      };
    },
    serves: async () => group.instances.some((one) => one.state === 'InService'),
    close: () => fake.stop(),
  };
}
