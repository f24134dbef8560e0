/** The topology of replicas before a promotion: the fake and moto answer the same. After it moto is wrong, see docs. */
import {
  AddTagsToResourceCommand,
  CreateDBInstanceCommand,
  CreateDBInstanceReadReplicaCommand,
  DeleteDBInstanceCommand,
  DescribeDBInstancesCommand,
  RDSClient,
} from '@aws-sdk/client-rds';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Instance, instanceFrom, isSource } from '../../../drivers/rds/instance.ts';
import { type Emulator, startMoto } from '../emulators.ts';
import { FakeRds } from './rds.ts';
import { FakeAws } from './server.ts';

async function startFake(): Promise<Emulator> {
  const fake = await FakeAws.start([new FakeRds().service()]);
  return { url: fake.url, stop: () => fake.stop() };
}

describe.each([
  ['the fake', startFake],
  ['moto', startMoto],
] as const)('RDS instances: %s', (_, start) => {
  let emulator: Emulator;
  const clients: RDSClient[] = [];
  const at = (region: string): RDSClient => {
    const credentials = { accessKeyId: '111111111111', secretAccessKey: 'x' };
    const client = new RDSClient({ region, endpoint: emulator.url, maxAttempts: 1, credentials });
    clients.push(client);
    return client;
  };
  beforeAll(async () => {
    emulator = await start();
  }, 120_000);
  afterAll(async () => {
    for (const client of clients) client.destroy();
    await emulator?.stop();
  });

  async function read(region: string, id: string): Promise<Instance> {
    const { DBInstances } = await at(region).send(new DescribeDBInstancesCommand({ DBInstanceIdentifier: id }));
    return instanceFrom(DBInstances![0]!);
  }

  test('a cross-region replica names its source by ARN, and the source names it', { timeout: 60_000 }, async () => {
    await at('eu-west-1').send(
      new CreateDBInstanceCommand({
        DBInstanceIdentifier: 'orders',
        Engine: 'postgres',
        DBInstanceClass: 'db.r6g.large',
        AllocatedStorage: 20,
        MasterUsername: 'rampart',
        MasterUserPassword: 'not-a-secret',
        BackupRetentionPeriod: 7,
      }),
    );
    await expect.poll(async () => (await read('eu-west-1', 'orders')).status).toBe('available');
    const source = await read('eu-west-1', 'orders');
    expect(source).toMatchObject({ engine: 'postgres', source: null, replicas: [], backupRetention: 7 });
    expect(source.arn).toMatch(/^arn:aws:rds:eu-west-1:\d{12}:db:orders$/);
    await at('eu-central-1').send(
      new CreateDBInstanceReadReplicaCommand({
        DBInstanceIdentifier: 'orders-replica',
        SourceDBInstanceIdentifier: source.arn,
        KmsKeyId: 'arn:aws:kms:eu-central-1:111111111111:key/11111111-2222-3333-4444-555555555555',
        Tags: [{ Key: 'team', Value: 'orders' }],
      }),
    );
    const replica = await read('eu-central-1', 'orders-replica');
    expect(isSource(replica.source, source)).toBe(true);
    expect(replica.tags).toMatchObject({ team: 'orders' });
    expect((await read('eu-west-1', 'orders')).replicas).toEqual([replica.arn]);

    await at('eu-central-1').send(
      new AddTagsToResourceCommand({
        ResourceName: replica.arn,
        Tags: [{ Key: 'rampart:claim', Value: 'run a epoch 1' }],
      }),
    );
    expect((await read('eu-central-1', 'orders-replica')).tags).toEqual({
      team: 'orders',
      'rampart:claim': 'run a epoch 1',
    });

    // Each region knows its own instances.
    await expect(read('eu-central-1', 'orders')).rejects.toMatchObject({ name: 'DBInstanceNotFoundFault' });
    await expect(
      at('eu-west-1').send(
        new CreateDBInstanceCommand({
          DBInstanceIdentifier: 'orders',
          Engine: 'postgres',
          DBInstanceClass: 'db.r6g.large',
        }),
      ),
    ).rejects.toMatchObject({ name: 'DBInstanceAlreadyExistsFault' });
    const forget = new DeleteDBInstanceCommand({ DBInstanceIdentifier: 'nothing', SkipFinalSnapshot: true });
    await expect(at('eu-west-1').send(forget)).rejects.toMatchObject({ name: 'DBInstanceNotFoundFault' });
  });
});
