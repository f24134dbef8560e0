import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { validateAccelerator } from '../../../drivers/global-accelerator/config.ts';
import { recordIn, tagsOf } from '../../../drivers/global-accelerator/record.ts';
import { percentOf } from '../../../drivers/global-accelerator/values.ts';
import type { Router } from '../../../drivers/ports.ts';
import type { Component } from '../../../topology/model.ts';
import { type ContextOptions, driverContext, token } from '../../conformance/driver-context.ts';
import { describeRouter } from '../../conformance/router/router-suite.ts';
import { AwsError } from '../../fakes/aws/protocol.ts';
import { type AcceleratorWorld, makeAcceleratorWorld } from './world.ts';

// In one file with the rest: each file of its own loads the SDK anew.
describeRouter('Global Accelerator, dials', () => makeAcceleratorWorld('dial'));
describeRouter('Global Accelerator, weights', () => makeAcceleratorWorld('weight'));

const west = (percent: number) => ({ 'eu-west': percent, 'eu-central': 100 - percent });

let world: AcceleratorWorld;
let epoch = 0;
const newRun = () => token(++epoch, `run ${epoch}`, 1);
const open = (options: ContextOptions = {}, component: Component = world.component): Router =>
  world.driver.open(component, driverContext({ token: newRun(), ...options }));
const dials = () => ({
  'eu-west': world.ga.group(world.group['eu-west']).TrafficDialPercentage,
  'eu-central': world.ga.group(world.group['eu-central']).TrafficDialPercentage,
});
/** A run takes the claim. */
const claimBy = ({ epoch, runId }: { epoch: number; runId: string }) => {
  const claim = { epoch, runId, seq: 1, at: 1 };
  const [tag] = tagsOf('edge', { claim, began: {}, before: {}, wanted: {}, confirmed: false });
  world.ga.tags.set(tag!.Key, tag!.Value);
};
const updates = () => world.fake.count('UpdateEndpointGroup');

describe('Global Accelerator by dials', { timeout: 30_000 }, () => {
  beforeAll(async () => {
    world = await makeAcceleratorWorld('dial');
  });
  beforeEach(async () => {
    world.fake.faults.clear();
    world.ga.deployLooks = 1;
    for (const arn of Object.values(world.group)) world.ga.setHealth(arn, 'HEALTHY');
    await world.changeByHand(west(100));
    world.ga.tags.clear();
    world.ga.history.length = 0;
    world.fake.calls.length = 0;
  });
  afterAll(() => world.close());

  test('its API is asked in us-west-2, whatever the environment says', async () => {
    await open().setWeights(west(90));
    expect(new Set(world.fake.calls.map(({ region }) => region))).toEqual(new Set(['us-west-2']));
  });

  test('gains are turned before losses: at no moment everything is 0', async () => {
    await open().setWeights(west(0));
    expect(world.ga.history.map((at) => [at[world.group['eu-west']], at[world.group['eu-central']]])).toEqual([
      [100, 100],
      [0, 100],
    ]);
  });

  test('a change counts when it is deployed, and heartbeats say what is waited for', async () => {
    world.ga.deployLooks = 4;
    const heartbeats: unknown[] = [];
    await open({ heartbeats }).setWeights(west(50));
    expect(JSON.stringify(heartbeats)).toContain('dials eu-west 50, eu-central 50, still being deployed');
    expect(await open().observe()).toMatchObject({ applied: true, weights: west(50) });
  });

  test('what is being deployed for too long is NotApplied, and not applied to whoever looks', async () => {
    world.ga.deployLooks = 1_000;
    const slow = open({}, world.with({ deadline: '150ms' }));
    await expect(slow.setWeights(west(0))).rejects.toMatchObject({
      type: 'NotApplied',
      message: expect.stringContaining('still being deployed'),
    });
    expect(await open().observe()).toMatchObject({ reachable: true, applied: false });
  });

  test('100 and 100 is read as equal parts, and comes back as it was when the run undoes its step', async () => {
    await world.changeByHand({ 'eu-west': 100, 'eu-central': 100 });
    expect((await open().observe()).weights).toEqual(west(50));
    const run = newRun();
    await open({ token: run }).setWeights(west(0));
    expect(dials()).toEqual(west(0));
    const undone = await open({ token: { ...run, seq: 2 } }).setWeights(west(50));
    expect(dials()).toEqual({ 'eu-west': 100, 'eu-central': 100 });
    expect(undone.summary).toContain('dials eu-west 100, eu-central 100');
  });

  test('and also when another run puts it back, which has read nothing but what the first one saved', async () => {
    await world.changeByHand({ 'eu-west': 100, 'eu-central': 100 });
    const { facts } = await open().save();
    await open({ token: newRun() }).setWeights(west(0));
    await open({ token: newRun() }).setWeights(west(50), facts);
    expect(dials()).toEqual({ 'eu-west': 100, 'eu-central': 100 });
  });

  test('a region that Global Accelerator finds unhealthy gets no traffic, also when nothing else speaks against it', async () => {
    world.ga.setHealth(world.group['eu-central'], 'UNHEALTHY');
    await expect(open().setWeights(west(0))).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringMatching(/does not find eu-central: .* is UNHEALTHY/),
    });
    expect(updates()).toBe(0);
    expect(world.ga.tags.size).toBe(0);
    expect((await open().observe()).detail).toContain('eu-central is not healthy for Global Accelerator');
    // Away from it is always possible.
    await world.changeByHand(west(0));
    await open().setWeights(west(100));
    await expect(open().verifyWeights(west(100))).resolves.toMatchObject({ already: true });
    world.ga.setHealth(world.group['eu-west'], 'INITIAL');
    await expect(open().verifyWeights(west(100))).rejects.toMatchObject({ type: 'PreconditionFailed' });
  });

  test('a newer run that takes the claim while health is waited for keeps it', async () => {
    const older = newRun();
    const newer = newRun();
    world.ga.setHealth(world.group['eu-central'], 'INITIAL');
    world.fake.fault({
      operation: 'DescribeAccelerator',
      fault: 'pass',
      // The first look at health; the one before it was for the claim.
      after: 1,
      times: 1,
      before: () => {
        claimBy(newer);
        world.ga.setHealth(world.group['eu-central'], 'HEALTHY');
      },
    });
    const waiting = open({ token: older }, world.with({ healthWait: '5s' })).setWeights(west(0));
    await expect(waiting).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining(`held by run ${newer.runId}`),
    });
    expect((await open().observe()).claim).toMatchObject({ runId: newer.runId });
    expect(updates()).toBe(0);
  });

  test('an accelerator that is disabled has no traffic to verify', async () => {
    world.ga.enabled = false;
    try {
      await expect(open().verifyWeights(west(100))).rejects.toMatchObject({
        type: 'NotApplied',
        message: expect.stringContaining('the accelerator is disabled'),
      });
    } finally {
      world.ga.enabled = true;
    }
  });

  test.each(['cut', 'reset'] as const)(
    'an answer that is lost (%s): found at the next look, sent once',
    async (fault) => {
      world.fake.fault({ operation: 'UpdateEndpointGroup', fault, applied: true, times: 1 });
      await open().setWeights(west(0));
      expect(dials()).toEqual(west(0));
      expect(updates()).toBe(2);
    },
  );

  test('a 200 that did nothing is NotApplied, and the next attempt does it', async () => {
    const run = newRun();
    world.fake.fault({ operation: 'UpdateEndpointGroup', fault: 'nothing', times: 1 });
    const first = open({ token: run }, world.with({ deadline: '200ms' }));
    await expect(first.setWeights(west(0))).rejects.toMatchObject({ type: 'NotApplied' });
    await open({ token: run }).setWeights(west(0));
    expect(dials()).toEqual(west(0));
  });

  test('throttled and busy: looked at again until it goes through', async () => {
    world.fake.fault({ operation: 'UpdateEndpointGroup', fault: 'throttled', times: 2 });
    world.fake.fault({
      operation: 'UpdateEndpointGroup',
      fault: new AwsError('TransactionInProgressException', 'Another transaction is in progress'),
      times: 1,
    });
    await open().setWeights(west(0));
    expect(dials()).toEqual(west(0));
  });

  test('credentials that expire in the middle: said so; between the two changes nobody is without a region', async () => {
    const run = newRun();
    world.fake.fault({ operation: 'UpdateEndpointGroup', fault: 'expired', after: 1, times: 1 });
    await expect(open({ token: run }).setWeights(west(0))).rejects.toMatchObject({
      type: 'AccessDenied',
      message: expect.stringContaining('expired'),
    });
    expect(dials()).toEqual({ 'eu-west': 100, 'eu-central': 100 });
    expect(await open().observe()).toMatchObject({ applied: false });
    expect((await open({ token: run }).setWeights(west(0))).already).toBe(false);
    expect(dials()).toEqual(west(0));
  });

  test('somebody else changes it in the middle: Conflict, and theirs stays', async () => {
    world.fake.fault({
      operation: 'UpdateEndpointGroup',
      fault: 'unavailable',
      times: 1,
      before: () => {
        world.ga.group(world.group['eu-west']).TrafficDialPercentage = 30;
      },
    });
    await expect(open().setWeights(west(0))).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining('somebody else changes it: dials eu-west 30'),
    });
    expect(dials()['eu-west']).toBe(30);
  });

  test('a newer run that takes the claim in the middle: the older one changes nothing more', async () => {
    const older = newRun();
    const newer = newRun();
    world.fake.fault({
      operation: 'UpdateEndpointGroup',
      fault: 'unavailable',
      times: 1,
      before: () => claimBy(newer),
    });
    await expect(open({ token: older }).setWeights(west(0))).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining(`lost its claim; run ${newer.runId}`),
    });
    expect(updates()).toBe(1);
    expect(dials()).toEqual(west(100));
  });

  test('swapped regions: a blocker of the preflight, and refused by the step itself', async () => {
    const other = { 'eu-west': 'eu-central-1', 'eu-central': 'eu-west-1' } as const;
    const swapped = world.with({}, (region) => ({ endpointGroup: world.group[region], awsRegion: other[region] }));
    const found = await open({}, swapped).preflight!('planned', 'eu-west', 'eu-central');
    expect(found.filter(({ severity }) => severity === 'blocker').map(({ code }) => code)).toEqual([
      'acceleratorSwapped',
      'acceleratorSwapped',
    ]);
    await expect(open({}, swapped).setWeights(west(0))).rejects.toMatchObject({
      type: 'PreconditionFailed',
      remedy: expect.stringContaining('swapped'),
    });
    expect((await open({}, swapped).observe()).weights).toBeNull();
    expect(updates()).toBe(0);
  });

  test('a group that is not there, one that nobody drives, a disabled accelerator, a target that is not well', async () => {
    const clean = await open().preflight!('planned', 'eu-west', 'eu-central');
    expect(clean).toEqual([]);
    const gone = world.with({}, (region) => ({ endpointGroup: `${world.group[region]}x`, awsRegion: 'eu-west-1' }));
    expect((await open({}, gone).preflight!('unplanned', 'eu-west', 'eu-central')).map(({ code }) => code)).toEqual([
      'acceleratorMissing',
      'acceleratorMissing',
      // The group that was meant.
      'acceleratorOthers',
      'acceleratorUnhealthy',
    ]);
    // The third of the listener, so on the second page.
    const third = world.ga.addGroup('aaaa1111', 'third', 'us-west-2', 100);
    world.ga.enabled = false;
    world.ga.setHealth(world.group['eu-central'], 'UNHEALTHY');
    try {
      for (const [mode, severity] of [
        ['planned', 'blocker'],
        ['unplanned', 'warning'],
      ] as const) {
        const found = await open().preflight!(mode, 'eu-west', 'eu-central');
        expect(found.map((one) => [one.code, one.severity])).toEqual([
          ['acceleratorOthers', severity],
          ['acceleratorDisabled', severity],
          ['acceleratorUnhealthy', severity],
        ]);
      }
      expect(await open().observe()).toMatchObject({
        weights: null,
        detail: expect.stringContaining('traffic also goes to the endpoint group in us-west-2'),
      });
    } finally {
      world.ga.groups.delete(third);
      world.ga.enabled = true;
    }
  });

  test('an API that cannot be read, or denies, is a finding, and no reason for a rescue to wait', async () => {
    for (const [mode, severity] of [
      ['planned', 'blocker'],
      ['unplanned', 'warning'],
    ] as const) {
      world.fake.fault({ fault: 'denied' });
      for (const component of [world.unreachable(), world.component]) {
        const found = await open({}, component).preflight!(mode, 'eu-west', 'eu-central');
        expect(found.map((one) => [one.code, one.severity])).toEqual([['acceleratorUnreadable', severity]]);
      }
    }
  });

  test('the region of its API as source, and 100 and 100, are said before a plan', async () => {
    const far = world.ga.addGroup('bbbb2222', 'far', 'us-west-2', 100);
    const near = world.ga.addGroup('bbbb2222', 'near', 'eu-west-1', 100);
    const component = world.with({}, (region) =>
      region === 'eu-west'
        ? { endpointGroup: far, awsRegion: 'us-west-2' }
        : { endpointGroup: near, awsRegion: 'eu-west-1' },
    );
    const found = await open({}, component).preflight!('planned', 'eu-west', 'eu-central');
    expect(found.map(({ code, severity }) => [code, severity])).toEqual([
      ['acceleratorApiInSource', 'warning'],
      ['acceleratorByNearness', 'info'],
    ]);
  });

  test('a plan does not call a dial a share, and names what nobody can verify', () => {
    const { nominal, unverifiable, verify } = world.component.capabilities;
    expect([nominal, verify]).toEqual(['traffic dial', 'readback']);
    expect(unverifiable!.join()).toMatch(/clients nearest to it.*no fence.*stay where they are/);
  });

  test('by hand: gains first, in us-west-2', async () => {
    const commands = (await open().escape('eu-central')).filter((line) => line.includes('update-endpoint-group'));
    expect(
      commands.map((line) => /--region (\S+).*endpoint-group\/(\w+)' .*percentage (\d+)/.exec(line)!.slice(1)),
    ).toEqual([
      ['us-west-2', 'aaaa1111c', '100'],
      ['us-west-2', 'aaaa1111w', '0'],
    ]);
  });

  test('topologies that cannot work are refused when they are read', () => {
    const codes = (component: Component) => validateAccelerator(component).map(({ code }) => code);
    expect(codes(world.component)).toEqual([]);
    expect(codes(world.with({}, () => ({ endpointGroup: world.group['eu-west'], awsRegion: 'eu-west-1' })))).toEqual([
      'accelerator_twice',
    ]);
    expect(codes(world.with({ by: 'weight' }))).toEqual([
      'accelerator_endpoint',
      'accelerator_group',
      'accelerator_endpoint',
    ]);
    const foreign = world.group['eu-central'].replace('1234abcdefgh', '999999999999');
    const mixed = (region: string) => (region === 'eu-west' ? world.group['eu-west'] : foreign);
    expect(codes(world.with({}, (region) => ({ endpointGroup: mixed(region), awsRegion: 'eu-west-1' })))).toEqual([
      'accelerator_other',
    ]);
  });
});

test('by weight, endpoints of others keep their weight and their settings, and all change in one call', async () => {
  const cells = await makeAcceleratorWorld('weight');
  try {
    const endpoints = cells.ga.group(cells.group['eu-west']).EndpointDescriptions;
    endpoints.push({
      EndpointId: 'i-0parked',
      Weight: 0,
      HealthState: 'UNHEALTHY',
      ClientIPPreservationEnabled: false,
    });
    const router = cells.driver.open(cells.component, driverContext({ token: token(1, 'run', 1) }));
    await router.setWeights(west(90));
    expect(cells.fake.count('UpdateEndpointGroup')).toBe(1);
    const after = cells.ga.group(cells.group['eu-west']).EndpointDescriptions;
    expect(after.map(({ Weight, ClientIPPreservationEnabled }) => [Weight, ClientIPPreservationEnabled])).toEqual([
      [90, true],
      [10, true],
      [0, false],
    ]);
    after[2]!.Weight = 50;
    expect(await router.observe()).toMatchObject({ weights: null, detail: expect.stringContaining('i-0parked') });
    expect((await router.escape('eu-central')).join('\n')).toContain('"EndpointId":"i-0parked","Weight":50');
  } finally {
    await cells.close();
  }
});

test('tags hold any run, within the alphabet that tags have', () => {
  const record = {
    claim: { epoch: 7, runId: 'läuft: 100 % / drüben=x', seq: 3, at: 1_700_000_000_000 },
    began: { a: 100, b: 100 },
    before: { a: 100, b: 0 },
    wanted: { a: 0, b: 100 },
    confirmed: true,
  };
  const tags = tagsOf('edge', record);
  for (const { Value } of tags) expect(Value).toMatch(/^[A-Za-z0-9 _.:/=+@-]{0,256}$/);
  expect(recordIn('edge', new Map(tags.map(({ Key, Value }) => [Key, Value])))).toEqual(record);
  expect(recordIn('other', new Map(tags.map(({ Key, Value }) => [Key, Value])))).toBeNull();
  expect(recordIn('edge', new Map([['rampart:edge:claim', 'written by somebody']]))).toBeNull();
});

test('percent add up to 100, and groups of one region that differ are no weight', () => {
  const unit = (region: string, key: string) => ({
    region,
    key,
    node: key,
    group: 'g',
    awsRegion: 'eu-west-1',
    endpointId: null,
  });
  const three = [unit('a', '1'), unit('b', '2'), unit('c', '3')];
  expect(percentOf(three, { 1: 100, 2: 100, 3: 100 })).toEqual({ a: 34, b: 33, c: 33 });
  expect(percentOf(three, { 1: 0, 2: 0, 3: 0 })).toEqual({ a: 0, b: 0, c: 0 });
  expect(percentOf([unit('a', '1'), unit('a', '2'), unit('b', '3')], { 1: 100, 2: 90, 3: 0 })).toBeNull();
});
