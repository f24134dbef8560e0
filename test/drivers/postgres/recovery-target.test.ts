/** Settings of a point-in-time recovery that were left behind: what they do to a standby, and that preflight names them. */
import { afterEach, expect, test, vi } from 'vitest';
import type { Finding } from '../../../drivers/ports.ts';
import { startPostgres, stopPostgres } from '../../../lab/postgres/server.ts';
import { A, B, type Pair, startPair } from './pair.ts';

vi.setConfig({ testTimeout: 90_000 });

const WAIT = { timeout: 20_000, interval: 50 };
let pair: Pair;
afterEach(() => pair?.close());

async function settings(node: string, values: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(values)) await pair.sql(node, `ALTER SYSTEM SET ${name} = '${value}'`);
}

async function restart(node: string): Promise<void> {
  const { data, bin } = pair.nodes[node]!;
  await stopPostgres(data);
  await startPostgres({ data, bin });
}

async function found(mode: 'planned' | 'unplanned' = 'planned'): Promise<Finding[]> {
  const run = await pair.newRun();
  const findings = await run.at(null).preflight(mode, A, B);
  return findings.filter(({ code }) => code.startsWith('postgres.recoveryTarget'));
}

const FAR = { recovery_target_time: '2099-01-01 00:00:00+00', recovery_target_action: 'promote' };

test('nothing is said of servers without any', async () => {
  pair = await startPair();
  expect(await found()).toEqual([]);
});

test('a standby that would promote itself is no target of a planned run, and shown in an unplanned one', async () => {
  pair = await startPair();
  await settings(B, FAR);
  await restart(B);
  const [planned] = await found();
  expect(planned).toMatchObject({ code: 'postgres.recoveryTarget', severity: 'blocker', region: B });
  expect(planned!.message).toContain(
    `${B} promotes itself and is a second primary once it gets log beyond recovery_target_time = '2099-01-01`,
  );
  expect(planned!.remedy).toContain('ALTER SYSTEM RESET recovery_target_time');
  expect(await found('unplanned')).toMatchObject([{ code: 'postgres.recoveryTarget', severity: 'warning', region: B }]);
});

test('on the source the files alone have them: it would promote itself once it follows the new primary', async () => {
  pair = await startPair();
  await settings(A, { recovery_target: 'immediate', recovery_target_action: 'promote' });
  // Nobody has restarted or reloaded it.
  const [source] = await found();
  expect(source).toMatchObject({ code: 'postgres.recoveryTarget', severity: 'blocker', region: A });
  expect(source!.message).toContain('from its next start on promotes itself and is a second primary');
  expect(await found('unplanned')).toMatchObject([{ severity: 'warning', region: A }]);
});

test('what the finding says is what a real standby does: with the next write of its primary there are two', async () => {
  pair = await startPair();
  await settings(B, { recovery_target: 'immediate', recovery_target_action: 'promote' });
  await restart(B);
  await expect
    .poll(async () => {
      await pair.write(A);
      return (await pair.sql(B, 'SELECT pg_is_in_recovery() AS standby'))[0]!.standby;
    }, WAIT)
    .toBe(false);
  expect((await pair.sql(A, 'SELECT pg_is_in_recovery() AS standby'))[0]!.standby).toBe(false);
});

test('one that would stop short is named with what it does; an action without a target is a leftover', async () => {
  pair = await startPair();
  await settings(B, { recovery_target_lsn: 'FFFF/0', recovery_target_action: 'shutdown' });
  await settings(A, { recovery_target_action: 'promote' });
  const findings = await found();
  expect(findings.map(({ severity, region }) => [severity, region])).toEqual([
    ['blocker', B],
    ['warning', A],
  ]);
  expect(findings[0]!.message).toContain("shuts down once it gets log beyond recovery_target_lsn = 'FFFF/0'");
  expect(findings[1]!.message).toContain("recovery_target_action = 'promote' without a target");
});

test('a standby that follows one timeline alone will not follow the new primary', async () => {
  pair = await startPair();
  await settings(A, { recovery_target_timeline: 'current' });
  expect(await found()).toMatchObject([
    { code: 'postgres.recoveryTargetTimeline', severity: 'warning', region: A, message: expect.stringContaining(A) },
  ]);
});
