/** What goes wrong between the driver, Route 53 and everybody else. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Router } from '../../../drivers/ports.ts';
import { route53 } from '../../../drivers/route53/driver.ts';
import type { Component } from '../../../topology/model.ts';
import { driverContext, token } from '../../conformance/driver-context.ts';
import type { FaultRule } from '../../fakes/aws/faults.ts';
import { AwsError } from '../../fakes/aws/protocol.ts';
import { A, type Another, B, makeFakeWorld, type Route53World } from './world.ts';

const TO_B = { [A]: 0, [B]: 100 };
const HALF = { [A]: 75, [B]: 25 };

let world: Route53World;
const faults: Array<() => void> = [];
let epoch = 0;

beforeAll(async () => {
  world = await makeFakeWorld('weighted');
});
afterAll(() => world?.close());
afterEach(() => {
  for (const end of faults.splice(0)) end();
  for (const server of world.dns) server.mute = false;
});

const fault = (rule: FaultRule) => faults.push(world.aws.fault({ endpoint: 0, ...rule }));
const newRun = () => token(++epoch, `run-${epoch}`, 1);
const open = (component: Component, run = newRun(), heartbeats: unknown[] = []): Router =>
  route53.open(component, driverContext({ token: run, heartbeats }));
const changes = () => world.aws.count('ChangeResourceRecordSets');
const weights = ({ zone }: Another) => zone.records.filter((one) => one.type === 'A').map((one) => one.weight);

describe('answers that do not come', () => {
  test('a change whose answer is cut off is not sent blindly again, and the repeat finds it', async () => {
    const at = world.another('weighted');
    const run = newRun();
    const before = changes();
    fault({ fault: 'cut', operation: 'ChangeResourceRecordSets', times: 1 });
    await expect(open(at.component(), run).setWeights(TO_B)).rejects.toMatchObject({ type: 'ProviderUnavailable' });
    expect(changes()).toBe(before + 1);
    expect(weights(at)).toEqual([0, 100]);
    const again = await open(at.component(), run).setWeights(TO_B);
    expect(again).toMatchObject({ already: true, facts: { after: TO_B } });
  });

  test('200 that did nothing is not believed', async () => {
    const at = world.another('weighted');
    fault({ fault: 'nothing', operation: 'ChangeResourceRecordSets' });
    const error = open(at.component()).setWeights(TO_B);
    await expect(error).rejects.toMatchObject({
      type: 'NotApplied',
      message: expect.stringContaining('does not know'),
    });
  });

  test('a change that never spreads is not applied', async () => {
    const at = world.another('weighted');
    at.zone.pendingFor = Number.POSITIVE_INFINITY;
    const heartbeats: unknown[] = [];
    const router = open(at.component(), newRun(), heartbeats);
    await expect(router.setWeights(TO_B)).rejects.toMatchObject({ message: expect.stringContaining('PENDING') });
    expect(heartbeats).toContainEqual(expect.objectContaining({ waitingFor: 'INSYNC', observed: 'PENDING' }));
  });

  test('while a change spreads, throttling and lost answers are borne', async () => {
    const at = world.another('weighted');
    at.zone.pendingFor = 4;
    fault({ fault: 'cut', operation: 'GetChange', times: 1 });
    fault({ fault: 'throttled', operation: 'GetChange', after: 1, times: 1 });
    expect((await open(at.component()).setWeights(TO_B)).already).toBe(false);
  });

  test('a name server that is silent is no proof', async () => {
    const at = world.another('weighted');
    world.dns[1]!.mute = true;
    const error = await open(at.component({ deadline: '1s', timeout: '300ms' }))
      .setWeights(TO_B)
      .catch((caught: Error) => caught);
    expect(error).toMatchObject({ type: 'NotApplied', message: expect.stringContaining(world.dns[1]!.address) });
    expect(await open(at.component({ timeout: '300ms' })).observe()).toMatchObject({
      reachable: true,
      weights: TO_B,
      applied: false,
    });
  }, 20_000);
});

describe('refusals', () => {
  test.each([
    ['throttled', 'throttled' as const],
    [
      'an earlier change of the zone is not through',
      new AwsError('PriorRequestNotComplete', 'The request was rejected'),
    ],
  ])('%s: waited for, and looked at again before it is sent again', async (_, kind) => {
    const at = world.another('weighted');
    fault({ fault: kind, operation: 'ChangeResourceRecordSets', times: 2 });
    const reads = world.aws.count('ListResourceRecordSets');
    expect((await open(at.component()).setWeights(TO_B)).already).toBe(false);
    expect(world.aws.count('ListResourceRecordSets') - reads).toBeGreaterThanOrEqual(4);
  });

  test('throttled for good: says how long to wait', async () => {
    const at = world.another('weighted');
    fault({ fault: 'throttled', operation: 'ChangeResourceRecordSets' });
    await expect(open(at.component()).setWeights(TO_B)).rejects.toMatchObject({
      type: 'ProviderUnavailable',
      details: { retryAfterMs: expect.any(Number), notApplied: true },
    });
    expect(weights(at)).toEqual([1, 0]);
  });

  test('credentials that expire in the middle: told as such, and the next attempt goes on', async () => {
    const at = world.another('weighted');
    const run = newRun();
    const end = world.aws.fault({ fault: 'expired', operation: 'GetChange', endpoint: 0 });
    const error = await open(at.component(), run)
      .setWeights(TO_B)
      .catch((caught: Error) => caught);
    expect(error).toMatchObject({ type: 'AccessDenied', message: expect.stringContaining('expired') });
    end();
    expect(await open(at.component(), run).setWeights(TO_B)).toMatchObject({ already: true });
  });

  test('the right to change is not known while nobody answers', async () => {
    const at = world.another('weighted');
    fault({ fault: 'unavailable', operation: 'ChangeResourceRecordSets' });
    await expect(open(at.component()).preflight!('planned', A, B)).rejects.toMatchObject({
      type: 'ProviderUnavailable',
    });
  });

  test('a protected record: the reason of Route 53, after one batch', async () => {
    const at = world.another('weighted');
    at.zone.protections.push({ name: at.name, type: 'A' });
    const before = changes();
    await expect(open(at.component()).setWeights(TO_B)).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining('is protected'),
    });
    expect(changes() - before).toBe(1);
  });
});

describe('somebody else', () => {
  const meanwhile = (change: () => void) =>
    fault({ fault: 'pass', operation: 'ChangeResourceRecordSets', times: 1, before: change });

  test('an edit between the look and the batch stays: Conflict, nothing overwritten', async () => {
    const at = world.another('weighted');
    meanwhile(() => world.fake.edit(at.zone.id, () => void Object.assign(at.record(A), { weight: 7 })));
    await expect(open(at.component()).setWeights(TO_B)).rejects.toMatchObject({ type: 'Conflict' });
    expect(weights(at)).toEqual([7, 0]);
  });

  test('a newer run between the look and the batch: the older one is refused', async () => {
    const at = world.another('weighted');
    const older = newRun();
    const newer = newRun();
    let done: Promise<unknown> = Promise.resolve();
    fault({
      fault: 'pass',
      operation: 'ChangeResourceRecordSets',
      times: 1,
      before: async () => {
        done = open(at.component(), newer).setWeights(HALF);
        await done;
      },
    });
    await expect(open(at.component({ timeout: '20s' }), older).setWeights(TO_B)).rejects.toMatchObject({
      type: 'Conflict',
    });
    await done;
    expect(weights(at)).toEqual([75, 25]);
  });

  test('a health check changed meanwhile refuses the switch of a region', async () => {
    const at = world.another('latency');
    fault({
      fault: 'pass',
      operation: 'UpdateHealthCheck',
      times: 1,
      before: () => void Object.assign(at.check(B), { version: 9, disabled: true }),
    });
    await expect(open(at.component()).setWeights(TO_B)).rejects.toMatchObject({ type: 'Conflict' });
  });

  test('a record of nobody that takes a share: nothing is changed until somebody says what it is', async () => {
    const at = world.another('weighted');
    at.zone.records.push({ ...at.record(A), id: 'old', weight: 9 });
    await expect(open(at.component()).setWeights(TO_B)).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining('"old" takes a share'),
    });
    expect(weights(at)).toEqual([1, 0, 9]);
  });

  test('a record that is another region by the topology is never changed', async () => {
    const at = world.another('weighted');
    const swapped = (region: string) => ({ setIdentifier: region, target: region === A ? '192.0.2.2' : '192.0.2.1' });
    const router = open(at.component({}, swapped));
    await expect(router.setWeights(TO_B)).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining(`by the topology ${A} is 192.0.2.2`),
    });
    expect(await router.observe()).toMatchObject({ weights: null, applied: false });
    expect(weights(at)).toEqual([1, 0]);
  });
});

test('a switch of regions that dies in its middle is finished by its repeat', async () => {
  const at = world.another('latency');
  const run = newRun();
  await open(at.component(), run).setWeights({ [A]: 50, [B]: 50 });
  fault({ fault: 'reset', operation: 'UpdateHealthCheck', applied: true, times: 1, after: 1 });
  await expect(open(at.component(), run).setWeights(TO_B)).rejects.toMatchObject({ type: 'ProviderUnavailable' });
  expect((await open(at.component(), run).setWeights(TO_B)).facts.after).toEqual(TO_B);
  expect([at.check(A), at.check(B)].map(({ disabled, inverted }) => [disabled, inverted])).toEqual([
    [true, true],
    [false, false],
  ]);
});
