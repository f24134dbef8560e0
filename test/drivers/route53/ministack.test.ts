/** The router suite against ministack's Route 53, with DNS servers that answer what it holds. */
import type { Weights } from '../../../drivers/ports.ts';
import { route53 } from '../../../drivers/route53/driver.ts';
import { describeRouter, type RouterWorld } from '../../conformance/router/router-suite.ts';
import { FakeRoute53 } from '../../fakes/aws/route53.ts';
import { FakeDns } from '../../fakes/aws/route53-dns.ts';
import { FakeAws } from '../../fakes/aws/server.ts';
import { startMinistack } from '../../fakes/emulators.ts';
import { change, clientAt, createZone, fromSet, listed, openGate, toSet } from './peers.ts';
import { componentOf, measure, nodeOf, recordsOf, skipWaits } from './world.ts';

const ACCOUNT = '100000000053';
const NAME = 'shop.example.com';
const DEAF = 'shop.deaf.example';

async function makeMinistackWorld(): Promise<RouterWorld> {
  process.env.AWS_ACCESS_KEY_ID = ACCOUNT;
  process.env.AWS_SECRET_ACCESS_KEY = 'secret of the standard chain';
  const ministack = await startMinistack();
  const endSkipping = skipWaits();
  // Ministack keeps health checks and has no status of them: these records have none.
  const plain = (name: string) => recordsOf('weighted', name).map(({ healthCheck: _, ...one }) => one);
  // Read again after every answer that the driver got: between two of them nothing changes.
  let reading: Promise<ReturnType<typeof plain>> | null = null;
  const changed = () => {
    reading = null;
  };
  const gate = await openGate(ministack.url, changed);
  // Ministack takes every credential: who refuses some is the fake.
  const refusing = await FakeAws.start([new FakeRoute53().service()]);
  refusing.fault({ fault: 'denied' });
  const client = clientAt(ministack.url, ACCOUNT);
  const zone = await createZone(client, 'example.com', plain(NAME).map(toSet));
  const deaf = await createZone(client, 'deaf.example', plain(DEAF).map(toSet));
  const records = () => {
    reading ??= listed(client, zone).then((sets) => [...sets.map(fromSet), ...plain(DEAF)]);
    return reading;
  };
  const dns = [await FakeDns.start({ records, isHealthy: () => true })];
  const component = (changes: Record<string, string> = {}) => {
    const config = {
      policy: 'weighted',
      hostedZone: zone,
      name: NAME,
      endpoint: gate.url,
      nameServers: dns.map((server) => server.address),
      queries: 20,
      timeout: '2s',
      deadline: '30s',
    };
    return componentOf({ ...config, ...changes }, nodeOf('weighted'));
  };
  return {
    driver: route53,
    component: component(),
    secrets: {},
    unreachable: () => component({ endpoint: 'http://127.0.0.1:1' }),
    wrongCredentials: () => ({ component: component({ endpoint: refusing.url }), secrets: {} }),
    deaf: () => component({ hostedZone: deaf, name: DEAF, deadline: '5s' }),
    freeze: () => gate.freeze(),
    thaw: () => gate.thaw(),
    async changeByHand(weights: Weights) {
      const sets = (await listed(client, zone)).filter((set) => set.SetIdentifier !== undefined);
      await change(
        client,
        zone,
        sets.map((set) => ['UPSERT', { ...set, Weight: weights[set.SetIdentifier!]! }]),
      );
      changed();
    },
    measure: () => measure(dns[0]!.address, NAME),
    async close() {
      endSkipping();
      client.destroy();
      await Promise.all([...dns.map((server) => server.stop()), gate.stop(), refusing.stop()]);
      await ministack.stop();
    },
  };
}

describeRouter('route53 on ministack, weighted', makeMinistackWorld);
