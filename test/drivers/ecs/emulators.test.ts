import { ApplicationAutoScalingClient, RegisterScalableTargetCommand } from '@aws-sdk/client-application-auto-scaling';
import {
  CreateClusterCommand,
  CreateServiceCommand,
  ECSClient,
  RegisterTaskDefinitionCommand,
} from '@aws-sdk/client-ecs';
import { FakeEcs } from '../../fakes/aws/ecs.ts';
import { FakeAws } from '../../fakes/aws/server.ts';
import { type Emulator, startMinistack, startMoto } from '../../fakes/emulators.ts';
import { describeEcs, type EcsPeer } from './contract.ts';
import { REGIONS, TARGET } from './world.ts';

async function peer(emulator: Emulator, autoscaling: boolean): Promise<EcsPeer> {
  const base = { endpoint: emulator.url, region: 'eu-west-1', maxAttempts: 1 };
  return {
    ...emulator,
    async prepare() {
      const client = new ECSClient(base);
      await client.send(new CreateClusterCommand({ clusterName: 'shop' }));
      const containerDefinitions = [{ name: 'web', image: 'web', memory: 128 }];
      await client.send(new RegisterTaskDefinitionCommand({ family: 'web', containerDefinitions }));
      const service = { cluster: 'shop', serviceName: 'web', taskDefinition: 'web', desiredCount: 2 };
      await client.send(new CreateServiceCommand(service));
      client.destroy();
      if (!autoscaling) return;
      const scaling = new ApplicationAutoScalingClient(base);
      const target = { ServiceNamespace: 'ecs', ScalableDimension: 'ecs:service:DesiredCount' } as const;
      const bounds = { MinCapacity: 1, MaxCapacity: 8 };
      await scaling.send(new RegisterScalableTargetCommand({ ...target, ResourceId: 'service/shop/web', ...bounds }));
      scaling.destroy();
    },
  };
}

describeEcs('moto', async () => peer(await startMoto(), true), { autoscaling: true });
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
