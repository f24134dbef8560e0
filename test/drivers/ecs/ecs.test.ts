import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ecs } from '../../../drivers/ecs/driver.ts';
import type { Component } from '../../../topology/model.ts';
import { type ContextOptions, driverContext, token } from '../../conformance/driver-context.ts';
import { FakeEcs } from '../../fakes/aws/ecs.ts';
import type { FakeService } from '../../fakes/aws/protocol.ts';
import { FakeAws } from '../../fakes/aws/server.ts';
import { credentials, ecsComponent, REGIONS } from './world.ts';

const WEST = 'eu-west';
let state: FakeEcs;
let fake: FakeAws;
/** Percent that CloudWatch tells; none when undefined. */
let cpu: number | undefined;
let partial = false;

const cloudwatch: FakeService = {
  scope: 'monitoring',
  protocol: 'json1.0',
  operations: {
    GetMetricData: () => ({
      MetricDataResults: [
        { Id: 'cpu', StatusCode: partial ? 'PartialData' : 'Complete', Values: cpu === undefined ? [] : [cpu] },
      ],
    }),
  },
  snapshot: () => () => undefined,
};
const live = new FakeEcs();

beforeAll(async () => {
  credentials();
  fake = await FakeAws.start([...live.fakes(), cloudwatch], 12);
});
afterAll(() => fake.stop());

let next = 0;
let url: string;
beforeEach(() => {
  state = Object.assign(live, {
    services: [],
    bounds: new Map(),
    held: 0,
    room: Number.POSITIVE_INFINITY,
    slow: false,
    health: new Map(),
  });
  cpu = undefined;
  partial = false;
  fake.faults.clear();
  fake.calls.length = 0;
  // A budget of requests of its own.
  url = fake.urls[next++ % fake.urls.length] as string;
});

const west = (desired: number, min = 1, max = 10) => {
  state.bounds.set('eu-west-1 service/shop/web', { MinCapacity: min, MaxCapacity: max, suspended: true });
  return state.add(REGIONS['eu-west'], 'shop', 'web', desired);
};
const central = (desired: number) => state.add(REGIONS['eu-central'], 'shop', 'web', desired);
const bounds = () => state.bounds.get('eu-west-1 service/shop/web');
const open = (config: object = {}, node: object = {}, options: ContextOptions = {}) =>
  ecs.open(ecsComponent(url, config, node), driverContext(options));
const quick = { deadline: '150ms', drainDeadline: '150ms' };

describe('ecs: the size of a service', () => {
  it('gets as many tasks as the other region runs, with the floor raised and suspensions left alone', async () => {
    west(1);
    central(6);
    const receipt = await open().scale(WEST);
    expect(receipt).toMatchObject({ already: false, facts: { size: { min: 6, max: 10, desired: 6 } } });
    expect(bounds()).toEqual({ MinCapacity: 6, MaxCapacity: 10, suspended: true });
    expect(await open().scale(WEST)).toMatchObject({ already: true });
    expect(fake.count('UpdateService')).toBe(1);
  });

  it('is never lowered by scale, and does not need the other region to answer', async () => {
    west(5);
    fake.fault({ region: REGIONS['eu-central'], fault: 'hang' });
    const receipt = await open({ timeout: '150ms' }).scale(WEST);
    expect(bounds()).toMatchObject({ MinCapacity: 5 });
    expect(fake.count('UpdateService')).toBe(0);
    expect(receipt.summary).toContain('The size of eu-central is not known: more may be needed');
  });

  it('comes back from drained to the bounds that people gave it, however often', async () => {
    const service = west(4, 2, 8);
    for (let round = 0; round < 2; round++) {
      await open({}, { tasks: 5 }).drain(WEST);
      expect([bounds()?.MaxCapacity, service.desired]).toEqual([0, 0]);
      await open({}, { tasks: 5 }).scale(WEST);
      expect(bounds()).toMatchObject({ MinCapacity: 5, MaxCapacity: 8 });
    }
    await open({}, { tasks: 5 }).quiesce(WEST);
    expect(bounds()).toMatchObject({ MinCapacity: 2, MaxCapacity: 8 });
    expect(service.desired).toBe(5);
  });

  it('bounds that a person changed meanwhile are the ones to come back to', async () => {
    west(4, 2, 8);
    await open().drain(WEST);
    state.bounds.set('eu-west-1 service/shop/web', { MinCapacity: 3, MaxCapacity: 12, suspended: false });
    await open({}, { tasks: 11 }).scale(WEST);
    expect(bounds()).toMatchObject({ MinCapacity: 11, MaxCapacity: 12 });
  });

  it('more than the upper bound is refused before anything is sent, and asked for as far as it goes after a loss', async () => {
    const service = west(2, 1, 4);
    await expect(open({}, { tasks: 6 }).scale(WEST)).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining('needs 6 and its upper bound is 4'),
    });
    expect(service.desired).toBe(2);
    const receipt = await open({}, { tasks: 6 }).scale(WEST, { wait: false });
    expect(receipt.summary).toContain('4 were asked for');
    expect(service.desired).toBe(4);
  });

  it('without autoscaling only the desired count is driven', async () => {
    const service = state.add(REGIONS['eu-west'], 'shop', 'web', 3);
    const saved = (await open().save(WEST)).facts;
    await open().drain(WEST);
    await open().restore(WEST, saved);
    expect([service.desired, state.bounds.size, fake.count('RegisterScalableTarget')]).toEqual([3, 0, 0]);
    expect(Object.fromEntries(service.tags)).toEqual({});
  });
});

describe('ecs: a smaller size is put back only as far as the load allows', () => {
  const shrink = async () => {
    const service = west(2, 1, 10);
    const saved = (await open().save(WEST)).facts;
    await open({}, { tasks: 8 }).scale(WEST);
    const receipt = await open().restore(WEST, saved);
    return { desired: service.desired, bounds: bounds(), summary: receipt.summary };
  };

  it('idle: exactly what was there', async () => {
    cpu = 5;
    expect(await shrink()).toMatchObject({ desired: 2, bounds: { MinCapacity: 1, MaxCapacity: 10 } });
  });

  it('busy: as many as keep below the limit', async () => {
    cpu = 40;
    const { desired, summary } = await shrink();
    expect(desired).toBe(5);
    expect(summary).toContain('5 stay instead of 2: they use 40 % of their CPU');
  });

  it('not known: all of them', async () => {
    const { desired, summary } = await shrink();
    expect([desired, summary]).toEqual([8, expect.stringContaining('nothing is known of their load')]);
  });

  it('told in part: all of them, what is left out may be the load', async () => {
    cpu = 5;
    partial = true;
    const { desired, summary } = await shrink();
    expect([desired, summary]).toEqual([8, expect.stringContaining('nothing is known of their load')]);
  });

  it('a right that is missing does not stop an undo: all of them stay; a silence is asked again', async () => {
    fake.fault({ operation: 'GetMetricData', fault: 'denied' });
    const { desired, summary } = await shrink();
    expect([desired, summary]).toEqual([8, expect.stringContaining('nothing is known of their load')]);
    fake.faults.clear();
    state.services = [];
    fake.fault({ operation: 'GetMetricData', fault: 'unavailable' });
    await expect(shrink()).rejects.toMatchObject({ type: 'ProviderUnavailable' });
  });
});

describe('ecs: what goes wrong', () => {
  it('tasks that do not come: the wait ends with what ECS says', async () => {
    west(1);
    state.room = 2;
    const heartbeats: unknown[] = [];
    const slow = open(quick, { tasks: 4 }, { heartbeats }).scale(WEST);
    await expect(slow).rejects.toMatchObject({
      type: 'DeadlineExceeded',
      message: expect.stringMatching(/2 of 4 tasks can serve.*reached the limit on vCPUs/),
    });
    expect(JSON.stringify(heartbeats)).toContain('2 of 4 tasks can serve');
  });

  it('desired is not running, and running is not healthy', async () => {
    const service = west(2);
    service.tasks[0]!.healthStatus = 'UNHEALTHY';
    expect(await open().observe(WEST)).toMatchObject({ ready: false, capacity: { present: 1, wanted: 2 } });
    state.slow = true;
    service.desired = 3;
    await open().observe(WEST);
    expect(await open().observe(WEST)).toMatchObject({ ready: false, capacity: { present: 1, wanted: 3 } });
  });

  it('drained is only said when the last task that was stopped has ended', async () => {
    west(2);
    state.held = 1;
    const stuck = open(quick).drain(WEST);
    await expect(stuck).rejects.toMatchObject({
      message: expect.stringContaining('1 tasks still running or stopping'),
    });
    expect(await open().observe(WEST)).toMatchObject({
      state: 'active',
      detail: expect.stringContaining('1 not ended'),
    });
    state.held = 0;
    expect(await open().observe(WEST)).toMatchObject({ state: 'drained' });
  });

  it('HTTP 200 that did nothing is not believed', async () => {
    const service = west(2);
    fake.fault({ operation: 'UpdateService', fault: 'nothing', times: 1 });
    await expect(open(quick).drain(WEST)).rejects.toMatchObject({ type: 'NotApplied' });
    expect(service.desired).toBe(2);
    expect(await open().drain(WEST)).toMatchObject({ already: false });
    expect(service.desired).toBe(0);
  });

  it.each(['cut', 'reset'] as const)(
    'an answer that is lost (%s): the repeat finds the change and sends none',
    async (fault) => {
      west(2);
      fake.fault({ operation: 'UpdateService', fault, applied: true, times: 1 });
      await expect(open().drain(WEST)).rejects.toMatchObject({
        type: 'ProviderUnavailable',
        details: { maybeApplied: true },
      });
      expect(await open().drain(WEST)).toMatchObject({ already: true });
      expect(fake.count('UpdateService')).toBe(1);
    },
  );

  it('throttled and expired credentials say so, once each', async () => {
    const service = west(2);
    fake.fault({ operation: 'UpdateService', fault: 'throttled', times: 1 });
    await expect(open().drain(WEST)).rejects.toMatchObject({
      type: 'ProviderUnavailable',
      details: { notApplied: true, retryAfterMs: expect.any(Number) },
    });
    fake.fault({ operation: 'UpdateService', fault: 'expired', times: 1 });
    await expect(open().drain(WEST)).rejects.toMatchObject({
      type: 'AccessDenied',
      message: expect.stringContaining('expired'),
    });
    expect([service.desired, fake.count('UpdateService')]).toEqual([2, 2]);
  });

  it('a newer run that claims between look and change is not overwritten', async () => {
    const service = west(2);
    const claim = 'epoch=9 seq=1 run=newer';
    fake.fault({
      operation: 'TagResource',
      fault: 'pass',
      times: 1,
      before: () => {
        fake.fault({
          operation: 'DescribeServices',
          fault: 'pass',
          times: 1,
          before: () => void service.tags.set('rampart:claim', claim),
        });
      },
    });
    const older = open({}, {}, { token: token(3, 'older', 1) });
    await expect(older.drain(WEST)).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining('newer'),
    });
    expect([service.desired, fake.count('UpdateService')]).toEqual([2, 0]);
  });

  it('a size that somebody changes during the wait is a conflict', async () => {
    const service = west(2);
    state.held = 1;
    const heartbeat = () => {
      service.desired = 3;
    };
    await expect(open({}, {}, { heartbeat }).drain(WEST)).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining('to 3 tasks'),
    });
  });
});

describe('ecs: load balancers', () => {
  const GROUP = 'arn:aws:elasticloadbalancing:eu-west-1:000000000000:targetgroup/web/0123456789abcdef';
  const balanced = () => Object.assign(west(2), { targetGroups: [GROUP] });

  it('tasks that run and get no requests are not enough: the wait ends with what the load balancer says', async () => {
    balanced();
    state.health.set(GROUP, { State: 'unhealthy', Description: 'Health checks failed with these codes: [503]' });
    await expect(open(quick, { tasks: 3 }).scale(WEST)).rejects.toMatchObject({
      type: 'DeadlineExceeded',
      message: expect.stringContaining(
        'the load balancer finds 0 of 3 targets of web healthy (Health checks failed with these codes: [503])',
      ),
    });
    // Asked for, and not waited for; and an app whose check needs what it does not have yet.
    expect(await open(quick, { tasks: 4 }).scale(WEST, { wait: false })).toMatchObject({ already: false });
    expect(await open({ ...quick, targetHealth: false }, { tasks: 4 }).scale(WEST)).toMatchObject({ already: true });
    state.health.set(GROUP, { State: 'healthy' });
    expect(await open(quick, { tasks: 4 }).scale(WEST)).toMatchObject({ already: true });
  });

  it('waits until targets that are being registered are healthy', async () => {
    balanced();
    state.health.set(GROUP, { State: 'initial', Description: 'Target registration is in progress' });
    const heartbeat = () => void state.health.set(GROUP, { State: 'healthy' });
    expect(await open({}, { tasks: 3 }, { heartbeat }).scale(WEST)).toMatchObject({ already: false });
    expect(state.health.get(GROUP)).toEqual({ State: 'healthy' });
  });

  it('a target group that no listener leads to decides nothing', async () => {
    balanced();
    state.health.set(GROUP, { State: 'unused', Reason: 'Target.NotInUse' });
    expect(await open(quick, { tasks: 2 }).scale(WEST)).toMatchObject({ facts: { state: 'active' } });
  });

  it('no answer is no health, and a right that is missing is found before a run', async () => {
    balanced();
    central(2);
    fake.fault({ operation: 'DescribeTargetHealth', fault: 'denied' });
    await expect(open(quick, { tasks: 2 }).scale(WEST)).rejects.toMatchObject({ type: 'AccessDenied' });
    const found = await open({}, { tasks: 2 }).preflight!('planned', 'eu-central', WEST);
    expect(found).toMatchObject([
      { code: 'workloadUnreadable', severity: 'blocker', message: expect.stringContaining('DescribeTargetHealth') },
    ]);
  });
});

describe('ecs: preflight', () => {
  const codes = async (config: object = {}, node: object = {}, mode: 'planned' | 'unplanned' = 'planned') => {
    const found = await open(config, node).preflight!(mode, 'eu-central', WEST);
    return found.map(({ code, severity, region }) => `${severity} ${code} ${region}`).sort();
  };

  it('finds nothing wrong with two services that are well', async () => {
    west(2);
    central(2);
    expect(await codes()).toEqual([]);
  });

  it('finds a missing service, deployments, a bound that is too low, and services whose size is not theirs', async () => {
    const service = west(2, 1, 4);
    expect(await codes({ timeout: '1s' }, { tasks: 2 })).toEqual(['warning workloadUnreadable eu-central']);
    // How many tasks are needed is what eu-central would have told.
    expect(await codes({ timeout: '1s' })).toEqual([
      'blocker capacityUnknown eu-west',
      'warning workloadUnreadable eu-central',
    ]);
    const other = central(6);
    other.deployments = [{ status: 'PRIMARY', rolloutState: 'FAILED', rolloutStateReason: 'circuit breaker' }];
    service.deployments.push({ status: 'ACTIVE', rolloutState: 'IN_PROGRESS' });
    expect(await codes()).toEqual([
      'blocker capacityBound eu-west',
      'warning serviceDeploying eu-central',
      'warning serviceDeploying eu-west',
    ]);
    Object.assign(service, {
      schedulingStrategy: 'DAEMON',
      controller: 'EXTERNAL',
      status: 'DRAINING',
      deployments: [],
    });
    expect((await codes({}, { tasks: 2 })).slice(0, 3)).toEqual([
      'blocker serviceDaemon eu-west',
      'blocker serviceExternal eu-west',
      'blocker serviceNotActive eu-west',
    ]);
  });

  it('credentials that are denied stop a plan', async () => {
    west(2);
    central(2);
    fake.fault({ operation: 'DescribeScalableTargets', fault: 'denied' });
    expect(await codes()).toEqual(['blocker workloadUnreadable eu-west', 'warning workloadUnreadable eu-central']);
  });

  it('before an unplanned move all of it is only told: its data does not wait for tasks', async () => {
    Object.assign(west(2, 1, 4), { status: 'DRAINING' });
    central(6);
    expect(await codes({}, {}, 'unplanned')).toEqual([
      'warning capacityBound eu-west',
      'warning serviceNotActive eu-west',
    ]);
    fake.fault({ fault: 'unavailable' });
    expect(await codes({ timeout: '1s' }, {}, 'unplanned')).toEqual([
      'warning workloadUnreadable eu-central',
      'warning workloadUnreadable eu-west',
    ]);
  });

  it('regions that are swapped, the same side twice and several nodes are told by the topology', () => {
    const component = ecsComponent(url);
    const side = (region: string, aws: string) => ({
      region,
      nodes: [
        { ...component.sides[WEST]!.nodes[0]!, config: { ...component.sides[WEST]!.nodes[0]!.config, region: aws } },
      ],
    });
    const problems = (sides: Component['sides']) => ecs.validate!({ ...component, sides }).map(({ code }) => code);
    expect(problems({ a: side('eu-west-1', 'eu-central-1'), b: side('eu-central-1', 'eu-west-1') })).toEqual([
      'capacity_swapped',
      'capacity_swapped',
    ]);
    expect(problems({ a: side('one', 'eu-west-1'), b: side('two', 'eu-west-1') })).toEqual(['capacity_same_side']);
    expect(problems(component.sides)).toEqual([]);
  });
});

it('escape: commands that can be run as they stand', async () => {
  expect(await open({}, { tasks: 6 }).escape(WEST, 'active')).toEqual([
    expect.stringMatching(/^#/),
    expect.stringContaining('register-scalable-target --region eu-west-1 --service-namespace ecs'),
    'aws ecs update-service --region eu-west-1 --cluster shop --service web --desired-count 6 --query service.desiredCount',
    expect.stringContaining('describe-services'),
  ]);
  expect(await open().escape(WEST, 'unknown')).toHaveLength(1);
  expect(fake.calls).toEqual([]);
});
