/** The same expectations of the API, of the fake and of ministack: so the fake is held to something outside this project. */
import { randomInt } from 'node:crypto';
import {
  CreateDBClusterCommand,
  CreateDBInstanceCommand,
  CreateGlobalClusterCommand,
  RDSClient,
  RemoveFromGlobalClusterCommand,
} from '@aws-sdk/client-rds';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claim, journal, mutate } from '../../../drivers/aurora/claim.ts';
import { type Aurora, openAurora } from '../../../drivers/aurora/config.ts';
import { aurora, auroraGlobal } from '../../../drivers/aurora/driver.ts';
import { agreed, look } from '../../../drivers/aurora/look.ts';
import { send } from '../../../drivers/aurora/send.ts';
import { readTags } from '../../../drivers/aurora/tags.ts';
import { RampartError } from '../../../drivers/errors.ts';
import type { Json } from '../../../drivers/ports.ts';
import type { Component } from '../../../topology/model.ts';
import { driverContext, token } from '../../conformance/driver-context.ts';
import { FakeAurora } from '../../fakes/aws/aurora.ts';
import { FakeAws } from '../../fakes/aws/server.ts';
import { startMinistack } from '../../fakes/emulators.ts';

const PEERS: Record<string, () => Promise<{ url: string; stop(): Promise<void> }>> = {
  'the fake': () => FakeAws.start([new FakeAurora().service()]),
  'ministack 1.5.33': startMinistack,
};
const REGIONS = { west: 'eu-west-1', central: 'eu-central-1' };
const SIDES = Object.keys(REGIONS) as Array<keyof typeof REGIONS>;

describe.each(Object.entries(PEERS))('%s', (_name, start) => {
  let peer: { url: string; stop(): Promise<void> };
  beforeAll(async () => {
    // An account of its own; the SDK's usual chain reads these.
    process.env.AWS_ACCESS_KEY_ID = String(randomInt(1e11, 1e12));
    process.env.AWS_SECRET_ACCESS_KEY = 'of-no-use';
    peer = await start();
    for (const region of SIDES) await make(region);
  }, 60_000);
  afterAll(() => peer?.stop());

  const client = (side: keyof typeof REGIONS) =>
    new RDSClient({ endpoint: peer.url, region: REGIONS[side], maxAttempts: 1 });

  async function make(side: keyof typeof REGIONS): Promise<void> {
    const rds = client(side);
    const Engine = 'aurora-postgresql';
    const MasterUsername = side === 'west' ? 'rampart' : undefined;
    const MasterUserPassword = side === 'west' ? 'of-no-use' : undefined;
    if (side === 'west')
      await rds.send(new CreateGlobalClusterCommand({ GlobalClusterIdentifier: 'g', Engine, EngineVersion: '16.9' }));
    const cluster = { DBClusterIdentifier: side, Engine, EngineVersion: '16.9', GlobalClusterIdentifier: 'g' };
    await rds.send(new CreateDBClusterCommand({ ...cluster, MasterUsername, MasterUserPassword }));
    for (const n of [1, 2]) {
      const instance = { DBInstanceIdentifier: `${side}-${n}`, DBClusterIdentifier: side, Engine };
      await rds.send(new CreateDBInstanceCommand({ ...instance, DBInstanceClass: 'db.r6g.large' }));
    }
    rds.destroy();
  }

  let seq = 0;
  const open = (regional = false): Aurora => {
    const node = (side: keyof typeof REGIONS, i: number): Record<string, Json> =>
      regional ? { instance: `west-${i + 1}` } : { cluster: side, awsRegion: REGIONS[side], endpoint: peer.url };
    const component: Component = {
      ...{ name: 'orders-db', type: regional ? 'aurora' : 'aurora-global', role: 'store', queue: 'rampart' },
      config: {
        ...(regional ? { cluster: 'west', awsRegion: REGIONS.west, endpoint: peer.url } : { globalCluster: 'g' }),
        claimSettle: 0,
      },
      sides: Object.fromEntries(
        SIDES.map((side, i) => [
          side,
          { region: side, nodes: [{ name: side, queue: 'rampart', config: node(side, i) }] },
        ]),
      ),
      capabilities: (regional ? aurora : auroraGlobal).capabilities({}),
    };
    return openAurora(component, driverContext({ token: token(1, 'run-1', ++seq) }));
  };
  const said = async (store = open()) => agreed(await look(store), store);
  const switchTo = async (from: string, to: string, mode: 'planned' | 'unplanned') => {
    const store = open();
    const cluster = (await look(store)).clusters[to]!;
    if (cluster instanceof RampartError) throw cluster;
    const [source, target] = [from, to].map((side) => store.nodes.find(({ region }) => region === side)!);
    await send(store, source!, target!, cluster.DBClusterArn!, mode);
  };
  /** Until nothing is under way. */
  const settled = () => expect.poll(async () => (await said()).operation, { timeout: 10_000, interval: 20 }).toBeNull();

  it('says who the writer is, in every region the same, and that nothing is under way', async () => {
    expect(await said()).toMatchObject({ writer: 'west', writerNode: 'west', operation: null, strangers: [] });
    expect((await said()).members).toEqual({ west: 'connected', central: 'connected' });
    const { clusters } = await look(open());
    for (const side of SIDES) expect(clusters[side]).toMatchObject({ Status: 'available', EngineVersion: '16.9' });
  });

  it('keeps a claim and a journal in the tags of a cluster, cut into parts', async () => {
    const store = open();
    const saved = { ttl: Array.from({ length: 400 }, (_, i) => i * 31) };
    const opened = {
      ...{
        runId: 'run-1',
        workflowId: 'failover/checkout',
        epoch: 1,
        service: 'checkout',
        component: 'orders-db',
        saved,
      },
      ...{ fencedAt: null, freezeBudgetMs: 30_000, lastTouched: 0, open: true },
    };
    for (const region of SIDES) await claim(store, { region }, opened);
    const read = async () => readTags(((await look(open())).clusters.west as { TagList?: [] }).TagList, 'west');
    expect(await read()).toMatchObject({ claim: { epoch: 1, runId: 'run-1' }, journal: { saved, open: true } });
    expect((await read()).parts).toBeGreaterThan(1);
    await mutate(open(), 'west', { systemId: null, timeline: null }, ({ journal: present }) => ({
      journal: { ...present!, saved: {} },
    }));
    expect((await read()).parts).toBe(1);
    for (const region of SIDES) await journal(open(), { region }, { open: false });
    expect((await read()).journal).toMatchObject({ saved: {}, open: false });
  });

  it('a planned switch moves the writer; again, and an unknown one, are refused', async () => {
    await switchTo('west', 'central', 'planned');
    await settled();
    expect(await said()).toMatchObject({ writer: 'central' });
    await expect(switchTo('west', 'central', 'planned')).rejects.toMatchObject({
      code: 'InvalidGlobalClusterStateFault',
    });
    const store = open();
    const [node] = store.nodes;
    await expect(
      send(store, node!, node!, 'arn:aws:rds:eu-west-1:000000000000:cluster:nobody', 'planned'),
    ).rejects.toMatchObject({
      code: 'DBClusterNotFoundFault',
    });
  });

  it('an unplanned one as well, and the old writer stays a member', async () => {
    await switchTo('central', 'west', 'unplanned');
    await settled();
    const { writer, members } = await said();
    expect(writer).toBe('west');
    expect(Object.keys(members).sort()).toEqual(['central', 'west']);
  });

  it('within a cluster another instance becomes the writer; an unknown one is refused', async () => {
    const store = open(true);
    expect((await said(store)).writer).toBe('west');
    const [from, to] = store.nodes;
    await send(store, from!, to!, '', 'planned');
    await expect.poll(async () => (await said(open(true))).writer, { timeout: 10_000, interval: 20 }).toBe('central');
    await expect(send(store, from!, { ...to!, instance: 'nobody' }, '', 'planned')).rejects.toMatchObject({
      code: 'DBInstanceNotFoundFault',
    });
  });

  it('a member that was taken out is seen to be none; the writer cannot be while there is a reader', async () => {
    const { clusters } = await look(open());
    const remove = (side: keyof typeof REGIONS) => {
      const { DBClusterArn } = clusters[side] as { DBClusterArn?: string };
      return client('west').send(
        new RemoveFromGlobalClusterCommand({ GlobalClusterIdentifier: 'g', DbClusterIdentifier: DBClusterArn }),
      );
    };
    await expect(remove('west')).rejects.toMatchObject({ name: 'InvalidGlobalClusterStateFault' });
    await remove('central');
    expect(Object.keys((await said()).members)).toEqual(['west']);
  });
});
