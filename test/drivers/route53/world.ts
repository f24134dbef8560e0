/** A fake of Route 53 with two real DNS servers, and a clock whose long waits pass at once. */

import { Resolver } from 'node:dns/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Clock, useClock } from '../../../drivers/clock.ts';
import type { Json, Weights } from '../../../drivers/ports.ts';
import type { Route53Config } from '../../../drivers/route53/config.ts';
import { route53 } from '../../../drivers/route53/driver.ts';
import type { Component } from '../../../topology/model.ts';
import type { RouterWorld } from '../../conformance/router/router-suite.ts';
import { type FakeCheck, type FakeRecord, FakeRoute53, type FakeZone } from '../../fakes/aws/route53.ts';
import { FakeDns } from '../../fakes/aws/route53-dns.ts';
import { FakeAws } from '../../fakes/aws/server.ts';

export const A = 'eu-west';
export const B = 'eu-central';
export type Policy = Route53Config['policy'];

const AWS_REGIONS: Record<string, string> = { [A]: 'eu-west-1', [B]: 'eu-central-1' };
const ADDRESSES: Record<string, string> = { [A]: '192.0.2.1', [B]: '192.0.2.2' };
export const OLD_TTL = 300;

/** Waits are skipped, and the time they would have taken has passed. */
export function skipWaits(): () => void {
  let skipped = 0;
  const clock: Clock = {
    now: () => Date.now() + skipped,
    monotonic: () => performance.now() + skipped,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      skipped += ms;
      await nextTurn();
      signal?.throwIfAborted();
    },
    every: (ms, action) => {
      const timer = setInterval(action, ms);
      return () => clearInterval(timer);
    },
  };
  useClock(clock);
  return () => useClock(null);
}

export function recordsOf(policy: Policy, name: string): FakeRecord[] {
  if (policy === 'simple') return [{ name, type: 'A', ttl: OLD_TTL, values: [ADDRESSES[A]!] }];
  return [A, B].map((region, index) => ({
    name,
    type: 'A',
    id: region,
    ttl: OLD_TTL,
    values: [ADDRESSES[region]!],
    healthCheck: `check-${region}`,
    ...(policy === 'weighted' ? { weight: index === 0 ? 1 : 0 } : {}),
    ...(policy === 'failover' ? { failover: index === 0 ? 'PRIMARY' : 'SECONDARY' } : {}),
    ...(policy === 'latency' ? { region: AWS_REGIONS[region]! } : {}),
  }));
}

export interface Route53World extends RouterWorld {
  aws: FakeAws;
  fake: FakeRoute53;
  zone: FakeZone;
  dns: FakeDns[];
  /** Another zone of the same servers, with a name of its own. */
  another(policy: Policy, records?: (name: string) => FakeRecord[]): Another;
  with(config?: Record<string, Json>, node?: (region: string) => Record<string, Json>): Component;
}

export interface Another {
  zone: FakeZone;
  name: string;
  component(config?: Record<string, Json>, node?: (region: string) => Record<string, Json>): Component;
  /** The health check of a region's records. */
  check(region: string): FakeCheck;
  record(region: string): FakeRecord;
}

export function componentOf(config: Record<string, Json>, node: (region: string) => Record<string, Json>): Component {
  const parsed = route53.config.parse(config) as Component['config'];
  return {
    name: 'edge',
    type: 'route53',
    role: 'router',
    queue: 'rampart',
    config: parsed,
    sides: Object.fromEntries(
      [A, B].map((region) => [
        region,
        {
          region,
          nodes: [{ name: region, queue: 'rampart', config: route53.node.parse(node(region)) as Component['config'] }],
        },
      ]),
    ),
    capabilities: route53.capabilities(parsed),
  };
}

export function nodeOf(policy: Policy): (region: string) => Record<string, Json> {
  return (region) => ({ target: ADDRESSES[region]!, ...(policy === 'simple' ? {} : { setIdentifier: region }) });
}

/** @param servers authoritative servers of every zone */
export async function makeFakeWorld(policy: Policy, servers = 2): Promise<Route53World> {
  // The SDK's standard chain: any credentials do.
  process.env.AWS_ACCESS_KEY_ID = '000000000000';
  process.env.AWS_SECRET_ACCESS_KEY = 'secret of the standard chain';
  const endSkipping = skipWaits();
  const fake = new FakeRoute53();
  const aws = await FakeAws.start([fake.service()], 2);
  aws.fault({ fault: 'denied', endpoint: 1 });
  const name = 'shop.example.com';
  for (const region of [A, B]) fake.addCheck(`check-${region}`);
  for (const region of [A, B]) fake.addCheck(`check-deaf-${region}`);
  const zone = fake.addZone({ id: 'Z1EXAMPLE', name: 'example.com', records: recordsOf(policy, name) });
  const deafName = 'shop.deaf.example';
  const deafRecords = recordsOf(policy, deafName).map((one) => ({
    ...one,
    ...(one.id === undefined ? {} : { healthCheck: `check-deaf-${one.id}` }),
  }));
  fake.addZone({ id: 'Z2DEAF', name: 'deaf.example', records: deafRecords, deaf: true });
  const source = {
    records: () => [...fake.zones.values()].flatMap((one) => one.served),
    // What is deaf does not hear of health checks either.
    isHealthy: (id: string | undefined) => (id?.startsWith('check-deaf') ? true : fake.isHealthy(id)),
    nearest: ['eu-west-1', 'eu-central-1'],
  };
  const dns = await Promise.all(Array.from({ length: servers }, () => FakeDns.start(source)));
  const config = (changes: Record<string, Json> = {}): Record<string, Json> => ({
    policy,
    hostedZone: 'Z1EXAMPLE',
    name,
    endpoint: aws.url,
    nameServers: dns.map((server) => server.address),
    queries: 20,
    timeout: '2s',
    deadline: '30s',
    ...changes,
  });
  const component = (changes: Record<string, Json> = {}, node = nodeOf(policy)) => componentOf(config(changes), node);
  let zones = 0;
  const another: Route53World['another'] = (ownPolicy, records = (own) => recordsOf(ownPolicy, own)) => {
    const id = `Z9NUMBER${++zones}`;
    const ownName = `shop.zone${zones}.example`;
    for (const region of [A, B]) fake.addCheck(`check-${zones}-${region}`);
    const own = records(ownName).map((one) =>
      one.healthCheck === undefined
        ? one
        : { ...one, healthCheck: one.healthCheck.replace('check-', `check-${zones}-`) },
    );
    const number = zones;
    const made = fake.addZone({ id, name: `zone${zones}.example`, records: own, nameServers: ['ns-1.awsdns-01.org'] });
    return {
      zone: made,
      name: ownName,
      component: (changes = {}, node = nodeOf(ownPolicy)) =>
        component({ policy: ownPolicy, hostedZone: id, name: ownName, ...changes }, node),
      check: (region) => fake.checks.get(`check-${number}-${region}`)!,
      record: (region) => made.records.find((one) => one.id === region)!,
    };
  };
  let thaw = () => undefined as unknown;

  return {
    driver: route53,
    component: component(),
    with: component,
    aws,
    fake,
    zone,
    dns,
    another,
    secrets: {},
    unreachable: () => component({ endpoint: 'http://127.0.0.1:1' }),
    wrongCredentials: () => ({ component: component({ endpoint: aws.urls[1]! }), secrets: {} }),
    deaf: () => component({ hostedZone: 'Z2DEAF', name: deafName, deadline: '5s' }),
    freeze: () => {
      thaw = aws.fault({ fault: 'hang' });
    },
    thaw: () => thaw(),
    async changeByHand(weights) {
      byHand(fake, policy, weights);
    },
    measure: () => measure(dns[0]!.address, name),
    async close() {
      endSkipping();
      await Promise.all(dns.map((server) => server.stop()));
      await aws.stop();
    },
  };
}

function byHand(fake: FakeRoute53, policy: Policy, weights: Weights): void {
  if (policy === 'latency')
    for (const [region, weight] of Object.entries(weights)) {
      const check = fake.checks.get(`check-${region}`)!;
      Object.assign(check, { disabled: weight === 0, inverted: weight === 0, version: check.version + 1 });
    }
  fake.edit('Z1EXAMPLE', (records) => {
    for (const record of records.filter((one) => one.type === 'A')) {
      const to = Object.keys(weights).find((region) => weights[region] === 100)!;
      if (policy === 'weighted') record.weight = weights[record.id!]!;
      if (policy === 'failover') record.failover = record.id === to ? 'PRIMARY' : 'SECONDARY';
      if (policy === 'simple') record.values = [ADDRESSES[to]!];
    }
  });
}

/** Percent by region of twenty answers of one server. */
export async function measure(address: string, name: string): Promise<Weights> {
  const resolver = new Resolver();
  resolver.setServers([address]);
  const counts: Weights = { [A]: 0, [B]: 0 };
  for (let i = 0; i < 20; i++) {
    const [answer] = await resolver.resolve4(name);
    const region = Object.keys(ADDRESSES).find((one) => ADDRESSES[one] === answer)!;
    counts[region]! += 5;
  }
  return counts;
}
