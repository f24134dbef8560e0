/** An ECS service in two regions, on the fake; its requests are what a client of its load balancer would see. */
import { ecs } from '../../../drivers/ecs/driver.ts';
import type { Component } from '../../../topology/model.ts';
import type { WorkloadWorld } from '../../conformance/workload/workload-suite.ts';
import { FakeEcs } from '../../fakes/aws/ecs.ts';
import { FakeAws } from '../../fakes/aws/server.ts';

export const REGIONS = { 'eu-west': 'eu-west-1', 'eu-central': 'eu-central-1' } as const;
export const TARGET = `${REGIONS['eu-west']} service/shop/web`;

export function ecsComponent(endpoint: string, config: object = {}, node: object = {}): Component {
  const parsed = ecs.config.parse({ poll: '5ms', timeout: '2s', deadline: '10s', drainDeadline: '10s', ...config });
  return {
    name: 'checkout-app',
    type: 'ecs',
    role: 'workload',
    queue: 'rampart',
    config: parsed as Component['config'],
    sides: Object.fromEntries(
      Object.entries(REGIONS).map(([region, aws]) => {
        const place = {
          ...{ endpoint, scalingEndpoint: endpoint, loadBalancingEndpoint: endpoint, cloudwatchEndpoint: endpoint },
        };
        const side = ecs.node.parse({ region: aws, cluster: 'shop', service: 'web', ...place, ...node });
        return [region, { region, nodes: [{ name: region, queue: 'rampart', config: side as Component['config'] }] }];
      }),
    ),
    capabilities: ecs.capabilities(parsed as Component['config']),
  };
}

/** Credentials of the standard chain, for this process. */
export function credentials(): void {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: '111111111111', AWS_SECRET_ACCESS_KEY: 'secret' });
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
}

export async function makeEcsWorld(
  quiesce: 'keep' | 'stop',
): Promise<WorkloadWorld & { state: FakeEcs; fake: FakeAws }> {
  credentials();
  const state = new FakeEcs();
  const service = state.add(REGIONS['eu-west'], 'shop', 'web', 2);
  state.add(REGIONS['eu-central'], 'shop', 'web', 2);
  state.bounds.set(TARGET, { MinCapacity: 1, MaxCapacity: 10, suspended: false });
  const fake = await FakeAws.start(state.fakes(), 8);
  // Each has a budget of requests of its own; the suite asks faster than a run ever does.
  let next = 0;
  const url = () => fake.urls[next++ % fake.urls.length] as string;
  let thaw: () => void;
  return {
    driver: ecs,
    get component() {
      return ecsComponent(url(), { quiesce });
    },
    state,
    fake,
    secrets: {},
    region: 'eu-west',
    unreachable: () => ecsComponent('http://127.0.0.1:1', { quiesce }),
    wrongCredentials() {
      fake.fault({ operation: 'DescribeServices', fault: 'denied', times: 2 });
      return {};
    },
    impatient: () => ecsComponent(url(), { quiesce, timeout: '200ms', deadline: '200ms', drainDeadline: '200ms' }),
    async losingAnswers() {
      fake.fault({ operation: 'UpdateService', fault: 'reset', applied: true, times: 1 });
      return ecsComponent(url(), { quiesce });
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
    serves: async () => service.tasks.some((task) => task.desiredStatus === 'RUNNING' && task.lastStatus === 'RUNNING'),
    async close() {
      await fake.stop();
    },
  };
}
