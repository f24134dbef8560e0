/** What the driver finds before a plan; each finding from a state that really is so. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Json } from '../../../drivers/ports.ts';
import { route53 } from '../../../drivers/route53/driver.ts';
import { driverContext } from '../../conformance/driver-context.ts';
import type { FakeRecord } from '../../fakes/aws/route53.ts';
import { A, type Another, B, makeFakeWorld, type Policy, type Route53World, recordsOf } from './world.ts';

let world: Route53World;
beforeAll(async () => {
  world = await makeFakeWorld('weighted');
});
afterAll(() => world?.close());

interface Case {
  policy?: Policy;
  config?: Record<string, Json>;
  node?: (region: string) => Record<string, Json>;
  set?: (at: Another) => void;
  mode?: 'planned' | 'unplanned';
}

const swapped = (region: string) => ({ setIdentifier: region, target: region === A ? '192.0.2.2' : '192.0.2.1' });
const add = (record: (name: string) => FakeRecord) => (at: Another) => void at.zone.records.push(record(at.name));
const LOW = { ttl: '5m' };

const CASES: Array<[name: string, of: Case, found: string[]]> = [
  ['nothing', { config: LOW }, []],
  ['a TTL that is lowered', {}, ['info ttlLowered']],
  ['a TTL that is lowered, unplanned', { mode: 'unplanned' }, ['warning ttlLowered']],
  ['a TTL too long', { config: { waitForTtl: '1m' } }, ['blocker ttlTooLong']],
  ['a TTL too long, unplanned', { config: { waitForTtl: '1m' }, mode: 'unplanned' }, ['warning ttlTooLong']],
  ['regions swapped', { config: LOW, node: swapped }, ['blocker recordTarget', 'blocker recordTarget']],
  [
    'a record missing',
    { config: LOW, set: (at) => void at.zone.records.pop() },
    ['blocker recordMissing', 'info noHealthCheck'],
  ],
  [
    'a record missing, unplanned',
    { config: LOW, mode: 'unplanned', set: (at) => void at.zone.records.pop() },
    ['warning recordMissing', 'info noHealthCheck'],
  ],
  [
    'regions swapped, unplanned',
    { config: LOW, mode: 'unplanned', node: swapped },
    ['blocker recordTarget', 'blocker recordTarget'],
  ],
  [
    'another policy',
    { policy: 'weighted', config: { ...LOW, policy: 'latency' } },
    ['blocker recordPolicy', 'blocker recordPolicy'],
  ],
  [
    'a third record',
    { config: LOW, set: add((name) => ({ ...recordsOf('weighted', name)[0]!, id: 'old', weight: 5 })) },
    ['blocker otherRecord'],
  ],
  [
    'a third record, idle',
    { config: LOW, set: add((name) => ({ ...recordsOf('weighted', name)[0]!, id: 'old', weight: 0 })) },
    ['warning otherRecord'],
  ],
  [
    'IPv6 beside',
    { config: LOW, set: add((name) => ({ name, type: 'AAAA', ttl: 60, values: ['2001:db8::1'] })) },
    ['warning otherType'],
  ],
  [
    'a protected record',
    { config: LOW, set: (at) => void at.zone.protections.push({ name: at.name, type: 'A' }) },
    ['blocker protected'],
  ],
  [
    'a protected claim',
    { config: LOW, set: (at) => void at.zone.protections.push({ name: `_rampart.${at.name}`, type: 'TXT' }) },
    ['blocker protected'],
  ],
  [
    'a private zone',
    { config: LOW, set: (at) => void Object.assign(at.zone, { private: true }) },
    ['blocker privateZone'],
  ],
  [
    'two zones of one name',
    { config: LOW, set: (at) => void world.fake.addZone({ id: `${at.zone.id}B`, name: at.zone.name, records: [] }) },
    ['warning twoZones'],
  ],
  ['no health check', { config: LOW, set: (at) => void delete at.record(A).healthCheck }, ['info noHealthCheck']],
  [
    'no health check to switch',
    { policy: 'latency', config: LOW, set: (at) => void delete at.record(A).healthCheck },
    ['blocker noHealthCheck'],
  ],
  [
    'an unhealthy target',
    { config: LOW, set: (at) => void Object.assign(at.check(B), { healthy: false }) },
    ['blocker unhealthy'],
  ],
  [
    'an unhealthy target, unplanned',
    { config: LOW, mode: 'unplanned', set: (at) => void Object.assign(at.check(B), { healthy: false }) },
    ['warning unhealthy'],
  ],
  [
    'a fenced target',
    { config: LOW, set: (at) => void Object.assign(at.check(B), { disabled: true, inverted: true }) },
    ['warning fenced'],
  ],
  [
    'a disabled check',
    { config: LOW, set: (at) => void Object.assign(at.check(A), { disabled: true }) },
    ['warning healthCheckSettings'],
  ],
  [
    'a routing control',
    { config: LOW, set: (at) => void Object.assign(at.check(A), { type: 'RECOVERY_CONTROL' }) },
    ['blocker routingControl'],
  ],
];

test.each(CASES)('%s', async (_, { policy = 'weighted', config = {}, node, set, mode = 'planned' }, found) => {
  const at = world.another(policy);
  set?.(at);
  const router = route53.open(at.component(config, node), driverContext());
  const before = JSON.stringify(at.zone.records);
  const findings = await router.preflight!(mode, A, B);
  expect(findings.map(({ severity, code }) => `${severity} ${code.replace('route53.', '')}`)).toEqual(found);
  for (const { message, remedy, component } of findings) expect([message, remedy, component].every(Boolean)).toBe(true);
  expect(JSON.stringify(at.zone.records)).toBe(before);
});

test('a name of another zone', async () => {
  const at = world.another('weighted');
  const router = route53.open(at.component({ name: 'shop.example.net' }), driverContext());
  expect((await router.preflight!('planned', A, B)).map(({ code }) => code)).toEqual(['route53.wrongZone']);
});

test('rights that are missing are found before they are needed', async () => {
  const at = world.another('weighted');
  const end = world.aws.fault({ fault: 'denied', operation: 'ChangeResourceRecordSets' });
  const findings = await route53.open(at.component(LOW), driverContext()).preflight!('planned', A, B);
  end();
  expect(findings).toMatchObject([{ code: 'route53.cannotChange', severity: 'blocker' }]);
});

test('a zone that clients do not ask', async () => {
  const at = world.another('weighted');
  const ns = (names: string[]) => {
    at.zone.served.push({ name: at.zone.name, type: 'NS', ttl: 60, values: names });
  };
  const resolvers = [world.dns[0]!.address];
  const preflight = () =>
    route53.open(at.component({ ...LOW, resolvers }), driverContext()).preflight!('planned', A, B);
  ns(['ns-1.elsewhere.example']);
  expect(await preflight()).toMatchObject([{ code: 'route53.notDelegated', severity: 'blocker' }]);
  at.zone.served.pop();
  ns(['ns-1.awsdns-01.org']);
  expect(await preflight()).toEqual([]);
});
