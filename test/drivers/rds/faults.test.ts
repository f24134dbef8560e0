/** What goes wrong between the driver and RDS, and on either side of it. Each test begins and ends with ireland writable. */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Finding } from '../../../drivers/ports.ts';
import { EMPTY, KEPT_FOR, tagsOf } from '../../../drivers/rds/record.ts';
import type { Component } from '../../../topology/model.ts';
import { Run } from '../../conformance/store/run.ts';
import { asAdmin } from '../../fakes/aws/rds-servers.ts';
import { A, AWS, B, ID, type RdsWorld, startRds } from './world.ts';

let rds: RdsWorld;
beforeAll(async () => {
  rds = await startRds();
}, 60_000);
afterAll(() => rds?.close());
beforeEach(() => rds.aws.faults.clear());

const failsAs = (type: string) => expect.objectContaining({ type });
const look = (): Run => new Run(rds.world, 0);
const findings = async (component?: Component, from = A, to = B, mode: 'planned' | 'unplanned' = 'planned') =>
  (await look().at(null, {}, component).preflight(mode, from, to)) as Finding[];
const codes = (found: Finding[], severity?: string): string[] =>
  found.filter((finding) => severity === undefined || finding.severity === severity).map(({ code }) => code);

describe('before anything is changed', { timeout: 30_000 }, () => {
  test('regions swapped in the topology are told before anything is done', async () => {
    const swapped = structuredClone(rds.component);
    const nodeOf = (region: string) => swapped.sides[region]!.nodes[0]!.config;
    [nodeOf(A).awsRegion, nodeOf(B).awsRegion] = [AWS[B]!, AWS[A]!];
    expect(codes(await findings(swapped), 'blocker')).toContain('rds.noInstance');
    expect((await findings(swapped)).map(({ message, remedy }) => `${message} ${remedy}`).join()).toContain('swapped');

    const roles = structuredClone(rds.component);
    const [a, b] = [roles.sides[A]!.nodes[0]!.config, roles.sides[B]!.nodes[0]!.config];
    Object.assign(a, { awsRegion: AWS[B], instance: ID[B] });
    Object.assign(b, { awsRegion: AWS[A], instance: ID[A] });
    expect(codes(await findings(roles), 'blocker')).toContain('rds.targetIsPrimary');
  });

  test.each([
    ['backing-up', { status: 'backing-up' }, 'rds.busy', 'blocker'],
    ['storage full', { status: 'storage-full' }, 'rds.storageFull', 'blocker'],
    ['stopped', { status: 'stopped' }, 'rds.notAvailable', 'blocker'],
    ['another engine', { engine: 'mysql' }, 'rds.engine', 'blocker'],
    ['part of a cluster', { clusterId: 'orders' }, 'rds.inCluster', 'blocker'],
    ['another source', { source: 'arn:aws:rds:eu-west-1:111111111111:db:other' }, 'rds.otherSource', 'blocker'],
    ['no replica', { source: null }, 'rds.targetNoReplica', 'blocker'],
    ['no backups', { backupRetention: 0 }, 'rds.noBackups', 'warning'],
    ['another version', { engineVersion: '18.0' }, 'rds.engineVersion', 'warning'],
    ['parameters that wait for a reboot', { parameterStatus: 'pending-reboot' }, 'rds.parametersPending', 'warning'],
    ['no second way', { multiAz: false }, 'rds.noSecondWay', 'warning'],
    ['another parameter group', { parameterGroup: 'default.postgres18' }, 'rds.parameterGroup', 'info'],
  ] as const)('the target: %s', async (_, change, code, severity) => {
    const target = rds.instance(B);
    const was = { ...target };
    Object.assign(target, change);
    try {
      expect(codes(await findings(), severity)).toContain(code);
    } finally {
      Object.assign(target, was);
    }
  });

  test('a failback needs a new replica, and the plan says so with an estimate', async () => {
    const found = (await findings()).find(({ code }) => code === 'rds.failbackNeedsReplica');
    expect(found).toMatchObject({ severity: 'info', message: expect.stringMatching(/new replica.*about \d+ min/) });
  });

  test('rights of RDS that are missing, and roles that could not be kept out', async () => {
    const denied = rds.aws.fault({ fault: 'denied', operation: 'DescribeDBInstances' });
    expect(codes(await findings(), 'blocker')).toContain('rds.accessDenied');
    denied();
    await asAdmin(rds.port(A), `CREATE ROLE stranger LOGIN SUPERUSER; REVOKE pg_signal_backend FROM rampart`);
    try {
      const found = await findings();
      expect(codes(found, 'blocker')).toEqual(expect.arrayContaining(['rds.fenceRights', 'rds.rights']));
      expect(found.find(({ code }) => code === 'rds.fenceRights')!.message).toContain('stranger in app');
      const run = await rds.newRun();
      await expect(run.at(A).fence({ region: A })).rejects.toEqual(failsAs('AccessDenied'));
      await run.at(A).unfence({ region: A }, { to: B, deadline: null });
      await run.close();
      await rds.world.write(A);
    } finally {
      await asAdmin(rds.port(A), 'DROP ROLE stranger; GRANT pg_signal_backend TO rampart');
    }
  });

  test('a region whose API hangs is known by its server alone, and what was told before', async () => {
    rds.aws.fault({ fault: 'hang', region: AWS[A]! });
    const [node] = await look().at(null).sample({ region: A });
    expect(node).toMatchObject({ state: 'writable' });
    const found = await findings(undefined, A, B, 'unplanned');
    expect(codes(found, 'info')).toContain('rds.apiUnreachable');
    expect(codes(found, 'blocker')).toEqual([]);
  });
});

test('a receiver that says `streaming` and gets nothing makes no replica that follows', async () => {
  const run = await rds.newRun();
  const [{ pid }] = (await asAdmin(rds.port(B), 'SELECT pid FROM pg_stat_wal_receiver')) as [{ pid: number }];
  process.kill(pid, 'SIGSTOP');
  try {
    await rds.world.write(A);
    await expect(run.at(B).rejoin({ region: B }, A)).rejects.toEqual(failsAs('NotApplied'));
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await vi.waitUntil(async () => {
    const answer = await run
      .at(B)
      .rejoin({ region: B }, A)
      .catch(() => null);
    return answer?.already;
  });
  await run.close();
}, 30_000);

describe('the fence', { timeout: 30_000 }, () => {
  test('where the databases are somebody else’s, the roles are stopped one by one, and all is as before after it', async () => {
    const port = rds.port(A);
    await asAdmin(
      port,
      `CREATE ROLE owner NOLOGIN; ALTER DATABASE app OWNER TO owner; CREATE ROLE quiet NOLOGIN; ALTER DATABASE app CONNECTION LIMIT 50`,
    );
    const shown = () =>
      asAdmin(
        port,
        `SELECT (SELECT datconnlimit FROM pg_database WHERE datname = 'app') AS "limit", (SELECT json_object_agg(rolname, rolcanlogin) FROM pg_roles WHERE rolname IN ('app', 'quiet', 'rampart')) AS logins`,
      );
    const before = await shown();
    const run = await rds.newRun();
    const proof = await run.at(A).fence({ region: A });
    expect(proof.fence).toMatchObject({ cannotWrite: 'sessions', durable: true });
    expect((await shown())[0]).toMatchObject({ limit: 50, logins: { app: false, quiet: false, rampart: true } });
    await expect(rds.world.write(A)).rejects.toThrow();
    await run.at(A).unfence({ region: A }, { to: B, deadline: null });
    expect(await shown()).toEqual(before);
    await run.close();
    await asAdmin(
      port,
      'ALTER DATABASE app OWNER TO app; ALTER DATABASE app CONNECTION LIMIT -1; DROP ROLE owner; DROP ROLE quiet',
    );
  });

  test('a door that somebody opens again is no fence any more', async () => {
    const run = await rds.newRun();
    await run.at(A).fence({ region: A });
    await asAdmin(rds.port(A), 'ALTER DATABASE app CONNECTION LIMIT 5');
    expect((await run.at(A).prove({ region: A })).fence).toMatchObject({ cannotWrite: 'none', finalPosition: null });
    await run.at(A).unfence({ region: A }, { to: B, deadline: null });
    await rds.world.write(A);
    await asAdmin(rds.port(A), 'ALTER DATABASE app CONNECTION LIMIT -1');
    await run.close();
  });

  test('tags that RDS accepts and does not keep, loses the answer of, or throttles', async () => {
    const run = await rds.newRun();
    rds.aws.fault({ fault: 'cut', operation: 'AddTagsToResource', times: 1 });
    await run.at(A).journal({ region: A }, { saved: { ttl: 60 } });
    expect((await run.observe(A)).journal?.saved).toMatchObject({ ttl: 60 });
    rds.aws.fault({ fault: 'throttled', operation: 'AddTagsToResource', times: 1 });
    await expect(run.at(A).journal({ region: A }, {})).rejects.toMatchObject({
      type: 'ProviderUnavailable',
      details: { notApplied: true, retryAfterMs: expect.any(Number) },
    });
    rds.aws.fault({ fault: 'expired', operation: 'AddTagsToResource', times: 1 });
    await expect(run.at(A).fence({ region: A })).rejects.toEqual(failsAs('AccessDenied'));
    await rds.world.write(A);
    await run.close();
  });

  test('a run that claims in the same moment is read back, and nothing is changed', async () => {
    const run = await rds.newRun();
    const instance = rds.instance(A);
    const claim = { epoch: run.epoch + 1, runId: 'rival', seq: 1, at: 1 };
    const rival = Object.entries(tagsOf({ ...EMPTY, claim }));
    // Between what this run writes and what it reads back.
    const before = (): void => {
      instance.tags = new Map([...instance.tags, ...rival]);
    };
    rds.aws.fault({ fault: 'pass', operation: 'DescribeDBInstances', after: 2, times: 1, before });
    await expect(run.at(A).fence({ region: A })).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining('in the same moment'),
    });
    await rds.world.write(A);
    expect((await run.observe(A)).claim).toEqual(claim);
    instance.tags.clear();
    rds.instance(B).tags.clear();
  });
});

test('an answer that is lost, a busy replica, a dead source: promoted once; then renamed aside, rebuilt, released', {
  timeout: 60_000,
}, async () => {
  const run = await rds.newRun();
  const { timeline } = await run.observe(A);
  await rds.world.write(A);
  const proof = await run.at(A).fence({ region: A });
  await run.at(B).awaitCatchUp(proof, { region: B }, []);
  const fresh = await run.at(A).prove({ region: A });

  // From here on the source's region answers nothing any more.
  rds.aws.fault({ fault: 'hang', region: AWS[A]! });
  // A backup of the target is waited for; RDS takes the call, and its answer is cut.
  rds.instance(B).stages = [
    { status: 'backing-up', looks: 3 },
    { status: 'available', looks: 0 },
  ];
  rds.aws.fault({ fault: 'cut', operation: 'PromoteReadReplica', times: 1 });
  const calls = rds.aws.calls.length;
  const heartbeats: Array<{ doing?: string; rds?: string }> = [];
  const promoted = await run.at(B, { heartbeats }).promote({ region: B }, A, fresh, { timeline });
  expect(promoted).toMatchObject({ already: false, promote: { timeline: timeline! + 1 } });
  expect(rds.aws.count('PromoteReadReplica')).toBe(1);
  expect(heartbeats.some(({ doing }) => doing?.includes('backing-up'))).toBe(true);
  expect(heartbeats.some(({ rds: said }) => said?.includes('still a replica'))).toBe(true);
  // Nothing was asked of the region that hangs.
  expect(rds.aws.calls.slice(calls).filter(({ region }) => region === AWS[A])).toEqual([]);

  const again = await run.at(B).promote({ region: B }, A, fresh, { timeline });
  expect(again).toMatchObject({ already: true, promote: { timeline: timeline! + 1 } });
  expect(rds.aws.count('PromoteReadReplica')).toBe(1);
  await run.at(B).verifyWritable({ region: B }, A);
  await rds.world.write(B);
  // A side whose fence cannot be read has not been seen, which is not the same as being writable.
  await asAdmin(rds.port(A), 'REVOKE ALL ON rampart.suspended FROM rampart');
  expect((await run.at(B).verifyWritable({ region: B }, A)).facts.unseen).toEqual([A]);
  await asAdmin(rds.port(A), 'GRANT ALL ON rampart.suspended TO rampart');

  rds.aws.faults.clear();
  const rejoin = await run.at(A).rejoin({ region: A }, B);
  expect(rejoin.facts).toMatchObject({ needs: 'rebuild', estimateMinutes: expect.any(Number) });
  // Cut off anywhere, the next attempt goes on: the rename's answer is lost, and so is the new replica's.
  rds.aws.fault({ fault: 'cut', operation: 'ModifyDBInstance', times: 1 });
  rds.aws.fault({ fault: 'reset', applied: true, operation: 'CreateDBInstanceReadReplica', times: 1 });
  // There is one of an earlier rebuild, and for a moment the instance has neither its old name nor its new one.
  const claim = { epoch: 1, runId: 'long ago', seq: 1, at: 1 };
  const tags = new Map(Object.entries({ ...tagsOf({ ...EMPTY, claim }), [KEPT_FOR]: ID[A]! }));
  const earlier = rds.account.add({ id: `${ID[A]}-kept-20250101000000`, region: AWS[A]!, tags });
  rds.account.renameGap = 6;
  const old = { ...rds.instance(A) };
  const rebuilt = await run.at(A).rebuild({ region: A }, B);
  const [kept, ...more] = rebuilt.facts.kept as string[];
  expect(more).toEqual([earlier.id]);
  rds.account.instances.splice(rds.account.instances.indexOf(earlier), 1);
  expect(kept).toMatch(/^orders-ireland-kept-\d{14}$/);
  expect(rds.instance(A)).toMatchObject({
    source: rds.account.arnOf(rds.instance(B)),
    kmsKeyId: old.kmsKeyId,
    parameterGroup: old.parameterGroup,
    subnetGroup: old.subnetGroup,
    instanceClass: old.instanceClass,
    securityGroups: old.securityGroups,
  });
  expect(rds.aws.count('CreateDBInstanceReadReplica')).toBe(1);
  expect(rds.account.get(AWS[A]!, kept!).status).toBe('available');
  expect(await run.at(A).rebuild({ region: A }, B)).toMatchObject({ already: true });
  expect(await run.at(A).rejoin({ region: A }, B)).toMatchObject({ already: true });
  expect((await run.observe(A)).claim).toMatchObject({ epoch: run.epoch, runId: run.id });

  rds.account.get(AWS[A]!, kept!).deletionProtection = true;
  await expect(run.at(A).release({ region: A })).rejects.toEqual(failsAs('PreconditionFailed'));
  expect(rds.account.get(AWS[A]!, kept!).status).toBe('available');
  rds.account.get(AWS[A]!, kept!).deletionProtection = false;
  const released = await run.at(A).release({ region: A });
  expect(released.facts).toEqual({ released: [kept], snapshots: [`${kept}-final`] });
  expect(() => rds.account.get(AWS[A]!, kept!)).toThrow('not found');
  expect((await run.at(A).release({ region: A })).already).toBe(true);
  await run.close();
});

test('a promotion that RDS accepts and does not do is no promotion, and may be asked for again', {
  timeout: 60_000,
}, async () => {
  const run = await rds.newRun();
  const { timeline } = await run.observe(B);
  const proof = await run.at(B).fence({ region: B });
  await run.at(A).awaitCatchUp(proof, { region: A }, []);
  rds.aws.fault({ fault: 'nothing', operation: 'PromoteReadReplica', times: 1 });
  const fresh = await run.at(B).prove({ region: B });
  // Once it is sent its clock runs half a minute a look: RDS has had the time to show what it accepted.
  const before = rds.aws.count('PromoteReadReplica');
  let looks = 0;
  const now = (): number => Date.now() + (rds.aws.count('PromoteReadReplica') > before ? 30_000 * ++looks : 0);
  await expect(run.at(A, { now }).promote({ region: A }, B, fresh, { timeline })).rejects.toEqual(
    failsAs('NotApplied'),
  );
  expect(await run.observe(A)).toMatchObject({ state: 'replica', timeline });
  const next = await run.at(B).prove({ region: B });
  expect(await run.at(A).promote({ region: A }, B, next, { timeline })).toMatchObject({ already: false });
  await run.close();
});
