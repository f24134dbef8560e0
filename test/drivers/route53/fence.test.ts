/** Fences, and switches of health checks: what comes late, half, or without anybody who knows. */
import { Route53Client, UpdateHealthCheckCommand } from '@aws-sdk/client-route-53';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clock } from '../../../drivers/clock.ts';
import type { Router } from '../../../drivers/ports.ts';
import { route53 } from '../../../drivers/route53/driver.ts';
import type { Component } from '../../../topology/model.ts';
import { driverContext, token } from '../../conformance/driver-context.ts';
import { FakeDns } from '../../fakes/aws/route53-dns.ts';
import { A, B, makeFakeWorld, type Route53World, recordsOf } from './world.ts';

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

describe('a fence', () => {
  test('makes a region unhealthy whatever its endpoint does; traffic for it lifts that', async () => {
    const at = world.another('weighted');
    const router = open(at.component());
    await router.setWeights({ [A]: 50, [B]: 50 });
    const fenced = await router.fence!(A);
    expect(fenced).toMatchObject({ already: false, summary: expect.stringContaining('no authoritative server') });
    expect(at.check(A)).toMatchObject({ disabled: true, inverted: true });
    at.check(A).healthy = false;
    expect(world.fake.isHealthy(at.check(A).id)).toBe(false);
    at.check(A).healthy = true;
    await router.setWeights(TO_A);
    expect(at.check(A)).toMatchObject({ disabled: false, inverted: false });
  });

  test('is refused without a health check, and when nobody else is healthy', async () => {
    const plain = world.another('weighted', (name) =>
      recordsOf('weighted', name).map(({ healthCheck: _, ...one }) => one),
    );
    await expect(open(plain.component()).fence!(A)).rejects.toMatchObject({
      message: expect.stringContaining('no health check'),
    });
    const at = world.another('failover');
    at.check(B).healthy = false;
    await expect(open(at.component()).fence!(A)).rejects.toMatchObject({
      message: expect.stringContaining('no region but'),
    });
    expect(at.check(A).version).toBe(1);
  });

  test('one that was begun and given up cannot fence the region that serves again', async () => {
    const at = world.another('weighted');
    await open(at.component()).setWeights(TO_B);
    const end = world.aws.fault({ operation: 'UpdateHealthCheck', fault: 'unavailable', times: 1 });
    await expect(open(at.component()).fence!(A)).rejects.toMatchObject({ type: 'ProviderUnavailable' });
    end();
    const { version } = at.check(A);
    const run = newRun();
    await open(at.component(), run).setWeights(TO_A);
    // Its request, on the way until now.
    const client = new Route53Client({ region: 'us-east-1', endpoint: world.aws.url });
    const late = new UpdateHealthCheckCommand({
      ...{ HealthCheckId: at.check(A).id, HealthCheckVersion: version, Disabled: true, Inverted: true },
    });
    await expect(client.send(late)).rejects.toMatchObject({ name: 'HealthCheckVersionMismatch' });
    client.destroy();
    expect(at.check(A)).toMatchObject({ disabled: false, inverted: false });
    // Once is enough.
    const after = at.check(A).version;
    expect((await open(at.component(), run).setWeights(TO_A)).already).toBe(true);
    expect(at.check(A).version).toBe(after);
  });

  test('half of one is lifted, too', async () => {
    const at = world.another('weighted', (name) => {
      const v4 = recordsOf('weighted', name);
      return [
        ...v4,
        ...v4.map((one, i) => ({
          ...{ ...one, type: 'AAAA', values: [`2001:db8::${i + 1}`], healthCheck: `${one.healthCheck}-six` },
        })),
      ];
    });
    const sixth = at.zone.records
      .filter((one) => one.type === 'AAAA')
      .map((one) => world.fake.addCheck(one.healthCheck!));
    Object.assign(sixth[0]!, { disabled: true, inverted: true });
    const node = (region: string) => ({
      setIdentifier: region,
      target: region === A ? ['192.0.2.1', '2001:db8::1'] : ['192.0.2.2', '2001:db8::2'],
    });
    await open(at.component({ types: ['A', 'AAAA'] }, node)).setWeights(TO_A);
    expect(sixth[0]).toMatchObject({ disabled: false, inverted: false });
  });

  test('cuts off what is left, and never the region that serves', async () => {
    const at = world.another('weighted');
    await expect(open(at.component()).fence!(A)).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining('nobody would serve'),
    });
    expect(at.check(A).version).toBe(1);
  });

  test('answers of nobody are no proof that the region is not among them', async () => {
    const alias = world.another('weighted', (name) => [
      ...[A, B].map((region, i) => ({
        name: `${region}.${name}`,
        type: 'A',
        ttl: 60,
        values: [`198.51.100.${i + 1}`],
      })),
      ...recordsOf('weighted', name).map(({ values: _, ttl: __, ...one }) => ({
        ...{ ...one, weight: 1, alias: { zone: 'Z32O12XQLNTSW2', name: `${one.id}.${name}`, evaluate: false } },
      })),
    ]);
    // The servers do not hear of the fence, and whoever resolves the targets does not know that of the region.
    world.fake.edit(alias.zone.id, () => void Object.assign(alias.record(A), { healthCheck: `check-deaf-${A}` }));
    const records = () => alias.zone.records.filter((one) => one.name.startsWith(B));
    const half = await FakeDns.start({ records, isHealthy: () => true });
    const node = (region: string) => ({
      ...{ setIdentifier: region, target: `${region}.${alias.name}`, aliasZone: 'Z32O12XQLNTSW2' },
    });
    const router = open(alias.component({ resolvers: [half.address], deadline: '2s' }, node));
    await expect(router.fence!(A)).rejects.toMatchObject({
      type: 'NotApplied',
      message: expect.stringContaining('answered by no region'),
    });
    await half.stop();
  });
});

test('latency: a check that nobody has looked at since it was put on is not healthy, and the other region stays', async () => {
  const at = world.another('latency');
  await open(at.component()).setWeights(TO_A);
  at.check(B).unseen = true;
  await expect(open(at.component()).setWeights(TO_B)).rejects.toMatchObject({
    type: 'NotApplied',
    message: expect.stringContaining('nothing is known of it'),
  });
  expect(at.check(A)).toMatchObject({ disabled: false, inverted: false });
  at.check(B).unseen = false;
  await open(at.component()).setWeights(TO_B);
  expect(at.check(A)).toMatchObject({ disabled: true, inverted: true });
});
