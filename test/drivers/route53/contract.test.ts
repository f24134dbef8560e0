/**
 * Rules of Route 53 that the driver leans on, asked of the fake and of every emulator that is right about them: so the
 * fake is held to something outside this project.
 */
import { GetChangeCommand, type ResourceRecordSet, type Route53Client } from '@aws-sdk/client-route-53';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeRoute53 } from '../../fakes/aws/route53.ts';
import { FakeAws } from '../../fakes/aws/server.ts';
import { startMinistack, startMoto } from '../../fakes/emulators.ts';
import { change, clientAt, createZone, listed } from './peers.ts';

type PeerName = 'fake' | 'ministack' | 'moto';
interface Peer {
  client: Route53Client;
  zone: string;
  stop(): Promise<void>;
}

const weighted = (id: string, Weight: number, name = 'shop.example.com'): ResourceRecordSet => ({
  Name: name,
  Type: 'A',
  SetIdentifier: id,
  Weight,
  TTL: 60,
  ResourceRecords: [{ Value: id === 'a' ? '192.0.2.1' : '192.0.2.2' }],
});
const text = (value: string): ResourceRecordSet => ({
  Name: '_rampart.shop.example.com',
  Type: 'TXT',
  TTL: 60,
  ResourceRecords: [{ Value: `"${value}"` }],
});
const PRESENT = [weighted('a', 1), weighted('b', 0), text('first')];

const START: Record<PeerName, () => Promise<Peer>> = {
  async fake() {
    const fake = new FakeRoute53();
    fake.addZone({ id: 'Z1FAKE', name: 'example.com', records: [] });
    const aws = await FakeAws.start([fake.service()]);
    const client = clientAt(aws.url, '000000000000');
    await change(
      client,
      'Z1FAKE',
      PRESENT.map((set) => ['CREATE', set]),
    );
    return { client, zone: 'Z1FAKE', stop: () => aws.stop() };
  },
  ministack: () => emulated(startMinistack),
  moto: () => emulated(startMoto),
};

async function emulated(start: () => Promise<{ url: string; stop(): Promise<void> }>): Promise<Peer> {
  const emulator = await start();
  const client = clientAt(emulator.url, '200000000053');
  return { client, zone: await createZone(client, 'example.com', PRESENT), stop: () => emulator.stop() };
}

const peers = new Map<PeerName, Peer>();
beforeAll(async () => {
  await Promise.all(
    (Object.keys(START) as PeerName[]).map(async (name) => {
      peers.set(name, await START[name]());
    }),
  );
}, 120_000);
afterAll(async () => {
  for (const peer of peers.values()) {
    peer.client.destroy();
    await peer.stop();
  }
});

/** The rule holds at these peers; at the others it is known not to. */
function rule(name: string, at: PeerName[], check: (peer: Peer) => Promise<void>): void {
  describe(name, () => {
    test.each(at)('%s', (peer) => check(peers.get(peer)!));
  });
}

const weightsAt = async ({ client, zone }: Peer) =>
  Object.fromEntries(
    (await listed(client, zone)).flatMap((set) => (set.Type === 'A' ? [[set.SetIdentifier, set.Weight]] : [])),
  );
const REFUSED = { name: 'InvalidChangeBatch' };

rule('a name of another zone is refused', ['fake', 'moto'], async ({ client, zone }) => {
  const elsewhere = weighted('a', 1, 'shop.example.net');
  await expect(change(client, zone, [['UPSERT', elsewhere]])).rejects.toMatchObject(REFUSED);
});

rule('what is there is not created again', ['fake', 'ministack'], async ({ client, zone }) => {
  await expect(change(client, zone, [['CREATE', weighted('a', 1)]])).rejects.toMatchObject(REFUSED);
});

rule('what is not as it was read is not deleted', ['fake', 'ministack'], async ({ client, zone }) => {
  const other = text('somebody else');
  await expect(change(client, zone, [['DELETE', other]])).rejects.toMatchObject(REFUSED);
  await expect(change(client, zone, [['DELETE', { ...text('first'), TTL: 61 }]])).rejects.toMatchObject(REFUSED);
});

rule('a batch is refused whole', ['fake', 'ministack'], async (peer) => {
  const { client, zone } = peer;
  const before = await weightsAt(peer);
  const batch = change(client, zone, [
    ['DELETE', weighted('a', 1)],
    ['CREATE', weighted('a', 40)],
    ['DELETE', text('somebody else')],
    ['CREATE', text('second')],
  ]);
  await expect(batch).rejects.toMatchObject(REFUSED);
  expect(await weightsAt(peer)).toEqual(before);
});

rule('a record goes and comes in one batch', ['fake', 'ministack', 'moto'], async (peer) => {
  const { client, zone } = peer;
  const { ChangeInfo } = await change(client, zone, [
    ['DELETE', weighted('a', 1)],
    ['DELETE', weighted('b', 0)],
    ['DELETE', text('first')],
    ['CREATE', weighted('a', 25)],
    ['CREATE', weighted('b', 75)],
    ['CREATE', text('second')],
  ]);
  expect(ChangeInfo?.Id).toBeTruthy();
  expect(await weightsAt(peer)).toEqual({ a: 25, b: 75 });
  const claim = (await listed(client, zone)).find((set) => set.Type === 'TXT');
  expect(claim?.ResourceRecords).toEqual([{ Value: '"second"' }]);
});

rule('a change is pending, then in sync; one that nobody made is not known', ['fake', 'ministack'], async (peer) => {
  const { client, zone } = peer;
  const { ChangeInfo } = await change(client, zone, [['UPSERT', text('third')]]);
  expect(ChangeInfo?.Status).toBe('PENDING');
  const states: Array<string | undefined> = [];
  while (states.at(-1) !== 'INSYNC' && states.length < 5)
    states.push((await client.send(new GetChangeCommand({ Id: ChangeInfo!.Id! }))).ChangeInfo?.Status);
  expect(states.at(-1)).toBe('INSYNC');
  await expect(client.send(new GetChangeCommand({ Id: 'C0NOBODY' }))).rejects.toMatchObject({ name: 'NoSuchChange' });
});

rule('the claim stands right behind the records of its name', ['fake', 'ministack', 'moto'], async (peer) => {
  const names = (await listed(peer.client, peer.zone)).map((set) => `${set.Name} ${set.Type}`);
  const at = names.indexOf('_rampart.shop.example.com. TXT');
  expect(names.slice(at - 2, at)).toEqual(['shop.example.com. A', 'shop.example.com. A']);
});
