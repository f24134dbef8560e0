/** What is special about Route 53: split, TTLs, fences, alias records, resolvers, the page for bad days. */
import { execFileSync } from 'node:child_process';
import { ChangeResourceRecordSetsCommand, Route53Client } from '@aws-sdk/client-route-53';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clock } from '../../../drivers/clock.ts';
import type { Router } from '../../../drivers/ports.ts';
import { claimValues, readClaimRecord } from '../../../drivers/route53/claim.ts';
import { route53 } from '../../../drivers/route53/driver.ts';
import type { Component } from '../../../topology/model.ts';
import { driverContext, token } from '../../conformance/driver-context.ts';
import { FakeDns } from '../../fakes/aws/route53-dns.ts';
import { A, B, makeFakeWorld, nodeOf, OLD_TTL, type Route53World, recordsOf } from './world.ts';

const TO_A = { [A]: 100, [B]: 0 };
const TO_B = { [A]: 0, [B]: 100 };

let world: Route53World;
let epoch = 0;
beforeAll(async () => {
  world = await makeFakeWorld('weighted');
});
afterAll(() => world?.close());

const newRun = () => token(++epoch, `run-${epoch}`, 1);
const open = (component: Component, run = newRun()): Router =>
  route53.open(component, driverContext({ token: run, now: () => clock.now() }));

describe('a split', () => {
  test('is exact in the records, in one batch, and counted at every server', async () => {
    const at = world.another('weighted');
    const router = open(at.component({ queries: 100 }));
    const before = world.aws.count('ChangeResourceRecordSets');
    await router.setWeights({ [A]: 90, [B]: 10 });
    expect(world.aws.count('ChangeResourceRecordSets') - before).toBe(1);
    expect([at.record(A).weight, at.record(B).weight]).toEqual([90, 10]);
    const seen = await router.verifyWeights({ [A]: 90, [B]: 10 });
    expect(seen.facts).toMatchObject({ by: 'sampled', requests: 200 });
    expect((seen.facts.observed as Record<string, number>)[B]).toBeCloseTo(10, 0);
  });

  test('in other numbers stays as somebody wrote it', async () => {
    const at = world.another('weighted');
    world.fake.edit(at.zone.id, () => void Object.assign(at.record(A), { weight: 200 }));
    expect((await open(at.component()).setWeights(TO_A)).already).toBe(true);
    expect(at.record(A).weight).toBe(200);
  });

  test('all zero is told as what it is: everybody gets everything', async () => {
    const at = world.another('weighted');
    world.fake.edit(at.zone.id, () => void Object.assign(at.record(A), { weight: 0 }));
    const seen = await open(at.component()).observe();
    expect(seen).toMatchObject({ weights: { [A]: 50, [B]: 50 }, detail: expect.stringContaining('equally often') });
  });

  test('weight 0 is no fence: when the other region is unhealthy, it answers, and that is seen', async () => {
    const at = world.another('weighted');
    at.check(A).healthy = false;
    const seen = await open(at.component()).observe();
    expect(seen).toMatchObject({ weights: TO_A, applied: false, detail: expect.stringContaining(B) });
  });
});

describe('TTL', () => {
  test('is lowered one old TTL ahead, kept in the claim, and put back', async () => {
    const at = world.another('weighted');
    const run = newRun();
    const router = open(at.component({ ttl: '30s' }), run);
    const saved = await router.save();
    expect(saved.facts.ttls).toEqual({ [`A.${A}`]: OLD_TTL, [`A.${B}`]: OLD_TTL });
    const started = clock.now();
    const prepared = await router.prepare();
    expect(clock.now() - started).toBeGreaterThanOrEqual(OLD_TTL * 1000);
    expect(prepared).toMatchObject({ already: false, facts: { waitedMs: OLD_TTL * 1000 } });
    expect(at.record(A).ttl).toBe(30);
    // Whoever comes after a run that was lost finds the original.
    expect((await open(at.component({ ttl: '30s' })).save()).facts).toEqual(saved.facts);
    await router.setWeights(TO_B);
    await router.restore(saved.facts);
    expect([at.record(A).ttl, at.record(B).ttl]).toEqual([OLD_TTL, OLD_TTL]);
    expect((await router.restore(saved.facts)).already).toBe(true);
  });

  test('a repeat waits for what is left of the old one', async () => {
    const at = world.another('weighted');
    const run = newRun();
    await open(at.component({ ttl: '30s' }), run).prepare({ wait: false });
    const started = clock.now();
    expect((await open(at.component({ ttl: '30s' }), run).prepare()).already).toBe(true);
    const waited = clock.now() - started;
    expect(waited).toBeGreaterThan(OLD_TTL * 1000 - 60_000);
    expect((await open(at.component({ ttl: '30s' }), run).prepare()).facts.waitedMs).toBe(0);
  });

  test('longer than is waited for: refused, unless nobody waits', async () => {
    const at = world.another('weighted');
    const component = at.component({ ttl: '30s', waitForTtl: '2m' });
    await expect(open(component).prepare()).rejects.toMatchObject({ type: 'PreconditionFailed' });
    expect(at.record(A).ttl).toBe(OLD_TTL);
    expect((await open(component).prepare({ wait: false })).summary).toContain('may be kept for');
  });

  test('what somebody has set meanwhile stays', async () => {
    const at = world.another('weighted');
    const router = open(at.component({ ttl: '30s' }));
    const saved = await router.save();
    await router.prepare();
    world.fake.edit(at.zone.id, () => void Object.assign(at.record(A), { ttl: 900 }));
    const restored = await open(at.component({ ttl: '30s' })).restore(saved.facts);
    expect(restored.summary).toContain(`A.${A} stays at 900 s`);
    expect([at.record(A).ttl, at.record(B).ttl]).toEqual([900, OLD_TTL]);
  });
});

test('a failover by Route 53 itself is seen as what it is', async () => {
  const at = world.another('failover');
  at.check(A).healthy = false;
  expect(await open(at.component()).observe()).toMatchObject({ weights: TO_A, applied: false });
  const moved = await open(at.component()).setWeights(TO_B);
  expect(moved.facts.before).toEqual(TO_A);
  expect(at.record(B).failover).toBe('PRIMARY');
});

test('both families of addresses move in one batch, and both are asked', async () => {
  const at = world.another('weighted', (name) => {
    const v4 = recordsOf('weighted', name);
    return [...v4, ...v4.map((one, i) => ({ ...one, type: 'AAAA', values: [`2001:db8::${i + 1}`] }))];
  });
  const node = (region: string) => ({
    setIdentifier: region,
    target: region === A ? ['192.0.2.1', '2001:DB8:0::1'] : ['192.0.2.2', '2001:db8::2'],
  });
  const router = open(at.component({ types: ['A', 'AAAA'] }, node));
  await router.setWeights({ [A]: 50, [B]: 50 });
  expect(at.zone.records.filter((one) => one.type === 'AAAA').map((one) => one.weight)).toEqual([50, 50]);
  expect((await router.verifyWeights({ [A]: 50, [B]: 50 })).already).toBe(true);
});

test('alias and CNAME records', async () => {
  const balancers = (name: string) =>
    [A, B].map((region, i) => ({ name: `${region}.${name}`, type: 'A', ttl: 60, values: [`198.51.100.${i + 1}`] }));
  const alias = world.another('weighted', (name) => [
    ...balancers(name),
    ...recordsOf('weighted', name).map(({ values: _, ttl: __, ...one }) => ({
      ...one,
      alias: { zone: 'Z32O12XQLNTSW2', name: `${one.id}.${name}`, evaluate: true },
    })),
  ]);
  const node = (region: string) => ({
    setIdentifier: region,
    target: `${region}.${alias.name}`,
    aliasZone: 'Z32O12XQLNTSW2',
  });
  const resolvers = [world.dns[0]!.address];
  const router = open(alias.component({ resolvers }, node));
  await router.setWeights(TO_B);
  expect(alias.record(B)).toMatchObject({ weight: 100, alias: { evaluate: true } });
  expect(await router.save()).toMatchObject({ facts: { ttls: {} } });
  const verified = await router.verifyWeights(TO_B);
  expect(verified).toMatchObject({ facts: { observed: { [B]: 100 }, resolvers: { [resolvers[0]!]: { [B]: 3 } } } });

  const writer = world.another('simple', (name) => [{ name, type: 'CNAME', ttl: 60, values: ['db.eu-west.example'] }]);
  const point = open(writer.component({ types: ['CNAME'] }, (region) => ({ target: `db.${region}.example` })));
  expect((await point.setWeights(TO_B)).facts).toMatchObject({ before: TO_A, after: TO_B });
  expect(writer.zone.records[0]!.values).toEqual([`db.${B}.example`]);
});

test('recursive resolvers are given one TTL, and then told of', async () => {
  const at = world.another('weighted');
  const stale = await FakeDns.start({ records: () => recordsOf('weighted', at.name), isHealthy: () => true });
  const run = newRun();
  const component = at.component({ ttl: '5m', resolvers: [stale.address] });
  await open(component, run).setWeights(TO_B);
  const started = clock.now();
  const error = open(component, run).verifyWeights(TO_B);
  await expect(error).rejects.toMatchObject({
    type: 'NotApplied',
    message: expect.stringContaining(`still answers ${A}`),
  });
  expect(clock.now() - started).toBeGreaterThanOrEqual(OLD_TTL * 1000);
  // A TTL that nobody had the time to lower is no fault of a resolver's.
  const unplanned = await open(at.component({ ttl: '30s', resolvers: [stale.address] })).verifyWeights(TO_B);
  expect(unplanned.facts.resolvers).toEqual({ [stale.address]: expect.stringContaining('as its TTL allows until') });
  expect(unplanned.summary).toContain('0 of 1 resolvers agree');
  stale.mute = true;
  await expect(open(component, run).verifyWeights(TO_B)).rejects.toThrow('no resolver answers');
  await stale.stop();
});

test('the servers of the zone are those that the zone names', async () => {
  const at = world.another('weighted');
  at.zone.nameServers = [world.dns[1]!.address];
  const { nameServers: _, ...config } = at.component().config as Record<string, string>;
  const component = { ...at.component(), config };
  const asked = world.dns[0]!.asked;
  expect((await open(component).setWeights(TO_B)).summary).toContain('at 1 authoritative servers');
  expect(world.dns[0]!.asked).toBe(asked);
  at.zone.nameServers = [];
  expect(await open({ ...component, config: { ...config, endpoint: `${world.aws.url}/` } }).observe()).toMatchObject({
    reachable: true,
    weights: TO_B,
    applied: false,
    detail: expect.stringContaining('no address of'),
  });
});

test('without DNS, what is known is what the API says, and that is said', async () => {
  const at = world.another('weighted');
  const component = at.component({ verify: 'readback' });
  const asked = world.dns.map((server) => server.asked);
  const moved = await open(component).setWeights(TO_B);
  expect(moved.summary).toContain('DNS was not asked');
  expect((await open(component).verifyWeights(TO_B)).facts.by).toBe('readback');
  expect(world.dns.map((server) => server.asked)).toEqual(asked);
  expect(component.capabilities).toMatchObject({
    verify: 'readback',
    unverifiable: expect.arrayContaining([expect.stringContaining('what DNS answers')]),
  });
});

test('the claim survives its record, whatever stands in it', () => {
  const was = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`A."region" ${i} ä`, 300]));
  const claim = {
    component: 'edge',
    epoch: 4,
    runId: 'a b="c"',
    seq: 2,
    at: 1,
    state: 'x',
    was,
    loweredAt: 5,
    busy: true,
  };
  const Value = claimValues(claim);
  for (const [, chunk] of Value.matchAll(/"([^"]*)"/g)) expect(chunk!.length).toBeLessThanOrEqual(255);
  const set = (value: string) => ({ Name: 'x', Type: 'TXT' as const, ResourceRecords: [{ Value: value }] });
  expect(readClaimRecord(set(Value))).toEqual(claim);
  for (const other of ['"v=spf1 -all"', '"rampart-claim epoch=x"', '"rampart-claim was=%"'])
    expect(readClaimRecord(set(other))).toBeNull();
});

describe('escape', () => {
  test.each(['weighted', 'failover', 'simple'] as const)('%s: its batch is what Route 53 takes', async (policy) => {
    const at = world.another(policy);
    const router = open(at.component());
    const commands = await router.escape(B);
    // A shell takes every line as it stands.
    execFileSync('sh', ['-n'], { input: commands.join('\n') });
    expect(commands.join('\n')).toContain(
      `--hosted-zone-id ${at.zone.id} --change-batch file://rampart-${at.name}.json`,
    );
    const ChangeBatch = JSON.parse(/<<'RAMPART'\n([\s\S]*?)\nRAMPART/.exec(commands.join('\n'))![1]!);
    const client = new Route53Client({ region: 'us-east-1', endpoint: world.aws.url });
    await client.send(new ChangeResourceRecordSetsCommand({ HostedZoneId: at.zone.id, ChangeBatch }));
    client.destroy();
    expect((await router.observe()).weights).toEqual(TO_B);
  });

  test('latency: puts the target on first', async () => {
    const at = world.another('latency');
    const [on, off] = (await open(at.component()).escape(B)).filter((line) => line.includes('update-health-check'));
    expect(on).toContain(`${at.check(B).id} --no-disabled --no-inverted`);
    expect(off).toContain(`${at.check(A).id} --disabled --inverted`);
  });

  test('when nothing can be read: what to look for, and where', async () => {
    const at = world.another('weighted');
    const commands = await open(at.component({ endpoint: 'http://127.0.0.1:1' })).escape(B);
    expect(commands.join('\n')).toContain('Weight 100 for it and 0 for the others');
    execFileSync('sh', ['-n'], { input: commands.join('\n') });
  });
});

describe('topology', () => {
  const problems = (config: Record<string, string | string[]>, node = nodeOf('weighted')) =>
    route53.validate!(world.with(config, node)).map(({ code }) => code);
  test.each([
    ['well', {}, undefined, []],
    ['half a second', { ttl: '1500ms' }, undefined, ['route53_whole_seconds']],
    ['CNAME beside A', { types: ['CNAME', 'A'] }, undefined, ['route53_types', 'route53_target', 'route53_target']],
    [
      'two regions alike',
      {},
      () => ({ setIdentifier: 'x', target: '192.0.2.1' }),
      ['route53_not_distinct', 'route53_not_distinct'],
    ],
    [
      'no identifier',
      {},
      (region: string) => ({ target: region === A ? '192.0.2.1' : '192.0.2.2' }),
      ['route53_set_identifier', 'route53_set_identifier'],
    ],
    ['no IPv6', { types: ['A', 'AAAA'] }, undefined, ['route53_target', 'route53_target']],
  ])('%s', (_, config, node, codes) => {
    expect(problems(config as Record<string, string>, node)).toEqual(codes);
  });
});
