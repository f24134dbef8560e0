import { ApplicationAutoScalingClient, RegisterScalableTargetCommand } from '@aws-sdk/client-application-auto-scaling';
import { DescribeVpcsCommand, EC2Client } from '@aws-sdk/client-ec2';
import {
  CreateClusterCommand,
  CreateServiceCommand,
  ECSClient,
  RegisterTaskDefinitionCommand,
} from '@aws-sdk/client-ecs';
import {
  CreateTargetGroupCommand,
  DeregisterTargetsCommand,
  ElasticLoadBalancingV2Client,
  RegisterTargetsCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { FakeEcs } from '../../fakes/aws/ecs.ts';
import { FakeAws } from '../../fakes/aws/server.ts';
import { type Emulator, startMinistack, startMoto } from '../../fakes/emulators.ts';
import { describeEcs, type EcsPeer } from './contract.ts';
import { REGIONS, TARGET } from './world.ts';

const GROUP = { Name: 'web', Protocol: 'HTTP', Port: 80, TargetType: 'ip' } as const;
const targets = [1, 2, 3, 4].map((last) => ({ Id: `192.0.2.${last}`, Port: 80 }));

/** @param whole it has all that ECS works with: autoscaling and load balancers */
async function peer(emulator: Emulator, whole: boolean): Promise<EcsPeer> {
  const base = { endpoint: emulator.url, region: 'eu-west-1', maxAttempts: 1 };
  let balancing: ElasticLoadBalancingV2Client;
  let TargetGroupArn: string;
  return {
    ...emulator,
    async stop() {
      balancing?.destroy();
      await emulator.stop();
    },
    ...(whole
      ? {
          async loseTarget() {
            await balancing.send(new DeregisterTargetsCommand({ TargetGroupArn, Targets: targets.slice(3) }));
          },
        }
      : {}),
    async prepare() {
      balancing = new ElasticLoadBalancingV2Client(base);
      if (whole) {
        const machines = new EC2Client(base);
        const VpcId = (await machines.send(new DescribeVpcsCommand({}))).Vpcs![0]!.VpcId!;
        machines.destroy();
        const { TargetGroups } = await balancing.send(new CreateTargetGroupCommand({ ...GROUP, VpcId }));
        TargetGroupArn = TargetGroups![0]!.TargetGroupArn!;
        await balancing.send(new RegisterTargetsCommand({ TargetGroupArn, Targets: targets }));
      }
      const client = new ECSClient(base);
      await client.send(new CreateClusterCommand({ clusterName: 'shop' }));
      const containerDefinitions = [{ name: 'web', image: 'web', memory: 128 }];
      await client.send(new RegisterTaskDefinitionCommand({ family: 'web', containerDefinitions }));
      const service = { cluster: 'shop', serviceName: 'web', taskDefinition: 'web', desiredCount: 2 };
      const balancer = { targetGroupArn: TargetGroupArn, containerName: 'web', containerPort: 80 };
      await client.send(new CreateServiceCommand({ ...service, ...(whole ? { loadBalancers: [balancer] } : {}) }));
      client.destroy();
      if (!whole) return;
      const scaling = new ApplicationAutoScalingClient(base);
      const target = { ServiceNamespace: 'ecs', ScalableDimension: 'ecs:service:DesiredCount' } as const;
      const bounds = { MinCapacity: 1, MaxCapacity: 8 };
      await scaling.send(new RegisterScalableTargetCommand({ ...target, ResourceId: 'service/shop/web', ...bounds }));
      scaling.destroy();
    },
  };
}

describeEcs('moto', async () => peer(await startMoto(), true), { autoscaling: true, balancing: true });
describeEcs('ministack', async () => peer(await startMinistack(), false), { autoscaling: false });
describeEcs(
  'the fake',
  async () => {
    const state = new FakeEcs();
    const fake = await FakeAws.start(state.fakes());
    return {
      url: fake.url,
      stop: () => fake.stop(),
      async prepare() {
        state.add(REGIONS['eu-west'], 'shop', 'web', 2);
        state.bounds.set(TARGET, { MinCapacity: 1, MaxCapacity: 8, suspended: false });
      },
    };
  },
  { autoscaling: true },
);
