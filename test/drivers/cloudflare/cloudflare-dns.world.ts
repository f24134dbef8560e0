/** A record at the fake of Cloudflare, and two authoritative name servers that answer for its zone over real sockets. */
import { Resolver } from 'node:dns/promises';
import { cloudflareDns } from '../../../drivers/cloudflare/dns.ts';
import type { Weights } from '../../../drivers/ports.ts';
import type { Component } from '../../../topology/model.ts';
import type { RouterWorld } from '../../conformance/router/router-suite.ts';
import type { FakeRecord } from '../../fakes/cloudflare/dns-records.ts';
import { type FakeNameServer, startNameServer } from '../../fakes/cloudflare/name-server.ts';
import { FakeCloudflare, TOKEN, ZONE } from '../../fakes/cloudflare/server.ts';

export const REGIONS = ['eu-west', 'eu-central'] as const;
export const CONTENT: Record<string, string> = { 'eu-west': '192.0.2.10', 'eu-central': '198.51.100.10' };
export const NAME = 'db.example.com';
/** A record that the name servers never hear of: something goes before it. */
export const SHADOWED = 'shadowed.example.com';

export interface DnsWorld extends RouterWorld {
  fake: FakeCloudflare;
  servers: FakeNameServer[];
  /** What a name server serves instead of the zone as it is; `null` = it answers nobody. */
  serve(server: 0 | 1, records: (() => FakeRecord[] | null) | undefined): void;
  record(): FakeRecord;
  with(config: Record<string, unknown>, contents?: Record<string, string>): Component;
}

export async function makeDnsWorld(changes: { ttl?: number; proxied?: boolean } = {}): Promise<DnsWorld> {
  const fake = await FakeCloudflare.start();
  const served: Array<(() => FakeRecord[] | null) | undefined> = [undefined, undefined];
  const add = (name: string) =>
    fake.dns.add({
      ...{ zone_id: ZONE, name, type: 'A', content: CONTENT['eu-west']!, comment: 'Writer of the shop' },
      ...{ proxied: changes.proxied ?? false, ttl: changes.ttl ?? 60 },
    });
  add(NAME);
  const shadow = { ...add(SHADOWED) };
  const zone = () => fake.dns.records.map((one) => (one.name === SHADOWED ? shadow : one));
  const servers = await Promise.all([0, 1].map((index) => startNameServer(() => (served[index] ?? zone)())));

  const config = {
    ...{ apiToken: '${env:CF_TOKEN}', baseURL: fake.baseURL, zoneId: ZONE, name: NAME, ttl: '60s', switchTtl: '60s' },
    ...{ timeout: '1500ms', deadline: '2s', requestsPer5Minutes: 1_000_000 },
    nameServers: changes.proxied ? [] : servers.map(({ address }) => address),
    proxied: changes.proxied ?? false,
  };
  const component = (other: Record<string, unknown> = {}, contents = CONTENT): Component => {
    const parsed = cloudflareDns.config.parse({ ...config, ...other }) as Component['config'];
    const side = (region: string) => {
      const node = cloudflareDns.node.parse({ content: contents[region] }) as Component['config'];
      return [region, { region, nodes: [{ name: region, queue: 'rampart', config: node }] }];
    };
    return {
      ...{ name: 'shop-writer', type: 'cloudflare-dns', role: 'router', queue: 'rampart', config: parsed },
      sides: Object.fromEntries(REGIONS.map(side)),
      capabilities: cloudflareDns.capabilities(parsed),
    } as Component;
  };
  const record = () => fake.dns.records.find(({ name }) => name === NAME)!;

  return {
    driver: cloudflareDns,
    component: component(),
    with: component,
    fake,
    servers,
    serve: (server, records) => {
      served[server] = records;
    },
    record,
    secrets: { '${env:CF_TOKEN}': TOKEN },
    unreachable: () => component({ baseURL: 'http://127.0.0.1:1/client/v4' }),
    wrongCredentials: () => ({ component: component(), secrets: { '${env:CF_TOKEN}': 'an-old-token' } }),
    deaf: () => component({ name: SHADOWED, deadline: '150ms' }),
    freeze: () => fake.freeze(),
    thaw: () => fake.thaw(),
    async changeByHand(weights) {
      record().content = CONTENT[REGIONS.find((region) => weights[region] === 100)!]!;
    },
    measure: () => askDns(servers[0]!.address),
    async close() {
      await fake.stop();
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

/** Where a client is led that asks a name server. */
async function askDns(server: string): Promise<Weights> {
  const resolver = new Resolver();
  resolver.setServers([server]);
  const addresses = await resolver.resolve4(NAME);
  const share = 100 / addresses.length;
  return Object.fromEntries(REGIONS.map((region) => [region, addresses.includes(CONTENT[region]!) ? share : 0]));
}
