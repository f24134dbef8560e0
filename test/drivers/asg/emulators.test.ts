import {
  AutoScalingClient,
  CreateAutoScalingGroupCommand,
  CreateLaunchConfigurationCommand,
} from '@aws-sdk/client-auto-scaling';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asg } from '../../../drivers/asg/driver.ts';
import { driverContext, token } from '../../conformance/driver-context.ts';
import { FakeAutoScaling } from '../../fakes/aws/auto-scaling.ts';
import { FakeAws } from '../../fakes/aws/server.ts';
import { startMinistack } from '../../fakes/emulators.ts';
import { asgComponent, credentials } from './world.ts';

interface Peer {
  url: string;
  stop(): Promise<void>;
}

/** Group web with two instances of at most eight, on an emulator. */
async function ministack(): Promise<Peer> {
  const emulator = await startMinistack();
  const client = new AutoScalingClient({ endpoint: emulator.url, region: 'eu-west-1', maxAttempts: 1 });
  const launch = { LaunchConfigurationName: 'web', ImageId: 'ami-12c6146b', InstanceType: 't3.micro' };
  await client.send(new CreateLaunchConfigurationCommand(launch));
  const sizes = { MinSize: 1, MaxSize: 8, DesiredCapacity: 2 };
  const group = { AutoScalingGroupName: 'web', LaunchConfigurationName: 'web', AvailabilityZones: ['eu-west-1a'] };
  await client.send(new CreateAutoScalingGroupCommand({ ...group, ...sizes }));
  client.destroy();
  return emulator;
}

async function fake(): Promise<Peer> {
  const state = new FakeAutoScaling();
  state.add('eu-west-1', 'web', 1, 8, 2);
  const server = await FakeAws.start([state.service()]);
  return { url: server.url, stop: () => server.stop() };
}

describe.each([
  ['ministack', ministack],
  ['the fake', fake],
] as const)('asg on %s', { timeout: 60_000 }, (_name, start) => {
  let peer: Peer;
  beforeAll(async () => {
    credentials();
    peer = await start();
  }, 120_000);
  afterAll(() => peer?.stop());
  const open = (node: object = {}) =>
    asg.open(
      asgComponent(peer.url, { timeout: '10s' }, { instances: 4, ...node }),
      driverContext({ token: token(1, 'run one', 1) }),
    );

  test('scales, drains and puts back what was there, each read back from it', async () => {
    const saved = (await open().save('eu-west')).facts;
    expect(saved).toMatchObject({ state: 'active', size: { min: 1, max: 8, desired: 2 } });
    expect((await open().scale('eu-west')).facts).toMatchObject({ size: { min: 4, max: 8, desired: 4 } });
    expect(await open().observe('eu-west')).toMatchObject({
      reachable: true,
      state: 'active',
      ready: true,
      capacity: { present: 4, wanted: 4 },
      claim: { epoch: 1, runId: 'run one', seq: 1 },
    });
    expect(await open().scale('eu-west')).toMatchObject({ already: true });
    expect((await open().drain('eu-west')).facts).toMatchObject({
      state: 'drained',
      size: { min: 0, max: 0, desired: 0 },
    });
    expect((await open().restore('eu-west', saved)).facts).toMatchObject({
      state: 'active',
      size: { min: 1, max: 8, desired: 2 },
    });
  });

  test('a group that is not there is told, and preflight asks every API it needs', async () => {
    await expect(open({ group: 'none' }).save('eu-west')).rejects.toMatchObject({ type: 'PreconditionFailed' });
    const found = await open().preflight!('planned', 'eu-central', 'eu-west');
    expect(found.filter(({ region }) => region === 'eu-west')).toEqual([]);
  });
});
