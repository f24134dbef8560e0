/** How switches end, and what is sent meanwhile. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Json } from '../../../drivers/ports.ts';
import type { Run } from '../../conformance/store/run.ts';
import { AwsError } from '../../fakes/aws/protocol.ts';
import { A, type AuroraWorld, B, CLUSTERS, GLOBAL } from './world.ts';

/** @param get the pair of regions that the cases share */
export function switchCases(get: () => AuroraWorld): void {
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
  const CENTRAL = CLUSTERS[B]!.region;
  const store = (config: Record<string, Json> = {}) => run.at(null, {}, world.with(config));
  const go = (mode: 'planned' | 'unplanned' = 'planned', config?: Record<string, Json>) =>
    store(config).switchover!(A, B, mode);
  const sent = () => world.aws.calls.filter(({ operation }) => [SWITCH, FAILOVER].includes(operation));
  const arn = (side: string) => world.fake.arnOf(CLUSTERS[side]!);
  const writer = () => world.fake.writerOf(GLOBAL);

  describe('the call', () => {
    it('planned: a switchover, to the primary’s region, once; again: nothing is sent', async () => {
      const beats: unknown[] = [];
      world.fake.next.looks = 4;
      const moved = await run.at(null, { heartbeats: beats }).switchover!(A, B, 'planned');
      expect(moved).toMatchObject({ already: false, promote: { region: B, node: B, timeline: 2 } });
      expect(sent()).toMatchObject([{ operation: SWITCH, region: WEST, input: { TargetDbClusterIdentifier: arn(B) } }]);
      expect(JSON.stringify(beats)).toContain('Global switchover to DB cluster orders-central');
      expect((await go()).already).toBe(true);
      expect(sent()).toHaveLength(1);
    });

    it('unplanned, every call to the source’s region hanging: a failover that allows loss, to the target’s region', async () => {
      world.aws.fault({ fault: 'hang', region: WEST });
      const quick = { apiTimeout: 400 };
      await expect(go('planned', quick)).rejects.toMatchObject({ type: 'ProviderUnavailable' });
      expect(sent()).toEqual([]);
      const moved = await go('unplanned', quick);
      expect(moved.promote).toMatchObject({ region: B, timeline: 2 });
      expect(sent()).toMatchObject([{ operation: FAILOVER, region: CENTRAL, input: { AllowDataLoss: 'true' } }]);
      const proof = await store(quick).prove({ region: A });
      expect(proof.fence).toMatchObject({ cannotWrite: 'provider', durable: true });
      expect(proof.summary).toContain('was not looked at');
      expect((await store(quick).observe({ region: A }))[0]).toMatchObject({ state: 'unreachable' });
    });

    it.each(['cut', 'reset'] as const)(
      'whose answer is lost (%s): only a look decides, and it is sent once',
      async (fault) => {
        world.aws.fault({ fault, operation: SWITCH, applied: true, times: 1 });
        expect((await go()).promote.region).toBe(B);
        expect(sent()).toHaveLength(1);
      },
    );

    it('that never arrived: nothing shows it, so it is asked for again, and then made', async () => {
      world.aws.fault({ fault: 'reset', operation: SWITCH, times: 1 });
      await expect(go('planned', { startGrace: 40 })).rejects.toMatchObject({
        type: 'ProviderUnavailable',
        details: { maybeApplied: true },
      });
      expect((await go()).already).toBe(false);
      expect(sent()).toHaveLength(2);
    });

    it('throttled, or denied: nothing was begun, as a look proves', async () => {
      world.aws.fault({ fault: 'throttled', operation: SWITCH, times: 1 });
      await expect(go()).rejects.toMatchObject({ type: 'ProviderUnavailable', details: { notApplied: true } });
      expect((await store().revokePromote({ region: B })).facts.revoked).toBe(true);
      world.aws.fault({ fault: 'denied', operation: SWITCH, times: 1 });
      await expect(go()).rejects.toMatchObject({ type: 'AccessDenied' });
      expect((await store().revokePromote({ region: B })).facts.revoked).toBe(true);
      expect((await go()).already).toBe(false);
    });

    it('refused because this very switch is under way, sent by an attempt whose answer was lost: waited for', async () => {
      world.aws.fault({
        fault: new AwsError('InvalidGlobalClusterStateFault', 'A switchover is in progress.'),
        operation: SWITCH,
        times: 1,
        before: async ({ input }) => void world.fake.operations().SwitchoverGlobalCluster!({ input } as never),
      });
      expect((await go()).promote.region).toBe(B);
      expect(sent()).toHaveLength(1);
    });

    it('refused for another reason: told as that, and nothing is begun', async () => {
      const fault = new AwsError('InvalidDBClusterStateFault', 'The cluster has an unsupported configuration.');
      world.aws.fault({ fault, operation: SWITCH, times: 1 });
      await expect(go()).rejects.toMatchObject({
        type: 'PreconditionFailed',
        message: expect.stringMatching(/unsupported configuration/),
      });
      expect((await store().revokePromote({ region: B })).facts.revoked).toBe(true);
    });
  });

  describe('the end', () => {
    it.each([
      ['cancelled', /Global switchover to .* is cancelled/],
      ['fails', /Global switchover to .* failed/],
    ] as const)('%s by Aurora: told as such, never escalated; retry asks anew', async (outcome, words) => {
      world.fake.next = { outcome, looks: 3, resync: 1 };
      await expect(go()).rejects.toMatchObject({ type: 'NotApplied', message: expect.stringMatching(words) });
      expect(sent()).toMatchObject([{ operation: SWITCH }]);
      expect(writer()).toBe(arn(A));
      expect((await store().revokePromote({ region: B })).facts.revoked).toBe(true);
      world.fake.next = { outcome: 'completes', looks: 1, resync: 1 };
      expect((await go()).promote.region).toBe(B);
      expect(sent().map(({ operation }) => operation)).toEqual([SWITCH, SWITCH]);
    });

    it('accepted, and nothing happened (HTTP 200): given up after the grace', async () => {
      world.fake.next.outcome = 'silent';
      await expect(go('planned', { startGrace: 40 })).rejects.toMatchObject({
        type: 'NotApplied',
        message: expect.stringContaining('accepted the call and did nothing'),
      });
      world.aws.fault({ fault: 'nothing', operation: FAILOVER, times: 1 });
      world.fake.next.outcome = 'completes';
      await expect(go('unplanned', { startGrace: 40 })).rejects.toMatchObject({ type: 'NotApplied' });
      expect(writer()).toBe(arn(A));
    });

    it('that does not come: held, and asked again it only waits', async () => {
      world.fake.next.outcome = 'lasts';
      await expect(go('planned', { switchTimeout: 100 })).rejects.toMatchObject({ type: 'DeadlineExceeded' });
      expect((await store().revokePromote({ region: B })).facts.revoked).toBe(false);
      expect((await store().observe({ region: A }))[0]).toMatchObject({
        state: 'unknown',
        detail: expect.stringMatching(/switching to eu-central/),
      });
      world.fake.global(GLOBAL).operation!.outcome = 'completes';
      expect((await go()).promote.region).toBe(B);
      expect(sent()).toHaveLength(1);
    });

    it('that came while no worker looked, and was a cancellation: the next attempt says so and sends nothing', async () => {
      world.fake.next = { outcome: 'lasts', looks: 1, resync: 1 };
      await expect(go('planned', { switchTimeout: 100 })).rejects.toMatchObject({ type: 'DeadlineExceeded' });
      world.fake.global(GLOBAL).operation = null;
      world.fake.event(arn(B), 'Global switchover to DB cluster orders-central in Region eu-central-1 is cancelled.');
      await expect(go()).rejects.toMatchObject({ type: 'NotApplied', message: expect.stringMatching(/is cancelled/) });
      expect(sent()).toHaveLength(1);
      world.fake.next.outcome = 'completes';
      expect((await go()).already).toBe(false);
    });

    it('not before the cluster is available and its database takes a write', async () => {
      world.fake.next.looks = 2;
      const move = world.fake.move;
      world.fake.move = async (...args) => {
        await move(...args);
        world.fake.cluster(CENTRAL, CLUSTERS[B]!.id).status = 'upgrading';
      };
      try {
        await expect(go('planned', { switchTimeout: 1_000 })).rejects.toMatchObject({
          message: expect.stringMatching(/is upgrading/),
        });
        world.fake.cluster(CENTRAL, CLUSTERS[B]!.id).status = 'available';
        expect(await go()).toMatchObject({ already: true, summary: expect.stringContaining('took a write') });
      } finally {
        world.fake.move = move;
      }
    });

    it('credentials that expire meanwhile: a person renews them, and a retry only looks', async () => {
      world.fake.next.looks = 3;
      world.aws.fault({ fault: 'expired', operation: ['DescribeGlobalClusters', 'DescribeDBClusters'], after: 8 });
      await expect(go()).rejects.toMatchObject({ type: 'AccessDenied', message: expect.stringMatching(/expired/) });
      expect(sent()).toHaveLength(1);
      world.aws.faults.clear();
      expect((await go()).promote.region).toBe(B);
      expect(sent()).toHaveLength(1);
    });
  });

  describe('somebody else', () => {
    it('switches to the same target by hand: waited for; to another one: refused', async () => {
      world.fake.next.looks = 5;
      const by = (to: string) =>
        world.fake.operations().SwitchoverGlobalCluster!({
          input: { GlobalClusterIdentifier: GLOBAL, TargetDbClusterIdentifier: to },
        } as never);
      by(arn(B));
      expect((await go()).promote.region).toBe(B);
      expect(sent()).toEqual([]);
      await expect(store().switchover!(A, B, 'planned')).resolves.toMatchObject({ already: true });
      world.fake.next.outcome = 'lasts';
      by(arn(A));
      await expect(go()).rejects.toMatchObject({
        type: 'PreconditionFailed',
        message: expect.stringMatching(/switching orders-db to eu-west/),
      });
    });

    it('has moved the writer since the plan was made: refused, not overwritten', async () => {
      const { timeline } = await run.observe(A);
      for (const to of [B, A]) {
        await world.fake.move(arn(to === B ? A : B), arn(to), false);
        for (const member of world.fake.global(GLOBAL).members) member.writer = member.arn === arn(to);
        const found = await run.observe(to);
        expect(found.state).toBe('writable');
        await run.at(null).journal({ region: to }, {});
        if (to === B) {
          expect(found.timeline).toBe(timeline! + 1);
          const late = run.at(null, { token: run.token({ expectedTimeline: timeline }) });
          await expect(late.switchover!(B, A, 'planned')).rejects.toMatchObject({ type: 'Conflict' });
        }
      }
      expect(sent()).toEqual([]);
    });

    it('takes the claim while it is written, or overwrites it: one of the two is told', async () => {
      await world.reset();
      const tags = (): Record<string, string> => world.fake.cluster(WEST, CLUSTERS[A]!.id).tags;
      world.aws.fault({
        fault: 'pass',
        operation: 'DescribeDBClusters',
        region: WEST,
        after: 1,
        times: 1,
        before: () => void Object.assign(tags(), { 'rampart:claim': '5000:1:1:another-run' }),
      });
      await expect(run.at(null).claim({ region: A }, run.journal())).rejects.toMatchObject({
        type: 'Conflict',
        message: expect.stringMatching(/another-run/),
      });
      await expect(go()).rejects.toMatchObject({ type: 'Conflict' });
      expect(sent()).toEqual([]);
    });

    it('answers 200 to a claim and keeps nothing: not believed', async () => {
      await world.reset();
      world.aws.fault({ fault: 'nothing', operation: 'AddTagsToResource', times: 1 });
      await expect(run.at(null).claim({ region: A }, run.journal())).rejects.toMatchObject({ type: 'NotApplied' });
      expect((await run.at(null).claim({ region: A }, run.journal())).already).toBe(false);
    });
  });

  describe('afterwards', () => {
    it('the old primary is watched until Aurora has rebuilt it, and the snapshot of what it held is named', async () => {
      world.fake.next.resync = 100_000;
      await go('unplanned');
      const old = await run.observe(A);
      expect(old).toMatchObject({
        state: 'replica',
        upstream: { streaming: false },
        detail: expect.stringMatching(/pending-resync/),
      });
      const waits = run.at(null, {}, world.with({ rejoinTimeout: 100 }));
      await expect(waits.rejoin({ region: A }, B)).rejects.toMatchObject({
        type: 'DeadlineExceeded',
        message: expect.stringMatching(/pending-resync.*rds:unplanned-global-failover-orders-west-/),
      });
      const listed = await store().leftBehind!({ region: A }, B);
      expect(listed.facts.leftBehind).toMatchObject([
        { kind: 'unreadable', note: expect.stringContaining('copy-db-cluster-snapshot') },
      ]);
      for (const member of world.fake.global(GLOBAL).members) member.resync = 5;
      const back = await store().rejoin({ region: A }, B);
      expect(back).toMatchObject({ already: false, facts: { snapshot: expect.stringContaining('rds:unplanned') } });
      expect(await run.observe(A)).toMatchObject({ state: 'replica', upstream: { streaming: true } });
      await expect(store().rebuild({ region: A }, B)).rejects.toMatchObject({ type: 'PreconditionFailed' });
    });

    it('a side that was taken out is told as such: nothing waits for it, and it may write', async () => {
      await go();
      const { members } = world.fake.global(GLOBAL);
      members.splice(
        members.findIndex((one) => one.arn === arn(A)),
        1,
      );
      expect(await run.observe(A)).toMatchObject({ state: 'unknown', detail: expect.stringMatching(/no member/) });
      await expect(store().rejoin({ region: A }, B)).rejects.toMatchObject({
        type: 'PreconditionFailed',
        remedy: expect.stringContaining('create-db-cluster'),
      });
    });

    it('a second side that takes writes is a split brain', async () => {
      await go();
      const west = world.fake.cluster(WEST, CLUSTERS[A]!.id);
      west.port = world.fake.cluster(CENTRAL, CLUSTERS[B]!.id).port;
      await expect(store().verifyWritable({ region: B }, A)).rejects.toMatchObject({ type: 'SplitBrain' });
    });
  });
}
