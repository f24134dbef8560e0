/** What may have begun, by whomever, and what nobody knows: neither is passed off as something better. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openAurora } from '../../../drivers/aurora/config.ts';
import { lagPublished } from '../../../drivers/aurora/metric.ts';
import type { Json } from '../../../drivers/ports.ts';
import { type ContextOptions, driverContext } from '../../conformance/driver-context.ts';
import type { Run } from '../../conformance/store/run.ts';
import { A, type AuroraWorld, B, CLUSTERS, GLOBAL } from './world.ts';

/** @param get the pair of regions that the cases share */
export function begunCases(get: () => AuroraWorld): void {
  let world: AuroraWorld;
  let run: Run;
  beforeAll(() => {
    world = get();
  });
  beforeEach(async () => {
    run = await world.newRun();
    world.aws.calls.length = 0;
  });
  afterEach(() => world.reset());

  const SWITCH = 'SwitchoverGlobalCluster';
  const FAILOVER = 'FailoverGlobalCluster';
  const WEST = CLUSTERS[A]!.region;
  const arn = (side: string) => world.fake.arnOf(CLUSTERS[side]!);
  const sent = () => world.aws.calls.filter(({ operation }) => [SWITCH, FAILOVER].includes(operation));
  const store = (config: Record<string, Json> = {}, options: ContextOptions = {}, by = run) =>
    by.at(null, options, world.with(config));
  const go = (mode: 'planned' | 'unplanned' = 'planned', config?: Record<string, Json>) =>
    store(config).switchover!(A, B, mode);
  const revoked = async (config?: Record<string, Json>, options?: ContextOptions, by?: Run) =>
    (await store(config, options, by).revokePromote({ region: B })).facts.revoked;
  const failoverByHand = (): void =>
    void world.fake.operations().FailoverGlobalCluster!({
      input: { GlobalClusterIdentifier: GLOBAL, TargetDbClusterIdentifier: arn(B), AllowDataLoss: 'true' },
    } as never);
  /** Runs once, at the first look after the call. */
  const afterTheCall = (before: () => void): void =>
    void world.aws.fault({ fault: 'pass', operation: 'DescribeEvents', times: 1, before });
  /** Aurora takes the call, the worker is gone before the answer, and nothing shows it yet. */
  const sentAndGone = async (): Promise<void> => {
    const worker = new AbortController();
    const before = (): void => worker.abort(new Error('gone'));
    world.aws.fault({ fault: 'nothing', operation: SWITCH, times: 1, before });
    const gone = store({}, { signal: worker.signal }).switchover!(A, B, 'planned');
    await expect(gone).rejects.toThrow('gone');
  };

  describe('a failover that loses data, asked for by somebody else', () => {
    it('before a planned switch to the same target: not taken for it', async () => {
      world.fake.next.outcome = 'lasts';
      failoverByHand();
      await expect(go()).rejects.toMatchObject({
        type: 'PreconditionFailed',
        message: expect.stringContaining('data may be lost'),
      });
      world.fake.global(GLOBAL).operation!.outcome = 'completes';
      expect((await go('unplanned')).promote.region).toBe(B);
      expect(sent()).toEqual([]);
    });

    it('while a planned switch is waited for: told as that', async () => {
      world.fake.next.outcome = 'silent';
      afterTheCall(() => {
        world.fake.next.outcome = 'lasts';
        failoverByHand();
      });
      await expect(go()).rejects.toMatchObject({
        type: 'PreconditionFailed',
        message: expect.stringContaining('data may be lost'),
      });
      expect(await revoked()).toBe(false);
    });
  });

  describe('what may have begun', () => {
    it('is nothing, when the source does not take the token: nothing was sent', async () => {
      world.aws.fault({ fault: 'unavailable', operation: 'AddTagsToResource', region: WEST, times: 1 });
      await expect(go()).rejects.toMatchObject({ type: 'ProviderUnavailable' });
      expect(sent()).toEqual([]);
      expect(await revoked()).toBe(true);
    });

    it('is what an earlier attempt sent, also when a later one is denied', async () => {
      await sentAndGone();
      world.aws.fault({ fault: 'denied', operation: SWITCH, times: 1 });
      await expect(go()).rejects.toMatchObject({ type: 'AccessDenied' });
      expect(await revoked()).toBe(false);
    });

    it('is what an earlier run sent, until it must have shown', async () => {
      await sentAndGone();
      const next = await world.newRun();
      const grace = { startGrace: 600_000 };
      expect(await revoked(grace, {}, next)).toBe(false);
      expect(await revoked(grace, { now: () => Date.now() + 700_000 }, next)).toBe(true);
    });
  });

  it('a writer that went elsewhere is not where it was', async () => {
    world.fake.next.outcome = 'silent';
    afterTheCall(() => {
      const { members } = world.fake.global(GLOBAL);
      for (const member of members) member.writer = false;
      const elsewhere = 'arn:aws:rds:us-east-1:000000000000:cluster:orders-elsewhere';
      members.push({ arn: elsewhere, writer: true, sync: 'connected', resync: 0 });
    });
    await expect(go('planned', { startGrace: 40 })).rejects.toMatchObject({
      type: 'PreconditionFailed',
      message: expect.stringContaining('in no side of the topology'),
    });
  });

  it('regions that do not agree who the writer is say nothing of a switch: it is asked again', async () => {
    const { members } = world.fake.global(GLOBAL);
    world.aws.fault({
      fault: 'pass',
      operation: 'DescribeGlobalClusters',
      before: ({ region }) => {
        for (const member of members) member.writer = member.arn.includes(region);
      },
    });
    await expect(go()).rejects.toMatchObject({
      type: 'ProviderUnavailable',
      message: expect.stringContaining('do not agree'),
    });
    expect(sent()).toEqual([]);
  });

  it('a target that is being rebuilt is not made the writer, whatever the mode', async () => {
    const target = world.fake.global(GLOBAL).members.find((member) => member.arn === arn(B))!;
    Object.assign(target, { sync: 'pending-resync', resync: 100_000 });
    for (const mode of ['planned', 'unplanned'] as const)
      await expect(go(mode)).rejects.toMatchObject({
        type: 'PreconditionFailed',
        message: expect.stringContaining('pending-resync'),
      });
    expect(sent()).toEqual([]);
  });

  describe('what the old side kept', () => {
    const listed = async () => (await store().leftBehind!({ region: A }, B)).summary;

    it('is not known while its region does not answer: never that there is nothing', async () => {
      await go('unplanned');
      world.aws.fault({ fault: 'unavailable', operation: 'DescribeDBClusterSnapshots' });
      expect(await listed()).toMatch(/is not known, look again when eu-west answers/);
      expect((await store().rejoin({ region: A }, B)).summary).toContain(
        'whether Aurora kept what it held is not known',
      );
    });

    it('is found behind a hundred snapshots of people', async () => {
      const many = Array.from({ length: 120 }, (_, n) => ({
        region: WEST,
        cluster: CLUSTERS[A]!.id,
        id: `s${n}`,
        at: n,
      }));
      world.fake.state.snapshots.push(...many);
      await go('unplanned');
      expect(await listed()).toContain('rds:unplanned-global-failover-orders-west-');
    });
  });

  describe('a question that two calls share', () => {
    it.each(['a look of the sampler', 'a lag of CloudWatch'] as const)(
      '%s: one of them is cancelled, and the other has its answer',
      async (what) => {
        const component = world.with({ sampleEvery: 600_000 });
        const [first, second] = [new AbortController(), new AbortController()];
        world.lag.values[CLUSTERS[B]!.id] = { ms: 250, ageMs: 0 };
        const ask = ({ signal }: AbortController): Promise<unknown> => {
          if (what === 'a look of the sampler') return run.at(null, { signal }, component).sample({ region: A });
          const aurora = openAurora(component, driverContext({ signal, secrets: world.secrets }));
          return lagPublished(aurora, aurora.nodes[1]!);
        };
        const operation = what === 'a look of the sampler' ? 'DescribeDBClusters' : 'ListMetrics';
        const before = (): void => first.abort(new Error('gone'));
        world.aws.fault({ fault: 'hang', operation, times: 1, before });
        const [gone, answer] = await Promise.allSettled([ask(first), ask(second)]);
        expect(gone).toMatchObject({ status: 'rejected', reason: { message: 'gone' } });
        expect(answer).toMatchObject({ status: 'fulfilled' });
      },
    );
  });
}
