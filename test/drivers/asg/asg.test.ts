import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { asg } from '../../../drivers/asg/driver.ts';
import { type ContextOptions, driverContext } from '../../conformance/driver-context.ts';
import { FakeAutoScaling } from '../../fakes/aws/auto-scaling.ts';
import type { FakeService } from '../../fakes/aws/protocol.ts';
import { FakeAws } from '../../fakes/aws/server.ts';
import { asgComponent, credentials, REGIONS } from './world.ts';

const WEST = 'eu-west';
const state = new FakeAutoScaling();
let fake: FakeAws;
let cpu: number | undefined;

const cloudwatch: FakeService = {
  scope: 'monitoring',
  protocol: 'json1.0',
  operations: {
    GetMetricData: () => ({
      MetricDataResults: [{ Id: 'cpu', StatusCode: 'Complete', Values: cpu === undefined ? [] : [cpu] }],
    }),
  },
  snapshot: () => () => undefined,
};

beforeAll(async () => {
  credentials();
  fake = await FakeAws.start([state.service(), cloudwatch], 8);
});
afterAll(() => fake.stop());

let next = 0;
let url: string;
beforeEach(() => {
  Object.assign(state, { groups: [], held: 0, room: Number.POSITIVE_INFINITY });
  cpu = undefined;
  fake.faults.clear();
  fake.calls.length = 0;
  // A budget of requests of its own.
  url = fake.urls[next++ % fake.urls.length] as string;
});

const west = (desired: number, min = 1, max = 10) => state.add(REGIONS['eu-west'], 'web', min, max, desired);
const open = (config: object = {}, node: object = {}, options: ContextOptions = {}) =>
  asg.open(asgComponent(url, config, node), driverContext(options));
const quick = { deadline: '150ms', drainDeadline: '150ms' };
const size = ({ min, max, desired }: { min: number; max: number; desired: number }) => [min, max, desired];

describe('asg', () => {
  it('is scaled in one call, drained with both bounds at 0, and comes back to the bounds of before', async () => {
    const group = west(2, 1, 8);
    const saved = (await open().save(WEST)).facts;
    await open({}, { instances: 5 }).scale(WEST);
    expect(size(group)).toEqual([5, 8, 5]);
    await open().drain(WEST);
    expect(size(group)).toEqual([0, 0, 0]);
    expect(fake.count('UpdateAutoScalingGroup')).toBe(2);
    await open({}, { instances: 3 }).scale(WEST);
    expect(size(group)).toEqual([3, 8, 3]);
    cpu = 1;
    await open().restore(WEST, saved);
    expect(size(group)).toEqual([1, 8, 2]);
    expect(Object.fromEntries(group.tags)).toEqual({});
  });

  it('from drained to standby: a lower bound above what standby keeps waits until traffic comes', async () => {
    const group = west(6, 4, 10);
    await open().drain(WEST);
    await open({}, { standby: 2 }).quiesce(WEST);
    expect(size(group)).toEqual([2, 10, 2]);
    await open({}, { instances: 6 }).scale(WEST);
    await open({}, { standby: 2 }).quiesce(WEST);
    expect(size(group)).toEqual([4, 10, 6]);
  });

  it('keeps what the load needs when a smaller size is put back', async () => {
    const group = west(2, 1, 4);
    const saved = (await open().save(WEST)).facts;
    Object.assign(group, { max: 8, desired: 8 });
    await open().observe(WEST);
    cpu = 60;
    const receipt = await open().restore(WEST, saved);
    expect(size(group)).toEqual([1, 7, 7]);
    expect(receipt.summary).toContain('7 stay instead of 2');
  });

  it('what AWS refuses is told in its words', async () => {
    const group = west(2, 1, 8);
    fake.fault({
      operation: 'UpdateAutoScalingGroup',
      fault: 'pass',
      times: 1,
      before: ({ input }) => {
        input.MaxSize = '3';
      },
    });
    await expect(open({}, { instances: 5 }).scale(WEST)).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining('Max bound, 3'),
    });
    await expect(open({}, { instances: 9 }).scale(WEST)).rejects.toMatchObject({
      message: expect.stringContaining('needs 9 and its upper bound is 8'),
    });
    expect(size(group)).toEqual([1, 8, 2]);
  });

  it('counts instances in service and healthy, and waits until new ones are warm', async () => {
    const group = west(2);
    await open().observe(WEST);
    group.instances[0]!.health = 'Unhealthy';
    expect(await open().observe(WEST)).toMatchObject({ ready: false, capacity: { present: 1, wanted: 2 } });
    group.instances[0]!.health = 'Healthy';
    group.warmup = 300;
    await expect(open(quick, { instances: 3 }).scale(WEST)).rejects.toMatchObject({
      type: 'DeadlineExceeded',
      message: expect.stringMatching(/new instances warm up for (300|299) s more/),
    });
    expect(await open(quick, { instances: 3, warmUp: '0s' }).scale(WEST)).toMatchObject({ already: true });
    const later = { now: () => Date.now() + 301_000 };
    expect(await open(quick, { instances: 3 }, later).scale(WEST)).toMatchObject({ already: true });
  });

  it('a quota: the wait ends with what AWS says', async () => {
    west(1);
    state.room = 2;
    await expect(open(quick, { instances: 4 }).scale(WEST)).rejects.toMatchObject({
      message: expect.stringMatching(/2 of 4 instances can serve.*vCPU limit/),
    });
  });

  it('suspended processes are respected: nothing is sent that could not come', async () => {
    const group = west(2);
    group.suspended = ['Launch', 'Terminate'];
    for (const [act, process] of [
      [() => open({}, { instances: 4 }).scale(WEST), 'Launch'],
      [() => open().drain(WEST), 'Terminate'],
    ] as const)
      await expect(act()).rejects.toMatchObject({
        type: 'PreconditionFailed',
        message: expect.stringContaining(`the process ${process} is suspended (User suspended at 02:00)`),
      });
    expect(fake.count('UpdateAutoScalingGroup')).toBe(0);
  });

  it('preflight: refreshes, suspensions, failed launches, instances set aside, bounds', async () => {
    const codes = async (node: object = {}) =>
      (await open({}, node).preflight!('planned', 'eu-central', WEST))
        .map(({ code, severity, region }) => `${severity} ${code} ${region}`)
        .sort();
    const group = west(2, 1, 4);
    const central = state.add(REGIONS['eu-central'], 'web', 1, 10, 3);
    expect(await codes()).toEqual([]);
    await open().observe(WEST);
    Object.assign(group, { refresh: 'InProgress', suspended: ['Launch'] });
    group.instances[0]!.state = 'Standby';
    state.room = 0;
    central.desired = 6;
    await open().observe('eu-central');
    expect(await codes()).toEqual([
      'blocker capacityBound eu-west',
      'blocker capacityHeld eu-west',
      'warning groupLaunchFails eu-central',
      'warning groupLaunchFails eu-west',
      'warning groupRefreshing eu-west',
      'warning groupStandby eu-west',
      'warning groupSuspended eu-west',
    ]);
    state.groups = [central];
    expect(await codes()).toContain('blocker workloadUnreadable eu-west');
  });

  it('escape: commands that can be run as they stand', async () => {
    expect(await open({}, { instances: 6 }).escape(WEST, 'drained')).toEqual([
      "aws autoscaling update-auto-scaling-group --region eu-west-1 --auto-scaling-group-name 'web' --min-size 0 --max-size 0 --desired-capacity 0",
      expect.stringContaining('describe-auto-scaling-groups'),
    ]);
    expect(fake.calls).toEqual([]);
  });
});
