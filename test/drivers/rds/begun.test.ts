/** Promotions that were asked for, and of which nobody knows: what may be undone then. Each test leaves ireland writable. */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { FenceReceipt } from '../../../drivers/ports.ts';
import { withClient } from '../../../lab/postgres/pair.ts';
import type { Run } from '../../conformance/store/run.ts';
import { AwsError } from '../../fakes/aws/protocol.ts';
import { asAdmin, managedUrl } from '../../fakes/aws/rds-servers.ts';
import { A, B, type RdsWorld, startRds } from './world.ts';

let rds: RdsWorld;
beforeAll(async () => {
  rds = await startRds();
}, 60_000);
afterAll(() => rds?.close());
beforeEach(() => {
  rds.aws.faults.clear();
  // What another test's run has noted down.
  for (const region of [A, B]) rds.instance(region).tags.clear();
});

const PROMOTE = 'PromoteReadReplica';
const failsAs = (type: string) => expect.objectContaining({ type });

async function fenced(): Promise<{ run: Run; proof: FenceReceipt; timeline: number | null }> {
  const run = await rds.newRun();
  const { timeline } = await run.observe(A);
  await run.at(A).fence({ region: A });
  return { run, timeline, proof: await run.at(A).prove({ region: A }) };
}

/** RDS takes the call, the worker is gone before the answer, and nothing shows it yet. */
async function sentAndGone(run: Run, proof: FenceReceipt, timeline: number | null): Promise<void> {
  const worker = new AbortController();
  rds.aws.fault({ fault: 'nothing', operation: PROMOTE, times: 1, before: () => worker.abort(new Error('gone')) });
  const promotion = run.at(B, { signal: worker.signal }).promote({ region: B }, A, proof, { timeline });
  await expect(promotion).rejects.toThrow('gone');
}

describe('a promotion that RDS', { timeout: 30_000 }, () => {
  test.each([
    ['denies', 'denied' as const],
    ['throttles', 'throttled' as const],
    ['refuses', new AwsError('InvalidParameterCombination', 'not this one')],
  ])('%s was not begun: it can be revoked, and the source let go on', async (_, fault) => {
    const { run, proof, timeline } = await fenced();
    rds.aws.fault({ fault, operation: PROMOTE, times: 1 });
    await expect(run.at(B).promote({ region: B }, A, proof, { timeline })).rejects.toBeDefined();
    expect((await run.at(B).revokePromote({ region: B })).facts).toEqual({ revoked: true, reasons: [] });
    await run.at(A).unfence({ region: A }, { to: B, deadline: null });
    await rds.world.write(A);
    await run.close();
  });

  test('denies after it may have taken an earlier call may have begun all the same', async () => {
    const { run, proof, timeline } = await fenced();
    await sentAndGone(run, proof, timeline);
    rds.aws.fault({ fault: 'denied', operation: PROMOTE, times: 1 });
    const again = run.at(B).promote({ region: B }, A, proof, { timeline });
    await expect(again).rejects.toEqual(failsAs('AccessDenied'));
    expect((await run.at(B).revokePromote({ region: B })).facts.revoked).toBe(false);
    const unfence = run.at(A).unfence({ region: A }, { to: B, deadline: null });
    await expect(unfence).rejects.toMatchObject({ type: 'Conflict', message: expect.stringContaining('was begun at') });
    await letGo();
  });

  test('may have taken for an earlier run is not undone by the next one before it must have shown', async () => {
    const { run, proof, timeline } = await fenced();
    await sentAndGone(run, proof, timeline);
    const next = await rds.newRun();
    expect((await next.at(B).revokePromote({ region: B })).facts.revoked).toBe(false);
    const unfence = next.at(A).unfence({ region: A }, { to: B, deadline: null });
    await expect(unfence).rejects.toMatchObject({ type: 'Conflict', message: expect.stringContaining('was begun at') });
    await letGo(next);
  });

  /** Later: what RDS had taken would have shown by now. */
  async function letGo(run?: Run): Promise<void> {
    const later = { now: () => Date.now() + 180_000 };
    const last = run ?? (await rds.newRun());
    expect((await last.at(B, later).revokePromote({ region: B })).facts.revoked).toBe(true);
    await last.at(A, later).unfence({ region: A }, { to: B, deadline: null });
    await rds.world.write(A);
    await last.close();
  }
});

test('a proof that grew old while the promotion was noted down promotes nothing, and leaves no note', async () => {
  const { run, proof, timeline } = await fenced();
  let late = 0;
  const before = (): void => {
    late = 60_000;
  };
  rds.aws.fault({ fault: 'pass', operation: 'AddTagsToResource', times: 1, before });
  const sent = rds.aws.count(PROMOTE);
  const promotion = run.at(B, { now: () => Date.now() + late }).promote({ region: B }, A, proof, { timeline });
  await expect(promotion).rejects.toEqual(failsAs('NotFenced'));
  expect(rds.aws.count(PROMOTE)).toBe(sent);
  expect((await run.at(B).revokePromote({ region: B })).facts.revoked).toBe(true);
  await run.at(A).unfence({ region: A }, { to: B, deadline: null });
  await run.close();
}, 30_000);

test('an unfence whose deadline passes while it looks at the target changes nothing', async () => {
  const { run } = await fenced();
  const deadline = Date.now() + 30_000;
  const calls = rds.aws.calls.length;
  // Its clock runs on as soon as the target's region is asked.
  const now = (): number =>
    Date.now() + (rds.aws.calls.slice(calls).some(({ region }) => region === 'eu-central-1') ? 60_000 : 0);
  const unfence = run.at(A, { now }).unfence({ region: A }, { to: B, deadline });
  await expect(unfence).rejects.toMatchObject({ type: 'Conflict', message: expect.stringContaining('too late') });
  await expect(rds.world.write(A)).rejects.toThrow();
  await run.at(A).unfence({ region: A }, { to: B, deadline: null });
  await rds.world.write(A);
  await run.close();
}, 30_000);

test('a fence that waits for somebody’s open transaction is given up on the server, too: it closes nothing later', async () => {
  const run = await rds.newRun();
  const waiting = `SELECT pid FROM pg_stat_activity WHERE query LIKE '%ALTER DATABASE%' AND wait_event_type = 'Lock'`;
  await withClient(managedUrl(rds.port(A), 'rdsadmin', 'postgres'), async (somebody) => {
    await somebody.query('BEGIN');
    await somebody.query('ALTER DATABASE app CONNECTION LIMIT 50');
    await expect(run.at(A).fence({ region: A })).rejects.toEqual(failsAs('ProviderUnavailable'));
    // The run goes back, and nothing is closed as it seems.
    await run.at(A).unfence({ region: A }, { to: B, deadline: null });
    await somebody.query('ROLLBACK');
  });
  await vi.waitUntil(async () => (await asAdmin(rds.port(A), waiting)).length === 0);
  const limit = `SELECT datconnlimit AS "limit" FROM pg_database WHERE datname = 'app'`;
  expect(await asAdmin(rds.port(A), limit)).toEqual([{ limit: -1 }]);
  await rds.world.write(A);
  await run.close();
}, 30_000);
