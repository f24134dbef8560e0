import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ActivityDeps } from '../../../activities/deps.ts';
import { createStepActivities } from '../../../activities/steps.ts';
import { controlsOf, validateArc } from '../../../drivers/arc-routing-control/config.ts';
import { regionsOn, statesFor, weightsFor } from '../../../drivers/arc-routing-control/states.ts';
import type { Router } from '../../../drivers/ports.ts';
import type { Component } from '../../../topology/model.ts';
import { type ContextOptions, driverContext, token } from '../../conformance/driver-context.ts';
import { describeRouter } from '../../conformance/router/router-suite.ts';
import { controlArn, inMaintenance, ruleArn } from '../../fakes/aws/arc.ts';
import { AwsError } from '../../fakes/aws/protocol.ts';
import { type ArcWorld, AT, makeArcWorld } from './world.ts';

// In one file with the rest: each file of its own loads the SDK anew.
describeRouter('ARC routing controls', () => makeArcWorld());

const west = { 'eu-west': 100, 'eu-central': 0 };
const central = { 'eu-west': 0, 'eu-central': 100 };
const both = { 'eu-west': 50, 'eu-central': 50 };

let world: ArcWorld;
let epoch = 0;
const newRun = () => token(++epoch, `run ${epoch}`, 1);
const open = (options: ContextOptions = {}, component: Component = world.component): Router =>
  world.driver.open(component, driverContext({ token: newRun(), stateDir: world.stateDir!, ...options }));
const updates = () => world.fake.calls.filter(({ operation }) => operation === 'UpdateRoutingControlStates');

describe('ARC routing controls', { timeout: 30_000 }, () => {
  beforeAll(async () => {
    world = await makeArcWorld();
  });
  beforeEach(async () => {
    world.fake.faults.clear();
    world.arc.rules = [];
    world.arc.waiting = 0;
    world.arc.behind.clear();
    await world.changeByHand(west);
    world.arc.accepted.length = 0;
    world.fake.calls.length = 0;
  });
  afterAll(() => world.close());

  test('all controls are in one request, each endpoint is asked in its own region, and two show it', async () => {
    const receipt = await open().setWeights(central);
    expect(world.arc.accepted).toEqual([
      {
        endpoint: expect.any(Number),
        states: { [world.control['eu-west']!]: 'Off', [world.control['eu-central']!]: 'On' },
        overridden: [],
      },
    ]);
    for (const { endpoint, region } of world.fake.calls) expect(region).toBe(AT[endpoint]);
    expect((receipt.facts.shownBy as string[]).length).toBeGreaterThanOrEqual(2);
    expect(receipt.summary).toMatch(/eu-west Off, eu-central On, shown by \d of 5 endpoints/);
  });

  test.each([
    ['four of five hang', 'hang', 4],
    ['four of five are in maintenance', inMaintenance, 4],
    ['three of five end the connection', 'reset', 3],
    ['two of five throttle', 'throttled', 2],
  ] as const)('%s: it is switched, and says how much is known', async (_, fault, dead) => {
    for (let endpoint = 0; endpoint < dead; endpoint++) world.fake.fault({ endpoint, fault });
    const receipt = await open().setWeights(central);
    expect(await world.measure()).toEqual(central);
    const { shownBy, silent } = receipt.facts as { shownBy: string[]; silent: string[] };
    expect(shownBy.every((at) => AT.slice(dead).includes(at as never))).toBe(true);
    if (dead === 4) {
      expect(silent).toHaveLength(4);
      expect(receipt.summary).toContain('shown by 1 of 5 endpoints');
      // One endpoint alone is no reading to plan on.
      const seen = await open().observe();
      expect(seen).toMatchObject({ reachable: true, weights: central, applied: false });
      expect(seen.detail).toContain('too few endpoints answer');
    }
  });

  test('endpoints that read well and take no change are followed by the next', async () => {
    for (const endpoint of [0, 1, 2, 3]) {
      world.fake.fault({ endpoint, operation: 'UpdateRoutingControlStates', fault: inMaintenance });
    }
    await open().setWeights(central);
    expect(world.arc.accepted.map(({ endpoint }) => endpoint)).toEqual([4]);
  });

  test.each(['cut', 'reset', 'hang'] as const)(
    'an answer that is lost (%s) is looked at before anything is sent again',
    async (fault) => {
      world.fake.fault({ operation: 'UpdateRoutingControlStates', fault, applied: true, times: 1 });
      await open().setWeights(central);
      expect(await world.measure()).toEqual(central);
      expect(updates()).toHaveLength(1);
    },
  );

  test('a 200 that did nothing is NotApplied, and the next attempt does it', async () => {
    const run = newRun();
    world.fake.fault({ operation: 'UpdateRoutingControlStates', fault: 'nothing', times: 1 });
    const first = open({ token: run }, world.with({ deadline: '150ms' }));
    await expect(first.setWeights(central)).rejects.toMatchObject({ type: 'NotApplied' });
    expect(await open().observe()).toMatchObject({ applied: false });
    expect((await open({ token: run }).setWeights(central)).already).toBe(false);
    expect(await open().observe()).toMatchObject({ applied: true, weights: central });
  });

  test('endpoints that are behind do not confirm; a reading on which they disagree is none', async () => {
    for (const endpoint of [1, 2, 3, 4]) world.arc.behind.add(endpoint);
    const slow = open({}, world.with({ deadline: '200ms', confirm: 2 }));
    await expect(slow.setWeights(central)).rejects.toMatchObject({
      type: 'NotApplied',
      message: expect.stringMatching(/us-east-1: eu-west Off, eu-central On.*eu-west On, eu-central Off/),
    });
    const seen = await open({}, world.with({ confirm: 5 })).observe();
    expect(seen).toMatchObject({ reachable: true, weights: null, applied: false });
    expect(seen.detail).toContain('the endpoints do not agree');
    await expect(open({}, world.with({ confirm: 5 })).verifyWeights(central)).rejects.toMatchObject({
      type: 'NotApplied',
    });
    world.arc.behind.clear();
    await expect(open({}, world.with({ confirm: 5 })).verifyWeights(central)).resolves.toMatchObject({ already: true });
  });

  test('credentials that expire in the middle: said so, and a later attempt ends it', async () => {
    const run = newRun();
    world.fake.fault({ operation: 'UpdateRoutingControlStates', fault: 'expired', times: 5 });
    await expect(open({ token: run }).setWeights(central)).rejects.toMatchObject({
      type: 'AccessDenied',
      message: expect.stringContaining('expired'),
    });
    expect(await world.measure()).toEqual(west);
    await open({ token: run }).setWeights(central);
    expect(await world.measure()).toEqual(central);
  });

  test('somebody else switches in the middle: Conflict, and theirs stays', async () => {
    world.fake.fault({
      operation: 'UpdateRoutingControlStates',
      fault: inMaintenance,
      times: 1,
      before: () => world.changeByHand(both),
    });
    await expect(open().setWeights(central)).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining('somebody else switches it'),
    });
    expect(await world.measure()).toEqual(both);
    expect(world.arc.accepted).toEqual([]);
  });

  describe('safety rules', () => {
    const minimum = () => ({ arn: ruleArn('minimum'), controls: Object.values(world.control), atLeast: 2 });

    test('see one change: a rule that wants one region on does not stop a switch', async () => {
      world.arc.rules = [{ ...minimum(), atLeast: 1 }];
      await open().setWeights(central);
      expect(await world.measure()).toEqual(central);
    });

    test('a rule that refuses is told in words; nothing is overridden by itself', async () => {
      await world.changeByHand(both);
      world.arc.rules = [minimum()];
      const listed = world.with({ override: [ruleArn('minimum')] });
      await expect(open().setWeights(central)).rejects.toMatchObject({
        type: 'PreconditionFailed',
        message: expect.stringContaining(
          `from eu-west On, eu-central On to eu-west 0 %, eu-central 100 % is refused by the safety rule ${ruleArn('minimum')}`,
        ),
        remedy: expect.stringContaining('list it as `override`'),
      });
      await expect(open({}, listed).setWeights(central)).rejects.toMatchObject({
        type: 'PreconditionFailed',
        remedy: expect.stringContaining('--override safetyRule'),
      });
      // Accepted, but not for this rule.
      const other = world.with({ override: [ruleArn('other')] });
      await expect(open({ overrides: ['safetyRule'] }, other).setWeights(central)).rejects.toMatchObject({
        type: 'PreconditionFailed',
      });
      expect(await world.measure()).toEqual(both);
    });

    test('a person accepted it and the component lists it: overridden, and the receipt names it', async () => {
      await world.changeByHand(both);
      world.arc.rules = [
        minimum(),
        { arn: ruleArn('gate'), controls: Object.values(world.control), gate: controlArn('gate') },
      ];
      world.arc.controls.set(controlArn('gate'), { name: 'gate', state: 'Off' });
      const component = world.with({ override: [ruleArn('minimum'), ruleArn('gate'), ruleArn('unused')] });
      const receipt = await open({ overrides: ['safetyRule'] }, component).setWeights(central);
      // Told one after the other, and only those that stood in the way.
      expect(receipt.facts.overridden).toEqual([ruleArn('minimum'), ruleArn('gate')]);
      expect(receipt.summary).toContain("overridden by a person's word");
      expect(updates()).toHaveLength(3);
      expect(await world.measure()).toEqual(central);
    });

    test('what a run has accepted reaches the driver, step by step', async () => {
      await world.changeByHand(both);
      world.arc.rules = [minimum()];
      const component = world.with({ override: [ruleArn('minimum')] });
      const deps = {
        drivers: new Map([[component.type, world.driver]]),
        stateDir: world.stateDir!,
        place: { region: null, place: null },
        log: driverContext().log,
        build: 'test',
      } as unknown as ActivityDeps;
      const step = (overrides: string[]) =>
        new MockActivityEnvironment().run(createStepActivities(deps).setWeights, {
          run: { workflowId: 'failover/shop', runId: 'run', service: 'shop', by: null },
          step: { id: 'weight:edge@100', summary: '' },
          component,
          region: 'eu-central',
          nodes: null,
          input: { weights: central },
          given: {},
          token: newRun(),
          from: 'eu-west',
          to: 'eu-central',
          mode: 'planned' as const,
          related: [],
          overrides,
          deadline: null,
        });
      await expect(step(['weakFence'])).rejects.toMatchObject({ type: 'PreconditionFailed', nonRetryable: true });
      expect(await step(['safetyRule'])).toMatchObject({ facts: { overridden: [ruleArn('minimum')] } });
    });

    test('accepted and not needed: nothing is overridden', async () => {
      world.arc.rules = [{ ...minimum(), atLeast: 1 }];
      const component = world.with({ override: [ruleArn('minimum')] });
      const receipt = await open({ overrides: ['safetyRule'] }, component).setWeights(central);
      expect(receipt.facts.overridden).toEqual([]);
    });

    test('the wait period of a rule, and a change of somebody else, pass by themselves', async () => {
      world.arc.rules = [{ ...minimum(), atLeast: 1 }];
      world.arc.waiting = 2;
      world.fake.fault({
        operation: 'UpdateRoutingControlStates',
        fault: new AwsError('ConflictException', 'There was a conflict with this request. Try again.', 409),
        times: 1,
      });
      await open({}, world.with({ ruleWait: '5s', deadline: '10s' })).setWeights(central);
      expect(await world.measure()).toEqual(central);
    });
  });

  test('somebody else switches while a rule makes it wait: Conflict, and theirs stays', async () => {
    world.arc.rules = [{ arn: ruleArn('minimum'), controls: Object.values(world.control), atLeast: 1 }];
    world.arc.waiting = 1;
    world.fake.fault({
      operation: 'UpdateRoutingControlStates',
      fault: 'pass',
      times: 1,
      before: () => world.changeByHand(both),
    });
    const waiting = open({}, world.with({ ruleWait: '5s', deadline: '10s' })).setWeights(central);
    await expect(waiting).rejects.toMatchObject({ type: 'Conflict' });
    expect(await world.measure()).toEqual(both);
    expect(world.arc.accepted).toEqual([]);
  });

  test('names that AWS shows otherwise: swapped regions are a blocker, and refused by the step itself', async () => {
    const swapped = world.with(
      {},
      {
        'eu-west': world.control['eu-central']!,
        'eu-central': world.control['eu-west']!,
      },
    );
    const found = await open({}, swapped).preflight!('planned', 'eu-west', 'eu-central');
    expect(found.map(({ code, severity }) => [code, severity])).toEqual([
      ['arcControlName', 'blocker'],
      ['arcControlName', 'blocker'],
    ]);
    expect(await open({}, swapped).observe()).toMatchObject({ reachable: true, weights: null, applied: false });
    await expect(open({}, swapped).setWeights(central)).rejects.toMatchObject({
      type: 'PreconditionFailed',
      remedy: expect.stringContaining('swapped'),
    });
    expect(updates()).toEqual([]);
  });

  test('preflight asks every endpoint with the real credentials, and says which are silent', async () => {
    expect(await open().preflight!('planned', 'eu-west', 'eu-central')).toEqual([]);
    expect(new Set(world.fake.calls.map(({ endpoint }) => endpoint))).toEqual(new Set([0, 1, 2, 3, 4]));
    const severities = async (mode: 'planned' | 'unplanned') =>
      (await open().preflight!(mode, 'eu-west', 'eu-central')).map(({ code, severity }) => `${code} ${severity}`);
    world.fake.fault({ endpoint: 0, fault: inMaintenance });
    expect(await severities('planned')).toEqual(['arcEndpointSilent warning']);
    world.fake.fault({ endpoint: 1, fault: 'reset' });
    world.fake.fault({ endpoint: 2, fault: 'denied' });
    expect(await severities('planned')).toEqual(['arcEndpointSilent blocker']);
    expect(await severities('unplanned')).toEqual(['arcEndpointSilent warning']);
    const [silent] = await open().preflight!('planned', 'eu-west', 'eu-central');
    expect(silent!.message).toMatch(/us-east-1 \(answered HTTP 503.*us-west-2 \(was denied/);
    for (const endpoint of [3, 4]) world.fake.fault({ endpoint, fault: 'denied' });
    expect(await severities('planned')).toEqual(['arcDenied blocker']);
    expect(await severities('unplanned')).toEqual(['arcDenied warning']);
  });

  test('a routing control that is not there is told with what to do', async () => {
    const gone = world.with({}, { ...world.control, 'eu-central': controlArn('gone') });
    await expect(open({}, gone).setWeights(central)).rejects.toMatchObject({
      message: expect.stringContaining('ResourceNotFoundException'),
    });
  });

  test('by hand: every endpoint has its turn, and both controls are in one request', async () => {
    const commands = await open().escape('eu-central');
    const update = commands.find((line) => line.includes('update-routing-control-states'))!;
    for (const [index, region] of AT.entries())
      expect(update).toContain(`--region ${region} --endpoint-url '${world.fake.urls[index]}'`);
    expect(update.split('||')).toHaveLength(5);
    expect(update).toContain(`{"RoutingControlArn":"${world.control['eu-west']}","RoutingControlState":"Off"}`);
  });

  test('topologies that cannot work are refused when they are read', () => {
    const { config } = world.component;
    const parse = (changes: object) =>
      world.driver.config.safeParse({ endpoints: config.endpoints, ...changes }).success;
    expect(parse({})).toBe(true);
    expect(parse({ endpoints: (config.endpoints as object[]).slice(1) })).toBe(false);
    expect(parse({ override: [controlArn('a')] })).toBe(false);
    const endpoints = (config.endpoints as Array<{ endpoint: string }>).map(({ endpoint }) => ({
      endpoint,
      region: 'us-east-1',
    }));
    expect(validateArc(world.with({ endpoints })).map(({ code }) => code)).toEqual(Array(4).fill('arc_endpoint_twice'));
    const same = world.control['eu-west']!;
    expect(validateArc(world.with({}, { 'eu-west': same, 'eu-central': same })).map(({ code }) => code)).toEqual([
      'arc_control_twice',
    ]);
    expect(validateArc(world.component)).toEqual([]);
  });
});

describe('weights of switches', () => {
  const controls = ['a', 'b', 'c'].map((region) => ({ region, arn: region, name: region }));
  const states = (asked: Record<string, number>, present: string[]) => statesFor('edge', controls, asked, present);

  test('one region on has all, several have equal parts', () => {
    expect(weightsFor(controls, ['b'])).toEqual({ a: 0, b: 100, c: 0 });
    expect(weightsFor(controls, ['a', 'b', 'c'])).toEqual({ a: 34, b: 33, c: 33 });
    expect(weightsFor(controls, [])).toEqual({ a: 0, b: 0, c: 0 });
  });

  test('a region is taken out of several, and put back; a part of the traffic cannot be sent', () => {
    expect(states({ a: 0, b: 67, c: 33 }, ['a', 'b', 'c'])).toEqual({ a: 'Off', b: 'On', c: 'On' });
    expect(states({ a: 34, b: 33, c: 33 }, ['b', 'c'])).toEqual({ a: 'On', b: 'On', c: 'On' });
    expect(() => states({ a: 90, b: 10 }, ['a'])).toThrow(
      'a routing control is on or off, it cannot send a 90 %, b 10 %',
    );
  });

  test('a region with several controls is on when all are, and unknown when they differ', () => {
    const pair = [
      { region: 'a', arn: '1', name: 'x' },
      { region: 'a', arn: '2', name: 'y' },
      { region: 'b', arn: '3', name: 'z' },
    ];
    expect(regionsOn(pair, { 1: 'On', 2: 'On', 3: 'Off' })).toEqual(['a']);
    expect(regionsOn(pair, { 1: 'On', 2: 'Off', 3: 'Off' })).toBeNull();
    expect(controlsOf(world.component).map(({ region }) => region)).toEqual(['eu-west', 'eu-central']);
  });
});
